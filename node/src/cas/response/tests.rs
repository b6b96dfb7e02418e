//! Answers byte for byte, and against a real XML parser.

use super::*;
use crate::cas::outcome::{AuthenticationFacts, Success};
use proptest::prelude::*;

fn pair(name: &str, values: &[&str]) -> (String, Vec<String>) {
    (
        name.to_owned(),
        values.iter().map(|v| (*v).to_owned()).collect(),
    )
}

fn full() -> Outcome {
    Outcome::Success(Box::new(Success {
        user: "mlee7".into(),
        attributes: vec![
            pair("mail", &["mlee7@example.edu"]),
            pair("memberOf", &["staff", "R&D"]),
        ],
        facts: Some(AuthenticationFacts {
            date: "2026-11-20T17:30:00.123Z".into(),
            long_term: false,
            new_login: true,
        }),
        authenticated_at: "2026-11-20T17:30:00.123Z".into(),
        pgt_iou: Some("PGTIOU-7-4dQ1kV0xAn9w3y-node1".into()),
        proxies: vec!["https://portal.example.edu/pgt".into()],
    }))
}

fn bare(user: &str) -> Success {
    Success {
        user: user.into(),
        attributes: vec![],
        facts: None,
        authenticated_at: "2026-11-20T17:30:00.123Z".into(),
        pgt_iou: None,
        proxies: vec![],
    }
}

#[test]
fn xml_of_a_success() {
    let expected = "\
<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>
  <cas:authenticationSuccess>
    <cas:user>mlee7</cas:user>
    <cas:attributes>
      <cas:authenticationDate>2026-11-20T17:30:00.123Z</cas:authenticationDate>
      <cas:longTermAuthenticationRequestTokenUsed>false\
</cas:longTermAuthenticationRequestTokenUsed>
      <cas:isFromNewLogin>true</cas:isFromNewLogin>
      <cas:mail>mlee7@example.edu</cas:mail>
      <cas:memberOf>staff</cas:memberOf>
      <cas:memberOf>R&amp;D</cas:memberOf>
    </cas:attributes>
    <cas:proxyGrantingTicket>PGTIOU-7-4dQ1kV0xAn9w3y-node1</cas:proxyGrantingTicket>
    <cas:proxies>
      <cas:proxy>https://portal.example.edu/pgt</cas:proxy>
    </cas:proxies>
  </cas:authenticationSuccess>
</cas:serviceResponse>
";
    assert_eq!(xml::write(&full()), expected);
}

#[test]
fn xml_without_attributes_has_no_empty_element() {
    let expected = "\
<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>
  <cas:authenticationSuccess>
    <cas:user>mlee7</cas:user>
  </cas:authenticationSuccess>
</cas:serviceResponse>
";
    assert_eq!(
        xml::write(&Outcome::Success(Box::new(bare("mlee7")))),
        expected
    );
}

#[test]
fn xml_of_a_failure_escapes_what_was_sent() {
    let expected = "\
<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>
  <cas:authenticationFailure code=\"INVALID_TICKET\">Ticket 'ST-&lt;&amp;&gt;' not recognized\
</cas:authenticationFailure>
</cas:serviceResponse>
";
    assert_eq!(
        xml::write(&Outcome::not_recognized("ST-<&>\u{0}")),
        expected
    );
}

