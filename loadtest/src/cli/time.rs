//! Durations as people write them: `500ms`, `15s`, `2m`, `8h`.
//!
//! Promises: a number without a unit is refused, since nobody can know what was meant.
//! Does not: read fractions.

use std::time::Duration;

/// Reads a duration.
///
/// # Errors
/// What was expected.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("must be a whole number with ms, s, m or h, such as 15s".to_owned()),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_millis)
        .ok_or_else(|| "must be a number that fits, such as 15s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_needed() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("8h"), Ok(Duration::from_secs(28_800)));
        for bad in ["", "15", "s", "1.5s", "15 s", "99999999999999999999s", "ü"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
