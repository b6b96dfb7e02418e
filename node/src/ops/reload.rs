//! Taking changed files without a restart: by SIGHUP, or when a watched file changes.
//!
//! Each thing that can be reloaded is registered with the files it is made of. A reload tries all of
//! them; what is refused stays as it was, is logged with its file and line, and sets
//! `castor_config_reload_success` to 0 until a reload takes everything. It does not know what the
//! things are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::metrics::Metrics;

/// After a change, further ones are waited for this long: editors and package managers write in
/// several steps.
const SETTLE: Duration = Duration::from_millis(300);

type Take = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

struct Item {
    name: &'static str,
    take: Take,
}

/// Everything that can be reloaded.
pub struct Reloader {
    items: Vec<Item>,
    watched: BTreeSet<PathBuf>,
    metrics: Metrics,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.items.iter().map(|item| item.name).collect();
        f.debug_struct("Reloader").field("items", &names).finish()
    }
}

impl Reloader {
    /// Nothing yet.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            items: Vec::new(),
            watched: BTreeSet::new(),
            metrics: metrics.clone(),
        }
    }

    /// Reloads `name` with `take` when one of `paths`, files or folders, changes. `take` may block;
    /// its error is one line that names file, line and remedy.
    pub fn add(
        &mut self,
        name: &'static str,
        paths: impl IntoIterator<Item = PathBuf>,
        take: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.watched.extend(paths);
        self.items.push(Item {
            name,
            take: Box::new(take),
        });
    }

    /// Reloads everything; blocks while files are read. Returns whether all was taken.
    pub fn reload(&self) -> bool {
        let mut refused = 0;
        for item in &self.items {
            if let Err(says) = (item.take)() {
                refused += 1;
                tracing::error!(what = item.name, "refused, the old one stays: {says}");
            }
        }
        self.metrics.reload_success.set(i64::from(refused == 0));
        if refused == 0 {
            tracing::info!("reloaded");
        }
        refused == 0
    }

    /// Watches the files; the channel gets a message once changes have settled.
    ///
    /// # Errors
    ///
    /// When the system does not allow to watch; SIGHUP still works then.
    pub fn watch(&self) -> notify::Result<(Watch, mpsc::Receiver<()>)> {
        let (raw_sender, mut raw) = mpsc::channel(1);
        let places = self.places();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<_>| {
            if event.is_ok_and(|event| concerns(&event, &places)) {
                // One message is enough: whoever reads it looks at everything.
                let _ = raw_sender.try_send(());
            }
        })?;
        for (folder, mode) in self.folders() {
            if let Err(error) = watcher.watch(&folder, mode) {
                tracing::warn!(folder = %folder.display(), %error, "changes here are taken by SIGHUP only");
            }
        }
        let (sender, settled) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while raw.recv().await.is_some() {
                while tokio::time::timeout(SETTLE, raw.recv())
                    .await
                    .is_ok_and(|more| more.is_some())
                {}
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
        Ok((
            Watch {
                _watcher: watcher,
                task,
            },
            settled,
        ))
    }

    /// The watched files and folders, and where links lead, as they are now. Looked up once: a
    /// folder may have a busy neighbour, such as a record that grows.
    fn places(&self) -> BTreeSet<PathBuf> {
        let real = self
            .watched
            .iter()
            .filter_map(|path| path.canonicalize().ok());
        self.watched.iter().cloned().chain(real).collect()
    }

    /// Folders to watch: a file is watched through its folder, because it is often replaced by
    /// renaming, and a folder through itself with all that is below it.
    fn folders(&self) -> BTreeMap<PathBuf, RecursiveMode> {
        let mut folders = BTreeMap::new();
        for place in self.places() {
            if place.is_dir() {
                folders.insert(place, RecursiveMode::Recursive);
            } else if let Some(parent) = place.parent() {
                let parent = match parent.as_os_str().is_empty() {
                    true => PathBuf::from("."),
                    false => parent.to_owned(),
                };
                // A folder that is watched for its own sake stays so.
                folders.entry(parent).or_insert(RecursiveMode::NonRecursive);
            }
        }
        folders
    }
}

/// Watches until it is dropped.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
    task: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn concerns(event: &notify::Event, places: &BTreeSet<PathBuf>) -> bool {
    use notify::EventKind;
    // Reading a file must not cause it to be read.
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    let mut changed = event.paths.iter();
    changed.any(|changed| places.iter().any(|place| is_at(changed, place)))
}

