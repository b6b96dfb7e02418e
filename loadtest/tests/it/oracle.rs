//! The single-use rule against a general linearizability tester, on random histories of one ticket.
//!
//! The tester searches all orders; the rule is linear. Both must agree on every history: a ticket
//! is a cell that the first validation empties, and a call without an answer may happen any time.

use castor_loadtest::check::single_use::SingleUse;
use castor_loadtest::rng::Rng;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

const HISTORIES: u64 = 50_000;
const CALLS_MAX: u64 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cell {
    used: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Ask {
    Validate,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Answer {
    Success,
    Refused,
}

impl SequentialSpec for Cell {
    type Op = Ask;
    type Ret = Answer;

    fn invoke(&mut self, Ask::Validate: &Ask) -> Answer {
        if std::mem::replace(&mut self.used, true) {
            Answer::Refused
        } else {
            Answer::Success
        }
    }
}

/// One call: its beginning, and its end with the answer when there was one.
struct Call {
    began: u64,
    ended: Option<(u64, bool)>,
}

/// A few calls with all moments different.
fn random_calls(rng: &mut Rng) -> Vec<Call> {
    let count = 1 + rng.next_u64() % CALLS_MAX;
    let mut moments: Vec<u64> = (0..2 * count).collect();
    for at in (1..moments.len()).rev() {
        let other = usize::try_from(rng.next_u64() % (at as u64 + 1)).unwrap();
        moments.swap(at, other);
    }
    let call = |pair: &[u64]| {
        let (began, ended) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        let answer = match rng.next_u64() % 6 {
            0 => None,
            1 | 2 => Some((ended, true)),
            _ => Some((ended, false)),
        };
        Call {
            began,
            ended: answer,
        }
    };
    moments.chunks(2).map(call).collect()
}

fn tester_says(calls: &[Call]) -> bool {
    let mut tester = LinearizabilityTester::new(Cell { used: false });
    for moment in 0..2 * calls.len() as u64 {
        for (process, call) in calls.iter().enumerate() {
            if call.began == moment {
                tester.on_invoke(process, Ask::Validate).unwrap();
            }
            if let Some((_, success)) = call.ended.filter(|(ended, _)| *ended == moment) {
                let answer = if success {
                    Answer::Success
                } else {
                    Answer::Refused
                };
                tester.on_return(process, answer).unwrap();
            }
        }
    }
    tester.is_consistent()
}

fn rule_says(calls: &[Call]) -> bool {
    let mut rule = SingleUse::default();
    for call in calls {
        match call.ended {
            None => rule.open(call.began),
            Some((_, true)) => rule.success(call.began),
            Some((ended, false)) => rule.refused(ended),
        }
    }
    rule.successes() <= 1 && rule.refused_unused().is_none()
}

#[test]
fn the_rule_agrees_with_a_tester_that_tries_every_order() {
    let mut rng = Rng::new(4711);
    let mut consistent = 0;
    for history in 0..HISTORIES {
        let calls = random_calls(&mut rng);
        let expected = tester_says(&calls);
        assert_eq!(
            rule_says(&calls),
            expected,
            "history {history} of seed 4711"
        );
        consistent += u64::from(expected);
    }
    // Histories of one kind only would prove nothing.
    assert!(
        consistent > HISTORIES / 10 && consistent < HISTORIES * 9 / 10,
        "{consistent}"
    );
}
