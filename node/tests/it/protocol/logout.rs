//! 2.3 `/logout`.

use super::{SERVICE, check};
use crate::util::{Browser, Cluster, Options};

#[tokio::test]
async fn section_2_3_1_parameters() {
    let followed = Options {
        set: vec![("logout.follow_service_redirects", "true")],
        ..Options::default()
    };
    let (default, following) = (Cluster::one().await, Cluster::start(1, followed).await);
    let service = format!("/logout?service={SERVICE}");
    let url = format!("/logout?url={SERVICE}");
    let there = format!("302 to {SERVICE}");
    let strange = "/logout?service=https://nowhere.example/";
    let closed = "/logout?service=https://closed.example.edu/";
    for (row, cluster, path, expected) in [
        ("nothing", &default, "/logout", "200 page"),
        (
            "service, not followed by default",
            &default,
            service.as_str(),
            "200 page",
        ),
        (
            "url, of CAS 2, is never followed",
            &following,
            &url,
            "200 page",
        ),
        ("service, registered", &following, &service, there.as_str()),
        ("service, not registered", &following, strange, "200 page"),
        ("service, disabled", &following, closed, "200 page"),
        (
            "service, no URL",
            &following,
            "/logout?service=javascript:alert(1)",
            "200 page",
        ),
    ] {
        for signed_in in [false, true] {
            let mut browser = Browser::new();
            let router = &cluster.nodes[0].router;
            if signed_in {
                browser.sign_in(router, "/cas/login").await;
            }
            check(cluster, &mut browser, row, path, expected).await;
            assert!(
                browser.cookies.is_empty(),
                "2.3.2: the session is gone: {row}"
            );
        }
    }
}
