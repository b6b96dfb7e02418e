//! Every maximum of the wire, with its unit and where it comes from.
//!
//! Promises: a peer that keeps to these limits is never refused for size, and one that does not is
//! refused before memory is set aside for it. The relations between the limits are checked when the
//! crate is compiled. What is *not* here: time limits, and the sizes of queues, which belong to the
//! code that owns them.

/// Longest payload of one frame, bytes (4 MiB): what a receiver may have to hold per open stream.
/// With 3 lanes and 9 peers this bounds frame buffers to 108 MiB in the worst case, and to a
/// fraction of it in practice, because senders stop gathering at [`BATCH_BYTES_MAX`].
pub const FRAME_MAX: usize = 4 << 20;

/// Longest payload of a hello or hello-answer frame, bytes: a name, an address, a few numbers.
pub const HELLO_MAX: usize = 4 << 10;

/// Longest payload of a gossip frame, bytes: the gossip library's own bound, one UDP datagram.
pub const GOSSIP_MAX: usize = 65_507;

/// What an envelope adds to its payload at most, bytes: fixed header fields (71), two
/// length-prefixed names (2 x 33), authentication tag (16), signature (64); rounded up.
pub const ENVELOPE_OVERHEAD_MAX: usize = 256;

/// Largest value that is ever decoded, bytes: what fits an envelope. Also the largest memory that
/// one encoded length may ask for while decoding (elements times their size in memory).
pub const DECODE_MAX: usize = FRAME_MAX - ENVELOPE_OVERHEAD_MAX;

/// Most bytes of entries gathered into one message, and where a sender stops gathering messages into
/// one envelope (512 KiB): about 1,500 session deltas, far beyond the point (8 per write) where
/// batching stops paying. Leaves room for one largest entry above it.
pub const BATCH_BYTES_MAX: usize = 512 << 10;

/// Most messages in one envelope: small messages (acknowledgements) would otherwise reach the memory
/// limit of one decoded collection before they reach [`BATCH_BYTES_MAX`].
pub const BATCH_MESSAGES_MAX: usize = 1_024;

/// Most entries in one message.
pub const BATCH_DELTAS_MAX: usize = 8_192;

/// Largest encoded ticket body, bytes: a principal with a hundred long attributes fits.
pub const TICKET_BODY_MAX: usize = 64 << 10;

/// Longest service URL, bytes; browsers and proxies give up earlier.
pub const SERVICE_URL_MAX: usize = 8 << 10;

/// Most applications remembered per session (rule 13).
pub const SERVICES_MAX: usize = 200;

/// Most members in a view (rule 2).
pub const VIEW_MAX: usize = 5;

/// Longest chain from a session down to a proxy ticket.
pub const ANCESTORS_MAX: usize = 16;

/// Most buckets compared in one message.
pub const COMPARE_BUCKETS_MAX: usize = 4_096;

/// Most shards or buckets named in one message of a digest round.
pub const DIGEST_PARTS_MAX: usize = 256;

/// Most bucket digests told in one message of a digest round: about 350 KiB.
pub const DIGEST_BUCKETS_MAX: usize = 16_384;

/// Most pairs of key and digest told in one message of a digest round: about 540 KiB.
pub const DIGEST_PAIRS_MAX: usize = 16_384;

/// Most tickets asked about by key in one message of a digest round: 64 KiB.
pub const DIGEST_KEYS_MAX: usize = 4_096;

/// Most counters of failed sign-ins in one message: about 70 KiB.
pub const FAILURES_MAX: usize = 1_024;

/// Most members of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// Longest advertised address, bytes: a DNS name (253), a colon, a port (5), rounded up.
pub const ADDRESS_MAX: usize = 260;

/// Most keys in a ring: previous, current, next.
pub const KEYS_MAX: usize = 3;

/// Longest sealed value (cookie, login flow), bytes before base64 (16 KiB): a service URL of the
/// longest kind and its surroundings.
pub const SEALED_VALUE_MAX: usize = 16 << 10;

/// Longest key-ring file, bytes: three lines of less than 120 bytes and room for comments.
pub const KEY_FILE_MAX: usize = 16 << 10;

/// Largest entry, bytes: its body, and every application with a URL of the longest kind.
pub const ENTRY_MAX: usize = TICKET_BODY_MAX + SERVICES_MAX * (SERVICE_URL_MAX + 256);

const _: () = assert!(
    FRAME_MAX <= u32::MAX as usize,
    "the length field has 32 bits"
);
const _: () = assert!(
    BATCH_BYTES_MAX + ENTRY_MAX <= DECODE_MAX,
    "a batch that was overshot by one largest entry still fits an envelope"
);
const _: () = assert!(
    BATCH_DELTAS_MAX * size_of::<crate::delta::Entry>() <= DECODE_MAX,
    "as many entries as a message may have pass the decoder's memory limit"
);
const _: () = assert!(
    BATCH_MESSAGES_MAX * size_of::<crate::message::PeerMessage>() <= DECODE_MAX,
    "as many messages as an envelope may have pass the decoder's memory limit"
);
const _: () = assert!(
    FAILURES_MAX * size_of::<crate::failures::Counter>() < BATCH_BYTES_MAX,
    "counters of failed sign-ins fit a batch"
);
const _: () = assert!(TICKET_BODY_MAX < BATCH_BYTES_MAX, "a ticket fits a batch");
const _: () = assert!(
    SERVICE_URL_MAX < TICKET_BODY_MAX,
    "a service URL fits a ticket"
);
const _: () = assert!(
    SERVICE_URL_MAX < SEALED_VALUE_MAX,
    "and fits the login flow"
);
const _: () = assert!(
    crate::ids::NodeName::MAX <= u8::MAX as usize,
    "names carry an 8-bit length"
);
const _: () = assert!(HELLO_MAX < FRAME_MAX && GOSSIP_MAX < FRAME_MAX);

/// Latest moment that is believed, milliseconds since the Unix epoch: the year 2527. Sums of two
/// such moments never overflow.
pub const WALL_MAX: u64 = 1 << 44;

/// Highest sequence of a stream.
pub const SEQUENCE_MAX: u64 = 1 << 62;

/// Highest round of a fallback ballot; a claim's deadline allows a few dozen.
pub const ROUND_MAX: u32 = 1 << 20;
