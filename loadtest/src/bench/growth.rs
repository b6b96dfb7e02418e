//! `bench growth`: what the same load costs clusters of different sizes on one machine.
//!
//! For each size: what the nodes use when nobody asks; then tickets and validations at one rate, the
//! same for all sizes; then as many as come through. Cost is processor time and bytes between nodes
//! for each ticket, with what an idle cluster uses in the same time taken off and shown beside.
//!
//! Promises: sizes are measured one after the other, in several rounds of all of them, each with a cluster of
//! its own; every answer is judged. Does not: say what more machines would give; all share this one.

use std::path::PathBuf;
use std::time::Duration;

use super::ceiling::nginx_pid;
use super::demo::Demo;
use super::ended;
use super::folder::Own;
use super::load::target::{Target, Way};
use super::load::{self, Measured, Operation, Plan};
use super::saturate::{DONE, round};
use super::usage::Group;
use crate::clock;
use crate::environment::Environment;
use crate::http::Call;
use crate::judge::Tally;
use crate::lab::Lab;
use crate::progress::say;
use crate::run::{Cell, Kind, Plot, Run, Style, Table};
use crate::stop::Stop;
use crate::swarm::gauge::Gauges;

const WARM: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(15);
const SERVICE: &str = "http://127.0.0.1/castor-loadtest/app{n}";
const SENT: &str = "castor_replication_bytes_total{";
const DIRECTION: &str = "direction=\"sent\"";
const MIB: f64 = 1024.0 * 1024.0;

/// What to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that starts a cluster.
    pub castor: PathBuf,
    /// Folder within which the clusters get one of their own.
    pub folder: PathBuf,
    /// Sizes.
    pub nodes: Vec<usize>,
    /// Tickets per second.
    pub rate: f64,
    /// Connections.
    pub connections: usize,
    /// Time of each measurement.
    pub time: Duration,
    /// Rounds of all sizes.
    pub rounds: u32,
}

/// What the nodes, and nginx, have used so far.
struct Used {
    nodes: Duration,
    nginx: Duration,
    bytes: f64,
}

/// One size in one round.
struct Size {
    nodes: usize,
    /// Resident MiB of the largest node that has served nobody.
    resident: f64,
    /// Processors in use, and bytes per second between nodes, without a load.
    idle: (f64, f64),
    /// Microseconds of the nodes, and of nginx, and bytes for each ticket at the common rate.
    cost: (f64, f64, f64),
    paced: Measured,
    most: Measured,
}

/// Runs it.
///
/// # Errors
/// When the first cluster does not come up or is not healthy; what comes later, and wrong answers, are in
/// the record.
pub async fn run(
    settings: &Settings,
    stop: &Stop,
    environment: Environment,
) -> anyhow::Result<Run> {
    let began = clock::monotonic();
    let folder = Own::make(&settings.folder, "growth")?;
    let mut sizes = Vec::new();
    let done = rounds(&mut sizes, settings, &folder, stop).await;
    drop(folder);
    if sizes.is_empty() {
        done?;
        anyhow::bail!("interrupted before anything was measured");
    }
    let mut run = Run::new(Kind::Growth, "The cost of growth", environment);
    ended(&mut run, began, stop);
    describe(&mut run, settings, &sizes);
    if let Err(error) = done {
        run.broke_off(&error);
    }
    Ok(run)
}

async fn rounds(
    sizes: &mut Vec<Size>,
    settings: &Settings,
    folder: &Own,
    stop: &Stop,
) -> anyhow::Result<()> {
    for number in 0..settings.rounds.max(1) {
        for nodes in &settings.nodes {
            if stop.is_set() {
                break;
            }
            let place = folder.path().join(format!("{nodes}-{number}"));
            let demo = Demo::start(&settings.castor, place, *nodes).await?;
            let size = measure(&demo, settings, stop).await;
            demo.stop().await;
            let size = size?;
            say(&format!(
                "{nodes} nodes: {:.0} µs and {:.0} bytes a ticket at {:.0}/s; at most {:.0}/s",
                size.cost.0,
                size.cost.2,
                settings.rate,
                size.most.rate()
            ));
            sizes.push(size);
        }
    }
    Ok(())
}

