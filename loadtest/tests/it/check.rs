//! The checker passes an honest server and catches each sin by its own rule, over a real history of
//! real calls; and it says what is wrong with a file that is no history.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use castor_loadtest::bench::{pairs, race};
use castor_loadtest::check::verdict::Rule;
use castor_loadtest::check::{self, Limits, Verdict};
use castor_loadtest::history::{Header, Line, Phase, Recorder};
use castor_loadtest::probes::{Plan, Probes};

use crate::fake_cas::{SHORT_LIFE, Sin};
use crate::setup::{Setup, environment};

const TOLERANCE: Duration = Duration::from_millis(100);

fn limits() -> Limits {
    Limits {
        clock_tolerance: TOLERANCE,
        visible_within: Duration::from_millis(1),
        logout_within: Duration::from_millis(1),
        ..Limits::default()
    }
}

/// A server with these sins, asked by pairs, races and probes, and its history.
struct Run {
    setup: Setup,
    file: PathBuf,
}

impl Run {
    async fn new(sins: &[Sin], probing: bool) -> Self {
        let setup = Setup::with_life(sins, SHORT_LIFE).await;
        let file = setup.folder.path().join("history.jsonl");
        let mut lab = setup.lab();
        let lives = Header {
            ticket_life_ms: u64::try_from(SHORT_LIFE.as_millis()).ok(),
            ..Header::default()
        };
        let recorder = Recorder::create(&file, &lab.cluster, lives).unwrap();
        lab.history = recorder.history();
        let plan = pairs::Plan {
            count: 60,
            concurrency: 4,
            route: pairs::Route::Nodes,
            rate: Some(100.0),
            replay_every: 3,
        };
        pairs::run(&lab, &plan, environment()).await.unwrap();
        if probing {
            race::run(&lab, 20, 1, environment()).await.unwrap();
            let plan = Plan {
                per_second: 200.0,
                late_after: SHORT_LIFE + 3 * TOLERANCE,
                seed: 7,
            };
            Probes::start(&lab, plan, 60).finish().await;
        }
        recorder.close().unwrap();
        Self { setup, file }
    }

    fn check(&self) -> Verdict {
        check::run(&self.file, &limits()).unwrap()
    }
}

