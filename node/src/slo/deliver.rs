//! Sending the requests of one session, trying again, and noting who was told.

use std::sync::Arc;
use std::time::Duration;

use castor_proto::delta::ServiceKey;
use castor_proto::ids::WallMs;
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::message::Message;
use super::plan::{Notice, Plan};
use super::untold::{self, Untold};
use super::{FrontNotice, SessionEnd, Shared};
use crate::ops::audit::{Action, Event, masked};
use crate::outbound::{Call, CallError, Purpose, Target};

/// The pause before the second attempt; each further one is five times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// When a session ended that some nodes did not hear of: pauses after which it is looked at again for
/// applications that only those knew.
const SECOND_LOOKS: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(60),
    Duration::from_secs(300),
];

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The application has the request.
    Told,
    /// It has it and does not want it; asking again would not change that.
    Refused,
    /// It may have it at another attempt.
    Passing,
    /// It cannot be called.
    Never,
}

/// The applications of one session that are to be told.
pub(super) struct Job {
    shared: Arc<Shared>,
    end: SessionEnd,
    /// What is noted with the next attempt: told by the browser, or nobody's business.
    settled: Vec<(ServiceKey, WallMs)>,
    left: Vec<Notice>,
    told: usize,
    front: usize,
    /// Whether a browser is there to tell those.
    browser: bool,
    /// Applications that could not be told.
    failed: Vec<Untold>,
    /// Given back when everybody who is known has been told or given up.
    place: Option<(OwnedSemaphorePermit, Waiting)>,
}

