//! Records and reports: what a hostile record can do to a page, and the way from a run to its files.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use castor_loadtest::clock;
use castor_loadtest::environment::Environment;
use castor_loadtest::report;
use castor_loadtest::run::{Ended, Kind, Latency, Mark, Plot, Run, Style, Table};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::fake_cas::Sin;
use crate::setup::Setup;

/// What a page is made of; nothing of it loads or runs anything.
const ELEMENTS: &[&str] = &[
    "a",
    "b",
    "body",
    "caption",
    "circle",
    "code",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "g",
    "h1",
    "h2",
    "head",
    "header",
    "html",
    "li",
    "line",
    "main",
    "meta",
    "ol",
    "p",
    "path",
    "rect",
    "section",
    "small",
    "span",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];
const ATTRIBUTES: &[&str] = &[
    "aria-hidden",
    "aria-label",
    "charset",
    "class",
    "content",
    "cx",
    "cy",
    "d",
    "data-of",
    "height",
    "href",
    "http-equiv",
    "id",
    "lang",
    "name",
    "preserveAspectRatio",
    "r",
    "role",
    "scope",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

/// Every text of the record is `text`.
fn full(text: &str) -> Run {
    let environment = Environment {
        time: text.to_owned(),
        command: text.to_owned(),
        commit: text.to_owned(),
        version: text.to_owned(),
        processor: text.to_owned(),
        processors: 2,
        memory_mib: 4_000,
        system: text.to_owned(),
        seed: 7,
    };
    let mut run = Run::new(Kind::Faults, text, environment);
    run.figure_with(text, 1.5, text, text)
        .sampled(text, text, vec![(0.0, 1.0), (1.0, 3.0)])
        .sampled_in(text, text, text, vec![(0.5, 2.0)])
        .note(text)
        .failed(text);
    run.marks = vec![Mark::at(0.2, text), Mark::between(0.4, 0.9, text)];
    let mut table = Table::new(text, &[text, text]);
    table.row([text.into(), 1.0.into()]);
    run.tables.push(table);
    let mut plot = Plot::new(text, text, text);
    plot.line(text, Style::Dots, vec![(1.0, 2.0)]).line(
        text,
        Style::Dashed,
        vec![(0.0, 0.0), (1.0, 2.0)],
    );
    plot.marks = run.marks.clone();
    run.plots.push(plot);
    run.latencies.push(Latency {
        name: text.to_owned(),
        count: 1_000,
        unit: text.to_owned(),
        percentiles: vec![(50.0, 1.0), (99.0, 30.0), (100.0, 50.0)],
    });
    run.verdict.judged = 10;
    run.verdict.wrong = 1;
    run.verdict.kinds = vec![(text.to_owned(), 1)];
    run.verdict.examples = vec![text.to_owned()];
    run.ended = Ended::Interrupted;
    run
}

/// Elements, attributes and values of a page, which must be well-formed.
fn parts(page: &str) -> (BTreeSet<String>, BTreeSet<String>, Vec<String>) {
    let (mut elements, mut attributes, mut values) = (BTreeSet::new(), BTreeSet::new(), vec![]);
    let mut reader = Reader::from_str(page);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) | Event::Empty(tag) => {
                elements.insert(tag.name().as_ref().to_owned());
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("well-formed");
                    attributes.insert(attribute.key.as_ref().to_owned());
                    values.push(attribute.value.into_owned());
                }
            }
            Event::Eof => return (elements, attributes, values),
            Event::Comment(_) | Event::CData(_) | Event::PI(_) => panic!("not ours"),
            _ => {}
        }
    }
}

