//! Pages as browsers and scripts read them.

use super::rehearsal::{full_login, full_warn, plain_pages};
use super::*;
use crate::config::Config;
use crate::web::language::Tag;
use std::path::Path;

fn config(templates: Option<&Path>) -> crate::config::Web {
    let mut web = Config::defaults().unwrap().web;
    web.template_folder = templates.map(Path::to_owned);
    web
}

fn look() -> Look {
    Look::build(&config(None), "/cas").unwrap()
}

fn login(login: LoginPage) -> String {
    look().render(&Page::Login(Box::new(login)), &Wanted::default())
}

/// A page in the language of a `locale`.
fn page_in(locale: &str, look: &Look, page: &Page) -> String {
    let tag = Tag::parse(locale).unwrap();
    let wanted = Wanted {
        locale: Some(&tag),
        accept_language: None,
    };
    look.render(page, &wanted)
}

#[test]
fn hidden_inputs_are_what_scripts_look_for() {
    let html = login(LoginPage {
        execution: "abc_DEF-123".into(),
        action: "login".into(),
        ..LoginPage::default()
    });
    let find = |pattern: &str| {
        let found = regex::Regex::new(pattern).unwrap().captures(&html);
        found.unwrap_or_else(|| panic!("{pattern}\n{html}"))[1].to_owned()
    };
    // Expressions as in the locust and artillery scripts of the CAS project.
    let locust = find(r#"<input type="hidden" name="execution" value="([^"]+)""#);
    assert_eq!(locust, "abc_DEF-123");
    let artillery = find(r#"<input type="hidden" name="execution" value="(.+?)"\s*/>"#);
    assert_eq!(artillery, "abc_DEF-123");
    let event = find(r#"<input type="hidden" name="_eventId" value="([^"]+)""#);
    assert_eq!(event, "submit");
    assert!(html.contains("<form method=\"post\" id=\"fm1\" action=\"login\""));
}

#[test]
fn labels_belong_to_their_inputs_and_errors_are_announced() {
    let html = login(LoginPage {
        failure: Some(Failure::Credentials),
        username: "mlee7".into(),
        ..LoginPage::default()
    });
    for part in [
        "<html lang=\"en\" dir=\"ltr\">",
        "<label for=\"username\">",
        "<label for=\"password\">",
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "role=\"alert\" id=\"failure\"",
        "aria-invalid=\"true\" aria-describedby=\"failure\"",
        "value=\"mlee7\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert_eq!(html.matches("<h1>").count(), 1);
    assert!(!html.contains("<script") && !html.contains(" style="));
    assert!(!login(LoginPage::default()).contains("role=\"alert\""));
}

#[test]
fn whatever_people_send_is_escaped() {
    let evil = "\"><script>alert(1)</script>";
    let html = login(LoginPage {
        username: evil.into(),
        action: format!("login?service={evil}"),
        service: Some(ServiceInfo {
            name: evil.into(),
            description: Some(evil.into()),
            ..ServiceInfo::default()
        }),
        ..LoginPage::default()
    });
    assert!(!html.contains("<script"), "{html}");
    let post = look().render(
        &Page::Post {
            action: evil.into(),
            service: evil.into(),
            fields: vec![(evil.into(), evil.into())],
        },
        &Wanted::default(),
    );
    assert_eq!(post.matches("<script").count(), 1, "only our own: {post}");
    assert!(!post.contains("alert(1)</script>"));
}

#[test]
fn a_replaced_template_is_tried_before_it_is_put_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let build = || Look::build(&config(Some(dir.path())), "/cas").map_err(|e| e.to_string());

    write("error.html", "<h1>{{ title }}</h1> house style");
    let look = build().unwrap();
    let page = Page::Error {
        kind: ErrorKind::Busy,
        reference: None,
    };
    assert!(page_in("en", &look, &page).contains("house style"));

    for (name, text, part) in [
        ("error.html", "<h1>{{ titel }}</h1>", "error.html: line 1"),
        ("error.html", "\n{% if %}", "line 2"),
        (
            "error.html",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "fuel",
        ),
        ("login.html", "<form method=\"post\"></form>", "flow_fields"),
        ("warn.html", "<form method=\"post\"></form>", "flow_fields"),
    ] {
        write("error.html", "ok");
        write("login.html", include_str!("../../../templates/login.html"));
        write(name, text);
        let error = build().map(|_| ()).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn every_error_page_has_its_own_words() {
    let look = look();
    let mut seen = std::collections::BTreeSet::new();
    for kind in ErrorKind::ALL {
        let page = Page::Error {
            kind,
            reference: Some("ref12345".into()),
        };
        let html = page_in("en", &look, &page);
        assert!(
            html.contains("ref12345") && !html.contains("error_"),
            "{html}"
        );
        assert!(seen.insert(html));
    }
}

#[test]
fn every_page_is_there_in_every_language() {
    let look = look();
    let heading = |html: &str| {
        let (_, rest) = html.split_once("<h1>").unwrap();
        rest.split("</h1>").next().unwrap().to_owned()
    };
    let mut pages = plain_pages();
    pages.push(Page::Login(Box::new(full_login())));
    pages.push(Page::Warn(Box::new(full_warn())));
    pages.push(Page::SignedOut(Box::default()));
    pages.push(Page::SignOut {
        action: "logout".into(),
    });
    for page in &pages {
        let english = page_in("en", &look, page);
        let german = page_in("de", &look, page);
        assert!(
            english.contains("<html lang=\"en\" dir=\"ltr\">"),
            "{english}"
        );
        assert!(
            german.contains("<html lang=\"de\" dir=\"ltr\">"),
            "{german}"
        );
        assert_ne!(heading(&english), heading(&german));
        // What no text was found for shows its key, which has an underscore.
        assert!(!heading(&english).contains('_') && !heading(&german).contains('_'));
    }
}

#[test]
fn a_language_from_right_to_left_turns_the_page_and_goes_along() {
    let dir = tempfile::tempdir().unwrap();
    let texts = "login_title = \"دخول\"\ndir = \"rtl\"\n";
    std::fs::write(dir.path().join("messages.ar.toml"), texts).unwrap();
    let look = Look::build(&config(Some(dir.path())), "/cas").unwrap();
    let html = page_in("ar", &look, &Page::Login(Box::new(full_login())));
    assert!(html.contains("<html lang=\"ar\" dir=\"rtl\">"), "{html}");
    assert!(
        html.contains("دخول") && html.contains("User name"),
        "{html}"
    );
    let signed_in = Page::SignedIn {
        username: "casuser".into(),
    };
    let html = page_in("ar", &look, &signed_in);
    assert!(html.contains("href=\"/cas/logout?locale=ar\""), "{html}");
}

#[test]
fn the_page_before_an_application_names_it_and_works_without_scripts() {
    let html = page_in("en", &look(), &Page::Warn(Box::new(full_warn())));
    for part in [
        "<strong>App</strong>",
        "https://app.example.edu</bdi>",
        "<strong>casuser</strong>",
        "<form method=\"post\" action=\"login?service=x\"",
        "<input type=\"hidden\" name=\"execution\" value=\"AAAA_-sample\"/>",
        "<input type=\"hidden\" name=\"_eventId\" value=\"proceed\"/>",
        "<label for=\"ignorewarn\">",
        "href=\"/cas/login?locale=en\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(!html.contains("<script"));
}
