//! The two tables of the publication, with what was measured beside them, and what the nodes used.
//!
//! Promises: a trial whose events per minute are off by more than the bound fails the run; net sessions are
//! shown beside what the description predicts, and not judged. Does not: hide a trial that ended early.

use super::published::PREDICTED;
use super::regression::Line;
use super::{Tried, population};
use crate::environment::Environment;
use crate::run::{Cell, Kind, Plot, Run, Style, Table};
use crate::swarm::curves::Curves;
use crate::swarm::record::{head, latencies, off, round};
use crate::swarm::{model, run::Outcome};

/// The record of trials; `within` is the bound in per cent.
pub fn record(tried: Vec<Tried>, within: f64, interrupted: bool, environment: Environment) -> Run {
    let mut run = Run::new(
        Kind::Trials,
        "The Lafayette trials of 2017, again",
        environment,
    );
    let (published, outcomes): (Vec<_>, Vec<Outcome>) = tried
        .into_iter()
        .map(|tried| (tried.trial, tried.outcome))
        .unzip();
    head(&mut run, &outcomes);
    if interrupted {
        run.ended = crate::run::Ended::Interrupted;
    }
    let tried: Vec<Tried> = published
        .into_iter()
        .zip(outcomes)
        .map(|(trial, outcome)| Tried { trial, outcome })
        .collect();
    let points: Vec<(f64, f64)> = tried
        .iter()
        .map(|one| (f64::from(one.trial.users), one.outcome.events_per_minute()))
        .collect();
    let line = Line::through(&points);
    run.tables.push(events(&tried, line));
    run.tables.push(net_sessions(&tried, run.seed));
    run.tables.push(usage(&tried));
    run.plots.push(events_plot(&points, line, &tried));
    run.plots.push(net_plot(&tried));
    let mut curves = Curves::default();
    let mut offset = 0.0;
    for one in &tried {
        curves.add(&one.outcome, offset);
        offset += one.outcome.seconds;
        latencies(
            &mut run,
            &one.outcome,
            &format!("{} ", one.outcome.plan.name),
        );
        judge(&mut run, one, within);
    }
    curves.put(&mut run);
    if let Some(line) = line {
        run.figure("events_per_user_and_minute", line.slope, "1/min");
    }
    run.note("An event is a session that began, a ticket that was issued, or a ticket that was validated.");
    run.note("Trial 02: the publication's text says events per second; its table and 50 users say per minute.");
    run.note("Trial 06: headed 20 minutes in the publication; it lasted from 16:35 to 16:50, and does so here.");
    run.note(
        "Net sessions are those that began less those that were signed out, in each minute. They are not judged: \
         the description predicts what the model shows, the publication shows less.",
    );
    run
}

/// Whether events per minute are as published; only of trials that were whole.
fn judge(run: &mut Run, tried: &Tried, within: f64) {
    let off = off(tried.outcome.events_per_minute(), tried.trial.events);
    let name = format!("trial_{}_events_off", tried.trial.name);
    run.figure(&name, off, "%");
    if tried.outcome.early.is_none() && off.abs() > within {
        run.failed(format!(
            "trial {}: events per minute are {off:.2} % off, the bound is {within} %",
            tried.trial.name
        ));
    }
}

/// "Observed and Predicted Mean Rates", with ours.
fn events(tried: &[Tried], line: Option<Line>) -> Table {
    let columns = [
        "users",
        "published, predicted",
        "published, observed",
        "measured, predicted",
        "measured, observed",
        "off, %",
    ];
    let mut table = Table::new(
        "Events per minute, observed and predicted by regression",
        &columns,
    );
    for (users, predicted) in PREDICTED {
        let at = |one: &&Tried| one.trial.users == users;
        let one = tried.iter().find(at);
        let measured = one.map(|one| one.outcome.events_per_minute());
        let published = super::published::TRIALS
            .iter()
            .find(|trial| trial.users == users)
            .map(|trial| trial.events);
        table.row([
            Cell::from(u64::from(users)),
            exact(Some(predicted)),
            exact(published),
            exact(line.map(|line| line.at(f64::from(users)))),
            exact(measured),
            Cell::from(
                measured
                    .zip(published)
                    .map(|(measured, published)| round(off(measured, published))),
            ),
        ]);
    }
    table
}

