//! Words of the command line that depend on numbers.

/// A number and what it counts: `1 session`, `2 sessions`.
pub(super) fn count_of(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    // What does not fit is many.
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        for (count, expected) in [(0_u64, "0 nodes"), (1, "1 node"), (2, "2 nodes")] {
            assert_eq!(count_of(count, "node", "nodes"), expected);
        }
    }
}
