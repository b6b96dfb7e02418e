//! Dot segments in the path of a URL, however they are spelt.
//!
//! Definitions and proxy policies are patterns over text. Browsers and servers resolve `..` before they look where a
//! URL leads, and they do not agree about what it looks like: browsers take `%2e` for a dot; web servers decode `%2F`
//! before they match locations; some take a backslash for a slash; Java servers cut what follows a `;`. A path
//! in which any of them finds one leads somewhere else than what a pattern was matched with.

/// Whether some reader finds a segment `.` or `..` in a path.
pub(super) fn has_dots(path: &str) -> bool {
    // Nearly all paths: a dot has only these two spellings.
    if !path.contains(['.', '%']) {
        return false;
    }
    // What is no escape stays as it is: a server may pass over it, too.
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .filter_map(|segment| segment.split(|byte| *byte == b';').next())
        .any(|name| matches!(name, b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whatever_separates_them() {
        for path in [
            "/.",
            "/..;x",
            "/a%2f..",
            "/a%5C.%2e%2fb",
            "/a\\..\\b",
            "/%2E%3bx",
        ] {
            assert!(has_dots(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/...",
            "/a.b/..c/%2Fd",
            "/..%252F",
            "/..%2",
            "/%25%32%65/x",
        ] {
            assert!(!has_dots(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn one_that_is_put_in_is_found(
            before in "[a-z%;/é]{0,12}",
            after in "[a-z%;/é]{0,12}",
            dots in "(\\.|%2[eE]){1,2}",
            separators in ("(/|\\\\|%2[fF]|%5[cC])", "(/|\\\\|;|%2[fF]|%5[cC]|%3[bB])"),
        ) {
            let path = format!("/{before}{}{dots}{}{after}", separators.0, separators.1);
            prop_assert!(has_dots(&path), "{}", path);
        }

        #[test]
        fn one_that_is_found_is_there(path in "[a-z%2eEfF./]{0,30}") {
            let twice = path.contains('.') || path.to_ascii_lowercase().contains("%2e");
            prop_assert!(twice || !has_dots(&path));
        }
    }
}