fn broken(verdict: &Verdict) -> BTreeSet<String> {
    let safety = verdict.safety.iter().filter(|(_, times)| **times > 0);
    let mut broken: BTreeSet<String> = safety.map(|(rule, _)| format!("{rule:?}")).collect();
    let bounded = [
        ("B1", verdict.b1.beyond),
        ("B3", verdict.b3.beyond),
        ("B4", verdict.refused()),
    ];
    let beyond = bounded.iter().filter(|(_, times)| *times > 0);
    broken.extend(beyond.map(|(name, _)| (*name).to_owned()));
    assert_eq!(verdict.passed, broken.is_empty(), "{}", verdict.text());
    broken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_history_passes() {
    let run = Run::new(&[], true).await;
    let verdict = run.check();
    assert!(broken(&verdict).is_empty(), "{}", verdict.text());
    for f in ["login", "issue", "validate", "logout"] {
        assert!(verdict.calls[f] >= 10, "{f}: {}", verdict.text());
    }
    assert_eq!(verdict.unknown, 0);
    let text = std::fs::read_to_string(&run.file).unwrap();
    assert!(
        !text.contains(&format!("p{}x", std::process::id())),
        "a whole ticket"
    );
    assert!(!text.contains("TGT-"), "a session's credential");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sin_breaks_its_own_rule_and_no_other() {
    for (sin, rule, probing) in [
        (Sin::ValidatesTwice, "S1", true),
        (Sin::WrongService, "S2", true),
        (Sin::TicketsNeverDie, "S3", true),
        (Sin::Resurrects, "S4", true),
        (Sin::IgnoresLogout, "S4", true),
        (Sin::WrongUser, "S5", true),
        (Sin::WrongAttributes, "S5", true),
        (Sin::SlowToSee, "B1", false),
        (Sin::ForgetsSessions, "B3", false),
        (Sin::RefusesLiveTickets, "B4", true),
    ] {
        let verdict = Run::new(&[sin], probing).await.check();
        let expected = BTreeSet::from([rule.to_owned()]);
        assert_eq!(broken(&verdict), expected, "{sin:?}: {}", verdict.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_no_failure() {
    let verdict = Run::new(&[Sin::Unavailable], true).await.check();
    assert!(verdict.passed && verdict.unknown > 10, "{}", verdict.text());
}

/// A history by hand: header and end are added, and the numbers.
fn write(folder: &Path, lines: &[&str]) -> PathBuf {
    let file = folder.join("by-hand.jsonl");
    let mut text = r#"{"i":1,"history":1,"about":{"doors":["n1","n2"]}}"#.to_owned();
    text.push('\n');
    for (line, number) in lines.iter().zip(2..) {
        text.push_str(&format!("{{\"i\":{number},{line}}}\n"));
    }
    text.push_str(&format!("{{\"i\":{},\"end\":true}}\n", lines.len() + 2));
    std::fs::write(&file, text).unwrap();
    file
}

const LOGIN: &str =
    r#""proc":1,"node":"n1","f":"login","in":{"user":"a"},"t0":0,"t1":1000,"out":"ok:s1""#;

fn issue(process: u32, node: &str, t0: u64, out: &str) -> String {
    format!(
        r#""proc":{process},"node":"{node}","f":"issue","in":{{"session":"s1","service":"x"}},"t0":{t0},"t1":{},"out":"{out}""#,
        t0 + 1000
    )
}

fn logout(t0: u64) -> String {
    format!(
        r#""proc":8,"node":"n1","f":"logout","in":{{"session":"s1"}},"t0":{t0},"t1":{},"out":"ok""#,
        t0 + 1000
    )
}

fn check_by_hand(lines: &[&str]) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    check::run(&write(folder.path(), lines), &Limits::default()).unwrap()
}

#[test]
fn what_was_not_looked_at_is_not_within_a_bound() {
    let second = 1_000_000;
    let json = |verdict: &Verdict| serde_json::to_value(verdict).unwrap();
    let nothing = check_by_hand(&[LOGIN]);
    for rule in ["b1", "b2", "b3"] {
        let bounded = &json(&nothing)[rule];
        assert_eq!(bounded["looked_at"], 0, "{rule}");
        assert!(bounded["within"].is_null() && bounded["longest_us"].is_null());
    }
    assert!(
        nothing
            .text()
            .contains("nothing was asked that could show it")
    );
    // A ticket, a sign-out at 2 s, then a refusal, in time, and one more ticket far too late.
    let before = issue(2, "n1", second, "ok:t1");
    let out = logout(2 * second);
    let knew = issue(2, "n1", 3 * second, "fail:form");
    let asked = json(&check_by_hand(&[LOGIN, &before, &out, &knew]));
    let expect =
        |rule: &str, looked_at: u64, within: Option<u64>, beyond: u64, seen: &serde_json::Value| {
            let of = &seen[rule];
            assert_eq!(of["looked_at"], looked_at, "{rule}: {of}");
            assert_eq!(of["within"], serde_json::json!(within), "{rule}: {of}");
            assert_eq!(of["beyond"], beyond, "{rule}: {of}");
        };
    expect("b1", 1, Some(0), 0, &asked);
    expect("b2", 1, Some(0), 0, &asked);
    expect("b3", 1, None, 0, &asked);
    let late = issue(2, "n2", 9 * second, "ok:t2");
    let late = json(&check_by_hand(&[LOGIN, &before, &out, &late]));
    expect("b2", 1, Some(0), 1, &late);
}

#[test]
fn a_fault_excuses_what_it_can_have_caused_and_no_more() {
    let second = 1_000_000;
    let begin = r#""nemesis":"cut n2","phase":"begin","t":1500000"#;
    let end = r#""nemesis":"cut n2","phase":"end","t":4000000"#;
    // Signed out at 2 s; n2, cut off, still gives a ticket at 3 s, and at 10 s.
    let out = logout(2 * second);
    let cut_off = issue(2, "n2", 3 * second, "ok:t1");
    let healed = issue(2, "n2", 10 * second, "ok:t2");
    let excused = check_by_hand(&[LOGIN, begin, &out, &cut_off, end]);
    assert!(
        excused.passed && excused.b2.within == Some(1),
        "{}",
        excused.text()
    );
    let late = check_by_hand(&[LOGIN, begin, &out, &cut_off, end, &healed]);
    assert_eq!(late.broken_times(Rule::S4), 1, "{}", late.text());
    // What n2 itself refused it may never give again, cut off or not.
    let knew = issue(2, "n2", 2 * second + 500_000, "fail:form");
    let back = check_by_hand(&[LOGIN, begin, &out, &knew, &cut_off, end]);
    assert_eq!(back.broken_times(Rule::S4), 1, "{}", back.text());
    // Whether a sign-out without an answer was done, a refusal in a fault does not tell: the node may have begun
    // alone, without any session. One without a fault does.
    let unanswered = out.replace(r#""t1":2001000,"out":"ok""#, r#""out":"unknown""#);
    assert_ne!(unanswered, out);
    let lines = [LOGIN, begin, &unanswered, &knew, &cut_off, end];
    let cold = check_by_hand(&lines);
    assert!(cold.passed, "{}", cold.text());
    let told = check_by_hand(&[LOGIN, &unanswered, &knew, &cut_off]);
    assert_eq!(told.broken_times(Rule::S4), 1, "{}", told.text());
    // A ticket refused in a fault is counted with it, and bounded apart.
    let ticket = issue(2, "n1", 2 * second, "ok:t3");
    let refused = r#""proc":4,"node":"n2","f":"validate","in":{"ticket":"t3","service":"x"},"t0":2100000,"t1":2200000,"out":"fail:INVALID_TICKET""#;
    let lines = [LOGIN, begin, ticket.as_str(), refused, end];
    let verdict = check_by_hand(&lines);
    assert_eq!(verdict.b4["cut n2"].refused, 1, "{}", verdict.text());
    assert!(!verdict.passed);
    let folder = tempfile::tempdir().unwrap();
    let forgiving = Limits {
        refused_max: 1,
        ..Limits::default()
    };
    assert!(
        check::run(&write(folder.path(), &lines), &forgiving)
            .unwrap()
            .passed
    );
}

#[test]
fn a_bad_line_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let says = |file: &Path, limits: &Limits| check::run(file, limits).unwrap_err().to_string();
    let limits = Limits::default();
    let orphan = issue(2, "n1", 5, "ok:t1");
    let unknown = r#""proc":2,"node":"n1","f":"probe","t0":5,"out":"unknown""#;
    let again = r#""proc":2,"node":"n1","f":"probe","t0":9,"t1":10,"out":"ok""#;
    let overlap = r#""proc":1,"node":"n1","f":"probe","t0":9,"t1":10,"out":"ok""#;
    let ends = r#""nemesis":"cut","phase":"end","t":5"#;
    for (lines, line, what) in [
        (vec![orphan.as_str()], 2, "sign-in is not in the history"),
        (vec![LOGIN, unknown, again], 4, "process 2 calls again"),
        (vec![LOGIN, overlap], 3, "before its last call ended"),
        (vec![LOGIN, LOGIN], 3, "was signed in before"),
        (vec![ends], 2, "ends without having begun"),
        (vec![LOGIN, "\"f\":\"jump\""], 3, "\"f\" is \"jump\""),
    ] {
        let file = write(folder.path(), &lines);
        let error = says(&file, &limits);
        let place = format!("{}:{line}: ", file.display());
        assert!(error.starts_with(&place) && error.contains(what), "{error}");
    }
    let file = write(folder.path(), &[LOGIN, again]);
    let text = std::fs::read_to_string(&file).unwrap();
    let tell = |text: &str| {
        std::fs::write(&file, text).unwrap();
        says(&file, &limits)
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(tell(&text[..text.len() - 15]).contains(":4: the file ends within"));
    assert!(tell(&format!("{}\n", lines[..3].join("\n"))).contains("without its last line"));
    assert!(
        tell(&format!("{}\n{}\n{}\n", lines[0], lines[2], lines[3])).contains("lines are missing")
    );
    assert!(tell(&lines[1].repeat(900)).contains("longer than"));
    assert!(tell("").contains("empty"));
    let few = Limits {
        entries_max: 0,
        ..Limits::default()
    };
    assert!(says(&write(folder.path(), &[LOGIN]), &few).contains("--entries-max"));
    assert!(says(&folder.path().join("none"), &limits).contains("none"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_says_when_it_could_not_write() {
    let run = Run::new(&[], false).await;
    let lab = run.setup.lab();
    let recorder = Recorder::create(Path::new("/dev/full"), &lab.cluster, Header::default());
    let recorder = recorder.unwrap();
    recorder.history().nemesis("none", Phase::Begin);
    let error = format!("{:#}", recorder.close().unwrap_err());
    assert!(error.contains("/dev/full"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let run = Run::new(&[], false).await;
    let lab = run.setup.lab();
    let file = run.setup.folder.path().join("many.jsonl");
    let recorder = Recorder::create(&file, &lab.cluster, Header::default()).unwrap();
    let history = recorder.history();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let history = history.clone();
            std::thread::spawn(move || {
                for _ in 0..100_000 {
                    history.nemesis("x", Phase::Begin);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let written = recorder.close().unwrap();
    assert_eq!(written.lines, 400_002);
    assert!(written.stalls > 0, "{written:?}: the queue was never full");
    let text = std::fs::read_to_string(&file).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(Line::read(last).unwrap(), (400_002, Line::End));
}
