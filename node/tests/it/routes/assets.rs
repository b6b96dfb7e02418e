//! `/assets/{name}` and paths that are not there.

use crate::util::{Browser, Cluster};

#[tokio::test]
async fn assets_of_the_page_can_be_kept_for_ever_and_others_must_be_asked_for_again() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let page = browser.get(router, "/cas/login").await;
    let urls: Vec<&str> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("/cas/assets/"))
        .collect();
    assert!(urls.len() >= 4, "{urls:?}");
    for url in urls {
        let asset = browser.get(router, url).await;
        assert_eq!(asset.status, 200, "{url}");
        assert_eq!(
            asset.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        let plain = url.split('?').next().unwrap();
        for other in [plain.to_owned(), format!("{plain}?v=0000000000000000")] {
            let again = browser.get(router, &other).await;
            assert_eq!(again.header("cache-control"), "no-cache", "{other}");
            assert_eq!(again.body, asset.body);
        }
        let mut knowing = Browser::new().with("if-none-match", asset.header("etag"));
        assert_eq!(knowing.get(router, plain).await.status, 304);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    for path in [
        "/cas/assets/none.css",
        "/cas/assets/..%2f..%2fetc%2fpasswd",
        "/cas/v2/tickets",
        "/cas/nothing",
        "/",
    ] {
        assert_eq!(browser.get(router, path).await.status, 404, "{path}");
    }
    for path in ["/cas", "/cas/"] {
        let home = browser.get(router, path).await;
        assert_eq!(
            (home.status.as_u16(), home.header("location")),
            (307, "/cas/login")
        );
    }
}