#[test]
fn names_that_xml_cannot_hold_are_encoded() {
    let mut success = bare("u");
    success.attributes = vec![
        pair("urn:oid:1", &["x"]),
        pair("a b", &["x"]),
        pair("1st", &["x"]),
        pair("eduPerson-x.y_z", &["x"]),
    ];
    let text = xml::write(&Outcome::Success(Box::new(success)));
    for part in [
        "<cas:_75726e3a6f69643a31>x</",
        "<cas:_612062>x</",
        "<cas:_317374>x</",
        "<cas:eduPerson-x.y_z>x</",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn json_of_outcomes() {
    let lists = concat!(
        r#"{"serviceResponse":{"authenticationSuccess":{"user":"mlee7","#,
        r#""proxyGrantingTicket":"PGTIOU-7-4dQ1kV0xAn9w3y-node1","#,
        r#""proxies":["https://portal.example.edu/pgt"],"#,
        r#""attributes":{"mail":["mlee7@example.edu"],"memberOf":["staff","R&D"],"#,
        r#""authenticationDate":["2026-11-20T17:30:00.123Z"],"#,
        r#""longTermAuthenticationRequestTokenUsed":[false],"isFromNewLogin":[true]}}}}"#,
    );
    assert_eq!(json::write(&full(), Single::List), lists);
    let scalars = concat!(
        r#"{"serviceResponse":{"authenticationSuccess":{"user":"mlee7","#,
        r#""proxyGrantingTicket":"PGTIOU-7-4dQ1kV0xAn9w3y-node1","#,
        r#""proxies":["https://portal.example.edu/pgt"],"#,
        r#""attributes":{"mail":"mlee7@example.edu","memberOf":["staff","R&D"],"#,
        r#""authenticationDate":"2026-11-20T17:30:00.123Z","#,
        r#""longTermAuthenticationRequestTokenUsed":false,"isFromNewLogin":true}}}}"#,
    );
    assert_eq!(json::write(&full(), Single::Scalar), scalars);
    let bare = json::write(&Outcome::Success(Box::new(bare("u"))), Single::List);
    assert_eq!(
        bare,
        r#"{"serviceResponse":{"authenticationSuccess":{"user":"u"}}}"#
    );
    assert_eq!(
        json::write(&Outcome::other_service(), Single::List),
        "{\"serviceResponse\":{\"authenticationFailure\":{\"code\":\"INVALID_SERVICE\",\
         \"description\":\"The ticket was issued for another service than the one supplied\"}}}"
    );
}

#[test]
fn plain_text_is_two_lines() {
    assert_eq!(plain::write(&full()), "yes\nmlee7\n");
    assert_eq!(plain::write(&Outcome::undecided()), "no\n\n");
    let odd = Outcome::Success(Box::new(bare("a\r\nyes")));
    assert_eq!(plain::write(&odd), "yes\na  yes\n");
}

#[test]
fn refusals_are_200_and_only_cannot_tell_is_503() {
    for (outcome, status) in [
        (full(), 200),
        (Outcome::missing_parameters(), 200),
        (Outcome::not_recognized("x"), 200),
        (Outcome::unauthorized(), 200),
        (Outcome::undecided(), 503),
    ] {
        for format in [Format::Xml, Format::Json(Single::List), Format::Plain] {
            let response = respond(&outcome, format, false);
            assert_eq!(response.status().as_u16(), status, "{outcome:?}");
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
    }
    let get = |format| respond(&full(), format, true).headers()["content-type"].clone();
    assert_eq!(get(Format::Xml), "application/xml;charset=UTF-8");
    assert_eq!(get(Format::Json(Single::List)), "application/json");
    let of = |text| Format::of_parameter(Some(text), Single::Scalar);
    assert_eq!(of("jSoN"), Format::Json(Single::Scalar));
    assert_eq!(of("yaml"), Format::Xml);
}

/// Reads the document with a real parser: the texts of all elements by local name.
fn texts(document: &str) -> Vec<(String, String)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(document);
    let mut open = Vec::new();
    let mut out: Vec<(String, String)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                out.push((start.local_name().as_ref().to_owned(), String::new()));
                open.push(out.len() - 1);
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => {
                if let Some(at) = open.last() {
                    out[*at].1.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let name = reference.to_string();
                let c = match reference.resolve_char_ref().unwrap() {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name)
                        .unwrap()
                        .to_owned(),
                };
                if let Some(at) = open.last() {
                    out[*at].1.push_str(&c);
                }
            }
            Event::Eof => return out,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_values_the_document_is_well_formed(
        user in "[ -~é\u{1}\u{fffe}]{1,30}",
        name in "[ -~é]{1,12}",
        value in "[ -~é\r\u{b}]{1,30}",
    ) {
        prop_assume!(!user.trim().is_empty());
        let mut success = bare(&user);
        success.attributes = vec![(name, vec![value.clone()])];
        let outcome = Outcome::Success(Box::new(success));
        let read = texts(&xml::write(&outcome));
        let keep = |text: &str| {
            text.trim().chars().filter(|c| !"\u{1}\u{fffe}\u{b}".contains(*c)).collect::<String>()
        };
        prop_assert_eq!(&read[2], &("user".to_owned(), keep(&user)));
        prop_assert_eq!(&read[4].1, &keep(&value));
        let parsed: serde_json::Value = serde_json::from_str(&json::write(&outcome, Single::List)).unwrap();
        let success = &parsed["serviceResponse"]["authenticationSuccess"];
        prop_assert_eq!(success["user"].as_str().unwrap(), user.trim());
    }
}
