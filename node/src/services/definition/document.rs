//! A definition as JSON again, to be shown to operators: everything that was written, also what has no
//! effect here. Salts are not shown.

use serde_json::{Map, Value as Json};

use crate::services::json::{Node, Value};

/// The members whose values are secrets.
const SECRET: [&str; 1] = ["salt"];

/// What names a definition, as far as it can be read: also of one that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// `id`
    pub id: Option<i64>,
    /// `name`
    pub name: Option<String>,
    /// `evaluationOrder`
    pub order: Option<i64>,
    /// `serviceId`
    pub pattern: Option<String>,
}

impl Outline {
    /// Reads what there is.
    pub fn of(text: &str) -> Self {
        let Ok(node) = crate::services::json::parse(text) else {
            return Self::default();
        };
        let document = of(&node);
        let text = |key: &str| document[key].as_str().map(str::to_owned);
        Self {
            id: document["id"].as_i64(),
            name: text("name"),
            order: document["evaluationOrder"].as_i64().or(Some(0)),
            pattern: text("serviceId"),
        }
    }
}

/// Makes JSON of a text that was read.
pub(super) fn of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        }
        Value::String(text) => Json::String(text.clone()),
        Value::Array(items) => Json::Array(items.iter().map(of).collect()),
        Value::Object(members) => {
            let shown = members.iter().map(|member| {
                let secret = SECRET.contains(&member.key.as_str());
                let value = if secret {
                    Json::String("*****".to_owned())
                } else {
                    of(&member.node)
                };
                (member.key.clone(), value)
            });
            Json::Object(shown.collect::<Map<String, Json>>())
        }
    }
}
