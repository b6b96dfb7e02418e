//! What the tests of this room share.

use castor_proto::ticket::Principal;
use http::HeaderMap;

use super::access::Asking;
use super::definition::{RegisteredService, Report};

/// A definition with more members; class names are abbreviated: after `@class`, `P` stands for
/// `org.apereo.cas.services.`.
pub(super) fn text(extra: &str) -> String {
    let extra = extra.replace("\"@class\": \"P", "\"@class\": \"org.apereo.cas.services.");
    format!(
        "{{\n\"@class\": \"org.apereo.cas.services.CasRegisteredService\",\n\"id\": 7,\n\
         \"name\": \"App\",\n\"serviceId\": \"^https://app\\\\.edu/.*\",\n{extra}\n}}"
    )
}

/// Reads it.
pub(super) fn read(extra: &str) -> (Option<RegisteredService>, Report) {
    let mut report = Report::default();
    let service = RegisteredService::read(&text(extra), &mut report);
    (service, report)
}

/// Reads one that must be good.
pub(super) fn good(extra: &str) -> RegisteredService {
    let (service, report) = read(extra);
    service.unwrap_or_else(|| panic!("{extra}: {report:?}"))
}

/// Somebody.
pub(super) fn person() -> Principal {
    let attribute = |name: &str, values: &[&str]| {
        let values = values.iter().map(|v| (*v).to_owned());
        (name.to_owned(), values.collect())
    };
    Principal {
        id: "mLee7".into(),
        attributes: vec![
            attribute("mail", &["M.Lee@example.edu"]),
            attribute("role", &["staff", "R&D"]),
            attribute("memberOf", &["cn=lab,ou=physics,o=x", "plain"]),
            attribute("user", &["evil"]),
            attribute("empty", &[]),
        ],
    }
}

/// A request at a moment, from nowhere.
pub(super) fn at(now: u64, headers: &HeaderMap) -> Asking<'_> {
    Asking {
        now,
        address: None,
        headers,
    }
}
