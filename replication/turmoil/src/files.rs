//! The files of a run: what an operator would have written for three nodes.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use castor_node::authn::password::{self, Cost};
use castor_node::clock::Rng;
use castor_node::config::Sources;
use tempfile::TempDir;

use crate::node::{Fault, NODES, PORT, name};

/// People who can sign in, `user0` and so on.
pub const USERS: usize = 20;
/// Everybody's password.
pub const PASSWORD: &str = "correct horse";
/// Applications, by number.
pub const SERVICES: u64 = 5;

/// As little work as Argon2 allows: a run signs in hundreds of people.
const CHEAP: Cost = Cost {
    memory_kib: 8,
    passes: 1,
    lanes: 1,
};

const RING: &str = "castor-key-v1 current 00c0ffee 1795000000000 \
                    AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const AUTHORITY: &str = include_str!("../testdata/authority.pem");
const IDENTITIES: [(&str, &str); NODES] = [
    (
        include_str!("../testdata/n0.pem"),
        include_str!("../testdata/n0.key"),
    ),
    (
        include_str!("../testdata/n1.pem"),
        include_str!("../testdata/n1.key"),
    ),
    (
        include_str!("../testdata/n2.pem"),
        include_str!("../testdata/n2.key"),
    ),
];
const SERVICE: &str = r#"{
  "@class": "org.apereo.cas.services.CasRegisteredService",
  "id": 1,
  "name": "Applications",
  "logoutType": "NONE",
  "serviceId": "^http://app[0-9]+\\.example\\.org/.*",
  "attributeReleasePolicy": {
    "@class": "org.apereo.cas.services.ReturnAllAttributeReleasePolicy"
  }
}
"#;

/// An application's URL.
pub fn service(number: u64) -> String {
    format!("http://app{number}.example.org/in?x=1")
}

/// A folder that goes with the run.
pub struct Files(TempDir);

impl Files {
    /// Writes what nodes at these addresses need.
    pub fn write(addresses: &[IpAddr]) -> Result<Self, Fault> {
        let files = Self(tempfile::tempdir()?);
        let put = |name: &str, text: &str| std::fs::write(files.path(name), text);
        put("authority.pem", AUTHORITY)?;
        put("keyring", RING)?;
        put("users.toml", &users()?)?;
        std::fs::create_dir(files.path("services"))?;
        put("services/applications-1.json", SERVICE)?;
        let seeds: Vec<String> = addresses.iter().map(|ip| format!("{ip}:{PORT}")).collect();
        for (index, address) in addresses.iter().enumerate() {
            let name = name(index);
            let (certificate, key) = IDENTITIES[index];
            put(&format!("{name}.pem"), certificate)?;
            put(&format!("{name}.key"), key)?;
            let own = SocketAddr::new(*address, PORT);
            put(&format!("{name}.toml"), &config(&name, own, &seeds))?;
        }
        Ok(files)
    }

    /// Where a node finds its configuration.
    pub fn sources(&self, index: usize) -> Sources {
        Sources {
            file: Some(self.path(&format!("{}.toml", name(index)))),
            ..Sources::default()
        }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.0.path(), name)
    }
}

fn users() -> Result<String, Fault> {
    let mut text = String::new();
    for number in 0..USERS {
        let hash = password::hash(PASSWORD, CHEAP, &Rng::system())?;
        text.push_str(&format!(
            "[[user]]\nname = \"user{number}\"\npassword = \"{hash}\"\n\
             attributes = {{ mail = [\"user{number}@example.org\"], shirt = {number} }}\n"
        ));
    }
    Ok(text)
}

fn config(name: &str, own: SocketAddr, seeds: &[String]) -> String {
    format!(
        "[node]\nname = \"{name}\"\n\
         [cluster]\nname = \"sim\"\nlisten = \"0.0.0.0:{PORT}\"\nadvertise = \"{own}\"\n\
         seeds = {seeds:?}\nca_file = \"authority.pem\"\ncertificate = \"{name}.pem\"\n\
         key = \"{name}.key\"\nkeyring_file = \"keyring\"\n\
         [authn.file]\npath = \"users.toml\"\n\
         [authn.throttle]\nuser_failures = 1000\naddress_failures = 100000\n\
         [services]\nfolder = \"services\"\n\
         [audit]\noutput = \"file\"\nfile = \"/dev/null\"\n"
    )
}
