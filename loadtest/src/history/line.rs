//! One line of a history.
//!
//! Promises: what is written reads back as the same; a line that cannot be read says what is wrong
//! with it. Does not: know files.

use serde::{Deserialize, Serialize};

/// Version of the format, in the first line.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first line.
    Header(Header),
    /// A call that ended, or was given up.
    Call(Call),
    /// A fault begins or ends.
    Nemesis {
        /// What it does; begin and end have the same name.
        name: String,
        /// Which of the two.
        phase: Phase,
        /// Microseconds since the start.
        at: u64,
    },
    /// The last line: nothing is missing.
    End,
}

/// What the checker has to know of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Names of the doors that calls go to.
    pub doors: Vec<String>,
    /// How long a service ticket lives, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_life_ms: Option<u64>,
    /// How long a session lives at most, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_life_ms: Option<u64>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which of the callers: each does one thing at a time, and none after an unknown outcome.
    pub process: u64,
    /// Door it went to: a node's name, or `front`.
    pub at: String,
    /// What was asked.
    pub op: Op,
    /// Beginning, in microseconds since the start.
    pub began: u64,
    /// End; absent when the outcome is unknown.
    pub ended: Option<u64>,
    /// What came back.
    pub out: Out,
    /// Digest of the attributes a validation released.
    pub attributes: Option<String>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sign in; `ok:SESSION`.
    Login {
        /// User name.
        user: String,
    },
    /// Ask for a ticket; `ok:TICKET`, `fail:form` when the session is not known.
    Issue {
        /// Whose session.
        session: String,
        /// For which service.
        service: String,
    },
    /// Validate; `ok:USER`, `fail:CODE`.
    Validate {
        /// The ticket.
        ticket: String,
        /// The service that asks.
        service: String,
    },
    /// Sign out; `ok`.
    Logout {
        /// Whose session.
        session: String,
    },
    /// Ask whether a node is ready; `ok`, `fail:STATUS`.
    Probe,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Done, with what it gave.
    Ok(String),
    /// Refused, with the reason.
    Fail(String),
    /// No answer, a broken one, or 5xx: it may or may not have happened.
    Unknown,
}

/// Begin or end of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From now on.
    Begin,
    /// Undone, and the nodes it touched are ready again.
    End,
}

/// The line as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    i: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<Header>,
    #[serde(rename = "proc", skip_serializing_if = "Option::is_none")]
    process: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<String>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    input: Option<Input>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t0: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t1: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nemesis: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
}

impl Line {
    /// The line as text, numbered `number`, without its end.
    ///
    /// # Errors
    /// None for what this crate makes.
    pub fn write(&self, number: u64) -> serde_json::Result<String> {
        let mut raw = Raw {
            i: number,
            ..Raw::default()
        };
        match self {
            Self::Header(header) => {
                raw.history = Some(FORMAT);
                raw.about = Some(header.clone());
            }
            Self::Call(call) => call.fill(&mut raw),
            Self::Nemesis { name, phase, at } => {
                raw.nemesis = Some(name.clone());
                raw.phase = Some(*phase);
                raw.t = Some(*at);
            }
            Self::End => raw.end = Some(true),
        }
        serde_json::to_string(&raw)
    }

    /// Reads a line and its number.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<(u64, Self), String> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let number = raw.i;
        let line = match (&raw.history, &raw.f, &raw.nemesis, &raw.end) {
            (Some(FORMAT), None, None, None) => {
                Self::Header(raw.about.ok_or("the first line lacks \"about\"")?)
            }
            (Some(other), None, None, None) => {
                return Err(format!("format {other}, this program reads {FORMAT}"));
            }
            (None, Some(_), None, None) => Self::Call(Call::take(raw)?),
            (None, None, Some(_), None) => Self::Nemesis {
                name: raw.nemesis.unwrap_or_default(),
                phase: raw
                    .phase
                    .ok_or("a nemesis needs \"phase\": \"begin\" or \"end\"")?,
                at: raw.t.ok_or("a nemesis needs \"t\"")?,
            },
            (None, None, None, Some(true)) => Self::End,
            _ => {
                return Err(
                    "a line needs exactly one of \"history\", \"f\", \"nemesis\" and \"end\": true"
                        .to_owned(),
                );
            }
        };
        Ok((number, line))
    }
}

impl Call {
    fn fill(&self, raw: &mut Raw) {
        let mut input = Input::default();
        raw.f = Some(self.op.name().to_owned());
        match &self.op {
            Op::Login { user } => input.user = Some(user.clone()),
            Op::Issue { session, service } => {
                input.session = Some(session.clone());
                input.service = Some(service.clone());
            }
            Op::Validate { ticket, service } => {
                input.ticket = Some(ticket.clone());
                input.service = Some(service.clone());
            }
            Op::Logout { session } => input.session = Some(session.clone()),
            Op::Probe => {}
        }
        raw.process = Some(self.process);
        raw.node = Some(self.at.clone());
        raw.input = Some(input);
        raw.t0 = Some(self.began);
        raw.t1 = self.ended;
        raw.out = Some(self.out.text());
        raw.attributes.clone_from(&self.attributes);
    }

