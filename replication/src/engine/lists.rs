//! The applications of a session, visited and told, in one piece of memory.
//!
//! A visit is its stamp, the number of a URL that many sessions share (or its key and whole URL), what
//! follows that URL, and the packed ticket id: 49 bytes for an ordinary one. The rule of joining is
//! [`castor_proto::delta`]'s own, applied to what is packed. Promises: reading gives back what was written,
//! visits that a change leaves alone are copied as they are, and each number here is one use of its URL.

use std::cmp::Ordering;

use castor_proto::delta::{Entry, Joined, ServiceKey, ServiceUse, UseRef, join_list};
use castor_proto::ids::{ClaimId, WallMs};

use super::packed_id;
use super::urls::{self, Known};

/// Bits above a stamp: the URL is under a number; something follows it.
const SHARED: u64 = 1 << 46;
const FOLLOWED: u64 = 1 << 47;
const STAMP: u64 = SHARED - 1;

/// Bytes of a stamp with those bits, and of a number.
const STAMP_BYTES: usize = 6;
const NUMBER_BYTES: usize = 3;

/// Visits, told and decided, packed; empty when there is none of them.
#[derive(Default)]
pub(super) struct Lists(Box<[u8]>);

/// Something of one application.
type Of<V> = (ServiceKey, V);

/// One packed visit, taken apart.
#[derive(Clone, Copy)]
struct Visit<'d> {
    span: &'d [u8],
    stamp: WallMs,
    place: Place<'d>,
    ticket: &'d [u8],
}

#[derive(Clone, Copy)]
enum Place<'d> {
    Shared { number: u32, rest: &'d str },
    Own { key: ServiceKey, url: &'d str },
}

struct Read<'d> {
    visits: Vec<Visit<'d>>,
    told: Vec<(ServiceKey, WallMs)>,
    decided: Option<ClaimId>,
}

struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    fn take(&mut self, count: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut number = [0; 8];
        number.get_mut(..bytes)?.copy_from_slice(self.take(bytes)?);
        Some(u64::from_le_bytes(number))
    }

    fn text(&mut self) -> Option<&'d str> {
        let length = self.number(2)?;
        std::str::from_utf8(self.take(length as usize)?).ok()
    }

    fn visit(&mut self) -> Option<Visit<'d>> {
        let whole = self.0;
        let word = self.number(STAMP_BYTES)?;
        let place = if word & SHARED > 0 {
            let number = self.number(NUMBER_BYTES)? as u32;
            let rest = if word & FOLLOWED > 0 {
                self.text()?
            } else {
                ""
            };
            Place::Shared { number, rest }
        } else {
            let key = ServiceKey(self.number(8)?);
            let url = self.text()?;
            Place::Own { key, url }
        };
        let ticket = self.take(packed_id::packed_len(self.0)?)?;
        let span = whole.get(..whole.len() - self.0.len())?;
        Some(Visit {
            span,
            stamp: word & STAMP,
            place,
            ticket,
        })
    }

    fn told(&mut self) -> Option<(ServiceKey, WallMs)> {
        Some((ServiceKey(self.number(8)?), self.number(STAMP_BYTES)?))
    }
}

fn read(bytes: &[u8]) -> Read<'_> {
    let mut all = Read {
        visits: Vec::new(),
        told: Vec::new(),
        decided: None,
    };
    let mut reader = Reader(bytes);
    let Some([visits, told, decided]) = reader.take(3).and_then(|head| head.first_chunk()) else {
        return all;
    };
    all.visits = (0..*visits).map_while(|_| reader.visit()).collect();
    all.told = (0..*told).map_while(|_| reader.told()).collect();
    if *decided > 0 {
        let claim = reader.take(16).and_then(|bytes| bytes.first_chunk());
        all.decided = claim.map(|claim| ClaimId(*claim));
    }
    all
}

/// A visit while it is compared: packed, or news from a change.
#[derive(Clone, Copy)]
struct Use<'d, 'u> {
    stamp: WallMs,
    ticket: Ticket<'d>,
    /// The URL, in two pieces.
    url: (&'u str, &'d str),
    source: Source<'d>,
}

