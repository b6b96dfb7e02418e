//! `GET /login`.

use castor_proto::ticket::{TicketBody, TicketKind};

use crate::util::{Browser, Cluster, Options};

const PORTAL: &str = "https%3A%2F%2Fportal.example.edu%2Fhome%3Fa%3D1%23top";

#[tokio::test]
async fn without_a_session_the_form_is_shown() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let page = browser
        .get(router, &format!("/cas/login?service={PORTAL}"))
        .await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("to continue to <strong>Portal</strong>"),
        "{}",
        page.body
    );
    assert!(page.body.contains("The campus portal"));
    let action = "action=\"login?service=https%3A%2F%2Fportal.example.edu%2Fhome%3Fa%3D1%23top\"";
    assert!(page.body.contains(action), "{}", page.body);
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.ends_with("form-action 'self' https:"));
    assert!(page.tgc().is_none());
    let plain = browser.get(router, "/cas/login").await;
    assert!(
        plain
            .header("content-security-policy")
            .ends_with("form-action 'self'")
    );
}

#[tokio::test]
async fn with_a_session_the_browser_goes_on_with_a_ticket_before_the_fragment() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let path = format!("/cas/login?service={PORTAL}");
    let answer = browser.get(router, &path).await;
    assert_eq!(answer.status, 302);
    let ticket = answer.ticket().unwrap();
    let expected = format!("https://portal.example.edu/home?a=1&ticket={ticket}#top");
    assert_eq!(answer.header("location"), expected);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(ticket.starts_with("ST-") && ticket.len() <= 64);
    assert!(
        ticket
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    );
    let page = browser.get(router, "/cas/login").await;
    assert!(
        page.status == 200 && page.body.contains("casuser"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn renew_asks_again_and_gateway_never_does() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let with = |more: &str| format!("/cas/login?service={PORTAL}{more}");
    let away = browser.get(router, &with("&gateway=true")).await;
    assert_eq!(
        away.header("location"),
        "https://portal.example.edu/home?a=1#top"
    );
    assert_eq!(away.status, 302);
    let both = browser.get(router, &with("&gateway=true&renew=true")).await;
    assert!(both.status == 200 && both.body.contains("name=\"password\""));
    let no_service = browser.get(router, "/cas/login?gateway=true").await;
    assert!(no_service.status == 200 && no_service.body.contains("name=\"password\""));

    browser.sign_in(router, "/cas/login").await;
    for renew in ["&renew=true", "&renew", "&renew=false"] {
        let form = browser.get(router, &with(renew)).await;
        assert!(
            form.status == 200 && form.body.contains("name=\"password\""),
            "{renew}"
        );
    }
    let there = browser.get(router, &with("&gateway=true")).await;
    assert!(there.ticket().is_some());
}

#[tokio::test]
async fn tickets_go_back_by_redirect_form_or_header() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let with = |method: &str| format!("/cas/login?service={PORTAL}&method={method}");
    for method in ["GET", "get", "FAX"] {
        let answer = browser.get(router, &with(method)).await;
        assert!(
            answer.status == 302 && answer.ticket().is_some(),
            "{method}"
        );
    }
    let post = browser.get(router, &with("post")).await;
    assert_eq!(post.status, 200);
    assert!(
        post.body.contains("name=\"ticket\" value=\"ST-"),
        "{}",
        post.body
    );
    assert!(post.body.contains("<button"), "works without scripts");
    let policy = post.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && policy.contains("form-action 'self' https:"));
    let header = browser.get(router, &with("HEADER")).await;
    assert_eq!(header.status, 200);
    assert!(header.header("ticket").starts_with("ST-"));
    assert_eq!(
        header.header("service"),
        "https://portal.example.edu/home?a=1#top"
    );
}

#[tokio::test]
async fn applications_that_may_not_are_refused_with_403() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    for host in ["evil.example", "closed.example.edu"] {
        let path = format!("/cas/login?service=https://{host}/");
        let answer = browser.get(router, &path).await;
        assert_eq!(answer.status, 403, "{host}");
        assert!(answer.body.contains("not registered"), "{}", answer.body);
    }
    browser.sign_in(router, "/cas/login").await;
    let faculty = "/cas/login?service=https://faculty.example.edu/";
    let answer = browser.get(router, faculty).await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("may not use this application"));
    let gateway = browser
        .get(router, &format!("{faculty}&gateway=true"))
        .await;
    assert_eq!(gateway.header("location"), "https://faculty.example.edu/");
    let actions = cluster.actions(0);
    assert!(actions.contains(&"SERVICE_ACCESS_ENFORCEMENT_TRIGGERED".to_owned()));
    assert!(actions.contains(&"SERVICE_TICKET_NOT_CREATED".to_owned()));
}

