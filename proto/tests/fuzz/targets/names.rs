//! Node names and incarnations: texts that gossip carries.

use castor_proto::ids::{Incarnation, NodeName};

/// A text that a peer gives for its name or its incarnation.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = NodeName::parse(text) {
        assert_eq!((name.as_str(), name.check()), (text, true));
    }
    if let Some(incarnation) = Incarnation::parse(text) {
        assert_eq!(
            incarnation.to_string(),
            text,
            "one text for one incarnation"
        );
    }
}
