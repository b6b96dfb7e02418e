//! At most one claim of a ticket is ever answered as valid; and the claim that was is answered the same
//! when it is sent again, for five seconds.

use castor_proto::ticket::TicketKey;
use castor_replication::engine::{ClaimOutcome, Event, Reply};

use super::{Invariant, Verdict};
use crate::ledger::{Ledger, What};
use crate::workload::Answer;
use crate::world::{MS, World};

/// A claim is answered again for five seconds after it was decided; clocks that drift, and the
/// millisecond in which they are read, cost a little.
const AGAIN: u64 = 4_900 * MS;

pub(super) struct SingleUse;

impl Invariant for SingleUse {
    fn name(&self) -> &'static str {
        "single_use"
    }

    fn answered(&mut self, world: &World, ledger: &Ledger, answer: &Answer) -> Verdict {
        let (What::Claim(no, claim), Reply::Claimed(outcome)) = (&answer.asked.what, &answer.reply)
        else {
            return Ok(());
        };
        let Some(ticket) = ledger.tickets.get(*no) else {
            return Ok(());
        };
        if ticket.valid.len() > 1 {
            let claims = &ticket.valid;
            return Err(format!(
                "ticket {no} is valid for several claims: {claims:?}"
            ));
        }
        // It was let in before, and could not have been decided before it was first asked.
        let asked = ticket.first_asked.get(claim).copied().unwrap_or(0);
        let soon = world.now.saturating_sub(asked) < AGAIN;
        let let_in = ticket.valid.contains_key(claim) && !ledger.clocks_doubtful;
        if let_in && soon && matches!(outcome, ClaimOutcome::Lost) {
            return Err(format!(
                "claim {claim} of ticket {no} was let in, and refused as used when it was sent again"
            ));
        }
        if let ClaimOutcome::Won(body) | ClaimOutcome::Replayed(body) = outcome
            && **body != *ticket.body
        {
            return Err(format!("ticket {no} was answered with another body"));
        }
        Ok(())
    }

    fn reported(&mut self, _: &World, _: &Ledger, node: usize, event: &Event) -> Verdict {
        match event {
            Event::DecidedConflict(TicketKey(key)) => Err(format!(
                "node {node} heard of two decided claims of one ticket ({:02x}{:02x})",
                key[0], key[1]
            )),
            _ => Ok(()),
        }
    }
}
