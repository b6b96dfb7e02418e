//! A folder of service definitions.
//!
//! Read recursively, `.json` only, within bounds of number, size and depth. The folder is taken
//! whole or not at all: one broken file, or one id used twice, leaves the last good set in force,
//! and every problem is told with file, line and key. Links are followed only to files, so that
//! a folder cannot contain itself.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::definition::{Finding, Outline, RegisteredService, Report};
use super::json;
use super::key::{EncryptingKey, KEY_MAX};
use super::registry::{Registry, Snapshot};

/// Most definitions in a folder.
pub const FILES_MAX: usize = 10_000;
/// Deepest sub-folder that is read.
pub const DEPTH_MAX: usize = 8;
/// Most files that are not read and named all the same.
const IGNORED_MAX: usize = 20;

/// A finding in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFinding {
    /// The file, or the folder when it is about the folder.
    pub path: PathBuf,
    /// What was found; line 0 when it is about the whole file.
    pub finding: Finding,
}

impl fmt::Display for FileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.finding.line == 0 {
            write!(f, "{}: {}", self.path.display(), self.finding.says)
        } else {
            write!(f, "{}: {}", self.path.display(), self.finding)
        }
    }
}

/// A folder that could not be taken: every problem, in the order of the file names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// At least one.
    pub problems: Vec<FileFinding>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// A folder that was taken.
#[derive(Debug)]
pub struct Loaded {
    /// The services, not yet sorted.
    pub services: Vec<RegisteredService>,
    /// What their authors should know.
    pub warnings: Vec<FileFinding>,
}

/// One file of a folder, read.
#[derive(Debug)]
pub struct Examined {
    /// The file.
    pub path: PathBuf,
    /// What was found in it.
    pub report: Report,
    /// What names it, as far as it can be read.
    pub outline: Outline,
    /// The definition, when it could be read; it counts only without errors in the report.
    pub service: Option<RegisteredService>,
}

/// Files that are not read, because they do not end in `.json`; without hidden ones and a README, of
/// which nobody expects it.
#[derive(Debug, Default)]
pub struct Ignored {
    /// Some of them.
    pub files: Vec<PathBuf>,
    /// How many there are.
    pub count: usize,
}

impl Ignored {
    fn add(&mut self, path: PathBuf) {
        let name = path.file_name().map(std::ffi::OsStr::to_string_lossy);
        if name.is_some_and(|name| name.to_ascii_uppercase().starts_with("README")) {
            return;
        }
        self.count += 1;
        if self.files.len() < IGNORED_MAX {
            self.files.push(path);
        }
    }
}

/// A folder, read without a judgement.
#[derive(Debug)]
pub struct Examination {
    /// Every definition, in the order of the file names.
    pub files: Vec<Examined>,
    /// What is wrong with the folder itself.
    pub problems: Vec<FileFinding>,
    /// What is in the folder and was not read.
    pub ignored: Ignored,
}

impl Examination {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.files.iter().all(|f| f.report.errors.is_empty())
    }
}

/// Reads every definition of a folder, with the keys they name. Blocking: call it off the request
/// threads.
pub fn examine(folder: &Path) -> Examination {
    let mut found = Collected::default();
    collect(folder, 0, &mut found);
    found.files.sort();
    found.ignored.files.sort();
    let mut files: Vec<Examined> = found.files.into_iter().map(examine_file).collect();
    compare(&mut files);
    Examination {
        files,
        problems: found.problems,
        ignored: found.ignored,
    }
}

fn examine_file(path: PathBuf) -> Examined {
    let mut report = Report::default();
    let mut outline = Outline::default();
    let mut service = match read_bounded(&path, json::TEXT_MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => {
                outline = Outline::of(&text);
                RegisteredService::read(&text, &mut report)
            }
            Err(_) => {
                report.error(0, "", "the file is not UTF-8 text");
                None
            }
        },
        Err(says) => {
            report.error(0, "", &says);
            None
        }
    };
    if let Some(service) = &mut service {
        if let Some(place) = service.wants_key().cloned() {
            let key = read_bounded(Path::new(&place.path), KEY_MAX);
            match key.and_then(|bytes| EncryptingKey::read(&bytes)) {
                Ok(key) => service.set_key(key),
                Err(says) => {
                    let says = format!("{}: {says}", place.path);
                    report.error(place.line, "publicKey.location", &says);
                }
            }
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let number = stem.and_then(|stem| stem.rsplit_once('-')?.1.parse::<i64>().ok());
        if number.is_some_and(|number| number != service.id) {
            let says = format!(
                "the file name ends in another number than the id, {}",
                service.id
            );
            report.warn(0, "", &says);
        }
    }
    Examined {
        path,
        report,
        outline,
        service,
    }
}

