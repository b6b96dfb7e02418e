//! Whether a pattern names the host of a URL that it covers.
//!
//! It does when every way in which it can cover the URL begins with literal text that holds the whole
//! host. Private addresses are called only then: `^https://.*\.edu/` also covers a name that
//! somebody else points at the inside of a network. What cannot be told counts as not named.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::Extent;

/// Most ways of a pattern that are looked at.
const WAYS_MAX: usize = 256;
/// Most characters of a class that are looked at one by one.
const CLASS_MAX: u32 = 32;

/// How a text that is covered begins, in small letters; ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    begins: String,
    /// Nothing follows.
    ends: bool,
}

type Ways = BTreeSet<Way>;

/// Whether a pattern, in the syntax of the linear engine, covers `url` only by naming its host.
pub(super) fn names_host(pattern: &str, extent: Extent, url: &str) -> bool {
    let mut parser = regex_syntax::ParserBuilder::new()
        .case_insensitive(true)
        .build();
    let (Some(end), Ok(hir)) = (end_of_host(url), parser.parse(pattern)) else {
        return false;
    };
    let whole = extent == Extent::Full;
    let anchored = whole || hir.properties().look_set_prefix().contains(Look::Start);
    let url = url.to_ascii_lowercase();
    let mut ways = ways(&hir).into_iter().peekable();
    anchored
        && ways.peek().is_some()
        && ways.all(|way| {
            let ends = way.ends && whole;
            let is_other = if ends {
                url != way.begins
            } else {
                !url.starts_with(&way.begins)
            };
            is_other || way.begins.len() > end || (ends && way.begins.len() == end)
        })
}

/// Whether a pattern covers http(s) URLs of which it does not name the host: then at least one of its
/// ways ends before the host does.
pub(super) fn leaves_host_open(pattern: &str, extent: Extent) -> bool {
    let mut parser = regex_syntax::ParserBuilder::new()
        .case_insensitive(true)
        .build();
    let Ok(hir) = parser.parse(pattern) else {
        return true;
    };
    let whole = extent == Extent::Full;
    let anchored = whole || hir.properties().look_set_prefix().contains(Look::Start);
    !anchored
        || ways(&hir)
            .iter()
            .any(|way| is_open(&way.begins, way.ends && whole))
}

/// Whether a text that begins so may be an http(s) URL with another host than what is written.
fn is_open(begins: &str, ends: bool) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        match begins.strip_prefix(scheme) {
            // The host ends with the text, or before it does.
            Some(rest) => {
                end_of_host(begins).is_none_or(|end| end == begins.len() && !ends)
                    || (rest.starts_with('[') && !rest.contains(']'))
            }
            None => !ends && scheme.starts_with(begins),
        }
    })
}

/// Where the host of an http(s) URL ends; none where the authority is not just host and port.
fn end_of_host(url: &str) -> Option<usize> {
    let start = url.find("://")? + 3;
    let rest = url.get(start..)?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    (host > 0 && !authority.contains('@')).then_some(start + host)
}

fn one(begins: &str, ends: bool) -> Ways {
    Ways::from([Way {
        begins: begins.to_owned(),
        ends,
    }])
}

/// Every text that is covered begins in one of these ways.
fn ways(hir: &Hir) -> Ways {
    let found = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => one("", true),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) if text.is_ascii() => one(&text.to_ascii_lowercase(), true),
            _ => one("", false),
        },
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(group) => ways(&group.sub),
        HirKind::Repetition(repeated) => {
            let mut found = ways(&repeated.sub);
            if repeated.max != Some(1) {
                found = found.into_iter().map(open).collect();
            }
            if repeated.min == 0 {
                found.extend(one("", true));
            }
            found
        }
        HirKind::Concat(parts) => parts.iter().fold(one("", true), |so_far, part| {
            // Nothing that follows an open way tells more of it.
            if so_far.iter().any(|way| way.ends) {
                followed(so_far, &ways(part))
            } else {
                so_far
            }
        }),
        HirKind::Alternation(parts) => parts.iter().flat_map(ways).collect(),
    };
    if found.len() > WAYS_MAX {
        one("", false)
    } else {
        found
    }
}

fn open(way: Way) -> Way {
    Way { ends: false, ..way }
}

fn followed(first: Ways, next: &Ways) -> Ways {
    let mut found = Ways::new();
    for way in first {
        if found.len() > WAYS_MAX {
            return one("", false);
        }
        if !way.ends {
            found.insert(way);
            continue;
        }
        found.extend(next.iter().map(|next| Way {
            begins: format!("{}{}", way.begins, next.begins),
            ends: next.ends,
        }));
    }
    found
}