#[test]
fn no_text_of_a_record_becomes_markup() {
    for hostile in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></svg><script src=//example.org/x></script>",
        "]]><!-- & &lt;script&gt; -->",
        "\u{1b}[2J\u{0}\u{202e}<iframe>",
        "javascript:alert(1)",
    ] {
        let run = full(hostile);
        let page = report::page(&[run.clone(), run.clone()]);
        let (elements, attributes, values) = parts(&page);
        let known = |list: &[&str], found: &BTreeSet<String>| {
            let unknown: Vec<_> = found
                .iter()
                .filter(|one| !list.contains(&one.as_str()))
                .collect();
            assert!(unknown.is_empty(), "{hostile:?} gave {unknown:?}");
        };
        known(ELEMENTS, &elements);
        known(ATTRIBUTES, &attributes);
        assert!(values.iter().all(|value| !value.contains(['<', '\u{1b}'])));
        assert!(page.contains("default-src 'none'") && !page.contains("url("));
        assert!(!page.contains("href=\"j") && !page.contains('\u{202e}'));
        let summary = report::markdown(&[run]);
        assert!(!summary.contains('\u{1b}') && !summary.contains('\u{202e}'));
        for line in summary.lines() {
            // The command is a code span, in which nothing is markup but its own end.
            let code = line.starts_with('`') && line.matches('`').count() == 2;
            assert!(code || !line.contains('<'), "{line}");
        }
    }
    // The list itself holds what it should: a plain record uses most of it.
    let (elements, ..) = parts(&report::page(&[full("plain"), full("plain")]));
    assert_eq!(elements.len(), ELEMENTS.len(), "{elements:?}");
}

#[test]
fn empty_and_odd_records_are_drawn() {
    let mut runs = vec![Run::new(Kind::Bench, "nothing", Environment::unknown())];
    let mut odd = full("odd");
    for points in [
        vec![],
        vec![(0.0, 0.0)],
        vec![(-5.0, -1e300), (1e300, 1e300)],
        vec![(3.0, 1.0), (1.0, 2.0), (2.0, 1e-300)],
    ] {
        odd.sampled("s", "", points.clone());
        let mut plot = Plot::new("p", "s", "");
        plot.line("l", Style::Line, points.clone());
        odd.plots.push(plot.clone());
        odd.plots
            .push(plot.with_log(castor_loadtest::run::Log::Both));
        odd.latencies.push(Latency {
            name: "l".to_owned(),
            count: 0,
            unit: "ms".to_owned(),
            percentiles: points,
        });
    }
    runs.push(odd);
    let page = report::page(&runs);
    parts(&page);
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    assert!(page.contains("No answer was judged") && !report::markdown(&runs).is_empty());
}

