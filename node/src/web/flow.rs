//! The state of a login form, sealed into its hidden input `execution`.
//!
//! The server keeps nothing about a form it has sent, so any node of the cluster, also one started
//! later, can take it back. The state carries no credential: sending an old form again only gives
//! a form again. It has a lifetime, so that a page left open overnight asks anew.

use castor_proto::ids::WallMs;
use castor_proto::limits::SERVICE_URL_MAX;
use castor_proto::seal::aead::{Nonce, SealedValue};
use castor_proto::seal::{KeyRing, Purpose};

const CONTEXT: &[u8] = b"execution";
const VERSION: u8 = 1;
/// A form from a node whose clock is this far ahead is still taken, in milliseconds.
const AHEAD_MS: u64 = 60_000;

/// What the form was asked for with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowState {
    /// The service URL as received.
    pub service: Option<String>,
    /// Whether the service came as `TARGET` of SAML 1.1, so that the ticket goes back as `SAMLart`.
    pub by_target: bool,
    /// Whether fresh credentials are demanded.
    pub renew: bool,
    /// The protocol's `method`, as received.
    pub method: Option<String>,
}

/// Why a flow state is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// Never ours, altered, or sealed under a key that is gone.
    #[error("the form was not made by this cluster")]
    Forged,
    /// Older than its lifetime.
    #[error("the form is too old")]
    Stale,
    /// The state does not fit.
    #[error("the service URL is too long")]
    TooLarge,
}

impl FlowState {
    /// Seals the state under the current key.
    ///
    /// # Errors
    /// [`FlowError::TooLarge`].
    pub fn seal(&self, ring: &KeyRing, nonce: Nonce, now: WallMs) -> Result<String, FlowError> {
        let method = self.method.as_deref().unwrap_or_default();
        let service = self.service.as_deref().unwrap_or_default();
        let method_len = u8::try_from(method.len()).map_err(|_| FlowError::TooLarge)?;
        if service.len() > SERVICE_URL_MAX {
            return Err(FlowError::TooLarge);
        }
        let mut bytes = Vec::with_capacity(16 + method.len() + service.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&now.to_be_bytes());
        bytes.push(u8::from(self.renew) | u8::from(self.by_target) << 1);
        bytes.push(method_len);
        bytes.extend_from_slice(method.as_bytes());
        bytes.extend_from_slice(service.as_bytes());
        SealedValue::seal(ring, Purpose::LoginFlow, CONTEXT, nonce, &bytes)
            .map(|sealed| sealed.to_text())
            .map_err(|_| FlowError::TooLarge)
    }

    /// Opens a state that is at most `lifetime_ms` old.
    ///
    /// # Errors
    /// [`FlowError::Forged`] or [`FlowError::Stale`].
    pub fn open(
        text: &str,
        ring: &KeyRing,
        now: WallMs,
        lifetime_ms: u64,
    ) -> Result<Self, FlowError> {
        let sealed = SealedValue::from_text(text).map_err(|_| FlowError::Forged)?;
        let opened = sealed
            .open(ring, Purpose::LoginFlow, CONTEXT)
            .map_err(|_| FlowError::Forged)?;
        let (issued, state) = Self::decode(&opened.plaintext).ok_or(FlowError::Forged)?;
        let fresh =
            issued <= now.saturating_add(AHEAD_MS) && now <= issued.saturating_add(lifetime_ms);
        if fresh {
            Ok(state)
        } else {
            Err(FlowError::Stale)
        }
    }

    fn decode(bytes: &[u8]) -> Option<(WallMs, Self)> {
        let (version, rest) = bytes.split_first()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (flags, rest) = rest.split_first()?;
        let (method_len, rest) = rest.split_first()?;
        let (method, service) = rest.split_at_checked(usize::from(*method_len))?;
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?.to_owned();
            Some((!text.is_empty()).then_some(text))
        };
        let state = Self {
            service: text(service)?,
            renew: *flags & 1 != 0,
            by_target: *flags & 2 != 0,
            method: text(method)?,
        };
        (*version == VERSION).then_some((u64::from_be_bytes(*issued), state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::cookies::tests::ring;
    use proptest::prelude::*;

    fn state() -> FlowState {
        FlowState {
            service: Some("https://app.example.edu/é?a=b#c".into()),
            by_target: true,
            renew: true,
            method: Some("POST".into()),
        }
    }

    #[test]
    fn any_node_with_the_keys_opens_it_while_it_is_fresh() {
        let text = state().seal(&ring(1, None), [7; 24], 1_000_000).unwrap();
        let open = |now| FlowState::open(&text, &ring(2, Some(1)), now, 10_000);
        assert_eq!(open(1_000_000), Ok(state()));
        assert_eq!(open(1_010_000), Ok(state()));
        assert_eq!(open(1_010_001), Err(FlowError::Stale));
        assert_eq!(
            open(990_000),
            Ok(state()),
            "issued by a node a little ahead"
        );
        assert_eq!(open(100), Err(FlowError::Stale));
    }

    #[test]
    fn forged_and_foreign_states_are_refused() {
        let text = state().seal(&ring(1, None), [7; 24], 0).unwrap();
        let mut altered = text.clone().into_bytes();
        let last = altered.len() - 3;
        altered[last] = if altered[last] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        for bad in ["", "e1s1", "!!", &text[..20], &*altered] {
            let opened = FlowState::open(bad, &ring(1, None), 0, 10);
            assert_eq!(opened, Err(FlowError::Forged), "{bad}");
        }
        let other = FlowState::open(&text, &ring(3, None), 0, 10);
        assert_eq!(other, Err(FlowError::Forged));
    }

    #[test]
    fn long_services_are_refused() {
        let mut long = state();
        long.service = Some("x".repeat(SERVICE_URL_MAX + 1));
        let sealed = long.seal(&ring(1, None), [0; 24], 0);
        assert_eq!(sealed, Err(FlowError::TooLarge));
    }

    proptest! {
        #[test]
        fn states_round_trip(
            service in prop::option::of(".{1,80}"),
            renew: bool,
            method in prop::option::of("[a-zA-Z]{1,20}"),
        ) {
            let state = FlowState { service, by_target: !renew, renew, method };
            let text = state.seal(&ring(1, None), [1; 24], 5).unwrap();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert_eq!(FlowState::open(&text, &ring(1, None), 5, 5), Ok(state));
        }

        #[test]
        fn opening_never_panics(text in "[A-Za-z0-9_-]{0,200}") {
            let _ = FlowState::open(&text, &ring(1, None), 0, 1);
        }
    }
}
