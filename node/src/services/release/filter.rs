//! Which values of attributes an application sees.

use crate::services::attributes::{self, Attributes};
use crate::services::pattern::Pattern;

/// A filter of attribute values; an attribute without a value left is not released.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Values that the pattern covers, of every attribute.
    Values(Pattern),
    /// Rules for single attributes.
    Mapped {
        /// Name of an attribute, and its rules: what any of them takes is released.
        rules: Vec<(String, Vec<FilterRule>)>,
        /// Values that do not match are released, instead of those that do.
        reverse: bool,
        /// Whether attributes without rules are dropped.
        exclude_unmapped: bool,
    },
    /// All that any of these lets through; of one attribute the last one's values count.
    Any(Vec<Filter>),
}

/// One rule of an attribute.
#[derive(Debug, Clone)]
pub struct FilterRule {
    /// What a value must match.
    pub pattern: Pattern,
    /// What is released instead of the value, with `$1` for the text of the first group.
    pub replacement: Option<String>,
}

impl Filter {
    /// What is left.
    pub(super) fn of(&self, given: &Attributes) -> Attributes {
        let mut left = Attributes::new();
        match self {
            // A pattern that cannot be decided lets nothing through.
            Self::Values(pattern) => {
                for (name, values) in given {
                    let covered = values.iter().filter(|v| pattern.matches(v) == Ok(true));
                    left.push((name.clone(), covered.cloned().collect()));
                }
            }
            Self::Mapped {
                rules,
                reverse,
                exclude_unmapped,
            } => {
                for (name, values) in given {
                    let own = rules.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
                    match own {
                        Some((_, own)) => {
                            let take = |rule: &FilterRule| rule.take(values, *reverse);
                            left.push((name.clone(), own.iter().flat_map(take).collect()));
                        }
                        None if *exclude_unmapped => {}
                        None => left.push((name.clone(), values.clone())),
                    }
                }
            }
            Self::Any(filters) => {
                for filter in filters {
                    for (name, values) in filter.of(given) {
                        attributes::set(&mut left, name, values);
                    }
                }
            }
        }
        left.retain(|(_, values)| !values.is_empty());
        left
    }
}

impl FilterRule {
    fn take(&self, values: &[String], reverse: bool) -> Vec<String> {
        let take = |value: &String| match &self.replacement {
            None => (self.pattern.matches(value) == Ok(!reverse)).then(|| value.clone()),
            Some(replacement) => {
                let groups = self.pattern.groups(value).ok()??;
                Some(expand(replacement, "$", "", &groups))
            }
        };
        values.iter().filter_map(take).collect()
    }
}

/// Puts the texts of groups into a template: `${1}` or `$1`, by what begins and ends a place.
/// A group that took no part is empty. Nothing that was put in is looked at again.
pub(super) fn expand(template: &str, begin: &str, end: &str, groups: &[Option<String>]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(begin) {
        out.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number = after.get(..digits).and_then(|n| n.parse::<usize>().ok());
        let follows = after.get(digits..).and_then(|tail| tail.strip_prefix(end));
        match (number.and_then(|n| groups.get(n)), follows) {
            (Some(text), Some(tail)) => {
                out.push_str(text.as_deref().unwrap_or_default());
                rest = tail;
            }
            _ => {
                out.push_str(begin);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_once() {
        let groups = [Some("all".to_owned()), Some("$2 ${2}".to_owned()), None];
        assert_eq!(expand("a$1b$2c$9$", "$", "", &groups), "a$2 ${2}bc$9$");
        assert_eq!(
            expand("${1}/${2}${x}${1", "${", "}", &groups),
            "$2 ${2}/${x}${1"
        );
    }
}
