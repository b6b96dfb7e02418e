//! What Castor refuses to start with: one line that names file, key and remedy, and an exit code.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::demo::{Demo, castor};

/// A node's configuration of a stopped demo, changed; in the same folder, so that paths stay true.
fn changed(demo: &Demo, change: impl Fn(&str) -> String) -> PathBuf {
    let original = &demo.cluster.nodes[0].config;
    let text = fs::read_to_string(original).expect("the node's configuration");
    let different = change(&text);
    assert_ne!(text, different, "the change changed nothing");
    let path = original.with_file_name("changed.toml");
    fs::write(&path, different).expect("a writable folder");
    path
}

fn serve(config: &Path) -> Output {
    castor()
        .args(["serve", "--config"])
        .arg(config)
        .output()
        .expect("castor runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The line number of the first line that contains `text`.
fn line_of(path: &Path, text: &str) -> usize {
    let content = fs::read_to_string(path).expect("the changed configuration");
    1 + content
        .lines()
        .position(|l| l.contains(text))
        .expect("the changed line")
}

#[test]
fn configuration_that_cannot_work_is_refused_before_anything_is_bound() {
    let mut demo = Demo::start();
    demo.interrupt();

    let unknown = changed(&demo, |text| {
        text.replacen("[http]", "[http]\nlisten_on = \"x\"", 1)
    });
    let output = serve(&unknown);
    let line = line_of(&unknown, "listen_on");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let message = said(&output);
    let place = format!("changed.toml:{line}");
    assert!(message.contains(&place), "no {place} in {message}");
    assert!(
        message.contains("listen_on") && message.contains("http.listen"),
        "{message}"
    );
    let check = castor()
        .args(["config", "check", "--config"])
        .arg(&unknown)
        .output();
    assert_eq!(check.expect("castor runs").status.code(), Some(2));

    let plain = castor()
        .args(["serve", "--config"])
        .arg(&demo.cluster.nodes[0].config)
        .args(["--set", "http.listen=0.0.0.0:0"])
        .output()
        .expect("castor runs");
    assert_eq!(plain.status.code(), Some(2), "{}", said(&plain));
    assert!(
        said(&plain).contains("http.tls.certificate"),
        "{}",
        said(&plain)
    );

    let missing = castor()
        .args(["serve", "--config"])
        .arg(&demo.cluster.nodes[0].config)
        .args(["--set", "cluster.key=/nonexistent/node.key"])
        .output()
        .expect("castor runs");
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    assert!(
        said(&missing).contains("/nonexistent/node.key"),
        "{}",
        said(&missing)
    );
}

#[test]
fn a_port_in_use_is_named() {
    let mut demo = Demo::start();
    demo.interrupt();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address");
    let output = castor()
        .args(["serve", "--config"])
        .arg(&demo.cluster.nodes[0].config)
        .args(["--set", &format!("http.listen={address}")])
        .output()
        .expect("castor runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains(&address.to_string()),
        "{}",
        said(&output)
    );
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let output = castor()
        .arg("no-such-command")
        .output()
        .expect("castor runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}