#[tokio::test]
async fn malformed_requests_get_a_clear_page() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let long = format!(
        "/cas/login?service=https://portal.example.edu/{}",
        "x".repeat(9000)
    );
    // Short as received, too long as it stands in `Location`.
    let nine_bytes_each = format!(
        "/cas/login?gateway=true&service=https://portal.example.edu/{}",
        "%e2%82%ac".repeat(2000)
    );
    for path in [
        "/cas/login?service=https://portal.example.edu/%0d%0aSet-Cookie:x",
        "/cas/login?service=https://portal.example.edu/%00",
        "/cas/login?service=https://portal.example.edu/&service=https://portal.example.edu/",
        "/cas/login?service=%ff%fe",
        "/cas/login?service=javascript://portal.example.edu/",
        "/cas/login?service=portal",
        // Matched without `;jsession...` these are the portal; a browser goes to evil.example.
        "/cas/login?service=https://portal.example.edu;jsession@evil.example/",
        "/cas/login?gateway=true&service=https://portal.example.edu;jsession@evil.example/",
        "/cas/login?gateway=true&service=https://portal.example.edu/%5c@evil.example/",
        &long,
        &nine_bytes_each,
    ] {
        let answer = browser.get(router, path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.body.contains("cannot be understood"),
            "{}",
            answer.body
        );
        assert!(answer.headers.get("location").is_none());
    }
}

#[tokio::test]
async fn a_service_without_single_sign_on_asks_every_time() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let payroll = "/cas/login?service=https://payroll.example.edu/me";
    let form = browser.get(router, payroll).await;
    assert!(form.body.contains("name=\"password\""));
    let gateway = browser
        .get(router, &format!("{payroll}&gateway=true"))
        .await;
    assert_eq!(gateway.header("location"), "https://payroll.example.edu/me");
    let answer = browser.sign_in(router, payroll).await;
    assert!(answer.status == 302 && answer.ticket().is_some());
}

#[tokio::test]
async fn a_cookie_that_means_nothing_is_removed() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.cookies.insert("TGC".into(), "TGT-1-made-up".into());
    let answer = browser.get(router, "/cas/login").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .tgc()
            .unwrap()
            .starts_with("TGC=; Max-Age=0; Path=/cas; Secure; HttpOnly")
    );
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn the_cookie_follows_the_configuration() {
    let options = Options {
        set: vec![
            ("tickets.remember_me.enabled", "true"),
            ("web.cookie.same_site", "lax"),
            ("http.public_url", "https://sso.example.edu/cas"),
        ],
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let form = browser.get(router, "/cas/login").await;
    assert!(form.body.contains("name=\"rememberMe\""));
    assert!(!form.header("strict-transport-security").is_empty());
    let answer = browser
        .post(
            router,
            "/cas/login",
            &[
                ("username", "casuser"),
                ("password", "Mellon"),
                ("rememberMe", "true"),
                ("execution", &form.execution()),
                ("_eventId", "submit"),
            ],
        )
        .await;
    let cookie = answer.tgc().unwrap();
    assert!(cookie.contains("; SameSite=Lax"), "{cookie}");
    let (_, age) = cookie.split_once("Max-Age=").unwrap();
    let age: u64 = age.split(';').next().unwrap().parse().unwrap();
    assert!((1_209_500..=1_209_600).contains(&age), "{age}");
}

#[tokio::test]
async fn a_remembered_session_is_long_and_applications_are_told_so() {
    let options = Options {
        set: vec![
            ("tickets.remember_me.enabled", "true"),
            ("tickets.remember_me.max_life", "3d"),
            ("tickets.remember_me.idle", "2d"),
        ],
        ..Options::default()
    };
    let cluster = Cluster::start(2, options).await;
    let [a, b] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let path = "/cas/login?service=https://portal.example.edu/";
    for (box_says, remembered) in [(Some("true"), true), (Some("false"), false), (None, false)] {
        let mut browser = Browser::new();
        let execution = browser.get(&a.router, path).await.execution();
        let mut fields = vec![
            ("username", "casuser"),
            ("password", "Mellon"),
            ("execution", execution.as_str()),
        ];
        fields.extend(box_says.map(|says| ("rememberMe", says)));
        let answer = browser.post(&a.router, path, &fields).await;
        let max_age = answer.tgc().unwrap().contains("Max-Age=259");
        assert_eq!(max_age, remembered, "{answer:?}");
        // Of a later ticket, too, and on another node.
        let ticket = browser.get(&b.router, path).await.ticket().unwrap();
        let query = format!("service=https://portal.example.edu/&ticket={ticket}");
        let path = format!("/cas/p3/serviceValidate?{query}");
        let valid = Browser::new().get(&a.router, &path).await;
        let shown = format!("<cas:longTermAuthenticationRequestTokenUsed>{remembered}<");
        assert!(valid.body.contains(&shown), "{}", valid.body);
    }
    let mut lives = Vec::new();
    a.handle.store().visit(TicketKind::Tgt, &mut |entry| {
        let body = TicketBody::decode(entry.body.as_ref().unwrap()).unwrap();
        lives.push((body.hard_expiry - body.created, body.idle_ms));
        true
    });
    lives.sort_unstable();
    let (hour, day) = (3_600_000, 86_400_000);
    let ordinary = (8 * hour, 2 * hour);
    assert_eq!(lives, [ordinary, ordinary, (3 * day, 2 * day)]);
}

#[tokio::test]
async fn without_remember_me_the_box_is_not_there_and_not_believed() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let form = browser.get(router, "/cas/login").await;
    assert!(!form.body.contains("rememberMe"));
    let fields = [
        ("username", "casuser"),
        ("password", "Mellon"),
        ("rememberMe", "true"),
        ("execution", &form.execution()),
    ];
    let answer = browser.post(router, "/cas/login", &fields).await;
    assert!(!answer.tgc().unwrap().contains("Max-Age"), "{answer:?}");
}

