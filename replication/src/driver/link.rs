//! This node's own link to a peer, from the accepted hello to its end.
//!
//! It writes the lanes and gossip, answers probes, and makes a new connection before the old one ends
//! when this node's certificate is renewed: what is queued goes on where it stopped, and the event
//! loop notices nothing. Down is reported once for every process that was reported up, whatever broke
//! its link, also when a newer process has taken over its name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::Member;
use castor_proto::message::Lane;
use quinn::Connection;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::carrier;
use super::dial::{self, Caller, Up};
use super::lane::OutLane;
use super::network::{CODE_LEAVING, CODE_PROTOCOL, CODE_REPLACED};
use super::peers::{Outgoing, echo_probes};
use super::transport::NetEvent;

/// Gossip messages waiting for one peer.
const GOSSIP_QUEUE_MAX: usize = 16;
/// How long the lanes may take to send what is left.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a link ended.
enum Ended {
    Broken,
    Renewed(Box<Up>),
    Stopping,
}

impl Caller {
    /// Runs a link, and the ones that renew it, until it breaks.
    pub(super) async fn link(&self, mut up: Up) {
        let shared = &self.shared;
        shared.metrics.link("out", 1);
        let mut announced: Option<Member> = None;
        loop {
            let (gossip, gossip_queue) = mpsc::channel(GOSSIP_QUEUE_MAX);
            let outgoing = Outgoing {
                connection: up.connection.clone(),
                address: self.address,
                wire: up.wire,
                queues: up.queues.clone(),
                gossip,
            };
            let advertise = up.accepted.advertise.parse().unwrap_or(self.address);
            if !shared.registry().link_up(&up.member, advertise, outgoing) {
                tracing::error!(node = %up.member.node, "more nodes than a cluster may have");
                up.connection.close(CODE_PROTOCOL, b"too many nodes");
                break;
            }
            let earlier = announced.replace(up.member.clone());
            if earlier.as_ref() != Some(&up.member) {
                // The peer was restarted while its link was renewed.
                if let Some(earlier) = earlier {
                    self.report_down(earlier).await;
                }
                self.announce(&up, advertise).await;
            }
            match self.serve(&up, gossip_queue).await {
                Ended::Renewed(next) => up = *next,
                Ended::Broken | Ended::Stopping => break,
            }
        }
        shared.metrics.link("out", -1);
        let gone = shared.registry().link_down(&up.member, &up.connection);
        if let Some(member) = announced.filter(|member| gone || *member != up.member) {
            self.report_down(member).await;
        }
    }

    async fn report_down(&self, member: Member) {
        tracing::info!(node = %member.node, address = %self.address, "link down");
        self.shared.emit(NetEvent::LinkDown(member)).await;
    }

    async fn announce(&self, up: &Up, advertise: SocketAddr) {
        let shared = &self.shared;
        tracing::info!(node = %up.member.node, address = %self.address, wire = %up.wire, "link up");
        shared.emit(NetEvent::LinkUp(up.member.clone())).await;
        let speaks = NetEvent::Speaks(up.member.clone(), up.wire);
        shared.emit(speaks).await;
        // Only now: that every seed has answered must not be heard before the links are.
        shared.registry().answered(self.address);
        dial::call(shared, advertise);
        // Full means that greetings are waiting already.
        let _ = shared.greet.try_send(advertise);
    }

    /// Writes lanes and gossip until the link breaks, is renewed, or the network stops.
    async fn serve(&self, up: &Up, gossip_queue: mpsc::Receiver<Vec<u8>>) -> Ended {
        let mut credentials = self.shared.credentials.subscribe();
        let (stop, stopped) = watch::channel(false);
        let mut writers = JoinSet::new();
        for lane in Lane::ALL {
            for part in 0..lane.parts(up.wire) {
                writers.spawn(write_lane(
                    self.out_lane(up, lane, part),
                    up.connection.clone(),
                    stopped.clone(),
                ));
            }
        }
        let mut aside = JoinSet::new();
        aside.spawn(echo_probes(up.connection.clone()));
        aside.spawn(carrier::send_loop(up.connection.clone(), gossip_queue));
        loop {
            tokio::select! {
                _ = up.connection.closed() => return Ended::Broken,
                Some(ended) = writers.join_next() => {
                    tracing::debug!(node = %up.member.node, ?ended, "a lane ended");
                    up.connection.close(CODE_PROTOCOL, b"a lane ended");
                    return Ended::Broken;
                }
                () = self.shared.stopping() => {
                    stop.send_replace(true);
                    let _ = timeout(FAREWELL, drain(&mut writers)).await;
                    up.connection.close(CODE_LEAVING, b"leaving");
                    return Ended::Stopping;
                }
                Ok(()) = credentials.changed() => {
                    let Ok(dialled) = self.connect().await else {
                        // The old link still works; try again with the next change or break.
                        tracing::warn!(node = %up.member.node, "the link could not be renewed");
                        continue;
                    };
                    stop.send_replace(true);
                    let _ = timeout(2 * FAREWELL, drain(&mut writers)).await;
                    let next = self.hello(dialled, Some(up)).await;
                    up.connection.close(CODE_REPLACED, b"renewed");
                    return next.map_or(Ended::Broken, |next| Ended::Renewed(Box::new(next)));
                }
            }
        }
    }

    fn out_lane(&self, up: &Up, lane: Lane, part: usize) -> OutLane {
        OutLane {
            shared: Arc::clone(&self.shared),
            lane,
            part,
            queue: Arc::clone(&up.queues[lane as usize]),
            peer: up.member.clone(),
            version: up.wire,
            signer: Arc::clone(&up.signer),
            sent: self.shared.metrics.carried(up.member.node.as_str(), "sent"),
        }
    }
}

async fn write_lane(lane: OutLane, connection: Connection, stop: watch::Receiver<bool>) {
    let Ok(stream) = connection.open_uni().await else {
        return;
    };
    // Refused only when the stream has ended.
    let _ = stream.set_priority(2 - lane.lane as i32);
    if let Err(error) = lane.run(stream, stop).await {
        tracing::debug!(%error, "a lane broke");
    }
}

async fn drain(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
