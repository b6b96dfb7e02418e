//! The two lines of CAS 1: `yes` and the user name, or `no` and an empty line; line feeds only.

use crate::cas::outcome::Outcome;

/// The lines of an outcome.
pub fn write(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success(success) => {
            // A line break in a user name would end the line early.
            let user = success.user.replace(['\r', '\n'], " ");
            format!("yes\n{}\n", user.trim())
        }
        Outcome::Failure(_) => "no\n\n".to_owned(),
    }
}