/// Whether `changed` is `place`, a visible file in it or in a folder below, or the link through which container platforms
/// swap all files of a folder at once.
fn is_at(changed: &Path, place: &Path) -> bool {
    let changed = changed.strip_prefix("./").unwrap_or(changed);
    let name = changed.file_name().unwrap_or_default().to_string_lossy();
    let swapped = name == "..data" && changed.parent() == place.parent();
    let visible = |part: &OsStr| !part.as_encoded_bytes().starts_with(b".") || part == "..data";
    let inside = changed
        .strip_prefix(place)
        .is_ok_and(|below| below.iter().all(visible));
    changed == place || swapped || inside
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn reloader(file: &Path) -> (Reloader, Arc<AtomicUsize>, Metrics) {
        let metrics = Metrics::new(1).unwrap();
        let mut reloader = Reloader::new(&metrics);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let read = file.to_owned();
        reloader.add("test", [file.to_owned()], move || {
            counted.fetch_add(1, Ordering::SeqCst);
            match std::fs::read_to_string(&read) {
                Ok(text) if text == "good" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        (reloader, count, metrics)
    }

    #[test]
    fn a_refused_file_shows_in_the_metric_until_it_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "bad").unwrap();
        let (reloader, _, metrics) = reloader(&file);
        assert_eq!(metrics.reload_success.get(), 1);
        assert!(!reloader.reload());
        assert_eq!(metrics.reload_success.get(), 0);
        std::fs::write(&file, "good").unwrap();
        assert!(reloader.reload());
        assert_eq!(metrics.reload_success.get(), 1);
    }

    #[tokio::test]
    async fn a_replaced_file_and_a_new_file_in_a_folder_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let folder = dir.path().join("services");
        std::fs::write(&file, "good").unwrap();
        std::fs::create_dir(&folder).unwrap();
        let (mut reloader, _, _) = reloader(&file);
        reloader.add("folder", [folder.clone()], || Ok(()));
        let (_watch, mut settled) = reloader.watch().unwrap();
        let limit = Duration::from_secs(20);

        let new = dir.path().join("f.new");
        std::fs::write(&new, "good").unwrap();
        std::fs::rename(&new, &file).unwrap();
        tokio::time::timeout(limit, settled.recv())
            .await
            .unwrap()
            .unwrap();

        std::fs::write(folder.join("one.json"), "{}").unwrap();
        tokio::time::timeout(limit, settled.recv())
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn files_in_folders_below_are_noticed_old_folders_and_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("services");
        std::fs::create_dir_all(folder.join("old/deeper")).unwrap();
        let (mut reloader, _, _) = reloader(&dir.path().join("f"));
        reloader.add("folder", [folder.clone()], || Ok(()));
        let (_watch, mut settled) = reloader.watch().unwrap();
        let mut noticed = async || {
            let limit = Duration::from_secs(20);
            let settled = tokio::time::timeout(limit, settled.recv()).await;
            settled.unwrap().unwrap();
        };
        std::fs::write(folder.join("old/deeper/one.json"), "{}").unwrap();
        noticed().await;
        std::fs::create_dir(folder.join("new")).unwrap();
        noticed().await;
        std::fs::write(folder.join("new/two.json"), "{}").unwrap();
        noticed().await;
    }

    #[test]
    fn reading_and_neighbours_are_no_changes() {
        use notify::event::{AccessKind, EventKind, ModifyKind};
        let watched = BTreeSet::from([PathBuf::from("/d/file"), PathBuf::from("/d/folder")]);
        let event = |kind, path: &str| notify::Event::new(kind).add_path(path.into());
        let modify = EventKind::Modify(ModifyKind::Any);
        assert!(concerns(&event(modify, "/d/file"), &watched));
        assert!(concerns(&event(modify, "/d/folder/x.json"), &watched));
        assert!(!concerns(&event(modify, "/d/folder/.x.json.swp"), &watched));
        assert!(!concerns(&event(modify, "/d/other"), &watched));
        assert!(concerns(&event(modify, "/d/folder/a/b/x.json"), &watched));
        assert!(!concerns(&event(modify, "/d/folder/.git/x.json"), &watched));
        assert!(concerns(&event(modify, "/d/..data"), &watched));
        assert!(concerns(&event(modify, "/d/folder/..data"), &watched));
        assert!(!concerns(&event(modify, "/e/..data"), &watched));
        let access = EventKind::Access(AccessKind::Any);
        assert!(!concerns(&event(access, "/d/file"), &watched));
    }
}
