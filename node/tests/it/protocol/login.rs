//! 2.1 `/login` as credential requestor, 2.2 `/login` as credential acceptor.

use super::{SERVICE, check, says};
use crate::util::{Browser, Cluster};

#[tokio::test]
async fn section_2_1_1_parameters_without_a_session() {
    let cluster = Cluster::one().await;
    let gone_on = format!("302 to {SERVICE}");
    let service = format!("/login?service={SERVICE}");
    for (row, path, expected) in [
        ("no parameter", "/login".to_owned(), "200 form"),
        ("service", service.clone(), "200 form"),
        ("service, empty", "/login?service=".to_owned(), "200 form"),
        (
            "service, encoded",
            "/login?service=https%3A%2F%2Fportal.example.edu%2F".to_owned(),
            "200 form",
        ),
        (
            "a service that is not registered",
            "/login?service=https://nowhere.example/".to_owned(),
            "403 page",
        ),
        ("renew", format!("{service}&renew=true"), "200 form"),
        (
            "gateway",
            format!("{service}&gateway=true"),
            gone_on.as_str(),
        ),
        (
            "gateway, any value",
            format!("{service}&gateway=x"),
            gone_on.as_str(),
        ),
        (
            "gateway and renew",
            format!("{service}&gateway=true&renew=true"),
            "200 form",
        ),
        (
            "gateway without service",
            "/login?gateway=true".to_owned(),
            "200 form",
        ),
        ("method", format!("{service}&method=POST"), "200 form"),
        (
            "one that nobody knows",
            format!("{service}&theme=x&lang=y"),
            "200 form",
        ),
        (
            "names have a case",
            format!("{service}&GATEWAY=true"),
            "200 form",
        ),
    ] {
        check(&cluster, &mut Browser::new(), row, &path, expected).await;
    }
}

#[tokio::test]
async fn section_2_1_5_single_sign_on() {
    let cluster = Cluster::one().await;
    let mut browser = Browser::new();
    let router = &cluster.nodes[0].router;
    browser.sign_in(router, "/cas/login").await;
    let service = format!("/login?service={SERVICE}");
    let gone_on = format!("302 to {SERVICE}?ticket=ST");
    for (row, path, expected) in [
        ("no service", "/login".to_owned(), "200 page"),
        ("service", service.clone(), gone_on.as_str()),
        (
            "a query and a fragment of its own",
            "/login?service=https%3A%2F%2Fportal.example.edu%2Fhome%3Fa%3D1%26b%23top".to_owned(),
            "302 to https://portal.example.edu/home?a=1&b&ticket=ST#top",
        ),
        (
            "the session of the application in its path",
            "/login?service=https%3A%2F%2Fportal.example.edu%2Fhome%3Bjsessionid%3DAB%3Fa"
                .to_owned(),
            "302 to https://portal.example.edu/home;jsessionid=AB?a&ticket=ST",
        ),
        (
            "gateway",
            format!("{service}&gateway=true"),
            gone_on.as_str(),
        ),
        ("renew", format!("{service}&renew=true"), "200 form"),
        (
            "renew, any value",
            format!("{service}&renew=false"),
            "200 form",
        ),
        (
            "gateway and renew",
            format!("{service}&gateway=true&renew=true"),
            "200 form",
        ),
        (
            "method=GET",
            format!("{service}&method=GET"),
            gone_on.as_str(),
        ),
        (
            "method=POST",
            format!("{service}&method=POST"),
            "200 form with the ticket",
        ),
        (
            "method, whatever the case",
            format!("{service}&method=post"),
            "200 form with the ticket",
        ),
        (
            "method that nobody knows",
            format!("{service}&method=PIGEON"),
            gone_on.as_str(),
        ),
        (
            "a service that is not registered",
            "/login?service=https://nowhere.example/".to_owned(),
            "403 page",
        ),
    ] {
        check(&cluster, &mut browser, row, &path, expected).await;
    }
}

/// Posts the form with these fields beside its own; what comes back.
async fn post(cluster: &Cluster, path: &str, fields: &[(&str, &str)]) -> String {
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let form = browser.get(router, path).await;
    let execution = form.execution();
    let own = [("execution", execution.as_str()), ("_eventId", "submit")];
    let fields = [&own[..], fields].concat();
    says(&browser.post(router, path, &fields).await)
}

#[tokio::test]
async fn section_2_2_2_parameters_for_username_and_password() {
    let cluster = Cluster::one().await;
    let good = [("username", "casuser"), ("password", "Mellon")];
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let service = format!("/cas/login?service={SERVICE}");
    let gone_on = format!("302 to {SERVICE}?ticket=ST");
    for (row, path, fields, expected) in [
        ("without a service", "/cas/login", with(&[]), "200 page"),
        ("with a service", &service, with(&[]), &gone_on),
        (
            "a login ticket of older clients",
            &service,
            with(&[("lt", "LT-1-x")]),
            &gone_on,
        ),
        (
            "fields that browsers add",
            &service,
            with(&[("submit", "LOGIN"), ("x", "")]),
            &gone_on,
        ),
        (
            "warn, right after the password",
            &service,
            with(&[("warn", "true")]),
            &gone_on,
        ),
        (
            "rememberMe, which is not offered",
            &service,
            with(&[("rememberMe", "true")]),
            &gone_on,
        ),
        (
            "the service in the body",
            "/cas/login",
            with(&[("service", SERVICE)]),
            &gone_on,
        ),
        (
            "a wrong password",
            &service,
            vec![("username", "casuser"), ("password", "no")],
            "401 form",
        ),
        (
            "an unknown user",
            &service,
            vec![("username", "nobody"), ("password", "no")],
            "401 form",
        ),
        (
            "a disabled user",
            &service,
            vec![("username", "former"), ("password", "Gone")],
            "401 form",
        ),
        (
            "no password",
            &service,
            vec![("username", "casuser")],
            "400 form",
        ),
        (
            "no user",
            &service,
            vec![("password", "Mellon")],
            "400 form",
        ),
        (
            "two users",
            &service,
            with(&[("username", "professor")]),
            "400 form",
        ),
    ] {
        assert_eq!(post(&cluster, path, &fields).await, expected, "{row}");
    }
}

#[tokio::test]
async fn section_2_2_4_the_form_is_what_scripts_look_for() {
    let cluster = Cluster::one().await;
    let form = Browser::new()
        .get(&cluster.nodes[0].router, "/cas/login")
        .await;
    for part in [
        "<input type=\"hidden\" name=\"execution\" value=\"",
        "<input type=\"hidden\" name=\"_eventId\" value=\"submit\"/>",
        "name=\"username\"",
        "name=\"password\"",
    ] {
        assert_eq!(form.body.matches(part).count(), 1, "{part}\n{}", form.body);
    }
    let end = format!("value=\"{}\"/>", form.execution());
    assert!(form.body.contains(&end), "{}", form.body);
}
