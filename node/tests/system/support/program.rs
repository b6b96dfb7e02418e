//! An application that somebody else wrote, as a process of its own.
//!
//! Promises: `start` returns when it takes connections; dropping it ends it with all its children,
//! also after a failure, and then prints what it wrote.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::wait;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Where the test's own files of a client are.
pub(crate) fn client_file(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/clients");
    tests.join(name)
}

/// What `.ci/packages test` installs below `target/`; fails when it is not there.
pub(crate) fn installed(path: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let file = target.join(path);
    let shown = file.display();
    assert!(
        file.exists(),
        "{shown} is not there; .ci/packages test makes it"
    );
    file
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let place = TcpListener::bind("127.0.0.1:0").expect("a free port");
    place.local_addr().expect("an address").port()
}

/// A running application.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` and waits until it listens on `port` of loopback; what it writes goes into `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Path, port: u16) -> Self {
        let log = folder.join("output.log");
        let output = File::create(&log).expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Its own group, so that its children can be ended with it.
        let child = command.process_group(0).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{command:?}: {error}; .ci/packages test installs it");
        });
        let mut program = Self { child, log };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ended = wait::until("it listens", START_LIMIT, || {
            let ended = program.child.try_wait().expect("a child can be waited for");
            let listens = TcpStream::connect(address).is_ok();
            (listens || ended.is_some()).then_some(ended)
        });
        assert!(ended.is_none(), "{command:?} ended: {ended:?}");
        program
    }

    fn signal_group(&self, name: &str) {
        // Fails when it has ended, which is what is wanted.
        let _ = Command::new("kill")
            .args([&format!("-{name}"), "--", &format!("-{}", self.child.id())])
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal_group("TERM");
        let child = &mut self.child;
        wait::poll(STOP_LIMIT, || child.try_wait().ok().flatten());
        self.signal_group("KILL");
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- {}\n{text}", self.log.display());
        }
    }
}
