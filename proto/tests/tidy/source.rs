//! The repository as text: a walk over its files, and Rust source with comments and strings blanked.
//!
//! Promises: line numbers survive blanking. Does not parse Rust; it knows only what hides a brace.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the repository.
pub(crate) struct File {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether it is compiled into a program, rather than a test, bench or example.
    pub(crate) fn is_production(&self) -> bool {
        let test_file = self.path.ends_with("/tests.rs");
        self.path.contains("/src/") && !self.path.contains("/tests/") && !test_file
    }

    /// The lines above the unit tests.
    pub(crate) fn production_text(&self) -> &str {
        match self.text.find("\n#[cfg(test)]") {
            Some(end) => &self.text[..=end],
            None => &self.text,
        }
    }
}

/// All text files of the working tree, without build output.
pub(crate) struct Repository {
    root: PathBuf,
    files: Vec<File>,
}

const SKIPPED_DIRECTORIES: [&str; 4] = ["target", ".git", "castor-demo", "node_modules"];
const TEXT: [&str; 14] = [
    "rs", "md", "toml", "yml", "yaml", "html", "css", "conf", "cfg", "py", "json", "txt", "svg",
    "j2",
];

impl Repository {
    /// Reads the tree this test was compiled in.
    pub(crate) fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the crate lies in the workspace")
            .to_path_buf();
        let mut files = Vec::new();
        walk(&root, &root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(
            files.iter().any(|f| f.path == "proto/tests/tidy/source.rs"),
            "the walk did not even find this file"
        );
        Self { root, files }
    }

    /// Every file whose path satisfies `wanted`; panics when there is none.
    pub(crate) fn files(&self, wanted: impl Fn(&File) -> bool) -> Vec<&File> {
        let found: Vec<&File> = self.files.iter().filter(|f| wanted(f)).collect();
        assert!(!found.is_empty(), "this check found no file to look at");
        found
    }

    /// Every Rust file.
    pub(crate) fn rust(&self) -> Vec<&File> {
        self.files(|f| f.path.ends_with(".rs"))
    }

    /// The file at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|f| f.path == path)
    }

    /// Whether a file or folder of any kind is there.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(directory).expect("a readable directory");
    for entry in entries {
        let path = entry.expect("a readable directory entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                walk(root, &path, files);
            }
            continue;
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let folder = directory.file_name().unwrap_or_default();
        let script = folder == ".ci" || name == "Makefile";
        if !script && !TEXT.contains(&extension.as_str()) {
            continue;
        }
        let relative = path.strip_prefix(root).expect("a path below the root");
        let path_text = relative.to_string_lossy().replace('\\', "/");
        match fs::read_to_string(&path) {
            Ok(text) => files.push(File {
                path: path_text,
                text,
            }),
            Err(error) => panic!("{path_text}: not readable as UTF-8 text: {error}"),
        }
    }
}

/// What `blank` hides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hide {
    Comments,
    CommentsAndStrings,
}

/// The source with comments (and strings) replaced by spaces, line for line.
pub(crate) fn blank(source: &str, hide: Hide) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (end, hidden) = token(bytes, at, hide);
        if hidden {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end;
    }
    String::from_utf8(out).expect("whole characters are blanked or kept")
}

/// The end of the token that starts at `at`, and whether it is to be hidden.
fn token(bytes: &[u8], at: usize, hide: Hide) -> (usize, bool) {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        return (at + end, true);
    }
    if rest.starts_with(b"/*") {
        return (block_comment_end(bytes, at), true);
    }
    let strings = hide == Hide::CommentsAndStrings;
    let in_word = at > 0 && is_word(bytes[at - 1]);
    if !in_word && let Some(end) = raw_string_end(bytes, at) {
        return (end, strings);
    }
    match rest[0] {
        b'"' => (string_end(bytes, at), strings),
        b'\'' => match char_end(bytes, at) {
            Some(end) => (end, strings),
            None => (at + 1, false),
        },
        _ => (at + 1, false),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if matches!(bytes.get(at), Some(b'b' | b'c')) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    at += 1;
    let hashes = bytes[at..].iter().take_while(|b| **b == b'#').count();
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let body = &bytes[at + 1..];
    let length = body.windows(closing.len()).position(|w| w == closing)?;
    Some(at + 1 + length + closing.len())
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character literal; none when the quote starts a lifetime.
fn char_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        let close = bytes[start + 3..].iter().position(|b| *b == b'\'')?;
        return Some(start + 3 + close + 1);
    }
    let text = std::str::from_utf8(&bytes[start + 1..]).ok()?;
    let width = text.chars().next()?.len_utf8();
    (bytes.get(start + 1 + width) == Some(&b'\'')).then_some(start + width + 2)
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The words (identifiers and keywords) of blanked source, with their offsets.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &code[start..at]))
    })
}

#[test]
fn blanking_hides_what_looks_like_code() {
    let source = "a /* { /* { */ */ \"}\\\"{\" r#\"{\"# '{' b'\\'' 'x: &'a str // {\nfn b() {}";
    let code = blank(source, Hide::CommentsAndStrings);
    assert_eq!(code.matches('{').count(), 1, "{code}");
    assert_eq!(code.lines().count(), 2);
    assert!(blank(source, Hide::Comments).contains("r#\"{\"#"));
    assert_eq!(
        words("mod a;").map(|(_, w)| w).collect::<Vec<_>>(),
        ["mod", "a"]
    );
}
