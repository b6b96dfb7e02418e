//! Messages of the gossip library, as a linked peer sends them.

use std::sync::Once;

use castor_proto::limits::GOSSIP_MAX;
use castor_replication::driver::gossip_wire::{CONTENT_MAX, Own, decode};

/// The bytes of one message.
pub fn gossip(bytes: &[u8]) {
    // What the library's decoder asserts is caught where it is called. libFuzzer would end at the
    // first message of a panic otherwise; what is not caught still ends it.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = info
                .location()
                .is_none_or(|at| !at.file().contains("chitchat"));
            if ours {
                loud(info);
            }
        }));
    });
    let own = Own {
        node: "n1",
        generation: 1,
        address: ([127, 0, 0, 1], 8_445).into(),
        said: 3,
    };
    // The content twice while it is put together, and at most 16 times as much for the smallest
    // change (9 bytes) in the library's form.
    let most = 18 * CONTENT_MAX + 16 * bytes.len();
    let message = super::within(most, || decode(bytes, own));
    assert!(message.is_none() || bytes.len() <= GOSSIP_MAX);
}
