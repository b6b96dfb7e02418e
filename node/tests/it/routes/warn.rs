//! `warn`: asking before going on to a further application.

use crate::util::{Answer, Browser, Cluster, Options};

const PORTAL: &str = "/cas/login?service=https://portal.example.edu/home";

/// Signs in at `path` with more fields.
async fn sign_in(
    browser: &mut Browser,
    router: &axum::Router,
    path: &str,
    more: &[(&str, &str)],
) -> Answer {
    let execution = browser.get(router, path).await.execution();
    let mut fields = vec![
        ("username", "casuser"),
        ("password", "Mellon"),
        ("execution", execution.as_str()),
        ("_eventId", "submit"),
    ];
    fields.extend_from_slice(more);
    browser.post(router, path, &fields).await
}

/// The `Set-Cookie` of the wish.
fn wish(answer: &Answer) -> Option<&str> {
    let mut cookies = answer.headers.get_all("set-cookie").iter();
    cookies.find_map(|v| v.to_str().ok().filter(|v| v.starts_with("CASPRIVACY=")))
}

fn asks(answer: &Answer) -> bool {
    answer.body.contains("name=\"_eventId\" value=\"proceed\"") && answer.ticket().is_none()
}

#[tokio::test]
async fn who_wishes_it_is_asked_before_the_next_application_but_not_right_after_the_password() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let form = browser.get(router, PORTAL).await;
    assert!(form.body.contains("name=\"warn\"") && !form.body.contains("checked"));
    let first = sign_in(&mut browser, router, PORTAL, &[("warn", "true")]).await;
    assert!(first.status == 302 && first.ticket().is_some(), "{first:?}");
    assert_eq!(
        wish(&first),
        Some("CASPRIVACY=true; Path=/cas; Secure; HttpOnly; SameSite=None")
    );
    let page = browser.get(router, PORTAL).await;
    assert!(page.status == 200 && asks(&page), "{page:?}");
    for part in ["Portal", "https://portal.example.edu<", "casuser"] {
        assert!(page.body.contains(part), "{part}\n{}", page.body);
    }
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("form-action 'self' https:"), "{policy}");
    let granted = |actions: Vec<String>| {
        let created = actions.iter().filter(|a| *a == "SERVICE_TICKET_CREATED");
        created.count()
    };
    assert_eq!(granted(cluster.actions(0)), 1, "none for the page");

    let execution = page.execution();
    let fields = [("execution", execution.as_str()), ("_eventId", "proceed")];
    let gone_on = browser.post(router, PORTAL, &fields).await;
    assert_eq!(gone_on.status, 302);
    let location = gone_on.header("location");
    assert!(
        location.starts_with("https://portal.example.edu/home?ticket=ST-"),
        "{location}"
    );
    assert!(asks(&browser.get(router, PORTAL).await), "every time");
    let renew = browser.get(router, &format!("{PORTAL}&renew=true")).await;
    assert!(renew.body.contains("name=\"password\"") && renew.body.contains(" checked>"));
}

#[tokio::test]
async fn gateway_shows_no_page_and_gives_no_ticket() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    sign_in(&mut browser, router, "/cas/login", &[("warn", "on")]).await;
    let answer = browser.get(router, &format!("{PORTAL}&gateway=true")).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), "https://portal.example.edu/home");
}

#[tokio::test]
async fn only_our_own_page_about_this_application_counts() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    sign_in(&mut browser, router, "/cas/login", &[("warn", "true")]).await;
    let execution = browser.get(router, PORTAL).await.execution();
    let plain = Browser::new().get(router, "/cas/login").await.execution();
    let other = "/cas/login?service=https://payroll.example.edu/";
    let forged = execution.replace(&execution[10..20], "AAAAAAAAAA");
    for (sealed, header, status) in [
        (&execution, Some(("sec-fetch-site", "cross-site")), 403),
        (&execution, Some(("origin", "https://evil.example")), 403),
        (&forged, None, 400),
        (&String::new(), None, 400),
        (&plain, None, 400),
    ] {
        let mut sender = Browser::new();
        sender.cookies.clone_from(&browser.cookies);
        sender
            .headers
            .extend(header.map(|(n, v)| (n.into(), v.into())));
        let fields = [("execution", sealed.as_str()), ("_eventId", "proceed")];
        let answer = sender.post(router, PORTAL, &fields).await;
        assert_eq!(answer.status.as_u16(), status, "{header:?} {answer:?}");
        assert!(asks(&answer), "{answer:?}");
    }
    // Payroll wants a password each time; the portal's page is no consent to it either.
    let fields = [("execution", execution.as_str()), ("_eventId", "proceed")];
    let elsewhere = browser.post(router, other, &fields).await;
    assert!(elsewhere.ticket().is_none() && elsewhere.body.contains("name=\"password\""));
    let mut nobody = Browser::new();
    let answer = nobody.post(router, PORTAL, &fields).await;
    assert!(answer.status == 200 && answer.body.contains("name=\"password\""));
    // By GET it means nothing.
    let path = format!("{PORTAL}&execution={execution}&_eventId=proceed");
    assert!(asks(&browser.get(router, &path).await));
    let faculty = browser
        .get(router, "/cas/login?service=https://faculty.example.edu/")
        .await;
    assert_eq!(faculty.status, 403, "refused before anything is asked");
}

#[tokio::test]
async fn the_wish_goes_with_the_box_the_next_sign_in_or_the_logout() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    sign_in(&mut browser, router, "/cas/login", &[("warn", "true")]).await;
    let execution = browser.get(router, PORTAL).await.execution();
    let fields = [
        ("execution", execution.as_str()),
        ("_eventId", "proceed"),
        ("ignorewarn", "true"),
    ];
    let answer = browser.post(router, PORTAL, &fields).await;
    assert!(answer.ticket().is_some());
    assert!(wish(&answer).unwrap().contains("Max-Age=0"));
    assert!(browser.get(router, PORTAL).await.ticket().is_some());

    let again = "/cas/login?renew=true";
    sign_in(&mut browser, router, again, &[("warn", "true")]).await;
    assert!(asks(&browser.get(router, PORTAL).await));
    let without = sign_in(&mut browser, router, again, &[("warn", "false")]).await;
    assert!(wish(&without).unwrap().contains("Max-Age=0"));

    sign_in(&mut browser, router, again, &[("warn", "true")]).await;
    let out = browser.get(router, "/cas/logout").await;
    assert!(wish(&out).unwrap().contains("Max-Age=0"), "{out:?}");
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn where_it_is_not_offered_nobody_is_asked() {
    let options = Options {
        set: vec![("web.offer_warn", "false")],
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let form = browser.get(router, "/cas/login").await;
    assert!(!form.body.contains("name=\"warn\""));
    let answer = sign_in(&mut browser, router, "/cas/login", &[("warn", "true")]).await;
    assert!(wish(&answer).is_none());
    browser.cookies.insert("CASPRIVACY".into(), "true".into());
    assert!(browser.get(router, PORTAL).await.ticket().is_some());
}
