//! phpCAS, as Debian ships it.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::demo::Demo;
use crate::support::program::{Program, client_file, free_ports};
use crate::support::visitor::Visitor;

/// A page that speaks `version`, and takes tickets of this proxy; its address.
pub(crate) fn page(demo: &Demo, version: &str, proxy: &str, folder: &Path) -> (Program, String) {
    let sessions = format!("session.save_path={}", folder.display());
    let [port] = free_ports();
    let address = format!("127.0.0.1:{port}");
    let mut serve = Command::new("php");
    serve
        .args(["-d", &sessions, "-d", "include_path=/usr/share/php"])
        .args(["-S", &address])
        .arg(client_file("phpcas.php"))
        .env("CAS_FRONT", &demo.cluster.front)
        .env("CAS_CA", &demo.cluster.ca_file)
        .env("APP_VERSION", version)
        .env("APP_PROXY", proxy);
    let program = Program::start(&serve, folder, port);
    (program, format!("http://{address}/"))
}

#[test]
fn phpcas_signs_in_with_attributes_and_hears_of_the_logout() {
    let demo = Demo::start();
    let mut visitor = Visitor::new(&demo);
    let mut pages = Vec::new();
    for version in ["2.0", "3.0", "S1"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, home) = page(&demo, version, "", folder.path());
        let told = visitor.read(&home);
        assert_eq!(told["user"], json!(demo.cluster.username), "{version}");
        let attributes = &told["attributes"];
        assert_eq!(attributes["mail"], "casuser@example.org", "{version}");
        assert_eq!(attributes["memberOf"], json!(["library", "demo"]));
        assert_eq!(visitor.get(&home).status, 200, "{version}");
        pages.push((program, home, folder));
    }
    assert_eq!(visitor.typed, 1, "single sign-on");
    visitor.sign_out();
    for (_, home, _) in &pages {
        visitor.until_forgotten(home);
    }
}

#[test]
fn phpcas_knows_guests_and_people_by_gateway() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (_program, home) = page(&demo, "3.0", "", folder.path());
    let guests = format!("{home}guests");
    let mut guest = Visitor::new(&demo);
    assert_eq!(guest.read(&guests)["user"], json!(null));
    assert_eq!(guest.typed, 0, "nobody is asked");
    let mut person = Visitor::new(&demo);
    person.sign_in();
    let told = person.read(&guests);
    assert_eq!(told["user"], json!(demo.cluster.username));
    assert_eq!(person.typed, 1);
}
