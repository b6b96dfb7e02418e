// Applications whose people sign in with http-cas-client; run by the system tests. The first proxies for its people to
// the second.
//
// Environment: CAS_FRONT (the server, with /cas), NODE_EXTRA_CA_CERTS (its authority), APP_LISTEN (address and port of
// the first), APP_BACK_END (of the second), APP_CALLBACK (port of the callback), APP_CERTIFICATE and APP_KEY.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const httpCasClient = require('http-cas-client');

const env = process.env;
const port = (address) => Number(address.split(':')[1]);

function show(res, value) {
  res.setHeader('Content-Type', 'application/json');
  res.end(JSON.stringify(value));
}

function page(handler, answer) {
  return async (req, res) => {
    try {
      if (await handler(req, res)) await answer(req, res);
      else res.end();
    } catch (error) {
      res.statusCode = 500;
      res.end(String(error.stack));
    }
  };
}

const receptorUrl = '/pgt';
const first = httpCasClient({
  cas: 3,
  casServerUrlPrefix: env.CAS_FRONT,
  serverName: `http://${env.APP_LISTEN}`,
  client: { proxy: { callbackUrl: `https://localhost:${env.APP_CALLBACK}${receptorUrl}`, receptorUrl } },
});
const second = httpCasClient({
  cas: 3,
  casServerUrlPrefix: env.CAS_FRONT,
  serverName: `http://${env.APP_BACK_END}`,
  client: { proxy: { acceptAny: true } },
});

const tls = { cert: fs.readFileSync(env.APP_CERTIFICATE), key: fs.readFileSync(env.APP_KEY) };
const callback = https.createServer(tls, page(first, async (req, res) => res.end()));
const backEnd = http.createServer(page(second, async (req, res) => show(res, req.principal)));
const front = http.createServer(
  page(first, async (req, res) => {
    if (req.url !== '/proxied') return show(res, req.principal);
    const instance = await req.ticket.request(`http://${env.APP_BACK_END}/inbox`);
    show(res, (await instance.get('')).data);
  }),
);
callback.listen(Number(env.APP_CALLBACK), '127.0.0.1', () =>
  backEnd.listen(port(env.APP_BACK_END), '127.0.0.1', () => front.listen(port(env.APP_LISTEN), '127.0.0.1')),
);
