//! Switchable defects: each is a rule of the engine left out, as a counterexample of the model or a plain
//! mistake would have it. The simulator must find every one (`castor-sim mutants`).
//!
//! Compiled only with the feature `mutants`, which is refused together with the driver: no program that
//! serves can have it. Without the feature `mutant!` is `false` and the switches vanish.

use castor_proto::delta::EntryRef;
#[cfg(feature = "mutants")]
use castor_proto::ids::ClaimId;
use castor_proto::ids::Member;
#[cfg(feature = "mutants")]
use castor_proto::ticket::TicketKey;

#[cfg(feature = "mutants")]
use super::Engine;

#[cfg(all(feature = "mutants", feature = "driver"))]
compile_error!("defects are for simulation alone: the feature `mutants` excludes `driver`");

/// Whether this defect is planted in the engine that is handling an input.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        $crate::engine::mutants::is_planted($crate::engine::mutants::Mutant::$name)
    };
}

#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        $crate::engine::mutants::absent(stringify!($name))
    };
}

/// No defect is built in. A call where `false` would do, so that lints see the code as it is with them.
#[cfg(not(feature = "mutants"))]
pub(super) const fn absent(_: &str) -> bool {
    false
}

pub(super) use mutant;

#[cfg(feature = "mutants")]
pub use planted::Mutant;
#[cfg(feature = "mutants")]
pub(super) use planted::{enter, is_planted, reused_id};

#[cfg(feature = "mutants")]
mod planted {
    use std::cell::{Cell, RefCell};

    use castor_proto::ticket::TicketId;

    macro_rules! mutants {
        ($($(#[doc = $doc:literal])* $name:ident,)*) => {
            /// A defect.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Mutant { $($(#[doc = $doc])* $name,)* }

            impl Mutant {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name),*];

                /// Its name.
                pub fn name(self) -> &'static str {
                    match self { $(Self::$name => stringify!($name),)* }
                }

                /// What is left out.
                pub fn story(self) -> &'static str {
                    match self { $(Self::$name => concat!($($doc),*),)* }
                }
            }
        };
    }

    mutants! {
        /// a restarted process keeps its incarnation, and is not fenced (rule 1)
        KeptIncarnation,
        /// votes count for the node's name, whatever the incarnation (rule 1)
        VotesByName,
        /// the view is whoever asks, not what the ticket says (rule 2)
        ForgedView,
        /// a failed issue uses the same id again with another view (rule 3)
        SameIdOtherView,
        /// a member forgets a ticket before it has ended (rule 10)
        ForgetsEarly,
        /// the own clock follows every step of the wall clock, and what was forgotten is taken in again (rule 10)
        ClockGoesBack,
        /// a doubled vote counts twice (rule 1)
        CountsTwice,
        /// every node proposes at ballot 0 (rule 6)
        AnyoneAtBallotZero,
        /// two attempts of one node share a ballot (rule 6)
        BallotPerNode,
        /// two attempts for one claim id share a ballot (rule 6)
        BallotPerClaim,
        /// a fallback ballot goes without promises (rule 7)
        NoPrepare,
        /// a member accepts below what it has promised (rule 6)
        PromiseIgnored,
        /// a proposer ignores what was accepted before (rule 7)
        ReportsIgnored,
        /// votes of different ballots are added up (rule 7)
        BallotsMixed,
        /// a restarted issuer opens ballot 0 of an old view (rule 6)
        OpensOldView,
        /// a later opening replaces the value of ballot 0 (rule 6)
        OpenReplaced,
        /// the issuer's own acceptance decides (rule 7)
        IssuerAloneDecides,
        /// the issuer accepts ballot 0 after a promise (rule 6)
        ZeroAfterPromise,
        /// what is accepted is taken for decided (rule 9)
        AcceptedIsDecided,
        /// what is accepted is copied to others as decided (rule 9)
        AcceptedIsCopied,
        /// a logout is answered at once (rule 15)
        LogoutNotAwaited,
        /// members do not look whether the session has ended (rule 14)
        VotersIgnoreLogout,
        /// a logout waits for a majority (rule 15)
        LogoutByMajority,
        /// a logout ends the tickets that this node knows of, not what descends from the session (rule 14)
        CascadeByChildren,
        /// the snapshot is taken before the streams are subscribed to, and not compared (rule 20)
        SnapshotFirst,
        /// a snapshot comes from any peer, whatever it has applied, and is not compared (rule 20)
        NoBarrier,
        /// nothing is compared, neither after filling nor after a death (rules 19 and 20)
        NothingCompared,
        /// only nodes that are ready are waited for (rules 15 and 16)
        AcksOfReadyOnly,
        /// a digest is over ids alone (rule 19)
        DigestOfIds,
        /// a digest leaves last use out (rule 19)
        DigestWithoutUse,
        /// the younger record replaces the older one whole (rule 13)
        WholeRecord,
        /// tombstones are forgotten early (rule 13)
        TombstoneDropped,
        /// idling away writes a tombstone (rule 17)
        IdleTombstone,
        /// nobody is asked before a refusal for idleness (rule 17)
        IdleUnasked,
        /// last use is the latest heard of, not the greatest (rule 13)
        UseGoesBack,
        /// the lag begins anew when the ring drops something (rule 18)
        LagForgets,
        /// operations are not counted against their limit
        OpsUnbounded,
        /// what has ended is kept (rule 13)
        EndedKept,
        /// after a break a stream is listened to from its beginning (rule 18)
        PlaceForgotten,
    }

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
        static REUSED: RefCell<Option<TicketId>> = const { RefCell::new(None) };
    }

    /// An engine with this defect begins to handle an input.
    pub(in crate::engine) fn enter(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
        REUSED.take();
    }

    pub(in crate::engine) fn is_planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }

    /// Leaves an id for the next ticket, or takes the one that was left.
    pub(in crate::engine) fn reused_id(leave: Option<TicketId>) -> Option<TicketId> {
        match leave {
            Some(id) => REUSED.replace(Some(id)),
            None => REUSED.take(),
        }
    }
}

