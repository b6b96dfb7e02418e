//! The nine counts that operators of CAS compare: published, seen by the load, and in the server's audit record.
//!
//! Promises: what the load saw counts answers, what the audit record has counts the server's own lines; nothing is
//! taken from one for the other. Does not: read lines of an audit record; `castor audit report --json` does.

use anyhow::Context;
use serde::Deserialize;

use super::counts::Counts;
use super::day::{Day, Events, HOURS};
use super::record::{common, off, round};
use super::run::Outcome;
use crate::environment::Environment;
use crate::run::build::as_f64;
use crate::run::{Cell, Kind, Plot, Run, Style, Table};

/// The counts as the load saw them.
pub fn events(outcome: &Outcome) -> Events {
    events_of(outcome.everything())
}

/// The same with those of the look at the server before the run, which are in its audit record, too.
pub fn events_with_before(outcome: &Outcome) -> Events {
    let mut all = outcome.everything();
    all += outcome.before;
    events_of(all)
}

fn events_of(seen: Counts) -> Events {
    Events {
        authentication_triggered: seen.sign_ins + seen.refused + seen.checks,
        authentication_success: seen.sign_ins + seen.checks,
        authentication_failed: seen.refused,
        service_ticket_created: seen.tickets,
        service_ticket_not_created: seen.not_created,
        service_ticket_validated: seen.validations,
        service_ticket_validate_failed: seen.replays,
        ticket_granting_ticket_created: seen.sign_ins,
        ticket_granting_ticket_destroyed: seen.sign_outs,
    }
}

/// The record of a day.
pub fn of(outcome: &Outcome, day: &Day, environment: Environment) -> Run {
    let title = format!(
        "{}: a day at time scale {}",
        outcome.plan.name, outcome.plan.time_scale
    );
    let mut run = Run::new(Kind::Swarm, title, environment);
    run.note(day.about.clone());
    run.note(
        "AUTHENTICATION_EVENT_TRIGGERED is one for each form or password that was sent; Apereo CAS, whose count is \
         published, records about three for each sign-in.",
    );
    let columns = ["event", "published, per day", "seen by the load", "off, %"];
    let mut table = Table::new("A day's events", &columns);
    for ((name, published), (_, seen)) in day.events.rows().into_iter().zip(events(outcome).rows())
    {
        table.row([
            Cell::from(name),
            Cell::from(published),
            Cell::from(seen),
            Cell::from(round(off(as_f64(seen), as_f64(published)))),
        ]);
    }
    run.tables.push(table);
    common(&mut run, outcome);
    run.plots.push(hours(outcome, day));
    run
}

fn hours(outcome: &Outcome, day: &Day) -> Plot {
    let mut plot = Plot::new("Sign-ins in each hour of the day", "hour", "sign-ins");
    let mut by_hour = [0; HOURS];
    for (minute, counts) in outcome.seen.minutes.all().iter().enumerate() {
        if let Some(hour) = by_hour.get_mut(minute / 60) {
            *hour += counts.sign_ins;
        }
    }
    let sum: f64 = day.curve.iter().sum();
    let all = as_f64(day.events.ticket_granting_ticket_created);
    let wanted = day.curve.iter().map(|share| share / sum * all);
    let axis = || (0..).map(f64::from);
    plot.line(
        "measured",
        Style::Dots,
        axis().zip(by_hour.map(as_f64)).collect(),
    );
    plot.line(
        "curve of the scenario",
        Style::Dashed,
        axis().zip(wanted).collect(),
    );
    plot
}

/// What `castor audit report --json` writes, as far as it is needed.
#[derive(Deserialize)]
struct Audit {
    events: Vec<Row>,
    #[serde(default)]
    warnings: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Row {
    action: String,
    total: u64,
}

/// The counts that the record of a run saw beside those of an audit report; and whether they are the same.
///
/// # Errors
/// When one of them lacks the counts.
pub fn compare(run: &Run, audit: &str) -> anyhow::Result<(Table, Vec<String>, bool)> {
    let audit: Audit = serde_json::from_str(audit)
        .context("this is not what castor audit report --json writes")?;
    let columns = ["event", "seen by the load", "audit record", "difference"];
    let mut table = Table::new("The load's events in the server's audit record", &columns);
    let mut same = true;
    for (name, _) in Events::default().rows() {
        let seen = run.figures.iter().find(|figure| figure.name == name);
        let seen = seen.with_context(|| format!("the record of the run has no figure {name}"))?;
        let there = audit.events.iter().find(|row| row.action == name);
        let there = there.with_context(|| format!("the audit report has no {name}"))?;
        let difference = as_f64(there.total) - seen.value;
        same &= difference.abs() < 0.5;
        table.row([
            Cell::from(name),
            Cell::from(seen.value),
            Cell::from(there.total),
            Cell::from(difference),
        ]);
    }
    let warnings = audit.warnings.iter().map(|warning| match warning {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    Ok((table, warnings.collect(), same))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(of_one: u64) -> String {
        let rows: Vec<_> = Events::default()
            .rows()
            .iter()
            .map(|(name, _)| serde_json::json!({"name": "n", "action": name, "total": of_one, "per_day": 1.5}))
            .collect();
        serde_json::json!({"from": "a", "events": rows, "warnings": ["n2 was silent"]}).to_string()
    }

    #[test]
    fn an_audit_record_is_the_same_or_not() {
        let mut run = Run::new(Kind::Swarm, "a day", Environment::unknown());
        for (name, _) in Events::default().rows() {
            run.figure(name, 7.0, "");
        }
        let (table, warnings, same) = compare(&run, &audit(7)).unwrap();
        assert!(same && table.rows.len() == 9);
        assert_eq!(warnings, ["n2 was silent"]);
        assert!(!compare(&run, &audit(8)).unwrap().2);
        assert!(compare(&run, "{}").is_err());
        run.figures.pop();
        let error = compare(&run, &audit(7)).unwrap_err().to_string();
        assert!(
            error.contains("TICKET_GRANTING_TICKET_DESTROYED"),
            "{error}"
        );
    }
}
