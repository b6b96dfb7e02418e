//! The page templates: built in, replaceable from a folder without a compiler.
//!
//! Jinja syntax, HTML escaping always on, undefined names are errors. A replaced template is tried
//! with sample pages before it is put in force; should one fail later all the same, the built-in
//! template answers in its place and the failure is logged. Work and recursion are bounded.

use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::{WebError, read_bounded};

const TEMPLATE_MAX: u64 = 256 * 1024;
const TEMPLATES_MAX: usize = 64;
/// Most instructions of one page; the built-in pages need a few hundred.
const FUEL: u64 = 100_000;

const BUILT_IN: [(&str, &str); 8] = [
    ("base.html", include_str!("../../templates/base.html")),
    ("login.html", include_str!("../../templates/login.html")),
    (
        "signed_in.html",
        include_str!("../../templates/signed_in.html"),
    ),
    (
        "signed_out.html",
        include_str!("../../templates/signed_out.html"),
    ),
    (
        "sign_out.html",
        include_str!("../../templates/sign_out.html"),
    ),
    ("warn.html", include_str!("../../templates/warn.html")),
    ("error.html", include_str!("../../templates/error.html")),
    ("post.html", include_str!("../../templates/post.html")),
];

/// The templates in force.
#[derive(Debug)]
pub struct Templates {
    chosen: Environment<'static>,
    built_in: Environment<'static>,
}

impl Templates {
    /// The built-in templates, and those of the folder over them.
    ///
    /// # Errors
    /// A folder or template that cannot be read or does not compile; the text names file and line.
    pub fn load(folder: Option<&Path>) -> Result<Self, WebError> {
        let built_in = built_in()?;
        let mut chosen = built_in.clone();
        if let Some(folder) = folder {
            for (name, source) in read_folder(folder)? {
                chosen
                    .add_template_owned(name.clone(), source)
                    .map_err(|e| {
                        WebError(format!("{}: {}", folder.join(name).display(), tell(&e)))
                    })?;
            }
        }
        Ok(Self { chosen, built_in })
    }

    /// Renders a page; a replaced template that fails gives way to the built-in one.
    pub fn render(&self, name: &str, context: &Value) -> String {
        self.render_chosen(name, context).unwrap_or_else(|error| {
            tracing::error!(template = name, error = %error.0, "a replaced template failed");
            let built_in = self.built_in.get_template(name);
            built_in
                .and_then(|template| template.render(context.clone()))
                .unwrap_or_else(|error| {
                    tracing::error!(template = name, error = %tell(&error), "a page failed");
                    "This page cannot be shown.".to_owned()
                })
        })
    }

    /// Renders a page from the template in force.
    ///
    /// # Errors
    /// What the template engine says, with name and line.
    pub fn render_chosen(&self, name: &str, context: &Value) -> Result<String, WebError> {
        self.chosen
            .get_template(name)
            .and_then(|template| template.render(context.clone()))
            .map_err(|e| WebError(tell(&e)))
    }
}

fn built_in() -> Result<Environment<'static>, WebError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html) => {
            escape(out, text).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(32);
    for (name, source) in BUILT_IN {
        environment
            .add_template(name, source)
            .map_err(|e| WebError(format!("built-in template {}", tell(&e))))?;
    }
    Ok(environment)
}

/// Escapes text for content and quoted attributes, and leaves `/` readable in addresses.
fn escape(out: &mut impl std::fmt::Write, text: &str) -> std::fmt::Result {
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            _ => out.write_char(c)?,
        }
    }
    Ok(())
}

/// A text escaped for content and quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let _ = escape(&mut out, text);
    out
}

fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, WebError> {
    let fail = |says: String| WebError(format!("{}: {says}", folder.display()));
    let entries =
        std::fs::read_dir(folder).map_err(|e| fail(format!("cannot read the folder: {e}")))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| fail(format!("cannot read the folder: {e}")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".html") || name.starts_with('.') {
            continue;
        }
        if found.len() >= TEMPLATES_MAX {
            return Err(fail(format!("more than {TEMPLATES_MAX} templates")));
        }
        let source = String::from_utf8(read_bounded(&entry.path(), TEMPLATE_MAX)?)
            .map_err(|_| fail(format!("{name} is not UTF-8 text")))?;
        found.push((name, source));
    }
    Ok(found)
}

fn tell(error: &minijinja::Error) -> String {
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("{name}: line {line}: "),
        (Some(name), None) => format!("{name}: "),
        (None, _) => String::new(),
    };
    let reason = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    format!("{place}{reason}")
}
