//! The XML of `/serviceValidate` and `/p3/serviceValidate`.
//!
//! Written by hand, because clients depend on more than the schema: the prefix is `cas`, no
//! attribute on `authenticationSuccess`, no blank around values, one element per attribute value.
//! What XML cannot hold is left out of values and encoded in names.

use std::fmt::Write as _;

use crate::cas::outcome::{AuthenticationFacts, Failure, Outcome, ProxyOutcome, Success};

/// Names of the facts about the authentication; a principal's attribute does not override them.
pub(super) const FACTS: [&str; 3] = [
    "authenticationDate",
    "longTermAuthenticationRequestTokenUsed",
    "isFromNewLogin",
];

/// The document of an outcome.
pub fn write(outcome: &Outcome) -> String {
    document(|out| match outcome {
        Outcome::Success(success) => write_success(out, success),
        Outcome::Failure(failure) => write_failure(out, "authenticationFailure", failure),
    })
}

/// The document of a request for a proxy ticket.
pub fn write_proxy(outcome: &ProxyOutcome) -> String {
    document(|out| match outcome {
        ProxyOutcome::Success(ticket) => {
            out.push_str("  <cas:proxySuccess>\n");
            element(out, "    ", "proxyTicket", ticket);
            out.push_str("  </cas:proxySuccess>\n");
        }
        ProxyOutcome::Failure(failure) => write_failure(out, "proxyFailure", failure),
    })
}

fn document(body: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str("<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>\n");
    body(&mut out);
    out.push_str("</cas:serviceResponse>\n");
    out
}

fn write_failure(out: &mut String, name: &str, failure: &Failure) {
    let code = failure.code.as_str();
    let _ = write!(out, "  <cas:{name} code=\"{code}\">");
    escape(out, &failure.text);
    let _ = writeln!(out, "</cas:{name}>");
}

fn write_success(out: &mut String, success: &Success) {
    out.push_str("  <cas:authenticationSuccess>\n");
    element(out, "    ", "user", &success.user);
    if success.facts.is_some() || !success.attributes.is_empty() {
        out.push_str("    <cas:attributes>\n");
        if let Some(facts) = &success.facts {
            write_facts(out, facts);
        }
        for (name, values) in &success.attributes {
            if success.facts.is_some() && FACTS.contains(&name.as_str()) {
                continue;
            }
            let name = element_name(name);
            for value in values {
                element(out, "      ", &name, value);
            }
        }
        out.push_str("    </cas:attributes>\n");
    }
    if let Some(iou) = &success.pgt_iou {
        element(out, "    ", "proxyGrantingTicket", iou);
    }
    if !success.proxies.is_empty() {
        out.push_str("    <cas:proxies>\n");
        for proxy in &success.proxies {
            element(out, "      ", "proxy", proxy);
        }
        out.push_str("    </cas:proxies>\n");
    }
    out.push_str("  </cas:authenticationSuccess>\n");
}

fn write_facts(out: &mut String, facts: &AuthenticationFacts) {
    let word = |flag: bool| if flag { "true" } else { "false" };
    let [date, long_term, new_login] = FACTS;
    element(out, "      ", date, &facts.date);
    element(out, "      ", long_term, word(facts.long_term));
    element(out, "      ", new_login, word(facts.new_login));
}

fn element(out: &mut String, indent: &str, name: &str, value: &str) {
    let _ = write!(out, "{indent}<cas:{name}>");
    escape(out, value.trim());
    let _ = writeln!(out, "</cas:{name}>");
}

pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A line feed stays; a carriage return would be read as one.
            '\r' => out.push_str("&#13;"),
            c if is_xml(c) => out.push(c),
            _ => {}
        }
    }
}

/// Whether XML 1.0 can hold a character.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// An attribute name as the name of an element: a name that XML cannot hold is written as `_` and
/// the hexadecimal digits of its bytes, as the field does for names with `:` or `@`.
fn element_name(name: &str) -> String {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let valid = starts && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if valid && name.is_ascii() {
        return name.to_owned();
    }
    let mut encoded = String::with_capacity(1 + 2 * name.len());
    encoded.push('_');
    for byte in name.bytes() {
        let _ = write!(encoded, "{byte:02x}");
    }
    encoded
}
