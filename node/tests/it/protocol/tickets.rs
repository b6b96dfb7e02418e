//! 3 the tickets: what they look like, and what they are good for.

use super::{BACK_END, SERVICE, open, says};
use crate::util::{Browser, Cluster};

#[tokio::test]
async fn section_3_7_characters_and_lengths() {
    let mut scene = open().await;
    let (pgt, iou) = scene.pgt(SERVICE).await;
    let tickets = [
        ("ST-", scene.ticket(SERVICE).await),
        ("PT-", scene.proxy_ticket(SERVICE, BACK_END).await),
        ("PGT-", pgt.clone()),
        ("PGTIOU-", iou.clone()),
    ];
    for (prefix, ticket) in &tickets {
        assert!(ticket.starts_with(prefix), "{ticket}");
        let plain = ticket
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        assert!(
            plain,
            "no escape is needed, nor an underscore known: {ticket}"
        );
        assert!((40..=64).contains(&ticket.len()), "{ticket}");
    }
    let random = |ticket: &str| ticket.split('-').nth(2).unwrap().to_owned();
    assert!(random(&pgt).len() >= 27 && random(&iou).len() >= 27);
    assert_ne!(
        random(&pgt),
        random(&iou),
        "3.4: one does not tell the other"
    );
}

#[tokio::test]
async fn section_3_1_1_and_3_2_1_one_attempt_whatever_comes_of_it() {
    let mut scene = open().await;
    for (row, spoiling) in [
        ("a good validation", "service=S"),
        ("another service", "service=https://nowhere.example/"),
        ("renew, not met", "service=S&renew=true"),
        (
            "a callback that fails",
            "service=S&pgtUrl=https://localhost:1/pgt",
        ),
    ] {
        for (ticket, service) in [
            (scene.ticket(SERVICE).await, SERVICE),
            (scene.proxy_ticket(SERVICE, BACK_END).await, BACK_END),
        ] {
            let spoiling = spoiling.replace("service=S", &format!("service={service}"));
            scene
                .ask(&format!("/proxyValidate?{spoiling}&ticket={ticket}"))
                .await;
            let good = format!("/proxyValidate?service={service}&ticket={ticket}");
            let said = says(&scene.ask(&good).await);
            assert_eq!(said, "200 INVALID_TICKET", "{row}: {service}");
        }
    }
}

#[tokio::test]
async fn section_3_6_ticket_granting_cookie() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let answer = browser.sign_in(router, "/cas/login").await;
    let cookie = answer.tgc().unwrap();
    for part in ["; Path=/cas", "; Secure", "; HttpOnly", "; SameSite=None"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(
        !cookie.contains("Max-Age") && !cookie.contains("Expires"),
        "{cookie}"
    );
    assert!(!cookie.contains("TGT-"), "nobody reads the ticket in it");
    let out = browser.get(router, "/cas/logout").await;
    assert!(out.tgc().unwrap().starts_with("TGC=; Max-Age=0;"));
}
