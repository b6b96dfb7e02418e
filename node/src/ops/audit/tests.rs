//! What the record promises: Apereo's keys, masked ids, no waiting, nothing lost silently.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::*;
use crate::config::types::{AuditOutput, SyslogTarget};

const WHEN_MS: u64 = 1_782_864_000_123;

fn config(output: AuditOutput) -> crate::config::Audit {
    let mut config = crate::config::Config::defaults().unwrap().audit;
    config.output = output;
    config
}

fn place() -> Place {
    Place {
        node: "cas1".to_owned(),
        server: Some("192.0.2.1".parse().unwrap()),
    }
}

fn event() -> Event {
    Event {
        action: Action::ServiceTicketCreated,
        who: Some("jane".to_owned()),
        what: "ST-12-abcdefghijklmnopqrstuvwxyz012345-aaaa for https://app.example/".to_owned(),
        client: Some("198.51.100.7".parse().unwrap()),
        request: Some("0123456789abcdef".to_owned()),
    }
}

fn started(config: &crate::config::Audit) -> (Audit, Registry) {
    let registry = Registry::new();
    let audit = start(config, place(), Clock::manual(WHEN_MS), &registry).unwrap();
    (audit, registry)
}

fn value(registry: &Registry, name: &str) -> f64 {
    registry
        .gather()
        .iter()
        .filter(|family| family.name() == name)
        .flat_map(|family| family.get_metric())
        .map(|metric| metric.get_counter().get_value())
        .sum()
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_file_gets_one_json_object_a_line_with_apereos_keys() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let mut config = config(AuditOutput::File);
    config.file = Some(path.clone());
    let (audit, registry) = started(&config);
    audit.record(&event());
    audit.record(&Event {
        action: Action::AuthenticationFailed,
        who: Some("eve\n\"\u{7}".to_owned()),
        what: "x".repeat(10_000),
        client: None,
        request: None,
    });
    audit.flush(Duration::from_secs(10));
    let lines = lines(&path);
    assert_eq!(
        lines[0],
        serde_json::json!({
            "who": "jane",
            "what": "ST-12-*****aaa for https://app.example/",
            "action": "SERVICE_TICKET_CREATED",
            "application": "CAS",
            "when": "2026-07-01T00:00:00.123Z",
            "clientIpAddress": "198.51.100.7",
            "serverIpAddress": "192.0.2.1",
            "node": "cas1",
            "requestId": "0123456789abcdef",
        })
    );
    assert!(lines[1].get("requestId").is_none());
    assert_eq!(lines[1]["who"], "eve\n\"\u{7}");
    assert_eq!(lines[1]["clientIpAddress"], "local");
    assert!(lines[1]["what"].as_str().unwrap().len() < 2100, "bounded");
    assert_eq!(lines.len(), 2);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "not for everyone: {mode:o}");
    assert_eq!(value(&registry, "castor_audit_events_total"), 2.0);
    assert_eq!(value(&registry, "castor_audit_dropped_total"), 0.0);
}

