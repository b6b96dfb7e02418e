//! What people and applications do, over HTTP alone, and what must be true in the end.

use std::cell::RefCell;
use std::rc::Rc;

use castor_loadtest::cas::validation::{self, Validation};
use castor_loadtest::cas::{self, TicketAnswer, form};
use castor_loadtest::history::{Op, Out};
use castor_loadtest::http::{Answer, Call, CallError};
use castor_proto::delta::Entry;
use castor_replication::driver::Readiness;
use http::header;

use crate::chance;
use crate::client::{Client, base};
use crate::files::{PASSWORD, SERVICES, USERS, service};
use crate::node::{NODES, Node, pause};
use crate::story::Story;
use crate::trace::event;

/// Callers at the same time.
pub const CALLERS: usize = 24;

/// A session that was acknowledged.
#[derive(Clone)]
struct Session {
    /// Its name in the story.
    name: String,
    /// What the browser sends.
    cookie: String,
}

/// A ticket that was given out.
#[derive(Clone)]
struct Ticket {
    id: String,
    service: String,
}

/// What is known of a run.
#[derive(Default)]
pub struct Ledger {
    sessions: Vec<Session>,
    tickets: Vec<Ticket>,
    pub story: Story,
    /// The nodes in service, by index.
    pub nodes: [Option<Rc<Node>>; NODES],
    /// What these said of themselves a moment ago: readiness, peers alive, links up.
    pub standing: [Option<Standing>; NODES],
    /// Load goes on.
    pub open: bool,
    /// Every session is to be asked for at every node.
    pub asking: bool,
    /// Of these, the next.
    next: usize,
    /// Callers who have nothing left to do.
    pub gone: usize,
    pub violations: Vec<String>,
}

/// Readiness, peers that gossip believes alive, links that are up.
type Standing = (Readiness, (usize, usize));

/// All nodes serve and are linked with all others.
const WHOLE: Standing = (Readiness::Ready, (NODES - 1, NODES - 1));

pub type Book = Rc<RefCell<Ledger>>;

