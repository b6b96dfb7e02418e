//! What the publication says: six trials, two tables.
//!
//! Source: "CAS 5.1.x Load Tests by Lafayette College", Carl Waldbieser, 2017.
//!
//! Two remarks. The text of trial 02 says events "per second"; the table, and 50 users, show that it is
//! events per minute. Trial 06 is headed 20 minutes, and lasted from 16:35 to 16:50.

/// One trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Its number.
    pub name: &'static str,
    /// Users at the same time.
    pub users: u32,
    /// How long it lasted.
    pub minutes: f64,
    /// Events in each minute.
    pub events: f64,
    /// Net new sessions in each minute.
    pub net_sessions: f64,
}

/// The trials.
pub const TRIALS: [Trial; 6] = [
    trial("01", 150, 434.0, 1800.11, 73.5),
    trial("02", 50, 480.0, 600.46, 27.4),
    trial("03", 175, 28.0, 2095.36, 82.9),
    trial("04", 200, 41.0, 2395.12, 93.0),
    trial("05", 125, 37.0, 1496.84, 64.0),
    trial("06", 250, 15.0, 2996.53, 124.6),
];

const fn trial(name: &'static str, users: u32, minutes: f64, events: f64, net: f64) -> Trial {
    Trial {
        name,
        users,
        minutes,
        events,
        net_sessions: net,
    }
}

/// Users, and the events per minute that the publication predicts by its regression.
pub const PREDICTED: [(u32, f64); 15] = [
    (0, 1.09),
    (25, 300.51),
    (50, 599.93),
    (75, 899.35),
    (100, 1198.76),
    (125, 1498.18),
    (150, 1797.60),
    (175, 2097.02),
    (200, 2396.43),
    (225, 2695.85),
    (250, 2995.27),
    (275, 3294.69),
    (300, 3594.10),
    (325, 3893.52),
    (350, 4192.94),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trials::regression::Line;

    #[test]
    fn the_published_prediction_is_the_line_through_the_published_rates() {
        let points = TRIALS.map(|trial| (f64::from(trial.users), trial.events));
        let line = Line::through(&points).unwrap();
        for (users, predicted) in PREDICTED {
            let ours = line.at(f64::from(users));
            assert!((ours - predicted).abs() < 0.02, "{users}: {ours}");
        }
    }
}