#[tokio::test]
async fn a_bound_cookie_is_good_for_its_browser_and_address_alone() {
    let path = "/cas/login?service=https://portal.example.edu/";
    for (key, same, other) in [
        (
            "web.cookie.pin_to_address",
            ("203.0.113.9", "B"),
            ("203.0.113.8", "A"),
        ),
        (
            "web.cookie.pin_to_user_agent",
            ("203.0.113.8", "A"),
            ("203.0.113.9", "B"),
        ),
    ] {
        let options = Options {
            set: vec![(key, "true")],
            ..Options::default()
        };
        let cluster = Cluster::start(2, options).await;
        let [a, b] = cluster.nodes.as_slice() else {
            panic!("two nodes")
        };
        let at = |(address, agent): (&str, &str)| {
            Browser::new()
                .with("x-forwarded-for", address)
                .with("user-agent", agent)
        };
        let mut browser = at(("203.0.113.9", "A"));
        browser.sign_in(&a.router, path).await;
        let mut same = at(same);
        same.cookies = browser.cookies.clone();
        assert!(same.get(&b.router, path).await.ticket().is_some(), "{key}");
        let mut thief = at(other);
        thief.cookies = browser.cookies.clone();
        let answer = thief.get(&b.router, path).await;
        assert!(
            answer.body.contains("name=\"password\""),
            "{key}: {answer:?}"
        );
        assert!(thief.cookies.contains_key("TGC"), "it may be good again");
        let still = browser.get(&b.router, path).await;
        assert!(still.ticket().is_some(), "{key}");
    }
}

#[tokio::test]
async fn the_root_leads_to_the_form_with_everything_that_was_asked() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    for (path, location) in [
        ("/cas", "/cas/login".to_owned()),
        ("/cas/", "/cas/login".to_owned()),
        ("/cas/?", "/cas/login".to_owned()),
        (
            &*format!("/cas?service={PORTAL}"),
            format!("/cas/login?service={PORTAL}"),
        ),
        (
            &*format!("/cas/?service={PORTAL}&renew=true"),
            format!("/cas/login?service={PORTAL}&renew=true"),
        ),
    ] {
        let answer = browser.get(router, path).await;
        assert_eq!(answer.status, 307, "{path}");
        assert_eq!(answer.header("location"), location, "{path}");
    }
}

#[tokio::test]
async fn what_counts_by_being_there_may_be_given_twice() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let service = "service=https://portal.example.edu/";
    for (query, status) in [
        (format!("{service}&gateway=a&gateway=b"), 302),
        (format!("{service}&renew&renew"), 200),
        ("locale=de&locale=fr".to_owned(), 200),
        (format!("{service}&TARGET=a&TARGET=b"), 200),
        (format!("{service}&{service}"), 400),
        (format!("{service}&method=GET&method=GET"), 400),
        ("x&".repeat(129), 400),
    ] {
        let answer = browser.get(router, &format!("/cas/login?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }
    let format = "/cas/proxy?pgt=PGT-1&targetService=x&format=JSON&format=JSON";
    let proxy = browser.get(router, format).await;
    assert!(proxy.body.contains("<cas:proxyFailure"), "{}", proxy.body);
    let validation = "ticket=ST-1&format=JSON&format=JSON";
    let path = format!("/cas/serviceValidate?{service}&{validation}");
    let refused = browser.get(router, &path).await;
    assert!(refused.body.contains("INVALID_REQUEST"), "{}", refused.body);

    browser.sign_in(router, "/cas/login").await;
    let ended = browser
        .get(router, &format!("/cas/logout?{service}&{service}"))
        .await;
    assert_eq!(ended.status, 200);
    assert!(ended.body.contains("You are signed out"), "{}", ended.body);
}
