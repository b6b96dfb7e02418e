//! One user of a population: a state machine that says what is done next and when.
//!
//! Promises: no clock, no network: what a user does follows from seed, number and what the caller says
//! failed. Times are seconds since the population began. Nobody waits for an answer: a step is due at its
//! time however long the step before took, so that a slow answer does not thin the load, and compressed
//! time does not stretch answers. Does not: do anything.

use super::scenario::Population;
use crate::rng::Rng;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A life begins: sign in.
    SignIn {
        /// Which account.
        account: usize,
        /// Whether the password is wrong; then the life ends at once.
        wrong_password: bool,
    },
    /// Ask for a ticket; the application validates it.
    Ticket {
        /// Which application.
        service: usize,
    },
    /// The life ends.
    Die {
        /// Whether the user signs out.
        log_out: bool,
    },
}

/// What is done, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Seconds since the population began.
    pub at: f64,
    /// What.
    pub act: Act,
}

/// One user, through all its lives.
#[derive(Debug, Clone)]
pub struct User {
    rng: Rng,
    class: usize,
    state: State,
    /// Time of the last step.
    now: f64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Unborn { at: f64 },
    Alive { next: f64, dies: f64, log_out: bool },
}

impl User {
    /// User number `index` of the population with this seed.
    pub fn new(population: &Population, seed: u64, index: u32) -> Self {
        // Neighbouring numbers must not have neighbouring sequences.
        let mut rng = Rng::new(Rng::new(seed).next_u64() ^ u64::from(index));
        let mut rng = Rng::new(rng.next_u64());
        Self {
            class: draw_class(population, &mut rng),
            rng,
            state: State::Unborn {
                at: f64::from(index) / population.hatch_rate,
            },
            now: 0.0,
        }
    }

    /// Number of the class, the same in all lives.
    pub fn class(&self) -> usize {
        self.class
    }

    /// The next step; never before the one before.
    pub fn step(&mut self, population: &Population) -> Step {
        let step = match self.state {
            State::Unborn { at } => self.be_born(population, at),
            State::Alive {
                next,
                dies,
                log_out,
            } if next < dies => {
                self.state = State::Alive {
                    next: next + self.wait(population),
                    dies,
                    log_out,
                };
                Step {
                    at: next,
                    act: Act::Ticket {
                        service: self.rng.below(usize::from(population.services)),
                    },
                }
            }
            State::Alive { dies, log_out, .. } => {
                self.state = State::Unborn { at: dies };
                Step {
                    at: dies,
                    act: Act::Die { log_out },
                }
            }
        };
        self.now = step.at;
        step
    }

    /// The last step failed though it should not have: the life ends there, and the next begins after a
    /// wait, so that a server that answers nothing is not asked without end.
    pub fn failed(&mut self, population: &Population) {
        self.state = State::Unborn {
            at: self.now + self.wait(population),
        };
    }

    fn be_born(&mut self, population: &Population, at: f64) -> Step {
        let account = self.rng.below(usize::from(population.accounts));
        let wrong_password = self.rng.unit() < population.wrong_password;
        if !wrong_password {
            let spread = population.life_spread;
            let life = population.classes.get(self.class).map_or(1.0, |c| c.life);
            let life = life * self.rng.between(1.0 - spread, 1.0 + spread);
            self.state = State::Alive {
                next: at + self.wait(population),
                dies: at + life,
                log_out: self.rng.unit() < population.log_out,
            };
        }
        Step {
            at,
            act: Act::SignIn {
                account,
                wrong_password,
            },
        }
    }

    fn wait(&mut self, population: &Population) -> f64 {
        let [least, most] = population.wait;
        self.rng.between(least, most)
    }
}

fn draw_class(population: &Population, rng: &mut Rng) -> usize {
    let all: f64 = population.classes.iter().map(|class| class.share).sum();
    let mut left = rng.between(0.0, all);
    for (number, class) in population.classes.iter().enumerate() {
        left -= class.share;
        if left < 0.0 {
            return number;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::scenario::Scenario;

    fn lafayette() -> Population {
        Scenario::open("lafayette").unwrap().population().unwrap()
    }

    fn steps(population: &Population, seed: u64, index: u32, count: usize) -> Vec<Step> {
        let mut user = User::new(population, seed, index);
        (0..count).map(|_| user.step(population)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_lives() {
        let population = lafayette();
        let some = steps(&population, 7, 3, 500);
        assert_eq!(some, steps(&population, 7, 3, 500));
        assert_ne!(some, steps(&population, 8, 3, 500));
        assert_ne!(some, steps(&population, 7, 4, 500));
    }

    #[test]
    fn a_life_is_a_sign_in_tickets_after_waits_and_a_death() {
        let population = lafayette();
        for index in 0..200 {
            let steps = steps(&population, 11, index, 400);
            assert!((steps[0].at - f64::from(index) / 10.0).abs() < 1e-9);
            for pair in steps.windows(2) {
                let wait = pair[1].at - pair[0].at;
                match (pair[0].act, pair[1].act) {
                    (
                        Act::SignIn {
                            wrong_password: true,
                            ..
                        }
                        | Act::Die { .. },
                        Act::SignIn { account, .. },
                    ) => {
                        assert!(account < 9);
                        assert!(wait.abs() < 1e-9, "born again at once, not after {wait} s");
                    }
                    (
                        Act::SignIn {
                            wrong_password: false,
                            ..
                        }
                        | Act::Ticket { .. },
                        Act::Ticket { service },
                    ) => {
                        assert!((5.0..15.0).contains(&wait) && service < 3, "{wait}");
                    }
                    (Act::Ticket { .. }, Act::Die { .. }) => assert!((0.0..15.0).contains(&wait)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn lives_have_the_length_of_their_class_all_over_again() {
        let population = lafayette();
        for index in 0..50 {
            let mut user = User::new(&population, 5, index);
            let mean = population.classes[user.class()].life;
            let mut born = 0.0;
            for _ in 0..3000 {
                let step = user.step(&population);
                match step.act {
                    Act::SignIn { .. } => born = step.at,
                    Act::Die { .. } => {
                        let share = (step.at - born) / mean;
                        assert!((0.85..1.15).contains(&share), "{share}");
                    }
                    Act::Ticket { .. } => {}
                }
            }
        }
    }

    #[test]
    fn who_fails_is_born_again_after_a_wait() {
        let population = lafayette();
        let mut user = User::new(&population, 1, 0);
        let first = user.step(&population);
        user.failed(&population);
        let second = user.step(&population);
        assert!(matches!(second.act, Act::SignIn { .. }));
        assert!((5.0..15.0).contains(&(second.at - first.at)));
    }
}
