//! The benches pass an honest server and catch each sin by its own rule.

use castor_loadtest::bench::{pairs, race, resend};
use castor_loadtest::judge::{Sin as Verdict, Tally};

use crate::fake_cas::Sin;
use crate::setup::{Setup, environment};

async fn pairs(sins: &[Sin], route: pairs::Route) -> (bool, Tally) {
    let setup = Setup::new(sins).await;
    let plan = pairs::Plan {
        count: 60,
        concurrency: 4,
        route,
        rate: None,
        replay_every: 3,
    };
    let outcome = pairs::run(&setup.lab(), &plan, environment())
        .await
        .unwrap();
    (outcome.passed, outcome.tally)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_server_passes_every_bench() {
    for route in [pairs::Route::Front, pairs::Route::Nodes] {
        let (passed, tally) = pairs(&[], route).await;
        assert!(passed, "{tally:?}");
        // 60 issues, 60 validations, 20 replays, and nothing else.
        assert_eq!((tally.right, tally.wrong()), (140, 0));
    }
    let setup = Setup::new(&[]).await;
    let outcome = race::run(&setup.lab(), 50, 2, environment()).await.unwrap();
    assert!(outcome.passed, "{:?}", outcome.tally);
    let outcome = resend::run(&setup.lab(), "Castor-Request-Id", 20, 10, environment())
        .await
        .unwrap();
    assert!(outcome.passed, "{:?}", outcome.tally);
    let details = serde_json::to_value(&outcome.details).unwrap();
    assert_eq!(
        details["control_both_succeed"], 10,
        "the nodes believe the header"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_catch_each_sin_by_its_rule() {
    for (sin, verdict) in [
        (Sin::ValidatesTwice, Verdict::ValidatedTwice),
        (Sin::WrongUser, Verdict::WrongUser),
        (Sin::RefusesLiveTickets, Verdict::Refused),
        (Sin::LosesSessions, Verdict::SessionLost),
        (Sin::IssuesTwice, Verdict::IssuedTwice),
        (Sin::WrongAttributes, Verdict::WrongAttributes),
        (Sin::SilentFailure, Verdict::Malformed),
        (Sin::NoNamespace, Verdict::Malformed),
        (Sin::Unavailable, Verdict::Unavailable),
    ] {
        let (passed, tally) = pairs(&[sin], pairs::Route::Nodes).await;
        assert!(!passed, "{sin:?} passed");
        assert!(tally.count(verdict) > 0, "{sin:?}: {tally:?}");
        let text = format!("{:?}", tally.examples);
        assert!(
            !text.contains(&format!("p{}x", std::process::id())),
            "a whole ticket: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_catches_two_winners_and_none() {
    for (sin, verdict) in [
        (Sin::ValidatesTwice, Verdict::ValidatedTwice),
        (Sin::RefusesLiveTickets, Verdict::NeverValidated),
        (Sin::WrongUser, Verdict::WrongUser),
    ] {
        let setup = Setup::new(&[sin]).await;
        let outcome = race::run(&setup.lab(), 30, 1, environment()).await.unwrap();
        assert!(!outcome.passed, "{sin:?} passed");
        assert!(
            outcome.tally.count(verdict) > 0,
            "{sin:?}: {:?}",
            outcome.tally
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_that_believes_clients_is_caught() {
    let setup = Setup::new(&[Sin::BelievesClients]).await;
    let outcome = resend::run(&setup.lab(), "Castor-Request-Id", 10, 0, environment())
        .await
        .unwrap();
    assert!(!outcome.passed);
    assert_eq!(outcome.tally.count(Verdict::ValidatedTwice), 10);
}
