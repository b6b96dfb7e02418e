//! What Java patterns cover here.

use super::*;
use proptest::prelude::*;

fn full(pattern: &str) -> Pattern {
    Pattern::compile(pattern, Extent::Full, true).unwrap()
}

#[test]
fn patterns_mean_what_they_mean_in_java() {
    for (pattern, text, expected) in [
        (
            r"^https://portal\.example\.edu/.*",
            "https://PORTAL.example.edu/x",
            true,
        ),
        (
            r"^https://portal\.example\.edu/.*",
            "http://portal.example.edu/x",
            false,
        ),
        (r"https://a\.edu", "https://a.edu/more", false),
        (
            r"^https://([a-z0-9-]+\.)*example\.edu(:\d+)?(/.*)?$",
            "https://a.b.example.edu:8443/",
            true,
        ),
        (
            r"^https://([a-z0-9-]+\.)*example\.edu(:\d+)?(/.*)?$",
            "https://evilexample.edu/",
            false,
        ),
        (r"https://\Qa.b+c\E/.*", "https://a.b+c/x", true),
        (r"https://\Qa.b+c\E/.*", "https://aXb+c/x", false),
        (r"https://\Q[x]\E", "https://[x]", true),
        (r"^(https|imaps)://.*", "imaps://mail.example.edu/", true),
        (r"https://(?!evil\.).*\.edu/", "https://good.edu/", true),
        (r"https://(?!evil\.).*\.edu/", "https://evil.edu/", false),
        (r"(a)\1", "aa", true),
        (r"\d+", "١٢", false),
        (r"\w+", "é", false),
        (r"[\w.]+", "a.b_9", true),
        (r"[^\s]+", "a b", false),
        (r"[\D]", "5", false),
        (r"\p{Alpha}+", "é", false),
        (r"\p{Alpha}+", "ab", true),
        (r"\p{L}+", "é", true),
        (r"[[a-f]&&[^c]]", "c", false),
        (r"[[a-f]&&[^c]]", "d", true),
        (r"[\w-~]+", "a-~", true),
        (r"[\w-~]", "`", false),
        (r"[\w-~]", "|", false),
        (r"[\s-\w.]+", "a- .", true),
        (r"[\s-\w.]", "+", false),
        (r"[\w-\.]+", "a-.b", true),
        (r"[\w-\.]", "/", false),
        (r"[a-c-e]+", "b-e", true),
        (r"[a-c-e]", "d", false),
        (r"[-a]+", "-a", true),
        (r"[a-]+", "-a", true),
        (r"[a-[xy]]+", "-ax", true),
        (r"[!-/]+", "!&/", true),
        (r"[!-\.]+", "!&.", true),
        (r"[a^~&]+", "^~&a", true),
        (r"[^^]", "^", false),
        (r"[^\w.-]", "-", false),
        (r"[^\w.-]", "/", true),
        (r"[a-z&&[^m-p]&&[^a]]", "a", false),
        (r"[a-z&&[^m-p]&&[^a]]", "b", true),
        (r"(a(b))\)", "ab)", true),
        (r"a*\Q\E", "aa", true),
        (r"a.c", "a\nc", false),
        (r"a.c", "a\u{2028}c", false),
        (r"\<a\>", "<a>", true),
        (r"a\/b", "a/b", true),
        (r"\u0041\x42\x{43}", "ABC", true),
        (r"(?i)abc", "ABC", true),
        (r"a{2,3}", "aaa", true),
        (r"a{2,3}?", "aa", true),
    ] {
        let compiled = full(pattern);
        assert_eq!(
            compiled.matches(text),
            Ok(expected),
            "{pattern} on {text:?}"
        );
    }
}

#[test]
fn letters_that_fold_to_ascii_only_here_are_not_decided() {
    for text in ["a\u{17f}k", "as\u{212a}"] {
        assert_eq!(full("ask").matches(text), Err(TooHard), "{text}");
        assert_eq!(full("ask").groups(text), Err(TooHard), "{text}");
        assert_eq!(full("ask").remove_from(text), Err(TooHard), "{text}");
    }
}

#[test]
fn possessive_quantifiers_do_not_give_back() {
    assert_eq!(full("a*+a").matches("aaa"), Ok(false));
    assert_eq!(full("a*a").matches("aaa"), Ok(true));
    assert_eq!(full("a{1,3}+a").matches("aaa"), Ok(false));
    assert_eq!(full("(?>a*)a").matches("aaa"), Ok(false));
    assert_eq!(full("a++b").matches("aab"), Ok(true));
}

