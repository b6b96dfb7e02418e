//! python-cas (PyPI), every protocol it speaks.

use crate::support::demo::Demo;
use crate::support::program::{bounded, client_file, installed};

#[test]
fn python_cas_signs_in_and_validates_through_the_front() {
    let demo = Demo::start();
    let output = bounded(&installed("system-venv/bin/python"))
        .arg(client_file("python_cas.py"))
        .arg(demo.folder().join("cluster.json"))
        .output()
        .expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    for promise in [
        "CAS 1",
        "CAS 2",
        "CAS 3",
        "SAML 1.1",
        "attributes",
        "second application",
        "used ticket",
        "logout request",
        "signed out",
    ] {
        assert!(
            said.contains(&format!("ok: {promise}")),
            "{promise}\n{said}"
        );
    }
}
