//! The files of the nodes: cluster keys and certificates, users, service definitions, configuration.
//!
//! Promises: what exists is kept (keys, certificates, edited definitions); configuration files are
//! written anew at every run, because arguments may have changed. Does not: start anything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use super::args::DemoArgs;
use super::state::{NodeState, State, USERNAME, make_folder, write_private, write_with_mode};
use super::web_ca::Identity;
use crate::authn::password;
use crate::clock::Rng;
use crate::config::{self, Sources, source::Origin};

/// Longest path of a Unix socket that every system takes.
const SOCKET_PATH_MAX: usize = 100;
/// Folder of a node's record of events.
const AUDIT_FOLDER: &str = "audit";
/// Header that nginx overwrites with its request id.
pub(super) const REQUEST_ID_HEADER: &str = "Castor-Request-Id";
/// Name of every demo's cluster; its authority tells two demos apart.
pub(super) const CLUSTER: &str = "castor-demo";
/// Name of the definition that covers applications on loopback.
const LOCAL_DEFINITION: &str = "Applications_on_this_machine-1.json";

/// Where everything of one node is.
#[derive(Debug, Clone)]
pub(super) struct NodeFiles {
    pub(super) state: NodeState,
    pub(super) folder: PathBuf,
    pub(super) config: PathBuf,
    pub(super) admin_socket: PathBuf,
    pub(super) log: PathBuf,
    /// HTTPS of the node itself.
    pub(super) tls: bool,
    /// Address of the node's own listener: loopback, but the front door's without nginx.
    pub(super) listen: IpAddr,
    /// Host in the node's own URL: a name in its certificate.
    pub(super) host: String,
}

impl NodeFiles {
    /// The place of `state` in `dir`.
    ///
    /// # Errors
    /// When the node's folder cannot be made.
    pub(super) fn new(dir: &Path, state: &NodeState, args: &DemoArgs) -> anyhow::Result<Self> {
        let folder = make_folder(&dir.join(&state.name))?;
        make_folder(&folder.join(AUDIT_FOLDER))?;
        Ok(Self {
            config: folder.join("castor.toml"),
            log: folder.join("castor.log"),
            admin_socket: socket_path(&folder)?,
            state: state.clone(),
            folder,
            tls: args.nodes_speak_tls(),
            listen: if args.no_nginx {
                args.listen
            } else {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            },
            host: if args.no_nginx {
                args.host_in_url()
            } else {
                "127.0.0.1".to_owned()
            },
        })
    }

    /// The node's own address, with the context path.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}/cas", self.host, self.state.http_port)
    }

    /// Address of the operations listener.
    pub(super) fn ops_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.state.ops_port)
    }

    fn pki(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }
}

/// `admin.sock` in the node's folder, or elsewhere when that path is too long for a socket.
fn socket_path(folder: &Path) -> anyhow::Result<PathBuf> {
    let socket = folder.join("admin.sock");
    if socket.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(socket);
    }
    let digest = blake3::hash(folder.as_os_str().as_encoded_bytes()).to_hex();
    let short = make_folder(&std::env::temp_dir().join(format!("castor-demo-{}", &digest[..16])))?;
    Ok(short.join("admin.sock"))
}

/// Writes the users file: the demo's user, and those of `--users`.
///
/// # Errors
/// When a file cannot be read, used or written.
pub(super) fn users(dir: &Path, state: &State, args: &DemoArgs, rng: &Rng) -> anyhow::Result<()> {
    let hash = password::hash(&state.password, password::DEFAULT_COST, rng)?;
    let mut text = format!(
        "# Written by castor demo at every start; changes are lost. Give others with --users.\n\
         [[user]]\nname = \"{USERNAME}\"\npassword = \"{hash}\"\n\
         [user.attributes]\ndisplayName = [\"Casey User\"]\ngivenName = [\"Casey\"]\n\
         sn = [\"User\"]\nmail = [\"casuser@example.org\"]\n\
         eduPersonAffiliation = [\"member\", \"staff\"]\nmemberOf = [\"library\", \"demo\"]\n"
    );
    if let Some(file) = &args.users {
        let others =
            std::fs::read_to_string(file).with_context(|| format!("--users {}", file.display()))?;
        let table: Table =
            toml::from_str(&others).with_context(|| format!("--users {}", file.display()))?;
        let names = table
            .get("user")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        if names
            .filter_map(|user| user.get("name"))
            .any(|name| name.as_str() == Some(USERNAME))
        {
            bail!(
                "--users {}: leave out {USERNAME}, which the demo adds itself",
                file.display()
            );
        }
        text.push('\n');
        text.push_str(&others);
    }
    write_private(&dir.join("users.toml"), text.as_bytes())
}

