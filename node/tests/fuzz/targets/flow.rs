//! The state of a login form: as a browser sends it back, and after it was opened.

use castor_node::web::flow::FlowState;
use castor_proto::seal::Purpose;
use castor_proto::seal::aead::SealedValue;

/// Far from both ends of the numbers, so that states of any age are opened.
const NOW: u64 = 1 << 40;

/// Once as the text of a hidden input, once as the plaintext that somebody with the keys has sealed.
pub fn flow(bytes: &[u8]) {
    let ring = super::ring();
    let most = 8 * bytes.len() + 16_384;
    if let Ok(text) = std::str::from_utf8(bytes) {
        let opened = super::within(most, || FlowState::open(text, &ring, NOW, u64::MAX));
        assert!(opened.is_err(), "nobody has these keys");
    }
    let sealed = SealedValue::seal(&ring, Purpose::LoginFlow, b"execution", [1; 24], bytes);
    let Ok(sealed) = sealed.map(|sealed| sealed.to_text()) else {
        return;
    };
    let Ok(state) = super::within(most, || FlowState::open(&sealed, &ring, NOW, u64::MAX)) else {
        return;
    };
    if let Ok(again) = state.seal(&ring, [2; 24], NOW) {
        assert_eq!(FlowState::open(&again, &ring, NOW, 0), Ok(state));
    }
}
