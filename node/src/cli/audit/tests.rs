//! Files as nodes write them, counted and followed.

use std::io::Write as _;

use super::*;
use lines::Line;

const DAY: &str = "2018-10-01";

fn line(action: &str, when: &str, node: &str) -> String {
    format!(
        r#"{{"who":"jane","what":"ST-12-*****aaa","action":"{action}","application":"CAS","when":"{when}","clientIpAddress":"198.51.100.7","serverIpAddress":"192.0.2.1","node":"{node}"}}"#
    )
}

fn tally(from: &str, to: &str, nodes: &[&str]) -> Tally {
    let nodes: Vec<String> = nodes.iter().map(|n| (*n).to_owned()).collect();
    Tally::new(Interval::parse(from, to).unwrap(), &nodes).unwrap()
}

fn take(tally: &mut Tally, line: &str) {
    tally.line(Line::Whole(line.as_bytes()));
}

#[test]
fn intervals_are_whole_days_or_moments() {
    let days = |from, to| Interval::parse(from, to).map(Interval::days);
    for (from, to, expected) in [
        (DAY, DAY, "1"),
        (DAY, "2018-10-15", "15"),
        ("2018-10-01T00:00:00Z", "2018-10-15", "15"),
        ("2018-10-01T08:00:00Z", "2018-10-01T20:00:00Z", "0.5"),
        ("2018-10-01T02:00:00+02:00", DAY, "1"),
    ] {
        assert_eq!(days(from, to).unwrap(), expected, "{from} {to}");
    }
    for (from, to) in [
        ("2018-10-02", DAY),
        ("2018-13-01", "2018-13-02"),
        ("yesterday", DAY),
        ("", ""),
        ("2018-10-01T08:00:00Z", "2018-10-01T08:00:00Z"),
        (DAY, "+009999-12-31"),
        ("9999-12-31", "9999-12-31"),
    ] {
        assert!(days(from, to).is_err(), "{from} {to}");
    }
    let interval = Interval::parse(DAY, DAY).unwrap();
    let noon = interval.from_ms + 12 * 3_600_000;
    let (half, cut) = interval.until(noon);
    assert_eq!((half.unwrap().days().as_str(), cut), ("0.5", true));
    assert_eq!(interval.until(i64::MAX), (Some(interval), false));
    assert_eq!(interval.until(0), (None, true));
}

/// The averages that a university published for the first half of October 2018.
const PUBLISHED: [(Action, u64, &str); 9] = [
    (Action::AuthenticationEventTriggered, 67_183, "67,183"),
    (Action::AuthenticationSuccess, 21_905, "21,905"),
    (Action::AuthenticationFailed, 2_126, "2,126"),
    (Action::ServiceTicketCreated, 32_612, "32,612"),
    (Action::ServiceTicketNotCreated, 15, "15"),
    (Action::ServiceTicketValidated, 22_224, "22,224"),
    (Action::ServiceTicketValidateFailed, 509, "509"),
    (Action::TicketGrantingTicketCreated, 21_457, "21,457"),
    (Action::TicketGrantingTicketDestroyed, 10_109, "10,109"),
];

