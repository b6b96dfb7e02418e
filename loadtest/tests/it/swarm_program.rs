//! `swarm` and `trials` as programs: bad input, exit codes, files that cannot be written, Ctrl-C.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use castor_loadtest::run::{Cell, Ended, Run, Series};

use crate::fake_cas::Sin;
use crate::setup::Setup;

const SMALL: [&str; 8] = [
    "--users",
    "5",
    "--minutes",
    "2",
    "--time-scale",
    "100",
    "--seed",
    "7",
];

fn program(command: &str, cluster: &Path, more: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_castor-loadtest"));
    program
        .arg(command)
        .arg("--cluster")
        .arg(cluster)
        .args(more);
    program
}

async fn finish(mut program: Command) -> Output {
    tokio::task::spawn_blocking(move || program.output().unwrap())
        .await
        .unwrap()
}

/// Runs it; exit code and standard error.
async fn swarm(cluster: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = finish(program("swarm", cluster, &[&SMALL, more].concat())).await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), says)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_leaves_record_and_history_and_its_exit_code_judges() {
    for (sin, code) in [(None, 0), (Some(Sin::WrongUser), 1)] {
        let setup = Setup::new(sin.as_slice()).await;
        let record = setup.folder.path().join("new/run.json");
        let history = setup.folder.path().join("history.jsonl");
        let files = ["--json", &text(&record), "--history", &text(&history)];
        let (got, says) = swarm(&setup.cluster, &files).await;
        assert_eq!(got, Some(code), "{says}");
        let run = Run::read(&record).unwrap();
        assert_eq!((run.seed, run.ended), (7, Ended::Whole));
        assert_eq!(run.verdict.passed(), code == 0);
        for (panel, name) in [("latency", "validate slowest"), ("replication lag", "aaaa")] {
            let of = |one: &&Series| one.name == name && one.panel.as_deref() == Some(panel);
            let series = run.series.iter().find(of);
            assert!(series.is_some_and(|one| !one.points.is_empty()), "{name}");
        }
        let quarters = run
            .tables
            .iter()
            .find(|table| table.title.starts_with("Whether it stays"));
        assert_eq!(quarters.map(|table| table.rows.len()), Some(4));
        let drift = run
            .figures
            .iter()
            .find(|figure| figure.name == "drift_of_validate_p50");
        assert!(drift.is_none(), "of so few answers: {drift:?}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_castor-loadtest"));
        check.arg("check").arg(&history);
        assert_eq!(finish(check).await.status.code(), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_told_when_there_are_answers_enough() {
    let setup = Setup::new(&[]).await;
    let record = setup.folder.path().join("run.json");
    let more = [
        "--users",
        "40",
        "--minutes",
        "4",
        "--time-scale",
        "40",
        "--json",
        &text(&record),
    ];
    let output = finish(program("swarm", &setup.cluster, &more)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let run = Run::read(&record).unwrap();
    let figure = |name: &str| {
        let found = run.figures.iter().find(|figure| figure.name == name);
        found.map(|figure| figure.value)
    };
    for name in ["drift_of_validate_p50", "drift_of_validate_p99"] {
        assert!(figure(name).is_some_and(|drift| drift > 0.0), "{run:?}");
    }
    // What passwords cost stands beside the rest, and both are all.
    for [all, hashing, rest] in [
        [
            "cpu_of_nodes",
            "cpu_of_password_hashing",
            "cpu_without_hashing",
        ],
        [
            "core_share_of_population_time",
            "core_share_of_hashing",
            "core_share_without_hashing",
        ],
    ] {
        let [all, hashing, rest] = [all, hashing, rest].map(|name| figure(name).unwrap());
        assert!(hashing > 0.0 && rest > 0.0, "{hashing} {rest}");
        assert!(
            (hashing + rest - all).abs() < 1e-6,
            "{hashing} {rest} {all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_targets_are_named_before_anybody_hatches() {
    for (sin, word) in [
        (Sin::Broken, "500"),
        (Sin::NoForm, "no form"),
        (Sin::PostsElsewhere, "another server"),
    ] {
        let setup = Setup::new(&[sin]).await;
        let (code, says) = swarm(&setup.cluster, &[]).await;
        assert_eq!(code, Some(3), "{says}");
        assert!(says.contains(word), "{says}");
    }
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cas", free.local_addr().unwrap());
    drop(free);
    let (code, says) = swarm(&setup.cluster, &["--url", &url]).await;
    assert_eq!(code, Some(3), "{says}");
    assert!(
        says.contains("no connection") && says.contains(&url),
        "{says}"
    );

    let (code, says) = swarm(&setup.cluster, &["--url", "https://192.0.2.1/cas"]).await;
    assert_eq!(code, Some(2), "{says}");
    assert!(says.contains("--i-own-this-target"), "{says}");

    for more in [
        ["--scenario", "nonsense"],
        ["--accounts", "/nonexistent/accounts.toml"],
        ["--time-scale", "0"],
        ["--replay", "2"],
    ] {
        let (code, says) = swarm(&setup.cluster, &more).await;
        assert_eq!(code, Some(2), "{more:?}: {says}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scenario_needs_is_missed_before_anybody_hatches() {
    let day = ["--scenario", "new_school", "--time-scale", "10000"];
    for (sin, more, words) in [
        (Sin::NoServices, &SMALL[..], ["403", "--service"]),
        (Sin::NoRest, &day, ["404", "http.rest = true"]),
        (
            Sin::RefusesNobody,
            &day,
            ["was not refused", "--refused-service"],
        ),
    ] {
        let setup = Setup::new(&[sin]).await;
        let output = finish(program("swarm", &setup.cluster, more)).await;
        let says = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{sin:?}: {says}");
        assert!(words.iter().all(|word| says.contains(word)), "{says}");
    }
    let setup = Setup::new(&[]).await;
    let accounts = setup.folder.path().join("accounts.toml");
    let table = |user: &str, password: &str| {
        format!("[[account]]\nuser = '{user}'\npassword = '{password}'\n")
    };
    let known = table(crate::fake_cas::USER, crate::fake_cas::PASSWORD);
    let others = table("stranger", "secret-1") + &table("another", "secret-2");
    std::fs::write(&accounts, known + &others).unwrap();
    let (code, says) = swarm(&setup.cluster, &["--accounts", &text(&accounts)]).await;
    assert_eq!(code, Some(3), "{says}");
    for word in ["2 of 3 accounts", "another: ", "stranger: ", "--accounts"] {
        assert!(says.contains(word), "{word}: {says}");
    }
    for word in ["secret", "WrongPassword", crate::fake_cas::USER] {
        assert!(!says.contains(word), "{word}: {says}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_stranger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, made.cert.pem()).unwrap();
        (made, file)
    };
    let ((served, _), (_, other)) = (authority("served.pem"), authority("other.pem"));
    let key =
        rustls_pki_types::PrivateKeyDer::try_from(served.signing_key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![served.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let url = format!("https://localhost:{port}/cas");
    let (code, says) = swarm(&setup.cluster, &["--url", &url, "--ca", &text(&other)]).await;
    assert_eq!(code, Some(3), "{says}");
    assert!(
        says.contains("not trusted") && says.contains("--ca"),
        "{says}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_leaves_a_record() {
    let setup = Setup::new(&[Sin::BreaksLater]).await;
    let record = setup.folder.path().join("run.json");
    let more = ["--minutes", "60", "--json", &text(&record)];
    let output = finish(program(
        "swarm",
        &setup.cluster,
        &[&SMALL[4..], &more].concat(),
    ))
    .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("given up"));
    let run = Run::read(&record).unwrap();
    assert!(run.ended == Ended::Interrupted && !run.verdict.failures.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_the_run_and_keeps_what_can_be_kept() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let record = setup.folder.path().join("run.json");
    let files = ["--history", "/dev/full", "--json", &text(&record)];
    let (code, says) = swarm(&setup.cluster, &files).await;
    assert_eq!(code, Some(1), "{says}");
    assert!(says.contains("/dev/full"), "{says}");
    assert!(Run::read(&record).unwrap().verdict.passed());

    let output = finish(program(
        "swarm",
        &setup.cluster,
        &[&SMALL[..], &["--json", "/dev/null/run.json"]].concat(),
    ))
    .await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{says}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("SERVICE_TICKET_CREATED"));
    let kept = says.split("the record is in ").nth(1).unwrap();
    let kept = kept.split(" instead").next().unwrap();
    assert!(Run::read(Path::new(kept)).unwrap().verdict.passed());
    std::fs::remove_file(kept).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_cleanly_and_writes_the_record() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let record = setup.folder.path().join("run.json");
    let more = [
        "--minutes",
        "6000",
        "--time-scale",
        "60",
        "--json",
        &text(&record),
    ];
    let mut child = program("swarm", &setup.cluster, &more)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let tickets = setup.folder.path().join("state/tickets");
    while std::fs::read_dir(&tickets).unwrap().count() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let killed = Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = tokio::task::spawn_blocking(move || {
        let errors = BufReader::new(child.stderr.take().unwrap());
        let says: Vec<String> = errors.lines().map_while(Result::ok).collect();
        (child.wait().unwrap(), says.join("\n"))
    });
    let (status, says) = output.await.unwrap();
    assert_eq!(status.code(), Some(0), "{says}");
    let run = Run::read(&record).unwrap();
    assert_eq!(run.ended, Ended::Interrupted);
    assert!(run.verdict.judged > 20 && run.verdict.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trials_print_both_tables_and_fail_when_the_rate_is_off() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let record = setup.folder.path().join("trials.json");
    let some = [
        "--only",
        "02,05",
        "--minutes-at-most",
        "0.5",
        "--time-scale",
        "10",
        "--seed",
        "7",
    ];
    // Half a minute is short beside the time that users take to hatch and to ask first.
    for (within, code) in [("100", 0), ("0.001", 1)] {
        let more = ["--within", within, "--json", &text(&record)];
        let output = finish(program(
            "trials",
            &setup.cluster,
            &[&some[..], &more].concat(),
        ))
        .await;
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("observed and predicted"), "{shown}");
        assert!(shown.contains("Net SSO sessions per minute"), "{shown}");
        assert!(
            shown.contains("1496.84") && shown.contains("27.4"),
            "{shown}"
        );
        let run = Run::read(&record).unwrap();
        assert_eq!(run.verdict.wrong, 0, "{:?}", run.verdict);
        assert_eq!(run.plots.len(), 2);
        let used = run
            .tables
            .iter()
            .find(|table| table.title == "What the nodes used");
        let used = used.unwrap();
        let hashing = used
            .columns
            .iter()
            .position(|column| column == "hashing, %");
        let number = |row: &Vec<Cell>| matches!(row[hashing.unwrap()], Cell::Number(_));
        assert!(used.rows.iter().all(number), "{used:?}");
    }
    let unknown = finish(program("trials", &setup.cluster, &["--only", "07"])).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}
