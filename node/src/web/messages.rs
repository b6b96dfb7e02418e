//! The texts of the pages, by language.
//!
//! English and German are built in. A `messages.de.toml` in the template folder replaces single texts
//! of a built-in language; one of another language adds it, and what it lacks is said in its wider
//! language (`de` for `de-AT`), else in English.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::language::{Tag, Wanted};
use super::{WebError, read_bounded};

const ENGLISH: &str = include_str!("../../templates/messages.en.toml");
const GERMAN: &str = include_str!("../../templates/messages.de.toml");
const TEXTS_MAX: u64 = 256 * 1024;
/// Most languages that a folder may add.
const LANGUAGES_MAX: usize = 64;

/// The texts of one language, by key.
pub type Texts = BTreeMap<String, String>;

/// The texts of all languages; each has every key.
#[derive(Debug)]
pub struct Messages {
    english: Texts,
    languages: BTreeMap<Tag, Texts>,
}

impl Messages {
    /// The built-in texts, and those of the folder over them.
    ///
    /// # Errors
    /// A file that cannot be read, is not named after a language, or has a text that no page has.
    pub fn load(folder: Option<&Path>) -> Result<Self, WebError> {
        let mut files = match folder {
            Some(folder) => files(folder)?,
            None => BTreeMap::new(),
        };
        let mut english = parse(ENGLISH).map_err(built_in)?;
        let mut languages = BTreeMap::new();
        for (name, texts) in [("en", ENGLISH), ("de", GERMAN)] {
            let Some(tag) = Tag::parse(name) else {
                return Err(built_in(format!("{name} is no language")));
            };
            let mut texts: Texts = over(&english, parse(texts).map_err(built_in)?);
            if let Some(path) = files.remove(&tag) {
                texts = over(&texts, read(&path, &english)?);
            }
            if name == "en" {
                english.clone_from(&texts);
            }
            languages.insert(tag, texts);
        }
        // In the order of the tags, so that a language is there before its variants.
        for (tag, path) in files {
            let wider = std::iter::successors(tag.wider(), Tag::wider);
            let base = wider.filter_map(|tag| languages.get(&tag)).next();
            let mut texts = over(base.unwrap_or(&english), own_language(&tag));
            texts = over(&texts, read(&path, &english)?);
            languages.insert(tag, texts);
        }
        Ok(Self { english, languages })
    }

    /// The texts for a request.
    pub fn pick(&self, wanted: &Wanted<'_>) -> &Texts {
        let tags = wanted.tags();
        let found = tags.iter().find_map(|tag| self.best(tag));
        found.unwrap_or(&self.english)
    }

    /// The languages there are.
    pub fn languages(&self) -> impl Iterator<Item = &Tag> {
        self.languages.keys()
    }

    /// The texts in a language, in a wider one, or in another variant of it.
    fn best(&self, tag: &Tag) -> Option<&Texts> {
        std::iter::successors(Some(tag.clone()), Tag::wider)
            .find_map(|tag| self.languages.get(&tag))
            .or_else(|| {
                let mut languages = self.languages.iter();
                let found = languages.find(|(have, _)| have.language() == tag.language());
                found.map(|(_, texts)| texts)
            })
    }
}

/// The text of a key.
pub fn text<'a>(texts: &'a Texts, key: &'a str) -> &'a str {
    texts.get(key).map_or(key, String::as_str)
}

fn over(base: &Texts, texts: Texts) -> Texts {
    let mut all = base.clone();
    all.extend(texts);
    all
}

/// What a page says of a language whose file does not say it.
fn own_language(tag: &Tag) -> Texts {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Texts::from([pair("lang", tag.as_str())])
}

fn built_in(says: String) -> WebError {
    WebError(format!("built-in messages: {says}"))
}

fn parse(text: &str) -> Result<Texts, String> {
    toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|s| text.get(..s.start)).unwrap_or("");
        format!("line {}: {}", before.matches('\n').count() + 1, e.message())
    })
}

/// Reads the texts of a file, `known` being the keys there may be.
fn read(path: &Path, known: &Texts) -> Result<Texts, WebError> {
    let fail = |says: String| WebError(format!("{}: {says}", path.display()));
    let text = String::from_utf8(read_bounded(path, TEXTS_MAX)?)
        .map_err(|_| fail("is not UTF-8 text".into()))?;
    let texts = parse(&text).map_err(fail)?;
    if let Some(key) = texts.keys().find(|key| !known.contains_key(*key)) {
        return Err(fail(format!("no page has a text named {key}")));
    }
    if texts
        .get("lang")
        .is_some_and(|tag| Tag::parse(tag).is_none())
    {
        return Err(fail("lang is not a language tag such as \"en\"".into()));
    }
    if texts
        .get("dir")
        .is_some_and(|dir| dir != "ltr" && dir != "rtl")
    {
        return Err(fail("dir must be \"ltr\" or \"rtl\"".into()));
    }
    Ok(texts)
}

