//! What tickets are called in a history: enough to tell them apart, too little to use them.
//!
//! Promises: the same ticket has the same name within a run; the name is a keyed digest of 64 bits,
//! with a key that is never written. Two of a million tickets share a name in one run of thirty
//! million. Does not: hide kind and number, which help to find a ticket in a log.

use std::hash::{BuildHasher, RandomState};

use crate::cas::validation::Attributes;

/// The key of one run.
#[derive(Default)]
pub(super) struct Names(RandomState);

impl Names {
    pub(super) fn ticket(&self, id: &str) -> String {
        let head: Vec<&str> = id.splitn(3, '-').take(2).collect();
        format!("{}~{:016x}", head.join("-"), self.0.hash_one(id))
    }

    pub(super) fn attributes(&self, attributes: &Attributes) -> String {
        format!("{:016x}", self.0.hash_one(attributes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_apart_and_gives_nothing_away() {
        let names = Names::default();
        let name = names.ticket("ST-12-secretsecret-ab12cd34");
        assert!(name.starts_with("ST-12~") && !name.contains("secret") && !name.contains("ab12"));
        assert_eq!(name, names.ticket("ST-12-secretsecret-ab12cd34"));
        assert_ne!(name, names.ticket("ST-12-secretsecreT-ab12cd34"));
        assert_ne!(name, Names::default().ticket("ST-12-secretsecret-ab12cd34"));
    }
}