/// Fills `DIR/services`: the definition for loopback, and copies of those of `--services`. Beyond
/// loopback nothing else may be there.
///
/// # Errors
/// When a folder cannot be read or written, or has definitions that must not count.
pub(super) fn services(dir: &Path, args: &DemoArgs) -> anyhow::Result<()> {
    let folder = make_folder(&dir.join("services"))?;
    let local = folder.join(LOCAL_DEFINITION);
    if !args.is_local() {
        // An application on the visitor's own machine must not get tickets from a public door.
        if local.exists() {
            std::fs::remove_file(&local)
                .with_context(|| format!("cannot remove {}", local.display()))?;
        }
    } else if !local.exists() {
        write_with_mode(&local, LOCAL_SERVICE.as_bytes(), 0o644)?;
    }
    let given = given_definitions(args)?;
    if !args.is_local() {
        refuse_others(&folder, &given)?;
    }
    for path in given {
        if let Some(name) = path.file_name() {
            let bytes =
                std::fs::read(&path).with_context(|| format!("--services {}", path.display()))?;
            write_with_mode(&folder.join(name), &bytes, 0o644)?;
        }
    }
    Ok(())
}

/// The definitions in the folder of `--services`.
fn given_definitions(args: &DemoArgs) -> anyhow::Result<Vec<PathBuf>> {
    let Some(from) = &args.services else {
        return Ok(Vec::new());
    };
    let says = || format!("--services {}", from.display());
    let mut given = Vec::new();
    for entry in std::fs::read_dir(from).with_context(says)? {
        let path = entry.with_context(says)?.path();
        if is_definition(&path) {
            given.push(path);
        }
    }
    Ok(given)
}

fn is_definition(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// What an earlier run or somebody left in `folder` must not count behind a public door, and is
/// not the demo's to remove.
fn refuse_others(folder: &Path, given: &[PathBuf]) -> anyhow::Result<()> {
    let expected: Vec<PathBuf> = given
        .iter()
        .filter_map(|path| Some(folder.join(path.file_name()?)))
        .collect();
    let mut others = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                // A link could lead back here.
                if path.is_symlink() {
                    others.push(path);
                } else {
                    folders.push(path);
                }
            } else if is_definition(&path) && !expected.contains(&path) {
                others.push(path);
            }
        }
    }
    if others.is_empty() {
        return Ok(());
    }
    others.sort();
    let names: Vec<String> = others
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    bail!(
        "--listen beyond loopback takes definitions from --services only, and these are not \
         among them: {}; remove them, or give another --dir",
        names.join(", ")
    )
}

/// Any application on this machine, by name or address, with a few attributes.
const LOCAL_SERVICE: &str =
    include_str!("../../../demo/services/Applications_on_this_machine-1.json");

/// Writes one node's configuration.
///
/// # Errors
/// When `--set` does not fit, or the file cannot be written.
pub(super) fn configuration(
    dir: &Path,
    node: &NodeFiles,
    all: &[NodeFiles],
    identity: Option<&Identity>,
    args: &DemoArgs,
) -> anyhow::Result<()> {
    let mut table = base_table(dir, node, all, identity);
    let write = |table: &Table| {
        let text = format!(
            "# Written by castor demo at every start; changes are lost. Use castor demo --set.\n\n{}",
            toml::to_string_pretty(table)?
        );
        write_private(&node.config, text.as_bytes())
    };
    write(&table)?;
    // The environment of the demo is not the nodes': they are started without it.
    let sources = Sources {
        file: Some(node.config.clone()),
        env: Vec::new(),
        set: args.set.clone(),
    };
    let loaded = config::load(&sources)?;
    let set = loaded
        .resolved
        .iter()
        .filter(|resolved| resolved.origin == Origin::Set);
    let mut changed = false;
    for resolved in set {
        if let Some(value) = &resolved.value {
            put(&mut table, &resolved.key, value.clone());
            changed = true;
        }
    }
    if changed { write(&table) } else { Ok(()) }
}