/// Whether these are the same process (rule 1).
pub(super) fn same(a: &Member, b: &Member) -> bool {
    a == b || ((mutant!(VotesByName) || mutant!(OpensOldView)) && a.node == b.node)
}

/// Whether filling goes without what makes up for its order (rule 20).
pub(super) fn thin_fill() -> bool {
    mutant!(SnapshotFirst) || mutant!(NoBarrier)
}

/// What a digest is made of (rule 19).
#[cfg_attr(
    not(feature = "mutants"),
    expect(unused_mut, reason = "a defect changes it")
)]
pub(super) fn digested(mut entry: EntryRef<'_>) -> EntryRef<'_> {
    #[cfg(feature = "mutants")]
    if mutant!(DigestOfIds) {
        entry.body = None;
        entry.services.clear();
        entry.told.clear();
        (entry.destroyed, entry.decided) = (None, None);
    }
    #[cfg(feature = "mutants")]
    if mutant!(DigestOfIds) || mutant!(DigestWithoutUse) {
        entry.last_used = 0;
    }
    entry
}

#[cfg(feature = "mutants")]
impl super::claim::ClaimOp {
    /// Whoever has accepted anything at an earlier ballot counts again.
    pub(super) fn with_earlier(&self, mut accepted: Vec<Member>) -> Vec<Member> {
        let earlier = self.mixed.iter().filter(|_| mutant!(BallotsMixed));
        for member in earlier {
            if !accepted.contains(member) {
                accepted.push(member.clone());
            }
        }
        accepted
    }
}

#[cfg(feature = "mutants")]
impl Engine {
    /// Who is asked in a member's place.
    pub(super) fn addressee(&self, member: &Member) -> Member {
        let by_name = mutant!(VotesByName) || mutant!(OpensOldView);
        let current = self.peers.get(&member.node).filter(|_| by_name);
        current.map_or_else(|| member.clone(), |peer| peer.member.clone())
    }

    /// A majority of those who are owed, this node counted.
    pub(super) fn too_few(owed: &mut Vec<Member>) {
        if mutant!(LogoutNotAwaited) {
            owed.clear();
        } else if mutant!(LogoutByMajority) {
            owed.truncate(owed.len().div_ceil(2));
        }
    }

    /// Burns the tickets of a session that are known here.
    pub(super) fn end_children(&mut self, root: &TicketKey) {
        for (key, kind, end) in self.singles.children(root) {
            self.learn_decided(key, kind, end, ClaimId([0; 16]), 0);
        }
    }
}
