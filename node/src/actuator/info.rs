//! `GET /info`: what is running here.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Actuator;
use crate::ops::metrics::{REVISION, VERSION};

pub(super) async fn info(State(actuator): State<Actuator>) -> Json<Value> {
    Json(json!({
        "app": { "name": "castor" },
        "build": { "name": "castor", "version": VERSION },
        "git": { "commit": { "id": REVISION } },
        "node": {
            "name": actuator.handle.node().as_str(),
            "wire": castor_proto::version::CURRENT.number(),
        },
    }))
}
