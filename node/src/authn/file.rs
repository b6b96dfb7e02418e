//! Users from a TOML file.
//!
//! ```toml
//! [[user]]
//! name = "mlee7"
//! password = "$argon2id$v=19$m=19456,t=2,p=1$..."
//! attributes = { mail = ["mlee7@example.edu"], displayName = "M. Lee" }
//! disabled = false
//! ```
//!
//! Read whole or not at all: a file with any error leaves the last good one in force. A user that
//! is not in it costs the same hash as one that is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use castor_proto::ticket::Principal;
use prometheus::core::Collector;
use serde::Deserialize;
use toml::Spanned;

use super::password::{Cost, DEFAULT_COST, HashPool, StoredHash};
use super::{Authenticator, BoxFuture, Credential, Rejection, Verdict};
use crate::clock::Rng;

/// Largest users file, in bytes.
pub const FILE_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes of attributes of one user; they travel in every session.
pub const ATTRIBUTES_MAX: usize = 32 * 1024;

/// How every hash of a password begins that anybody writes down.
const HASH_BEGINS: &str = "$argon2";

/// A users file that could not be taken; the text names file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsersError(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    user: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    password: Spanned<String>,
    #[serde(default)]
    attributes: toml::map::Map<String, toml::Value>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Debug)]
struct User {
    principal: Principal,
    hash: Arc<StoredHash>,
    disabled: bool,
}

/// What a users file says.
#[derive(Debug)]
pub struct Users {
    by_name: HashMap<String, User>,
    dummy: Arc<StoredHash>,
}

impl Users {
    /// Reads the text of a users file.
    ///
    /// # Errors
    /// The first mistake, with its line; never a password's hash.
    pub fn parse(text: &str, rng: &Rng) -> Result<Self, UsersError> {
        parse(text, rng).map_err(|Mistake { line, says }| {
            // A hash that stands in another key's place would be told as what was found there.
            let says = if says.contains(HASH_BEGINS) {
                "a password hash stands where something else belongs".to_owned()
            } else {
                says
            };
            UsersError(format!("line {line}: {says}"))
        })
    }

    /// Who a name stands for, and what its password is compared with.
    pub fn get(&self, name: &str) -> Option<(&Principal, &StoredHash)> {
        let user = self.by_name.get(name)?;
        Some((&user.principal, &*user.hash))
    }

    /// Every name, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// What is wrong, and where.
struct Mistake {
    line: usize,
    says: String,
}

/// The handler named `file`.
#[derive(Debug)]
pub struct FileAuthenticator {
    path: PathBuf,
    users: ArcSwap<Users>,
    pool: Arc<HashPool>,
    rng: Rng,
}

impl FileAuthenticator {
    /// Reads the users file for the first time.
    ///
    /// # Errors
    /// Unreadable, too large, or wrong somewhere; the text names the line.
    pub fn open(path: PathBuf, pool: Arc<HashPool>, rng: Rng) -> Result<Self, UsersError> {
        let users = load(&path, &rng)?;
        Ok(Self {
            path,
            users: ArcSwap::from_pointee(users),
            pool,
            rng,
        })
    }

    /// The file, to be watched.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file again; blocking. Returns the number of users in force.
    ///
    /// # Errors
    /// The last good file stays in force.
    pub fn reload(&self) -> Result<usize, UsersError> {
        let users = load(&self.path, &self.rng)?;
        let count = users.by_name.len();
        self.users.store(Arc::new(users));
        Ok(count)
    }
}

impl Authenticator for FileAuthenticator {
    fn name(&self) -> &'static str {
        "file"
    }

    fn metrics(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.pool.spent().clone())]
    }

    fn authenticate<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let users = self.users.load_full();
            let user = users.by_name.get(credential.username());
            let hash = user.map_or(&users.dummy, |user| &user.hash);
            let password = credential.password().clone();
            let fits = match self.pool.verify(Arc::clone(hash), password).await {
                Ok(fits) => fits,
                Err(_) => return Verdict::Busy,
            };
            match user {
                None => Verdict::Rejected(Rejection::UnknownUser),
                Some(_) if !fits => Verdict::Rejected(Rejection::WrongPassword),
                Some(user) if user.disabled => Verdict::Rejected(Rejection::Disabled),
                Some(user) => Verdict::Accepted(user.principal.clone()),
            }
        })
    }

    fn look_up(&self, username: &str) -> Option<Principal> {
        let users = self.users.load();
        let user = users.by_name.get(username)?;
        (!user.disabled).then(|| user.principal.clone())
    }

    fn visit_names(&self, visit: &mut dyn FnMut(&str)) {
        self.users.load().names().for_each(visit);
    }
}