fn of_class(class: &Class) -> Ways {
    let Class::Unicode(class) = class else {
        return one("", false);
    };
    let size = |range: &regex_syntax::hir::ClassUnicodeRange| {
        u32::from(range.end()) - u32::from(range.start()) + 1
    };
    if class.iter().map(size).sum::<u32>() > CLASS_MAX {
        return one("", false);
    }
    let members = class.iter().flat_map(|range| range.start()..=range.end());
    // A text with one of the two that fold to `s` and `k` is not decided at all.
    let members = members.filter(|c| !matches!(c, '\u{17f}' | '\u{212a}'));
    let mut found = Ways::new();
    for member in members {
        if !member.is_ascii() {
            return one("", false);
        }
        found.extend(one(&member.to_ascii_lowercase().to_string(), true));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;
    use super::*;

    fn named(pattern: &str, extent: Extent, url: &str) -> bool {
        let pattern = Pattern::compile(pattern, extent, true).unwrap();
        assert_eq!(pattern.matches(url), Ok(true), "{pattern:?} {url}");
        pattern.names_host(url)
    }

    #[test]
    fn hosts_that_are_written_out_are_named() {
        for (pattern, url) in [
            (r"^https://A\.edu/.*", "https://a.EDU/x"),
            (r"https://a\.edu", "https://a.edu"),
            (r"^https?://a\.edu(:\d+)?(/.*)?$", "http://a.edu:9000"),
            (r"^https?://a\.edu(:\d+)?(/.*)?$", "https://a.edu"),
            (r"^http://127\.0\.0\.1:\d+/.*", "http://127.0.0.1:9000/"),
            (r"https?://\[::1\](:\d+)?/.*", "http://[::1]:9000/"),
            (r"^https://(a|b)\.example\.edu/.*", "https://b.example.edu/"),
            (r"^https://app[1-3]\.edu/.*", "https://app2.edu/"),
            (r"(?i)^https://a\.edu/.*", "https://a.edu/x"),
            (r"^https://\Qa.edu\E/(?!x).*", "https://a.edu/y"),
            (r"^(https|imaps)://a\.edu[/?].*", "https://a.edu?x"),
            (r"^https://sk\.edu/.*", "https://SK.edu/"),
            (
                r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/.*)?$",
                "http://[::1]:8080/a",
            ),
            (
                r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/.*)?$",
                "http://localhost",
            ),
        ] {
            assert!(named(pattern, Extent::Full, url), "{pattern} {url}");
        }
        let pgt = "https://localhost:1/pgt";
        assert!(named(r"^https://localhost(:\d+)?/pgt", Extent::Part, pgt));
    }

    #[test]
    fn hosts_that_anybody_can_make_up_are_not() {
        for (pattern, url) in [
            (r"https://.*", "https://10.0.0.1/x"),
            (r"^http://[a-z]+:[0-9]+/ssrf.*", "http://redis:6379/ssrf"),
            (r"^https?://.*\.(edu|org|com)/.*", "http://evil.com/"),
            (r"^https://.*example\.edu/.*", "https://evilexample.edu/"),
            (r"^https://.*\.example\.edu/.*", "https://a.example.edu/"),
            (r"^https://([a-z]+\.)*a\.edu/.*", "https://a.edu/"),
            (r".*a\.edu.*", "https://10.0.0.1/a.edu"),
            (r"https://10\..*", "https://10.0.0.1/"),
            (r"^https://a\.edu.*", "https://a.edu.evil.com/"),
            (r"^https://a\.edu.*", "https://a.edu/"),
            (r"^https://a.edu/.*", "https://a.edu/"),
            (r"^https://a\.edu(/|.*)", "https://a.edu/"),
            (r"^https://(a\.edu/|[^/]+/).*", "https://a.edu/"),
            (r"^https://\w+/.*", "https://intranet/"),
            (r"^https://a\.edu[:/].*", "https://a.edu:1@10.0.0.1/"),
            (r"^https://(?=a)\w+/.*", "https://abc/"),
            (r"^(https://)\1?a+/.*", "https://aa/"),
        ] {
            assert!(!named(pattern, Extent::Full, url), "{pattern} {url}");
        }
        for pattern in [r"https://a\.edu/", r"(?m)^https://a\.edu/", r"^x|a\.edu/"] {
            assert!(!named(pattern, Extent::Part, "https://a.edu/"), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_leaves_the_host_open_is_told() {
        for pattern in [
            "^https?://.*",
            "https://.*",
            ".*",
            r"^https://.*\.example\.edu/.*",
            r"^https://a\.edu.*",
            r"^https://a\.edu(/|.*)",
            r"^https://(a\.edu/|[^/]+/).*",
            r"^https?://\[fd00:.*",
            r"^(http|imap)s?://.*",
            r"https://10\..*",
        ] {
            assert!(leaves_host_open(pattern, Extent::Full), "{pattern}");
        }
        for pattern in [
            r"^https://a\.edu/.*",
            r"https://a\.edu",
            r"^https?://a\.edu(:\d+)?(/.*)?$",
            r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/.*)?$",
            r"^(https|imaps)://a\.edu[/?].*",
            r"^imaps://.*",
            "^app://.*",
        ] {
            assert!(!leaves_host_open(pattern, Extent::Full), "{pattern}");
        }
        assert!(leaves_host_open(r"https://a\.edu/", Extent::Part));
        assert!(!leaves_host_open(r"^https://a\.edu/", Extent::Part));
        assert!(leaves_host_open(r"^https://a\.edu", Extent::Part));
    }

    #[test]
    fn what_is_too_much_to_look_at_is_not_named() {
        let many = "(a|b|c|d|e|f|g|h|i|j)".repeat(3);
        let pattern = format!(r"^https://{many}\.edu/.*");
        assert!(!named(&pattern, Extent::Full, "https://abc.edu/"));
    }
}
