//! The users file: names, hashes, attributes.

use castor_node::authn::Credential;
use castor_node::authn::file::{ATTRIBUTES_MAX, Users, UsersError};
use castor_node::authn::password::{LANES_MAX, MEMORY_KIB_MAX, PASSES_MAX};
use castor_node::clock::Rng;

/// The text of a users file.
pub fn users(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let most = 512 * bytes.len() + 65_536;
    match super::within(most, || Users::parse(text, &Rng::seeded(1))) {
        Ok(users) => taken(&users),
        Err(UsersError(says)) => {
            let line = says
                .strip_prefix("line ")
                .and_then(|rest| rest.split_once(':'));
            let line = line.and_then(|(number, _)| number.parse().ok());
            let lines = 1..=text.matches('\n').count() + 1;
            assert!(line.is_some_and(|line| lines.contains(&line)), "{says}");
            assert!(!says.contains("$argon2"), "no hash in a message: {says}");
        }
    }
}

/// Everybody in the file can be asked for, and nobody's password costs more than a node can bear.
fn taken(users: &Users) {
    for name in users.names() {
        let (principal, hash) = users.get(name).expect("named by the file");
        assert_eq!(principal.id, name);
        let typed = Credential::new(name, "x").map(|typed| typed.username().to_owned());
        assert_eq!(typed.as_deref(), Ok(name), "nobody could type this name");
        let cost = hash.cost();
        assert!(
            cost.memory_kib <= MEMORY_KIB_MAX
                && cost.passes <= PASSES_MAX
                && cost.lanes <= LANES_MAX,
            "{cost:?}"
        );
        let attributes = principal.attributes.iter();
        let sizes = attributes.map(|(name, values)| {
            assert!(!name.is_empty());
            name.len() + values.iter().map(String::len).sum::<usize>()
        });
        assert!(sizes.sum::<usize>() <= ATTRIBUTES_MAX);
    }
}