    fn take(raw: Raw) -> Result<Self, String> {
        let f = raw.f.unwrap_or_default();
        let input = raw.input.unwrap_or_default();
        let need = |what: Option<String>, name: &str| {
            what.ok_or_else(|| format!("{f} needs \"in\": {{\"{name}\": …}}"))
        };
        let op = match f.as_str() {
            "login" => Op::Login {
                user: need(input.user, "user")?,
            },
            "issue" => Op::Issue {
                session: need(input.session, "session")?,
                service: need(input.service, "service")?,
            },
            "validate" => Op::Validate {
                ticket: need(input.ticket, "ticket")?,
                service: need(input.service, "service")?,
            },
            "logout" => Op::Logout {
                session: need(input.session, "session")?,
            },
            "probe" => Op::Probe,
            other => {
                return Err(format!(
                    "\"f\" is {other:?}; it must be login, issue, validate, logout or probe"
                ));
            }
        };
        let out = Out::read(&raw.out.ok_or("a call needs \"out\"")?)?;
        let began = raw.t0.ok_or("a call needs \"t0\"")?;
        match (raw.t1, &out) {
            (None, Out::Unknown) => {}
            (None, _) => return Err("an answer needs \"t1\", the moment it came".to_owned()),
            (Some(_), Out::Unknown) => {
                return Err("an unknown outcome has no \"t1\": it may happen later".to_owned());
            }
            (Some(ended), _) if ended < began => {
                return Err(format!("it ended ({ended}) before it began ({began})"));
            }
            (Some(_), _) => {}
        }
        Ok(Self {
            process: raw.process.ok_or("a call needs \"proc\"")?,
            at: raw.node.ok_or("a call needs \"node\"")?,
            op,
            began,
            ended: raw.t1,
            out,
            attributes: raw.attributes,
        })
    }
}

impl Op {
    /// Name in the file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Login { .. } => "login",
            Self::Issue { .. } => "issue",
            Self::Validate { .. } => "validate",
            Self::Logout { .. } => "logout",
            Self::Probe => "probe",
        }
    }
}

impl Out {
    fn text(&self) -> String {
        match self {
            Self::Ok(value) if value.is_empty() => "ok".to_owned(),
            Self::Ok(value) => format!("ok:{value}"),
            Self::Fail(code) => format!("fail:{code}"),
            Self::Unknown => "unknown".to_owned(),
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "ok" => Ok(Self::Ok(value.to_owned())),
            "fail" => Ok(Self::Fail(value.to_owned())),
            "unknown" => Ok(Self::Unknown),
            _ => Err(format!(
                "\"out\" is {text:?}; it must be ok, ok:VALUE, fail:CODE or unknown"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(op: Op, out: Out) -> Line {
        let ended = (out != Out::Unknown).then_some(9);
        Line::Call(Call {
            process: 3,
            at: "node1".into(),
            op,
            began: 7,
            ended,
            out,
            attributes: None,
        })
    }

    #[test]
    fn every_line_reads_back() {
        let text = |text: &str| text.to_owned();
        let service = text("http://127.0.0.1/a?b=\"c\"");
        let session = text("s1");
        let lines = [
            Line::Header(Header {
                doors: vec![text("front"), text("node1")],
                ticket_life_ms: Some(10_000),
                session_life_ms: None,
            }),
            call(Op::Login { user: text("ada") }, Out::Ok(session.clone())),
            call(
                Op::Issue {
                    session: session.clone(),
                    service: service.clone(),
                },
                Out::Ok(text("ST-1~a:b")),
            ),
            call(
                Op::Validate {
                    ticket: text("ST-1~a:b"),
                    service,
                },
                Out::Fail(text("INVALID_TICKET")),
            ),
            call(Op::Logout { session }, Out::Unknown),
            call(Op::Probe, Out::Ok(String::new())),
            Line::Nemesis {
                name: text("cut node1"),
                phase: Phase::End,
                at: 4,
            },
            Line::End,
        ];
        for (line, number) in lines.iter().zip(1..) {
            let text = line.write(number).unwrap();
            assert_eq!(Line::read(&text).unwrap(), (number, line.clone()), "{text}");
        }
        let text = lines[4].write(5).unwrap();
        let expected = r#"{"i":5,"proc":3,"node":"node1","f":"logout","in":{"session":"s1"},"t0":7,"out":"unknown"}"#;
        assert_eq!(
            text, expected,
            "the format that docs/reference/cli.md shows"
        );
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, says) in [
            ("{", "EOF"),
            (r#"{"i":1}"#, "exactly one of"),
            (r#"{"i":1,"history":2}"#, "format 2"),
            (
                r#"{"i":1,"history":1,"about":{"doors":[]},"x":1}"#,
                "unknown field `x`",
            ),
            (
                r#"{"i":1,"f":"issue","in":{"session":"s"}}"#,
                "issue needs \"in\": {\"service\"",
            ),
            (r#"{"i":1,"f":"jump"}"#, "\"f\" is \"jump\""),
            (
                r#"{"i":1,"f":"probe","out":"maybe"}"#,
                "\"out\" is \"maybe\"",
            ),
            (
                r#"{"i":1,"f":"probe","out":"ok","t0":5,"t1":4}"#,
                "before it began",
            ),
            (r#"{"i":1,"f":"probe","out":"ok","t0":5}"#, "needs \"t1\""),
            (
                r#"{"i":1,"f":"probe","out":"unknown","t0":5,"t1":6}"#,
                "has no \"t1\"",
            ),
            (r#"{"i":1,"nemesis":"kill","t":1}"#, "needs \"phase\""),
        ] {
            let error = Line::read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