fn base_table(
    dir: &Path,
    node: &NodeFiles,
    all: &[NodeFiles],
    identity: Option<&Identity>,
) -> Table {
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port).to_string();
    let path = |path: PathBuf| Value::String(path.to_string_lossy().into_owned());
    let text = |text: &str| Value::String(text.to_owned());
    let list = |items: Vec<String>| Value::Array(items.into_iter().map(Value::String).collect());
    let seeds = all
        .iter()
        .map(|node| loopback(node.state.cluster_port))
        .collect();
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| put(&mut table, key, value);
    set("node.name", text(&node.state.name));
    set("node.demo_folder", path(dir.to_owned()));
    let listen = SocketAddr::new(node.listen, node.state.http_port);
    set("http.listen", Value::String(listen.to_string()));
    set(
        "http.trusted_proxies",
        list(vec!["127.0.0.1".into(), "::1".into()]),
    );
    set("http.request_id_header", text(REQUEST_ID_HEADER));
    if let Some(identity) = identity {
        set("http.tls.certificate", path(identity.certificate.clone()));
        set("http.tls.key", path(identity.key.clone()));
    }
    set("ops.listen", Value::String(loopback(node.state.ops_port)));
    set("ops.admin_socket", path(node.admin_socket.clone()));
    set("cluster.name", text(CLUSTER));
    set(
        "cluster.listen",
        Value::String(loopback(node.state.cluster_port)),
    );
    set("cluster.seeds", list(seeds));
    set("cluster.ca_file", path(dir.join("pki/ca.pem")));
    set("cluster.certificate", path(node.pki("node.pem")));
    set("cluster.key", path(node.pki("node.key")));
    set("cluster.keyring_file", path(dir.join("pki/keyring")));
    set("authn.file.path", path(dir.join("users.toml")));
    set("services.folder", path(dir.join("services")));
    set("audit.output", text("file"));
    // Not beside the files that are watched: every line written would wake the watcher.
    set(
        "audit.file",
        path(node.folder.join(AUDIT_FOLDER).join("audit.log")),
    );
    // The nodes of a demo share one machine; more threads than processors only take turns.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (processors / all.len().max(1)).max(1);
    let threads = Value::Integer(i64::try_from(threads).unwrap_or(1));
    set("authn.password.threads", threads.clone());
    set("node.threads", threads);
    table
}

