//! The ticket-granting cookie `TGC`: a session's ticket id, sealed with the cluster's keys. And
//! `CASPRIVACY`, the wish to be asked before going on to an application.
//!
//! `Secure; HttpOnly` always, also behind a plain local proxy; a session cookie unless the person
//! asked to be remembered. A value that cannot be opened counts as absent. One that is bound to another
//! address or browser, where that is wanted ([`super::pin`]), is good for ending its session and nothing
//! else. A value sealed under a key that is no longer the current one is valid and marked for re-sealing.

use castor_proto::seal::aead::{Nonce, SealedValue};
use castor_proto::seal::{KeyRing, Purpose};
use castor_proto::ticket::{TicketId, TicketKind};
use http::{HeaderMap, HeaderValue, header};

use crate::config::types::SameSite;

/// Name of the cookie.
pub const NAME: &str = "TGC";
/// Name of the cookie that says that its person wants to be asked.
pub const WARN: &str = "CASPRIVACY";
const CONTEXT: &[u8] = b"TGC";
/// Between the session's id and the pin.
const PIN_MARK: char = '@';
/// Most cookies of that name looked at: browsers may hold several for different paths.
const CANDIDATES_MAX: usize = 8;

/// What the request's cookie says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// No such cookie.
    None,
    /// There is one, but nothing of ours is in it; it should be removed.
    Unusable,
    /// A session's ticket id.
    Session {
        /// The id; whether it is genuine and alive is for the ticket store to say.
        id: TicketId,
        /// Whether it should be sealed anew under the current key.
        stale_key: bool,
    },
    /// A session's ticket id, in a cookie that is bound to another address or browser: no way in, and
    /// enough to end the session or to let a new one take its place.
    Elsewhere {
        /// The id; whether it is genuine and alive is for the ticket store to say.
        id: TicketId,
    },
}

impl Presented {
    /// The session in it, wherever the cookie is good: for ending it.
    pub fn held(&self) -> Option<&TicketId> {
        match self {
            Self::Session { id, .. } | Self::Elsewhere { id } => Some(id),
            Self::None | Self::Unusable => None,
        }
    }
}

/// Reads the cookie of a request, which must have this pin if there is one.
pub fn read(headers: &HeaderMap, ring: &KeyRing, pin: Option<&str>) -> Presented {
    let mut best = Presented::None;
    for value in values(headers, NAME).take(CANDIDATES_MAX) {
        match open(value, ring, pin) {
            Some(found @ Presented::Session { .. }) => return found,
            Some(found) if best.held().is_none() => best = found,
            None if best == Presented::None => best = Presented::Unusable,
            Some(_) | None => {}
        }
    }
    best
}

/// Whether the browser's person wants to be asked before going on to an application.
pub fn warns(headers: &HeaderMap) -> bool {
    values(headers, WARN).any(|value| !value.is_empty())
}

fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(found, _)| *found == name)
        .map(|(_, value)| value.trim_matches('"'))
}

fn open(value: &str, ring: &KeyRing, pin: Option<&str>) -> Option<Presented> {
    let sealed = SealedValue::from_text(value).ok()?;
    let opened = sealed.open(ring, Purpose::Cookie, CONTEXT).ok()?;
    let text = std::str::from_utf8(&opened.plaintext).ok()?;
    let (id, has) = match text.split_once(PIN_MARK) {
        Some((id, has)) => (id, Some(has)),
        None => (text, None),
    };
    let id = TicketId::parse(id).ok()?;
    if id.kind() != Some(TicketKind::Tgt) {
        return None;
    }
    if pin.is_some() && pin != has {
        return Some(Presented::Elsewhere { id });
    }
    Some(Presented::Session {
        id,
        stale_key: opened.key != ring.current().id(),
    })
}

/// How cookies are set.
#[derive(Debug, Clone)]
pub struct CookieJar {
    path: String,
    same_site: &'static str,
}

