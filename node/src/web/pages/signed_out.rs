//! The pages of signing out: the question before, and what is left to do after.

use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::Page;
#[cfg(test)]
use crate::web::language::Wanted;
use crate::web::{Look, WebError};

/// After signing out.
#[derive(Debug, Clone, Default)]
pub struct SignedOutPage {
    /// Whether there was a session.
    pub had_session: bool,
    /// Whether some nodes have not confirmed it yet.
    pub partial: bool,
    /// Applications that the browser tells by fetching a URL.
    pub applications: Vec<ToldByBrowser>,
    /// Where the browser goes on to.
    pub continue_url: Option<String>,
}

/// An application that the browser tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToldByBrowser {
    /// Its name.
    pub name: String,
    /// What the browser fetches.
    pub url: String,
}

impl SignedOutPage {
    pub(super) fn context(&self, login_url: &str) -> Value {
        context! {
            had_session => self.had_session,
            partial => self.partial,
            applications => Value::from(Serde(&self.applications)),
            continue_url => self.continue_url.as_deref(),
            login_url,
        }
    }
}

/// Renders the pages once, and looks for what makes the browser tell applications.
pub(super) fn rehearse(render: impl Fn(&Page) -> Result<String, WebError>) -> Result<(), WebError> {
    for had_session in [true, false] {
        render(&Page::SignedOut(Box::new(SignedOutPage {
            had_session,
            partial: had_session,
            ..SignedOutPage::default()
        })))?;
    }
    let url = "https://app.example.edu/out";
    let full = render(&Page::SignedOut(Box::new(SignedOutPage {
        had_session: true,
        partial: false,
        applications: vec![ToldByBrowser {
            name: "App".into(),
            url: url.into(),
        }],
        continue_url: Some("https://www.example.edu/".into()),
    })))?;
    if !full.contains(&format!("src=\"{url}\"")) {
        return Err(WebError(
            "signed_out.html: must place the url of every one of `applications` as the src of an \
             img, or they are never told"
                .into(),
        ));
    }
    render(&Page::SignOut {
        action: "logout".into(),
    })?;
    Ok(())
}

impl Look {
    /// For the tests of other rooms: a page in English.
    #[cfg(test)]
    pub(crate) fn in_english(&self, page: &Page) -> String {
        self.render(page, &Wanted::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn look() -> Look {
        Look::build(&Config::defaults().unwrap().web, "/cas").unwrap()
    }

    #[test]
    fn applications_are_told_by_pictures_and_have_links() {
        let page = SignedOutPage {
            had_session: true,
            applications: vec![ToldByBrowser {
                name: "A & B".into(),
                url: "https://a.edu/?callback=castor&logoutRequest=x%3D".into(),
            }],
            ..SignedOutPage::default()
        };
        let html = look().in_english(&Page::SignedOut(Box::new(page.clone())));
        let url = "https://a.edu/?callback=castor&amp;logoutRequest=x%3D";
        let slashes = url.replace('/', "&#x2f;");
        assert!(
            [url, &slashes]
                .iter()
                .any(|url| html.contains(&format!("src=\"{url}\""))
                    && html.contains(&format!("href=\"{url}\""))),
            "{html}"
        );
        assert!(
            html.contains("A &amp; B") && !html.contains("<script"),
            "{html}"
        );
        let going_on = SignedOutPage {
            continue_url: Some("https://www.example.edu/".into()),
            ..page
        };
        let html = look().in_english(&Page::SignedOut(Box::new(going_on)));
        assert!(html.contains("http-equiv=\"refresh\"") && html.contains("logout.js"));
        assert!(html.contains("id=\"continue\""), "{html}");
    }
}