/// Sets a dotted key.
fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::clock::Clock;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        demo: DemoArgs,
    }

    struct Demo {
        dir: tempfile::TempDir,
        args: DemoArgs,
        nodes: Vec<NodeFiles>,
    }

    impl Demo {
        fn new(arguments: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let args = Program::parse_from(std::iter::once(&"demo").chain(arguments)).demo;
            args.check().unwrap();
            let local = args.is_local();
            let state =
                State::load_or_create(dir.path(), args.nodes, local, &Rng::seeded(1)).unwrap();
            let nodes = state.nodes.iter();
            let nodes = nodes
                .map(|node| NodeFiles::new(dir.path(), node, &args).unwrap())
                .collect();
            Self { dir, args, nodes }
        }

        fn configure(&self) -> anyhow::Result<Vec<config::Config>> {
            let dir = self.dir.path();
            let mut all = Vec::new();
            for node in &self.nodes {
                configuration(dir, node, &self.nodes, None, &self.args)?;
                let file = Some(node.config.clone());
                all.push(
                    config::load(&Sources {
                        file,
                        ..Sources::default()
                    })?
                    .config,
                );
            }
            Ok(all)
        }
    }

    #[test]
    fn nodes_are_configured_apart_from_their_names_alike() {
        let demo = Demo::new(&[
            "--set",
            "tickets.tgt.idle=5m",
            "--set",
            "ops.allow=10.0.0.0/8",
        ]);
        let configs = demo.configure().unwrap();
        assert_eq!(configs.len(), 3);
        for (config, node) in configs.iter().zip(&demo.nodes) {
            assert_eq!(
                config.node.resolved_name().unwrap().as_str(),
                node.state.name
            );
            assert_eq!(config.cluster.seeds.len(), 3);
            assert_eq!(config.tickets.tgt.idle.0.as_secs(), 300);
            assert_eq!(config.ops.allow.len(), 1);
            assert_eq!(config.services.folder, demo.dir.path().join("services"));
            let trusted = |ip: &str| {
                let ip = ip.parse().unwrap();
                config
                    .http
                    .trusted_proxies
                    .iter()
                    .any(|cidr| cidr.contains(ip))
            };
            assert!(trusted("127.0.0.1") && trusted("::1") && !trusted("127.0.0.2"));
        }
        let error = Demo::new(&["--set", "tickets.tgt.idel=5m"])
            .configure()
            .unwrap_err();
        assert!(error.to_string().contains("tickets.tgt.idle"), "{error}");
    }

    #[test]
    fn keys_certificates_and_edits_are_kept() {
        let demo = Demo::new(&[]);
        let dir = demo.dir.path();
        let make = || {
            super::super::secrets::make(dir, &demo.nodes, &Clock::system(), &Rng::system())
                .unwrap();
            services(dir, &demo.args).unwrap();
            let read = |path: PathBuf| std::fs::read(path).unwrap();
            [
                read(dir.join("pki/ca.pem")),
                read(dir.join("pki/keyring")),
                read(dir.join("node1/node.pem")),
                read(dir.join("services").join(LOCAL_DEFINITION)),
            ]
        };
        let first = make();
        let local = dir.join("services").join(LOCAL_DEFINITION);
        std::fs::write(&local, b"edited").unwrap();
        let second = make();
        assert_eq!(first[..3], second[..3]);
        assert_eq!(second[3], b"edited");
    }

    #[test]
    fn the_definition_covers_loopback_and_nothing_else() {
        let definition: serde_json::Value = serde_json::from_str(LOCAL_SERVICE).unwrap();
        let pattern = regex::Regex::new(definition["serviceId"].as_str().unwrap()).unwrap();
        for url in [
            "http://127.0.0.1:8481/",
            "https://localhost/app?x=1",
            "http://localhost",
            "http://[::1]:8080/a",
        ] {
            assert!(pattern.is_match(url), "{url}");
        }
        for url in [
            "http://localhost.example.org/",
            "http://127.0.0.1.example.org/",
            "http://127.0.0.1@example.org/",
            "http://localhost:80@example.org/",
            "ftp://localhost/",
            "xhttp://localhost/",
        ] {
            assert!(!pattern.is_match(url), "{url}");
        }
    }

    #[test]
    fn beyond_loopback_only_given_definitions_remain() {
        let given = tempfile::tempdir().unwrap();
        std::fs::write(given.path().join("App-7.json"), "{}").unwrap();
        std::fs::write(given.path().join("notes.txt"), "").unwrap();
        let folder = given.path().display().to_string();
        let open = Demo::new(&["--listen", "0.0.0.0", "--host", "x", "--services", &folder]);
        let dir = open.dir.path();
        services(dir, &Demo::new(&[]).args).unwrap();
        assert!(dir.join("services").join(LOCAL_DEFINITION).exists());
        services(dir, &open.args).unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.join("services"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["App-7.json"]);
    }

    #[test]
    fn beyond_loopback_other_definitions_are_refused_by_name() {
        let given = tempfile::tempdir().unwrap();
        std::fs::write(given.path().join("App-7.json"), "{}").unwrap();
        let folder = given.path().display().to_string();
        let open = Demo::new(&["--listen", "0.0.0.0", "--host", "x", "--services", &folder]);
        let made = open.dir.path().join("services");
        services(open.dir.path(), &open.args).unwrap();
        for earlier in ["Old-1.json", "below/Old-2.json"] {
            let earlier = made.join(earlier);
            std::fs::create_dir_all(earlier.parent().unwrap()).unwrap();
            std::fs::write(&earlier, "{}").unwrap();
            let says = services(open.dir.path(), &open.args).unwrap_err();
            let says = format!("{says:#}");
            assert!(says.contains(&earlier.display().to_string()), "{says}");
            assert!(!says.contains("App-7"), "{says}");
            std::fs::remove_file(earlier).unwrap();
        }
        services(open.dir.path(), &open.args).unwrap();
        // Copied by the run before, and no longer given.
        std::fs::remove_file(given.path().join("App-7.json")).unwrap();
        assert!(services(open.dir.path(), &open.args).is_err());
    }

    #[test]
    fn users_are_the_demos_and_those_given() {
        let demo = Demo::new(&[]);
        let dir = demo.dir.path();
        let state = State::load_or_create(dir, None, true, &Rng::seeded(1)).unwrap();
        let others = dir.join("others.toml");
        let entry = |name: &str| format!("[[user]]\nname = \"{name}\"\npassword = \"x\"\n");
        let with = |text: String| {
            std::fs::write(&others, text).unwrap();
            let args = DemoArgs {
                users: Some(others.clone()),
                ..demo.args.clone()
            };
            users(dir, &state, &args, &Rng::seeded(2))
        };
        with(entry("ada")).unwrap();
        let text = std::fs::read_to_string(dir.join("users.toml")).unwrap();
        let table: Table = toml::from_str(&text).unwrap();
        let names: Vec<_> = table["user"]
            .as_array()
            .unwrap()
            .iter()
            .map(|u| &u["name"])
            .collect();
        assert_eq!(names.len(), 2);
        assert!(
            !text.contains(&state.password),
            "the password itself is in the file"
        );
        let error = with(entry(USERNAME)).unwrap_err().to_string();
        assert!(error.contains("leave out casuser"), "{error}");
    }
}
