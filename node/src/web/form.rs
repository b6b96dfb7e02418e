//! Queries and form bodies (`application/x-www-form-urlencoded`), read strictly.
//!
//! Parameter names are case-sensitive and a repeated parameter is an error where it is used: with
//! two values a proxy and the server could believe different ones. Text that is not UTF-8 after
//! decoding is an error for the whole form.

use std::borrow::Cow;

/// Most parameters in one form.
pub const FIELDS_MAX: usize = 128;

/// A form that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not UTF-8 after decoding.
    #[error("a parameter is not UTF-8 text")]
    NotUtf8,
    /// More parameters than any real request has.
    #[error("more than {FIELDS_MAX} parameters")]
    TooMany,
    /// One parameter twice.
    #[error("the parameter {0} is given more than once")]
    Repeated(&'static str),
}

/// The parameters of a request in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl std::fmt::Debug for Form {
    /// Names only: values may be passwords or tickets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(n, _)| n))
            .finish()
    }
}

impl Form {
    /// Reads a query or a body.
    ///
    /// # Errors
    /// Not UTF-8, or too many parameters.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let mut fields = Vec::new();
        for (name, value) in pairs(bytes) {
            if fields.len() >= FIELDS_MAX {
                return Err(FormError::TooMany);
            }
            fields.push((decode(name)?, decode(value)?));
        }
        Ok(Self(fields))
    }

    /// The value of a parameter; an empty value counts as none, as browsers send empty inputs.
    ///
    /// # Errors
    /// [`FormError::Repeated`].
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, FormError> {
        let mut values = self.0.iter().filter(|(n, _)| n == name);
        let first = values.next();
        if values.next().is_some() {
            return Err(FormError::Repeated(name));
        }
        Ok(first
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty()))
    }

    /// Whether a parameter is there, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// The value of one parameter of a form that cannot be read as a whole; none when this parameter
/// itself is repeated or cannot be read.
pub fn only(bytes: &[u8], name: &str) -> Option<String> {
    let mut values = pairs(bytes)
        .take(FIELDS_MAX)
        .filter(|(field, _)| decode(field).is_ok_and(|field| field == name));
    let (_, value) = values.next()?;
    if values.next().is_some() {
        return None;
    }
    decode(value).ok().filter(|value| !value.is_empty())
}

/// Names and values as they were sent.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = halves.next().unwrap_or_default();
        (name, halves.next().unwrap_or_default())
    })
}

fn decode(bytes: &[u8]) -> Result<String, FormError> {
    let spaced: Cow<'_, [u8]> = if bytes.contains(&b'+') {
        let space = |b: &u8| if *b == b'+' { b' ' } else { *b };
        Cow::Owned(bytes.iter().map(space).collect())
    } else {
        Cow::Borrowed(bytes)
    };
    percent_encoding::percent_decode(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|_| FormError::NotUtf8)
}

/// A value as it goes into a query: everything but unreserved characters is encoded.
pub fn encode(value: &str) -> String {
    const KEEP: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    percent_encoding::utf8_percent_encode(value, &KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_browsers_send() {
        let form = Form::parse(b"service=https%3A%2F%2Fa%2Fb%3Fc%3D1+2&renew&x=&y=a=b&&").unwrap();
        assert_eq!(form.one("service"), Ok(Some("https://a/b?c=1 2")));
        assert_eq!(form.one("renew"), Ok(None));
        assert!(form.has("renew") && form.has("x") && !form.has("Service"));
        assert_eq!(form.one("x"), Ok(None));
        assert_eq!(form.one("y"), Ok(Some("a=b")));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let form = Form::parse(b"a=1&a=1").unwrap();
        assert_eq!(form.one("a"), Err(FormError::Repeated("a")));
        assert_eq!(Form::parse(b"a=%ff"), Err(FormError::NotUtf8));
        assert_eq!(Form::parse(&[0xc3]), Err(FormError::NotUtf8));
        assert_eq!(
            Form::parse("&a=1".repeat(129).as_bytes()),
            Err(FormError::TooMany)
        );
        assert!(!format!("{form:?}").contains('1'));
    }

    #[test]
    fn one_parameter_of_what_cannot_be_read() {
        for (form, value) in [
            ("a=%ff&b=1+2", Some("1 2")),
            ("%62=1&%ff=x", Some("1")),
            ("b=%ff&a=1", None),
            ("b=1&b=1&a=%ff", None),
            ("b&a=%ff", None),
            ("a=%ff", None),
        ] {
            assert_eq!(only(form.as_bytes(), "b").as_deref(), value, "{form}");
        }
    }

    proptest! {
        #[test]
        fn encoding_round_trips(value in ".*") {
            prop_assume!(!value.is_empty());
            let text = format!("a={}", encode(&value));
            let form = Form::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(form.one("a"), Ok(Some(&*value)));
        }

        #[test]
        fn parsing_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&bytes);
        }
    }
}
