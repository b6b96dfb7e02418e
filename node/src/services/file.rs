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

use super::definition::{Finding, RegisteredService, Report};
use super::json;
use super::registry::{Registry, Snapshot};

/// Most definitions in a folder.
pub const FILES_MAX: usize = 10_000;
/// Deepest sub-folder that is read.
pub const DEPTH_MAX: usize = 8;

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

/// Reads a folder. Blocking: call it off the request threads.
///
/// # Errors
/// Everything that is wrong in any file.
pub fn load(folder: &Path) -> Result<Loaded, LoadError> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    collect(folder, 0, &mut files, &mut problems);
    files.sort();
    let mut services = Vec::new();
    let mut warnings = Vec::new();
    let mut seen: HashMap<i64, PathBuf> = HashMap::new();
    for path in files {
        let mut report = Report::default();
        let service = match read_bounded(&path) {
            Ok(text) => RegisteredService::read(&text, &mut report),
            Err(says) => {
                problems.push(about(&path, &says));
                continue;
            }
        };
        let in_file = |finding: Finding| FileFinding {
            path: path.clone(),
            finding,
        };
        problems.extend(report.errors.into_iter().map(in_file));
        warnings.extend(report.warnings.into_iter().map(in_file));
        let Some(service) = service else { continue };
        if let Some(other) = seen.insert(service.id, path.clone()) {
            let says = format!("id {} is also used by {}", service.id, other.display());
            problems.push(about(&path, &says));
        }
        services.push(service);
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

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>, problems: &mut Vec<FileFinding>) {
    if depth > DEPTH_MAX {
        let says = format!("more than {DEPTH_MAX} folders deep");
        problems.push(about(folder, &says));
        return;
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            problems.push(about(folder, &format!("cannot read the folder: {e}")));
            return;
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                problems.push(about(folder, &format!("cannot read the folder: {e}")));
                return;
            }
        };
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if hidden {
            // Editors and version control keep their own files here.
        } else if is_folder {
            collect(&path, depth + 1, files, problems);
        } else if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
        {
            if files.len() >= FILES_MAX {
                problems.push(about(folder, &format!("more than {FILES_MAX} definitions")));
                return;
            }
            files.push(path);
        }
    }
}

fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|e| format!("cannot read the file: {e}"))?;
    let is_file = file.metadata().is_ok_and(|m| m.is_file());
    if !is_file {
        return Err("is not a file".into());
    }
    let mut bytes = Vec::new();
    let limit = json::TEXT_MAX as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot read the file: {e}"))?;
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".into())
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
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, id: i64) {
        let text = format!(
            "{{\n\"@class\": \"org.apereo.cas.services.RegexRegisteredService\",\n\
             \"id\": {id}, \"name\": \"n{id}\", \"serviceId\": \"https://{id}\"}}"
        );
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_broken_file_is_named_and_the_last_good_set_stays() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        write(dir.path(), "a-1.json", 1);
        write(dir.path(), "sub/b-2.json", 2);
        std::fs::write(dir.path().join("notes.txt"), "not a definition").unwrap();
        std::fs::write(dir.path().join(".a-1.json.swp"), "not one either").unwrap();
        let folder = ServiceFolder::open(dir.path().to_owned()).unwrap();
        let registry = folder.registry();
        assert_eq!(registry.snapshot().len(), 2);

        std::fs::write(dir.path().join("c-3.json"), "{\n\"id\": 3,,\n}").unwrap();
        let error = folder.reload().unwrap_err().to_string();
        assert!(error.contains("c-3.json: line 2"), "{error}");
        assert_eq!(registry.snapshot().len(), 2);

        write(dir.path(), "c-3.json", 2);
        let error = folder.reload().unwrap_err().to_string();
        assert!(error.contains("id 2 is also used by"), "{error}");
        assert!(registry.find("https://2").is_some());

        write(dir.path(), "c-3.json", 3);
        assert_eq!(folder.reload(), Ok(3));
        assert!(registry.find("https://3").is_some());
    }

    #[test]
    fn what_is_not_text_or_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.json"), [0xff, 0xfe]).unwrap();
        std::fs::write(dir.path().join("b.json"), vec![b' '; json::TEXT_MAX + 10]).unwrap();
        std::fs::create_dir(dir.path().join("c.json")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("d.json")).unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("a.json: the file is not UTF-8"), "{error}");
        assert!(
            error.contains("b.json: line 1: the file is larger"),
            "{error}"
        );
        assert!(error.contains("d.json: is not a file"), "{error}");
        assert!(load(Path::new("/nonexistent")).is_err());
    }
}