impl Ledger {
    fn violation(&mut self, text: String) {
        event(&format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    fn any_session(&self) -> Option<Session> {
        let index = chance::below(self.sessions.len() as u64);
        self.sessions.get(index as usize).cloned()
    }

    /// A ticket of the last few, or now and then an old one.
    fn any_ticket(&self) -> Option<Ticket> {
        let all = self.tickets.len() as u64;
        let newest = if chance::below(10) == 0 {
            all
        } else {
            all.min(8)
        };
        let back = chance::below(newest) + 1;
        self.tickets.get((all - back.min(all)) as usize).cloned()
    }

    fn remember(&mut self, id: &str, service: &str) {
        self.tickets.push(Ticket {
            id: id.to_owned(),
            service: service.to_owned(),
        });
    }

    /// Whether all nodes serve and are linked with all others.
    pub fn is_whole(&self) -> bool {
        self.standing == [Some(WHOLE); NODES]
    }
}

/// Somebody who signs in, visits, validates and signs out until the load ends, and asks for sessions
/// in the end.
pub struct Caller {
    client: Client,
    book: Book,
}

impl Caller {
    pub fn new(book: Book) -> Self {
        Self {
            client: Client::default(),
            book,
        }
    }

    /// The whole run.
    pub async fn run(mut self) {
        while self.book.borrow().open {
            pause(20 + chance::below(200)).await;
            let node = chance::below(NODES as u64) as usize;
            match chance::below(100) {
                0..12 => self.sign_in(node).await,
                12..50 => self.visit(node).await,
                50..90 => self.validate(node).await,
                90..93 => self.sign_out(node).await,
                _ => self.probe(node).await,
            }
        }
        while !self.book.borrow().asking {
            pause(50).await;
        }
        while let Some((session, node)) = self.next() {
            self.issue(node, session, service(0)).await;
        }
        self.book.borrow_mut().gone += 1;
    }

    /// The next session that is asked for in the end, and where.
    fn next(&self) -> Option<(Session, usize)> {
        let mut book = self.book.borrow_mut();
        let next = book.next;
        book.next += 1;
        let session = book.sessions.get(next / NODES)?;
        Some((session.clone(), next % NODES))
    }

    /// The form, and what a person fills in; sometimes on the way to an application.
    async fn sign_in(&mut self, node: usize) {
        let user = format!("user{}", chance::below(USERS as u64));
        let target = service(chance::below(SERVICES));
        let on_the_way = chance::below(3) == 0;
        let url = if on_the_way {
            cas::login_url(&base(node), &target)
        } else {
            format!("{}/login", base(node))
        };
        let wrong = chance::below(20) == 0;
        let password = if wrong { "wrong" } else { PASSWORD };
        let login = Op::Login { user: user.clone() };
        let pending = self.book.borrow_mut().story.begin(node, login);
        let answer = self.fill_in(node, &url, &user, password).await;
        let mut book = self.book.borrow_mut();
        let (status, cookie) = match &answer {
            Ok(answer) => (answer.status.as_u16(), cookie(answer)),
            Err(_) => (0, None),
        };
        let Some(cookie) = cookie.filter(|_| matches!(status, 200 | 302 | 303)) else {
            let out = match status {
                401 if wrong => Out::Fail("401".to_owned()),
                0 | 500..=599 => Out::Unknown,
                odd => {
                    book.violation(format!("signing in is answered {odd}"));
                    Out::Unknown
                }
            };
            book.story.end(pending, out, None);
            return;
        };
        if wrong {
            book.violation(format!("{user} signed in with a wrong password"));
        }
        let name = book.story.new_session();
        book.story.end(pending, Out::Ok(name.clone()), None);
        book.sessions.push(Session {
            name: name.clone(),
            cookie,
        });
        if !on_the_way {
            return;
        }
        match cas::read_ticket_answer(answer, &target) {
            TicketAnswer::Ticket(id) => {
                let issue = Op::Issue {
                    session: name,
                    service: target.clone(),
                };
                let pending = book.story.begin(node, issue);
                book.story.end(pending, Out::Ok(id.clone()), None);
                book.remember(&id, &target);
            }
            odd => event(&format!("n{node} no ticket after signing in: {odd:?}")),
        }
    }

    async fn fill_in(
        &mut self,
        node: usize,
        url: &str,
        user: &str,
        password: &str,
    ) -> Result<Answer, CallError> {
        let page = self.client.call(node, Call::get(url)).await?;
        let Some(form) = form::find(&page.text()) else {
            // A node that does not serve now has no form.
            return Ok(page);
        };
        let mut fields = form.hidden;
        fields.push((form.username_field, user.to_owned()));
        fields.push((form.password_field, password.to_owned()));
        let call = Call::post_form(form::resolve(url, &form.action), &fields);
        self.client.call(node, call).await
    }

    async fn visit(&mut self, node: usize) {
        let session = self.book.borrow().any_session();
        if let Some(session) = session {
            self.issue(node, session, service(chance::below(SERVICES)))
                .await;
        }
    }

    async fn issue(&mut self, node: usize, session: Session, service: String) {
        let issue = Op::Issue {
            session: session.name,
            service: service.clone(),
        };
        let pending = self.book.borrow_mut().story.begin(node, issue);
        let mut call = Call::get(cas::login_url(&base(node), &service));
        let cookie = session.cookie.parse().expect("a cookie");
        call.headers.insert(header::COOKIE, cookie);
        let answer = self.client.call(node, call).await;
        let mut book = self.book.borrow_mut();
        let out = match cas::read_ticket_answer(answer, &service) {
            TicketAnswer::Ticket(id) => {
                book.remember(&id, &service);
                Out::Ok(id)
            }
            TicketAnswer::Form => Out::Fail("form".to_owned()),
            TicketAnswer::Unavailable(_) | TicketAnswer::Failed(_) => Out::Unknown,
            TicketAnswer::Odd(what) => {
                book.violation(format!("asking for a ticket: {what}"));
                Out::Unknown
            }
        };
        book.story.end(pending, out, None);
    }

    async fn validate(&mut self, node: usize) {
        let ticket = self.book.borrow().any_ticket();
        let Some(Ticket { id, service }) = ticket else {
            return;
        };
        let call = Call::get(cas::validate_url(&base(node), &service, &id));
        let validate = Op::Validate {
            ticket: id,
            service,
        };
        let pending = self.book.borrow_mut().story.begin(node, validate);
        let answer = validation::read(self.client.call(node, call).await);
        let mut book = self.book.borrow_mut();
        let (out, attributes) = match answer {
            Validation::Success { user, attributes } => {
                let digest = blake3::hash(format!("{attributes:?}").as_bytes());
                (Out::Ok(user), Some(digest.to_hex()[..16].to_owned()))
            }
            Validation::Refused { code } => (Out::Fail(code), None),
            Validation::Unavailable(_) | Validation::Failed(_) => (Out::Unknown, None),
            Validation::Odd(what) => {
                book.violation(format!("validating: {what}"));
                (Out::Unknown, None)
            }
        };
        book.story.end(pending, out, attributes);
    }

    async fn sign_out(&mut self, node: usize) {
        let Some(session) = self.book.borrow().any_session() else {
            return;
        };
        let logout = Op::Logout {
            session: session.name,
        };
        let pending = self.book.borrow_mut().story.begin(node, logout);
        let mut call = Call::get(format!("{}/logout", base(node)));
        let cookie = session.cookie.parse().expect("a cookie");
        call.headers.insert(header::COOKIE, cookie);
        let out = match self.client.call(node, call).await {
            Ok(answer) if answer.status.is_success() => Out::Ok(String::new()),
            _ => Out::Unknown,
        };
        self.book.borrow_mut().story.end(pending, out, None);
    }

    /// As a proxy asks whether a node is ready.
    async fn probe(&mut self, node: usize) {
        let pending = self.book.borrow_mut().story.begin(node, Op::Probe);
        let call = Call::get(format!("{}/actuator/health/readiness", base(node)));
        let out = match self.client.call(node, call).await {
            Ok(answer) if answer.status.is_success() => Out::Ok(String::new()),
            Ok(answer) => Out::Fail(answer.status.as_u16().to_string()),
            Err(_) => Out::Unknown,
        };
        self.book.borrow_mut().story.end(pending, out, None);
    }
}

/// The session's cookie as a browser sends it back.
fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.headers.get_all(header::SET_COOKIE).iter();
    let mut values = set.filter_map(|value| value.to_str().ok()?.split(';').next());
    values
        .find(|pair| pair.starts_with("TGC=") && pair.len() > "TGC=".len())
        .map(str::to_owned)
}

/// What must hold when everything has healed: the rules of the story, all nodes ready and the same.
pub fn judge(book: &Book) -> Result<(), crate::node::Fault> {
    let mut book = book.borrow_mut();
    for broken in book.story.judge()? {
        book.violation(broken);
    }
    if book.next < book.sessions.len() * NODES {
        book.violation("not every session was asked for".to_owned());
    }
    let nodes = book.nodes.clone();
    let mut states: Vec<Vec<Entry>> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(node) = node else {
            book.violation(format!("n{index} does not run"));
            continue;
        };
        let standing = book.standing[index];
        if standing != Some(WHOLE) {
            book.violation(format!("n{index} is not whole: {standing:?}"));
        }
        let mut state = Vec::new();
        node.handle.store().visit_all(&mut |entry| {
            state.push(entry);
            true
        });
        state.sort_by_key(|entry| entry.key);
        states.push(state);
    }
    for (index, pair) in states.windows(2).enumerate() {
        if pair[0] != pair[1] {
            let sizes = (pair[0].len(), pair[1].len());
            book.violation(format!("n{index} and n{} differ: {sizes:?}", index + 1));
        }
    }
    for node in &mut book.nodes {
        *node = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_run_at_the_end_is_noticed() {
        let book = Book::default();
        judge(&book).expect("judged");
        assert_eq!(book.borrow().violations.len(), NODES);
    }
}
