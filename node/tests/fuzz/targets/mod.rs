//! What is asserted of everything that takes apart what browsers, applications, proxies, peers
//! and operators send or write, as plain functions of some bytes.
//!
//! libFuzzer calls them with bytes of its own making (`make fuzz`), [`super`] with the kept ones.

use castor_proto::seal::KeyRing;
use peak_alloc::PeakAlloc;

mod admin;
mod client;
mod config;
mod cookie;
mod flow;
mod form;
mod gossip;
mod language;
mod pattern;
mod service_json;
mod service_url;
mod users;

pub use admin::admin;
pub use client::client;
pub use config::config;
pub use cookie::cookie;
pub use flow::flow;
pub use form::form;
pub use gossip::gossip;
pub use language::language;
pub use pattern::pattern;
pub use service_json::service_json;
pub use service_url::service_url;
pub use users::users;

/// A target: asserts something of the decoder of its name.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const ALL: [(&str, Target); 12] = [
    ("admin", admin),
    ("client", client),
    ("config", config),
    ("cookie", cookie),
    ("flow", flow),
    ("form", form),
    ("gossip", gossip),
    ("language", language),
    ("pattern", pattern),
    ("service_json", service_json),
    ("service_url", service_url),
    ("users", users),
];

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does some work and asserts that it never held more than `most` bytes more than before.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        held <= most,
        "{held} bytes held at once, at most {most} allowed"
    );
    result
}

/// A key ring that only these targets have.
fn ring() -> KeyRing {
    let text = "castor-key-v1 current 00c0ffee 1795000000000 \
                AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
    KeyRing::parse(text).expect("a ring")
}
