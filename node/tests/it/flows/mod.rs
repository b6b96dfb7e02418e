//! Through several endpoints, and several nodes.

mod cluster;
mod service_states;
mod sso;
