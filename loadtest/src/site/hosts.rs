//! The hosts: network namespaces with one TAP device each, joined by the switch.
//!
//! Promises: names are `castor-lab-PID-HOST`; they are removed when this is dropped, and those of
//! processes that do not exist any more before the next ones are made. Without root or
//! `/dev/net/tun` it fails before it makes anything.
//! Does not: run anything in them.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tappers::{Interface, Tap};

use super::leftovers;
use super::switch::Switch;
use crate::progress::say;

/// Beginning of the names of all that is made.
pub(super) const PREFIX: &str = "castor-lab-";
/// Port of the load generator's host.
pub const CLIENT: usize = 0;
/// Port of nginx's host.
pub const FRONT: usize = 1;
/// Port of the first node's host.
pub const FIRST_NODE: usize = 2;

/// The hosts and what joins them.
pub struct Hosts {
    names: Vec<String>,
    switch: Option<Switch>,
}

/// Address of the host at `port`, the same in every site: nobody outside sees it.
pub fn address(port: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(port + 1).unwrap_or(u8::MAX))
}

impl Hosts {
    /// Makes hosts for the load generator, nginx and `nodes` nodes.
    ///
    /// # Errors
    /// Without root, `/dev/net/tun` or the program `ip`, and when the kernel refuses.
    pub fn make(nodes: usize, seed: u64) -> anyhow::Result<Self> {
        needs()?;
        leftovers::remove()?;
        let process = std::process::id();
        let mut hosts = Self {
            names: Vec::new(),
            switch: None,
        };
        let mut taps = Vec::new();
        for port in 0..FIRST_NODE + nodes {
            let name = match port {
                CLIENT => format!("{PREFIX}{process}-client"),
                FRONT => format!("{PREFIX}{process}-front"),
                node => format!("{PREFIX}{process}-node{}", node + 1 - FIRST_NODE),
            };
            ip(&["netns", "add", &name])?;
            hosts.names.push(name.clone());
            taps.push(tap_in(&name)?);
            let mac = format!("02:00:00:00:00:{port:02x}");
            let address = format!("{}/24", address(port));
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
            ip(&["-n", &name, "link", "set", "eth0", "address", &mac])?;
            ip(&["-n", &name, "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        }
        hosts.switch = Some(Switch::start(taps, seed)?);
        Ok(hosts)
    }

    /// Name of the namespace at `port`.
    pub fn name(&self, port: usize) -> &str {
        self.names.get(port).map_or("", String::as_str)
    }

    /// The switch between them.
    ///
    /// # Errors
    /// Never after [`Hosts::make`].
    pub fn switch(&self) -> anyhow::Result<&Switch> {
        self.switch.as_ref().context("the switch does not run")
    }

    /// Moves this thread, and those that it starts from now on, into the load generator's host.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter(&self) -> anyhow::Result<()> {
        enter(self.name(CLIENT))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // The devices end with the switch, and nobody is left in the namespaces.
        self.switch = None;
        for name in &self.names {
            if let Err(error) = ip(&["netns", "del", name]) {
                say(&format!("{error:#}"));
            }
        }
    }
}

fn needs() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces need root: run this as root, in a virtual machine if you like");
    }
    File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context("/dev/net/tun, which the hosts' network devices need, cannot be opened")?;
    let tried = Command::new("ip").arg("-V").output();
    tried.context("the program ip is missing: install it (Debian: apt-get install iproute2)")?;
    Ok(())
}

/// Runs `ip`.
pub(super) fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("cannot run ip")?;
    if output.status.success() {
        return Ok(());
    }
    let says = String::from_utf8_lossy(&output.stderr);
    bail!("ip {}: {}", arguments.join(" "), says.trim());
}

fn enter(name: &str) -> anyhow::Result<()> {
    let file = Path::new("/run/netns").join(name);
    let file = File::open(&file).with_context(|| format!("cannot open {}", file.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter the namespace {name}"))
}

/// A device `eth0` in the namespace `name`, ours to read and write.
fn tap_in(name: &str) -> anyhow::Result<Tap> {
    let inside = name.to_owned();
    // A thread of its own: a device belongs to the namespace of the thread that makes it.
    let made = std::thread::spawn(move || -> anyhow::Result<Tap> {
        enter(&inside)?;
        let mut tap = Tap::new_named(Interface::new("eth0")?)?;
        tap.set_nonblocking(true)?;
        Ok(tap)
    });
    match made.join() {
        Ok(tap) => tap.with_context(|| format!("cannot make a TAP device in {name}")),
        Err(_) => bail!("cannot make a TAP device in {name}"),
    }
}
