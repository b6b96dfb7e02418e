//! A site: machines of their own, as far as their network is concerned, on one machine.
//!
//! The rooms: [`switch`] (frames between the hosts), [`hosts`] (network namespaces), [`files`]
//! (what nodes and nginx need), [`processes`] (nodes and nginx), [`cluster`] (all of it), [`leftovers`] (of runs that were killed).
//!
//! Promises: every interface, namespace, mount and folder has the number of this process in its
//! name or is inside one that has; all are removed by these names, whatever happened, and those of a
//! run that was killed are removed by the next. Does not: touch the machine's own network.

pub mod cluster;
pub mod files;
pub mod hosts;
pub mod leftovers;
pub mod processes;
pub mod switch;

pub use cluster::Site;
pub use hosts::Hosts;
