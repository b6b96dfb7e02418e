//! The SOAP answer of `/samlValidate` (SAML 1.1).
//!
//! Written by hand for the same reason as the XML of CAS 2 and 3: clients look at more than the
//! schema. Prefixes are those that clients were written against, values stand without blanks, and
//! without attributes there is no `AttributeStatement`.

use std::fmt::Write as _;

use super::xml::{FACTS, escape};
use crate::cas::outcome::{Outcome, Success};

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:1.0:protocol";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:1.0:assertion";

/// What an answer is besides its outcome.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// Id of the request, when it had one.
    pub in_response_to: Option<&'a str>,
    /// Id of the answer, an XML name.
    pub response_id: &'a str,
    /// Id of the assertion, an XML name.
    pub assertion_id: &'a str,
    /// Who issues it.
    pub issuer: &'a str,
    /// The application it is for.
    pub audience: &'a str,
    /// Namespace of attribute names.
    pub attribute_namespace: &'a str,
    /// Now, as an ISO 8601 time in UTC.
    pub issued: &'a str,
    /// From when the assertion holds.
    pub not_before: &'a str,
    /// Until when it holds.
    pub not_after: &'a str,
}

/// The document of an outcome.
pub fn write(outcome: &Outcome, frame: &Frame<'_>) -> String {
    let mut out = String::with_capacity(2048);
    let _ = write!(
        out,
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{ENVELOPE}\"><SOAP-ENV:Body>\
         <saml1p:Response xmlns:saml1p=\"{PROTOCOL}\" MajorVersion=\"1\" MinorVersion=\"1\" \
         ResponseID=\"{}\" IssueInstant=\"{}\"",
        frame.response_id, frame.issued
    );
    attribute(&mut out, "Recipient", frame.audience);
    if let Some(id) = frame.in_response_to {
        attribute(&mut out, "InResponseTo", id);
    }
    out.push('>');
    match outcome {
        Outcome::Success(success) => {
            out.push_str(
                "<saml1p:Status><saml1p:StatusCode Value=\"saml1p:Success\"/></saml1p:Status>",
            );
            assertion(&mut out, success, frame);
        }
        Outcome::Failure(failure) => {
            out.push_str(
                "<saml1p:Status><saml1p:StatusCode Value=\"saml1p:RequestDenied\"/>\
                 <saml1p:StatusMessage>",
            );
            escape(&mut out, &failure.text);
            out.push_str("</saml1p:StatusMessage></saml1p:Status>");
        }
    }
    out.push_str("</saml1p:Response></SOAP-ENV:Body></SOAP-ENV:Envelope>");
    out
}

fn assertion(out: &mut String, success: &Success, frame: &Frame<'_>) {
    let _ = write!(
        out,
        "<saml1:Assertion xmlns:saml1=\"{ASSERTION}\" AssertionID=\"{}\" IssueInstant=\"{}\" \
         MajorVersion=\"1\" MinorVersion=\"1\"",
        frame.assertion_id, frame.issued
    );
    attribute(out, "Issuer", frame.issuer);
    let _ = write!(
        out,
        "><saml1:Conditions NotBefore=\"{}\" NotOnOrAfter=\"{}\">\
         <saml1:AudienceRestrictionCondition><saml1:Audience>",
        frame.not_before, frame.not_after
    );
    escape(out, frame.audience);
    let _ = write!(
        out,
        "</saml1:Audience></saml1:AudienceRestrictionCondition></saml1:Conditions>\
         <saml1:AuthenticationStatement AuthenticationInstant=\"{}\" \
         AuthenticationMethod=\"urn:oasis:names:tc:SAML:1.0:am:password\">",
        success.authenticated_at
    );
    subject(out, &success.user);
    out.push_str("</saml1:AuthenticationStatement>");
    let long_term = success.facts.as_ref().filter(|facts| facts.long_term);
    if long_term.is_some() || !success.attributes.is_empty() {
        out.push_str("<saml1:AttributeStatement>");
        subject(out, &success.user);
        for (name, values) in &success.attributes {
            values_of(out, name, values, frame);
        }
        if long_term.is_some() {
            let [_, name, _] = FACTS;
            values_of(out, name, &["true".to_owned()], frame);
        }
        out.push_str("</saml1:AttributeStatement>");
    }
    out.push_str("</saml1:Assertion>");
}

fn subject(out: &mut String, user: &str) {
    out.push_str("<saml1:Subject><saml1:NameIdentifier>");
    escape(out, user.trim());
    out.push_str(
        "</saml1:NameIdentifier><saml1:SubjectConfirmation><saml1:ConfirmationMethod>\
         urn:oasis:names:tc:SAML:1.0:cm:artifact</saml1:ConfirmationMethod>\
         </saml1:SubjectConfirmation></saml1:Subject>",
    );
}

fn values_of(out: &mut String, name: &str, values: &[String], frame: &Frame<'_>) {
    out.push_str("<saml1:Attribute");
    attribute(out, "AttributeName", name);
    attribute(out, "AttributeNamespace", frame.attribute_namespace);
    out.push('>');
    for value in values {
        out.push_str("<saml1:AttributeValue>");
        escape(out, value.trim());
        out.push_str("</saml1:AttributeValue>");
    }
    out.push_str("</saml1:Attribute>");
}

/// An attribute of an element; line ends and tabs would be read as blanks.
fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    let plain: String = value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    escape(out, &plain);
    out.push('"');
}
