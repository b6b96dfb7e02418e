//! Learns which node has which tag in ticket ids, by asking each node for a ticket once.
//!
//! Promises: signs in as the demo's user through the front door and signs out again.
//! Does not: matter when it fails; the applications then show tags in place of names.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::super::fetch::{Answer, Fetch, Target};
use super::client::{encode, issuer_tag};

const CALL_TIME: Duration = Duration::from_secs(10);

/// Names of the nodes by tag; `nodes` are names and addresses, `service` is asked tickets for.
///
/// # Errors
/// When a step does not go as a browser's would.
pub(in super::super) async fn learn(
    fetch: &Fetch,
    front: &str,
    user: (&str, &str),
    nodes: &[(String, String)],
    service: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let cookie = sign_in(fetch, front, user).await?;
    let mut tags = BTreeMap::new();
    for (name, url) in nodes {
        let url = format!("{url}/login?service={}", encode(service));
        let answer = get(fetch, &url, &cookie).await?;
        let tag = answer
            .headers
            .get(header::LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| location.split("ticket=").nth(1))
            .map(issuer_tag)
            .with_context(|| format!("{name} gave no ticket ({})", answer.status))?;
        tags.insert(tag.to_owned(), name.clone());
    }
    get(fetch, &format!("{front}/logout"), &cookie).await?;
    Ok(tags)
}

async fn get(fetch: &Fetch, url: &str, cookie: &HeaderValue) -> anyhow::Result<Answer> {
    let headers = HeaderMap::from_iter([(header::COOKIE, cookie.clone())]);
    let target = Target::Url(url.to_owned());
    fetch
        .call(Method::GET, &target, headers, Bytes::new(), CALL_TIME)
        .await
}

/// Signs in with the form; the SSO cookie.
async fn sign_in(fetch: &Fetch, front: &str, user: (&str, &str)) -> anyhow::Result<HeaderValue> {
    let url = format!("{front}/login");
    let page = fetch.get(&url, CALL_TIME).await?;
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let execution = page
        .split("name=\"execution\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .context("the login page has no execution field")?;
    let body = format!(
        "username={}&password={}&execution={}&_eventId=submit",
        encode(user.0),
        encode(user.1),
        encode(execution)
    );
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let target = Target::Url(url);
    let answer = fetch
        .call(Method::POST, &target, headers, body.into(), CALL_TIME)
        .await?;
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        let pair = cookie
            .to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if pair.starts_with("TGC=") {
            return Ok(HeaderValue::from_str(pair)?);
        }
    }
    bail!(
        "the sign-in was answered {} without a cookie",
        answer.status
    )
}
