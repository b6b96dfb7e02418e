//! How long tickets live, in milliseconds.

use crate::config;
use crate::config::types::AtUserLimit;

/// Lifetimes, from `[tickets]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// An ordinary session.
    pub session: Lifetime,
    /// A remembered session; `None` when that is not offered.
    pub remembered: Option<Lifetime>,
    /// A service ticket.
    pub service_ticket_ms: u64,
    /// A proxy ticket.
    pub proxy_ticket_ms: u64,
    /// How many sessions a person may have; `None` for any number.
    pub per_user: Option<PerUser>,
}

/// How many sessions a person may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerUser {
    /// So many, at least 1.
    pub most: usize,
    /// What happens beyond.
    pub beyond: AtUserLimit,
}

/// Life and idle time of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// It ends this long after it began.
    pub life_ms: u64,
    /// It ends when it was not used for this long.
    pub idle_ms: u64,
}

impl From<&config::Tickets> for Policy {
    fn from(config: &config::Tickets) -> Self {
        let remembered = Lifetime {
            life_ms: config.remember_me.max_life.as_millis(),
            idle_ms: config.remember_me.idle.as_millis(),
        };
        Self {
            session: Lifetime {
                life_ms: config.tgt.max_life.as_millis(),
                idle_ms: config.tgt.idle.as_millis(),
            },
            remembered: config.remember_me.enabled.then_some(remembered),
            service_ticket_ms: config.st.life.as_millis(),
            proxy_ticket_ms: config.pt.life.as_millis(),
            per_user: (config.max_sessions_per_user > 0).then_some(PerUser {
                most: config.max_sessions_per_user,
                beyond: config.at_user_limit,
            }),
        }
    }
}

impl Policy {
    /// The lifetime of a session and whether it counts as remembered.
    pub fn of_session(&self, remember_me: bool) -> (Lifetime, bool) {
        match self.remembered {
            Some(remembered) if remember_me => (remembered, true),
            _ => (self.session, false),
        }
    }

    /// The lifetime of a service ticket; a definition may set its own.
    pub fn of_service_ticket(&self, own_seconds: Option<u32>) -> u64 {
        own_seconds.map_or(self.service_ticket_ms, |s| u64::from(s) * 1000)
    }

    /// The lifetime of a proxy ticket; a definition may set its own.
    pub fn of_proxy_ticket(&self, own_seconds: Option<u32>) -> u64 {
        own_seconds.map_or(self.proxy_ticket_ms, |s| u64::from(s) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_protocol() {
        let mut config = config::Config::defaults().unwrap().tickets;
        let policy = Policy::from(&config);
        assert_eq!(
            policy.of_session(true),
            (policy.session, false),
            "not offered"
        );
        assert_eq!(policy.session.life_ms, 8 * 3_600_000);
        assert_eq!(policy.session.idle_ms, 2 * 3_600_000);
        assert_eq!(policy.of_service_ticket(None), 10_000);
        assert_eq!(policy.of_service_ticket(Some(5)), 5_000);
        config.remember_me.enabled = true;
        let (lifetime, remembered) = Policy::from(&config).of_session(true);
        assert!(remembered);
        assert_eq!(lifetime.life_ms, 14 * 86_400_000);
    }
}
