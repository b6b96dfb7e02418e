//! What the event loop stands on: something that moves messages and says who is there.

use castor_proto::ids::Member;
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::version::WireVersion;

use crate::engine::GossipMember;

/// What a transport reports.
#[derive(Debug)]
pub enum NetEvent {
    /// The link to this member answers hellos.
    LinkUp(Member),
    /// The wire version agreed on for the link that has just come up.
    Speaks(Member, WireVersion),
    /// The link to this member is gone.
    LinkDown(Member),
    /// Messages of a member, authenticated.
    Messages(Member, Vec<PeerMessage>),
    /// Gossip's whole picture of the others.
    Gossip(Vec<GossipMember>),
    /// So many envelopes of this member were refused for this reason that it must be fenced.
    Lied(Member, &'static str),
    /// Another node says that its operator has removed this member.
    Removed(Member),
    /// How many configured seeds have never answered yet.
    SilentSeeds(usize),
    /// The transport cannot go on; the process must exit with this message.
    Fatal(String),
}

/// Moves messages; may lose them.
pub trait Transport: Send + 'static {
    /// Hands messages over for sending, in order per lane. Never blocks: what has no room is
    /// dropped and counted, and the engine repeats what matters.
    fn send(&mut self, to: &Member, messages: Vec<PeerMessage>);

    /// The engine refused something that this member said.
    fn refused(&mut self, from: &Member, reason: &'static str);

    /// What hellos and gossip say of this node from now on.
    fn set_phase(&mut self, phase: Phase);

    /// An operator has removed this member here: the other nodes are to be told.
    fn removed(&mut self, member: &Member);
}
