//! The engine's intervals and limits, each with its unit and where it comes from.

use castor_proto::ids::Member;
use castor_proto::version::{self, WireVersion};

/// Microseconds of the monotonic clock.
pub type Micros = u64;

/// One millisecond in the engine's unit of time.
pub const MS: Micros = 1_000;

/// What an engine is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node and this process start.
    pub me: Member,
    /// K of rule 2: wanted number of members in a view; 1, 3 or 5. Default 3.
    pub view_size: usize,
    /// Key of state digests; equal on all nodes of the cluster and never rotated.
    pub digest_key: [u8; 32],
    /// Bound of waiting for acknowledgements of sessions and logouts (rules 15, 16). Default 1 s.
    pub ack_timeout: Micros,
    /// Least and greatest time a member gets to store a single-use ticket (rule 3): 150 ms to 1 s.
    pub store_timeout: (Micros, Micros),
    /// Least and greatest time a member gets to answer in a claim (rule 7): 30 ms to 1 s.
    pub claim_timeout: (Micros, Micros),
    /// Least and greatest pause before a fallback ballot (rule 7d): 5 ms to 40 ms.
    pub backoff: (Micros, Micros),
    /// Overall bound of one claim (rule 7). Default 2 s.
    pub claim_deadline: Micros,
    /// Least and greatest time others get to answer whether they have a ticket (rule 8): 300 ms to 1 s.
    pub find_timeout: (Micros, Micros),
    /// Least and greatest time others get to tell the last use (rule 17): 200 ms to 1 s.
    pub idle_timeout: (Micros, Micros),
    /// How long a decided claim is answered again to the same claim id (rule 4). Default 5 s.
    pub replay_ms: u64,
    /// S of rule 10: tolerance between clocks. Default 2 s.
    pub tolerance_ms: u64,
    /// How long an idle entry is kept after its idle limit (rule 17). Default 10 min.
    pub idle_grace_ms: u64,
    /// Whether applications are told of sessions that expire (rule 15b). Default no.
    pub tell_expired: bool,
    /// Whether the store keeps which sessions each person has. Default no: it takes some 100 bytes for
    /// each session.
    pub index_people: bool,
    /// Longest life that this cluster gives a session: the end of one that no node here knows is remembered
    /// so long. Default 90 days.
    pub longest_life_ms: u64,
    /// How long an empty node waits for silent seeds (rule 20.5). Default 5 s.
    pub bootstrap_wait: Micros,
    /// Bound of a drain (rule 21). Default 15 s.
    pub drain_timeout: Micros,
    /// How long nothing may have happened that explains a difference before one counts as a
    /// divergence (rule 19). Default 10 s.
    pub quiet: Micros,
    /// Newest wire version this node speaks, with every peer whose link says nothing else. Default:
    /// the newest there is.
    pub wire: WireVersion,
    /// Interval of heartbeats on a link. Default 250 ms.
    pub ping_interval: Micros,
    /// How long a peer without link and life is remembered, with its lag. Default 24 h.
    pub forget_after: Micros,
    /// Least first pause before unacknowledged deltas are sent again; longer by measured round trips, and
    /// doubles up to 2 s. Default 300 ms.
    pub resend: Micros,
    /// Least pause between two batches of deltas to a peer while no request waits for them. Default 10 ms.
    pub pace: Micros,
    /// Most deltas kept for resuming streams. Default 65,536.
    pub ring_max: usize,
    /// Most deltas in one batch. Default 2,048, at most the wire's limit.
    pub batch_max: usize,
    /// Most bytes of entries in one message. Default 256 KiB.
    pub batch_bytes: usize,
    /// Most live sessions, and most live proxy-granting tickets, each by itself; beyond it, or with as
    /// many tombstones again, new ones of that kind are refused. Default 5,000,000.
    pub entries_max: usize,
    /// Most bytes of all tickets, as estimated; beyond it new ones are refused. Default 8 GiB.
    pub bytes_max: u64,
    /// Most single-use tickets held. Default 1,000,000.
    pub singles_max: usize,
    /// How long failed sign-ins are counted (rule 25). Default 1 h.
    pub failures_keep_ms: u64,
    /// Most counters of failed sign-ins; beyond it the oldest make room. Default 100,000, about 11 MiB.
    pub failures_max: usize,
    /// Most operations under way at once. Default 65,536.
    pub ops_max: usize,
    /// A planted defect, for the simulator. Default none.
    #[cfg(feature = "mutants")]
    pub mutant: Option<super::Mutant>,
}

impl Config {
    /// The defaults, for one process start.
    pub fn new(me: Member, digest_key: [u8; 32]) -> Self {
        Self {
            me,
            view_size: 3,
            digest_key,
            ack_timeout: 1_000 * MS,
            store_timeout: (150 * MS, 1_000 * MS),
            claim_timeout: (30 * MS, 1_000 * MS),
            backoff: (5 * MS, 40 * MS),
            claim_deadline: 2_000 * MS,
            find_timeout: (300 * MS, 1_000 * MS),
            idle_timeout: (200 * MS, 1_000 * MS),
            replay_ms: 5_000,
            tolerance_ms: 2_000,
            idle_grace_ms: 600_000,
            tell_expired: false,
            index_people: false,
            longest_life_ms: 90 * 86_400_000,
            bootstrap_wait: 5_000 * MS,
            drain_timeout: 15_000 * MS,
            quiet: 10_000 * MS,
            wire: version::CURRENT,
            ping_interval: 250 * MS,
            forget_after: 86_400_000 * MS,
            resend: 300 * MS,
            pace: 10 * MS,
            ring_max: 65_536,
            batch_max: 2_048,
            batch_bytes: 256 * 1024,
            entries_max: 5_000_000,
            bytes_max: 8 << 30,
            singles_max: 1_000_000,
            failures_keep_ms: 3_600_000,
            failures_max: 100_000,
            ops_max: 65_536,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Rule 1 left out: the same incarnation at every start.
    #[cfg(feature = "mutants")]
    pub(super) fn with_kept_identity(mut self) -> Self {
        if self.mutant == Some(super::Mutant::KeptIncarnation) {
            self.me.incarnation = castor_proto::ids::Incarnation([7; 16]);
        }
        self
    }
}
