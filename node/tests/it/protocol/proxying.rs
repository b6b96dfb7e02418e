//! 2.5.4 the proxy callback, 2.7 `/proxy`.

use super::{BACK_END, SERVICE, between, encode, open, says};
use crate::util::Callback;

#[tokio::test]
async fn section_2_5_4_proxy_callback() {
    let mut scene = open().await;
    let refusing = [
        "301 Moved Permanently",
        "302 Found",
        "401 Unauthorized",
        "404 Not Found",
        "500 Internal Server Error",
    ];
    let taking = ["200 OK", "202 Accepted", "204 No Content"];
    let taking = taking.map(|status| (status, "200 user casuser"));
    let refusing = refusing.map(|status| (status, "200 INVALID_PROXY_CALLBACK"));
    for (status, expected) in taking.into_iter().chain(refusing) {
        let callback = Callback::start(status).await;
        callback.is_trusted_by(&scene.cluster);
        // A query of its own stays.
        let url = encode(&format!("https://localhost:{}/pgt?app=1", callback.port));
        let ticket = scene.ticket(SERVICE).await;
        let path = format!("/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={url}");
        assert_eq!(says(&scene.ask(&path).await), expected, "{status}");
        let line = callback.requests().pop().unwrap();
        let exact =
            line.starts_with("GET /pgt?app=1&pgtIou=PGTIOU-") && line.contains("&pgtId=PGT-");
        assert!(exact, "{line}");
        assert_eq!(
            callback.requests().len(),
            1,
            "once, and no redirect followed: {status}"
        );
    }
}

#[tokio::test]
async fn section_2_7_proxy() {
    let mut scene = open().await;
    let (pgt, iou) = scene.pgt(SERVICE).await;
    let st = scene.ticket(SERVICE).await;
    let target = format!("targetService={BACK_END}");
    for (row, query, expected) in [
        (
            "a good request",
            format!("pgt={pgt}&{target}"),
            "200 ticket PT",
        ),
        (
            "again: it is not used up",
            format!("pgt={pgt}&{target}"),
            "200 ticket PT",
        ),
        ("nothing", String::new(), "200 INVALID_REQUEST"),
        ("no target", format!("pgt={pgt}"), "200 INVALID_REQUEST"),
        ("no ticket", target.clone(), "200 INVALID_REQUEST"),
        (
            "the IOU",
            format!("pgt={iou}&{target}"),
            "200 INVALID_TICKET",
        ),
        (
            "a service ticket",
            format!("pgt={st}&{target}"),
            "200 INVALID_TICKET",
        ),
        (
            "a target that is not registered",
            format!("pgt={pgt}&targetService=https://nowhere.example/"),
            "200 UNAUTHORIZED_SERVICE",
        ),
        (
            "a target that is disabled",
            format!("pgt={pgt}&targetService=https://closed.example.edu/"),
            "200 UNAUTHORIZED_SERVICE",
        ),
    ] {
        let answer = scene.ask(&format!("/proxy?{query}")).await;
        assert_eq!(says(&answer), expected, "{row}: {}", answer.body);
    }
}

#[tokio::test]
async fn section_2_6_2_proxies_are_named_newest_first() {
    let mut scene = open().await;
    let pt = scene.proxy_ticket(SERVICE, BACK_END).await;
    let second = format!("https://localhost:{}/pgt/second", scene.callback.port);
    let path = format!(
        "/proxyValidate?service={BACK_END}&ticket={pt}&pgtUrl={}",
        encode(&second)
    );
    assert_eq!(says(&scene.ask(&path).await), "200 user casuser");
    let pgt = scene.callback.parameter("pgtId");
    let answer = scene
        .ask(&format!("/proxy?pgt={pgt}&targetService={BACK_END}"))
        .await;
    let pt = between(&answer.body, "<cas:proxyTicket>", "<").unwrap();
    let answer = scene
        .ask(&format!("/proxyValidate?service={BACK_END}&ticket={pt}"))
        .await;
    let proxies: Vec<&str> = answer.body.split("<cas:proxy>").skip(1).collect();
    let proxies: Vec<&str> = proxies.iter().filter_map(|p| p.split('<').next()).collect();
    let first = format!("https://localhost:{}/pgt", scene.callback.port);
    assert_eq!(proxies, [second, first]);
}
