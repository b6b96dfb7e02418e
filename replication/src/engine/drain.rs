//! Leaving service without losing a ticket (rule 21).

use castor_proto::message::Phase;

use super::config::Micros;
use super::timers::Timer;
use super::{Engine, Event, MS, Reply};

/// How often a drain looks whether it is done.
const STEP: Micros = 50 * MS;

#[derive(Default)]
pub(super) struct Drain {
    until: Option<Micros>,
    drained: bool,
}

impl Engine {
    pub(super) fn start_drain(&mut self, command: u64) {
        self.reply(command, Reply::Done);
        if self.drain.until.is_some() {
            return;
        }
        self.drain = Drain {
            until: Some(self.now.mono + self.config.drain_timeout),
            drained: false,
        };
        // A node that is not filled does not call itself full by draining.
        if self.fill.is_done() {
            self.set_phase(Phase::Draining);
        }
        self.drain_step();
    }

    pub(super) fn resume(&mut self, command: u64) {
        if self.drain.until.take().is_some() {
            let phase = if self.fill.is_done() {
                Phase::Ready
            } else {
                Phase::Empty
            };
            self.set_phase(phase);
        }
        self.reply(command, Reply::Done);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.until.is_some()
    }

    pub(super) fn drain_step(&mut self) {
        let Some(until) = self.drain.until else {
            return;
        };
        if self.drain.drained {
            return;
        }
        if self.now.mono >= until || self.is_drained() {
            self.drain.drained = true;
            return self.event(Event::Drained);
        }
        self.timers.set(self.now.mono + STEP, Timer::Drain);
    }

    /// Nothing outstanding names this incarnation, and every living peer has the whole stream.
    fn is_drained(&self) -> bool {
        // After a pause nobody seems to live until they are met again.
        if !self.fill.is_done() {
            return false;
        }
        let head = self.stream.head();
        let mut live = self
            .peers
            .iter()
            .filter(|peer| peer.is_reachable() && !peer.suspect)
            .peekable();
        if live.peek().is_none() {
            return true;
        }
        live.all(|peer| peer.out.acked >= head)
            && !self.singles.outstanding(&self.config.me, self.own())
    }
}
