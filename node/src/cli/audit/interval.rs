//! The time that a report is about: whole days in UTC, or moments.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

const DAY_MS: i64 = 86_400_000;

/// From a moment to another one that is not part of it, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl Interval {
    /// Reads `--from` and `--to`; a day as `to` is included.
    pub(super) fn parse(from: &str, to: &str) -> Result<Self, String> {
        let (first, _) = span(from).ok_or_else(|| wrong("--from", from))?;
        let (_, end) = span(to).ok_or_else(|| wrong("--to", to))?;
        if first >= end {
            return Err(format!("--from {from} is not before --to {to}"));
        }
        Ok(Self {
            from_ms: first,
            to_ms: end,
        })
    }

    /// The part before `now_ms`, and whether something was cut off.
    pub(super) fn until(self, now_ms: i64) -> (Option<Self>, bool) {
        let to_ms = self.to_ms.min(now_ms);
        let part = (self.from_ms < to_ms).then_some(Self { to_ms, ..self });
        (part, to_ms < self.to_ms)
    }

    pub(super) fn holds(self, at_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }

    pub(super) fn length_ms(self) -> i64 {
        self.to_ms.saturating_sub(self.from_ms).max(1)
    }

    /// How many of `total` there are in a day.
    pub(super) fn per_day(self, total: u64) -> f64 {
        let per_ms = total as f64 / self.length_ms() as f64;
        per_ms * DAY_MS as f64
    }

    /// The length for people.
    pub(super) fn days(self) -> String {
        let days = self.length_ms() as f64 / DAY_MS as f64;
        let text = format!("{days:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn wrong(option: &str, text: &str) -> String {
    format!(
        "{option} {text:?} is no day such as 2026-10-01 and no moment such as 2026-10-01T08:00:00Z"
    )
}

/// The first moment of what `text` names, and the first one after it.
fn span(text: &str) -> Option<(i64, i64)> {
    if text.len() == "2026-10-01".len() {
        let day: Date = text.parse().ok()?;
        let begin = |day: Date| {
            let midnight = day.to_zoned(TimeZone::UTC).ok()?;
            Some(midnight.timestamp().as_millisecond())
        };
        return Some((begin(day)?, begin(day.tomorrow().ok()?)?));
    }
    let moment: Timestamp = text.parse().ok()?;
    let ms = moment.as_millisecond();
    Some((ms, ms))
}

/// A moment for people and programs.
pub(super) fn moment(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(|_| "-".to_owned(), |t| t.to_string())
}
