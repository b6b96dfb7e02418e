//! Fields of spans as JSON, written as they come.
//!
//! Every request has a span, and hardly any request writes a line. The library's own way collects the
//! fields in a map, and reads its own JSON back when one is added: more work than all the rest of a
//! request's logging. A field that is recorded twice stands there twice, the last one counts.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes fields as one JSON object.
#[derive(Debug, Default)]
pub(super) struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        writer.write_char('{')?;
        let mut members = Members::new(&mut writer, true);
        fields.record(&mut members);
        members.result?;
        writer.write_char('}')
    }

    fn add_fields(
        &self,
        current: &'writer mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        if current.fields.pop().is_none() {
            current.fields.push('{');
        }
        let first = current.fields.len() <= 1;
        let mut members = Members::new(&mut current.fields, first);
        fields.record(&mut members);
        members.result?;
        current.fields.push('}');
        Ok(())
    }
}

struct Members<'a> {
    out: &'a mut dyn fmt::Write,
    first: bool,
    result: fmt::Result,
}

impl<'a> Members<'a> {
    fn new(out: &'a mut dyn fmt::Write, first: bool) -> Self {
        Self {
            out,
            first,
            result: Ok(()),
        }
    }

    fn member(&mut self, field: &Field, value: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result) {
        if self.result.is_err() {
            return;
        }
        let before = if std::mem::take(&mut self.first) {
            "\""
        } else {
            ",\""
        };
        // Names of fields are identifiers of ours, perhaps raw ones.
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        let out = &mut *self.out;
        self.result = [before, name, "\":"]
            .into_iter()
            .try_for_each(|part| out.write_str(part))
            .and_then(|()| value(out));
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.member(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |out| match value.is_finite() {
            true => write!(out, "{value}"),
            false => out.write_str("null"),
        });
    }
}

/// Text within a JSON string.
struct Escaped<'a>(&'a mut dyn fmt::Write);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            match chars.next() {
                Some(c @ ('"' | '\\')) => {
                    self.0.write_char('\\')?;
                    self.0.write_char(c)?;
                }
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use crate::config::types::LogFormat;
    use crate::ops::logging::lines;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_fields_of_its_span_whatever_is_in_them() {
        let log = Log::default();
        let writer = log.clone();
        let layer = lines(LogFormat::Json, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let odd = "a\"b\\c\n\u{1}ü";
            let span = tracing::error_span!(
                "request",
                odd,
                shown = %odd,
                count = 7_u64,
                less = -7_i64,
                share = 0.5,
                yes = true,
                ticket = tracing::field::Empty,
            );
            span.record("ticket", odd);
            let empty = tracing::error_span!("later", ticket = tracing::field::Empty);
            empty.record("ticket", "ST-1");
            span.in_scope(|| tracing::error!("a line"));
            empty.in_scope(|| tracing::error!("another"));
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let spans: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["span"].clone())
            .collect();
        let odd = "a\"b\\c\n\u{1}ü";
        assert_eq!(
            spans,
            [
                serde_json::json!({
                    "odd": odd, "shown": odd, "count": 7, "less": -7, "share": 0.5, "yes": true,
                    "ticket": odd, "name": "request",
                }),
                serde_json::json!({"ticket": "ST-1", "name": "later"}),
            ]
        );
    }
}
