//! What clients look for, in every recorded answer: their own ways of reading, which are stricter than XML or looser.
//!
//! Only the reading is here, in our words; the clients themselves run in the system tests, the Java client not.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::folder;

/// The recorded answers of a room (`validation`, `proxy`, `saml`) with this ending: case, status and body.
fn recorded(room: &str, ending: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let case = name.strip_prefix(&format!("{room}."));
        let case = case.and_then(|rest| rest.strip_suffix(&format!(".{ending}")));
        if let Some(case) = case {
            let text = std::fs::read_to_string(&path).unwrap();
            let (head, body) = text.split_once("\n\n").unwrap();
            let status = head.lines().next().unwrap();
            found.push((case.to_owned(), status.to_owned(), body.to_owned()));
        }
    }
    assert!(found.len() >= 5, "{room}.{ending}: {}", found.len());
    found
}

fn is_good(case: &str) -> bool {
    case.starts_with("success")
}

/// All text in elements of this local name, one after the other, whatever their depth: as the Java client reads.
fn text_of(body: &str, wanted: &str) -> String {
    let mut reader = Reader::from_str(body);
    let (mut inside, mut text) = (0, String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if start.local_name().as_ref() == wanted => inside += 1,
            Event::End(end) if end.local_name().as_ref() == wanted => inside -= 1,
            Event::Text(piece) if inside > 0 => text.push_str(&piece),
            Event::Eof => return text,
            _ => {}
        }
    }
}

/// The local name of the first element below the root: all that python-cas decides by.
fn first_child(body: &str) -> String {
    let mut reader = Reader::from_str(body);
    let mut depth = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if depth == 1 => return start.local_name().as_ref().to_owned(),
            Event::Start(_) => depth += 1,
            Event::Eof => panic!("nothing below the root: {body}"),
            _ => {}
        }
    }
}

#[test]
fn the_java_client_tells_success_from_failure_by_texts_alone() {
    for (case, _, body) in recorded("validation", "xml") {
        let (user, failure) = (
            text_of(&body, "user"),
            text_of(&body, "authenticationFailure"),
        );
        if is_good(&case) {
            assert_eq!((user.as_str(), failure.trim()), ("casuser", ""), "{case}");
        } else {
            assert_eq!(user, "", "{case}");
            assert!(
                !failure.trim().is_empty(),
                "a blank text is no failure: {case}"
            );
        }
    }
    for (case, _, body) in recorded("proxy", "xml") {
        let (ticket, failure) = (
            text_of(&body, "proxyTicket"),
            text_of(&body, "proxyFailure"),
        );
        assert_eq!(ticket == "PT-ID", is_good(&case), "{case}");
        assert_eq!(failure.trim().is_empty(), is_good(&case), "{case}");
    }
}

#[test]
fn clients_that_read_by_place_or_by_letter_find_what_they_look_for() {
    for (case, status, body) in recorded("validation", "xml") {
        // mod_auth_cas takes the name as it stands; load scripts search for the element's first letters.
        let name = body.contains("<cas:user>casuser</cas:user>");
        let element = body.contains("<cas:authenticationSuccess>");
        assert_eq!((name, element), (is_good(&case), is_good(&case)), "{case}");
        let child = match is_good(&case) {
            true => "authenticationSuccess",
            false => "authenticationFailure",
        };
        assert_eq!(first_child(&body), child, "{case}");
        let told = if case == "INTERNAL_ERROR" {
            "503"
        } else {
            "200"
        };
        assert_eq!(status, told, "{case}");
    }
}

#[test]
fn two_lines_end_in_line_feeds_and_begin_with_the_verdict() {
    for (case, _, body) in recorded("validation", "txt") {
        let expected = match is_good(&case) {
            true => "yes\ncasuser\n",
            false => "no\n\n",
        };
        assert_eq!(body, expected, "{case}");
    }
}

#[test]
fn a_saml_status_ends_in_success_or_does_not() {
    for (case, _, body) in recorded("saml", "xml") {
        let (_, value) = body.split_once("StatusCode Value=\"").unwrap();
        let value = value.split('"').next().unwrap();
        // mod_auth_cas compares what stands after the first colon, python-cas looks at the end.
        let (_, code) = value.split_once(':').unwrap();
        assert_eq!(code == "Success", is_good(&case), "{case}");
        assert_eq!(value.ends_with("Success"), is_good(&case), "{case}");
        assert_eq!(
            text_of(&body, "StatusMessage").is_empty(),
            is_good(&case),
            "{case}"
        );
        assert_eq!(body.contains("Assertion "), is_good(&case), "{case}");
    }
}
