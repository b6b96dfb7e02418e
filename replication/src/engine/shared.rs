//! What threads share, in one place, so that a checker of schedules can stand in for it.
//!
//! In the product a [`Table`] is a `DashMap` and the atomics are the standard library's. With the feature
//! `shuttle`, which exists for `races.rs` alone, both are shuttle's, and every access is a point where
//! another thread may go on. Promises: each method of a table is atomic for its entry, and no guard
//! leaves this file, so nobody can decide about an entry in two steps by accident.

#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::atomic::{AtomicI64, AtomicU64};

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::atomic::{AtomicI64, AtomicU64};

#[cfg(not(feature = "shuttle"))]
pub(super) use product::{Lock, Table};

#[cfg(feature = "shuttle")]
pub(super) use checked::{Lock, Table};

#[cfg(not(feature = "shuttle"))]
mod product {
    use std::hash::BuildHasherDefault;
    use std::sync::{PoisonError, RwLock};

    use castor_proto::ticket::TicketKey;
    use dashmap::{DashMap, Entry};

    use crate::engine::store::KeyHasher;

    /// Locks per table: a walk holds one lock for about 1,000 of 1,000,000 entries.
    const LOCKS: usize = 4;

    /// Entries by ticket, readable and changeable by any thread.
    pub(in crate::engine) struct Table<V>(DashMap<TicketKey, V, BuildHasherDefault<KeyHasher>>);

    impl<V> Table<V> {
        pub(in crate::engine) fn new() -> Self {
            Self(DashMap::with_hasher_and_shard_amount(
                BuildHasherDefault::default(),
                LOCKS,
            ))
        }

        /// Looks at an entry.
        pub(in crate::engine) fn read<R>(
            &self,
            key: &TicketKey,
            look: impl FnOnce(&V) -> R,
        ) -> Option<R> {
            self.0.get(key).map(|value| look(&value))
        }

        /// Changes an entry, which `fresh` makes first when there is none. `change` is told so.
        pub(in crate::engine) fn change<R>(
            &self,
            key: TicketKey,
            fresh: impl FnOnce() -> V,
            change: impl FnOnce(&mut V, bool) -> R,
        ) -> R {
            let (mut slot, inserted) = match self.0.entry(key) {
                Entry::Occupied(slot) => (slot.into_ref(), false),
                Entry::Vacant(slot) => (slot.insert(fresh()), true),
            };
            change(slot.value_mut(), inserted)
        }

        /// Takes an entry out, if that is right for what it is at that moment.
        pub(in crate::engine) fn remove_if(
            &self,
            key: &TicketKey,
            right: impl FnOnce(&V) -> bool,
        ) -> Option<V> {
            self.0
                .remove_if(key, |_, value| right(value))
                .map(|(_, value)| value)
        }

        /// What `look` makes of every entry; not of one moment, but each entry whole.
        pub(in crate::engine) fn all<R>(&self, look: impl Fn(&TicketKey, &V) -> R) -> Vec<R> {
            let both = self.0.iter();
            both.map(|both| look(both.key(), both.value())).collect()
        }
    }

    /// One value, readable and changeable by any thread.
    #[derive(Default)]
    pub(in crate::engine) struct Lock<V>(RwLock<V>);

    impl<V> Lock<V> {
        pub(in crate::engine) fn read<R>(&self, look: impl FnOnce(&V) -> R) -> R {
            look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
        }

        pub(in crate::engine) fn write<R>(&self, change: impl FnOnce(&mut V) -> R) -> R {
            change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(feature = "shuttle")]
mod checked {
    use std::collections::BTreeMap;

    use castor_proto::ticket::TicketKey;
    use shuttle::sync::{Mutex, MutexGuard, PoisonError, RwLock};

    /// The same as the product's, with shuttle's lock around each access.
    pub(in crate::engine) struct Table<V>(Mutex<BTreeMap<TicketKey, V>>);

    impl<V> Table<V> {
        pub(in crate::engine) fn new() -> Self {
            Self(Mutex::new(BTreeMap::new()))
        }

        fn lock(&self) -> MutexGuard<'_, BTreeMap<TicketKey, V>> {
            self.0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        pub(in crate::engine) fn read<R>(
            &self,
            key: &TicketKey,
            look: impl FnOnce(&V) -> R,
        ) -> Option<R> {
            self.lock().get(key).map(look)
        }

        pub(in crate::engine) fn change<R>(
            &self,
            key: TicketKey,
            fresh: impl FnOnce() -> V,
            change: impl FnOnce(&mut V, bool) -> R,
        ) -> R {
            let mut entries = self.lock();
            let inserted = !entries.contains_key(&key);
            change(entries.entry(key).or_insert_with(fresh), inserted)
        }

        pub(in crate::engine) fn remove_if(
            &self,
            key: &TicketKey,
            right: impl FnOnce(&V) -> bool,
        ) -> Option<V> {
            let mut entries = self.lock();
            entries
                .get(key)
                .is_some_and(right)
                .then(|| entries.remove(key))
                .flatten()
        }

        pub(in crate::engine) fn all<R>(&self, look: impl Fn(&TicketKey, &V) -> R) -> Vec<R> {
            let entries = self.lock();
            entries
                .iter()
                .map(|(key, value)| look(key, value))
                .collect()
        }
    }

    /// The same as the product's.
    #[derive(Default)]
    pub(in crate::engine) struct Lock<V>(RwLock<V>);

    impl<V> Lock<V> {
        pub(in crate::engine) fn read<R>(&self, look: impl FnOnce(&V) -> R) -> R {
            look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
        }

        pub(in crate::engine) fn write<R>(&self, change: impl FnOnce(&mut V) -> R) -> R {
            change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
        }
    }
}