#[derive(Clone, Copy)]
enum Ticket<'d> {
    Packed(&'d [u8]),
    Text(&'d str),
}

#[derive(Clone, Copy)]
enum Source<'d> {
    Held(&'d [u8]),
    News(&'d ServiceUse),
}

impl Ticket<'_> {
    fn text(&self) -> String {
        let mut text = String::new();
        match self {
            Self::Packed(bytes) => packed_id::unpack(bytes, &mut text),
            Self::Text(news) => text.push_str(news),
        }
        text
    }
}

impl Use<'_, '_> {
    fn url(&self) -> impl Iterator<Item = u8> {
        self.url.0.bytes().chain(self.url.1.bytes())
    }
}

/// As [`ServiceUse`] compares: stamp, ticket, URL.
impl Ord for Use<'_, '_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let tickets = || self.ticket.text().cmp(&other.ticket.text());
        let urls = || self.url().cmp(other.url());
        self.stamp
            .cmp(&other.stamp)
            .then_with(tickets)
            .then_with(urls)
    }
}

impl PartialOrd for Use<'_, '_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Use<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Use<'_, '_> {}

impl<'d> Visit<'d> {
    /// Its key and the pieces of its URL.
    fn place<'u>(&self, known: &'u Known) -> (ServiceKey, &'u str, &'d str) {
        match self.place {
            Place::Own { key, url } => (key, "", url),
            Place::Shared { number, rest } => {
                let (key, url) = known.get(number).unwrap_or((ServiceKey(0), ""));
                (key, url, rest)
            }
        }
    }

    fn held<'u>(&self, known: &'u Known) -> (ServiceKey, Use<'d, 'u>) {
        let (key, url, rest) = self.place(known);
        let held = Use {
            stamp: self.stamp,
            ticket: Ticket::Packed(self.ticket),
            url: (url, rest),
            source: Source::Held(self.span),
        };
        (key, held)
    }
}

fn news(news: &ServiceUse) -> Use<'_, '_> {
    Use {
        stamp: news.stamp,
        ticket: Ticket::Text(&news.ticket),
        url: ("", &news.url),
        source: Source::News(news),
    }
}

impl Lists {
    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The claim that consumed the ticket, if it is known.
    pub(super) fn decided(&self) -> Option<ClaimId> {
        match &*self.0 {
            [_, _, 0, ..] | [] => None,
            bytes => read(bytes).decided,
        }
    }

    /// Joins the lists of a change, and takes over what is decided. Returns by how many bytes, as estimated,
    /// the shared URLs grew.
    pub(super) fn join(
        &mut self,
        change: &Entry,
        decided: Option<ClaimId>,
        known: &mut Known,
        done: &mut Joined,
    ) -> i64 {
        let packed = std::mem::take(&mut self.0);
        let held = read(&packed);
        let mut lists = Joined::default();
        let mut uses: Vec<_> = held.visits.iter().map(|visit| visit.held(known)).collect();
        let theirs = change.services.iter();
        let theirs: Vec<_> = theirs.map(|(key, used)| (*key, news(used))).collect();
        lists.services_dropped = join_list(&mut uses, &theirs, &mut lists);
        let mut told = held.told;
        join_list(&mut told, &change.told, &mut lists);
        done.changed |= lists.changed;
        done.services_dropped += lists.services_dropped;
        if !lists.changed && decided == held.decided {
            self.0 = packed;
            return 0;
        }
        let sources = uses.iter().map(|(key, used)| (*key, used.source));
        let sources: Vec<(ServiceKey, Source<'_>)> = sources.collect();
        let mut grown = 0;
        let bytes = write(&sources, &told, decided, known, &mut grown);
        for visit in &held.visits {
            let (key, ..) = visit.place(known);
            let at = sources.binary_search_by_key(&key, |(key, _)| *key).ok();
            let kept = at.and_then(|at| sources.get(at));
            if !matches!(kept, Some((_, Source::Held(_)))) {
                grown -= visit.give_back(known);
            }
        }
        // Copied: an allocator leaves what only shrinks where it is, in a place that is too large.
        self.0 = Box::from(bytes.as_slice());
        grown
    }

    /// Gives the uses of shared URLs back, when the session is forgotten; returns the bytes, as estimated, that
    /// this set free.
    pub(super) fn give_back(&self, known: &mut Known) -> i64 {
        let held = read(&self.0);
        held.visits.iter().map(|v| v.give_back(known)).sum()
    }

    /// When an application was visited last; 0 when it was not.
    pub(super) fn stamp(&self, key: ServiceKey, known: &Known) -> WallMs {
        let visits = read(&self.0).visits;
        let at = visits.binary_search_by_key(&key, |visit| visit.place(known).0);
        let visit = at.ok().and_then(|at| visits.get(at));
        visit.map_or(0, |visit| visit.stamp)
    }

    /// Visits and told, unpacked.
    pub(super) fn unpack(&self, known: &Known) -> (Vec<Of<ServiceUse>>, Vec<Of<WallMs>>) {
        let held = read(&self.0);
        let whole = |visit: &Visit<'_>| {
            let (key, url, rest) = visit.place(known);
            let used = ServiceUse {
                stamp: visit.stamp,
                ticket: Ticket::Packed(visit.ticket).text(),
                url: [url, rest].concat(),
            };
            (key, used)
        };
        (held.visits.iter().map(whole).collect(), held.told)
    }

