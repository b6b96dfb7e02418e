//! The key ring's file.

use castor_proto::seal::KeyRing;

/// The text of a key file.
pub fn keyring(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match super::within(8 * bytes.len() + 16_384, || KeyRing::parse(text)) {
        Ok(ring) => {
            let written = ring.format();
            let again = KeyRing::parse(&written).expect("our own text");
            assert!(ring.same_as(&again));
        }
        Err(error) => {
            let longest = text.split_whitespace().filter(|word| word.len() > 20);
            for word in longest.filter(|word| word.is_ascii()) {
                assert!(!error.to_string().contains(word), "no error quotes a line");
            }
        }
    }
}