/// What can only be seen from several definitions: an id used twice, and a pattern that is never
/// asked because another definition with the same one goes first.
fn compare(files: &mut [Examined]) {
    let mut ids: HashMap<i64, PathBuf> = HashMap::new();
    let mut patterns: HashMap<String, (i32, i64)> = HashMap::new();
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| {
        let service = files.get(*at).and_then(|file| file.service.as_ref());
        service.map(|s| (s.evaluation_order, s.name.to_lowercase(), s.id))
    });
    for file in files.iter_mut() {
        let Some(service) = &file.service else {
            continue;
        };
        if let Some(other) = ids.get(&service.id) {
            let says = format!("id {} is also used by {}", service.id, other.display());
            file.report.error(0, "", &says);
        } else {
            ids.insert(service.id, file.path.clone());
        }
    }
    for at in order {
        let Some(file) = files.get_mut(at) else {
            continue;
        };
        let Some(service) = &file.service else {
            continue;
        };
        let entry = (service.evaluation_order, service.id);
        let first = *patterns.entry(service.service_id.clone()).or_insert(entry);
        if first.1 != service.id && service.is_pattern() {
            let says = format!(
                "is never asked: the definition with id {} has the same serviceId and goes first \
                 (evaluationOrder {})",
                first.1, first.0
            );
            file.report.warn(0, "", &says);
        }
    }
}

/// Reads a folder. Blocking: call it off the request threads.
///
/// # Errors
/// Everything that is wrong in any file.
pub fn load(folder: &Path) -> Result<Loaded, LoadError> {
    let examination = examine(folder);
    let mut problems = examination.problems;
    let mut services = Vec::new();
    let mut warnings = Vec::new();
    for file in examination.files {
        let in_file = |finding: Finding| FileFinding {
            path: file.path.clone(),
            finding,
        };
        problems.extend(file.report.errors.into_iter().map(in_file));
        warnings.extend(file.report.warnings.into_iter().map(in_file));
        services.extend(file.service);
    }
    if problems.is_empty() {
        Ok(Loaded { services, warnings })
    } else {
        Err(LoadError { problems })
    }
}

fn about(path: &Path, says: &str) -> FileFinding {
    FileFinding {
        path: path.to_owned(),
        finding: Finding {
            line: 0,
            key: String::new(),
            says: says.to_owned(),
        },
    }
}

/// What is in a folder and those below it.
#[derive(Default)]
struct Collected {
    files: Vec<PathBuf>,
    ignored: Ignored,
    problems: Vec<FileFinding>,
}

fn collect(folder: &Path, depth: usize, found: &mut Collected) {
    if depth > DEPTH_MAX {
        let says = format!("more than {DEPTH_MAX} folders deep");
        found.problems.push(about(folder, &says));
        return;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            found
                .problems
                .push(about(folder, &format!("cannot read the folder: {e}")));
            return;
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                found
                    .problems
                    .push(about(folder, &format!("cannot read the folder: {e}")));
                return;
            }
        };
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if hidden {
            // Editors and version control keep their own files here.
        } else if is_folder {
            collect(&path, depth + 1, found);
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
        {
            if found.files.len() >= FILES_MAX {
                found
                    .problems
                    .push(about(folder, &format!("more than {FILES_MAX} definitions")));
                return;
            }
            found.files.push(path);
        } else {
            found.ignored.add(path);
        }
    }
}

/// The bytes of a file; one byte more than `max` when it is larger.
fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let cannot = |e: std::io::Error| format!("cannot read the file: {e}");
    // Looked at first: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".into());
    }
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    Ok(bytes)
}

/// A folder that feeds a registry.
#[derive(Debug)]
pub struct ServiceFolder {
    folder: PathBuf,
    registry: Arc<Registry>,
}

impl ServiceFolder {
    /// Reads the folder for the first time.
    ///
    /// # Errors
    /// Everything that is wrong in any file; there is no last good set to fall back to.
    pub fn open(folder: PathBuf) -> Result<Self, LoadError> {
        let this = Self {
            folder,
            registry: Arc::default(),
        };
        this.reload()?;
        Ok(this)
    }

    /// The registry it feeds.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// The folder, to be watched.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Reads the folder again and puts it in force; logs warnings. Blocking. Returns the number of
    /// services in force.
    ///
    /// # Errors
    /// Everything that is wrong; the last good set stays in force.
    pub fn reload(&self) -> Result<usize, LoadError> {
        let loaded = load(&self.folder)?;
        for warning in &loaded.warnings {
            tracing::warn!("service definition {warning}");
        }
        let snapshot = Snapshot::new(loaded.services);
        let count = snapshot.len();
        if count == 0 {
            tracing::warn!(
                folder = %self.folder.display(),
                "no service definition found: every application is refused"
            );
        }
        self.registry.replace(snapshot);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