#[test]
fn what_cannot_be_translated_is_named() {
    for (pattern, part) in [
        (r"(?U)\w", "`(?U)`"),
        (r"(?x) a", "`(?x)`"),
        (r"\h", r"`\h`"),
        (r"\v", r"`\v`"),
        (r"a\Z", r"`\Z`"),
        (r"\p{javaLowerCase}", "javaLowerCase"),
        (r"[[:alpha:]]", "[[:name:]]"),
        (r"[a--b]", "`--`"),
        (r"[]a]", "empty"),
        (r"a**", "another quantifier"),
        (r"a{2}{3}", "another quantifier"),
        (r"a*?*", "another quantifier"),
        (r"a*\Q\E*", "another quantifier"),
        (r"a++{2}", "another quantifier"),
        (r"^*a", "cannot be repeated"),
        (r"a$?", "cannot be repeated"),
        (r"^https://unbal\.edu)|(^https://other\.edu/.*", "no `(`"),
        (r"a)", "no `(`"),
        (r"(a|b))(", "no `(`"),
        (r"[^a[b]]", "negated class"),
        (r"[^a&&[b]]", "`[^...]`"),
        (r"[a&&]", "between two"),
        (r"[&&a]", "between two"),
        (r"[a&&&b]", "between two"),
        (r"[a-\w]", "ends in a class"),
        (r"[a-\Qz\E]", r"ends in `\Q`"),
        (r"[\w--]", "`--`"),
        (r"a{,3}", "count"),
        (r"a{", "count"),
        (r"[abc", "not closed"),
        (r"(abc", "unclosed"),
        ("a\\", "single backslash"),
        (r"(a{999}){999}", "size limit"),
    ] {
        let error = Pattern::compile(pattern, Extent::Full, true).unwrap_err();
        assert!(error.0.contains(part), "{pattern}: {error}");
        assert!(!error.0.contains('\n'));
    }
    assert!(Pattern::compile(&"a".repeat(5000), Extent::Full, true).is_err());
}

#[test]
fn partial_and_case_sensitive_patterns() {
    let part = Pattern::compile("staff", Extent::Part, false).unwrap();
    assert_eq!(part.matches("nonstaff"), Ok(true));
    assert_eq!(part.matches("STAFF"), Ok(false));
}

#[test]
fn the_end_of_a_text_is_before_its_last_line_end() {
    for (pattern, text, part) in [
        ("^staff$", "staff\n", true),
        ("^staff$", "staff\r\n", true),
        ("^staff$", "staff\n\n", false),
        ("^staff$", "staff\nx", false),
        ("(?m)^staff$", "x\nstaff\nx", true),
        ("a$|b", "cb", true),
        (r"a\$", "a$", true),
        ("[$]", "$", true),
    ] {
        let compiled = Pattern::compile(pattern, Extent::Part, false).unwrap();
        assert_eq!(compiled.matches(text), Ok(part), "{pattern} on {text:?}");
    }
    assert_eq!(full("^a$").matches("a\n"), Ok(false), "the whole text");
}

#[test]
fn a_hard_text_ends_in_bounded_steps() {
    let hard = full(r"(a|a)*(a|a)*(a|aa)*\1b");
    let text = format!("{}xb", "a".repeat(4000));
    assert_eq!(hard.matches(&text), Err(TooHard));
    // The linear engine sees at once that there is no `b` at the end.
    assert_eq!(hard.matches(&"a".repeat(4000)), Ok(false));
}

#[test]
fn the_linear_superset_never_says_no_to_a_match() {
    for (pattern, text) in [
        (r"(?<!x)a(?=b)b(?!c)", "ab"),
        (r"(?>a|ab)c", "ac"),
        (r"(a+)-\1", "aa-aa"),
        (r"(?<who>a+)-\k<who>", "aa-aa"),
        (r"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)\11", "abcdefghijkk"),
        (r"a++(?i)B", "aab"),
        (r"x(?=(y))y\1", "xyy"),
    ] {
        assert_eq!(full(pattern).matches(text), Ok(true), "{pattern}");
        assert!(full(pattern).backtracks());
    }
}

#[test]
fn groups_and_removal() {
    let pattern = Pattern::compile(r"(\w+)@(\w+)(\.x)?", Extent::Part, true).unwrap();
    let groups = pattern.groups("to jane@example now").unwrap().unwrap();
    let texts: Vec<Option<&str>> = groups.iter().map(Option::as_deref).collect();
    assert_eq!(
        texts,
        [Some("jane@example"), Some("jane"), Some("example"), None]
    );
    assert_eq!(pattern.group_count(), 3);
    assert_eq!(pattern.groups("nobody"), Ok(None));
    let domain = Pattern::compile("@.+", Extent::Part, false).unwrap();
    assert_eq!(domain.remove_from("jane@example.edu").unwrap(), "jane");
    let ahead = Pattern::compile("(?<=a)b", Extent::Part, false).unwrap();
    assert_eq!(ahead.remove_from("abcb").unwrap(), "acb");
    assert_eq!(ahead.groups("ab").unwrap().unwrap().len(), 1);
}

