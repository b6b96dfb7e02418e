//! Shared URLs: those of applications, each kept once for all sessions that visit it.
//!
//! Many people visit few applications. What stands before a query is kept here with its [`ServiceKey`], under
//! a small number; a session keeps the number. Promises: at most [`URLS_MAX`] of them, none longer than
//! [`URL_MAX`] bytes, and each goes with the last session that names it. Whatever is not taken in is kept by
//! the session itself.

use std::collections::{BTreeMap, BTreeSet};

use castor_proto::delta::ServiceKey;

use super::shared::Lock;

/// Most URLs kept here.
const URLS_MAX: usize = 16_384;

/// Longest URL kept here, bytes.
const URL_MAX: usize = 512;

/// What one adds beside its text, bytes, as estimated: its places in two maps, and the allocation.
const URL_BYTES: usize = 112;

struct Url {
    key: ServiceKey,
    text: Box<str>,
    /// How many uses name it.
    uses: u32,
}

/// The URLs behind one lock. It is taken last and held shortly.
#[derive(Default)]
pub(super) struct Urls(Lock<Known>);

#[derive(Default)]
pub(super) struct Known {
    numbers: BTreeMap<ServiceKey, u32>,
    urls: BTreeMap<u32, Url>,
    /// Numbers below the count of both that are not in use.
    free: BTreeSet<u32>,
    /// Estimated bytes of all of them.
    bytes: i64,
}

impl Url {
    fn bytes(&self) -> i64 {
        (URL_BYTES + self.text.len()) as i64
    }
}

impl Urls {
    pub(super) fn read<R>(&self, look: impl FnOnce(&Known) -> R) -> R {
        self.0.read(look)
    }

    pub(super) fn write<R>(&self, change: impl FnOnce(&mut Known) -> R) -> R {
        self.0.write(change)
    }
}

/// The part of a URL that is worth keeping once, and the rest.
pub(super) fn split(url: &str) -> (&str, &str) {
    let at = url.find(['?', '#']).unwrap_or(url.len());
    url.split_at_checked(at).unwrap_or((url, ""))
}

impl Known {
    /// Key and text under a number.
    pub(super) fn get(&self, number: u32) -> Option<(ServiceKey, &str)> {
        self.urls.get(&number).map(|url| (url.key, &*url.text))
    }

    /// One more use; absent when this URL is not kept here.
    pub(super) fn take(&mut self, key: ServiceKey, text: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(&key) {
            let url = self.urls.get_mut(number)?;
            if *url.text != *text {
                return None;
            }
            url.uses = url.uses.checked_add(1)?;
            return Some(*number);
        }
        if self.urls.len() >= URLS_MAX || text.len() > URL_MAX {
            return None;
        }
        let free = self.free.pop_first();
        let number = free.unwrap_or_else(|| u32::try_from(self.urls.len()).unwrap_or(u32::MAX));
        self.numbers.insert(key, number);
        let text = text.into();
        let url = Url { key, text, uses: 1 };
        self.bytes += url.bytes();
        self.urls.insert(number, url);
        Some(number)
    }

    /// One use less.
    pub(super) fn give_back(&mut self, number: u32) {
        let Some(url) = self.urls.get_mut(&number) else {
            return;
        };
        url.uses = url.uses.saturating_sub(1);
        if url.uses > 0 {
            return;
        }
        if let Some(url) = self.urls.remove(&number) {
            self.numbers.remove(&url.key);
            self.bytes -= url.bytes();
        }
        self.free.insert(number);
        if self.urls.is_empty() {
            self.free.clear();
        }
    }

    /// Estimated bytes of the URL that has this number and no other use than the one just taken or about
    /// to be given back; 0 when it has others.
    pub(super) fn alone(&self, number: u32) -> i64 {
        let url = self.urls.get(&number).filter(|url| url.uses == 1);
        url.map_or(0, Url::bytes)
    }

    /// How many there are, and their estimated bytes.
    pub(super) fn held(&self) -> (usize, i64) {
        (self.urls.len(), self.bytes)
    }

    /// Estimated bytes of them all, counted anew.
    pub(super) fn recount_bytes(&self) -> i64 {
        self.urls.values().map(Url::bytes).sum()
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_kept_while_it_is_used() {
        let mut known = Known::default();
        let (a, b) = (ServiceKey(1), ServiceKey(2));
        assert_eq!(known.take(a, "https://a/"), Some(0));
        assert_eq!(known.take(b, "https://b/"), Some(1));
        assert_eq!(known.take(a, "https://a/"), Some(0));
        assert_eq!(known.take(a, "https://other/"), None, "one key, one text");
        assert_eq!(known.held(), (2, 2 * (URL_BYTES as i64 + 10)));
        assert_eq!(known.held().1, known.recount_bytes());
        known.give_back(0);
        assert_eq!(known.get(0), Some((a, "https://a/")));
        known.give_back(0);
        assert_eq!(known.get(0), None);
        assert_eq!(known.take(a, "https://a/"), Some(0), "numbers come back");
        known.give_back(0);
        known.give_back(1);
        assert_eq!((known.held(), known.recount_bytes()), ((0, 0), 0));
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let mut known = Known::default();
        assert_eq!(known.take(ServiceKey(0), &"x".repeat(URL_MAX + 1)), None);
        for key in 0..URLS_MAX as u64 {
            assert!(known.take(ServiceKey(key), "https://a/").is_some());
        }
        let one_more = ServiceKey(URLS_MAX as u64);
        assert_eq!(known.take(one_more, "https://a/"), None);
        known.give_back(77);
        assert_eq!(known.take(one_more, "https://a/"), Some(77));
    }

    #[test]
    fn queries_and_fragments_are_not_kept_once() {
        assert_eq!(split("https://a/b?c#d"), ("https://a/b", "?c#d"));
        assert_eq!(split("https://a/b#d?c"), ("https://a/b", "#d?c"));
        assert_eq!(split("https://a/"), ("https://a/", ""));
    }
}
