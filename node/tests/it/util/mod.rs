//! What the tests stand on.

pub(crate) mod application;
pub(crate) mod browser;
pub(crate) mod callback;
pub(crate) mod cluster;
pub(crate) mod operators;
pub(crate) mod scene;

pub(crate) use browser::{Answer, Browser};
pub(crate) use callback::Callback;
pub(crate) use cluster::{Cluster, Options};
pub(crate) use scene::Scene;
