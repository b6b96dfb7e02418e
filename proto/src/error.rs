//! What was wrong with bytes from a peer. No message quotes the payload.

/// Why bytes are not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than the limit for its kind.
    #[error("larger than the limit for its kind")]
    TooLarge,
    /// Truncated, an unknown tag, text that is not UTF-8, or bytes left over.
    #[error("malformed")]
    Malformed,
    /// Well-formed, but against a rule of its kind.
    #[error("breaks a rule of its kind")]
    Rule,
}
