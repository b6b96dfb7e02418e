//! The judge: every answer is right, or it is one of these sins.
//!
//! Promises: nothing is dropped: right answers and sins add up to the answers seen; a bounded
//! number of examples is kept, tickets masked.
//! Does not: decide which sins a run forgives; the commands do.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;

use crate::cas::validation::{Attributes, Validation};
use crate::cas::{TicketAnswer, mask};
use crate::person::{SignIn, SignOut};

/// Examples kept of each run.
const EXAMPLES_MAX: usize = 12;

/// What can be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sin {
    /// A ticket was validated for somebody else.
    WrongUser,
    /// A ticket was validated with other attributes than the account has, or than before.
    WrongAttributes,
    /// A ticket was validated more than once.
    ValidatedTwice,
    /// The same ticket was issued twice.
    IssuedTwice,
    /// Of several validations of one live ticket none succeeded.
    NeverValidated,
    /// A live ticket was refused.
    Refused,
    /// An acknowledged session was answered with the login form.
    SessionLost,
    /// The right password was refused.
    PasswordRefused,
    /// A wrong password was accepted.
    PasswordAccepted,
    /// An answer that no CAS client understands.
    Malformed,
    /// 5xx.
    Unavailable,
    /// No answer: connection refused or broken, or too late.
    Unanswered,
}

impl Sin {
    /// Whether the answer is false, rather than missing: an error page or a broken connection
    /// tells the client to try again, a false answer misleads it.
    pub fn is_false_answer(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Unanswered)
    }

    /// Short name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::WrongUser => "wrong user",
            Self::WrongAttributes => "wrong attributes",
            Self::ValidatedTwice => "validated twice",
            Self::IssuedTwice => "issued twice",
            Self::NeverValidated => "never validated",
            Self::Refused => "live ticket refused",
            Self::SessionLost => "session lost",
            Self::PasswordRefused => "right password refused",
            Self::PasswordAccepted => "wrong password accepted",
            Self::Malformed => "malformed answer",
            Self::Unavailable => "5xx",
            Self::Unanswered => "no answer",
        }
    }
}

/// Judged answers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Right answers.
    pub right: u64,
    /// Sins by kind.
    pub sins: BTreeMap<Sin, u64>,
    /// Some of them in words.
    pub examples: Vec<String>,
}

impl Tally {
    /// Counts a right answer.
    pub fn right(&mut self) {
        self.right += 1;
    }

    /// Counts a sin.
    pub fn sin(&mut self, sin: Sin, what: impl FnOnce() -> String) {
        *self.sins.entry(sin).or_default() += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{}: {}", sin.title(), what()));
        }
    }

    /// Takes over what another worker judged.
    pub fn merge(&mut self, other: Self) {
        self.right += other.right;
        for (sin, count) in other.sins {
            *self.sins.entry(sin).or_default() += count;
        }
        let room = EXAMPLES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    /// Sins of this kind.
    pub fn count(&self, sin: Sin) -> u64 {
        self.sins.get(&sin).copied().unwrap_or(0)
    }

    /// All sins.
    pub fn wrong(&self) -> u64 {
        self.sins.values().sum()
    }

    /// Answers that were false, rather than missing.
    pub fn false_answers(&self) -> u64 {
        self.sins
            .iter()
            .filter(|(sin, _)| sin.is_false_answer())
            .map(|(_, count)| count)
            .sum()
    }

    /// `12 live ticket refused, 3 5xx`, or `none`.
    pub fn sins_text(&self) -> String {
        if self.sins.is_empty() {
            return "none".to_owned();
        }
        let parts: Vec<String> = self
            .sins
            .iter()
            .map(|(sin, count)| format!("{count} {}", sin.title()))
            .collect();
        parts.join(", ")
    }
}

/// Judges the answer to a ticket request of a signed-in person; the ticket when it is right.
pub fn ticket(tally: &mut Tally, answer: TicketAnswer) -> Option<String> {
    match answer {
        TicketAnswer::Ticket(ticket) => {
            tally.right();
            return Some(ticket);
        }
        TicketAnswer::Form => tally.sin(Sin::SessionLost, || {
            "the login form instead of a ticket".into()
        }),
        TicketAnswer::Unavailable(status) => {
            tally.sin(Sin::Unavailable, || {
                format!("status {status} to a ticket request")
            });
        }
        TicketAnswer::Odd(what) => tally.sin(Sin::Malformed, || what),
        TicketAnswer::Failed(error) => tally.sin(Sin::Unanswered, || error.to_string()),
    }
    None
}

/// Judges the first validation of a live ticket.
pub fn validation(tally: &mut Tally, answer: &Validation, ticket: &str, user: &str) -> bool {
    let what = || format!("{} {answer}", mask(ticket));
    match answer {
        Validation::Success { user: got, .. } if got == user => {
            tally.right();
            return true;
        }
        Validation::Success { .. } => tally.sin(Sin::WrongUser, what),
        Validation::Refused { .. } => tally.sin(Sin::Refused, what),
        Validation::Unavailable(_) => tally.sin(Sin::Unavailable, what),
        Validation::Odd(_) => tally.sin(Sin::Malformed, what),
        Validation::Failed(_) => tally.sin(Sin::Unanswered, what),
    }
    false
}

