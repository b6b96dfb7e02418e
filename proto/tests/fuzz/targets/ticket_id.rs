//! Ticket ids, as browsers and applications present them.

use castor_proto::ticket::TicketId;

/// A text that somebody presents as a ticket.
pub fn ticket_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(id) = super::within(4_096, || TicketId::parse(text)) else {
        return;
    };
    assert_eq!(id.as_str(), text);
    assert!(id.check() && id.kind().is_some());
    assert!((1..=5).contains(&id.tags().len()), "{:?}", id.tags());
    assert!(!id.is_genuine(&[0xa5; 32]), "nobody made ids with this key");
    let random = text.split('-').nth(2).expect("four parts");
    for shown in [id.masked(), format!("{id:?}")] {
        assert!(!shown.contains(&random[..24]), "{shown}");
        assert!(shown.len() <= 40, "{shown}");
    }
}