#[test]
fn a_published_table_comes_out_as_it_was_published() {
    let mut tally = tally(DAY, "2018-10-15", &[]);
    for (action, per_day, _) in PUBLISHED {
        let at = Action::ALL.iter().position(|(a, _)| *a == action).unwrap();
        tally.totals[at] = per_day * 15;
    }
    for node in ["cas3", "cas1", "cas2"] {
        take(
            &mut tally,
            &line("SESSIONS_LISTED", "2018-10-07T01:00:00Z", node),
        );
    }
    let text = report::as_text(&tally);
    let rows: Vec<&str> = text.lines().skip(3).take(9).collect();
    for ((action, per_day, shown), row) in PUBLISHED.iter().zip(&rows) {
        assert_eq!(tally.total(*action), per_day * 15);
        assert!(row.ends_with(&format!(" {shown}")), "{row}");
    }
    assert!(rows[0].ends_with(" 1,007,745   67,183"), "{text}");
    let listed = text
        .lines()
        .find(|l| l.starts_with("Sessions Listed"))
        .unwrap();
    assert!(listed.ends_with(" 3       <1"), "{listed}");
    assert_eq!(tally.events(), 178_140 * 15 + 3);
    assert_eq!(report::warnings(&tally), Vec::<String>::new());
    let json = report::as_json(&tally);
    assert_eq!(
        json["events"][8]["name"],
        "Ticket Granting Ticket Destroyed"
    );
    assert_eq!(json["events"][8]["per_day"], 10_109.0);
    assert_eq!(json["nodes"][2]["node"], "cas3");
    assert_eq!(json["other_events"][0]["per_day"], 0.2);
}

#[test]
fn what_is_no_event_of_the_interval_is_counted_apart() {
    let good = line("AUTHENTICATION_FAILED", "2018-10-01T12:00:00Z", "cas1");
    let mut tally = tally(DAY, DAY, &[]);
    for text in [
        good.clone(),
        String::new(),
        "  ".to_owned(),
        line("AUTHENTICATION_FAILED", "2018-10-02T00:00:00Z", "cas1"),
        line("AUTHENTICATION_FAILED", "2018-09-30T23:59:59.999Z", "cas1"),
        line("SOMETHING_NEW", "2018-10-01T12:00:00Z", "cas1"),
        line("LOGOUT_FAILED", "2018-10-01T00:00:00.000Z", "cas1"),
        // From here on broken.
        good[..good.len() / 2].to_owned(),
        "[]".to_owned(),
        "\u{0}".to_owned(),
        line("AUTHENTICATION_FAILED", "noon", "cas1"),
        line("AUTHENTICATION_FAILED", "2018-10-01T12:00:00Z", "No Node"),
        r#"{"level":"INFO","message":"a line of the log"}"#.to_owned(),
    ] {
        take(&mut tally, &text);
    }
    tally.line(Line::TooLong);
    tally.line(Line::Whole(b"\xff\xfe"));
    assert_eq!((tally.events(), tally.outside, tally.broken), (3, 2, 8));
    assert_eq!(tally.unknown["SOMETHING_NEW"], 1);
    let text = report::as_text(&tally);
    assert!(text.contains(" (1 day), 1 node\n"), "{text}");
    assert!(text.contains("unknown: SOMETHING_NEW"), "{text}");
    assert!(text.contains("Logout Failed"), "{text}");
    assert!(
        text.contains("2 lines outside the interval, 8 broken"),
        "{text}"
    );
    let says = report::warnings(&tally).join("\n");
    assert_eq!(
        says,
        "8 lines are no events\n1 event has an action that is not known"
    );
}

#[test]
fn names_from_the_files_are_bounded() {
    let mut tally = tally(DAY, DAY, &[]);
    for n in 0..100 {
        let node = format!("cas{n}");
        let action = format!("NEW_{n}{}", "X".repeat(10_000));
        take(&mut tally, &line(&action, "2018-10-01T12:00:00Z", &node));
    }
    assert_eq!((tally.nodes.len(), tally.nodes_more), (64, 36));
    assert_eq!((tally.unknown.len(), tally.unknown_more), (20, 80));
    assert!(tally.unknown.keys().all(|name| name.len() <= 64));
    assert_eq!(tally.events(), 100);
    assert!(Tally::new(tally.interval, &["No Node".to_owned()]).is_err());
}

