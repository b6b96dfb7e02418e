//! Numbers as people read them: `10,234`, `0.0417`, `1.5 M`; seconds as `1 min 5 s`.
//!
//! Promises: at least three significant digits, no more than are of use, never an exponent for what
//! a run can measure. Does not: know units other than seconds.

use crate::run::UNKNOWN;

/// A value in a table or a tooltip.
pub fn value(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return UNKNOWN.to_owned();
    }
    if size >= 1e15 {
        return format!("{number:e}");
    }
    if number.fract() == 0.0 || size >= 1_000.0 {
        return grouped(&format!("{number:.0}"));
    }
    let places = match size {
        _ if size >= 100.0 => 1,
        _ if size >= 10.0 => 2,
        _ if size >= 1.0 => 3,
        _ if size >= 0.1 => 3,
        _ if size >= 0.01 => 4,
        _ => 6,
    };
    let text = format!("{number:.places$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "" | "-" | "-0" | "0" if size > 0.0 => format!("{number:.2e}"),
        // What was rounded up to a thousand has a comma, too.
        text => grouped(text),
    }
}

/// A count.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// The label of a tick, when ticks are `step` apart.
pub fn tick(number: f64, step: f64) -> String {
    let (scaled, step, suffix) = match number.abs().max(step.abs()) {
        size if size >= 1e9 => (number / 1e9, step / 1e9, " G"),
        size if size >= 1e6 => (number / 1e6, step / 1e6, " M"),
        _ => (number, step, ""),
    };
    if scaled == 0.0 {
        return "0".to_owned();
    }
    // As many places as the step needs, and a quarter of it: 0.25, 2.5.
    let places = (0..6_usize)
        .find(|places| {
            let whole = step * 10_f64.powi(i32::try_from(*places).unwrap_or(6));
            (whole - whole.round()).abs() < 1e-6
        })
        .unwrap_or(6);
    format!("{}{suffix}", grouped(&format!("{scaled:.places$}")))
}

/// A stretch of time.
pub fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{} s", value((seconds * 10.0).round() / 10.0));
    }
    let whole = seconds.round();
    let (hours, minutes, rest) = (
        (whole / 3600.0).floor(),
        (whole % 3600.0 / 60.0).floor(),
        whole % 60.0,
    );
    let mut text = Vec::new();
    if hours > 0.0 {
        text.push(format!("{} h", value(hours)));
    }
    if minutes > 0.0 {
        text.push(format!("{minutes} min"));
    }
    if rest > 0.0 && hours == 0.0 {
        text.push(format!("{rest} s"));
    }
    text.join(" ")
}

/// Commas between thousands.
fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut text = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_digits_that_are_of_use() {
        for (number, text) in [
            (0.0, "0"),
            (10_234.4, "10,234"),
            (1_000_000.0, "1,000,000"),
            (-1_234.0, "-1,234"),
            (123.46, "123.5"),
            (999.96, "1,000"),
            (-999.96, "-1,000"),
            (11.98, "11.98"),
            (1.5, "1.5"),
            (0.047_588, "0.0476"),
            (0.5343, "0.534"),
            (0.000_000_4, "4.00e-7"),
            (f64::NAN, UNKNOWN),
        ] {
            assert_eq!(value(number), text);
        }
    }

    #[test]
    fn ticks_have_the_places_of_their_step() {
        assert_eq!(tick(2.5, 2.5), "2.5");
        assert_eq!(tick(5.0, 2.5), "5.0");
        assert_eq!(tick(12_000.0, 2_000.0), "12,000");
        assert_eq!(tick(1_500_000.0, 500_000.0), "1.5 M");
        assert_eq!(tick(0.0, 0.1), "0");
    }

    #[test]
    fn times_are_in_hours_minutes_and_seconds() {
        for (time, text) in [
            (0.25, "0.3 s"),
            (61.2, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (3_600.0, "1 h"),
        ] {
            assert_eq!(seconds(time), text);
        }
    }
}