impl CookieJar {
    /// Cookies for a path such as `/cas`.
    pub fn new(path: &str, same_site: SameSite) -> Self {
        let same_site = match same_site {
            SameSite::None => "None",
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
        };
        Self {
            path: path.to_owned(),
            same_site,
        }
    }

    /// The header that sets the cookie; `max_age_s` only for a remembered session, `pin` only when it
    /// is bound to something.
    ///
    /// Returns `None` when the id does not seal, which its size rules out.
    pub fn set(
        &self,
        id: &TicketId,
        ring: &KeyRing,
        nonce: Nonce,
        max_age_s: Option<u64>,
        pin: Option<&str>,
    ) -> Option<HeaderValue> {
        let mut plaintext = id.as_str().to_owned();
        if let Some(pin) = pin {
            plaintext.push(PIN_MARK);
            plaintext.push_str(pin);
        }
        let plaintext = plaintext.as_bytes();
        let sealed = SealedValue::seal(ring, Purpose::Cookie, CONTEXT, nonce, plaintext).ok()?;
        let text = format!(
            "{NAME}={}{}{}",
            sealed.to_text(),
            max_age(max_age_s),
            self.attributes()
        );
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The header that removes the cookie.
    pub fn remove(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("{NAME}=; Max-Age=0{}", self.attributes())).ok()
    }

    /// The header that notes the wish to be asked, for as long as the session's cookie.
    pub fn set_warn(&self, max_age_s: Option<u64>) -> Option<HeaderValue> {
        let age = max_age(max_age_s);
        HeaderValue::try_from(format!("{WARN}=true{age}{}", self.attributes())).ok()
    }

    /// The header that removes that wish.
    pub fn remove_warn(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("{WARN}=; Max-Age=0{}", self.attributes())).ok()
    }

    fn attributes(&self) -> String {
        format!(
            "; Path={}; Secure; HttpOnly; SameSite={}",
            self.path, self.same_site
        )
    }
}