    /// Has `look` see the same with all texts in one place.
    pub(super) fn seen<R>(
        &self,
        known: &Known,
        look: impl FnOnce(Vec<(ServiceKey, UseRef<'_>)>, Vec<(ServiceKey, WallMs)>) -> R,
    ) -> R {
        let held = read(&self.0);
        let mut texts = String::with_capacity(held.visits.len() * 160);
        let ends = held.visits.iter().map(|visit| {
            let (key, url, rest) = visit.place(known);
            packed_id::unpack(visit.ticket, &mut texts);
            let ticket = texts.len();
            texts.push_str(url);
            texts.push_str(rest);
            (key, visit.stamp, ticket, texts.len())
        });
        let ends: Vec<_> = ends.collect();
        let mut start = 0;
        let visits = ends.into_iter().map(|(key, stamp, middle, end)| {
            let ticket = texts.get(start..middle).unwrap_or_default();
            let url = texts.get(middle..end).unwrap_or_default();
            start = end;
            (key, UseRef { stamp, ticket, url })
        });
        look(visits.collect(), held.told)
    }
}

impl Visit<'_> {
    fn give_back(&self, known: &mut Known) -> i64 {
        let Place::Shared { number, .. } = self.place else {
            return 0;
        };
        let freed = known.alone(number);
        known.give_back(number);
        freed
    }
}

fn write(
    visits: &[(ServiceKey, Source<'_>)],
    told: &[(ServiceKey, WallMs)],
    decided: Option<ClaimId>,
    known: &mut Known,
    grown: &mut i64,
) -> Vec<u8> {
    if visits.is_empty() && told.is_empty() && decided.is_none() {
        return Vec::new();
    }
    let counts = [visits.len(), told.len(), usize::from(decided.is_some())];
    let mut out = Vec::with_capacity(3 + visits.len() * 64 + told.len() * 14 + 16);
    out.extend(counts.map(|count| u8::try_from(count).unwrap_or(u8::MAX)));
    for (key, source) in visits.iter().take(usize::from(u8::MAX)) {
        match source {
            Source::Held(span) => out.extend_from_slice(span),
            Source::News(news) => *grown += write_visit(*key, news, known, &mut out),
        }
    }
    for (key, stamp) in told.iter().take(usize::from(u8::MAX)) {
        out.extend(key.0.to_le_bytes());
        push_stamp(*stamp, 0, &mut out);
    }
    if let Some(ClaimId(claim)) = decided {
        out.extend(claim);
    }
    out
}

fn write_visit(key: ServiceKey, news: &ServiceUse, known: &mut Known, out: &mut Vec<u8>) -> i64 {
    let (url, rest) = urls::split(&news.url);
    let number = known.take(key, url);
    if let Some(number) = number {
        let followed = if rest.is_empty() { 0 } else { FOLLOWED };
        push_stamp(news.stamp, SHARED | followed, out);
        out.extend(number.to_le_bytes().into_iter().take(NUMBER_BYTES));
        if followed > 0 {
            push_text(rest, out);
        }
    } else {
        push_stamp(news.stamp, 0, out);
        out.extend(key.0.to_le_bytes());
        push_text(&news.url, out);
    }
    packed_id::pack(&news.ticket, out);
    number.map_or(0, |number| known.alone(number))
}

/// Stamps are bounded by [`castor_proto::limits::WALL_MAX`] before they come here.
fn push_stamp(stamp: WallMs, bits: u64, out: &mut Vec<u8>) {
    let word = stamp.min(STAMP) | bits;
    out.extend(word.to_le_bytes().into_iter().take(STAMP_BYTES));
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    // URLs are shorter than this by far; a longer one would be kept to a whole character.
    let text = text
        .get(..text.floor_char_boundary(usize::from(u16::MAX)))
        .unwrap_or_default();
    out.extend((text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

const _: () = assert!(castor_proto::limits::WALL_MAX <= STAMP);
const _: () = assert!(castor_proto::limits::SERVICES_MAX <= u8::MAX as usize);
const _: () = assert!(castor_proto::limits::SERVICE_URL_MAX <= u16::MAX as usize);
