//! Reads files line by line with bounded memory, and tells a person how far it is.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::super::Failure;
use super::name_of;

/// Longest line that is looked at, in bytes. A node's own are below 16 KiB.
pub(super) const LINE_MAX: usize = 64 * 1024;
/// How many bytes are read between two looks at the progress.
const PROGRESS_EVERY: u64 = 64 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// Longer than [`LINE_MAX`].
    TooLong,
}

/// Reads all files, one after the other.
pub(super) fn read_all(files: &[PathBuf], take: &mut dyn FnMut(Line<'_>)) -> Result<(), Failure> {
    let mut opened = Vec::new();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    for path in files {
        let shown = name_of(path);
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let facts = file.metadata()?;
        if facts.is_dir() {
            return Err(Failure::Usage(format!(
                "{shown} is a folder; name its files"
            )));
        }
        if !seen.insert((facts.dev(), facts.ino())) {
            return Err(Failure::Usage(format!("{shown} is named twice")));
        }
        bytes += facts.len();
        opened.push((shown, file));
    }
    let mut progress = Progress::of(bytes);
    for (shown, file) in opened {
        let mut reader = BufReader::with_capacity(1 << 18, file);
        if reader.fill_buf().is_ok_and(is_compressed) {
            return Err(Failure::Usage(format!(
                "{shown} is compressed; unpack it on the way: zcat -f … | castor audit report … /dev/stdin"
            )));
        }
        read(&mut reader, take, &mut progress).with_context(|| format!("cannot read {shown}"))?;
    }
    progress.done();
    Ok(())
}

/// gzip, zstd, xz, bzip2.
fn is_compressed(head: &[u8]) -> bool {
    let magic: [&[u8]; 4] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0xfd, b'7', b'z', b'X', b'Z'],
        b"BZh",
    ];
    magic.iter().any(|magic| head.starts_with(magic))
}

/// Reads lines to the end; the last one need not be ended.
fn read(
    reader: &mut impl BufRead,
    take: &mut dyn FnMut(Line<'_>),
    progress: &mut Progress,
) -> io::Result<()> {
    let mut kept: Vec<u8> = Vec::new();
    let mut too_long = false;
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            break;
        }
        let end = piece.iter().position(|b| *b == b'\n');
        let (text, used) = match end {
            Some(at) => (piece.get(..at).unwrap_or_default(), at + 1),
            None => (piece, piece.len()),
        };
        too_long = too_long || kept.len() + text.len() > LINE_MAX;
        if too_long {
            kept.clear();
        } else if end.is_some() && kept.is_empty() {
            // The usual case: nothing is copied.
            take(Line::Whole(text));
        } else {
            kept.extend_from_slice(text);
        }
        if end.is_some() {
            if too_long {
                take(Line::TooLong);
            } else if !kept.is_empty() {
                take(Line::Whole(&kept));
            }
            kept.clear();
            too_long = false;
        }
        reader.consume(used);
        progress.advance(used as u64);
    }
    if too_long {
        take(Line::TooLong);
    } else if !kept.is_empty() {
        take(Line::Whole(&kept));
    }
    Ok(())
}

/// How far it is, on a terminal only.
struct Progress {
    all: u64,
    read: u64,
    told: u64,
    shown: bool,
}

impl Progress {
    fn of(all: u64) -> Self {
        Self {
            all,
            read: 0,
            told: 0,
            shown: io::stderr().is_terminal(),
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.read += bytes;
        if self.shown && self.read - self.told >= PROGRESS_EVERY {
            self.told = self.read;
            let mib = |bytes: u64| bytes >> 20;
            // Nobody to tell is no failure.
            let _ = write!(
                io::stderr(),
                "\rcastor: {} of {} MiB",
                mib(self.read),
                mib(self.all.max(self.read))
            );
        }
    }

    fn done(&self) {
        if self.told > 0 {
            let _ = writeln!(io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_take_bounded_memory() {
        let long = "x".repeat(LINE_MAX + 1);
        let most = "y".repeat(LINE_MAX);
        for (text, expected) in [
            (String::new(), vec![]),
            ("a\n\nb".to_owned(), vec![1, 0, 1]),
            (format!("a\n{long}\nb\n"), vec![1, usize::MAX, 1]),
            (format!("{most}\n{long}"), vec![LINE_MAX, usize::MAX]),
        ] {
            for capacity in [1, 7, 4096] {
                let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
                let mut lengths = Vec::new();
                let mut take = |line: Line<'_>| {
                    lengths.push(match line {
                        Line::Whole(text) => text.len(),
                        Line::TooLong => usize::MAX,
                    });
                };
                read(&mut reader, &mut take, &mut Progress::of(0)).unwrap();
                // Empty lines that come in pieces are not told; they mean nothing.
                lengths.retain(|l| *l != 0);
                let expected: Vec<_> = expected.iter().copied().filter(|l| *l != 0).collect();
                assert_eq!(lengths, expected, "{capacity}");
            }
        }
    }
}
