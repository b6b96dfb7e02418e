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

    /// The nearest colour of the same hue that can be read on `ground`, darker or lighter.
    fn readable_on(self, ground: Self, lighter: bool) -> Self {
        let (hue, saturation, lightness) = self.hsl();
        let end = if lighter { 1.0 } else { 0.0 };
        (0..=64)
            .map(|step| {
                let share = f64::from(step) / 64.0;
                Self::from_hsl(hue, saturation, lightness + (end - lightness) * share)
            })
            .find(|colour| colour.contrast(ground) >= CONTRAST_MIN)
            .unwrap_or(if lighter { Self::WHITE } else { Self::BLACK })
    }

    /// Hue in sixths of the circle, saturation and lightness from 0 to 1.
    fn hsl(self) -> (f64, f64, f64) {
        let [r, g, b] = [self.0, self.1, self.2].map(|c| f64::from(c) / 255.0);
        let (max, min) = (r.max(g).max(b), r.min(g).min(b));
        let (lightness, range) = ((max + min) / 2.0, max - min);
        if range == 0.0 {
            return (0.0, 0.0, lightness);
        }
        let saturation = range / (1.0 - (2.0 * lightness - 1.0).abs());
        let hue = if max == r {
            ((g - b) / range).rem_euclid(6.0)
        } else if max == g {
            (b - r) / range + 2.0
        } else {
            (r - g) / range + 4.0
        };
        (hue, saturation, lightness)
    }

    fn from_hsl(hue: f64, saturation: f64, lightness: f64) -> Self {
        let chroma = (1.0 - (2.0 * lightness - 1.0).abs()) * saturation;
        let second = chroma * (1.0 - (hue.rem_euclid(2.0) - 1.0).abs());
        let (r, g, b) = match hue {
            h if h < 1.0 => (chroma, second, 0.0),
            h if h < 2.0 => (second, chroma, 0.0),
            h if h < 3.0 => (0.0, chroma, second),
            h if h < 4.0 => (0.0, second, chroma),
            h if h < 5.0 => (second, 0.0, chroma),
            _ => (chroma, 0.0, second),
        };
        let part = |c: f64| {
            let value = ((c + lightness - chroma / 2.0) * 255.0).round();
            // Casts of floats saturate, so the result is a channel whatever the rounding did.
            value as u8
        };
        Self(part(r), part(g), part(b))
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
            light: accent.readable_on(LIGHT_CARD, false),
            dark: accent.readable_on(DARK_CARD, true),
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

    #[test]
    fn a_colour_that_can_be_read_stays_as_it_is() {
        for accent in ["#1f4e79", "#7a0019", "#000000"] {
            assert_eq!(Theme::from_accent(accent).accent(), accent);
        }
        let theme = Theme::from_accent("#1f4e79");
        assert!(
            theme.dark.2 > theme.dark.0 + 60,
            "still blue: {}",
            theme.dark.css()
        );
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
