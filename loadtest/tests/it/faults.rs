//! Fault runs against fake nodes that are real processes: killed, stopped and started for real.
//!
//! Each node is this test binary again, running [`a_node`] with its settings; a script stands in
//! for `castor serve --config FILE`.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use castor_loadtest::check::{self, Limits, Verdict};
use castor_loadtest::faults::{Plan, kill, report::Report, stop};
use castor_loadtest::history::{Header, Recorder};
use castor_loadtest::http::{Call, Client};
use castor_loadtest::judge::Sin as Judged;
use castor_loadtest::run::Run;
use serde_json::json;

use crate::fake_cas::{PASSWORD, Settings, Sin, TICKET_LIFE, start};
use crate::setup::{environment, lab, write_cluster};

const SETTINGS: &str = "FAKE_CAS_SETTINGS";

/// Not a test: the body of a node process.
#[test]
#[ignore = "a node of the fault tests, started by them"]
fn a_node() {
    let Ok(file) = std::env::var(SETTINGS) else {
        return;
    };
    let settings = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        start(settings).await;
        std::future::pending::<()>().await;
    });
}

struct Cluster {
    folder: tempfile::TempDir,
    file: PathBuf,
    castor: PathBuf,
    children: Vec<Child>,
}

impl Cluster {
    /// Three processes and a front in this process, all over one state folder.
    async fn start(sins: &[Sin], ready_needs_peers: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let castor = folder.path().join("castor");
        let test = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\n# serve --config FILE\nexport {SETTINGS}=\"$3\"\n\
             exec {} a_node --ignored \"$3\"\n",
            test.display()
        );
        std::fs::write(&castor, script).unwrap();
        std::fs::set_permissions(&castor, std::fs::Permissions::from_mode(0o755)).unwrap();
        let addresses: Vec<SocketAddr> = {
            let held: Vec<_> = (0..3)
                .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
                .collect();
            held.iter()
                .map(|listener| listener.local_addr().unwrap())
                .collect()
        };
        let mut cluster = Self {
            file: folder.path().join("cluster.json"),
            castor,
            children: Vec::new(),
            folder,
        };
        let mut nodes = Vec::new();
        for (index, address) in addresses.iter().enumerate() {
            let peers = addresses.iter().filter(|peer| *peer != address);
            let needs: Vec<_> = peers
                .map(|peer| format!("http://{peer}/cas/login"))
                .collect();
            let settings = Settings {
                tag: format!("nod{index}"),
                address: *address,
                state: cluster.folder.path().join("state"),
                sins: sins.to_vec(),
                trusts_proxy: true,
                ready_needs: if ready_needs_peers { needs } else { Vec::new() },
                ticket_life: TICKET_LIFE,
            };
            nodes.push(cluster.node(&settings));
        }
        // The front shares the folder but not what its nodes forget: what is lost is lost at a node.
        let at_the_front = [Sin::Unavailable, Sin::NeverValidates];
        let front = start(Settings {
            tag: "ffff".into(),
            address: "127.0.0.1:0".parse().unwrap(),
            state: cluster.folder.path().join("state"),
            sins: sins
                .iter()
                .copied()
                .filter(|sin| at_the_front.contains(sin))
                .collect(),
            trusts_proxy: false,
            ready_needs: Vec::new(),
            ticket_life: TICKET_LIFE,
        })
        .await;
        write_cluster(
            &cluster.file,
            &format!("http://{front}/cas"),
            PASSWORD,
            &nodes,
        );
        wait_ready(&addresses).await;
        cluster
    }

    fn node(&mut self, settings: &Settings) -> serde_json::Value {
        let config = self.folder.path().join(format!("{}.json", settings.tag));
        std::fs::write(&config, serde_json::to_vec(settings).unwrap()).unwrap();
        let child = Command::new(&self.castor)
            .args(["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        self.children.push(child);
        json!({
            "name": settings.tag, "pid": pid, "config": config,
            "url": format!("http://{}/cas", settings.address),
            "ops_url": format!("http://{}", settings.address),
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Those started again by the run are nobody's children here; they name this folder.
        let folder = self.folder.path().display().to_string();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            let pid = entry.file_name().to_string_lossy().parse::<i32>();
            if let (true, Ok(pid)) = (command.contains(&folder), pid) {
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

async fn wait_ready(addresses: &[SocketAddr]) {
    let client = Client::new(None, Duration::from_secs(1)).unwrap();
    for address in addresses {
        let ready = async {
            while !client
                .call(Call::get(format!("http://{address}/ready")))
                .await
                .is_ok_and(|answer| answer.status == 200)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ready)
            .await
            .expect("node starts");
    }
}

fn plan(castor: &Path) -> Plan {
    Plan {
        castor: castor.to_owned(),
        sessions: 10,
        pairs_per_second: 100.0,
        sign_ins_per_second: 10.0,
        observe: Duration::from_millis(300),
        ready_within: Duration::from_secs(20),
        seed: 7,
    }
}

/// The report, and what the checker says of the same run.
async fn kill_with_history(cluster: &Cluster) -> (Report, Verdict) {
    let file = cluster.folder.path().join("history.jsonl");
    let mut lab = lab(&cluster.file);
    let recorder = Recorder::create(&file, &lab.cluster, Header::default()).unwrap();
    lab.history = recorder.history();
    let plan = plan(&cluster.castor);
    let report = kill::run(&lab, &plan, environment()).await.unwrap();
    recorder.close().unwrap();
    let limits = Limits {
        healed_within: Duration::from_millis(100),
        visible_within: Duration::from_millis(100),
        ..Limits::default()
    };
    (report, check::run(&file, &limits).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_passes_a_cluster_that_keeps_its_sessions() {
    let cluster = Cluster::start(&[], false).await;
    let (report, verdict) = kill_with_history(&cluster).await;
    assert!(verdict.passed, "{}", verdict.text());
    assert!(
        verdict.b4.contains_key("kill -9 nod0 and nod1"),
        "{}",
        verdict.text()
    );
    let names: Vec<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
    assert!(report.passed, "{}", report.markdown());
    assert_eq!(
        names.len(),
        9,
        "calm, three times kill and start, two of three: {names:?}"
    );
    let last = &report.steps[8];
    assert_eq!(last.checked.nodes.len(), 3);
    assert!(
        last.checked.sessions > 10,
        "sign-ins of the load are checked too"
    );
    assert_eq!(report.steps[7].checked.nodes, ["nod2"]);
    let prefix = cluster.folder.path().join("reports/kill");
    report.write(&prefix).unwrap();
    let text = std::fs::read_to_string(prefix.with_extension("md")).unwrap();
    assert!(text.contains("| kill -9 nod0 and nod1 "), "{text}");
    assert_eq!(text, report.markdown());
    let record = Run::read(&prefix.with_extension("json")).unwrap();
    let marks: Vec<&str> = record.marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(marks.len(), 4, "{marks:?}");
    assert!(record.marks.iter().all(|mark| mark.until.is_some()));
    let page = std::fs::read_to_string(prefix.with_extension("html")).unwrap();
    assert!(page.contains("kill -9 nod0 and nod1</b>"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_catches_a_cluster_that_forgets() {
    let cluster = Cluster::start(&[Sin::ForgetsOnRestart], false).await;
    let (report, verdict) = kill_with_history(&cluster).await;
    // Known at one node and not at the other: not visible long after the sign-in.
    assert!(verdict.b1.beyond > 0, "{}", verdict.text());
    let safe = verdict.safety.values().all(|times| *times == 0);
    assert!(safe, "{}", verdict.text());
    assert!(!report.passed);
    assert!(
        report.steps.iter().any(|step| step.checked.lost > 0),
        "{}",
        report.markdown()
    );
    // The loss is found by the check, not by chance in the load, whose front forgets nothing.
    assert!(
        report
            .steps
            .iter()
            .all(|step| step.seen.tally.count(Judged::SessionLost) == 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_validates_nothing_fails_every_step() {
    let cluster = Cluster::start(&[Sin::NeverValidates], false).await;
    let (lab_, plan_) = (lab(&cluster.file), plan(&cluster.castor));
    let killed = kill::run(&lab_, &plan_, environment()).await.unwrap();
    let failures = |report: &Report, says: &str| {
        let of_step = |step: &castor_loadtest::faults::report::Step| {
            step.failures.iter().any(|failure| failure.contains(says))
        };
        report.steps.iter().filter(|step| of_step(step)).count()
    };
    assert!(!killed.passed);
    assert_eq!(failures(&killed, "not one pair"), 9);
    assert!(
        failures(&killed, "allowed are 0 %") >= 4,
        "{}",
        killed.markdown()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_error_in_five_is_too_much_with_and_without_a_fault() {
    let cluster = Cluster::start(&[Sin::Unavailable], false).await;
    let second = Duration::from_secs(1);
    let (lab_, plan_) = (lab(&cluster.file), plan(&cluster.castor));
    let report = stop::run(&lab_, &plan_, second, environment())
        .await
        .unwrap();
    assert!(!report.passed);
    for step in &report.steps {
        assert!(step.seen.pairs > 0 && step.failures[0].contains("allowed are 5 %"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_watches_the_readiness_of_the_others() {
    let second = Duration::from_secs(1);
    let honest = Cluster::start(&[], false).await;
    let (lab_, plan_) = (lab(&honest.file), plan(&honest.castor));
    let report = stop::run(&lab_, &plan_, second, environment())
        .await
        .unwrap();
    assert!(report.passed, "{}", report.markdown());
    // Each of the two others at least once; how often depends on how busy the machine is.
    assert!(report.steps.iter().all(|step| step.ready_probes >= 2));

    let sinner = Cluster::start(&[], true).await;
    let (lab_, plan_) = (lab(&sinner.file), plan(&sinner.castor));
    let report = stop::run(&lab_, &plan_, second, environment())
        .await
        .unwrap();
    assert!(!report.passed);
    assert!(
        report.steps.iter().all(|step| step.ready_failures > 0),
        "{}",
        report.markdown()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_somebody_else_is_never_hit() {
    let cluster = Cluster::start(&[], false).await;
    let text = std::fs::read_to_string(&cluster.file).unwrap();
    let mut wrong: serde_json::Value = serde_json::from_str(&text).unwrap();
    wrong["nodes"][0]["pid"] = json!(std::process::id());
    std::fs::write(&cluster.file, wrong.to_string()).unwrap();
    let error = kill::run(&lab(&cluster.file), &plan(&cluster.castor), environment()).await;
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("does not run"), "{error}");
}
