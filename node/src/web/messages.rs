//! The texts of the pages, by language.
//!
//! English is built in; a `messages.en.toml` in the template folder replaces single texts. More
//! languages come as further files: [`Messages::pick`] is where the choice is made.

use std::collections::BTreeMap;
use std::path::Path;

use super::{WebError, read_bounded};

const ENGLISH: &str = include_str!("../../templates/messages.en.toml");
const TEXTS_MAX: u64 = 256 * 1024;

/// The texts of one language, by key.
pub type Texts = BTreeMap<String, String>;

/// The texts of all languages.
#[derive(Debug)]
pub struct Messages {
    english: Texts,
}

impl Messages {
    /// The built-in texts, and those of the folder over them.
    ///
    /// # Errors
    /// A file that cannot be read, or names a text that no page has.
    pub fn load(folder: Option<&Path>) -> Result<Self, WebError> {
        let mut english: Texts = toml::from_str(ENGLISH)
            .map_err(|e| WebError(format!("built-in messages: {}", e.message())))?;
        let replaced = folder
            .map(|folder| folder.join("messages.en.toml"))
            .filter(|path| path.exists());
        if let Some(path) = replaced {
            let fail = |says: String| WebError(format!("{}: {says}", path.display()));
            let text = String::from_utf8(read_bounded(&path, TEXTS_MAX)?)
                .map_err(|_| fail("is not UTF-8 text".into()))?;
            let texts: Texts = toml::from_str(&text).map_err(|e| {
                let before = e.span().and_then(|s| text.get(..s.start)).unwrap_or("");
                fail(format!(
                    "line {}: {}",
                    before.matches('\n').count() + 1,
                    e.message()
                ))
            })?;
            if let Some(key) = texts.keys().find(|key| !english.contains_key(*key)) {
                return Err(fail(format!("no page has a text named {key}")));
            }
            english.extend(texts);
        }
        Ok(Self { english })
    }

    /// The texts for a browser that sends this `Accept-Language`.
    pub fn pick(&self, _accept_language: Option<&str>) -> &Texts {
        &self.english
    }
}

/// The text of a key.
pub fn text<'a>(texts: &'a Texts, key: &'a str) -> &'a str {
    texts.get(key).map_or(key, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_single_texts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("messages.en.toml");
        std::fs::write(&path, "login_title = \"Welcome\"\n").unwrap();
        let messages = Messages::load(Some(dir.path())).unwrap();
        let texts = messages.pick(Some("de"));
        assert_eq!(text(texts, "login_title"), "Welcome");

        std::fs::write(&path, "a = 1\n\nb = \n").unwrap();
        let error = Messages::load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("messages.en.toml: line"), "{error}");
        std::fs::write(&path, "login_titel = \"x\"\n").unwrap();
        let error = Messages::load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("named login_titel"), "{error}");
    }
}