async fn measure(demo: &Demo, settings: &Settings, stop: &Stop) -> anyhow::Result<Size> {
    let mut lab = Lab::open(&demo.cluster(), TIMEOUT, SERVICE, 5)?;
    lab.stop = stop.clone();
    let nodes = Group::new("nodes", lab.cluster.nodes.iter().map(|node| node.pid));
    let nginx = Group::tree("nginx", nginx_pid(&demo.nginx())?);
    let readings = Gauges::new(&lab, &[], &[]).read().await;
    let resident = readings
        .into_iter()
        .flatten()
        .map(|reading| reading.resident);
    let resident = resident.fold(0.0, f64::max) / MIB;
    let used = async || Used {
        nodes: nodes.spent(),
        nginx: nginx.spent(),
        bytes: sent(&lab).await,
    };
    let (before, start) = (used().await, clock::monotonic());
    tokio::select! {
        () = clock::pause(settings.time) => {}
        () = stop.wait() => {}
    }
    let (after, seconds) = (used().await, since(start));
    let spent = after.nodes.saturating_sub(before.nodes).as_secs_f64();
    let idle = (spent / seconds, (after.bytes - before.bytes) / seconds);
    let target = Target::cluster(&lab, Way::Front, settings.connections).await?;
    let mut plan = Plan {
        operation: Operation::Pair,
        connections: settings.connections,
        rate: Some(settings.rate),
        warm: Duration::ZERO,
        time: settings.time,
        replay_every: 0,
        progress: None,
    };
    // Connections, code and tables are warm then, and what is measured begins with the load.
    load::run(
        &target,
        &Plan {
            time: WARM,
            ..plan.clone()
        },
        stop,
    )
    .await?;
    let (before, start) = (used().await, clock::monotonic());
    let paced = load::run(&target, &plan, stop).await?;
    let (after, seconds) = (used().await, since(start));
    let cost = cost(&before, &after, idle, seconds, &paced);
    plan.rate = None;
    plan.warm = WARM;
    let most = load::run(&target, &plan, stop).await?;
    Ok(Size {
        nodes: lab.cluster.nodes.len(),
        resident,
        idle,
        cost,
        paced,
        most,
    })
}

