//! Every page with sample contents, rendered when templates and texts are loaded.

use super::{ErrorKind, Failure, LoginPage, Page, ServiceInfo, WarnPage, flow_fields, signed_out};
use crate::web::language::Wanted;
use crate::web::{Look, WebError};

/// Renders every page once in every language, so that a broken template is told at load and not to a
/// person.
///
/// # Errors
/// What fails, or what a template lacks.
pub(in crate::web) fn rehearse(look: &Look) -> Result<(), WebError> {
    for language in look.messages.languages() {
        let wanted = Wanted {
            locale: Some(language),
            accept_language: None,
        };
        rehearse_in(look, &wanted)?;
    }
    Ok(())
}

fn rehearse_in(look: &Look, wanted: &Wanted<'_>) -> Result<(), WebError> {
    let render = |page: &Page| {
        let (name, context) = look.context_of(page, wanted);
        look.templates.render_chosen(name, &context)
    };
    let login = render(&Page::Login(Box::new(full_login())))?;
    for needed in [
        flow_fields(&full_login().execution, "submit").as_str(),
        "name=\"username\"",
        "name=\"password\"",
        "method=\"post\"",
    ] {
        if !login.contains(needed) {
            return Err(WebError(format!(
                "login.html: the form has no {}; it must place {{{{ flow_fields }}}} and the \
                 inputs username and password",
                needed.lines().next().unwrap_or(needed)
            )));
        }
    }
    let warn = render(&Page::Warn(Box::new(full_warn())))?;
    if !warn.contains(&flow_fields(&full_warn().execution, "proceed")) {
        let says = "warn.html: its form must place {{ flow_fields }}, or nobody can go on";
        return Err(WebError(says.to_owned()));
    }
    for page in plain_pages() {
        render(&page)?;
    }
    signed_out::rehearse(render)
}

/// Pages of which nothing more is asked than that they can be shown.
pub(super) fn plain_pages() -> Vec<Page> {
    let mut pages = vec![
        Page::Login(Box::default()),
        Page::Warn(Box::default()),
        Page::SignedIn {
            username: "casuser".into(),
        },
        Page::Post {
            action: "https://app.example.edu/".into(),
            service: "App".into(),
            fields: vec![("ticket".into(), "ST-1".into())],
        },
    ];
    pages.extend(ErrorKind::ALL.map(|kind| Page::Error {
        kind,
        reference: Some("1234abcd".into()),
    }));
    pages
}

fn full_service() -> ServiceInfo {
    ServiceInfo {
        name: "App".into(),
        description: Some("About".into()),
        logo: Some("https://app.example.edu/logo.svg".into()),
        information_url: Some("https://app.example.edu/about".into()),
        privacy_url: Some("https://app.example.edu/privacy".into()),
    }
}

pub(super) fn full_warn() -> WarnPage {
    WarnPage {
        execution: "AAAA_-sample".into(),
        action: "login?service=x".into(),
        service: full_service(),
        address: "https://app.example.edu".into(),
        username: "casuser".into(),
    }
}

pub(super) fn full_login() -> LoginPage {
    LoginPage {
        execution: "AAAA_-sample".into(),
        action: "login?service=x".into(),
        service: Some(full_service()),
        failure: Some(Failure::Credentials),
        username: "casuser".into(),
        renew: true,
        remember_me: true,
        warn: true,
        warn_checked: true,
    }
}
