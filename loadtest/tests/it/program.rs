//! The program itself: exit codes and what goes to which stream.

use std::process::{Command, Output};

use crate::fake_cas::{PASSWORD, Sin};
use crate::setup::{Setup, write_cluster};

async fn run(arguments: Vec<String>) -> Output {
    tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_castor-loadtest"))
            .args(arguments)
            .output()
            .unwrap()
    })
    .await
    .unwrap()
}

fn pairs(cluster: &std::path::Path) -> Vec<String> {
    let cluster = cluster.display().to_string();
    [
        "bench",
        "pairs",
        "--json",
        "--count",
        "20",
        "--concurrency",
        "2",
        "--cluster",
        &cluster,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_code_tells_what_happened() {
    let honest = Setup::new(&[]).await;
    let output = run(pairs(&honest.cluster)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], true);
    assert_eq!(report["details"]["pairs"], 20);
    assert!(
        report["environment"]["command"]
            .as_str()
            .unwrap()
            .contains("bench pairs")
    );

    let sinner = Setup::new(&[Sin::WrongUser]).await;
    assert_eq!(run(pairs(&sinner.cluster)).await.status.code(), Some(1));

    // Any CAS server will do: one of which no operations listener is known.
    let known: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&honest.cluster).unwrap()).unwrap();
    let mut nodes = known["nodes"].as_array().unwrap().clone();
    for node in &mut nodes {
        node.as_object_mut().unwrap().remove("ops_url");
    }
    let plain = honest.folder.path().join("plain.json");
    write_cluster(&plain, known["front"].as_str().unwrap(), PASSWORD, &nodes);
    let history = honest.folder.path().join("pairs.jsonl");
    let history = history.display().to_string();
    let written = ["--history", &history].map(str::to_owned).to_vec();
    let output = run([pairs(&plain), written].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let check = ["check", history.as_str()].map(str::to_owned);
    assert_eq!(run(check.to_vec()).await.status.code(), Some(0));

    let missing = run(pairs(&honest.folder.path().join("none.json"))).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("none.json"),
        "{missing:?}"
    );

    // The server is there but the password is not right: nothing could be measured.
    let text = std::fs::read_to_string(&honest.cluster).unwrap();
    let mut cluster: serde_json::Value = serde_json::from_str(&text).unwrap();
    let nodes = cluster["nodes"].as_array_mut().unwrap().clone();
    let front = cluster["front"].as_str().unwrap();
    write_cluster(&honest.cluster, front, "stale", &nodes);
    let unhealthy = run(pairs(&honest.cluster)).await;
    assert_eq!(unhealthy.status.code(), Some(3), "{unhealthy:?}");
    let says = String::from_utf8_lossy(&unhealthy.stderr).into_owned();
    assert!(
        !says.contains("stale") && !says.contains("WrongPassword"),
        "{says}"
    );
    assert!(
        says.contains("the user name or the password is wrong"),
        "{says}"
    );

    let strict = Setup::new(&[Sin::NoServices]).await;
    let refused = run(pairs(&strict.cluster)).await;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(says.contains("--service"), "{says}");

    // A page whose form goes to somebody else gets no password.
    let thief = Setup::new(&[Sin::PostsElsewhere]).await;
    let refused = run(pairs(&thief.cluster)).await;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(says.contains("another server"), "{says}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_at_which_nothing_is_due_in_time_fails() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let cluster = setup.cluster.display().to_string();
    // The first is due before the measurement, the second after it.
    let rate = ["bench", "saturate", "--rate", "0.1", "--time", "1"];
    let rate = [rate.as_slice(), &["--cluster", &cluster]].concat();
    let output = run(rate.into_iter().map(str::to_owned).collect()).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(says.contains("nothing was measured"), "{says}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_writes_a_history_that_check_judges() {
    for (sin, code) in [(None, 0), (Some(Sin::ValidatesTwice), 1)] {
        let setup = Setup::new(sin.as_slice()).await;
        let history = setup.folder.path().join("made/race.jsonl");
        let history = history.display().to_string();
        let cluster = setup.cluster.display().to_string();
        let race = ["bench", "race", "--count", "20", "--cluster", &cluster];
        let race = [race.as_slice(), &["--history", &history]].concat();
        let raced = run(race.into_iter().map(str::to_owned).collect()).await;
        assert_eq!(raced.status.code(), Some(code), "{raced:?}");
        let check = ["check", "--json", history.as_str()].map(str::to_owned);
        let checked = run(check.to_vec()).await;
        assert_eq!(checked.status.code(), Some(code), "{checked:?}");
        let verdict: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(verdict["calls"]["validate"], 60);
        assert_eq!(verdict["safety"]["S1"].as_u64() > Some(0), code == 1);
        std::fs::write(&history, "{}\n").unwrap();
        let bad = run(check.to_vec()).await;
        assert_eq!(bad.status.code(), Some(2), "{bad:?}");
        assert!(
            String::from_utf8_lossy(&bad.stderr).contains("race.jsonl:1: "),
            "{bad:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_page_shows_the_help() {
    let page = include_str!("../../../docs/reference/loadtest.md");
    for command in [
        "check",
        "report",
        "swarm",
        "trials",
        "compare",
        "faults",
        "faults kill",
        "faults refill",
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = run(arguments.into_iter().map(str::to_owned).collect()).await;
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(
            page.contains(help.trim()),
            "docs/reference/loadtest.md lacks:\n{help}"
        );
    }
}

/// What needs no root must be refused before anything is made; the rest is `make faults`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_refuse_what_they_do_not_know() {
    let unknown = run(["faults", "nonsense"].map(str::to_owned).to_vec()).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let says = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        says.contains("nonsense") && says.contains("isolate"),
        "{says}"
    );
    let none = run(vec!["faults".to_owned()]).await;
    assert_eq!(none.status.code(), Some(2), "{none:?}");
}

/// What it measures needs real clusters (`make bench-growth`); one that does not come up must be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_come_up_is_told_with_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let growth = |program: &std::path::Path| {
        let mut arguments = ["bench", "growth", "--nodes", "3", "--castor"]
            .map(str::to_owned)
            .to_vec();
        arguments.push(program.display().to_string());
        arguments.push("--folder".to_owned());
        arguments.push(folder.path().join("growth").display().to_string());
        arguments
    };
    let output = run(growth(&folder.path().join("none"))).await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && says.contains("cannot start"),
        "{says}"
    );
    // It ends without a cluster, and says what it was asked for.
    let output = run(growth(std::path::Path::new("/bin/echo"))).await;
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{says}");
    assert!(says.contains("3 nodes did not come up"), "{says}");
    assert!(says.contains("--nodes 3"), "{says}");
    let left = std::fs::read_dir(folder.path().join("growth")).map(Iterator::count);
    assert_eq!(left.unwrap_or(0), 0, "the folders are gone");
}