/// Counted as waiting until dropped.
struct Waiting(prometheus::IntGauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Shared {
    /// What the browser is to fetch.
    pub(super) fn front_notices(&self, end: &SessionEnd, plan: &Plan) -> Vec<FrontNotice> {
        let notices = plan.front.iter();
        let front = notices.map(|notice| FrontNotice {
            name: notice.name.clone(),
            url: self.with_message(end, notice, |message| message.front_url(&notice.url)),
        });
        front.collect()
    }

    fn with_message<T>(
        &self,
        end: &SessionEnd,
        notice: &Notice,
        make: impl FnOnce(&Message<'_>) -> T,
    ) -> T {
        let id = self
            .parts
            .tickets
            .logout_request_id(&end.key, &notice.ticket);
        make(&Message {
            id: &id,
            now: self.parts.clock.timestamp(),
            user: notice.user.as_deref(),
            ticket: &notice.ticket,
        })
    }

    /// Makes one attempt; also says what came of it.
    async fn send(&self, notice: &Notice, body: String) -> (Outcome, String) {
        let sent = async {
            let call = Call {
                purpose: Purpose::Logout,
                target: Target::parse(&notice.url)?,
                reach: notice.reach,
                plain: true,
                form: Some(body.into()),
                // Whatever it says, the application has it.
                answer_max: 0,
            };
            self.parts.outbound.call(call).await
        };
        let result = sent.await;
        match &result {
            Ok(answer) => tracing::debug!(
                application = notice.name,
                status = answer.status.as_u16(),
                "told of a logout"
            ),
            Err(error) => {
                tracing::debug!(application = notice.name, %error, "not told of a logout")
            }
        }
        let result = result.map(|answer| answer.status);
        let why = match &result {
            Ok(status) => format!("status {}", status.as_u16()),
            Err(error) => error.reason(),
        };
        (judge(&result), why)
    }
}

fn judge(result: &Result<StatusCode, CallError>) -> Outcome {
    match result {
        Ok(status) if status.is_server_error() => Outcome::Passing,
        Ok(StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => Outcome::Passing,
        Ok(status) if status.is_client_error() => Outcome::Refused,
        Ok(_) => Outcome::Told,
        Err(error) if error.is_passing() => Outcome::Passing,
        Err(_) => Outcome::Never,
    }
}

impl Job {
    pub(super) fn new(
        shared: Arc<Shared>,
        end: SessionEnd,
        plan: Plan,
        (place, browser): (OwnedSemaphorePermit, bool),
    ) -> Self {
        let metrics = &shared.parts.metrics;
        metrics.waiting.inc();
        if !end.visited.is_empty() {
            let sessions = &metrics.sessions;
            sessions.with_label_values(&[end.reason.as_str()]).inc();
        }
        let waiting = Waiting(metrics.waiting.clone());
        // The browser has them on its page; whether it fetched them, nobody learns.
        let front = plan.front.iter().map(|notice| (notice.key, notice.stamp));
        let gone = plan.unreachable.iter().map(|n| (n.key, n.stamp));
        let settled = front.chain(gone).chain(plan.nobody).collect();
        Self {
            shared,
            end,
            settled,
            left: plan.back,
            told: 0,
            front: plan.front.len(),
            browser,
            failed: plan.unreachable.iter().map(Untold::by_no_browser).collect(),
            place: Some((place, waiting)),
        }
    }

    pub(super) async fn run(mut self) {
        self.tell().await;
        self.place = None;
        if !self.end.partial {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let Ok(_again) = shared.again.try_acquire() else {
            return;
        };
        for pause in SECOND_LOOKS {
            tokio::time::sleep(pause).await;
            self.look_again();
            self.tell().await;
        }
    }

    /// Takes on the applications that were not known before.
    fn look_again(&mut self) {
        let parts = &self.shared.parts;
        let known = &self.end.visited;
        let is_known = |key: &ServiceKey, stamp: WallMs| {
            let mut known = known.iter();
            known.any(|(other, used)| other == key && used.stamp >= stamp)
        };
        let mut late = parts.tickets.untold(&self.end.key);
        late.retain(|(key, used)| !is_known(key, used.stamp));
        let plan = Plan::new(&parts.services, self.end.principal.as_ref(), &late);
        for _ in &plan.front {
            parts.metrics.count("front", "no_browser");
        }
        self.settled.extend(plan.nobody);
        self.left = plan.back;
        self.end.visited.extend(late);
        (self.told, self.front) = (0, 0);
        self.failed.clear();
        for notice in plan.unreachable {
            self.settled.push((notice.key, notice.stamp));
            self.failed.push(Untold::by_no_browser(&notice));
        }
    }

    /// Tells those who are left, and records it.
    async fn tell(&mut self) {
        let retries = self.shared.parts.config.load().logout.retries;
        let mut pause = FIRST_PAUSE;
        for attempt in 0..=retries {
            self.attempt(attempt == retries).await;
            self.note().await;
            if self.left.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 5;
        }
        self.record();
    }

    /// Tells everybody who is left, all at once; the outbound room bounds how many.
    async fn attempt(&mut self, is_last: bool) {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.calling.acquire().await;
        let mut calls = JoinSet::new();
        for notice in std::mem::take(&mut self.left) {
            let body = shared.with_message(&self.end, &notice, |message| message.body());
            let shared = Arc::clone(&shared);
            calls.spawn(async move {
                let (outcome, why) = shared.send(&notice, body).await;
                (notice, outcome, why)
            });
        }
        while let Some(done) = calls.join_next().await {
            let Ok((notice, outcome, why)) = done else {
                continue;
            };
            let count = |label| shared.parts.metrics.count("back", label);
            match outcome {
                Outcome::Told => {
                    count("told");
                    self.told += 1;
                    self.settled.push((notice.key, notice.stamp));
                }
                Outcome::Refused => {
                    count("refused");
                    self.failed.push(Untold::of(&notice, &why));
                    self.settled.push((notice.key, notice.stamp));
                }
                Outcome::Passing if !is_last => {
                    count("retried");
                    self.left.push(notice);
                }
                Outcome::Passing | Outcome::Never => {
                    count("failed");
                    let untold = Untold::of(&notice, &why);
                    tracing::warn!(
                        application = untold.name,
                        url = masked(&untold.place),
                        why = untold.why,
                        session = self.end.masked,
                        "an application could not be told of a logout"
                    );
                    self.failed.push(untold);
                }
            }
        }
    }

    /// Notes who was told, so that no other node tells them again. An application with several
    /// addresses is told when none of them is left.
    async fn note(&mut self) {
        let left = &self.left;
        let is_left = |key: &ServiceKey| left.iter().any(|notice| notice.key == *key);
        let settled = std::mem::take(&mut self.settled);
        let (later, now): (Vec<_>, Vec<_>) = settled.into_iter().partition(|(key, _)| is_left(key));
        self.settled = later;
        if now.is_empty() {
            return;
        }
        if let Err(error) = self.shared.parts.tickets.told(self.end.key, now).await {
            tracing::warn!(%error, "others do not learn that applications were told of a logout");
        }
    }

    fn record(&self) {
        let (told, front) = (self.told, self.front);
        if told + front + self.failed.len() == 0 {
            return;
        }
        let mut what = format!("{}: {told} told", self.end.masked);
        match self.browser {
            _ if front == 0 => {}
            true => what.push_str(&format!(", {front} by the browser")),
            false => what.push_str(&format!(", {front} not told without a browser")),
        }
        if !self.failed.is_empty() {
            what.push_str(&format!(", not told: {}", untold::list(&self.failed)));
        }
        let owner = self.end.principal.as_ref().map(|p| p.id.clone());
        self.shared.parts.audit.record(&Event {
            action: if self.failed.is_empty() {
                Action::LogoutSuccess
            } else {
                Action::LogoutFailed
            },
            who: self.end.by.actor.clone().or(owner),
            what,
            client: self.end.by.client,
            request: self.end.by.request.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_go_better_is_tried_again() {
        let status = |code: u16| judge(&Ok(StatusCode::from_u16(code).unwrap()));
        for code in [200, 204, 302, 303] {
            assert_eq!(status(code), Outcome::Told, "{code}");
        }
        for code in [400, 401, 403, 404, 405] {
            assert_eq!(status(code), Outcome::Refused, "{code}");
        }
        for code in [408, 429, 500, 502, 503] {
            assert_eq!(status(code), Outcome::Passing, "{code}");
        }
        let host = || "a.edu".to_owned();
        assert_eq!(judge(&Err(CallError::Timeout(host()))), Outcome::Passing);
        assert_eq!(judge(&Err(CallError::Busy)), Outcome::Passing);
        assert_eq!(judge(&Err(CallError::Private(host()))), Outcome::Never);
    }
}
