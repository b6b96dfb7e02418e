//! The only file that names the serializer.
//!
//! The format is bincode 2 "standard": little-endian variable-length integers, lengths before
//! sequences, enum tags in declaration order, no field names. The implementation is `wincode`
//! (decision 0001). Golden bytes in `testdata/` fix the format and a differential test against
//! bincode itself guards it, so the implementation can be changed without changing the wire.
//!
//! Promises: [`decode`] is total, refuses trailing bytes, never reads more than
//! [`DECODE_MAX`] bytes and never lets one encoded length claim more than that of memory. Both limits
//! are part of the configuration's type, so no caller can forget them. There is no schema evolution: a changed type is a new wire version.
//!
//! Types of this crate write `use crate::codec::{SchemaRead, SchemaWrite}` and derive both; the code
//! that the derive generates refers to the crate by its absolute path, hence no other file has to.

use wincode::ReadError;
use wincode::config::{Configuration, deserialize_exact, serialize};
use wincode::int_encoding::{LittleEndian, VarInt};
use wincode::len::BincodeLen;

pub use wincode::{SchemaRead, SchemaWrite};

use crate::error::DecodeError;
use crate::limits::DECODE_MAX;

/// Reading: both limits on.
pub type ReadConfig =
    Configuration<true, DECODE_MAX, BincodeLen, LittleEndian, VarInt, u32, DECODE_MAX>;

/// Writing: no limits, therefore no failure; what is written is our own and bounded by its maker.
pub type WriteConfig =
    Configuration<true, { usize::MAX }, BincodeLen, LittleEndian, VarInt, u32, { usize::MAX }>;

/// A type that can be put on the wire; derived, never implemented by hand.
pub trait Encode: SchemaWrite<WriteConfig, Src = Self> {}
impl<T: SchemaWrite<WriteConfig, Src = T>> Encode for T {}

/// A type that can be taken from the wire; derived, never implemented by hand.
pub trait Decode: for<'de> SchemaRead<'de, ReadConfig, Dst = Self> {}
impl<T: for<'de> SchemaRead<'de, ReadConfig, Dst = T>> Decode for T {}

/// Encodes a value.
///
/// Cannot fail: the serializer's write errors are limits (switched off here), lengths and tags beyond
/// 64 and 32 bits, and a writer that runs full (a growing vector is used). Were one to occur all
/// the same, the result would be empty, which no message decodes from.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    let written = serialize(value, WriteConfig::new());
    debug_assert!(written.is_ok(), "the unlimited configuration does not fail");
    written.unwrap_or_default()
}

/// What stands before the encoded elements of a list: together they are the bytes of [`encode`] of it.
#[must_use]
pub fn list_prefix(elements: usize) -> Vec<u8> {
    encode(&(elements as u64))
}

/// A type that can be read where it lies, texts and all.
pub trait DecodeBorrowed<'a>: SchemaRead<'a, ReadConfig, Dst = Self> {}
impl<'a, T: SchemaRead<'a, ReadConfig, Dst = T>> DecodeBorrowed<'a> for T {}

/// As [`decode`], with texts that stay where they are.
///
/// # Errors
/// As [`decode`].
pub fn decode_borrowed<'a, T: DecodeBorrowed<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    if bytes.len() > DECODE_MAX {
        return Err(DecodeError::TooLarge);
    }
    deserialize_exact::<T, ReadConfig>(bytes, ReadConfig::new()).map_err(translate)
}

/// Decodes exactly one value from all of `bytes`.
///
/// # Errors
/// [`DecodeError`], whatever the bytes are; never a panic, never a large allocation. The caller
/// counts the refusal and drops the message.
pub fn decode<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_borrowed(bytes)
}

/// Keeps the serializer's error type out of our API.
fn translate(error: ReadError) -> DecodeError {
    match error {
        ReadError::Io(_) => DecodeError::Truncated,
        ReadError::TrailingBytes => DecodeError::Trailing,
        ReadError::PreallocationSizeLimit { .. } | ReadError::LengthEncodingOverflow(_) => {
            DecodeError::LengthBeyondLimit
        }
        ReadError::InvalidUtf8Encoding(_)
        | ReadError::InvalidUtf8Code(_)
        | ReadError::InvalidCharLead(_) => DecodeError::Invalid("text that is not UTF-8"),
        ReadError::InvalidTagEncoding(_) | ReadError::TagEncodingOverflow(_) => {
            DecodeError::Invalid("an unknown variant")
        }
        ReadError::InvalidBoolEncoding(_) => DecodeError::Invalid("a bool beyond 1"),
        ReadError::PointerSizedReadError => DecodeError::Invalid("a number beyond 64 bits"),
        ReadError::InvalidValue(what) | ReadError::Custom(what) => DecodeError::Invalid(what),
        ReadError::UnalignedPointerRead => DecodeError::Invalid("an unaligned view"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, SchemaRead, SchemaWrite)]
    enum Sample {
        Nothing,
        Text(String),
        Many { numbers: Vec<u64>, flag: bool },
        Wide(u128, [u8; 16], Option<u32>),
    }

    fn samples() -> Vec<Sample> {
        vec![
            Sample::Nothing,
            Sample::Text("Zwölf".into()),
            Sample::Many {
                numbers: vec![0, 250, 251, 65_536, u64::MAX],
                flag: true,
            },
            Sample::Wide(u128::MAX, [7; 16], Some(9)),
        ]
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for sample in samples() {
            assert_eq!(decode::<Sample>(&encode(&sample)), Ok(sample));
        }
    }

    #[test]
    fn a_list_put_together_from_elements_is_the_list() {
        for count in [0, 1, 4, 250, 251, 70_000] {
            let list: Vec<Sample> = samples().into_iter().cycle().take(count).collect();
            let elements: Vec<Vec<u8>> = list.iter().map(encode).collect();
            let bytes = [list_prefix(elements.len()), elements.concat()].concat();
            assert_eq!(bytes, encode(&list));
        }
    }

    #[test]
    fn every_truncation_and_every_trailing_byte_is_refused() {
        for sample in samples() {
            let mut bytes = encode(&sample);
            for cut in 0..bytes.len() {
                assert!(
                    decode::<Sample>(&bytes[..cut]).is_err(),
                    "{sample:?} cut at {cut}"
                );
            }
            bytes.push(0);
            assert_eq!(decode::<Sample>(&bytes), Err(DecodeError::Trailing));
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_allocation() {
        // Tag 1 (Text), then a length as a 64-bit varint (marker 253).
        for length in [u64::MAX, 1 << 40, DECODE_MAX as u64 + 1] {
            let mut bytes = vec![1, 253];
            bytes.extend_from_slice(&length.to_le_bytes());
            assert_eq!(
                decode::<Sample>(&bytes),
                Err(DecodeError::LengthBeyondLimit)
            );
        }
    }

    #[test]
    fn more_bytes_than_a_payload_may_have_are_refused_unread() {
        let bytes = vec![0; DECODE_MAX + 1];
        assert_eq!(decode::<Sample>(&bytes), Err(DecodeError::TooLarge));
    }
}
