//! What is written about the run of a population.
//!
//! Promises: what was measured stands there also when the run ended early; measured beside what the
//! model says. Does not: draw.

use super::counts::{Counts, Minutes, per_minute};
use super::curves::Curves;
use super::run::Outcome;
use super::scenario::{Population, Scenario};
use super::world::Early;
use super::{day_record, drift, model};
use crate::environment::Environment;
use crate::run::build::as_f64;
use crate::run::{Cell, Ended, Kind, Plot, Run, Style, Table, Verdict};

/// The record of one run.
pub fn of(outcome: &Outcome, environment: Environment) -> Run {
    match &outcome.plan.scenario {
        Scenario::Population(population) => of_population(outcome, population, environment),
        Scenario::Day(day) => day_record::of(outcome, day, environment),
    }
}

fn of_population(outcome: &Outcome, population: &Population, environment: Environment) -> Run {
    let title = format!(
        "{}: {} users, {} minutes at time scale {}",
        outcome.plan.name, population.users, population.minutes, outcome.plan.time_scale
    );
    let mut run = Run::new(Kind::Swarm, title, environment);
    run.note(population.about.clone());
    let model = model::predict(population, outcome.plan.seed);
    counts(&mut run, outcome, &model);
    run.figure("events_per_minute", outcome.events_per_minute(), "1/min");
    run.figure("net_sessions_per_minute", outcome.net_per_minute(), "1/min");
    expected(&mut run, outcome, population);
    common(&mut run, outcome);
    plot(&mut run, outcome, &model);
    run
}

/// What the record of any scenario has.
pub(super) fn common(run: &mut Run, outcome: &Outcome) {
    head(run, std::slice::from_ref(outcome));
    let requests = outcome.everything().requests;
    run.figure("requests", per_minute(requests, outcome.seconds), "1/s");
    usage(run, outcome);
    let before = outcome.before;
    run.note(format!(
        "Before the run {} sign-ins with {} sign-outs, {} checks of a password, {} refused tickets and {} refused \
         validations looked whether the server has what the scenario needs. They are in its audit record and in the \
         counts by audit action among the figures, and nowhere else.",
        before.sign_ins, before.sign_outs, before.checks, before.not_created, before.replays
    ));
    for (name, count) in day_record::events_with_before(outcome).rows() {
        run.figure(name, as_f64(count), "");
    }
    latencies(run, outcome, "");
    drift::put(run, outcome);
    let mut curves = Curves::default();
    curves.add(outcome, 0.0);
    curves.put(run);
}

/// What every record of populations has: how it ended, and the judgement.
pub fn head(run: &mut Run, outcomes: &[Outcome]) {
    let mut tally = crate::judge::Tally::default();
    let (mut replayed, mut cut_short) = (0, 0);
    for outcome in outcomes {
        run.time_scale = outcome.plan.time_scale;
        run.lasted_s += outcome.seconds;
        replayed += outcome.seen.replayed;
        cut_short += outcome.seen.cut_short;
        tally.merge(outcome.seen.tally.clone());
        late(run, outcome);
    }
    run.verdict = Verdict::from(&tally);
    few_accounts(run, outcomes);
    run.must_be_judged();
    for outcome in outcomes {
        match &outcome.early {
            None => continue,
            Some(Early::Interrupted) => {
                run.note("interrupted: the figures are of the part that ran")
            }
            Some(Early::Hopeless(why)) => run.failed(format!("given up: {why}")),
        };
        run.ended = Ended::Interrupted;
    }
    run.figure("tickets_tried_again", as_f64(replayed), "");
    run.figure("lives_cut_short", as_f64(cut_short), "");
    run.figure(
        "sessions_lost",
        as_f64(tally.count(crate::judge::Sin::SessionLost)),
        "",
    );
}

/// Says so, in the title too, when there are fewer accounts than the scenario has.
fn few_accounts(run: &mut Run, outcomes: &[Outcome]) {
    let wanted = |one: &Outcome| usize::from(one.plan.scenario.accounts());
    if let Some(few) = outcomes.iter().find(|one| one.accounts < wanted(one)) {
        let of = format!(
            "{} of the scenario's {} accounts",
            few.accounts,
            wanted(few)
        );
        run.title = format!("{}, {of}", run.title);
        run.note(format!("{of}: --accounts gives the others"));
    }
}

/// A generator that is late thins the load and blames the server.
fn late(run: &mut Run, outcome: &Outcome) {
    let missed = outcome.seen.too_late.events();
    if missed > 0 {
        run.figure(
            &format!(
                "events_after_the_end_{}",
                outcome.plan.name.replace(' ', "_")
            ),
            as_f64(missed),
            "",
        );
    }
    let p99 = outcome.seen.late.percentile_ms(99.0) / 1000.0 * outcome.plan.time_scale;
    if p99 > outcome.plan.scenario.patience() {
        run.short(format!(
            "{}: 1 % of the steps began {p99:.1} s late in the population's time: answers or this machine are too slow \
             for this time scale",
            outcome.plan.name
        ));
    }
}

fn counts(run: &mut Run, outcome: &Outcome, model: &Minutes) {
    let columns = ["event", "count", "per minute", "model, per minute"];
    let mut table = Table::new("What happened", &columns);
    let (seen, model) = (outcome.seen.minutes.total(), model.total());
    let whole = outcome.plan.scenario.minutes();
    for (name, count, predicted) in rows(&seen, &model) {
        table.row([
            Cell::from(name),
            Cell::from(count),
            Cell::from(round(per_minute(count, outcome.minutes))),
            Cell::from(round(per_minute(predicted, whole))),
        ]);
    }
    run.tables.push(table);
}