fn since(start: std::time::Instant) -> f64 {
    clock::monotonic().duration_since(start).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn cost(
    before: &Used,
    after: &Used,
    idle: (f64, f64),
    seconds: f64,
    paced: &Measured,
) -> (f64, f64, f64) {
    let tickets = (paced.operations as f64).max(1.0);
    let nodes = after.nodes.saturating_sub(before.nodes).as_secs_f64() - idle.0 * seconds;
    let nginx = after.nginx.saturating_sub(before.nginx).as_secs_f64();
    let bytes = after.bytes - before.bytes - idle.1 * seconds;
    (
        nodes / tickets * 1e6,
        nginx / tickets * 1e6,
        (bytes / tickets).max(0.0),
    )
}

/// Bytes that all nodes have sent to each other.
async fn sent(lab: &Lab) -> f64 {
    let mut all = 0.0;
    for node in &lab.cluster.nodes {
        let call = Call::get(format!("{}/metrics", node.ops_url));
        if let Ok(answer) = lab.client.call(call).await {
            all += sent_by(&answer.text());
        }
    }
    all
}

fn sent_by(page: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(SENT));
    let ours = lines.filter(|line| line.contains(DIRECTION));
    let values = ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

fn describe(run: &mut Run, settings: &Settings, sizes: &[Size]) {
    let mut tally = Tally::default();
    for size in sizes {
        tally.merge(size.paced.tally.clone());
        tally.merge(size.most.tally.clone());
    }
    run.verdict = (&tally).into();
    run.tables.push(table(settings, sizes));
    for size in sizes {
        let (rate, due) = (size.paced.rate(), settings.rate);
        if rate < DONE * due {
            let nodes = size.nodes;
            run.short(format!(
                "{nodes} nodes: {rate:.1}/s of {due}/s that were due were done"
            ));
        }
    }
    for nodes in &settings.nodes {
        let of: Vec<&Size> = sizes.iter().filter(|size| size.nodes == *nodes).collect();
        if of.is_empty() {
            continue;
        }
        let median = |value: &dyn Fn(&Size) -> f64| middle(of.iter().map(|size| value(size)));
        let mut figure = |name: &str, value: f64, unit: &str| {
            run.figure(&format!("{name}_{nodes}"), round(value, 1), unit);
        };
        figure("ticket_cost", median(&|size| size.cost.0), "µs");
        figure("ticket_bytes", median(&|size| size.cost.2), "bytes");
        figure("most_tickets", median(&|size| size.most.rate()), "1/s");
        figure("idle_resident", median(&|size| size.resident), "MiB");
    }
    let mut time = Plot::new(
        "Processor time of all nodes for a ticket and its validation",
        "nodes",
        "µs",
    );
    let mut bytes = Plot::new(
        "Bytes between nodes for a ticket and its validation",
        "nodes",
        "bytes",
    );
    let mut most = Plot::new(
        "Tickets with validation, all nodes on this machine",
        "nodes",
        "1/s",
    );
    for (plot, value) in [
        (&mut time, (|size| size.cost.0) as fn(&Size) -> f64),
        (&mut bytes, |size| size.cost.2),
        (&mut most, |size| size.most.rate()),
    ] {
        let dots = sizes.iter().map(|size| (place(size.nodes), value(size)));
        plot.line("each round", Style::Dots, dots.collect());
        let medians = settings.nodes.iter().filter_map(|nodes| {
            let of: Vec<&Size> = sizes.iter().filter(|size| size.nodes == *nodes).collect();
            (!of.is_empty()).then(|| (place(*nodes), middle(of.into_iter().map(value))))
        });
        plot.line("median", Style::Line, medians.collect());
    }
    run.plots.extend([time, bytes, most]);
}

#[expect(clippy::cast_precision_loss, reason = "a handful of nodes")]
fn place(nodes: usize) -> f64 {
    nodes as f64
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (
        values.get((values.len().max(1) - 1) / 2),
        values.get(values.len() / 2),
    );
    low.zip(high)
        .map_or(0.0, |(low, high)| f64::midpoint(*low, *high))
}

fn table(settings: &Settings, sizes: &[Size]) -> Table {
    let rate = format!("at {}/s: done/s", settings.rate);
    let mut table = Table::new(
        "Sizes",
        &[
            "nodes",
            &rate,
            "nodes, µs a ticket",
            "nginx, µs a ticket",
            "bytes a ticket",
            "validation p99, ms",
            "at most: tickets/s",
            "idle: processors",
            "idle: bytes/s",
            "idle: MiB a node",
        ],
    );
    for size in sizes {
        let row: Vec<Cell> = vec![
            place(size.nodes).into(),
            round(size.paced.rate(), 1).into(),
            round(size.cost.0, 0).into(),
            round(size.cost.1, 0).into(),
            round(size.cost.2, 0).into(),
            round(size.paced.validate.percentile_ms(99.0), 2).into(),
            round(size.most.rate(), 0).into(),
            round(size.idle.0, 4).into(),
            round(size.idle.1, 0).into(),
            round(size.resident, 1).into(),
        ];
        table.row(row);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_counts_so_that_nothing_counts_twice() {
        let page = "# TYPE castor_replication_bytes_total counter\n\
            castor_replication_bytes_total{direction=\"received\",peer=\"a\"} 5\n\
            castor_replication_bytes_total{direction=\"sent\",peer=\"a\"} 70\n\
            castor_replication_bytes_total{direction=\"sent\",peer=\"b\"} 1e2\n";
        assert!((sent_by(page) - 170.0).abs() < 1e-9);
        assert!(sent_by("").abs() < 1e-9);
    }

    #[test]
    fn what_an_idle_cluster_uses_is_no_cost_of_a_ticket() {
        let used = |millis, bytes| Used {
            nodes: Duration::from_millis(millis),
            nginx: Duration::from_millis(millis / 2),
            bytes,
        };
        let paced = Measured {
            operations: 1_000,
            ..Measured::default()
        };
        let (nodes, nginx, bytes) = cost(
            &used(0, 0.0),
            &used(1_000, 52_000.0),
            (0.05, 1_000.0),
            2.0,
            &paced,
        );
        assert!((nodes - 900.0).abs() < 1e-6, "{nodes}");
        assert!((nginx - 500.0).abs() < 1e-6, "{nginx}");
        assert!((bytes - 50.0).abs() < 1e-6, "{bytes}");
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert!((middle([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!((middle([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-9);
        assert!(middle(std::iter::empty()).abs() < 1e-9);
    }
}