/// With both decimals of the publication, which a reader wants to compare digit by digit.
fn exact(value: Option<f64>) -> Cell {
    match value {
        Some(value) => Cell::from(format!("{value:.2}")),
        None => Cell::from(value),
    }
}

/// "Effect of Number of Locusts on Increase in SSO Sessions".
fn net_sessions(tried: &[Tried], seed: u64) -> Table {
    let columns = [
        "trial",
        "users",
        "minutes",
        "published",
        "measured",
        "the description predicts",
        "published, per user",
        "measured, per user",
    ];
    let mut table = Table::new("Net SSO sessions per minute", &columns);
    for one in tried {
        let measured = one.outcome.net_per_minute();
        let users = f64::from(one.trial.users);
        let predicted = population(&one.trial, Some(one.outcome.plan.scenario.minutes()))
            .map(|p| model::predict(&p, seed).total().net_sessions() / p.minutes)
            .ok();
        table.row([
            Cell::from(one.trial.name),
            Cell::from(u64::from(one.trial.users)),
            Cell::from(round(one.outcome.minutes)),
            Cell::from(one.trial.net_sessions),
            Cell::from(round(measured)),
            Cell::from(predicted.map(round)),
            Cell::from(round(one.trial.net_sessions / users)),
            Cell::from(round(measured / users)),
        ]);
    }
    table
}

/// What the nodes used, and how fast they were.
fn usage(tried: &[Tried]) -> Table {
    let columns = [
        "trial",
        "users",
        "seconds on the clock",
        "processor of all nodes, s",
        "of it hashing, s",
        "the rest, s",
        "all, % of the population's time",
        "hashing, %",
        "the rest, %",
        "ticket p99, ms",
        "validate p99, ms",
    ];
    let mut table = Table::new("What the nodes used", &columns);
    for one in tried {
        let outcome = &one.outcome;
        let (all, hashing) = (outcome.cpu_seconds(), outcome.hashing);
        let rest = outcome.cpu_without_hashing();
        let share = |used| Cell::from(outcome.percent_of_a_core(used).map(round));
        table.row([
            Cell::from(one.trial.name),
            Cell::from(u64::from(one.trial.users)),
            Cell::from(round(outcome.seconds)),
            Cell::from(all.map(round)),
            Cell::from(hashing.map(round)),
            Cell::from(rest.map(round)),
            share(all),
            share(hashing),
            share(rest),
            Cell::from(round(outcome.seen.ticket.percentile_ms(99.0))),
            Cell::from(round(outcome.seen.validate.percentile_ms(99.0))),
        ]);
    }
    table
}

fn events_plot(points: &[(f64, f64)], line: Option<Line>, tried: &[Tried]) -> Plot {
    let mut plot = Plot::new(
        "Events per minute by number of users",
        "users",
        "events/min",
    );
    plot.line("measured", Style::Dots, points.to_vec());
    if let Some(line) = line {
        let at = |(users, _): (u32, f64)| (f64::from(users), line.at(f64::from(users)));
        plot.line(
            "measured, regression",
            Style::Line,
            PREDICTED.map(at).into(),
        );
    }
    let published = |one: &Tried| (f64::from(one.trial.users), one.trial.events);
    plot.line(
        "published",
        Style::Dots,
        tried.iter().map(published).collect(),
    );
    let predicted = PREDICTED.map(|(users, events)| (f64::from(users), events));
    plot.line("published, regression", Style::Dashed, predicted.into());
    plot
}

fn net_plot(tried: &[Tried]) -> Plot {
    let title = "Net SSO sessions per minute by number of users";
    let mut plot = Plot::new(title, "users", "sessions/min");
    let users = |one: &Tried| f64::from(one.trial.users);
    let measured = tried
        .iter()
        .map(|one| (users(one), one.outcome.net_per_minute()));
    plot.line("measured", Style::Dots, measured.collect());
    let published = tried.iter().map(|one| (users(one), one.trial.net_sessions));
    plot.line("published", Style::Dots, published.collect());
    plot
}
