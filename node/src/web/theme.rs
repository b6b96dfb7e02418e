//! The colours of the pages, made from one configured colour.
//!
//! The configured colour is darkened on light ground and lightened on dark ground until text in it
//! and on it has a contrast of at least 4.5 to 1 (WCAG AA), whatever was configured.

use std::fmt::Write as _;

/// Lowest contrast of text.
const CONTRAST_MIN: f64 = 4.5;
const LIGHT_CARD: Rgb = Rgb(255, 255, 255);
const DARK_CARD: Rgb = Rgb(29, 33, 40);

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rgb(u8, u8, u8);

impl Rgb {
    const BLACK: Self = Self(0, 0, 0);
    const WHITE: Self = Self(255, 255, 255);

    fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix('#').filter(|h| h.len() == 6)?;
        let part = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        Some(Self(part(0)?, part(2)?, part(4)?))
    }

    fn css(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Relative luminance as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// `share` of 16 parts of `other` mixed in.
    fn mix(self, other: Self, share: u32) -> Self {
        let part = |a: u8, b: u8| {
            let mixed = (u32::from(a) * (16 - share) + u32::from(b) * share) / 16;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        };
        Self(
            part(self.0, other.0),
            part(self.1, other.1),
            part(self.2, other.2),
        )
    }

    /// The nearest mix with `towards` that can be read on `ground`.
    fn readable_on(self, ground: Self, towards: Self) -> Self {
        (0..=16)
            .map(|share| self.mix(towards, share))
            .find(|mixed| mixed.contrast(ground) >= CONTRAST_MIN)
            .unwrap_or(towards)
    }

    fn ink(self) -> Self {
        if self.contrast(Self::WHITE) >= CONTRAST_MIN {
            Self::WHITE
        } else {
            Self::BLACK
        }
    }
}

/// Colours made from the configured one.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    light: Rgb,
    dark: Rgb,
}

impl Theme {
    /// Takes a colour as `#rrggbb`; anything else counts as the default colour.
    pub fn from_accent(accent: &str) -> Self {
        let accent = Rgb::parse(accent).unwrap_or(Rgb(0x1f, 0x4e, 0x79));
        Self {
            light: accent.readable_on(LIGHT_CARD, Rgb::BLACK),
            dark: accent.readable_on(DARK_CARD, Rgb::WHITE),
        }
    }

    /// The colour on light ground, as `#rrggbb`.
    pub fn accent(&self) -> String {
        self.light.css()
    }

    /// The style sheet with every colour the pages use.
    pub fn css(&self) -> String {
        let mut css = String::from("/* Made from web.primary_color. */\n:root {\n");
        css.push_str("  color-scheme: light dark;\n");
        write_colours(&mut css, self.light, Rgb::BLACK, &LIGHT);
        css.push_str("}\n@media (prefers-color-scheme: dark) {\n:root {\n");
        write_colours(&mut css, self.dark, Rgb::WHITE, &DARK);
        css.push_str("}\n}\n");
        css
    }
}

fn write_colours(css: &mut String, accent: Rgb, strong: Rgb, rest: &[(&str, &str)]) {
    let made = [
        ("accent", accent.css()),
        ("accent-strong", accent.mix(strong, 3).css()),
        ("accent-ink", accent.ink().css()),
    ];
    let made = made.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in made.chain(rest.iter().copied()) {
        let _ = writeln!(css, "  --{name}: {value};");
    }
}

const LIGHT: [(&str, &str); 13] = [
    ("ground", "#f4f5f7"),
    ("card", "#ffffff"),
    ("input", "#ffffff"),
    ("ink", "#1b1f24"),
    ("ink-quiet", "#545c66"),
    ("line", "#dfe3e8"),
    ("line-strong", "#858d98"),
    ("note-ground", "#f1f3f6"),
    ("bad-ground", "#fdf1f0"),
    ("bad-line", "#eeb8b3"),
    ("bad-ink", "#a11a10"),
    ("good-ink", "#19703a"),
    ("shade", "#00000014"),
];

const DARK: [(&str, &str); 13] = [
    ("ground", "#14171c"),
    ("card", "#1d2128"),
    ("input", "#14171c"),
    ("ink", "#e9ecf0"),
    ("ink-quiet", "#a8b0bb"),
    ("line", "#343b45"),
    ("line-strong", "#7a8492"),
    ("note-ground", "#262c35"),
    ("bad-ground", "#3a1d1b"),
    ("bad-line", "#7c3a34"),
    ("bad-ink", "#ffb4ab"),
    ("good-ink", "#7ddb9b"),
    ("shade", "#00000066"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_of_the_pages_can_be_read() {
        for (colours, dark) in [(LIGHT, false), (DARK, true)] {
            let get = |name: &str| {
                let found = colours.iter().find(|(n, _)| *n == name);
                Rgb::parse(found.unwrap().1).unwrap()
            };
            for (ink, ground) in [
                ("ink", "ground"),
                ("ink", "card"),
                ("ink", "input"),
                ("ink", "note-ground"),
                ("ink-quiet", "ground"),
                ("ink-quiet", "card"),
                ("ink-quiet", "note-ground"),
                ("bad-ink", "bad-ground"),
            ] {
                let contrast = get(ink).contrast(get(ground));
                assert!(
                    contrast >= CONTRAST_MIN,
                    "{ink} on {ground}, dark {dark}: {contrast}"
                );
            }
            // Borders of controls need 3 to 1.
            assert!(
                get("line-strong").contrast(get("card")) >= 3.0,
                "dark {dark}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_configured_colour_becomes_readable(r: u8, g: u8, b: u8) {
            let theme = Theme::from_accent(&Rgb(r, g, b).css());
            for (accent, card) in [(theme.light, LIGHT_CARD), (theme.dark, DARK_CARD)] {
                prop_assert!(accent.contrast(card) >= CONTRAST_MIN);
                prop_assert!(accent.contrast(accent.ink()) >= CONTRAST_MIN);
            }
        }
    }
}
