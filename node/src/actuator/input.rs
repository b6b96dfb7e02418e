//! What operators send: queries, forms and JSON, or a refusal that says what to do.

use axum::extract::rejection::{FormRejection, JsonRejection};
use axum::extract::{Form, FromRequest, FromRequestParts, Query, Request};
use axum::response::Response;
use axum::{Json, RequestExt as _};
use http::request::Parts;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;

use crate::admin::{LIMIT_MAX, refusal};

/// Rows in one answer, unless asked for fewer or more.
const COUNT_DEFAULT: usize = 100;

/// A query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let read = Query::try_from_uri(&parts.uri);
        read.map(|Query(asked)| Self(asked))
            .map_err(|error| bad(error.body_text()))
    }
}

/// A body: JSON where the request says so, else a form.
pub(super) struct Said<T>(pub(super) T);

impl<T, S> FromRequest<S> for Said<T>
where
    T: DeserializeOwned + 'static,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| {
            let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
            kind.contains("json")
        });
        if is_json {
            let read: Result<Json<T>, JsonRejection> = request.extract().await;
            read.map(|Json(said)| Self(said))
                .map_err(|error| body(error.status(), error.body_text()))
        } else {
            let read: Result<Form<T>, FormRejection> = request.extract().await;
            read.map(|Form(said)| Self(said))
                .map_err(|error| body(error.status(), error.body_text()))
        }
    }
}

fn body(status: StatusCode, says: String) -> Response {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        refusal(status, says)
    } else {
        bad(format!(
            "{says}; send a form, or JSON with its Content-Type"
        ))
    }
}

/// 400, with what to do.
pub(super) fn bad(says: impl Into<String>) -> Response {
    refusal(StatusCode::BAD_REQUEST, says)
}

/// A parameter that was given and is not empty.
pub(super) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// A part of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from: usize,
    pub(super) count: usize,
}

impl Slice {
    /// Reads `from` and `count`; `all` is what counts without one.
    pub(super) fn of(
        from: Option<&String>,
        count: Option<&String>,
        default: usize,
    ) -> Result<Self, Box<Response>> {
        let number = |name: &str, text: Option<&String>, default: usize| match given(text) {
            None => Ok(default),
            Some(text) => text.parse::<usize>().map_err(|_| {
                let says = format!("{name} must be a number from 0 to {LIMIT_MAX}");
                Box::new(bad(says))
            }),
        };
        let from = number("from", from, 0)?;
        let count = number("count", count, default.min(LIMIT_MAX - from.min(LIMIT_MAX)))?;
        match from.checked_add(count) {
            Some(sum) if count > 0 && sum <= LIMIT_MAX => Ok(Self { from, count }),
            _ => {
                let says = format!(
                    "count must be 1 or more, and from and count together at most {LIMIT_MAX}"
                );
                Err(Box::new(bad(says)))
            }
        }
    }

    /// As many as are shown by default.
    pub(super) fn shown(
        from: Option<&String>,
        count: Option<&String>,
    ) -> Result<Self, Box<Response>> {
        Self::of(from, count, COUNT_DEFAULT)
    }

    /// Rows up to the end of the slice.
    pub(super) fn end(self) -> usize {
        self.from + self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_bounded() {
        let slice = |from: &str, count: &str| {
            Slice::shown(Some(&from.to_owned()), Some(&count.to_owned()))
                .map(|slice| (slice.from, slice.count))
                .map_err(|refused| refused.status().as_u16())
        };
        assert_eq!(slice("", ""), Ok((0, COUNT_DEFAULT)));
        assert_eq!(slice("5", "7"), Ok((5, 7)));
        assert_eq!(slice("9990", ""), Ok((9990, 10)));
        for (from, count) in [
            ("", "0"),
            ("10000", ""),
            ("10000", "1"),
            ("", "10001"),
            ("-1", ""),
            ("x", ""),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(slice(from, count), Err(400), "{from} {count}");
        }
    }
}
