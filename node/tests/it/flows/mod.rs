//! Through several endpoints, and several nodes.

mod cluster;
mod log;
mod members;
mod service_policies;
mod service_states;
mod session_limit;
mod single_logout;
mod sso;
mod throttle;
mod throttle_busy;
