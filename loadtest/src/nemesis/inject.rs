//! The faults themselves.
//!
//! Promises: each undoes what it did; when it returns, all members run and are ready again.
//! Does not: judge.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use super::ready::Watch;
use super::{Nemesis, Plan};
use crate::clock;
use crate::site::Site;
use crate::site::cluster::READY_WITHIN;
use crate::site::switch::Link;

/// How long a node may take to drain and end.
const DRAIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(5);
const FLAP: Duration = Duration::from_secs(1);
/// Enough to start with, too little to serve with.
const MEMORY_BYTES: u64 = 24 << 20;
/// Fewer files than a node has open.
const FILES: u64 = 16;
const HOUR: &str = "3600";
/// Library that shifts a process's clock, as Debian installs it.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// Node that is broken: not the first, which seeds and front name first.
pub(super) const VICTIM: usize = 1;

/// The other one, where two are broken.
pub(super) fn second_victim(nodes: usize) -> usize {
    (nodes - 1).max(VICTIM + 1)
}

/// The smaller part of a split.
pub(super) fn minority(nodes: usize) -> std::ops::Range<usize> {
    nodes / 2 + 1..nodes
}

/// A fault at work.
pub(super) struct Injection<'a, 'b> {
    pub(super) site: &'a mut Site<'b>,
    pub(super) watch: &'a Watch,
    pub(super) plan: &'a Plan,
}

