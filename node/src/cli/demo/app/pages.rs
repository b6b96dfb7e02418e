//! The applications' pages, from the templates in `node/demo/app`.
//!
//! Promises: every value is escaped. Does not: fetch anything.

use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use minijinja::{Environment, context};

use super::client::Refused;
use super::sessions::Visit;
use super::{Identity, Link};

fn to(value: &impl serde::Serialize) -> minijinja::Value {
    minijinja::value::Serde(value).into()
}

/// The templates, parsed once.
pub(super) struct Pages(Environment<'static>);

impl Pages {
    /// Parses the templates.
    ///
    /// # Errors
    /// When a built-in template is wrong, which the tests rule out.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        for (name, text) in [
            ("base.html", include_str!("../../../../demo/app/base.html")),
            ("home.html", include_str!("../../../../demo/app/home.html")),
            (
                "problem.html",
                include_str!("../../../../demo/app/problem.html"),
            ),
        ] {
            environment.add_template(name, text)?;
        }
        Ok(Self(environment))
    }

    /// The page of somebody who is signed in.
    pub(super) fn home(&self, app: &Identity, other: &Link, visit: &Visit) -> Response {
        let names = visit
            .attributes
            .iter()
            .find(|(name, _)| name == "displayName");
        let greeting = names
            .and_then(|(_, values)| values.first())
            .unwrap_or(&visit.user);
        self.render(
            StatusCode::OK,
            "home.html",
            context! { app => to(app), other => to(other), visit => to(visit), greeting },
        )
    }

    /// The page of somebody who is not let in.
    pub(super) fn problem(&self, app: &Identity, other: &Link, refused: &Refused) -> Response {
        let (status, heading, text) = match refused {
            Refused::Code(code) => (
                StatusCode::FORBIDDEN,
                "This ticket does not open the door",
                format!(
                    "Castor refused it ({code}). A ticket works once and for ten seconds; \
                     a page loaded again brings a used one."
                ),
            ),
            Refused::NoAnswer(why) => (
                StatusCode::BAD_GATEWAY,
                "Castor cannot be asked right now",
                format!("The ticket could not be validated: {why}."),
            ),
        };
        self.render(
            status,
            "problem.html",
            context! { app => to(app), other => to(other), heading, text },
        )
    }

    fn render(&self, status: StatusCode, name: &str, values: minijinja::Value) -> Response {
        match self
            .0
            .get_template(name)
            .and_then(|template| template.render(values))
        {
            Ok(page) => (status, Html(page)).into_response(),
            Err(error) => {
                tracing::error!(%error, page = name, "a page of the demo could not be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
