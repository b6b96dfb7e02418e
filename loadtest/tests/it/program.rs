//! The program itself: exit codes and what goes to which stream.

use std::process::{Command, Output};

use crate::fake_cas::Sin;
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
    assert!(!String::from_utf8_lossy(&unhealthy.stderr).contains("stale"));
}