#[test]
fn a_rotated_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let old = dir.path().join("audit.log.1");
    let mut config = config(AuditOutput::File);
    config.file = Some(path.clone());
    let (audit, _) = started(&config);
    audit.record(&event());
    audit.flush(Duration::from_secs(10));
    std::fs::rename(&path, &old).unwrap();
    audit.reopen();
    audit.record(&event());
    audit.flush(Duration::from_secs(10));
    assert_eq!((lines(&old).len(), lines(&path).len()), (1, 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_named_before_anything_starts() {
    let mut config = config(AuditOutput::File);
    config.file = Some("/nonexistent/audit.log".into());
    let says = start(&config, place(), Clock::system(), &Registry::new())
        .unwrap_err()
        .to_string();
    assert!(
        says.starts_with("audit.file: /nonexistent/audit.log: "),
        "{says}"
    );
}

#[test]
fn syslog_gets_rfc_5424_messages_by_udp_and_unix() {
    let dir = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let expected = format!(
        "<86>1 2026-07-01T00:00:00.123000Z cas1 castor {} SERVICE_TICKET_CREATED - {{\"who\":",
        std::process::id()
    );
    let mut config = config(AuditOutput::Syslog);
    for target in [
        SyslogTarget::Udp(udp.local_addr().unwrap()),
        SyslogTarget::Unix(path),
    ] {
        config.syslog = target.clone();
        let (audit, _) = started(&config);
        audit.record(&event());
        let mut buffer = [0; 4096];
        let length = match target {
            SyslogTarget::Udp(_) => udp.recv(&mut buffer).unwrap(),
            SyslogTarget::Unix(_) => unix.recv(&mut buffer).unwrap(),
        };
        let message = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_receiver_that_went_away_is_counted_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let mut config = config(AuditOutput::Syslog);
    config.syslog = SyslogTarget::Unix(path.clone());
    let (audit, registry) = started(&config);
    drop(receiver);
    std::fs::remove_file(&path).unwrap();
    audit.record(&event());
    audit.flush(Duration::from_secs(10));
    assert_eq!(value(&registry, "castor_audit_dropped_total"), 1.0);
    let receiver = UnixDatagram::bind(&path).unwrap();
    audit.record(&event());
    audit.flush(Duration::from_secs(10));
    assert!(receiver.recv(&mut [0; 4096]).unwrap() > 0);
    assert_eq!(value(&registry, "castor_audit_dropped_total"), 1.0);
}

#[test]
fn a_full_disk_is_told_once_until_a_line_has_arrived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let mut config = config(AuditOutput::File);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    config.file = Some(path.clone());
    let mut writer = Writer {
        sink: Sink::open(&config, "cas1").unwrap(),
        reopen: Arc::default(),
        dropped: IntCounter::new("dropped", "Lost.").unwrap(),
        failing: false,
        written: false,
        recent: Recent::default(),
    };
    let when = Clock::manual(WHEN_MS).timestamp();
    writer.write("A", "{}", when);
    assert!(!writer.failing, "nothing is known before the flush");
    for _ in 0..3 {
        writer.flush();
        assert!(writer.failing);
        writer.write("A", "{}", when);
        assert!(writer.failing, "a line in the buffer has not arrived");
    }
    std::fs::remove_file(&path).unwrap();
    // What is left in the buffer is lost with the full disk.
    let _ = writer.sink.reopen();
    writer.written = false;
    writer.flush();
    assert!(writer.failing, "no line was written since");
    writer.write("A", "{}", when);
    writer.flush();
    assert!(!writer.failing);
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_full_queue_drops_and_counts_and_never_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    // Bound and never read: the system's queue fills, then the writer blocks, then the queue fills.
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let mut config = config(AuditOutput::Syslog);
    config.syslog = SyslogTarget::Unix(path);
    config.queue = 100;
    let (audit, registry) = started(&config);
    let total = 10_000;
    for _ in 0..total {
        audit.record(&event());
    }
    let dropped = value(&registry, "castor_audit_dropped_total");
    assert!(dropped > 0.0, "nothing was dropped");
    assert_eq!(
        value(&registry, "castor_audit_events_total"),
        f64::from(total)
    );
}

#[test]
fn ticket_ids_are_masked_wherever_they_stand() {
    for (text, shown) in [
        ("TGT-3-secretsecretabc", "TGT-3-*****abc"),
        ("PGTIOU-1-secretsecretabc", "PGTIOU-1-*****abc"),
        ("ST-1-short", "ST-1-*****"),
        (
            "https://a.example/?ticket=ST-9-secretsecretxyz&x=1",
            "https://a.example/?ticket=ST-9-*****xyz&x=1",
        ),
        (
            "[TGT-1-secretsecretabc, PT-2-secretsecretdef]",
            "[TGT-1-*****abc, PT-2-*****def]",
        ),
        (
            "https://a.example/?u=%3Fticket%3DST-9-secretsecretxyz%26x",
            "https://a.example/?u=%3Fticket%3DST-9-*****xyz%26x",
        ),
        (
            "u=%253DTGT-9-secretsecretxyz %252525aaPT-1-secretsecretxyz",
            "u=%253DTGT-9-*****xyz %252525aaPT-1-*****xyz",
        ),
        ("%3ST-1-go 3DST-1-go", "%3ST-1-go 3DST-1-go"),
        ("FAST-1-lane LIST-2-go", "FAST-1-lane LIST-2-go"),
        ("ST-x-y TGT- ST-1-", "ST-x-y TGT- ST-1-"),
        ("héllo ST-1-secretsecretabc", "héllo ST-1-*****abc"),
    ] {
        assert_eq!(masked(text), shown);
    }
}

#[test]
fn action_names_are_written_like_apereos_and_are_unique() {
    let names: std::collections::BTreeSet<_> = Action::ALL
        .iter()
        .map(|(action, _)| action.name())
        .collect();
    assert_eq!(names.len(), Action::ALL.len());
    for name in names {
        assert!(
            name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
            "{name}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn masking_is_total_and_leaves_no_secret(before in ".{0,20}", secret in "[a-zA-Z0-9]{12,40}") {
        let text = format!("{before} TGT-7-{secret}");
        let shown = masked(&text);
        proptest::prop_assert!(!shown.contains(&secret));
    }
}

#[test]
fn the_newest_events_are_kept_whatever_the_output_and_no_more_than_the_bound() {
    let mut config = config(AuditOutput::Syslog);
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    config.syslog = SyslogTarget::Udp(receiver.local_addr().unwrap());
    let (audit, _) = started(&config);
    for number in 0..KEPT_MAX + 7 {
        audit.record(&Event {
            who: Some(format!("user{number}")),
            ..event()
        });
    }
    audit.flush(Duration::from_secs(10));
    let kept = audit.recent();
    assert_eq!(kept.len(), KEPT_MAX);
    let who = |at: usize| {
        let event: serde_json::Value = serde_json::from_str(&kept[at].json).unwrap();
        event["who"].as_str().unwrap().to_owned()
    };
    assert_eq!(who(0), format!("user{}", KEPT_MAX + 6), "the newest first");
    assert_eq!(who(KEPT_MAX - 1), "user7");
    assert!(!kept[0].json.contains("abcdefghijklmnopqrstuvwxyz"));
}
