//! A house of certificates and files, nodes as processes, and the smallest of HTTP clients.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castor_node::clock::monotonic;

/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const PASSWORD: &str = "secret horse";

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The lines that the command itself wrote, without log lines.
    pub(crate) fn errors(&self) -> Vec<String> {
        let own = |line: &str| line.strip_prefix("castor: ").map(str::to_owned);
        self.err.lines().filter_map(own).collect()
    }
}

pub(crate) fn castor(args: &[&str]) -> Said {
    castor_with_input(args, "")
}

pub(crate) fn castor_with_input(args: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_castor"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that ends without reading closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with an authority, users and definitions.
pub(crate) struct House {
    dir: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let made = castor(&[
            "pki",
            "init",
            "--cluster",
            "test",
            "--dir",
            &house.shown("pki"),
        ]);
        assert_eq!(made.code, 0, "{}", made.err);
        let hash = castor_with_input(&["password", "hash"], PASSWORD).out;
        let users = format!(
            "[[user]]\nname = \"casuser\"\npassword = \"{}\"\n",
            hash.trim()
        );
        house.write("users.toml", &users);
        std::fs::create_dir(house.at("services")).unwrap();
        house
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn shown(&self, path: &str) -> String {
        self.at(path).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.at(path), text).unwrap();
    }

    /// A node that can be started; its certificate is issued the first time.
    pub(crate) fn node(&self, name: &str) -> Plan {
        let folder = self.shown(name);
        if !self.at(name).exists() {
            let pki = self.shown("pki");
            let made = castor(&["pki", "issue", name, "--dir", &pki, "--out", &folder]);
            assert_eq!(made.code, 0, "{}", made.err);
            let text = format!(
                "[node]\nname = \"{name}\"\n\
                 [http]\nlisten = \"127.0.0.1:0\"\n\
                 [ops]\nlisten = \"127.0.0.1:0\"\nadmin_socket = \"admin.sock\"\n\
                 [cluster]\nname = \"test\"\nlisten = \"127.0.0.1:0\"\n\
                 ca_file = \"../pki/ca.pem\"\ncertificate = \"node.pem\"\nkey = \"node.key\"\n\
                 keyring_file = \"../pki/keyring\"\n\
                 [authn.file]\npath = \"../users.toml\"\n\
                 [services]\nfolder = \"../services\"\n\
                 [audit]\noutput = \"file\"\nfile = \"audit.log\"\n"
            );
            self.write(&format!("{name}/castor.toml"), &text);
        }
        Plan {
            config: format!("{folder}/castor.toml"),
            log: format!(
                "{folder}/log-{}",
                std::fs::read_dir(&folder).unwrap().count()
            ),
            set: Vec::new(),
            socket: format!("{folder}/admin.sock"),
        }
    }
}

/// A node before it is started.
pub(crate) struct Plan {
    config: String,
    log: String,
    set: Vec<String>,
    socket: String,
}

impl Plan {
    pub(crate) fn set(mut self, assignment: &str) -> Self {
        self.set.push(assignment.to_owned());
        self
    }

    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Starts with one more key set and waits for the refusal.
    pub(crate) fn refused(&self, set: &str) -> Said {
        castor(&["serve", "--config", &self.config, "--set", set])
    }

    /// Starts and waits until the listeners are bound.
    pub(crate) fn start(self) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_castor"));
        command.args(["serve", "--config", &self.config]);
        for assignment in &self.set {
            command.args(["--set", assignment]);
        }
        let log = std::fs::File::create(&self.log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut node = Node {
            child: RefCell::new(child),
            log: self.log,
            socket: self.socket,
            http: String::new(),
            ops: String::new(),
            cluster: String::new(),
        };
        node.until("listening", || node.log().contains("\"listening\""));
        let log = node.log();
        let line = log.lines().find(|line| line.contains("\"listening\""));
        let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        let address = |key: &str| line[key].as_str().unwrap().to_owned();
        (node.http, node.ops, node.cluster) = (address("http"), address("ops"), address("cluster"));
        node
    }
}

/// A node's process.
pub(crate) struct Node {
    child: RefCell<Child>,
    log: String,
    socket: String,
    pub(crate) http: String,
    pub(crate) ops: String,
    pub(crate) cluster: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.get_mut().kill();
        let _ = self.child.get_mut().wait();
    }
}

impl Node {
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the condition holds, as long as the process lives.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = monotonic();
        while !condition() {
            let ended = self.child.borrow_mut().try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < LIMIT,
                "not {what}: {ended:?}\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn until_ready(&self) {
        self.until("ready", || get(&self.ops, "/ready").0 == 200);
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.borrow().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn exit_code(&mut self) -> i32 {
        let started = monotonic();
        loop {
            if let Some(status) = self.child.get_mut().try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(started.elapsed() < LIMIT, "goes on:\n{}", self.log());
            std::thread::yield_now();
        }
    }
}

/// Code and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    ask(address, &request)
}

/// Code and body of a request with a bearer token and a JSON body.
pub(crate) fn send(address: &str, token: &str, what: &str, json: &str) -> (u16, String) {
    let request = format!(
        "{what} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
        json.len()
    );
    ask(address, &request)
}

fn ask(address: &str, request: &str) -> (u16, String) {
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    if asked.is_err() {
        return (0, String::new());
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (code.unwrap_or(0), body.to_owned())
}

/// Signs `casuser` in at a node.
pub(crate) fn sign_in(node: &Node) {
    let (_, page) = get(&node.http, "/cas/login");
    let execution = page
        .split("name=\"execution\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_else(|| panic!("no execution in {page}"));
    let form = format!(
        "username=casuser&password={}&execution={execution}&_eventId=submit",
        PASSWORD.replace(' ', "+")
    );
    let request = format!(
        "POST /cas/login HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let (code, page) = ask(&node.http, &request);
    assert_eq!(code, 200, "{page}");
}
