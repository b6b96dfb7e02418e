//! Follows one file as it grows, also when it is renamed away and a new one takes its place.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::lines::LINE_MAX;

/// How far back the first lines are looked for, in bytes.
const LOOK_BACK: u64 = 1 << 20;
/// How often the file is looked at when the system tells of no change.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file and how far it was read.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    file: File,
    read: u64,
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    /// The line is too long; what is left of it is passed over.
    passing_over: bool,
}

impl Follower {
    /// Begins `lines` lines before the end.
    pub(super) fn open(path: &Path, lines: usize) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let back = length.saturating_sub(LOOK_BACK);
        file.seek(SeekFrom::Start(back))?;
        let mut tail = Vec::new();
        (&mut file).take(length - back).read_to_end(&mut tail)?;
        let start = back + start_of_last(&tail, lines, back > 0) as u64;
        file.seek(SeekFrom::Start(start))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            read: start,
            partial: Vec::new(),
            passing_over: false,
        })
    }

    /// Hands out every whole line that is new.
    pub(super) fn poll(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        // Asked first: what is written to the old file before the new one is there is not missed.
        let successor = self.successor()?;
        self.drain(take)?;
        if let Some(file) = successor {
            // The old file gets no more: its last line is as whole as it will be.
            if !self.partial.is_empty() {
                take(&std::mem::take(&mut self.partial))?;
            }
            self.begin(file);
            self.drain(take)?;
        }
        Ok(())
    }

    /// The file that has taken the place of this one, or this one when it was cut.
    fn successor(&self) -> io::Result<Option<File>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Between renaming and opening anew there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (ours, theirs) = (self.file.metadata()?, file.metadata()?);
        let same = (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino());
        Ok((!same || theirs.len() < self.read).then_some(file))
    }

    fn begin(&mut self, file: File) {
        self.file = file;
        self.read = 0;
        self.partial.clear();
        self.passing_over = false;
    }

    fn drain(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        loop {
            let count = match self.file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.read += count as u64;
            for part in piece
                .get(..count)
                .unwrap_or_default()
                .split_inclusive(|b| *b == b'\n')
            {
                self.part(part, take)?;
            }
        }
    }

    fn part(
        &mut self,
        part: &[u8],
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let ended = part.strip_suffix(b"\n");
        if !self.passing_over {
            self.partial.extend_from_slice(ended.unwrap_or(part));
            if self.partial.len() > LINE_MAX {
                self.partial.clear();
                self.passing_over = true;
            }
        }
        if ended.is_some() {
            let line = std::mem::take(&mut self.partial);
            if !std::mem::take(&mut self.passing_over) && !line.is_empty() {
                take(&line)?;
            }
        }
        Ok(())
    }
}

/// Where the last `lines` lines of `tail` begin; a line cut at its beginning is none.
fn start_of_last(tail: &[u8], lines: usize, cut: bool) -> usize {
    let whole = tail
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    if lines == 0 {
        return whole;
    }
    let ends = tail
        .iter()
        .enumerate()
        .take(whole)
        .filter(|(_, b)| **b == b'\n');
    let ends: Vec<usize> = ends.map(|(at, _)| at + 1).collect();
    // The line before the last `lines` ones ends where they begin.
    match ends.len().checked_sub(lines + 1) {
        Some(before) => ends.get(before).copied().unwrap_or(whole),
        None if cut => ends.first().copied().unwrap_or(whole),
        None => 0,
    }
}

/// Tells when something happens in the folder of a file.
pub(super) struct Changes {
    changed: Receiver<()>,
    /// Kept, so that the channel stays open when there is no watcher.
    _tell: SyncSender<()>,
    _watcher: Option<RecommendedWatcher>,
}

/// Watches the folder of `path`; without the system's help the file is looked at every second.
pub(super) fn changes_beside(path: &Path) -> Changes {
    let (tell, changed) = sync_channel(1);
    let sender = tell.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Opening the file to look at it is no change.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full: a look is due anyway.
            let _ = sender.try_send(());
        }
    });
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let watcher = watcher.ok().and_then(|mut watcher| {
        let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
        watched.is_ok().then_some(watcher)
    });
    Changes {
        changed,
        _tell: tell,
        _watcher: watcher,
    }
}

impl Changes {
    /// Waits for a change, a second at most.
    pub(super) fn wait(&self) {
        // Both outcomes mean: look again.
        let _ = self.changed.recv_timeout(LOOK_EVERY);
    }
}
