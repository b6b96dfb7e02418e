//! An application that could not be told, as the log and the record name it: which one, where, and why.

use super::plan::Notice;
use crate::services::url::{authority_end, path_end, without_session};

/// Most characters of a name, of a URL and of a reason.
const PART_MAX: usize = 160;

/// Longest list in bytes, but for the number of those who are left out: the record cuts what is longer.
const LIST_MAX: usize = 1_500;

/// An application that could not be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold {
    /// Name of its definition.
    pub(super) name: String,
    /// Where it was to be told, without query, fragment, session and user name.
    pub(super) place: String,
    /// What came of the last attempt.
    pub(super) why: String,
}

impl Untold {
    pub(super) fn of(notice: &Notice, why: &str) -> Self {
        Self {
            name: cut(&notice.name),
            place: cut(&place(&notice.url)),
            why: cut(why),
        }
    }

    pub(super) fn by_no_browser(notice: &Notice) -> Self {
        Self::of(notice, "no browser fetches it")
    }
}

/// Some applications in one line.
pub(super) fn list(untold: &[Untold]) -> String {
    let mut text = String::new();
    for (at, one) in untold.iter().enumerate() {
        let next = format!("{} at {} ({})", one.name, one.place, one.why);
        let joint = if text.is_empty() { "" } else { ", " };
        if text.len() + next.len() > LIST_MAX {
            text.push_str(&format!("{joint}{} more", untold.len() - at));
            break;
        }
        text.push_str(joint);
        text.push_str(&next);
    }
    text
}

fn place(url: &str) -> String {
    let url = without_session(url);
    let whole = url.get(..path_end(&url)).unwrap_or_default();
    let Some((scheme, rest)) = whole.split_once("://") else {
        return whole.to_owned();
    };
    let (authority, path) = rest.split_at(authority_end(rest));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(PART_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_url_is_named() {
        for (url, named) in [
            ("https://a.edu/x?ticket=1#y", "https://a.edu/x"),
            ("https://a.edu/x;jsessionid=AB/y#z", "https://a.edu/x/y"),
            ("https://u:p@a.edu:8443/", "https://a.edu:8443/"),
            ("app://phone/@x", "app://phone/@x"),
            ("https://a.edu", "https://a.edu"),
        ] {
            assert_eq!(place(url), named);
        }
    }

    #[test]
    fn a_list_is_bounded_and_says_how_many_are_left_out() {
        let one = Untold {
            name: cut(&"é".repeat(500)),
            place: "https://a.edu/".to_owned(),
            why: "timeout".to_owned(),
        };
        assert_eq!(one.name.chars().count(), PART_MAX + 1);
        let text = list(&vec![one.clone(); 200]);
        assert!(text.len() < LIST_MAX + 20, "{}", text.len());
        assert!(text.ends_with("(timeout), 196 more"), "{text}");
        assert!(list(&[one]).ends_with("at https://a.edu/ (timeout)"));
        assert_eq!(list(&[]), "");
    }
}