/// One event each `every_s` seconds on each node but where `silent` says so.
fn day(silent: impl Fn(&str, i64) -> bool, every_s: i64) -> Vec<String> {
    let mut tally = tally(DAY, DAY, &["cas1", "cas2", "cas3", "cas4"]);
    for n in 0..86_400 / every_s {
        let second = n * every_s;
        let when = interval::moment(tally.interval.from_ms + second * 1000);
        for node in ["cas1", "cas2", "cas3"] {
            if !silent(node, second) {
                take(&mut tally, &line("SERVICE_TICKET_CREATED", &when, node));
            }
        }
    }
    report::warnings(&tally)
}

#[test]
fn dead_nodes_are_named() {
    let hour = 3600;
    let missing = "cas4 has no lines in the interval";
    for (name, silent, every_s, expected) in [
        (
            "all there",
            Box::new(|_: &str, _| false) as Box<dyn Fn(&str, i64) -> bool>,
            30,
            vec![],
        ),
        (
            "stops",
            Box::new(move |node, s| node == "cas2" && s >= 20 * hour),
            30,
            vec!["cas2 stops at 2018-10-01T19:59:30Z while the other nodes recorded 960 events"],
        ),
        (
            "begins late",
            Box::new(move |node, s| node == "cas3" && s < hour),
            30,
            vec!["cas3 begins at 2018-10-01T01:00:00Z while the other nodes recorded 240 events"],
        ),
        (
            "a gap",
            Box::new(move |node, s| node == "cas1" && (hour..3 * hour).contains(&s)),
            30,
            vec![
                "cas1 is silent from 2018-10-01T01:00:00Z to 2018-10-01T03:00:00Z while the other nodes recorded 480 events",
            ],
        ),
        // Nothing can be said of a gap in which the others did hardly anything.
        (
            "quiet night",
            Box::new(move |node, s| node == "cas1" && (hour..3 * hour).contains(&s)),
            600,
            vec![],
        ),
    ] {
        let mut says = day(silent, every_s);
        assert_eq!(says.pop().as_deref(), Some(missing), "{name}");
        assert_eq!(says, expected, "{name}");
    }
}

