//! django-cas-ng (PyPI) in a Django project with a database and sessions.

use std::process::Command;

use serde_json::json;

use crate::support::demo::Demo;
use crate::support::program::{Program, bounded, client_file, free_ports, installed};
use crate::support::visitor::Visitor;

#[test]
fn django_cas_ng_signs_in_with_attributes_and_hears_of_the_logout() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().expect("a folder");
    let python = installed("system-venv/bin/python");
    let manage = |mut command: Command, arguments: &[&str]| {
        command
            .arg(client_file("django_project/manage.py"))
            .args(arguments)
            .env("CAS_FRONT", &demo.cluster.front)
            .env("CAS_CA", &demo.cluster.ca_file)
            .env("APP_DATA", folder.path());
        command
    };
    let made = manage(bounded(&python), &["migrate", "-v0"])
        .output()
        .expect("python runs");
    assert!(made.status.success(), "{made:?}");
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let serve = manage(
        Command::new(&python),
        &["runserver", "--noreload", &address],
    );
    let _project = Program::start(&serve, folder.path(), port);
    let home = format!("http://{address}/");

    let mut visitor = Visitor::new(&demo);
    let told = visitor.read(&home);
    assert_eq!(told["user"], json!(demo.cluster.username));
    assert_eq!(told["email"], "casuser@example.org");
    let attributes = &told["attributes"];
    assert_eq!(attributes["memberOf"], json!(["library", "demo"]));
    assert_eq!(attributes["isFromNewLogin"], "true");
    assert_eq!(
        visitor.get(&home).status,
        200,
        "it has a session of its own"
    );

    visitor.sign_out();
    visitor.until_forgotten(&home);
    visitor.sign_in();
    let told = visitor.read(&home);
    assert_eq!(told["attributes"]["isFromNewLogin"], "false");
    assert_eq!(visitor.typed, 2, "single sign-on");
}
