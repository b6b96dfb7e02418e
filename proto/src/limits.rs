//! Every maximum of the wire, with its unit and where it comes from.
//!
//! Promises: a peer that keeps to these limits is never refused for size, and one that does not is
//! refused before memory is set aside for it. The relations between the limits are checked when the
//! crate is compiled. What is *not* here: time limits, and the sizes of queues, which belong to the
//! code that owns them.

/// Longest payload of one frame, bytes (4 MiB): what a receiver may have to hold per open stream.
/// With 3 lanes and 9 peers this bounds frame buffers to 108 MiB in the worst case, and to a
/// fraction of it in practice, because senders stop gathering at [`BATCH_BYTES_MAX`].
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Longest payload of a hello or hello-answer frame, bytes: a name, an address, a few numbers.
pub const HELLO_BYTES_MAX: usize = 4 << 10;

/// Longest payload of a gossip frame, bytes: the gossip library's own bound, one UDP datagram.
pub const GOSSIP_BYTES_MAX: usize = 65_507;

/// What an envelope adds to its payload at most, bytes: fixed header fields (75), two
/// length-prefixed names (2 x 33), authentication tag (16), signature (64); rounded up to 256.
pub const ENVELOPE_OVERHEAD_MAX: usize = 256;

/// Longest encoded payload of one envelope, bytes; also the total limit of one decode.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - ENVELOPE_OVERHEAD_MAX;

/// A sender stops gathering messages into one envelope here, bytes (512 KiB): about 1,500 session
/// deltas, far beyond the point (8 per write) where batching stops paying, and small enough that a
/// claim never waits behind more than a few milliseconds of bulk data.
pub const BATCH_BYTES_MAX: usize = 512 << 10;

/// Most messages in one envelope. Small messages (acknowledgements) would otherwise reach the
/// memory limit of one decoded collection before they reach [`BATCH_BYTES_MAX`].
pub const BATCH_MESSAGES_MAX: usize = 1_024;

/// Largest memory one encoded length may ask for while decoding, bytes (4 MiB): elements times
/// their size in memory. A longer announcement is refused before allocation.
pub const COLLECTION_BYTES_MAX: usize = 4 << 20;

/// Longest encoded ticket body, bytes (64 KiB): a principal with its attributes, a service URL and
/// a view. The node refuses a login whose attributes do not fit, with a clear error.
pub const TICKET_BODY_BYTES_MAX: usize = 64 << 10;

/// Longest service URL, bytes (8 KiB): what common servers accept as a request line.
pub const SERVICE_URL_BYTES_MAX: usize = 8 << 10;

/// Longest node name, bytes (one DNS label part of a certificate's name).
pub const NODE_NAME_BYTES_MAX: usize = 32;

/// Longest advertised address, bytes: a DNS name (253), a colon, a port (5), rounded up.
pub const ADDRESS_BYTES_MAX: usize = 260;

/// Most keys in a ring: previous, current, next.
pub const KEYS_MAX: usize = 3;

/// Longest sealed value (cookie, login flow), bytes before base64 (16 KiB): a service URL of the
/// longest kind, percent-encoding undone, and its surroundings.
pub const SEALED_VALUE_BYTES_MAX: usize = 16 << 10;

/// Longest key-ring file, bytes: three lines of less than 120 bytes and room for comments.
pub const KEY_FILE_BYTES_MAX: usize = 16 << 10;

const _: () = assert!(
    FRAME_BYTES_MAX <= u32::MAX as usize,
    "the length field is 32 bits"
);
const _: () = assert!(
    BATCH_BYTES_MAX <= PAYLOAD_BYTES_MAX,
    "a full batch fits an envelope"
);
const _: () = assert!(
    BATCH_BYTES_MAX + 2 * TICKET_BODY_BYTES_MAX <= PAYLOAD_BYTES_MAX,
    "a message that just overshoots a full batch still fits"
);
const _: () = assert!(
    TICKET_BODY_BYTES_MAX < BATCH_BYTES_MAX,
    "a ticket fits a batch"
);
const _: () = assert!(
    SERVICE_URL_BYTES_MAX < TICKET_BODY_BYTES_MAX,
    "a service URL fits a ticket"
);
const _: () = assert!(
    SERVICE_URL_BYTES_MAX < SEALED_VALUE_BYTES_MAX,
    "and fits the login flow"
);
const _: () = assert!(
    NODE_NAME_BYTES_MAX <= u8::MAX as usize,
    "names carry an 8-bit length"
);
const _: () = assert!(HELLO_BYTES_MAX < FRAME_BYTES_MAX && GOSSIP_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(
    PAYLOAD_BYTES_MAX <= COLLECTION_BYTES_MAX,
    "a byte payload fits one Vec"
);