fn load(path: &Path, rng: &Rng) -> Result<Users, UsersError> {
    use std::io::Read as _;
    let unreadable = |e: std::io::Error| {
        UsersError(format!(
            "{}: cannot read the users file: {e}",
            path.display()
        ))
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    warn_if_open_to_all(path, &file);
    let mut text = String::new();
    file.by_ref()
        .take(FILE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX {
        return Err(UsersError(format!(
            "{}: the users file is larger than {FILE_MAX} bytes",
            path.display()
        )));
    }
    Users::parse(&text, rng)
        .map_err(|UsersError(says)| UsersError(format!("{}: {says}", path.display())))
}

fn warn_if_open_to_all(path: &Path, file: &std::fs::File) {
    use std::os::unix::fs::PermissionsExt as _;
    let open = file
        .metadata()
        .is_ok_and(|m| m.permissions().mode() & 0o007 != 0);
    if open {
        tracing::warn!(
            path = %path.display(),
            "everybody on this machine can read the users file; set mode 0640"
        );
    }
}

fn parse(text: &str, rng: &Rng) -> Result<Users, Mistake> {
    let at = |line: usize, says: String| Mistake { line, says };
    let document: Document = toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| line_of(text, span.start));
        at(line, e.message().trim().to_owned())
    })?;
    let mut by_name = HashMap::with_capacity(document.user.len());
    let mut costs: HashMap<Cost, usize> = HashMap::new();
    for entry in document.user {
        let line = line_of(text, entry.name.span().start);
        let name = entry.name.into_inner();
        if Credential::new(&name, "x").map_or(true, |c| c.username() != name) {
            return Err(at(line, format!("{name:?} cannot be a user name")));
        }
        let password_line = line_of(text, entry.password.span().start);
        let hash = StoredHash::parse(entry.password.get_ref())
            .map_err(|e| at(password_line, format!("the password of {name} {e}")))?;
        *costs.entry(hash.cost()).or_default() += 1;
        let attributes = attributes(entry.attributes)
            .map_err(|says| at(line, format!("the attributes of {name}: {says}")))?;
        let user = User {
            principal: Principal {
                id: name.clone(),
                attributes,
            },
            hash: Arc::new(hash),
            disabled: entry.disabled,
        };
        if by_name.insert(name.clone(), user).is_some() {
            return Err(at(line, format!("the user {name} is given twice")));
        }
    }
    // Unknown users cost what most known ones cost.
    let usual = costs.into_iter().max_by_key(|(_, count)| *count);
    let cost = usual.map_or(DEFAULT_COST, |(cost, _)| cost);
    Ok(Users {
        by_name,
        dummy: Arc::new(StoredHash::dummy(cost, rng)),
    })
}

fn attributes(
    table: toml::map::Map<String, toml::Value>,
) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut out = Vec::with_capacity(table.len());
    let mut bytes = 0;
    for (name, value) in table {
        if name.is_empty() {
            return Err("a name is empty".into());
        }
        let values = match value {
            toml::Value::Array(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>(),
            one => scalar(&one).map(|text| vec![text]),
        };
        let values = values.ok_or_else(|| format!("{name} must be a text or a list of texts"))?;
        bytes += name.len() + values.iter().map(String::len).sum::<usize>();
        if bytes > ATTRIBUTES_MAX {
            return Err(format!("more than {ATTRIBUTES_MAX} bytes"));
        }
        out.push((name, values));
    }
    Ok(out)
}

fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::password::{hash, tests::CHEAP};

    fn file(extra: &str) -> String {
        let hashed = hash("good", CHEAP, &Rng::seeded(3)).unwrap();
        format!(
            "[[user]]\nname = \"mlee7\"\npassword = \"{hashed}\"\n\
             attributes = {{ mail = [\"a@b\", \"c@d\"], displayName = \"M. Lee\", uid = 7 }}\n\
             [[user]]\nname = \"gone\"\npassword = \"{hashed}\"\ndisabled = true\n{extra}"
        )
    }

    fn authenticator(text: &str) -> (tempfile::TempDir, FileAuthenticator) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        std::fs::write(&path, text).unwrap();
        let pool = Arc::new(HashPool::start(1, 8).unwrap());
        let opened = FileAuthenticator::open(path, pool, Rng::seeded(4)).unwrap();
        (dir, opened)
    }

    #[test]
    fn the_example_of_the_documents_is_read() {
        let page = include_str!("../../../docs/operating/install.md");
        let (_, example) = page.split_once("```toml\n[[user]]").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let users = Users::parse(&format!("[[user]]{example}"), &Rng::seeded(3)).unwrap();
        let (person, _) = users.get("mlee7").unwrap();
        assert_eq!(person.attributes.len(), 2);
        assert!(users.by_name["left"].disabled);
    }

    async fn ask(authenticator: &FileAuthenticator, name: &str, password: &str) -> Verdict {
        let credential = Credential::new(name, password).unwrap();
        authenticator.authenticate(&credential).await
    }

    #[tokio::test]
    async fn processor_time_of_hashes_is_counted_whoever_signs_in() {
        let (_dir, users) = authenticator(&file(""));
        let metrics = prometheus::Registry::new();
        let chain = crate::authn::Chain::new(vec![Arc::new(users)], &metrics).unwrap();
        let spent = || {
            let families = metrics.gather();
            let mut families = families.iter();
            let found = families.find(|one| one.name() == "castor_authn_hash_cpu_seconds_total");
            found.unwrap().get_metric()[0].get_counter().get_value()
        };
        let mut before = spent();
        assert!(before.abs() < f64::EPSILON);
        for name in ["mlee7", "nobody", "gone"] {
            let credential = Credential::new(name, "bad").unwrap();
            chain.authenticate(&credential).await;
            let after = spent();
            // A cheap hash takes tens of microseconds; nothing like what a thread waits.
            assert!(after > before && after - before < 1.0, "{name}: {after}");
            before = after;
        }
    }

    #[tokio::test]
    async fn users_are_told_apart_for_the_audit_only() {
        let (_dir, users) = authenticator(&file(""));
        let Verdict::Accepted(principal) = ask(&users, "mlee7", "good").await else {
            panic!("refused")
        };
        let get = |name: &str| {
            let found = principal.attributes.iter().find(|(n, _)| n == name);
            found.unwrap().1.clone()
        };
        assert_eq!(get("mail"), ["a@b", "c@d"]);
        assert_eq!(get("uid"), ["7"]);
        for (name, password, rejection) in [
            ("mlee7", "bad", Rejection::WrongPassword),
            ("nobody", "good", Rejection::UnknownUser),
            ("MLEE7", "good", Rejection::UnknownUser),
            ("gone", "good", Rejection::Disabled),
            ("gone", "bad", Rejection::WrongPassword),
        ] {
            let verdict = ask(&users, name, password).await;
            assert_eq!(verdict, Verdict::Rejected(rejection), "{name}");
        }
    }

    #[test]
    fn unknown_users_cost_what_known_ones_cost() {
        let users = Users::parse(&file(""), &Rng::seeded(1)).unwrap();
        assert_eq!(users.dummy.cost(), CHEAP);
        let empty = Users::parse("", &Rng::seeded(1)).unwrap();
        assert_eq!(empty.dummy.cost(), DEFAULT_COST);
    }

    #[tokio::test]
    async fn a_bad_file_is_named_and_the_last_good_one_stays() {
        let (_dir, users) = authenticator(&file(""));
        std::fs::write(users.path(), file("[[user]]\nname = 7\n")).unwrap();
        let error = users.reload().unwrap_err().to_string();
        assert!(error.contains("users.toml: line 10"), "{error}");
        assert!(matches!(
            ask(&users, "mlee7", "good").await,
            Verdict::Accepted(_)
        ));
        std::fs::write(users.path(), "").unwrap();
        assert_eq!(users.reload(), Ok(0));
        assert!(matches!(
            ask(&users, "mlee7", "good").await,
            Verdict::Rejected(_)
        ));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let hashed = hash("x", CHEAP, &Rng::seeded(3)).unwrap();
        for (extra, part) in [
            (
                "[[user]]\nname = \"a\"\npassword = \"plain\"".to_owned(),
                "line 11: the password of a",
            ),
            (
                format!("[[user]]\nname = \"mlee7\"\npassword = \"{hashed}\""),
                "line 10: the user mlee7",
            ),
            (
                format!("[[user]]\nname = \" a\"\npassword = \"{hashed}\""),
                "line 10: \" a\" cannot",
            ),
            (
                format!(
                    "[[user]]\nname = \"a\"\npassword = \"{hashed}\"\nattributes = {{ a = 1.5 }}"
                ),
                "line 10: the attributes of a: a must be",
            ),
            ("[[users]]".to_owned(), "unknown field"),
            (
                format!("[[user]]\nname = \"{hashed}\"\npassword = \"good\""),
                "a password hash stands",
            ),
            (
                format!("[[user]]\nname = \"a\"\npassword = \"x\"\ndisabled = \"{hashed}\""),
                "a password hash stands",
            ),
            (
                "[[user]]\nname = \"a\"".to_owned(),
                "missing field `password`",
            ),
        ] {
            let error = Users::parse(&file(&extra), &Rng::seeded(1)).unwrap_err();
            assert!(error.0.contains(part), "{extra}: {error}");
            assert!(
                !error.0.contains("argon2id$"),
                "no hash in a message: {error}"
            );
        }
    }
}
