//! What is asserted of everything that takes apart what browsers, applications, proxies, peers
//! and operators send or write, as plain functions of some bytes.
//!
//! libFuzzer calls them with bytes of its own making (`make fuzz`), [`super`] with the kept ones.

use castor_proto::seal::KeyRing;

mod admin;
mod client;
mod config;
mod cookie;
mod flow;
mod form;
mod gossip;
mod language;
#[path = "../../../../proto/tests/fuzz/targets/memory.rs"]
mod memory;
mod pattern;
mod saml_request;
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
pub use memory::{Target, within};
pub use pattern::pattern;
pub use saml_request::saml_request;
pub use service_json::service_json;
pub use service_url::service_url;
pub use users::users;

/// Every target by the name of its corpus.
pub const ALL: [(&str, Target); 13] = [
    ("admin", admin),
    ("client", client),
    ("config", config),
    ("cookie", cookie),
    ("flow", flow),
    ("form", form),
    ("gossip", gossip),
    ("language", language),
    ("pattern", pattern),
    ("saml_request", saml_request),
    ("service_json", service_json),
    ("service_url", service_url),
    ("users", users),
];

/// A key ring that only these targets have.
fn ring() -> KeyRing {
    let text = "castor-key-v1 current 00c0ffee 1795000000000 \
                AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
    KeyRing::parse(text).expect("a ring")
}