proptest! {
    #[test]
    fn quoting_matches_exactly_itself(text in "[ -~]{1,40}", other in "[ -~]{1,40}") {
        prop_assume!(!text.contains("\\E"));
        let pattern = Pattern::compile(&format!("\\Q{text}\\E"), Extent::Full, false).unwrap();
        prop_assert_eq!(pattern.matches(&text), Ok(true));
        prop_assert_eq!(pattern.matches(&other), Ok(other == text));
    }

    /// Comparing the literal beginning by itself decides as one expression for all would.
    #[test]
    fn a_literal_beginning_changes_nothing(
        pattern in "\\^?[ask:/.é]{0,4}(\\(\\?-i\\)k)?[ask\\[\\]^.]{0,4}(\\(b\\|c\\))?(\\.\\*|[a-c]\\+|\\?)?\\$?",
        text in "[aAsSkK:/.éÉbcBC]{0,8}",
    ) {
        let translated = java::translate(&pattern, false);
        let plain = translated.ok().and_then(|translated| {
            regex::RegexBuilder::new(&format!(r"\A(?:{})\z", translated.text))
                .case_insensitive(true)
                .build()
                .ok()
        });
        if let (Some(plain), Ok(compiled)) =
            (plain, Pattern::compile(&pattern, Extent::Full, true))
        {
            prop_assert_eq!(compiled.matches(&text), Ok(plain.is_match(&text)));
        }
    }

    /// What covers a whole text is also found in it, whatever was written.
    #[test]
    fn compiling_never_panics(pattern in "[\\[\\](){}?*+.^$|\\\\a-cQEdwpu0-9<>=!:&~,-]{0,40}") {
        let full = Pattern::compile(&pattern, Extent::Full, true);
        let part = Pattern::compile(&pattern, Extent::Part, true);
        if let (Ok(full), Ok(part)) = (full, part) {
            for text in ["", "a", "abc", "a-1", "https://a.example.edu/aaaa"] {
                if let (Ok(true), Ok(found)) = (full.matches(text), part.matches(text)) {
                    prop_assert!(found, "{:?} covers {:?} and is not found in it", pattern, text);
                }
            }
        }
    }

    /// Brackets that do not pair up are refused wherever they stand.
    #[test]
    fn a_bracket_too_many_is_refused(
        before in "[a-c.|]{0,3}(\\([a-c]{1,2}\\))?",
        after in "[a-c.]{0,3}(\\([a-c]{1,2}\\))?",
    ) {
        for bracket in ["(", ")", "["] {
            let pattern = format!("{before}{bracket}{after}");
            prop_assert!(Pattern::compile(&pattern, Extent::Full, true).is_err(), "{}", pattern);
        }
        let pattern = format!("{before}{after}");
        prop_assert!(Pattern::compile(&pattern, Extent::Full, true).is_ok(), "{}", pattern);
    }

    /// Where a host is named, no other host is covered at the same place.
    #[test]
    fn a_named_host_is_the_only_one(
        host in "(a|b|\\.|\\[ab\\]|\\(a\\|b\\)|a\\?|a\\+|\\(a\\|\\.\\*\\)|\\.\\*|\\\\w|ab|\\(b:\\)\\?){1,4}",
        path in "(/|:[0-9]+/|\\(/|\\.\\*\\)|\\(:\\\\d\\+\\)\\?/|\\[/:\\]|){1}(\\.\\*)?",
        text in "[ab.]{1,4}(:1)?/?[ab]{0,2}",
        other in "[c-z]{1,5}",
    ) {
        let url = format!("https://{text}");
        if let Ok(pattern) = Pattern::compile(&format!("^https://{host}{path}"), Extent::Full, true)
            && pattern.matches(&url) == Ok(true)
        {
            let named = pattern.names_host(&url);
            prop_assert!(named || pattern.leaves_host_open(), "{:?} {}", pattern, url);
            if !named {
                return Ok(());
            }
            let end = text.find([':', '/']).unwrap_or(text.len());
            for host in [other.clone(), format!("{}{other}", &text[..end])] {
                let elsewhere = format!("https://{host}{}", &text[end..]);
                prop_assert_ne!(pattern.matches(&elsewhere), Ok(true), "{:?} {}", pattern, elsewhere);
            }
        }
    }
}
