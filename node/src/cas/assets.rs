//! `/assets/{name}`: style sheets and pictures of the pages.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Cas;
use super::visit::Visit;
use crate::web::headers;

/// With the digest of the present content in its URL, an asset never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Serves an asset; also on a node that is not ready, for the page that says so.
pub async fn get(
    State(cas): State<Arc<Cas>>,
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: HeaderMap,
) -> Response {
    let look = cas.web.look();
    let mut response = Response::new(Body::empty());
    let Some(asset) = look.assets.find(&name) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let tag = format!("\"{}\"", asset.digest);
    let current = query.as_deref().and_then(|q| q.strip_prefix("v=")) == Some(&asset.digest);
    let known = request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').any(|t| t.trim() == tag)
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(asset.content.clone());
    }
    let out = response.headers_mut();
    out.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.media_type),
    );
    out.insert(
        header::CACHE_CONTROL,
        if current { FOR_EVER } else { ASK_AGAIN },
    );
    if let Ok(tag) = HeaderValue::try_from(tag) {
        out.insert(header::ETAG, tag);
    }
    headers::of_asset(out, visit.https);
    response
}
