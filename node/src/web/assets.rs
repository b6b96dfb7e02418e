//! Style sheets and pictures: built in, replaceable from a folder, kept in memory.
//!
//! The URL of an asset carries a digest of its content. Asked for with that digest it may be kept
//! for ever; with another one, as happens while nodes of different versions or configurations run
//! side by side, the present content is served and must be asked for again.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::theme::Theme;
use super::{WebError, read_bounded};

/// Largest asset, in bytes.
pub const ASSET_MAX: u64 = 1024 * 1024;
/// Most assets in a folder.
pub const ASSETS_MAX: usize = 64;

const STYLE: &str = include_str!("../../assets/castor.css");
const SUBMIT: &str = include_str!("../../assets/submit.js");
const LOGOUT: &str = include_str!("../../assets/logout.js");
const LOGO: &str = include_str!("../../assets/logo.svg");
const FAVICON: &str = include_str!("../../assets/favicon.svg");
/// The colour in the built-in pictures that the configured one takes the place of.
const PICTURE_ACCENT: &str = "#1f4e79";

/// One asset.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What it contains.
    pub content: Bytes,
    /// Its media type.
    pub media_type: &'static str,
    /// The digest in its URL.
    pub digest: String,
}

/// All assets.
#[derive(Debug)]
pub struct Assets {
    by_name: BTreeMap<String, Asset>,
    base: String,
}

impl Assets {
    /// The built-in assets, then those of the folder over them.
    ///
    /// # Errors
    /// A folder or file that cannot be read, is too large, or of a type that pages cannot use.
    pub fn load(folder: Option<&Path>, theme: &Theme, prefix: &str) -> Result<Self, WebError> {
        let mut assets = Self {
            by_name: BTreeMap::new(),
            base: format!("{prefix}/assets/"),
        };
        let coloured = |picture: &str| picture.replace(PICTURE_ACCENT, &theme.accent());
        for (name, content) in [
            ("castor.css", STYLE.to_owned()),
            ("theme.css", theme.css()),
            ("submit.js", SUBMIT.to_owned()),
            ("logout.js", LOGOUT.to_owned()),
            ("logo.svg", coloured(LOGO)),
            ("favicon.svg", coloured(FAVICON)),
        ] {
            assets.insert(name, content.into())?;
        }
        if let Some(folder) = folder {
            assets.load_folder(folder)?;
        }
        Ok(assets)
    }

    fn load_folder(&mut self, folder: &Path) -> Result<(), WebError> {
        let fail = |says: String| WebError(format!("{}: {says}", folder.display()));
        let entries =
            std::fs::read_dir(folder).map_err(|e| fail(format!("cannot read the folder: {e}")))?;
        let mut count = 0;
        for entry in entries {
            let entry = entry.map_err(|e| fail(format!("cannot read the folder: {e}")))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !entry.path().is_file() {
                continue;
            }
            count += 1;
            if count > ASSETS_MAX {
                return Err(fail(format!("more than {ASSETS_MAX} files")));
            }
            let content = read_bounded(&entry.path(), ASSET_MAX)?;
            self.insert(&name, content.into())
                .map_err(|WebError(says)| fail(says))?;
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, content: Bytes) -> Result<(), WebError> {
        let media_type = media_type(name).ok_or_else(|| {
            WebError(format!(
                "{name}: an asset is a .css, .js, .svg, .png, .jpg, .webp, .ico or .woff2 file \
                 whose name has letters, digits, dots, dashes and underscores"
            ))
        })?;
        let digest = blake3::hash(&content).to_hex()[..16].to_owned();
        let asset = Asset {
            content,
            media_type,
            digest,
        };
        self.by_name.insert(name.to_owned(), asset);
        Ok(())
    }

    /// The asset of a name.
    pub fn find(&self, name: &str) -> Option<&Asset> {
        self.by_name.get(name)
    }

    /// The URL of an asset, with its digest.
    pub fn url(&self, name: &str) -> Option<String> {
        let asset = self.by_name.get(name)?;
        Some(format!("{}{name}?v={}", self.base, asset.digest))
    }
}

fn media_type(name: &str) -> Option<&'static str> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let (stem, extension) = name.rsplit_once('.')?;
    if !plain || stem.is_empty() || name.len() > 100 {
        return None;
    }
    Some(match extension.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(folder: Option<&Path>) -> Result<Assets, WebError> {
        Assets::load(folder, &Theme::from_accent("#aa0000"), "/cas")
    }

    #[test]
    fn built_in_assets_take_the_colour_and_have_a_digest() {
        let assets = load(None).unwrap();
        let logo = assets.find("logo.svg").unwrap();
        assert!(String::from_utf8_lossy(&logo.content).contains("#aa0000"));
        let url = assets.url("castor.css").unwrap();
        assert!(url.starts_with("/cas/assets/castor.css?v="), "{url}");
        assert!(assets.url("none.css").is_none());
    }

    #[test]
    fn a_folder_replaces_and_adds() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("logo.svg"), "<svg/>").unwrap();
        std::fs::write(dir.path().join("crest.png"), [1, 2, 3]).unwrap();
        std::fs::write(dir.path().join(".hidden"), "x").unwrap();
        let assets = load(Some(dir.path())).unwrap();
        assert_eq!(&assets.find("logo.svg").unwrap().content[..], b"<svg/>");
        assert_eq!(assets.find("crest.png").unwrap().media_type, "image/png");
        let before = load(None).unwrap().url("logo.svg");
        assert_ne!(assets.url("logo.svg"), before);

        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        let error = load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("notes.txt"), "{error}");
        std::fs::remove_file(dir.path().join("notes.txt")).unwrap();
        std::fs::write(dir.path().join("big.png"), vec![0; 2 << 20]).unwrap();
        assert!(load(Some(dir.path())).is_err());
    }
}
