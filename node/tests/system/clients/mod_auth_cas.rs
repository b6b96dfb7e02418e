//! Debian's mod_auth_cas in a real Apache.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::answer::Answer;
use crate::support::demo::Demo;
use crate::support::program::{Program, client_file, free_ports};
use crate::support::visitor::Visitor;

/// Whom Apache's processes run as when it is started as root.
const USER: &str = "www-data";

/// A running Apache with three sites.
pub(crate) struct Apache {
    _program: Program,
    folder: TempDir,
    /// Validates with CAS 2.
    pub(crate) site: String,
    /// Validates with SAML 1.1.
    saml: String,
    /// Takes proxy tickets, too.
    pub(crate) proxied: String,
}

impl Apache {
    pub(crate) fn start(demo: &Demo) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("castor-apache-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir();
        let folder = folder.expect("a folder");
        let root = folder.path();
        for area in ["app", "staff", "students", "guests"] {
            let area = root.join("site").join(area);
            fs::create_dir_all(&area).expect("a folder of the site");
            fs::write(area.join("index.html"), "welcome\n").expect("a page");
        }
        // The demo's own folder is for its owner alone.
        fs::copy(&demo.cluster.ca_file, root.join("ca.pem")).expect("the authority");
        fs::create_dir(root.join("cookies")).expect("a folder");
        let identity = own_user(root);
        let [port, port_of_saml, port_of_proxied] = free_ports();
        let template = fs::read_to_string(client_file("mod_auth_cas.conf"));
        let config = template
            .expect("the configuration")
            .replace("@FOLDER@", &root.display().to_string())
            .replace("@MODULES@", "/usr/lib/apache2/modules")
            .replace("@IDENTITY@", &identity)
            .replace("@FRONT@", &demo.cluster.front)
            .replace("@PORT@", &port.to_string())
            .replace("@PORT_OF_SAML@", &port_of_saml.to_string())
            .replace("@PORT_OF_PROXIED@", &port_of_proxied.to_string());
        let file = root.join("httpd.conf");
        fs::write(&file, config).expect("the configuration can be written");
        let mut serve = Command::new("/usr/sbin/apache2");
        serve.arg("-d").arg(root).arg("-f").arg(file);
        serve.arg("-DFOREGROUND");
        Self {
            _program: Program::start(&serve, root, port),
            folder,
            site: format!("http://127.0.0.1:{port}"),
            saml: format!("http://127.0.0.1:{port_of_saml}"),
            proxied: format!("http://127.0.0.1:{port_of_proxied}"),
        }
    }
}

/// The lines that name Apache's user, when this is root; the sessions' folder is made theirs.
fn own_user(root: &Path) -> String {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return String::new();
    }
    let given = Command::new("chown")
        .arg(USER)
        .arg(root.join("cookies"))
        .status();
    assert!(given.is_ok_and(|status| status.success()), "chown {USER}");
    format!("User {USER}\nGroup {USER}")
}

impl Drop for Apache {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("error.log"));
            eprintln!("--- Apache's log\n{}", log.unwrap_or_default());
        }
    }
}

/// User, mail and groups as the application behind it is told.
fn told(answer: &Answer) -> [&str; 3] {
    assert_eq!(answer.status, 200, "{}", answer.body);
    ["x-seen-user", "x-seen-mail", "x-seen-groups"].map(|name| answer.header(name))
}

const EVERYTHING: [&str; 3] = ["casuser", "casuser@example.org", "library,demo"];
const NOBODY: [&str; 3] = ["", "", ""];

#[test]
fn mod_auth_cas_is_told_attributes_and_hears_of_the_logout() {
    let demo = Demo::start();
    let apache = Apache::start(&demo);
    let mut visitor = Visitor::new(&demo);
    let sites = [&apache.site, &apache.saml];
    for site in sites {
        let page = visitor.visit(&format!("{site}/app/"));
        assert_eq!(told(&page), EVERYTHING, "{site}");
        let staff = visitor.visit(&format!("{site}/staff/"));
        assert_eq!(staff.status, 200, "allowed by an attribute: {site}");
        let students = visitor.visit(&format!("{site}/students/"));
        assert_eq!(students.status, 401, "not allowed by an attribute: {site}");
    }
    assert_eq!(visitor.typed, 1, "single sign-on");
    visitor.sign_out();
    for site in sites {
        visitor.until_forgotten(&format!("{site}/app/"));
    }
}

#[test]
fn mod_auth_cas_lets_guests_in_by_gateway_and_knows_who_has_signed_in() {
    let demo = Demo::start();
    let apache = Apache::start(&demo);
    for site in [&apache.site, &apache.saml] {
        let guests = format!("{site}/guests/");
        let mut guest = Visitor::new(&demo);
        assert_eq!(told(&guest.visit(&guests)), NOBODY, "{site}");
        assert_eq!(guest.typed, 0, "nobody is asked: {site}");

        let mut person = Visitor::new(&demo);
        person.sign_in();
        assert_eq!(told(&person.visit(&guests)), EVERYTHING, "{site}");
        assert_eq!(person.typed, 1, "{site}");
    }
}
