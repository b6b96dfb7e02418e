//! Reading how long an application's tickets, and the definition itself, live.

use castor_proto::ids::WallMs;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::moment::{self, Edge};
use super::reader::{Fields, Unknown};

/// Lifetimes of an application's own; `None` where the cluster's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// Of its service tickets, in seconds, 1..=300.
    pub service_ticket: Option<u32>,
    /// Of proxy tickets for it, in seconds, 1..=300.
    pub proxy_ticket: Option<u32>,
    /// Of its proxy-granting tickets, in seconds, at least 1; never longer than the session.
    pub proxy_granting_ticket: Option<u32>,
    /// Of a session that begins at it, in seconds, at least 1; never longer than the cluster's.
    pub session: Option<u32>,
    /// Longest pause between two uses of a session that begins at it, in seconds, at least 1; never
    /// longer than the cluster's.
    pub session_idle: Option<u32>,
}

/// Reads all of them.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Lifetimes {
    let (session, session_idle) = session(fields);
    Lifetimes {
        service_ticket: single_use(fields, "serviceTicketExpirationPolicy"),
        proxy_ticket: single_use(fields, "proxyTicketExpirationPolicy"),
        proxy_granting_ticket: proxy_granting(fields),
        session,
        session_idle,
    }
}

/// Seconds, as a number or as in `PT10S`.
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let whole = text.parse::<u32>().ok();
    whole.or_else(|| {
        let duration: SignedDuration = text.parse().ok()?;
        u32::try_from(duration.as_secs()).ok()
    })
}

/// `numberOfUses` and `timeToLive`
fn single_use(fields: &mut Fields<'_, '_>, key: &str) -> Option<u32> {
    let mut policy = fields.object(key)?;
    let uses = policy.number("numberOfUses").unwrap_or(1);
    if !(0..=1).contains(&uses) {
        policy.error_at("numberOfUses", "such a ticket is good for one use: 1");
    }
    let text = policy.scalar("timeToLive");
    let life = text.as_deref().and_then(seconds);
    let valid = life.filter(|s| (1..=300).contains(s));
    if text.is_some() && valid.is_none() {
        policy.error_at(
            "timeToLive",
            "must be 1 to 300 seconds, such as 10 or PT10S",
        );
    }
    policy.finish(Unknown::Refuse);
    valid
}

/// `ticketGrantingTicketExpirationPolicy`: longest life and longest pause.
fn session(fields: &mut Fields<'_, '_>) -> (Option<u32>, Option<u32>) {
    let Some(mut policy) = fields.object("ticketGrantingTicketExpirationPolicy") else {
        return (None, None);
    };
    let life = reusable(&mut policy, "maxTimeToLiveInSeconds");
    let idle = reusable(&mut policy, "timeToKillInSeconds");
    let says = "one life for all browsers and addresses: maxTimeToLiveInSeconds";
    for key in ["userAgents", "ipAddresses"] {
        policy.refuse_if_set(key, says);
    }
    policy.finish(Unknown::Refuse);
    (life, idle)
}

/// `proxyGrantingTicketExpirationPolicy`
fn proxy_granting(fields: &mut Fields<'_, '_>) -> Option<u32> {
    let mut policy = fields.object("proxyGrantingTicketExpirationPolicy")?;
    let life = reusable(&mut policy, "maxTimeToLiveInSeconds");
    policy.refuse_if_set("timeToKillInSeconds", "it idles away with its session");
    policy.finish(Unknown::Refuse);
    life
}

/// Seconds of a reusable ticket; zero leaves it to the cluster.
fn reusable(policy: &mut Fields<'_, '_>, key: &'static str) -> Option<u32> {
    let text = policy.scalar(key);
    let read = text.as_deref().and_then(seconds);
    if text.is_some() && read.is_none() {
        policy.error_at(key, "must be seconds, such as 28800 or PT8H");
    }
    read.filter(|s| *s > 0)
}

/// `expirationPolicy` of the definition itself: from when on it is as good as disabled.
pub(super) fn expiry(fields: &mut Fields<'_, '_>) -> Option<WallMs> {
    let mut policy = fields.object("expirationPolicy")?;
    let text = policy.text("expirationDate");
    let moment = text
        .as_deref()
        .and_then(|text| moment::read(text, &TimeZone::UTC, Edge::Begin));
    if text.is_some() && moment.is_none() {
        let says = "is no date and time such as 2026-09-01T08:00:00Z";
        policy.error_at("expirationDate", says);
    }
    for (key, says) in [
        (
            "deleteWhenExpired",
            "the application is refused from then on; the file is yours to delete",
        ),
        ("notifyWhenDeleted", "nobody is notified"),
        ("notifyWhenExpired", "nobody is notified"),
    ] {
        if policy.flag(key, false) && text.is_some() {
            policy.warn_at(key, says);
        }
    }
    policy.finish(Unknown::Refuse);
    moment
}
