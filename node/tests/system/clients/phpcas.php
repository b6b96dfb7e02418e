<?php
// One page whose people sign in with phpCAS; served by `php -S` in the system tests.
// Environment: CAS_FRONT (the server, with /cas), CAS_CA (its authority), APP_VERSION (the protocol, in phpCAS's words),
// APP_PROXY (the callback of the one proxy it takes tickets from, or nothing).
require_once 'CAS.php';

$front = parse_url(getenv('CAS_FRONT'));
$own = 'http://' . $_SERVER['HTTP_HOST'];
phpCAS::client(getenv('APP_VERSION'), $front['host'], $front['port'], $front['path'], $own);
phpCAS::setCasServerCACert(getenv('CAS_CA'));
// As a production site must: the host of the server counts, and the addresses of the nodes.
phpCAS::handleLogoutRequests(true, ['127.0.0.1']);
if (getenv('APP_PROXY')) {
    phpCAS::allowProxyChain(new CAS_ProxyChain([getenv('APP_PROXY')]));
}
header('Content-Type: application/json');
if (str_starts_with($_SERVER['REQUEST_URI'], '/guests') && !phpCAS::checkAuthentication()) {
    echo json_encode(['user' => null]);
    exit;
}
phpCAS::forceAuthentication();
echo json_encode([
    'user' => phpCAS::getUser(),
    'attributes' => phpCAS::getAttributes(),
    'proxies' => phpCAS::getProxies(),
]);
