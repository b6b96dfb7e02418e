//! `--fill N`: synthetic sessions, made by one node through the ordinary create path.
//!
//! Promises: in steps, so that progress shows and each request is short. Does not: sign anybody in;
//! nobody holds a cookie for these sessions.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::super::words::count_of;
use super::fetch::{Fetch, Target};
use super::files::NodeFiles;
use super::tell;

/// Sessions for each request: a second or two of work.
const STEP: u64 = 2_000;
const STEP_TIME: Duration = Duration::from_secs(60);
/// Steps between two lines of progress.
const TELL_EVERY: u64 = 25;

/// Makes `count` sessions on the first node.
///
/// # Errors
/// When the node refuses, with its reason.
pub(super) async fn run(fetch: &Fetch, nodes: &[NodeFiles], count: u64) -> anyhow::Result<()> {
    let node = nodes.first().context("no node to fill")?;
    let target = Target::Socket(node.admin_socket.clone(), "/admin/v1/demo/fill".to_owned());
    tell::note(&format!(
        "Creating {} on {} ...",
        count_of(count, "session", "sessions"),
        node.state.name
    ));
    let mut from = 0;
    while from < count {
        let step = STEP.min(count - from);
        let body = format!("from={from}&count={step}");
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let answer = fetch
            .call(Method::POST, &target, headers, Bytes::from(body), STEP_TIME)
            .await
            .context("--fill")?;
        if answer.status != 200 {
            bail!("--fill: {}", String::from_utf8_lossy(&answer.body).trim());
        }
        from += step;
        if (from / STEP).is_multiple_of(TELL_EVERY) || from == count {
            tell::note(&format!("  {from} of {count}"));
        }
    }
    Ok(())
}
