//! The load of `bench saturate` passes an honest server, catches each sin by its own rule, and counts
//! what it does; `bench ceiling` compares with a server that gives the same answers.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use castor_loadtest::bench::load::target::{Target, Way};
use castor_loadtest::bench::load::{self, Measured, Operation, Plan};
use castor_loadtest::clock;
use castor_loadtest::judge::Sin as Verdict;
use castor_loadtest::lab::Lab;
use castor_loadtest::stop::Stop;

use crate::fake_cas::Sin;
use crate::setup::Setup;

fn plan(operation: Operation, rate: Option<f64>) -> Plan {
    Plan {
        operation,
        connections: 3,
        rate,
        warm: Duration::ZERO,
        time: Duration::from_millis(400),
        replay_every: 3,
        progress: None,
    }
}

async fn measured(sins: &[Sin], operation: Operation, way: Way, rate: Option<f64>) -> Measured {
    let setup = Setup::new(sins).await;
    let lab = setup.lab();
    let target: Arc<Target> = Target::cluster(&lab, way, 3).await.unwrap();
    let plan = plan(operation, rate);
    load::run(&target, &plan, &Stop::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_server_passes_every_operation() {
    for operation in [
        Operation::Issue,
        Operation::Validate,
        Operation::Pair,
        Operation::Login,
        Operation::Logout,
    ] {
        for way in [Way::Front, Way::Nodes] {
            // A starved machine lets tickets grow old; that is no sin of the server.
            let honest = [Sin::TicketsNeverDie];
            let measured = measured(&honest, operation, way, None).await;
            assert_eq!(measured.tally.wrong(), 0, "{:?}", measured.tally);
            assert!(measured.operations > 0, "{operation:?} {way:?}");
            assert!(measured.whole.count() >= measured.operations);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sin_is_caught_by_its_rule() {
    for (sin, verdict) in [
        (Sin::ValidatesTwice, Verdict::ValidatedTwice),
        (Sin::WrongUser, Verdict::WrongUser),
        (Sin::RefusesLiveTickets, Verdict::Refused),
        (Sin::IssuesTwice, Verdict::IssuedTwice),
        (Sin::LosesSessions, Verdict::SessionLost),
        (Sin::WrongAttributes, Verdict::WrongAttributes),
        (Sin::SilentFailure, Verdict::Malformed),
        (Sin::NoNamespace, Verdict::Malformed),
        (Sin::Unavailable, Verdict::Unavailable),
    ] {
        let measured = measured(&[sin], Operation::Pair, Way::Nodes, None).await;
        let count = measured.tally.count(verdict);
        assert!(count > 0, "{sin:?}: {:?}", measured.tally);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_rate_as_many_are_done_as_are_due() {
    let honest = [Sin::TicketsNeverDie];
    let measured = measured(&honest, Operation::Pair, Way::Front, Some(50.0)).await;
    assert_eq!(measured.tally.wrong(), 0, "{:?}", measured.tally);
    // 20 are due within 400 ms; on a busy machine many are answered later.
    assert!(
        (1..=20).contains(&measured.operations),
        "{}",
        measured.operations
    );
    assert_eq!(measured.whole.count(), 20);
}

/// A load of one connection with a time-out of its own.
async fn alone(sin: Sin, plan: Plan, patience: Duration, stop: &Stop) -> Measured {
    let setup = Setup::new(&[sin, Sin::TicketsNeverDie]).await;
    let service = "http://127.0.0.1/app{n}";
    let lab = Lab::open(&setup.cluster, patience, service, 1).unwrap();
    let target = Target::cluster(&lab, Way::Front, 1).await.unwrap();
    load::run(&target, &plan, stop).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_and_waited_counts_as_long_as_it_waited() {
    let mut slow = plan(Operation::Pair, Some(50.0));
    slow.connections = 1;
    let patience = Duration::from_secs(20);
    let measured = alone(Sin::SlowValidations, slow.clone(), patience, &Stop::new()).await;
    assert_eq!(measured.tally.wrong(), 0, "{:?}", measured.tally);
    // 20 are due within 400 ms, and each takes at least 150 ms of the one connection.
    assert_eq!(
        (measured.whole.count(), measured.validate.count()),
        (20, 20)
    );
    assert!(measured.unsent >= 17 && measured.asked.count() <= 3);
    assert_eq!(measured.unsent + measured.asked.count(), 20);
    let patience = Duration::from_secs(1);
    let measured = alone(Sin::Hangs, slow, patience, &Stop::new()).await;
    assert_eq!(measured.validate.count(), 20);
    assert!(measured.tally.count(Verdict::Unanswered) > 0 || measured.unsent == 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_holds_no_load_up() {
    for rate in [None, Some(50.0)] {
        let plan = plan(Operation::Validate, rate);
        let patience = Duration::from_secs(1);
        let measured = alone(Sin::Hangs, plan.clone(), patience, &Stop::new()).await;
        assert_eq!(measured.operations, 0);
        assert!(measured.tally.count(Verdict::Unanswered) > 0, "{rate:?}");
        // Whoever ends the run does not wait for an answer.
        let stop = Stop::new();
        let patience = Duration::from_secs(600);
        let load = alone(Sin::Hangs, plan, patience, &stop);
        let (measured, ()) = tokio::join!(load, async {
            clock::pause(Duration::from_millis(100)).await;
            stop.set();
        });
        assert_eq!(measured.operations, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_outs_are_measured_without_the_sign_ins_before_them() {
    let began = clock::monotonic();
    let measured = measured(&[], Operation::Logout, Way::Front, None).await;
    let all = clock::monotonic().duration_since(began);
    assert_eq!(measured.tally.wrong(), 0, "{:?}", measured.tally);
    assert!(measured.operations > 0);
    // Two rounds of sign-ins take a second and a half each.
    assert!(measured.seconds + 3.0 <= all.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_compared_with_constant_answers() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let record = setup.folder.path().join("record.json");
    let theirs = setup.folder.path().join("constant/letter");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, "dear").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_castor-loadtest"));
    command
        .args([
            "bench",
            "ceiling",
            "--time",
            "1",
            "--rounds",
            "1",
            "--connections",
            "2",
        ])
        .arg("--cluster")
        .arg(&setup.cluster)
        .arg("--folder")
        .arg(setup.folder.path().join("constant"))
        .arg("--json")
        .arg(&record);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{says}{errors}");
    for name in ["issue_of_bare_axum: ", "validate_of_bare_axum: "] {
        let line = says.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {says}"));
        let ratio: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(line.contains(" ratio ") && ratio > 0.0, "{line}");
    }
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    assert_eq!(record["kind"], "bench");
    assert_eq!(record["verdict"]["wrong"], 0);
    let folder = std::fs::read_dir(setup.folder.path().join("constant")).unwrap();
    let left: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [theirs], "what was there before stays, nothing else");
}

/// Runs the program; exit code and everything it says.
async fn program(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castor-loadtest"));
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Of a server of which only URL and accounts are known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_server_is_saturated_and_its_history_is_judged() {
    let cases = [
        (&[Sin::TicketsNeverDie][..], "pair", 0),
        (&[Sin::TicketsNeverDie], "issue", 0),
        (&[Sin::TicketsNeverDie], "validate", 0),
        (&[Sin::TicketsNeverDie], "logout", 0),
        (&[Sin::ValidatesTwice], "pair", 1),
    ];
    for (sins, operation, code) in cases {
        let setup = Setup::new(sins).await;
        let path = |name: &str| setup.folder.path().join(name).display().to_string();
        let (history, accounts) = (path("saturate.jsonl"), path("accounts.toml"));
        let (user, password) = (crate::fake_cas::USER, crate::fake_cas::PASSWORD);
        let account = format!("[[account]]\nuser = '{user}'\npassword = '{password}'\n");
        std::fs::write(&accounts, account).unwrap();
        let front = setup.lab().cluster.front.clone();
        let bench = ["bench", "saturate", "--operation", operation, "--time", "1"];
        let rate = ["--rate", "30", "--connections", "3", "--replay-every", "5"];
        let server = ["--url", &front, "--accounts", &accounts];
        let files = ["--history", &history];
        let (got, says) = program(&[&bench[..], &rate, &server, &files].concat()).await;
        assert_eq!(got, Some(code), "{operation}: {says}");
        let (checked, verdict) = program(&["check", "--json", &history]).await;
        assert_eq!(checked, Some(code), "{operation}: {verdict}");
        let verdict: serde_json::Value = serde_json::from_str(&verdict).unwrap();
        let call = if operation == "pair" {
            "validate"
        } else {
            operation
        };
        assert!(verdict["calls"][call].as_u64() > Some(20), "{verdict}");
        assert_eq!(verdict["safety"]["S1"].as_u64() > Some(0), code == 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_asked_is_wrong_usage() {
    let setup = Setup::new(&[]).await;
    let front = setup.lab().cluster.front.clone();
    let cluster = setup.cluster.display().to_string();
    for (more, word) in [
        (&["--url", &front][..], "--accounts"),
        (&["--url", &front, "--nodes"], "--nodes"),
        (
            &["--url", "https://192.0.2.1/cas", "--cluster", &cluster],
            "--i-own-this-target",
        ),
    ] {
        let (code, says) = program(&[&["bench", "saturate"], more].concat()).await;
        assert_eq!(code, Some(2), "{says}");
        assert!(says.contains(word), "{says}");
    }
}
