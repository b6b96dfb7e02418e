//! Bytes and values: the only file that names the serializer.
//!
//! The format is bincode 2's "standard" (little-endian, variable-length integers), written by
//! wincode. Decoding is exact (trailing bytes are refused) and bounded in size and allocation.

use wincode::config::{self, Configuration};
use wincode::int_encoding::{LittleEndian, VarInt};
use wincode::len::BincodeLen;
use wincode::{SchemaReadOwned, SchemaWrite as Write};

pub use wincode::{SchemaRead, SchemaWrite};

use crate::error::DecodeError;
use crate::limits::DECODE_MAX;

/// The wire format and its bounds, fixed at compile time.
pub type Format =
    Configuration<true, DECODE_MAX, BincodeLen, LittleEndian, VarInt, u32, DECODE_MAX>;

const FORMAT: Format = Configuration::default()
    .with_varint_encoding()
    .with_preallocation_size_limit::<DECODE_MAX>()
    .with_deserialization_size_limit::<DECODE_MAX>();

/// Encodes a value. Values of this crate's types always encode: a value over the size limit of one
/// allocation gives an empty result, which no decoder accepts.
pub fn encode<T: Write<Format, Src = T>>(value: &T) -> Vec<u8> {
    config::serialize(value, FORMAT).unwrap_or_default()
}

/// Decodes exactly one value from the whole of `bytes`.
///
/// # Errors
/// Malformed, truncated or oversized input, or bytes left over.
pub fn decode<T: SchemaReadOwned<Format, Dst = T>>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > DECODE_MAX {
        return Err(DecodeError::TooLarge);
    }
    config::deserialize_exact(bytes, FORMAT).map_err(|_| DecodeError::Malformed)
}
