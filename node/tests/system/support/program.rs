//! An application that somebody else wrote, as a process of its own.
//!
//! Promises: `start` returns when it takes connections; dropping it ends it with all its children,
//! also after a failure, and then prints what it wrote. When the tests are interrupted it ends, too.

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

/// Ports that nobody listens on now, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let places = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    places.map(|place| place.local_addr().expect("an address").port())
}

/// Runs the test's own script to its end, or ends it after two minutes.
pub(crate) fn bounded(program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg("120").arg(program).stdin(Stdio::null());
    command
}

/// A running application.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` and waits until it listens on `port` of loopback; what it writes goes into `folder`.
    pub(crate) fn start(command: &Command, folder: &Path, port: u16) -> Self {
        // Nobody is dropped when Ctrl-C ends the tests: then the kernel ends it.
        let mut bound = Command::new("setpriv");
        bound
            .args(["--pdeathsig", "TERM", "--"])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            bound.env(name, value.unwrap_or_default());
        }
        let log = folder.join("output.log");
        let output = File::create(&log).expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log");
        bound.stdin(Stdio::null()).stdout(output).stderr(errors);
        // Its own group, so that its children can be ended with it.
        let child = bound.process_group(0).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{bound:?}: {error}; .ci/packages test installs it");
        });
        let mut program = Self { child, log };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ended = wait::until("it listens", START_LIMIT, || {
            let ended = program.child.try_wait().expect("a child can be waited for");
            let listens = TcpStream::connect(address).is_ok();
            (listens || ended.is_some()).then_some(ended)
        });
        assert!(
            ended.is_none(),
            "{bound:?} ended: {ended:?}; .ci/packages test installs what it needs"
        );
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
