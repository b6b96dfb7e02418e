//! Every maximum of the wire, with its unit and where it comes from.

/// Largest value that is ever decoded, in bytes; also the largest single allocation of a decoder.
pub const DECODE_MAX: usize = 4 * 1024 * 1024;

/// Largest encoded ticket body, in bytes: a principal with a hundred long attributes fits.
pub const TICKET_BODY_MAX: usize = 64 * 1024;

/// Longest service URL, in bytes; browsers and proxies give up earlier.
pub const SERVICE_URL_MAX: usize = 8 * 1024;

/// Most applications remembered per session (rule 13).
pub const SERVICES_MAX: usize = 200;

/// Most members in a view (rule 2).
pub const VIEW_MAX: usize = 5;

/// Longest chain from a session down to a proxy ticket.
pub const ANCESTORS_MAX: usize = 16;

/// Most entries in one message.
pub const BATCH_DELTAS_MAX: usize = 8192;

/// Most buckets compared in one message.
pub const COMPARE_BUCKETS_MAX: usize = 4096;

/// Most members of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// Most bytes of entries gathered into one message; leaves room for one largest entry above it.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
