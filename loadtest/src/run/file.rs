//! Records in files.
//!
//! Promises: a file is there whole or as it was before: it is written beside its place and renamed.
//! What is no file, such as a device or a pipe, is written to and stays what it is; a link keeps pointing to the
//! file that is written. When that fails, the message names the file and what to do, and [`Run::save`] keeps the record
//! in the folder for temporary files if it can. Reading is bounded.
//! Does not: lock; of two writers of one file the last wins.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;

use super::{FORMAT, Run};

/// Bytes of a record that is read.
pub const FILE_MAX: u64 = 256 * 1024 * 1024;

impl Run {
    /// Writes the record; on a failure it is kept in the folder for temporary files.
    ///
    /// # Errors
    /// When it could not be written to `file`: why, what to do, and where it is instead.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        let Err(error) = self.write(file) else {
            return Ok(());
        };
        let name = format!("castor-loadtest-{}.json", std::process::id());
        let kept = std::env::temp_dir().join(name);
        Err(match self.write(&kept) {
            Ok(()) => error.context(format!("the record is in {} instead", kept.display())),
            Err(_) => error,
        })
    }

    fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut run = self.clone();
        run.bound();
        let text = serde_json::to_string(&run).context("a record that is no JSON")?;
        write_whole(file, &(text + "\n"))
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When there is none, or one that this program cannot read: which file, where, and why.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let opened = File::open(file).with_context(|| format!("cannot open {name}"))?;
        let mut text = String::new();
        opened
            .take(FILE_MAX + 1)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {name}"))?;
        if text.len() as u64 > FILE_MAX {
            bail!(
                "{name} is longer than {} MiB: no record of a run",
                FILE_MAX >> 20
            );
        }
        Self::parse(&text).with_context(|| format!("{name} is no record of a run"))
    }

    /// Reads a record from its text.
    ///
    /// # Errors
    /// Where and why it is none.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: Option<u32>,
        }
        let head: Head = serde_json::from_str(text)?;
        match head.format {
            Some(FORMAT) => {}
            Some(other) => bail!(
                "its format is {other}; this program reads {FORMAT}. Use the castor-loadtest that wrote it"
            ),
            None => bail!("it has no \"format\""),
        }
        let mut run: Self = serde_json::from_str(text)?;
        run.bound();
        Ok(run)
    }
}

/// Writes `text` to `file`, whole or not at all; makes the folder.
///
/// # Errors
/// When it cannot; what was in `file` is untouched then.
pub fn write_whole(file: &Path, text: &str) -> anyhow::Result<()> {
    let attempt = || -> std::io::Result<()> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder)?;
        }
        // A rename would put a file in the place of a device, or of a link.
        let there = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        if std::fs::metadata(&there).is_ok_and(|data| !data.is_file()) {
            let mut output = File::options().write(true).open(&there)?;
            output.write_all(text.as_bytes())?;
            return output.flush();
        }
        let beside = beside(&there);
        let written = put(&beside, text).and_then(|()| std::fs::rename(&beside, &there));
        if written.is_err() {
            // What is half written only takes the space that is lacking.
            let _ = std::fs::remove_file(&beside);
        }
        written
    };
    attempt().map_err(|error| {
        anyhow!(
            "cannot write {}: {error}; what was there before is untouched. Make room or leave to \
             write there, or name another file",
            file.display()
        )
    })
}

fn put(file: &Path, text: &str) -> std::io::Result<()> {
    let mut output = File::create(file)?;
    output.write_all(text.as_bytes())?;
    output.sync_all()
}

fn beside(file: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::run::{Kind, Mark, Plot, Style};

    fn sample() -> Run {
        let mut run = Run::new(Kind::Bench, "sample", Environment::unknown());
        run.figure("pairs", 12.5, "1/s");
        let mut plot = Plot::new("p", "s", "1/s");
        plot.line("n1", Style::Dashed, vec![(0.0, 1.0)]);
        plot.marks.push(Mark::between(1.0, 2.0, "kill n1"));
        run.plots.push(plot);
        run
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/run.json");
        sample().save(&file).unwrap();
        assert_eq!(Run::read(&file).unwrap(), sample());
        let left: Vec<_> = std::fs::read_dir(folder.path().join("new"))
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_full_disk_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.json");
        std::fs::write(&file, "old").unwrap();
        // The name beside it is taken by a folder, so that writing fails as on a full disk.
        std::fs::create_dir(beside(&file)).unwrap();
        let error = format!("{:#}", sample().save(&file).unwrap_err());
        assert!(error.contains("run.json") && error.contains("name another file"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
        let instead = error.split(" instead").next().unwrap();
        let kept = PathBuf::from(instead.trim_start_matches("the record is in "));
        assert_eq!(Run::read(&kept).unwrap(), sample());
        std::fs::remove_file(kept).unwrap();
    }

    #[test]
    fn a_device_without_room_is_an_error() {
        let error = put(Path::new("/dev/full"), "text").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    #[test]
    fn devices_and_links_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let link = |name: &str, to: &Path| {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(to, &link).unwrap();
            link
        };
        let full = link("full", Path::new("/dev/full"));
        let error = write_whole(&full, "text").unwrap_err().to_string();
        assert!(error.contains("No space left"), "{error}");
        write_whole(&link("null", Path::new("/dev/null")), "text").unwrap();
        assert!(!std::fs::metadata(&full).unwrap().is_file());
        let file = folder.path().join("run.json");
        std::fs::write(&file, "old").unwrap();
        let linked = link("latest.json", &file);
        write_whole(&linked, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(std::fs::symlink_metadata(&linked).unwrap().is_symlink());
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "EOF"),
            ("{}", "no \"format\""),
            ("[1]", "invalid"),
            (r#"{"format":2}"#, "format is 2"),
            (r#"{"format":1}"#, "missing field `kind`"),
            (r#"{"format":1,"kind":"dance"}"#, "unknown variant `dance`"),
        ] {
            let error = format!("{:#}", Run::parse(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Run::read(&folder.path().join("none.json")).unwrap_err();
        assert!(format!("{error:#}").contains("none.json"));
    }

    #[test]
    fn fields_that_may_be_absent_are_so() {
        let text = r#"{"format":1,"kind":"swarm","title":"t","command":"c","seed":1,"began":"b",
            "lasted_s":1,"environment":{},"verdict":{"judged":1,"wrong":0},"later":"ignored"}"#;
        let run = Run::parse(text).unwrap();
        assert!(run.verdict.passed() && run.time_scale == 1.0);
    }
}