/// Attributes that tell of a session or of a ticket, and not of the user.
const NOT_OF_THE_USER: [&str; 3] = [
    "authenticationDate",
    "isFromNewLogin",
    "longTermAuthenticationRequestTokenUsed",
];

/// What applications learn about the one user of a run: what the first of them was told.
#[derive(Debug, Default)]
pub struct Released(OnceLock<Attributes>);

impl Released {
    /// Whether a success tells what the first one told; counts a sin when it does not.
    pub fn are_right(&self, tally: &mut Tally, answer: &Validation, ticket: &str) -> bool {
        let Validation::Success { attributes, .. } = answer else {
            return true;
        };
        let of_the_user = |(name, _): &&(String, String)| !NOT_OF_THE_USER.contains(&name.as_str());
        let mut attributes: Attributes = attributes.iter().filter(of_the_user).cloned().collect();
        attributes.sort();
        let right = *self.0.get_or_init(|| attributes.clone()) == attributes;
        if !right {
            tally.right = tally.right.saturating_sub(1);
            tally.sin(Sin::WrongAttributes, || {
                format!("{}: others than before in this run", mask(ticket))
            });
        }
        right
    }
}

/// Judges a further validation of a ticket that was validated before: it must be refused as
/// `INVALID_TICKET`.
pub fn replay(tally: &mut Tally, answer: &Validation, ticket: &str) {
    let what = || format!("{} again: {answer}", mask(ticket));
    match answer {
        Validation::Refused { code } if code == "INVALID_TICKET" => tally.right(),
        Validation::Refused { .. } | Validation::Odd(_) => tally.sin(Sin::Malformed, what),
        Validation::Success { .. } => tally.sin(Sin::ValidatedTwice, what),
        Validation::Unavailable(_) => tally.sin(Sin::Unavailable, what),
        Validation::Failed(_) => tally.sin(Sin::Unanswered, what),
    }
}

/// Judges a sign-in with the right password; true when it was acknowledged.
pub fn sign_in(tally: &mut Tally, answer: SignIn) -> bool {
    match answer {
        SignIn::Done => {
            tally.right();
            return true;
        }
        SignIn::WrongPassword => {
            tally.sin(Sin::PasswordRefused, || "a sign-in was refused".into());
        }
        SignIn::Unavailable(status) => {
            tally.sin(Sin::Unavailable, || format!("status {status} to a sign-in"));
        }
        SignIn::Odd(what) => tally.sin(Sin::Malformed, || what),
        SignIn::Failed(error) => tally.sin(Sin::Unanswered, || error.to_string()),
    }
    false
}

/// Judges a sign-in with a wrong password; true when it was refused.
pub fn refusal(tally: &mut Tally, answer: SignIn) -> bool {
    match answer {
        SignIn::WrongPassword => {
            tally.right();
            true
        }
        SignIn::Done => {
            tally.sin(Sin::PasswordAccepted, || "a sign-in".into());
            false
        }
        other => sign_in(tally, other),
    }
}

/// Judges a sign-out; true when it was acknowledged.
pub fn sign_out(tally: &mut Tally, answer: SignOut) -> bool {
    match answer {
        SignOut::Done => {
            tally.right();
            return true;
        }
        SignOut::Unavailable(status) => {
            tally.sin(Sin::Unavailable, || {
                format!("status {status} to a sign-out")
            });
        }
        SignOut::Odd(what) => tally.sin(Sin::Malformed, || what),
        SignOut::Failed(error) => tally.sin(Sin::Unanswered, || error.to_string()),
    }
    false
}

/// Judges the answers to simultaneous validations of one ticket; the index of the winner when
/// exactly one succeeded.
pub fn race(tally: &mut Tally, answers: &[Validation], ticket: &str, user: &str) -> Option<usize> {
    let mut winners = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        if let Validation::Success { user: got, .. } = answer {
            winners.push(index);
            if got != user {
                tally.sin(Sin::WrongUser, || format!("{} {answer}", mask(ticket)));
            }
        }
    }
    for answer in answers
        .iter()
        .filter(|answer| !matches!(answer, Validation::Success { .. }))
    {
        replay(tally, answer, ticket);
    }
    let all = || {
        answers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    match winners.as_slice() {
        [winner] => {
            tally.right();
            Some(*winner)
        }
        [] => {
            tally.sin(Sin::NeverValidated, || {
                format!("{}: {}", mask(ticket), all())
            });
            None
        }
        _ => {
            tally.sin(Sin::ValidatedTwice, || {
                format!("{}: {}", mask(ticket), all())
            });
            None
        }
    }
}
