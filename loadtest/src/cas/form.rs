//! Finds the login form in a page, whatever the order of inputs and attributes.
//!
//! Promises: total and linear on any text; the form found is the one with a password field.
//! Does not: understand HTML beyond forms and inputs.

use crate::http::Origin;

/// A login form: where to send it and what hidden fields to send along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginForm {
    /// The `action` as written; empty means the page's own URL.
    pub action: String,
    /// Hidden inputs, in the order of the page.
    pub hidden: Vec<(String, String)>,
    /// Name of the field for the user name.
    pub username_field: String,
    /// Name of the field for the password.
    pub password_field: String,
}

/// The first form of `page` that asks for a password.
pub fn find(page: &str) -> Option<LoginForm> {
    let mut current: Option<Draft> = None;
    for tag in (Tags { rest: page }) {
        match tag.name.as_str() {
            "form" => current = Some(Draft::new(tag.attribute("action").unwrap_or_default())),
            "/form" => {
                if let Some(form) = current.take().and_then(Draft::finish) {
                    return Some(form);
                }
            }
            "input" => {
                if let Some(draft) = &mut current {
                    draft.input(&tag);
                }
            }
            _ => {}
        }
    }
    current.and_then(Draft::finish)
}

/// Where a form is sent to.
///
/// # Errors
/// When that is another server than its page came from: passwords are not for others.
pub fn destination(page_url: &str, action: &str) -> Result<String, String> {
    let url = resolve(page_url, action);
    let origin = |url: &str| Origin::of(&url.to_ascii_lowercase()).ok();
    let to = origin(&url);
    if to.is_some() && to == origin(page_url) {
        return Ok(url);
    }
    let host = url.split(['?', '#']).next().unwrap_or_default();
    Err(format!(
        "the login form would be sent to another server, {host}; nothing is sent there"
    ))
}

/// Joins a form's `action` with the URL of its page.
pub fn resolve(page_url: &str, action: &str) -> String {
    if action.is_empty() {
        return page_url.to_owned();
    }
    if action.starts_with("https://") || action.starts_with("http://") {
        return action.to_owned();
    }
    if action.starts_with("//") {
        let scheme = page_url.split_once("//").map_or("", |(scheme, _)| scheme);
        return format!("{scheme}{action}");
    }
    let path_at = page_url.find("://").map_or(0, |at| at + 3);
    let origin_end = page_url[path_at..]
        .find('/')
        .map_or(page_url.len(), |at| path_at + at);
    let path_end = page_url.find('?').unwrap_or(page_url.len());
    if action.starts_with('/') {
        return format!("{}{action}", &page_url[..origin_end]);
    }
    if action.starts_with('?') {
        return format!("{}{action}", &page_url[..path_end]);
    }
    let directory_end = page_url[..path_end]
        .rfind('/')
        .map_or(origin_end, |at| at + 1);
    if directory_end <= path_at {
        return format!("{page_url}/{action}");
    }
    format!("{}{action}", &page_url[..directory_end])
}

struct Draft {
    action: String,
    hidden: Vec<(String, String)>,
    text: Option<String>,
    password: Option<String>,
}

impl Draft {
    fn new(action: String) -> Self {
        Self {
            action,
            hidden: Vec::new(),
            text: None,
            password: None,
        }
    }

    fn input(&mut self, tag: &Tag) {
        let Some(name) = tag.attribute("name") else {
            return;
        };
        let kind = tag
            .attribute("type")
            .unwrap_or_default()
            .to_ascii_lowercase();
        match kind.as_str() {
            "hidden" => self
                .hidden
                .push((name, tag.attribute("value").unwrap_or_default())),
            "password" => self.password = self.password.take().or(Some(name)),
            "" | "text" | "email" => self.text = self.text.take().or(Some(name)),
            _ => {}
        }
    }

    fn finish(self) -> Option<LoginForm> {
        Some(LoginForm {
            action: self.action,
            hidden: self.hidden,
            username_field: self.text?,
            password_field: self.password?,
        })
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }
}

/// The tags of a page, comments skipped.
struct Tags<'a> {
    rest: &'a str,
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        loop {
            let start = self.rest.find('<')?;
            self.rest = &self.rest[start + 1..];
            if let Some(comment) = self.rest.strip_prefix("!--") {
                self.rest = comment.find("-->").map_or("", |at| &comment[at + 3..]);
                continue;
            }
            return Some(self.tag());
        }
    }
}

