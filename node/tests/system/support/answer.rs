//! What came back from a server: status, headers, body.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// One answer, with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// The ticket in the redirect to the application.
    pub(crate) fn ticket(&self) -> String {
        let location = self.header("location");
        let ticket = location.split_once("ticket=").map(|(_, t)| t);
        let ticket = ticket
            .unwrap_or_else(|| panic!("no ticket: {} to {location:?}\n{}", self.status, self.body));
        ticket.split('&').next().unwrap_or_default().to_owned()
    }

    /// Values of the hidden fields of the form.
    pub(crate) fn hidden_fields(&self) -> Vec<(String, String)> {
        let inputs = self.body.split("<input").skip(1);
        let tags = inputs.map(|rest| rest.split('>').next().unwrap_or_default());
        let hidden = tags.filter(|tag| attribute(tag, "type").as_deref() == Some("hidden"));
        hidden
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
            .collect()
    }

    /// Whether the page asks for a password.
    pub(crate) fn asks_for_password(&self) -> bool {
        self.status == 200 && self.body.contains("type=\"password\"")
    }

    /// The validation's verdict: the user, or the failure code.
    pub(crate) fn verdict(&self) -> Result<String, String> {
        let json: Value = serde_json::from_str(&self.body).map_err(|_| self.status.to_string())?;
        let response = &json["serviceResponse"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(user) = text(&response["authenticationSuccess"]["user"]) {
            return Ok(user);
        }
        Err(text(&response["authenticationFailure"]["code"]).unwrap_or_else(|| self.body.clone()))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#34;", "\"")
            .replace("&amp;", "&"),
    )
}