fn max_age(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |s| format!("; Max-Age={s}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use castor_proto::ids::NodeName;
    use castor_proto::seal::{ClusterKey, KeyId};
    use castor_proto::ticket::{IdKeys, IdParts, random_part};

    fn key(id: u32) -> ClusterKey {
        let byte = u8::try_from(id).unwrap();
        ClusterKey::new(KeyId(id), [byte; 32].into(), 0)
    }

    /// A ring with one current and perhaps one previous key.
    pub(crate) fn ring(current: u32, previous: Option<u32>) -> KeyRing {
        KeyRing::new(previous.map(key), key(current), None).unwrap()
    }

    pub(crate) fn ticket(kind: TicketKind) -> TicketId {
        let node = NodeName::parse("n1").unwrap();
        let parts = IdParts {
            kind,
            sequence: 7,
            random: &random_part(&mut |bytes| bytes.fill(9)),
            nodes: &[&node],
        };
        let keys = IdKeys {
            check: &[1; 32],
            tag: &[2; 32],
        };
        TicketId::build(&parts, &keys)
    }

    fn cookie_of(set: &HeaderValue) -> String {
        set.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn request(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_cookie_is_sealed_and_has_its_attributes() {
        let jar = CookieJar::new("/cas", SameSite::None);
        let id = ticket(TicketKind::Tgt);
        let set = jar.set(&id, &ring(1, None), [3; 24], None, None).unwrap();
        let text = set.to_str().unwrap();
        assert!(
            text.ends_with("; Path=/cas; Secure; HttpOnly; SameSite=None"),
            "{text}"
        );
        assert!(!text.contains("TGT-") && !text.contains("Max-Age"));
        let presented = read(&request(&["a=b", &cookie_of(&set)]), &ring(1, None), None);
        assert_eq!(
            presented,
            Presented::Session {
                id: id.clone(),
                stale_key: false
            }
        );

        let long = jar
            .set(&id, &ring(1, None), [3; 24], Some(1_209_600), None)
            .unwrap();
        assert!(long.to_str().unwrap().contains("; Max-Age=1209600; Path"));
        let removed = jar.remove().unwrap();
        assert!(
            removed
                .to_str()
                .unwrap()
                .starts_with("TGC=; Max-Age=0; Path=/cas; Secure")
        );
    }

    #[test]
    fn a_value_under_the_previous_key_is_marked_and_one_under_none_is_unusable() {
        let jar = CookieJar::new("/cas", SameSite::Lax);
        let id = ticket(TicketKind::Tgt);
        let set = jar.set(&id, &ring(1, None), [3; 24], None, None).unwrap();
        let headers = request(&[&cookie_of(&set)]);
        let after_rotation = read(&headers, &ring(2, Some(1)), None);
        assert_eq!(
            after_rotation,
            Presented::Session {
                id,
                stale_key: true
            }
        );
        assert_eq!(read(&headers, &ring(3, Some(2)), None), Presented::Unusable);
        assert_eq!(read(&request(&[]), &ring(1, None), None), Presented::None);
        assert_eq!(
            read(&request(&["TGC=TGT-1-abc"]), &ring(1, None), None),
            Presented::Unusable
        );
        let good = cookie_of(&set);
        let both = request(&["TGC=junk; x=y", &good]);
        assert!(matches!(
            read(&both, &ring(1, None), None),
            Presented::Session { .. }
        ));
    }

    #[test]
    fn the_wish_to_be_asked_is_a_cookie_beside_the_session() {
        let jar = CookieJar::new("/cas", SameSite::Lax);
        let set = jar.set_warn(Some(60)).unwrap();
        let expected = "CASPRIVACY=true; Max-Age=60; Path=/cas; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(set.to_str().unwrap(), expected);
        assert!(warns(&request(&["a=b", &cookie_of(&set)])));
        let removed = jar.remove_warn().unwrap();
        assert!(!warns(&request(&[&cookie_of(&removed)])));
        assert!(!warns(&request(&["TGC=CASPRIVACY=x"])));
    }

    #[test]
    fn a_bound_cookie_is_good_with_its_pin_alone() {
        let jar = CookieJar::new("/cas", SameSite::Lax);
        let id = ticket(TicketKind::Tgt);
        let ring = ring(1, None);
        let cookie = |pin: Option<&str>| {
            let set = jar.set(&id, &ring, [3; 24], None, pin).unwrap();
            request(&[&cookie_of(&set)])
        };
        let session = Presented::Session {
            id: id.clone(),
            stale_key: false,
        };
        let elsewhere = Presented::Elsewhere { id: id.clone() };
        let (bound, free) = (cookie(Some("0a")), cookie(None));
        assert_eq!(read(&bound, &ring, Some("0a")), session);
        assert_eq!(read(&bound, &ring, Some("0b")), elsewhere);
        assert_eq!(read(&free, &ring, Some("0a")), elsewhere);
        assert_eq!(read(&bound, &ring, None), session, "no longer bound");
        assert_eq!((session.held(), elsewhere.held()), (Some(&id), Some(&id)));
        // What is good here goes before what is not, in any order, and both before what is nothing.
        let set = |pin| cookie_of(&jar.set(&id, &ring, [3; 24], None, Some(pin)).unwrap());
        let (here, there) = (set("0a"), set("0b"));
        let read = |cookies: &[&str]| read(&request(cookies), &ring, Some("0a"));
        assert_eq!(read(&[&there, &here]), session);
        assert_eq!(read(&[&here, &there]), session);
        assert_eq!(read(&["TGC=junk", &there, "TGC=junk"]), elsewhere);
    }

    #[test]
    fn only_sessions_can_be_in_it() {
        let jar = CookieJar::new("/cas", SameSite::None);
        let id = ticket(TicketKind::Pgt);
        let set = jar.set(&id, &ring(1, None), [3; 24], None, None).unwrap();
        let presented = read(&request(&[&cookie_of(&set)]), &ring(1, None), None);
        assert_eq!(presented, Presented::Unusable);
    }
}
