//! http-cas-client (npm), as an application, as a proxy, and as the application behind it.

use std::process::Command;

use serde_json::json;

use super::PROXIES;
use crate::support::demo::Demo;
use crate::support::program::{Program, client_file, free_ports, installed};
use crate::support::visitor::Visitor;

#[test]
fn http_cas_client_signs_in_proxies_and_hears_of_the_logout() {
    let definitions = tempfile::tempdir().expect("a folder");
    std::fs::write(definitions.path().join("Proxies-78.json"), PROXIES).expect("a definition");
    let demo =
        Demo::start_trusting_itself(&["--services", definitions.path().to_str().expect("UTF-8")]);
    let folder = tempfile::tempdir().expect("a folder");
    let [listen, back_end, callback] = free_ports();
    let web = demo.folder().join("web");
    let mut serve = Command::new("node");
    serve
        .arg(client_file("http_cas_client.js"))
        .env("NODE_PATH", installed("system-node/node_modules"))
        .env("NODE_EXTRA_CA_CERTS", &demo.cluster.ca_file)
        .env("CAS_FRONT", &demo.cluster.front)
        .env("APP_LISTEN", format!("127.0.0.1:{listen}"))
        .env("APP_BACK_END", format!("127.0.0.1:{back_end}"))
        .env("APP_CALLBACK", callback.to_string())
        .env("APP_CERTIFICATE", web.join("front.pem"))
        .env("APP_KEY", web.join("front.key"));
    let _server = Program::start(&serve, folder.path(), listen);
    let home = format!("http://127.0.0.1:{listen}/home");

    let mut visitor = Visitor::new(&demo);
    let told = visitor.read(&home);
    assert_eq!(told["user"], json!(demo.cluster.username));
    assert_eq!(told["attributes"]["mail"], "casuser@example.org");
    let groups = json!(["library", "demo"]);
    assert_eq!(told["attributes"]["memberOf"], groups);

    // The first application asks the second in the person's name.
    let told = visitor.read(&format!("http://127.0.0.1:{listen}/proxied"));
    assert_eq!(told["user"], json!(demo.cluster.username));
    assert_eq!(told["attributes"]["memberOf"], groups);
    assert_eq!(visitor.typed, 1);

    visitor.sign_out();
    visitor.until_forgotten(&home);
    visitor.sign_in();
    visitor.read(&home);
    assert_eq!(visitor.typed, 2, "single sign-on");
}
