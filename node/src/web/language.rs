//! In which language a request wants its answer: the parameter `locale`, then `Accept-Language`.
//!
//! Nothing here is an error: a request that names no language we have is answered in English.

/// Longest language tag looked at, in bytes; the longest that are in use.
const TAG_MAX: usize = 35;
/// Most entries of `Accept-Language` looked at; browsers send a handful.
const RANGES_MAX: usize = 32;

/// A language tag such as `de` or `pt-br`: lower case, with hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Reads a tag; whatever the case, and with `_` for `-` as Java writes it.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TAG_MAX {
            return None;
        }
        let mut parts = text.split(['-', '_']);
        let language = parts.next()?;
        let is_language =
            (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
        let is_part = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        (is_language && parts.all(is_part))
            .then(|| Self(text.replace('_', "-").to_ascii_lowercase()))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag without its last part: `de` of `de-at`.
    pub fn wider(&self) -> Option<Self> {
        let (wider, _) = self.0.rsplit_once('-')?;
        Some(Self(wider.to_owned()))
    }

    /// The language alone: `pt` of `pt-br`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

/// What a request says about the language of its answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The parameter `locale`.
    pub locale: Option<&'a Tag>,
    /// The header `Accept-Language`.
    pub accept_language: Option<&'a str>,
}

impl Wanted<'_> {
    /// The languages in the order in which they are wanted.
    pub fn tags(&self) -> Vec<Tag> {
        let header = self.accept_language.unwrap_or_default();
        let mut ranges: Vec<(f32, Tag)> = header
            .split(',')
            .take(RANGES_MAX)
            .filter_map(range)
            .collect();
        // Stable: of equals the first counts.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ranges = ranges.into_iter().map(|(_, tag)| tag);
        self.locale.cloned().into_iter().chain(ranges).collect()
    }
}

/// The language that the parameter `locale` of a query names; of several, the first that is one.
pub fn locale_of(query: &str) -> Option<Tag> {
    query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("locale="))
        .find_map(Tag::parse)
}

/// One entry of `Accept-Language`; none when it is not wanted, damaged, or `*`, which is English.
fn range(text: &str) -> Option<(f32, Tag)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = Tag::parse(parts.next()?)?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let weight = match weight {
        Some(text) => text.parse().ok()?,
        None => 1.0,
    };
    (weight > 0.0 && weight <= 1.0).then_some((weight, tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(locale: Option<&str>, header: &str) -> Vec<String> {
        let locale = locale.and_then(Tag::parse);
        let wanted = Wanted {
            locale: locale.as_ref(),
            accept_language: Some(header),
        };
        let tags = wanted.tags().into_iter();
        tags.map(|tag| tag.as_str().to_owned()).collect()
    }

    #[test]
    fn the_parameter_comes_first_then_the_header_by_weight() {
        for (locale, header, expected) in [
            (None, "", vec![]),
            (None, "de-AT,de;q=0.9,en;q=0.8", vec!["de-at", "de", "en"]),
            (None, "en;q=0.5, fr , de;q=0.7", vec!["fr", "de", "en"]),
            (Some("ar"), "de", vec!["ar", "de"]),
            (Some("pt_BR"), "", vec!["pt-br"]),
            (None, "de;q=0, *, en;Q=0.1", vec!["en"]),
            (None, "de;q=x, en;q=1.1, fr;q=-1, it;q=NaN, \"<", vec![]),
        ] {
            assert_eq!(tags(locale, header), expected, "{locale:?} {header}");
        }
        assert_eq!(tags(None, &"de,".repeat(1000)).len(), RANGES_MAX);
    }

    #[test]
    fn only_language_tags_are_taken_from_a_query() {
        let locale = |query| locale_of(query).map(|tag| tag.as_str().to_owned());
        for (query, expected) in [
            ("locale=de", Some("de")),
            ("service=x&locale=de_AT", Some("de-at")),
            ("locale=&locale=en", Some("en")),
            ("xlocale=de&Locale=de", None),
            ("locale=d", None),
            ("locale=\"><script>", None),
            ("locale=de-", None),
            ("locale=de-aaaaaaaa-bbbbbbbb-cccccccc-dddddddd", None),
        ] {
            assert_eq!(locale(query).as_deref(), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read(text in ".{0,200}") {
            let _ = tags(Some(&text), &text);
            let _ = locale_of(&text);
        }
    }
}
