//! `[tickets]`: how long tickets live and how many there may be.

use super::schema::{Reader, section};
use super::types::{AtUserLimit, Period};

section! {
    /// How long tickets live and how many there may be.
    pub struct Tickets("tickets") {
        /// Sessions at one time, in the whole cluster; at the limit new sign-ins are refused and
        /// nothing is dropped. Plan 1 KiB of memory for each. There may be as many proxy-granting
        /// tickets, which have a count of their own.
        max_sessions: usize = "2000000" in "100"..="100000000", Restart;
        /// Sessions that one person may have at one time, in the whole cluster; 0 for any number. With
        /// a limit each node keeps an index of people, which takes about 100 bytes for each session.
        max_sessions_per_user: usize = "0" in "0"..="10000", Restart;
        /// What happens when a person who has that many signs in: the session that began first is ended,
        /// and its applications are told, or the sign-in is refused.
        at_user_limit: AtUserLimit = "end_oldest", Restart;
    }
    sections {
        /// Sessions.
        tgt: TicketsTgt,
        /// Sessions of people who asked to be remembered.
        remember_me: TicketsRememberMe,
        /// Service tickets.
        st: TicketsSt,
        /// Proxy tickets.
        pt: TicketsPt,
    }
}

section! {
    /// Ticket-granting tickets: one for each session.
    pub struct TicketsTgt("tickets.tgt") {
        /// A session ends this long after sign-in, whatever happens.
        max_life: Period = "8h" in "1m"..="90d", Restart;
        /// A session ends when it was not used for this long.
        idle: Period = "2h" in "1m"..="90d", Restart;
    }
}

section! {
    /// Sessions of people who asked to be remembered.
    pub struct TicketsRememberMe("tickets.remember_me") {
        /// Whether the login page offers it.
        enabled: bool = "false", Restart;
        /// A remembered session ends this long after sign-in.
        max_life: Period = "14d" in "1h"..="90d", Restart;
        /// A remembered session ends when it was not used for this long.
        idle: Period = "14d" in "1h"..="90d", Restart;
    }
}

section! {
    /// Service tickets.
    pub struct TicketsSt("tickets.st") {
        /// A service ticket can be validated for this long, once.
        life: Period = "10s" in "1s"..="5m", Restart;
    }
}

section! {
    /// Proxy tickets.
    pub struct TicketsPt("tickets.pt") {
        /// A proxy ticket can be validated for this long, once.
        life: Period = "10s" in "1s"..="5m", Restart;
    }
}

impl Tickets {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.tgt.idle > self.tgt.max_life {
            reader.note_key(
                "tickets.tgt.idle",
                "is longer than tickets.tgt.max_life; make it at most as long",
            );
        }
        if self.remember_me.idle > self.remember_me.max_life {
            reader.note_key(
                "tickets.remember_me.idle",
                "is longer than tickets.remember_me.max_life; make it at most as long",
            );
        }
    }
}
