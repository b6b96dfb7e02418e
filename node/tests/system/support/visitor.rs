//! A person who visits applications: goes where redirects lead, and types the password where it is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::Answer;
use super::demo::Demo;
use super::person::Person;
use super::wait;

/// More redirects than any client needs.
const REDIRECTS: usize = 8;
/// Time for an application to hear of a logout.
const TOLD: Duration = Duration::from_secs(30);

/// Keeps the cookies of each host and port apart, unlike a browser, so that applications do not meet.
pub(crate) struct Visitor {
    jars: BTreeMap<String, Person>,
    somebody: Person,
    front: String,
    username: String,
    password: String,
    /// How often the password was typed.
    pub(crate) typed: usize,
}

impl Visitor {
    pub(crate) fn new(demo: &Demo) -> Self {
        Self {
            jars: BTreeMap::new(),
            somebody: demo.person(),
            front: demo.cluster.front.clone(),
            username: demo.cluster.username.clone(),
            password: demo.cluster.password.clone(),
            typed: 0,
        }
    }

    /// GET without following anything.
    pub(crate) fn get(&mut self, url: &str) -> Answer {
        self.jar(url).get(url)
    }

    /// What is there in the end.
    pub(crate) fn visit(&mut self, url: &str) -> Answer {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut answer = self.get(&url);
            if url.starts_with(&self.front) && answer.asks_for_password() {
                let mut fields = answer.hidden_fields();
                fields.push(("username".to_owned(), self.username.clone()));
                fields.push(("password".to_owned(), self.password.clone()));
                self.typed += 1;
                answer = self.jar(&url).post(&url, &fields);
            }
            match answer.header("location") {
                "" => return answer,
                path if path.starts_with('/') => url = format!("{}{path}", origin(&url)),
                next => url = next.to_owned(),
            }
        }
        panic!("redirected for ever, last to {url}");
    }

    /// The page as JSON, once there.
    pub(crate) fn read(&mut self, url: &str) -> serde_json::Value {
        let answer = self.visit(url);
        let parsed = serde_json::from_str(&answer.body);
        parsed.unwrap_or_else(|_| panic!("{url}: {} {}", answer.status, answer.body))
    }

    /// Signs in at the server, for no application.
    pub(crate) fn sign_in(&mut self) {
        let page = self.visit(&format!("{}/login", self.front));
        assert!(
            page.status == 200 && !page.asks_for_password(),
            "{}",
            page.body
        );
    }

    /// Signs out at the server.
    pub(crate) fn sign_out(&mut self) {
        let page = self.get(&format!("{}/logout", self.front));
        assert_eq!(page.status, 200, "{}", page.body);
    }

    /// Waits until the application, asked with the cookies it gave, does not know the person any more.
    pub(crate) fn until_forgotten(&mut self, url: &str) {
        wait::until("the application ends its session", TOLD, || {
            (!self.get(url).header("location").is_empty()).then_some(())
        });
    }

    fn jar(&mut self, url: &str) -> &mut Person {
        let somebody = &self.somebody;
        let jar = self.jars.entry(origin(url).to_owned());
        jar.or_insert_with(|| somebody.clone())
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let length = url[start..].find('/').unwrap_or(url.len() - start);
    &url[..start + length]
}