#[test]
fn a_part_without_content_has_no_heading() {
    let mut run = Run::new(Kind::Bench, "nothing to draw", Environment::unknown());
    let mut plot = Plot::new("p", "x", "y");
    plot.line("l", Style::Line, Vec::new());
    run.plots.push(plot);
    run.sampled("s", "1/s", Vec::new());
    let page = report::page(&[run]);
    for heading in ["Plots", "Latency", "Over time"] {
        assert!(!page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(report::page(&[full("all")]).contains("<h2>Plots</h2>"));
}

#[test]
fn a_percentile_of_too_few_answers_is_a_dash_everywhere() {
    let mut run = Run::new(Kind::Bench, "few", Environment::unknown());
    run.latencies.push(Latency {
        name: "validate".to_owned(),
        count: 99,
        unit: "ms".to_owned(),
        percentiles: vec![(50.0, 1.25), (99.0, 7.75), (99.9, 7.75), (100.0, 8.5)],
    });
    for text in [
        report::page(&[run.clone()]),
        report::markdown(&[run.clone()]),
    ] {
        assert!(text.contains("1.25") && text.contains("8.5"), "{text}");
        assert!(!text.contains("7.75") && text.contains('–'), "{text}");
        assert!(text.contains("p99 needs 100, p99.9 needs 1,000"), "{text}");
    }
    run.latencies[0].count = 1_000;
    assert!(!report::markdown(&[run]).contains("too few"));
}

#[test]
fn a_long_remark_does_not_widen_the_table_of_figures() {
    let mut run = Run::new(Kind::Bench, "wide", Environment::unknown());
    run.figure_with("knee", 2.0, "1/s", &"a long remark ".repeat(20));
    let text = report::markdown(&[run]);
    let rows = text.lines().filter(|line| line.starts_with('|'));
    assert!(rows.clone().all(|row| row.len() < 80), "{text}");
    assert!(text.contains("- knee: a long remark"), "{text}");
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castor-loadtest"));
    command.args(arguments);
    command
}

async fn output(mut command: Command) -> Output {
    let run = move || command.output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_becomes_a_record_and_a_record_a_page() {
    let honest = Setup::new(&[]).await;
    let sinner = Setup::new(&[Sin::WrongUser]).await;
    let mut records = Vec::new();
    for (setup, code) in [(&honest, 0), (&sinner, 1)] {
        let (cluster, record) = (
            text(&setup.cluster),
            text(&setup.folder.path().join("r.json")),
        );
        let arguments = ["bench", "pairs", "--count", "40", "--cluster", &cluster];
        let run = program(&[&arguments[..], &["--json", &record]].concat());
        let done = output(run).await;
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        records.push(record);
    }
    let page = text(&honest.folder.path().join("new/page.html"));
    let both = program(&["report", &records[0], &records[1], "--html", &page]);
    let both = output(both).await;
    assert_eq!(both.status.code(), Some(0), "{both:?}");
    let page = std::fs::read_to_string(page).unwrap();
    parts(&page);
    assert!(page.contains("Passed") && page.contains("Failed") && page.contains("wrong user"));
    assert!(page.contains("Side by side") && page.contains("Latency by percentile"));

    let summary = output(program(&["report", &records[1]])).await;
    let summary = String::from_utf8(summary.stdout).unwrap();
    assert!(summary.contains("**Failed.**") && summary.contains("| validate, ms"));

    std::fs::write(&records[0], "{\"format\":1}").unwrap();
    let bad = output(program(&["report", &records[0]])).await;
    let says = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(2), "{says}");
    assert!(says.contains("r.json is no record of a run: missing field"));

    let full = output(program(&[
        "report",
        &records[1],
        "--html",
        "/dev/full/x.html",
    ]))
    .await;
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    assert!(String::from_utf8_lossy(&full.stderr).contains("/dev/full/x.html"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_says_so_and_still_has_its_report() {
    let many = "1000000";
    for (bench, tickets) in [
        (&["pairs", "--count", many, "--rate", "200"][..], 5),
        (&["race", "--count", many], 5),
        (&["resend", "--count", many], 5),
        // Its first second is not measured.
        (&["saturate", "--time", "600", "--rate", "20"], 40),
    ] {
        interrupted(bench, tickets).await;
    }
}

async fn interrupted(bench: &[&str], tickets: usize) {
    let setup = Setup::new(&[]).await;
    let (cluster, record) = (text(&setup.cluster), setup.folder.path().join("r.json"));
    let name = text(&record);
    let more = ["--cluster", &cluster, "--json", &name];
    let mut command = program(&[&["bench"], bench, &more].concat());
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    // Tickets are given out when the measurement has begun.
    let used = setup.folder.path().join("state/used");
    let limit = clock::monotonic() + Duration::from_secs(20);
    while std::fs::read_dir(&used).map_or(0, Iterator::count) < tickets {
        assert!(clock::monotonic() < limit, "no load came");
        clock::pause(Duration::from_millis(20)).await;
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let wait = move || child.wait_with_output().unwrap();
    let done = tokio::task::spawn_blocking(wait).await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let says = String::from_utf8_lossy(&done.stdout).into_owned();
    let last = says.lines().last().unwrap_or_default();
    assert!(last.starts_with("interrupted: "), "{says}");
    assert!(!says.contains("passed"), "{says}");
    let run = Run::read(&record).unwrap();
    assert_eq!(run.ended, Ended::Interrupted);
    assert!(run.verdict.judged > 0 && run.verdict.wrong == 0);
}
