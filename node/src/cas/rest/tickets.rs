//! `POST /v1/tickets`: credentials become a session.

use axum::response::Response;
use castor_proto::ticket::TicketId;
use http::{HeaderValue, StatusCode, header};

use super::wants_page;
use crate::cas::paths::REST_TICKETS;
use crate::cas::visit::{Call, Visitor};
use crate::tickets::SessionStart;
use crate::web::form::Form;

/// Answers `POST /v1/tickets`.
pub async fn post(mut call: Call) -> Response {
    let body = call.take_body();
    let visitor = call.visitor();
    let form = match visitor.rest_form(body).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    visitor.rest_sign_in(&form).await
}

/// A URL within quotes; slashes stay, because clients read it with a regular expression.
fn escaped(url: &str) -> String {
    url.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl Visitor<'_> {
    async fn rest_sign_in(&self, form: &Form) -> Response {
        if form.has("token") {
            let says = "'token' is not supported: tickets are not handed out as JWT".to_owned();
            return self.rest_refused((StatusCode::BAD_REQUEST, says));
        }
        let person = match self.rest_person(form).await {
            Ok(person) => person,
            Err(refused) => return refused,
        };
        // `rememberMe` is not read, as Apereo CAS does not: a program can sign in again.
        let start = SessionStart {
            principal: person.principal,
            handler: person.handler,
            remember_me: false,
            max_life: None,
            max_idle: None,
            client_address: self.visit.client.address_text(),
        };
        match self.begin(start, None).await {
            Ok(session) => self.rest_created(&session.id),
            Err(error) => self.rest_ticket_error(error),
        }
    }

    fn rest_created(&self, id: &TicketId) -> Response {
        let place = format!("{}{REST_TICKETS}/{}", self.cas.prefix(), id.as_str());
        let location = self.own_url(&place);
        let mut response = if wants_page(self.headers) {
            let page = format!(
                "<!DOCTYPE html><html lang=\"en\"><head><title>201 Created</title></head><body>\
                 <h1>TGT Created</h1><form action=\"{}\" method=\"POST\">Service:\
                 <input type=\"text\" name=\"service\" value=\"\"><br>\
                 <input type=\"submit\" value=\"Submit\"></form></body></html>",
                escaped(&location)
            );
            self.rest_answer(StatusCode::CREATED, "text/html;charset=UTF-8", page)
        } else {
            let kind = "text/plain;charset=UTF-8";
            self.rest_answer(StatusCode::CREATED, kind, id.as_str().to_owned())
        };
        if let Ok(mut location) = HeaderValue::try_from(location) {
            location.set_sensitive(true);
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    /// A path of ours as whoever asks reaches it.
    fn own_url(&self, path: &str) -> String {
        let config = self.cas.config.load();
        if let Some(url) = &config.http.public_url
            && let Some((scheme, rest)) = url.0.split_once("://")
        {
            let host = rest.split('/').next().unwrap_or(rest);
            return format!("{scheme}://{host}{path}");
        }
        let host = self.headers.get(header::HOST);
        match host.and_then(|host| host.to_str().ok()) {
            Some(host) if self.visit.https => format!("https://{host}{path}"),
            Some(host) => format!("http://{host}{path}"),
            None => path.to_owned(),
        }
    }
}
