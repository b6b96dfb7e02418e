//! Everything a browser meets: pages, assets, cookies, headers, the state of the login form.
//!
//! - [`pages`]: what a page shows; [`templates`]: how; [`messages`]: in which words; [`language`]: in which
//!   language a request wants them
//! - [`assets`] and [`theme`]: style sheets and pictures
//! - [`headers`]: security headers of each kind of page
//! - [`flow`]: the state sealed into the login form; [`cookies`]: the cookies of a session;
//!   [`pin`]: what one is bound to
//! - [`origin`]: did a form come from our own page; [`client_ip`]: who is behind the proxy
//! - [`form`]: urlencoded queries and bodies, strictly
//!
//! [`Web`] is what is in force: a reload builds everything anew and swaps it at once, so that a
//! page never mixes old and new.

pub mod assets;
pub mod client_ip;
pub mod cookies;
pub mod flow;
pub mod form;
pub mod headers;
pub mod language;
pub mod messages;
pub mod origin;
pub mod pages;
pub mod pin;
pub mod templates;
pub mod theme;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config;
use assets::Assets;
use messages::Messages;
use templates::Templates;
use theme::Theme;

/// A template, text or asset that cannot be used; the text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebError(pub String);

/// How pages look and what they say; unchanging.
#[derive(Debug)]
pub struct Look {
    /// Name of the house.
    pub title: String,
    /// Path of the CAS endpoints, such as `/cas`.
    pub prefix: String,
    /// Texts.
    pub messages: Messages,
    /// Style sheets and pictures.
    pub assets: Assets,
    /// URL of the logo.
    pub logo: String,
    templates: Templates,
}

impl Look {
    /// Builds everything from the configuration and the folders it names. Blocking.
    ///
    /// # Errors
    /// The first template, text or asset that cannot be used, by file name.
    pub fn build(config: &config::Web, prefix: &str) -> Result<Self, WebError> {
        let theme = Theme::from_accent(&config.primary_color.0);
        let assets = Assets::load(config.asset_folder.as_deref(), &theme, prefix)?;
        let messages = Messages::load(config.template_folder.as_deref())?;
        let logo_name = config.logo.as_deref().unwrap_or("logo.svg");
        let logo = assets.url(logo_name).ok_or_else(|| {
            WebError(format!(
                "web.logo: there is no asset {logo_name}; put it into web.asset_folder"
            ))
        })?;
        let templates = Templates::load(config.template_folder.as_deref())?;
        let look = Self {
            title: config.title.clone(),
            prefix: prefix.to_owned(),
            messages,
            assets,
            logo,
            templates,
        };
        pages::rehearse(&look)?;
        Ok(look)
    }
}

/// The look in force.
#[derive(Debug)]
pub struct Web {
    look: ArcSwap<Look>,
}

impl Web {
    /// Builds the first look.
    ///
    /// # Errors
    /// As [`Look::build`].
    pub fn open(config: &config::Web, prefix: &str) -> Result<Self, WebError> {
        Look::build(config, prefix).map(|look| Self {
            look: ArcSwap::from_pointee(look),
        })
    }

    /// The look in force.
    pub fn look(&self) -> Arc<Look> {
        self.look.load_full()
    }

    /// Builds a look from the configuration now in force and swaps it in; blocking.
    ///
    /// # Errors
    /// As [`Look::build`]; the last good look stays in force.
    pub fn reload(&self, config: &config::Web) -> Result<(), WebError> {
        let look = Look::build(config, &self.look.load().prefix)?;
        self.look.store(Arc::new(look));
        Ok(())
    }
}

/// Reads a small file whole.
fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, WebError> {
    use std::io::Read as _;
    let fail = |says: String| WebError(format!("{}: {says}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| fail(format!("cannot read it: {e}")))?;
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| fail(format!("cannot read it: {e}")))?;
    if bytes.len() as u64 > max {
        return Err(fail(format!("is larger than {max} bytes")));
    }
    Ok(bytes)
}