/// The files of a folder that are named `messages.LANGUAGE.toml`.
fn files(folder: &Path) -> Result<BTreeMap<Tag, PathBuf>, WebError> {
    let fail = |says: String| WebError(format!("{}: {says}", folder.display()));
    let unreadable = |e: std::io::Error| fail(format!("cannot read the folder: {e}"));
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let language = name.strip_prefix("messages.");
        let Some(language) = language.and_then(|rest| rest.strip_suffix(".toml")) else {
            continue;
        };
        let tag = Tag::parse(language)
            .ok_or_else(|| fail(format!("{name}: {language} is not a language tag")))?;
        if files.insert(tag, entry.path()).is_some() {
            return Err(fail(format!("{name}: two files for one language")));
        }
        if files.len() > LANGUAGES_MAX {
            return Err(fail(format!("more than {LANGUAGES_MAX} languages")));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(messages: &Messages, accept_language: &str) -> String {
        let wanted = Wanted {
            locale: None,
            accept_language: Some(accept_language),
        };
        text(messages.pick(&wanted), "login_title").to_owned()
    }

    #[test]
    fn the_built_in_languages_have_the_same_keys_and_placeholders() {
        let english = parse(ENGLISH).unwrap();
        let german = parse(GERMAN).unwrap();
        let keys = |texts: &Texts| texts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&english), keys(&german));
        for (key, text) in &english {
            let places =
                |text: &str| ["{service}", "{wait}"].map(|place| text.matches(place).count());
            assert_eq!(places(text), places(&german[key]), "{key}");
            assert!(!text.is_empty() && !german[key].is_empty(), "{key}");
            assert!(
                text != &german[key] || key == "dir" || key == "brand_tagline",
                "{key} is not translated"
            );
        }
    }

    #[test]
    fn the_first_language_that_is_there_is_taken() {
        let messages = Messages::load(None).unwrap();
        for (header, expected) in [
            ("", "Sign in"),
            ("de", "Anmelden"),
            ("de-CH", "Anmelden"),
            ("fr, de;q=0.5, en;q=0.4", "Anmelden"),
            ("fr, de;q=0.4, en-GB;q=0.5", "Sign in"),
            ("tlh, *", "Sign in"),
        ] {
            assert_eq!(title(&messages, header), expected, "{header}");
        }
    }

    #[test]
    fn a_file_replaces_single_texts_or_adds_a_language() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("messages.en.toml", "login_title = \"Welcome\"\n");
        write("messages.de-AT.toml", "login_title = \"Servus\"\n");
        write(
            "messages.he.toml",
            "login_title = \"כניסה\"\ndir = \"rtl\"\n",
        );
        write("messages.pt-BR.toml", "footer = \"Tchau\"\n");
        let messages = Messages::load(Some(dir.path())).unwrap();
        for (header, expected) in [
            ("en", "Welcome"),
            ("de", "Anmelden"),
            ("de-AT", "Servus"),
            ("he", "כניסה"),
            ("pt-PT", "Welcome"),
        ] {
            assert_eq!(title(&messages, header), expected, "{header}");
        }
        let texts = |header| {
            let wanted = Wanted {
                locale: None,
                accept_language: Some(header),
            };
            messages.pick(&wanted)
        };
        assert_eq!(text(texts("he"), "lang"), "he");
        assert_eq!(text(texts("he"), "dir"), "rtl");
        assert_eq!(text(texts("de-at"), "login_password"), "Passwort");
        assert_eq!(text(texts("pt"), "footer"), "Tchau");
        assert_eq!(text(texts("pt"), "dir"), "ltr");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        for (name, content, part) in [
            (
                "messages.en.toml",
                "a = 1\n\nb = \n",
                "messages.en.toml: line",
            ),
            (
                "messages.en.toml",
                "login_titel = \"x\"\n",
                "named login_titel",
            ),
            (
                "messages.fr.toml",
                "login_titel = \"x\"\n",
                "messages.fr.toml: no page",
            ),
            ("messages.ar.toml", "dir = \"left\"\n", "dir must be"),
            ("messages.ar.toml", "lang = \"?\"\n", "lang is not"),
            ("messages.french.toml", "", "french is not a language tag"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(name), content).unwrap();
            let error = Messages::load(Some(dir.path())).unwrap_err().to_string();
            assert!(error.contains(part), "{content}: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["messages.pt-BR.toml", "messages.pt_br.toml"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let error = Messages::load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("two files for one language"), "{error}");
    }
}
