//! The laws of the join (rule 13): replicas that have seen the same changes, in any order and any
//! number of times, hold the same state.

use std::sync::Arc;

use castor_proto::codec;
use castor_proto::delta::{DestroyReason, Entry, ServiceKey, ServiceUse};
use castor_proto::failures::Failed;
use castor_proto::ids::ClaimId;
use castor_proto::limits::SERVICES_MAX;
use castor_proto::ticket::{TicketKey, TicketKind};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn service_use() -> impl Strategy<Value = ServiceUse> {
    (0..50u64, 0..3u8).prop_map(|(stamp, which)| ServiceUse {
        stamp,
        ticket: format!("ST-{which}"),
        url: format!("https://{which}.example.org/"),
    })
}

fn reason() -> impl Strategy<Value = DestroyReason> {
    prop_oneof![
        Just(DestroyReason::Logout),
        Just(DestroyReason::Operator),
        Just(DestroyReason::Replaced)
    ]
}

prop_compose! {
    /// Changes to one ticket, as nodes make them: sorted maps without doubles, one body.
    fn change(most: usize)(all in change_of(0, most)) -> Entry { all }
}

prop_compose! {
    fn change_of(least: usize, most: usize)(
        body in option::of(Just(Arc::from(vec![1, 2, 3]))),
        last_used in 0..100u64,
        services in vec((0..400u64, service_use()), least..most),
        told in vec((0..400u64, 0..50u64), 0..most.min(20)),
        destroyed in option::of(reason()),
        decided in option::of(Just(ClaimId([7; 16]))),
    ) -> Entry {
        let mut entry = Entry::bottom(TicketKey([5; 16]), TicketKind::Tgt, 1_000);
        entry.body = body;
        entry.last_used = last_used;
        entry.services = services.into_iter().map(|(key, s)| (ServiceKey(key), s)).collect();
        entry.services.sort();
        entry.services.dedup_by_key(|(key, _)| *key);
        entry.services.truncate(SERVICES_MAX);
        entry.told = told.into_iter().map(|(key, stamp)| (ServiceKey(key), stamp)).collect();
        entry.told.sort();
        entry.told.dedup_by_key(|(key, _)| *key);
        entry.destroyed = destroyed;
        entry.decided = decided;
        entry
    }
}

fn joined(mut a: Entry, b: &Entry) -> Entry {
    a.join(b);
    a
}

prop_compose! {
    /// A counter of failed sign-ins as some replica holds it.
    fn failed()(count in 1..20u32, forgiven in 0..20u32, last in 0..50u64) -> Failed {
        Failed { count, forgiven: forgiven.min(count), last }
    }
}

fn counted(mut a: Failed, b: &Failed) -> Failed {
    a.join(b);
    a
}

proptest! {
    #[test]
    fn counters_of_failed_sign_ins_join_in_any_order_and_number(
        a in failed(), b in failed(), c in failed(),
    ) {
        let left = counted(counted(a, &b), &c);
        prop_assert_eq!(left, counted(counted(c, &a), &b));
        prop_assert_eq!(left, counted(left, &a));
        prop_assert!(left.forgiven <= left.count);
        let mut after = a;
        prop_assert_eq!(after.join(&b), after != a);
    }

    #[test]
    fn the_order_of_two_changes_does_not_matter(a in change(30), b in change(30)) {
        prop_assert_eq!(joined(a.clone(), &b), joined(b, &a));
    }

    #[test]
    fn the_grouping_of_changes_does_not_matter(
        a in change(30), b in change(30), c in change(30),
    ) {
        let left = joined(joined(a.clone(), &b), &c);
        prop_assert_eq!(left, joined(a, &joined(b, &c)));
    }

    #[test]
    fn a_change_that_comes_twice_changes_nothing(a in change(30), b in change(30)) {
        let mut once = joined(a, &b);
        let before = once.clone();
        let again = once.join(&b);
        prop_assert!(!again.changed);
        prop_assert_eq!(once, before);
    }

    #[test]
    fn a_full_map_keeps_the_same_applications_in_any_order(
        a in change_of(250, 251), b in change_of(250, 251), c in change_of(150, 151),
    ) {
        let left = joined(joined(a.clone(), &b), &c);
        let right = joined(joined(c, &a), &b);
        prop_assert!(left.services.len() <= SERVICES_MAX);
        prop_assert_eq!(left, right);
    }

    #[test]
    fn nothing_is_ever_undone(a in change(30), b in change(30)) {
        let after = joined(a.clone(), &b);
        prop_assert!(after.last_used >= a.last_used);
        prop_assert!(a.destroyed.is_none() || after.destroyed.is_some());
        prop_assert!(a.decided.is_none() || after.decided.is_some());
        prop_assert!(a.body.is_none() || after.body.is_some());
    }

    #[test]
    fn what_a_join_says_changed_is_what_changed(
        a in change_of(0, 250), b in change_of(0, 250),
    ) {
        let mut after = a.clone();
        let said = after.join(&b);
        prop_assert_eq!(said.changed, after != a);
        prop_assert_eq!(said.newly_destroyed, a.destroyed.is_none() && b.destroyed.is_some());
        prop_assert!(after.check());
    }

    #[test]
    fn equal_states_have_equal_digests_and_survive_the_wire(a in change(30), b in change(30)) {
        let left = joined(a.clone(), &b);
        let right = joined(b, &a);
        prop_assert_eq!(left.state_digest(&[1; 32]), right.state_digest(&[1; 32]));
        let decoded: Entry = codec::decode(&codec::encode(&left)).unwrap();
        prop_assert_eq!(decoded, left);
    }
}

#[test]
fn two_different_decisions_are_an_alarm_and_still_converge() {
    let mut a = Entry::bottom(TicketKey([5; 16]), TicketKind::St, 1_000);
    let mut b = a.clone();
    a.decided = Some(ClaimId([1; 16]));
    b.decided = Some(ClaimId([2; 16]));
    let (mut left, mut right) = (a.clone(), b.clone());
    assert!(left.join(&b).decided_conflict && right.join(&a).decided_conflict);
    assert_eq!(left, right);
}
