//! A population against the fake server: it does what the model says, and each sin is found.

use std::time::Duration;

use castor_loadtest::judge::Sin as Verdict;
use castor_loadtest::server::Whom;
use castor_loadtest::stop::Stop;
use castor_loadtest::swarm::Early;
use castor_loadtest::swarm::addresses::Addresses;
use castor_loadtest::swarm::model;
use castor_loadtest::swarm::run::{Outcome, Plan, run};
use castor_loadtest::swarm::scenario::{Population, Scenario};
use castor_loadtest::swarm::target::{Options, Target};

use crate::fake_cas::Sin;
use crate::setup::{Setup, environment};

/// The Lafayette population, small, with short lives and more mistakes.
fn population() -> Population {
    let mut population = Scenario::open("lafayette").unwrap().population().unwrap();
    population.users = 12;
    population.minutes = 4.0;
    population.log_out = 0.5;
    population.wrong_password = 0.2;
    population.classes.truncate(1);
    population
}

fn plan(replay_share: f64) -> Plan {
    Plan {
        name: "small".to_owned(),
        scenario: Scenario::Population(population()),
        seed: 7,
        time_scale: 120.0,
        replay_share,
    }
}

fn target(setup: &Setup) -> Target {
    let options = Options {
        whom: Whom {
            cluster: Some(setup.cluster.clone()),
            ..Whom::default()
        },
        service: "http://127.0.0.1/app{n}?a=1".to_owned(),
        timeout: Duration::from_secs(5),
        browsers: "127.0.1.1-127.0.1.9".parse().unwrap(),
        applications: "127.0.2.1-127.0.2.9".parse().unwrap(),
        refused: "http://127.0.0.1/refused".to_owned(),
        nodes: Vec::new(),
        pids: vec![std::process::id()],
        metrics: Vec::new(),
        protocol: 3,
    };
    assert!(!options.browsers.meets(options.applications));
    assert_ne!(options.browsers, Addresses::Any);
    Target::open(&options, 3).unwrap()
}

