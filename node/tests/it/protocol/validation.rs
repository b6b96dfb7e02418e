//! 2.4 `/validate`, 2.5 `/serviceValidate`, 2.6 `/proxyValidate`, 2.8 and 2.9 the same below `/p3`.

use super::{BACK_END, SERVICE, Scene, open, says};

/// What a row asks with.
#[derive(Clone, Copy)]
enum Ticket {
    /// Of the session, for [`SERVICE`].
    Sso,
    /// Granted on credentials, for [`SERVICE`].
    Fresh,
    /// A proxy ticket, for [`BACK_END`].
    Proxy,
    /// The proxy-granting ticket itself.
    Granting,
    /// As it stands here.
    Text(&'static str),
}

async fn take(scene: &mut Scene, ticket: Ticket) -> String {
    match ticket {
        Ticket::Sso => scene.ticket(SERVICE).await,
        Ticket::Fresh => scene.fresh_ticket(SERVICE).await,
        Ticket::Proxy => scene.proxy_ticket(SERVICE, BACK_END).await,
        Ticket::Granting => scene.pgt(SERVICE).await.0,
        Ticket::Text(text) => text.to_owned(),
    }
}

/// Rows for all endpoints: what is asked, and how it ends where proxy tickets are not taken and where they are.
const ROWS: [(&str, Ticket, &str, [&str; 2]); 20] = [
    (
        "a good ticket",
        Ticket::Sso,
        "service=S&ticket=T",
        ["user casuser"; 2],
    ),
    (
        "renew, met",
        Ticket::Fresh,
        "service=S&ticket=T&renew=true",
        ["user casuser"; 2],
    ),
    (
        "renew, not met",
        Ticket::Sso,
        "service=S&ticket=T&renew=true",
        ["INVALID_TICKET"; 2],
    ),
    (
        "renew, any value",
        Ticket::Sso,
        "service=S&ticket=T&renew=false",
        ["INVALID_TICKET"; 2],
    ),
    ("nothing", Ticket::Text(""), "", ["INVALID_REQUEST"; 2]),
    (
        "no service",
        Ticket::Sso,
        "ticket=T",
        ["INVALID_REQUEST"; 2],
    ),
    (
        "no ticket",
        Ticket::Text(""),
        "service=S",
        ["INVALID_REQUEST"; 2],
    ),
    (
        "an empty ticket",
        Ticket::Text(""),
        "service=S&ticket=",
        ["INVALID_REQUEST"; 2],
    ),
    (
        "two tickets",
        Ticket::Sso,
        "service=S&ticket=T&ticket=T",
        ["INVALID_REQUEST"; 2],
    ),
    (
        "names have a case",
        Ticket::Sso,
        "Service=S&ticket=T",
        ["INVALID_REQUEST"; 2],
    ),
    (
        "a ticket that never was",
        Ticket::Text("ST-1-abc"),
        "service=S&ticket=T",
        ["INVALID_TICKET"; 2],
    ),
    (
        "no ticket at all",
        Ticket::Text("%00%ED%95%9C%22"),
        "service=S&ticket=T",
        ["INVALID_TICKET"; 2],
    ),
    (
        "another service",
        Ticket::Sso,
        "service=S/&ticket=T",
        ["INVALID_SERVICE"; 2],
    ),
    (
        "another query",
        Ticket::Sso,
        "service=S?a=1&ticket=T",
        ["INVALID_SERVICE"; 2],
    ),
    (
        "another port",
        Ticket::Sso,
        "service=https://portal.example.edu:443/home&ticket=T",
        ["INVALID_SERVICE"; 2],
    ),
    (
        "another case, and encoded",
        Ticket::Sso,
        "service=HTTPS%3a%2f%2fPortal.example.edu%2FHOME&ticket=T",
        ["user casuser"; 2],
    ),
    (
        "a fragment",
        Ticket::Sso,
        "service=S%23top&ticket=T",
        ["user casuser"; 2],
    ),
    (
        "a parameter that nobody knows",
        Ticket::Sso,
        "service=S&ticket=T&x=y",
        ["user casuser"; 2],
    ),
    (
        "a proxy ticket",
        Ticket::Proxy,
        "service=B&ticket=T",
        ["INVALID_TICKET", "user casuser"],
    ),
    (
        "a proxy-granting ticket",
        Ticket::Granting,
        "service=S&ticket=T",
        ["INVALID_TICKET"; 2],
    ),
];

async fn ask(scene: &mut Scene, endpoint: &str, ticket: Ticket, query: &str) -> (String, String) {
    let id = take(scene, ticket).await;
    let query: String = query
        .replace("service=S", &format!("service={SERVICE}"))
        .replace("service=B", &format!("service={BACK_END}"))
        .replace("ticket=T", &format!("ticket={id}"));
    let path = format!("{endpoint}?{query}");
    (says(&scene.ask(&path).await), path)
}

#[tokio::test]
async fn section_2_4_validate() {
    let mut scene = open().await;
    for (row, ticket, query, [outcome, _]) in ROWS {
        let (said, path) = ask(&mut scene, "/validate", ticket, query).await;
        let expected = match outcome {
            "user casuser" => "200 yes|casuser|",
            _ => "200 no||",
        };
        assert_eq!(said, expected, "{row}: {path}");
    }
}

async fn xml(endpoint: &str, column: usize) {
    let mut scene = open().await;
    for (row, ticket, query, outcomes) in ROWS {
        let (said, path) = ask(&mut scene, endpoint, ticket, query).await;
        assert_eq!(said, format!("200 {}", outcomes[column]), "{row}: {path}");
    }
}

#[tokio::test]
async fn section_2_5_service_validate() {
    xml("/serviceValidate", 0).await;
}

#[tokio::test]
async fn section_2_6_proxy_validate() {
    xml("/proxyValidate", 1).await;
}

#[tokio::test]
async fn section_2_8_p3_service_validate() {
    xml("/p3/serviceValidate", 0).await;
}

#[tokio::test]
async fn section_2_9_p3_proxy_validate() {
    xml("/p3/proxyValidate", 1).await;
}

#[tokio::test]
async fn section_2_5_1_format() {
    let mut scene = open().await;
    for (format, media_type) in [
        ("", "application/xml;charset=UTF-8"),
        ("&format=XML", "application/xml;charset=UTF-8"),
        ("&format=JSON", "application/json"),
        ("&format=json", "application/json"),
        ("&format=yaml", "application/xml;charset=UTF-8"),
    ] {
        for ticket in [scene.ticket(SERVICE).await, "ST-1-abc".to_owned()] {
            let path = format!("/p3/serviceValidate?service={SERVICE}&ticket={ticket}{format}");
            let answer = scene.ask(&path).await;
            assert_eq!(answer.header("content-type"), media_type, "{path}");
            assert_eq!(answer.status, 200);
        }
    }
}
