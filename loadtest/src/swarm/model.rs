//! What a population does when every answer is right and comes at once: the model without a server.
//!
//! Promises: the same [`super::population::User`] that a run drives. Ends: time is bounded by the
//! scenario. Does not: know how long answers take.

use super::counts::{Counts, Minutes};
use super::population::{Act, User};
use super::scenario::Population;

/// Requests of a sign-in: the page and the form.
pub(super) const SIGN_IN_REQUESTS: u64 = 2;

/// What the population does in its minutes.
pub fn predict(population: &Population, seed: u64) -> Minutes {
    let end = population.minutes * 60.0;
    let mut minutes = Minutes::default();
    for index in 0..population.users {
        let mut user = User::new(population, seed, index);
        loop {
            let step = user.step(population);
            if step.at >= end {
                break;
            }
            minutes.add(step.at, counts_of(step.act));
        }
    }
    minutes
}

fn counts_of(act: Act) -> Counts {
    let none = Counts::default();
    match act {
        Act::SignIn { wrong_password, .. } => Counts {
            sign_ins: u64::from(!wrong_password),
            refused: u64::from(wrong_password),
            requests: SIGN_IN_REQUESTS,
            ..none
        },
        Act::Ticket { .. } => Counts {
            tickets: 1,
            validations: 1,
            requests: 2,
            ..none
        },
        Act::Die { log_out } => Counts {
            sign_outs: u64::from(log_out),
            requests: u64::from(log_out),
            ..none
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::counts::per_minute;
    use crate::swarm::scenario::Scenario;

    fn population(name: &str) -> Population {
        Scenario::open(name).unwrap().population().unwrap()
    }

    #[test]
    fn lafayette_has_the_rates_of_its_description() {
        let mut lafayette = population("lafayette");
        lafayette.users = 2000;
        lafayette.hatch_rate = 10_000.0;
        lafayette.minutes = 240.0;
        let counts = predict(&lafayette, 1).total();
        let user_minutes = f64::from(lafayette.users) * lafayette.minutes;
        let events = per_minute(counts.events(), user_minutes);
        // The publication shows 11.98 per user and minute.
        assert!((12.03..12.09).contains(&events), "{events}");
        let net = counts.net_sessions() / user_minutes;
        assert!((0.53..0.58).contains(&net), "{net}");
        let wrong = per_minute(counts.refused, per_minute(counts.sign_ins, 1.0));
        assert!((0.009..0.0115).contains(&wrong), "{wrong}");
    }

    #[test]
    fn the_ha_guides_figures_come_out() {
        let guide = population("ha_guide");
        let expect = guide.expect.unwrap();
        let counts = predict(&guide, 1).total();
        let seconds = guide.minutes * 60.0;
        let requests = per_minute(counts.requests, seconds) / expect.requests_per_second;
        assert!((0.99..1.01).contains(&requests), "{requests}");
        let hourly = per_minute(counts.validations, guide.minutes / 60.0);
        let hourly = hourly / expect.authentications_per_hour;
        assert!((0.99..1.01).contains(&hourly), "{hourly}");
    }

    #[test]
    fn users_hatch_at_their_rate_and_wait_before_the_first_ticket() {
        let mut lafayette = population("lafayette");
        lafayette.users = 600;
        lafayette.minutes = 5.0;
        lafayette.classes.retain(|class| class.name == "long");
        let minutes = predict(&lafayette, 1);
        let sign_ins: Vec<u64> = minutes.all().iter().map(|m| m.sign_ins).collect();
        assert!(sign_ins[0] > 580 && sign_ins[1..].iter().all(|more| *more < 20));
        lafayette.users = 1;
        lafayette.minutes = 4.9 / 60.0;
        assert_eq!(predict(&lafayette, 1).total().tickets, 0);
    }
}
