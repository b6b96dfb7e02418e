//! Moments as definitions write them: `2026-09-01T08:00:00Z`, with an offset or a zone in brackets,
//! without either (then in a given zone), a date alone, or in the American way.

use castor_proto::ids::WallMs;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Which end of a day a date alone means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its first millisecond.
    Begin,
    /// Its last.
    End,
}

/// Reads a moment; one before 1970 is the beginning of 1970.
pub(super) fn read(text: &str, zone: &TimeZone, edge: Edge) -> Option<WallMs> {
    let text = text.trim();
    let timestamp = absolute(text).or_else(|| {
        let civil = civil(text, edge)?;
        Some(civil.to_zoned(zone.clone()).ok()?.timestamp())
    })?;
    Some(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
}

fn absolute(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<Zoned>().map(|zoned| zoned.timestamp());
    zoned
        .or_else(|_| text.parse::<Timestamp>())
        .or_else(|_| jiff::fmt::rfc2822::parse(text).map(|zoned| zoned.timestamp()))
        .ok()
}

fn civil(text: &str, edge: Edge) -> Option<DateTime> {
    let upper = text.to_ascii_uppercase();
    for format in ["%m/%d/%Y %I:%M %p", "%m/%d/%Y %H:%M"] {
        if let Ok(moment) = DateTime::strptime(format, &upper) {
            return Some(moment);
        }
    }
    let american = Date::strptime("%m/%d/%Y", text).ok();
    let date = american.or_else(|| (text.len() == 10).then(|| text.parse().ok())?);
    match date {
        Some(date) => Some(date.to_datetime(match edge {
            Edge::Begin => Time::midnight(),
            Edge::End => Time::constant(23, 59, 59, 999_000_000),
        })),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_all_kinds() {
        let utc = |text| read(text, &TimeZone::UTC, Edge::Begin);
        let noon = 1_788_264_000_000;
        for text in [
            "2026-09-01T12:00:00Z",
            "2026-09-01T14:00:00+02:00",
            "2026-09-01T14:00:00+02:00[Europe/Berlin]",
            "2026-09-01T12:00:00.000",
            "2026-09-01T12:00",
            "09/01/2026 12:00 pm",
            "09/01/2026 12:00",
            "Tue, 1 Sep 2026 12:00:00 GMT",
        ] {
            assert_eq!(utc(text), Some(noon), "{text}");
        }
        let day = 86_400_000;
        let midnight = noon - day / 2;
        assert_eq!(utc("2026-09-01"), Some(midnight));
        assert_eq!(utc("09/01/2026"), Some(midnight));
        let end = read("2026-09-01", &TimeZone::UTC, Edge::End);
        assert_eq!(end, Some(midnight + day - 1));
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let local = read("2026-09-01T14:00:00", &berlin, Edge::Begin);
        assert_eq!(local, Some(noon));
        assert_eq!(utc("1969-01-01"), Some(0));
        for text in [
            "",
            "soon",
            "2026-13-01",
            "2026-09-01T25:00:00Z",
            "99999-01-01",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }
}