impl Tags<'_> {
    /// Reads one tag behind its `<` and leaves `rest` behind its `>`.
    fn tag(&mut self) -> Tag {
        let name_end = self
            .rest
            .find(|c: char| c.is_whitespace() || c == '>')
            .unwrap_or(self.rest.len());
        let name = self.rest[..name_end]
            .trim_end_matches('/')
            .to_ascii_lowercase();
        self.rest = &self.rest[name_end..];
        let mut attributes = Vec::new();
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if self.rest.is_empty() {
                break;
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                break;
            }
            attributes.push(self.attribute());
        }
        Tag { name, attributes }
    }

    fn attribute(&mut self) -> (String, String) {
        // A stray '=' is part of a name, as in browsers, so that every round takes a character.
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let key_end = self.rest[first..]
            .find(|c: char| c.is_whitespace() || c == '=' || c == '>')
            .map_or(self.rest.len(), |at| first + at);
        let key = self.rest[..key_end]
            .trim_end_matches('/')
            .to_ascii_lowercase();
        let behind = self.rest[key_end..].trim_start();
        let Some(value) = behind.strip_prefix('=') else {
            self.rest = &self.rest[key_end..];
            return (key, String::new());
        };
        let value = value.trim_start();
        let (raw, rest) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &value[1..];
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            _ => {
                let end = value
                    .find(|c: char| c.is_whitespace() || c == '>')
                    .unwrap_or(value.len());
                value.split_at(end)
            }
        };
        self.rest = rest;
        (key, unescape(raw))
    }
}

/// Undoes the character references that pages use in attribute values.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest
            .char_indices()
            .take(10)
            .find(|(_, c)| *c == ';')
            .map(|(end, _)| end);
        match end.and_then(|end| reference(&rest[1..end]).map(|c| (c, end))) {
            Some((c, end)) => {
                text.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                text.push('&');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hidden_inputs_in_any_order_and_quoting() {
        let page = r#"<form action="/search"><input name=q></form><!-- <form> -->
            <FORM id=fm1 method="post" action='login?service=a&amp;x=1'>
            <input value="e1&#x2f;&#43;" name="execution" type="hidden"/>
            <input type=hidden name=_eventId value=submit />
            <input type="text" id="username" name="username" required>
            <input name="password" type="password" autocomplete="off">
            <input type="checkbox" name="rememberMe" value="true"></FORM>"#;
        let form = find(page).unwrap();
        assert_eq!(form.action, "login?service=a&x=1");
        let expected = [("execution", "e1/+"), ("_eventId", "submit")];
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(form.hidden, expected);
        assert_eq!(
            (form.username_field.as_str(), form.password_field.as_str()),
            ("username", "password")
        );
    }

    #[test]
    fn no_form_without_a_password() {
        assert_eq!(find("<form><input type=hidden name=a></form>"), None);
        assert_eq!(find("<"), None);
        assert_eq!(find("<input ="), None);
        assert_eq!(find("<form =x='"), None);
    }

    #[test]
    fn action_is_joined_as_browsers_do() {
        let page = "https://h:1/cas/login?service=a/b";
        assert_eq!(resolve(page, ""), page);
        assert_eq!(resolve(page, "login"), "https://h:1/cas/login");
        assert_eq!(resolve(page, "/cas/login"), "https://h:1/cas/login");
        assert_eq!(resolve(page, "?x"), "https://h:1/cas/login?x");
        assert_eq!(resolve("https://h:1", "login"), "https://h:1/login");
        assert_eq!(resolve(page, "https://o/"), "https://o/");
        assert_eq!(resolve(page, "//o/x"), "https://o/x");
    }

    #[test]
    fn a_password_goes_to_the_server_of_the_page_alone() {
        let page = "https://sso.example.org/cas/login";
        for action in [
            "",
            "login",
            "/cas/login",
            "https://SSO.example.org:443/cas/login",
        ] {
            assert!(destination(page, action).is_ok(), "{action}");
        }
        for action in [
            "https://evil.example.org/login",
            "//evil.example.org/login",
            "http://sso.example.org/cas/login",
            "https://sso.example.org:8443/cas/login",
            "https://sso.example.org@evil.example.org/login",
        ] {
            assert!(destination(page, action).is_err(), "{action}");
        }
    }
}
