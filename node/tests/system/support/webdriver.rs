//! Chromium by the WebDriver protocol: the few commands these tests need.
//!
//! Promises: a fresh profile for each session, both processes ended on drop. Does not wait for pages
//! beyond what the protocol does itself (a navigation returns when the page has loaded).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

/// The name under which the protocol puts an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The tabulator and enter keys, as the protocol writes them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// What makes one browser unlike another.
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) scripts: bool,
}

/// A browser window.
pub(crate) struct Browser {
    driver: Child,
    agent: Agent,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port and one Chromium below it.
    pub(crate) fn open(look: &Look) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver; see .ci/packages");
        let output = driver.stdout.take().expect("its output is ours");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        // Read on, or a full pipe stops it.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let agent = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let base = format!(
            "http://127.0.0.1:{}",
            port.expect("chromedriver names its port")
        );
        let mut browser = Self {
            driver,
            agent,
            session: base,
            _profile: profile,
        };
        let capabilities = capabilities(look, browser._profile.path());
        let created = browser.command("/session", &capabilities);
        let id = created["sessionId"]
            .as_str()
            .expect("a session id")
            .to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        let metrics = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": look.width, "height": look.height, "deviceScaleFactor": 1,
            "mobile": look.width < 600,
        }});
        browser.command("/goog/cdp/execute", &metrics);
        browser
    }

    /// Loads a page and waits for it.
    pub(crate) fn go(&self, url: &str) {
        self.command("/url", &json!({ "url": url }));
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        self.read("/url").as_str().unwrap_or_default().to_owned()
    }

    /// The page's source as it stands.
    pub(crate) fn source(&self) -> String {
        self.read("/source").as_str().unwrap_or_default().to_owned()
    }

    /// The element a selector finds first.
    fn element(&self, css: &str) -> String {
        let found = self.command("/element", &json!({"using": "css selector", "value": css}));
        found[ELEMENT]
            .as_str()
            .unwrap_or_else(|| panic!("no element {css}"))
            .to_owned()
    }

    /// Types into the element a selector finds.
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.command(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Types into whatever has the focus.
    pub(crate) fn keys(&self, text: &str) {
        let strokes = text.chars().flat_map(|c| {
            [
                json!({"type": "keyDown", "value": c}),
                json!({"type": "keyUp", "value": c}),
            ]
        });
        let strokes: Vec<Value> = strokes.collect();
        let source = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.command("/actions", &json!({ "actions": [source] }));
    }

    /// Clicks the element a selector finds.
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css);
        self.command(&format!("/element/{element}/click"), &json!({}));
    }

    /// An attribute or property of the element that has the focus.
    pub(crate) fn focused(&self, property: &str) -> String {
        let active = self.read("/element/active");
        let element = active[ELEMENT]
            .as_str()
            .expect("something has the focus")
            .to_owned();
        let value = self.read(&format!("/element/{element}/property/{property}"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// A measure of the page, computed by the browser's own debugger (also without scripts).
    pub(crate) fn layout(&self) -> Value {
        let request = json!({"cmd": "Page.getLayoutMetrics", "params": {}});
        self.command("/goog/cdp/execute", &request)
    }

    /// What the browser complained about: blocked content, failed requests.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.command("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|e| e["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A picture of the window, PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        use base64::Engine as _;
        let picture = self.read("/screenshot");
        let text = picture.as_str().expect("a picture").to_owned();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .expect("base64")
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.agent.post(&url).content_type("application/json");
        value_of(path, request.send(body.to_string()))
    }

    fn read(&self, path: &str) -> Value {
        value_of(
            path,
            self.agent.get(format!("{}{path}", self.session)).call(),
        )
    }
}

fn value_of(path: &str, response: Result<http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
    let reader = response.body_mut().with_config().limit(64 << 20);
    let text = reader.read_to_string().expect("a whole answer");
    let mut json: Value = serde_json::from_str(&text).expect("chromedriver speaks JSON");
    assert!(response.status().is_success(), "{path}: {}", json["value"]);
    json["value"].take()
}

fn capabilities(look: &Look, profile: &std::path::Path) -> Value {
    let scripts = if look.scripts { 1 } else { 2 };
    let arguments = [
        "--headless".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-quic".to_owned(),
        "--no-first-run".to_owned(),
        "--no-proxy-server".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        format!("--window-size={},{}", look.width.max(500), look.height),
        format!("--user-data-dir={}", profile.display()),
    ];
    json!({"capabilities": {"alwaysMatch": {
        "acceptInsecureCerts": true,
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.javascript": scripts},
        },
    }}})
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; the driver itself is then killed.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
