//! How one value is read: the trait behind every type a key can have, and the plain types.
//!
//! A value comes either as TOML or as the text of an override; text is turned into the TOML that a
//! person would have written, so that both ways end in the same parser and `config show` prints both
//! alike. Types with a grammar of their own are in [`super::types`].

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a value does not fit; the detail is added to "expected …, found …".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch(pub Option<String>);

impl Mismatch {
    /// A mismatch with a reason beyond "not of the expected kind".
    pub fn because(detail: impl Into<String>) -> Self {
        Self(Some(detail.into()))
    }
}

/// A type that a configuration key can have.
pub trait Value: Sized {
    /// What a value looks like, as the object of "expected".
    const EXPECTED: &'static str;
    /// Whether the value must never be shown; such a key can also be given as `<key>_file`.
    const SECRET: bool = false;
    /// Whether an empty default is a value (an empty list) rather than "no default".
    const EMPTY_IS_A_VALUE: bool = false;

    /// Reads TOML; relative paths start at `base`.
    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch>;

    /// The TOML that the text of an environment variable or of `--set` stands for.
    fn text_to_toml(text: &str) -> toml::Value {
        toml::Value::String(text.to_owned())
    }

    /// Where the value lies on the scale its range is checked on.
    fn magnitude(&self) -> Option<u128> {
        None
    }

    /// The value of a key that is not set and has no default; `None` when it must be set.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a value that is written as a string with a grammar.
pub(crate) fn from_string<T>(
    value: &toml::Value,
    parse: impl FnOnce(&str) -> Result<T, Mismatch>,
) -> Result<T, Mismatch> {
    match value {
        toml::Value::String(text) => parse(text),
        _ => Err(Mismatch::default()),
    }
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const SECRET: bool = T::SECRET;

    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        T::from_toml(value, base).map(Some)
    }

    fn text_to_toml(text: &str) -> toml::Value {
        T::text_to_toml(text)
    }

    fn magnitude(&self) -> Option<u128> {
        self.as_ref().and_then(T::magnitude)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: ListItem> Value for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED_LIST;
    const EMPTY_IS_A_VALUE: bool = true;

    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        let toml::Value::Array(items) = value else {
            return Err(Mismatch::default());
        };
        items
            .iter()
            .map(|item| {
                T::from_toml(item, base).map_err(|mismatch| {
                    let why = mismatch.0.map(|d| format!(": {d}")).unwrap_or_default();
                    Mismatch::because(format!("{item} is not {}{why}", T::EXPECTED))
                })
            })
            .collect()
    }

    /// Items separated by commas.
    fn text_to_toml(text: &str) -> toml::Value {
        toml::Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(T::text_to_toml)
                .collect(),
        )
    }
}

/// A type that can be listed.
pub trait ListItem: Value {
    /// What a list of them looks like.
    const EXPECTED_LIST: &'static str;
}

impl Value for String {
    const EXPECTED: &'static str = "a text";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| Ok(text.to_owned()))
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        value.as_bool().ok_or_else(Mismatch::default)
    }

    fn text_to_toml(text: &str) -> toml::Value {
        match text {
            "true" => toml::Value::Boolean(true),
            "false" => toml::Value::Boolean(false),
            other => toml::Value::String(other.to_owned()),
        }
    }
}

macro_rules! whole_numbers {
    ($($Type:ty),+) => {$(
        impl Value for $Type {
            const EXPECTED: &'static str = "a whole number";

            fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
                let number = value.as_integer().ok_or_else(Mismatch::default)?;
                Self::try_from(number).map_err(|_| {
                    Mismatch::because(format!("{} to {}", Self::MIN, Self::MAX))
                })
            }

            fn text_to_toml(text: &str) -> toml::Value {
                match text.parse::<i64>() {
                    Ok(number) => toml::Value::Integer(number),
                    Err(_) => toml::Value::String(text.to_owned()),
                }
            }

            fn magnitude(&self) -> Option<u128> {
                u128::try_from(*self).ok()
            }
        }
    )+};
}
whole_numbers!(u8, u16, u32, usize);

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    /// A relative path starts at the folder of the configuration file it is written in.
    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            if text.is_empty() {
                return Err(Mismatch::default());
            }
            Ok(base.join(text))
        })
    }
}

/// A secret text; shown nowhere and wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself.
    ///
    /// *Security*: never log it, compare it in constant time only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Value for Secret {
    const EXPECTED: &'static str = "a secret of 16 to 4096 characters";
    const SECRET: bool = true;

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            if (16..=4096).contains(&text.len()) {
                Ok(Self(Zeroizing::new(text.to_owned())))
            } else {
                Err(Mismatch::default())
            }
        })
    }
}