async fn outcome(sins: &[Sin], replay_share: f64) -> Outcome {
    let setup = Setup::new(sins).await;
    let target = target(&setup);
    run(plan(replay_share), target, &Stop::new())
        .await
        .unwrap()
        .1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_server_sees_exactly_what_the_model_says() {
    // The dialects of other servers are no sins.
    for dialect in [&[][..], &[Sin::RefusesWithForm, Sin::RedirectsSignIns]] {
        let outcome = outcome(dialect, 0.3).await;
        let seen = &outcome.seen;
        assert_eq!(seen.tally.wrong(), 0, "{:?}", seen.tally);
        let model = model::predict(&population(), 7);
        let mut total = seen.minutes.total();
        total += seen.too_late;
        assert_eq!(total.replays, seen.replayed);
        total.replays = 0;
        assert_eq!(total, model.total());
        assert!(model.total().refused > 0 && model.total().sign_outs > 0);
        assert!(seen.replayed > 20, "{}", seen.replayed);
        assert_eq!((outcome.early.as_ref(), seen.cut_short), (None, 0));
        assert!(outcome.cpu_seconds().unwrap() > 0.0);
        let record = castor_loadtest::swarm::record::of(&outcome, environment());
        assert!(record.verdict.passed() && record.verdict.judged > 500);
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("ST-"), "a ticket in the record");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sin_is_found_by_its_rule() {
    for (sin, verdict) in [
        (Sin::WrongUser, Verdict::WrongUser),
        (Sin::WrongAttributes, Verdict::WrongAttributes),
        (Sin::RefusesLiveTickets, Verdict::Refused),
        (Sin::LosesSessions, Verdict::SessionLost),
        (Sin::IssuesTwice, Verdict::IssuedTwice),
        (Sin::NoNamespace, Verdict::Malformed),
        (Sin::Unavailable, Verdict::Unavailable),
        (Sin::AcceptsAnything, Verdict::PasswordAccepted),
    ] {
        let setup = Setup::new(&[sin]).await;
        let target = target(&setup);
        let stop = Stop::new();
        let Ok((_, outcome)) = run(plan(0.3), target, &stop).await else {
            // What is wrong from the first answer on never begins.
            assert!(
                matches!(sin, Sin::NoNamespace | Sin::Unavailable),
                "{sin:?}"
            );
            continue;
        };
        let tally = &outcome.seen.tally;
        assert!(tally.count(verdict) > 0, "{sin:?}: {tally:?}");
        let record = castor_loadtest::swarm::record::of(&outcome, environment());
        assert!(!record.verdict.passed(), "{sin:?} passed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_ticket_that_works_again_is_found() {
    let outcome = outcome(&[Sin::ValidatesTwice, Sin::TicketsNeverDie], 0.5).await;
    let tally = &outcome.seen.tally;
    assert!(tally.count(Verdict::ValidatedTwice) > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_breaks_ends_the_run_and_what_was_seen_is_kept() {
    let outcome = outcome(&[Sin::BreaksLater], 0.0).await;
    let Some(Early::Hopeless(why)) = &outcome.early else {
        panic!("{:?}", outcome.early);
    };
    assert!(why.contains("500"), "{why}");
    assert!(outcome.seen.minutes.total().tickets > 5);
    assert!(outcome.minutes < 4.0);
    let record = castor_loadtest::swarm::record::of(&outcome, environment());
    assert!(!record.verdict.passed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_ends_the_run_and_what_was_seen_is_kept() {
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let target = target(&setup);
    let stop = Stop::new();
    let mut plan = plan(0.1);
    let mut long = population();
    long.minutes = 400.0;
    plan.scenario = Scenario::Population(long);
    let (outcome, ()) = tokio::join!(run(plan, target, &stop), async {
        let tickets = setup.folder.path().join("state/tickets");
        while std::fs::read_dir(&tickets).unwrap().count() < 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.set();
    });
    let (_, outcome) = outcome.unwrap();
    assert_eq!(outcome.early, Some(Early::Interrupted));
    assert_eq!(outcome.seen.tally.wrong(), 0, "{:?}", outcome.seen.tally);
    assert!(outcome.minutes > 0.05 && outcome.minutes < 300.0);
    assert!(outcome.seen.minutes.total().events() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_makes_exactly_its_events() {
    let Scenario::Day(mut day) = Scenario::open("new_school").unwrap() else {
        panic!("new_school is a day");
    };
    let events = &mut day.events;
    events.authentication_success = 60;
    events.ticket_granting_ticket_created = 50;
    events.authentication_failed = 9;
    events.service_ticket_created = 80;
    events.service_ticket_not_created = 4;
    events.service_ticket_validated = 55;
    events.service_ticket_validate_failed = 7;
    events.ticket_granting_ticket_destroyed = 23;
    day.check().unwrap();
    let wanted = day.events;
    let setup = Setup::new(&[Sin::TicketsNeverDie]).await;
    let plan = Plan {
        scenario: Scenario::Day(day),
        time_scale: 30_000.0,
        ..plan(0.0)
    };
    let target = target(&setup);
    let (_, outcome) = run(plan, target, &Stop::new()).await.unwrap();
    assert_eq!(outcome.seen.tally.wrong(), 0, "{:?}", outcome.seen.tally);
    let mut seen = castor_loadtest::swarm::day_record::events(&outcome);
    assert_eq!(seen.authentication_triggered, 60 + 9);
    seen.authentication_triggered = wanted.authentication_triggered;
    assert_eq!(seen, wanted);
    // Before the run: each account once, and once more to be refused; a check of a password at each of three doors.
    let all = castor_loadtest::swarm::day_record::events_with_before(&outcome);
    assert_eq!(all.service_ticket_validate_failed, 7 + 1);
    assert_eq!(all.service_ticket_not_created, 4 + 1);
    assert_eq!(all.ticket_granting_ticket_created, 50 + 1 + 1);
    assert_eq!(all.authentication_success, 60 + 1 + 1 + 3);
    let record = castor_loadtest::swarm::record::of(&outcome, environment());
    assert!(record.verdict.passed());
    assert_eq!(record.tables[0].rows.len(), 9);
}