/// Name, count and the model's count of each kind of event.
pub fn rows(seen: &Counts, model: &Counts) -> [(&'static str, u64, u64); 6] {
    [
        (
            "TICKET_GRANTING_TICKET_CREATED",
            seen.sign_ins,
            model.sign_ins,
        ),
        ("SERVICE_TICKET_CREATED", seen.tickets, model.tickets),
        (
            "SERVICE_TICKET_VALIDATED",
            seen.validations,
            model.validations,
        ),
        (
            "TICKET_GRANTING_TICKET_DESTROYED",
            seen.sign_outs,
            model.sign_outs,
        ),
        ("AUTHENTICATION_FAILED", seen.refused, model.refused),
        ("HTTP requests", seen.requests, model.requests),
    ]
}

/// Beside what the source of the scenario tells.
fn expected(run: &mut Run, outcome: &Outcome, population: &Population) {
    let Some(expect) = population.expect else {
        return;
    };
    let total = outcome.seen.minutes.total();
    let columns = ["", "source", "measured", "off, %"];
    let mut table = Table::new(
        "Beside what the source tells, in the population's time",
        &columns,
    );
    for (name, source, measured) in [
        (
            "requests per second",
            expect.requests_per_second,
            per_minute(total.requests, outcome.minutes) / 60.0,
        ),
        (
            "authentications per hour",
            expect.authentications_per_hour,
            per_minute(total.validations, outcome.minutes) * 60.0,
        ),
    ] {
        table.row([
            Cell::from(name),
            Cell::from(source),
            Cell::from(round(measured)),
            Cell::from(round(off(measured, source))),
        ]);
    }
    run.tables.push(table);
}

/// By how many per cent `measured` is off.
pub fn off(measured: f64, source: f64) -> f64 {
    (measured / source - 1.0) * 100.0
}

fn usage(run: &mut Run, outcome: &Outcome) {
    let used = outcome.cpu_seconds();
    let (Some(used), Some(share)) = (used, outcome.percent_of_a_core(used)) else {
        run.note("what the nodes use of their machine is not known: --cluster, --pid or --metrics");
        return;
    };
    run.figure("cpu_of_nodes", used, "s");
    run.figure_with(
        "core_share_of_population_time",
        share,
        "%",
        "processor time of all nodes, divided by the population's time. Where time is compressed, work that comes together is cheaper, and what nodes use when idle is less: measure at scale 1 for the share of a core in real time",
    );
    hashing(run, outcome);
}

/// The same apart: what passwords cost is the choice of who sets the cost of a hash.
fn hashing(run: &mut Run, outcome: &Outcome) {
    let (Some(hashing), Some(rest)) = (outcome.hashing, outcome.cpu_without_hashing()) else {
        run.note("what password hashing takes of it is not known: the nodes do not tell it on a page of --metrics");
        return;
    };
    run.figure("cpu_of_password_hashing", hashing, "s");
    run.figure("cpu_without_hashing", rest, "s");
    for (name, used) in [
        ("core_share_of_hashing", hashing),
        ("core_share_without_hashing", rest),
    ] {
        if let Some(share) = outcome.percent_of_a_core(Some(used)) {
            run.figure(name, share, "%");
        }
    }
}

/// The latencies, with a prefix to the names.
pub fn latencies(run: &mut Run, outcome: &Outcome, prefix: &str) {
    let seen = &outcome.seen;
    for (name, latencies) in [
        ("sign in (page and form)", &seen.sign_in),
        ("ticket", &seen.ticket),
        ("validate", &seen.validate),
        ("sign out", &seen.sign_out),
        ("lateness of the generator", &seen.late),
    ] {
        run.latency(&format!("{prefix}{name}"), latencies);
    }
}

fn plot(run: &mut Run, outcome: &Outcome, model: &Minutes) {
    let title = "Events in each minute of the population";
    let mut plot = Plot::new(title, "minute", "events");
    let points = |minutes: &Minutes| -> Vec<(f64, f64)> {
        let events = minutes.all().iter().map(|counts| as_f64(counts.events()));
        (0..).map(f64::from).zip(events).collect()
    };
    plot.line("measured", Style::Line, points(&outcome.seen.minutes));
    plot.line("model", Style::Dashed, points(model));
    run.plots.push(plot);
}

/// The model alone, for people who want to know what a population would do.
pub fn of_model(population: &Population, seed: u64, environment: Environment) -> Run {
    let title = format!(
        "model of {} users for {} minutes, no server asked",
        population.users, population.minutes
    );
    let mut run = Run::new(Kind::Swarm, title, environment);
    run.note(population.about.clone());
    let model = model::predict(population, seed);
    let total = model.total();
    let user_minutes = f64::from(population.users) * population.minutes;
    let columns = ["event", "count", "per minute", "per user and minute"];
    let mut table = Table::new("What the model says", &columns);
    for (name, count, _) in rows(&total, &total) {
        table.row([
            Cell::from(name),
            Cell::from(count),
            Cell::from(round(per_minute(count, population.minutes))),
            Cell::from(round(per_minute(count, user_minutes))),
        ]);
    }
    run.tables.push(table);
    run.figure(
        "events_per_minute",
        per_minute(total.events(), population.minutes),
        "1/min",
    );
    run.figure(
        "events_per_user_and_minute",
        per_minute(total.events(), user_minutes),
        "1/min",
    );
    let net = total.net_sessions() / population.minutes;
    run.figure("net_sessions_per_minute", net, "1/min");
    run
}

/// For tables.
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