fn run_report(args: &[&str]) -> Done {
    use clap::Parser as _;
    let all = ["castor", "audit", "report"].iter().chain(args);
    match super::super::Castor::try_parse_from(all).unwrap().command {
        super::super::Command::Audit(args) => run(args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reports_end_as_scripts_expect() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file(
        "a.log",
        line("AUTHENTICATION_SUCCESS", "2018-10-01T01:00:00Z", "cas1").as_bytes(),
    );
    let gzip = file("b.log.gz", &[0x1f, 0x8b, 8, 0]);
    let missing = dir.path().join("none").display().to_string();
    let folder = dir.path().display().to_string();
    let conf = |text: &str| file("castor.toml", text.as_bytes());
    let dates = ["--from", DAY, "--to", DAY];
    let report = |more: &[&str]| run_report(&[&dates, more].concat());
    report(&[&good]).unwrap();
    report(&[&good, "--json"]).unwrap();
    let named = conf(&format!(
        "[audit]\noutput=\"file\"\nfile={good:?}\n[node]\nname=\"cas1\""
    ));
    report(&["--config", &named]).unwrap();
    for wrong in [vec![gzip.as_str()], vec![&good, &good], vec![&folder]] {
        assert!(
            matches!(report(&wrong), Err(Failure::Usage(_))),
            "{wrong:?}"
        );
    }
    assert!(matches!(
        report(&[&good, &missing]),
        Err(Failure::Failed(_))
    ));
    let unnamed = conf("[node]\nname=\"cas1\"");
    assert!(matches!(
        report(&["--config", &unnamed]),
        Err(Failure::Usage(_))
    ));
    let future = run_report(&["--from", "2900-01-01", "--to", "2900-01-02", &good]);
    assert!(matches!(future, Err(Failure::Usage(_))), "{future:?}");
}

#[test]
fn events_are_shown_for_people_and_filtered() {
    let text = line("AUTHENTICATION_FAILED", "2018-10-01T12:00:00Z", "cas1");
    let filter = |actions: &[&str], who: Option<&str>| {
        let actions: Vec<String> = actions.iter().map(|a| (*a).to_owned()).collect();
        Filter::new(&actions, who.map(str::to_owned)).unwrap()
    };
    let shown = |text: &str, filter: &Filter| shown(text.as_bytes(), filter, false);
    let plain = "2018-10-01T12:00:00Z cas1 AUTHENTICATION_FAILED jane 198.51.100.7 ST-12-*****aaa";
    for (filter, taken) in [
        (filter(&[], None), true),
        (filter(&["authentication_failed"], Some("jane")), true),
        (
            filter(&["LOGOUT_FAILED", "AUTHENTICATION_FAILED"], None),
            true,
        ),
        (filter(&["LOGOUT_FAILED"], None), false),
        (filter(&[], Some("joe")), false),
    ] {
        let expected = taken.then(|| plain.to_owned());
        assert_eq!(shown(&text, &filter), expected, "{filter:?}");
    }
    let all = filter(&[], None);
    let evil = text.replace("jane", "\\u001b[2Jjane\\nroot\\u009b");
    let seen = shown(&evil, &all).unwrap();
    assert!(seen.contains("\\u{1b}[2Jjane\\nroot\\u{9b}"), "{seen}");
    assert_eq!(
        shown("no \u{7}event", &all).as_deref(),
        Some("no \\u{7}event")
    );
    assert_eq!(shown("no event", &filter(&[], Some("jane"))), None);
    assert_eq!(
        super::shown(text.as_bytes(), &all, true),
        Some(text.clone())
    );
    let steering = text.replace("jane", "\u{9b}2J\u{7f}");
    assert_eq!(
        super::shown(steering.as_bytes(), &all, true),
        Some(text.replace("jane", "\\u009b2J\\u007f"))
    );
    assert!(Filter::new(&["NONSENSE".to_owned()], None).is_err());
}

fn polled(follower: &mut Follower) -> Vec<String> {
    let mut lines = Vec::new();
    let mut take = |line: &[u8]| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok(())
    };
    follower.poll(&mut take).unwrap();
    lines
}

#[test]
fn a_file_is_followed_over_rotation_by_renaming() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    std::fs::write(&path, "one\ntwo\nthree\nfo").unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    let mut follower = Follower::open(&path, 2).unwrap();
    assert_eq!(polled(&mut follower), ["two", "three"]);
    file.write_all(b"ur\nfive\n").unwrap();
    assert_eq!(polled(&mut follower), ["four", "five"]);
    std::fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
    file.write_all(b"six\n").unwrap();
    assert_eq!(polled(&mut follower), ["six"]);
    file.write_all(b"seven\n").unwrap();
    std::fs::write(&path, "eight\n").unwrap();
    assert_eq!(polled(&mut follower), ["seven", "eight"]);
    // Cut and written anew in place.
    std::fs::write(&path, "9\n").unwrap();
    assert_eq!(polled(&mut follower), ["9"]);
    let long = format!("{}\nten\n", "x".repeat(lines::LINE_MAX + 1));
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(long.as_bytes())
        .unwrap();
    assert_eq!(polled(&mut follower), ["ten"]);
    for (lines, expected) in [(0, vec![]), (1, vec!["ten"])] {
        assert_eq!(polled(&mut Follower::open(&path, lines).unwrap()), expected);
    }
    assert!(Follower::open(&dir.path().join("none"), 1).is_err());
}

#[test]
fn waiting_ends_when_the_file_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    std::fs::write(&path, "").unwrap();
    let changes = follow::changes_beside(&path);
    let mut follower = Follower::open(&path, 10).unwrap();
    assert_eq!(polled(&mut follower), Vec::<String>::new());
    std::fs::write(&path, "one\n").unwrap();
    let mut seen = Vec::new();
    for _ in 0..30 {
        changes.wait();
        seen.extend(polled(&mut follower));
        if !seen.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["one"]);
}
