//! Every path of the listener for people and applications, and who answers it.
//!
//! What a validation changes it changes once, so only GET reaches it: HEAD would consume the ticket
//! and throw the answer away.

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{MethodRouter, get, post};

use crate::cas::paths::{
    ASSETS, LOGIN, LOGOUT, P3_PROXY_VALIDATE, P3_SERVICE_VALIDATE, PROXY, PROXY_VALIDATE,
    REST_TICKET, REST_TICKETS, REST_USERS, SAML_VALIDATE, SERVICE_VALIDATE, VALIDATE,
};
use crate::cas::visit::{identify, not_found};
use crate::cas::{
    Cas, assets, login, logout, proxy, proxy_validate, rest, saml_validate, service_validate,
    validate,
};
use crate::server::{RequestMetrics, observe};

/// The router of the CAS listener. `probes` are the health paths for proxies.
pub fn router(cas: &Arc<Cas>, metrics: RequestMetrics, probes: Router) -> Router {
    let prefix = cas.prefix();
    let at = |path: &str| format!("{prefix}{path}");
    let login_page = format!("{prefix}{LOGIN}");
    // With the query: whoever names an application here wants to go on to it.
    let home = move |RawQuery(query): RawQuery| {
        let target = match query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{login_page}?{query}"),
            None => login_page.clone(),
        };
        async move { Redirect::temporary(&target) }
    };
    let table: [(&str, MethodRouter<Arc<Cas>>); 13] = [
        (LOGIN, get(login::request).post(login::accept::submit)),
        (LOGOUT, get(logout::logout).post(logout::logout)),
        (VALIDATE, once(get(validate::get))),
        (SERVICE_VALIDATE, once(get(service_validate::get))),
        (P3_SERVICE_VALIDATE, once(get(service_validate::get_p3))),
        (PROXY_VALIDATE, once(get(proxy_validate::get))),
        (P3_PROXY_VALIDATE, once(get(proxy_validate::get_p3))),
        (SAML_VALIDATE, post(saml_validate::post)),
        (REST_TICKETS, post(rest::tickets::post)),
        (
            REST_TICKET,
            once(get(rest::ticket::get))
                .post(rest::ticket::post)
                .delete(rest::ticket::delete),
        ),
        (REST_USERS, post(rest::users::post)),
        (PROXY, once(get(proxy::get))),
        (ASSETS, get(assets::get)),
    ];
    let mut router = Router::new();
    for (path, endpoint) in table {
        router = router.route(&at(path), endpoint);
    }
    router
        .route(&at(""), get(home.clone()))
        .route(&at("/"), get(home))
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(cas), identify))
        .with_state(Arc::clone(cas))
        .merge(probes)
        .layer(from_fn_with_state(metrics, observe))
}

fn once(endpoint: MethodRouter<Arc<Cas>>) -> MethodRouter<Arc<Cas>> {
    endpoint.head(|| async { StatusCode::METHOD_NOT_ALLOWED })
}