/// What a fault needs before the nodes are started.
pub(super) fn prepare(nemesis: Nemesis, site: &mut Site<'_>) -> anyhow::Result<()> {
    match nemesis {
        Nemesis::ClockAhead | Nemesis::ClockBehind => {
            if !std::path::Path::new(FAKETIME).exists() {
                bail!("{FAKETIME} is missing: install it (Debian: apt-get install faketime)");
            }
            let file = site.audit_folder(VICTIM).with_file_name("clock");
            std::fs::write(&file, "+0\n")?;
            let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            site.node(VICTIM)?.environment = vec![
                own("LD_PRELOAD", FAKETIME),
                own("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()),
                own("FAKETIME_NO_CACHE", "1"),
                own("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ];
            Ok(())
        }
        _ => Ok(()),
    }
}

impl Injection<'_, '_> {
    /// Does it, waits, and undoes it.
    pub(super) async fn inject(&mut self, nemesis: Nemesis) -> anyhow::Result<()> {
        let before = self.site.switch()?.counts().lost.load(Ordering::Relaxed);
        self.break_and_mend(nemesis).await?;
        let after = self.site.switch()?.counts().lost.load(Ordering::Relaxed);
        if nemesis.breaks_network() && after == before {
            bail!("the switch lost no frame: nothing was tested");
        }
        Ok(())
    }

    async fn break_and_mend(&mut self, nemesis: Nemesis) -> anyhow::Result<()> {
        match nemesis {
            Nemesis::KillOne => self.kill(&[VICTIM]).await,
            Nemesis::KillTwo => self.kill(&[VICTIM, second_victim(self.plan.nodes)]).await,
            Nemesis::RollingRestart => self.rolling_restart().await,
            Nemesis::Pause => self.pause().await,
            Nemesis::Isolate => self.isolate().await,
            Nemesis::OneWay => self.one_way().await,
            Nemesis::Split => self.split().await,
            Nemesis::SlowLossy => self.slow_lossy().await,
            Nemesis::Flap => self.flap().await,
            Nemesis::StartTogether => self.start_together().await,
            Nemesis::ClockAhead => self.clock("+").await,
            Nemesis::ClockBehind => self.clock("-").await,
            Nemesis::FdLimit => self.fd_limit().await,
            Nemesis::MemoryLimit => self.memory_limit().await,
            Nemesis::DiskFull => self.disk_full().await,
            Nemesis::AddRemove => self.add_remove().await,
        }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.plan.nodes).collect()
    }

    fn all_but(&self, gone: &[usize]) -> Vec<usize> {
        let stays = |index: &usize| !gone.contains(index);
        self.all().into_iter().filter(stays).collect()
    }

    async fn wait(&self) {
        clock::pause(self.plan.duration).await;
    }

    async fn start_and_wait(&mut self, nodes: &[usize]) -> anyhow::Result<()> {
        for index in nodes {
            self.site.start(*index)?;
        }
        for index in nodes {
            self.site.until_ready(*index, READY_WITHIN).await?;
        }
        Ok(())
    }

    async fn kill(&mut self, victims: &[usize]) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(victims)]);
        for index in victims {
            self.site.process(*index)?.signal(Signal::KILL)?;
        }
        for index in victims {
            self.site.process(*index)?.ended(DRAIN).await?;
        }
        self.wait().await;
        self.start_and_wait(victims).await
    }

    async fn rolling_restart(&mut self) -> anyhow::Result<()> {
        for index in self.all() {
            self.watch.expect(&[self.all_but(&[index])]);
            self.site.process(index)?.signal(Signal::TERM)?;
            let status = self.site.process(index)?.ended(DRAIN).await?;
            if !status.success() {
                bail!("a drained node ended with {status}");
            }
            self.start_and_wait(&[index]).await?;
        }
        Ok(())
    }

    async fn pause(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        self.site.process(VICTIM)?.signal(Signal::STOP)?;
        clock::pause(PAUSE).await;
        self.site.process(VICTIM)?.signal(Signal::CONT)?;
        self.site.until_ready(VICTIM, READY_WITHIN).await?;
        clock::pause(self.plan.duration.saturating_sub(PAUSE)).await;
        Ok(())
    }

    /// Cuts both ways between these nodes and the others, and nginx when `front` says so.
    fn cut(&self, nodes: &[usize], front: bool, cut: bool) -> anyhow::Result<()> {
        let ours = Site::ports(nodes);
        let mut others = Site::ports(&self.all_but(nodes));
        if front {
            others.push(Site::FRONT);
        }
        let switch = self.site.switch()?;
        switch.change(&ours, &others, |link| link.cut = cut);
        switch.change(&others, &ours, |link| link.cut = cut);
        Ok(())
    }

    async fn isolate(&mut self) -> anyhow::Result<()> {
        // The load generator still reaches the lonely node.
        self.watch.expect(&[self.all_but(&[VICTIM]), vec![VICTIM]]);
        self.cut(&[VICTIM], true, true)?;
        self.wait().await;
        self.cut(&[VICTIM], true, false)
    }

    async fn one_way(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        let others = Site::ports(&self.all_but(&[VICTIM]));
        let ours = Site::ports(&[VICTIM]);
        self.site
            .switch()?
            .change(&ours, &others, |link| link.cut = true);
        self.wait().await;
        self.site
            .switch()?
            .change(&ours, &others, |link| link.cut = false);
        Ok(())
    }

    async fn split(&mut self) -> anyhow::Result<()> {
        let minority: Vec<usize> = minority(self.plan.nodes).collect();
        self.watch
            .expect(&[self.all_but(&minority), minority.clone()]);
        self.cut(&minority, false, true)?;
        self.wait().await;
        self.cut(&minority, false, false)
    }

    async fn slow_lossy(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all()]);
        let mut ports = Site::ports(&self.all());
        ports.push(Site::FRONT);
        let slow = |link: &mut Link| {
            link.delay = Duration::from_millis(100);
            link.jitter = Duration::from_millis(10);
            link.loss = 50;
        };
        self.site.switch()?.change(&ports, &ports, slow);
        self.wait().await;
        self.site.switch()?.heal();
        Ok(())
    }

    async fn flap(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        let end = clock::monotonic() + self.plan.duration;
        while clock::monotonic() < end {
            self.cut(&[VICTIM], false, true)?;
            clock::pause(FLAP).await;
            self.cut(&[VICTIM], false, false)?;
            clock::pause(FLAP).await;
        }
        Ok(())
    }

    /// Everything in memory is lost each time; that is what volatile means.
    async fn start_together(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[]);
        for time in 1..=self.plan.starts {
            for index in self.all() {
                self.site.process(index)?.signal(Signal::KILL)?;
            }
            for index in self.all() {
                self.site.process(index)?.ended(DRAIN).await?;
            }
            self.start_and_wait(&self.all())
                .await
                .with_context(|| format!("start {time}"))?;
            super::run::until_converged(self.site, &self.all())
                .await
                .with_context(|| format!("start {time} of all nodes at once"))?;
        }
        Ok(())
    }

    async fn clock(&mut self, sign: &str) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        let file = self.site.audit_folder(VICTIM).with_file_name("clock");
        std::fs::write(&file, format!("{sign}{HOUR}\n"))?;
        self.wait().await;
        let log = std::fs::read_to_string(self.site.process(VICTIM)?.log())?;
        if !log.contains("the wall clock was stepped") {
            bail!("the node did not notice its clock: nothing was tested");
        }
        std::fs::write(&file, "+0\n")?;
        self.site.until_ready(VICTIM, READY_WITHIN).await?;
        Ok(())
    }

    async fn fd_limit(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        let pid = self.site.process(VICTIM)?.raw_pid()?;
        let tight = Rlimit {
            current: Some(FILES),
            maximum: hard_limit(pid)?,
        };
        let before = prlimit(Some(pid), Resource::Nofile, tight).context("prlimit")?;
        self.wait().await;
        if self.site.takes_connections(VICTIM).await? {
            bail!("{FILES} files were enough for a new connection: nothing was tested");
        }
        let pid = self.site.process(VICTIM)?.raw_pid()?;
        prlimit(Some(pid), Resource::Nofile, before).context("prlimit")?;
        self.site.until_ready(VICTIM, READY_WITHIN).await?;
        Ok(())
    }

    /// Started again with too little memory, the node is killed by the kernel; then it gets enough.
    async fn memory_limit(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all_but(&[VICTIM])]);
        self.site.process(VICTIM)?.signal(Signal::KILL)?;
        self.site.process(VICTIM)?.ended(DRAIN).await?;
        self.site.limit_memory(VICTIM, MEMORY_BYTES)?;
        let end = clock::monotonic() + self.plan.duration;
        let mut killed = 0_u32;
        while clock::monotonic() < end {
            self.site.start(VICTIM)?;
            let left = end.saturating_duration_since(clock::monotonic());
            let process = self.site.process(VICTIM)?;
            if let Ok(status) = process.ended(left.max(Duration::from_secs(1))).await {
                killed += u32::from(!status.success());
            }
        }
        if killed == 0 {
            bail!("{MEMORY_BYTES} bytes of memory were enough: nothing was tested");
        }
        self.site.process(VICTIM)?.kill().await?;
        self.site.node(VICTIM)?.group = None;
        self.start_and_wait(&[VICTIM]).await
    }

    async fn disk_full(&mut self) -> anyhow::Result<()> {
        self.watch.expect(&[self.all()]);
        let path = self.site.audit_folder(VICTIM).join("full");
        let mut file = std::fs::File::create(&path)?;
        let chunk = vec![0_u8; 4096];
        while file.write_all(&chunk).is_ok() {}
        drop(file);
        self.wait().await;
        std::fs::remove_file(&path)?;
        Ok(())
    }

    async fn add_remove(&mut self) -> anyhow::Result<()> {
        let new = self.plan.nodes;
        self.watch.expect(&[self.all()]);
        self.start_and_wait(&[new]).await?;
        let mut members = self.all();
        members.push(new);
        self.site.front(&members)?;
        self.wait().await;
        let stays: Vec<usize> = members
            .into_iter()
            .filter(|index| *index != VICTIM)
            .collect();
        self.watch.expect(std::slice::from_ref(&stays));
        self.site.process(VICTIM)?.signal(Signal::TERM)?;
        self.site.process(VICTIM)?.ended(DRAIN).await?;
        self.site.front(&stays)?;
        self.wait().await;
        // As it was, so that all is judged alike.
        self.start_and_wait(&[VICTIM]).await?;
        self.site.front(&self.all())?;
        self.site.process(new)?.signal(Signal::TERM)?;
        self.site.process(new)?.ended(DRAIN).await?;
        Ok(())
    }
}

/// The hard limit of open files, from `/proc`, where the soft one stands before it.
fn hard_limit(pid: Pid) -> anyhow::Result<Option<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    match hard.context("/proc/PID/limits has no line \"Max open files\"")? {
        "unlimited" => Ok(None),
        number => Ok(Some(number.parse()?)),
    }
}
