//! One plot as SVG inside HTML: grid, ticks, marks, lines, points, legend.
//!
//! The drawing has no width of its own: horizontal places are percentages and only the joined lines
//! are stretched (their strokes are not), so that letters keep their size from a phone to paper.
//! Colours come from the style sheet, by number.
//!
//! Promises: at most about [`BUCKETS`] times two points a line, peaks kept; every point that is
//! shown says its values when pointed at. Does not: choose axes ([`super::plots`]).

use std::fmt::Write as _;

use super::escape::Html;
use super::scale::Scale;
use crate::run::{Line, Mark, Style};

/// Pieces of the horizontal axis; of each the lowest and the highest point are drawn.
const BUCKETS: usize = 600;
/// Points of a line that answer when they are pointed at.
const TIPS_MAX: usize = 60;
/// A line with at most so many points shows each.
const SHOWN_MAX: usize = 24;
/// Single points drawn of one line.
const DOTS_MAX: usize = 1_500;
/// Samples that are so many times further apart than usual are not joined.
const GAP: f64 = 3.5;
/// Colours in the style sheet.
pub const COLOURS: usize = 8;
/// Width in which joined lines are written.
const WIDTH: f64 = 1_000.0;

/// What a plot is drawn from.
pub struct Frame<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Name and unit of the vertical axis.
    pub y_title: &'a str,
    /// Name and unit of the horizontal axis; its labels are left out when empty.
    pub x_title: String,
    /// Horizontal axis.
    pub x: Scale,
    /// Vertical axis.
    pub y: Scale,
    /// Height of the plot area in pixels.
    pub height: f64,
    /// Lines and points.
    pub lines: &'a [Line],
    /// What happened.
    pub marks: &'a [Mark],
    /// Whether a line is broken where samples are missing.
    pub gaps: bool,
    /// Whether the marks have their numbers here.
    pub numbered: bool,
    /// What a point says.
    pub says: &'a dyn Fn(&Line, (f64, f64)) -> String,
}

impl Frame<'_> {
    /// Appends the plot to `page`.
    pub fn draw(&self, page: &mut String) {
        let _ = write!(
            page,
            "<figure class=\"plot\"><figcaption><span class=\"name\">{}</span>\
             <span class=\"unit\">{}</span>",
            Html(self.title),
            Html(self.y_title)
        );
        if self.lines.len() > 1 {
            self.legend(page);
        }
        let bottom = if self.x_title.is_empty() { 6.0 } else { 26.0 };
        let _ = write!(
            page,
            "</figcaption><div class=\"box\"><svg class=\"chart\" height=\"{}\" role=\"img\" \
             aria-label=\"{}\">",
            self.height + bottom,
            Html(&self.summary())
        );
        self.grid(page);
        self.marks(page);
        for (number, line) in self.lines.iter().enumerate() {
            match line.style {
                Style::Dots => self.dots(page, number, line),
                Style::Line | Style::Dashed => self.joined(page, number, line),
            }
        }
        page.push_str("</svg></div>");
        if !self.x_title.is_empty() {
            let _ = write!(page, "<div class=\"x\">{}</div>", Html(&self.x_title));
        }
        page.push_str("</figure>\n");
    }

    /// The plot in one sentence, for those who do not see it.
    fn summary(&self) -> String {
        let mut text = format!("{}, {}", self.title, self.y_title);
        for line in self.lines.iter().take(COLOURS) {
            let values = || line.points.iter().map(|(_, y)| *y);
            let low = values().fold(f64::INFINITY, f64::min);
            let high = values().fold(f64::NEG_INFINITY, f64::max);
            if low <= high {
                let (low, high) = (super::number::value(low), super::number::value(high));
                let _ = write!(text, "; {} from {low} to {high}", line.name);
            }
        }
        text
    }

    fn legend(&self, page: &mut String) {
        page.push_str("<span class=\"legend\">");
        for (number, line) in self.lines.iter().enumerate() {
            let class = class(number, line.style);
            let _ = write!(
                page,
                "<span class=\"key\"><svg width=\"26\" height=\"12\" class=\"{class}\" \
                 aria-hidden=\"true\">"
            );
            if line.style != Style::Dots {
                page.push_str("<path class=\"l\" d=\"M0 6H26\"/>");
            }
            if shows_points(line) {
                let _ = write!(
                    page,
                    "<svg class=\"m\" x=\"13\" y=\"6\">{}</svg>",
                    marker(number)
                );
            }
            let _ = write!(page, "</svg>{}</span>", Html(&line.name));
        }
        page.push_str("</span>");
    }

    fn grid(&self, page: &mut String) {
        let height = self.height;
        for tick in &self.y.ticks {
            let y = height * (1.0 - tick.at);
            let _ = write!(
                page,
                "<line class=\"g\" x1=\"0\" x2=\"100%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"yl\" x=\"-8\" y=\"{:.1}\">{}</text>",
                y + 4.0,
                Html(&tick.label)
            );
        }
        let odd = self.x.ticks.len() > 5;
        for (index, tick) in self.x.ticks.iter().enumerate() {
            let x = tick.at * 100.0;
            let _ = write!(
                page,
                "<line class=\"g\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"{height}\"/>"
            );
            if !self.x_title.is_empty() {
                let class = if odd && index % 2 == 1 {
                    "xl odd"
                } else {
                    "xl"
                };
                let _ = write!(
                    page,
                    "<text class=\"{class}\" x=\"{x:.2}%\" y=\"{}\">{}</text>",
                    height + 18.0,
                    Html(&tick.label)
                );
            }
        }
        let _ = write!(
            page,
            "<line class=\"a\" x1=\"0\" x2=\"100%\" y1=\"{height}\" y2=\"{height}\"/>"
        );
    }

    fn marks(&self, page: &mut String) {
        let mut free = f64::NEG_INFINITY;
        for (index, mark) in self.marks.iter().enumerate() {
            if !self.x.holds(mark.x) {
                continue;
            }
            let x = self.x.at(mark.x) * 100.0;
            let _ = write!(
                page,
                "<g class=\"mark\"><title>{}</title>",
                Html(&mark.text)
            );
            if let Some(until) = mark.until {
                let width = (self.x.at(until) * 100.0 - x).max(0.0);
                let _ = write!(
                    page,
                    "<rect x=\"{x:.2}%\" y=\"0\" width=\"{width:.2}%\" height=\"{}\"/>",
                    self.height
                );
            }
            let _ = write!(
                page,
                "<line x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"{}\"/>",
                self.height
            );
            // Where numbers would cover each other the list below and the tips must do.
            if self.numbered && x >= free {
                free = x + 2.6;
                let _ = write!(
                    page,
                    "<circle cx=\"{x:.2}%\" cy=\"0\" r=\"9\"/>\
                     <text x=\"{x:.2}%\" y=\"4\">{}</text>",
                    index + 1
                );
            }
            page.push_str("</g>");
        }
    }

    fn joined(&self, page: &mut String, number: usize, line: &Line) {
        let height = self.height;
        let (mut path, mut area) = (String::new(), String::new());
        for piece in pieces(&line.points, self.gaps) {
            let points = self.thinned(piece);
            let (Some(first), Some(last)) = (points.first(), points.last()) else {
                continue;
            };
            let mut joined = String::new();
            for (index, (x, y)) in points.iter().enumerate() {
                let letter = if index == 0 { 'M' } else { 'L' };
                let _ = write!(joined, "{letter}{x:.1} {y:.1}");
            }
            if points.len() == 1 {
                // A point alone would not be seen.
                joined.push_str("h.1");
            }
            let _ = write!(
                area,
                "{joined}L{:.1} {height}L{:.1} {height}Z",
                last.0, first.0
            );
            path.push_str(&joined);
        }
        let class = class(number, line.style);
        let _ = write!(
            page,
            "<g class=\"{class}\"><svg width=\"100%\" height=\"{height}\" viewBox=\"0 0 {WIDTH} \
             {height}\" preserveAspectRatio=\"none\">"
        );
        if self.lines.len() == 1 && line.style == Style::Line {
            let _ = write!(page, "<path class=\"area\" d=\"{area}\"/>");
        }
        let _ = write!(page, "<path class=\"l\" d=\"{path}\"/></svg>");
        if shows_points(line) {
            for point in &line.points {
                self.point(page, marker(number), line, *point);
            }
        } else {
            for point in tips(&line.points) {
                let tip = "<circle class=\"tip\" r=\"5\"/>";
                self.point(page, tip, line, point);
            }
        }
        page.push_str("</g>");
    }

    fn dots(&self, page: &mut String, number: usize, line: &Line) {
        let _ = write!(page, "<g class=\"{}\">", class(number, line.style));
        let every = line.points.len().div_ceil(DOTS_MAX).max(1);
        for point in line.points.iter().step_by(every) {
            self.point(page, marker(number), line, *point);
        }
        page.push_str("</g>");
    }

    fn point(&self, page: &mut String, shape: &str, line: &Line, point: (f64, f64)) {
        if !self.x.holds(point.0) {
            return;
        }
        let _ = write!(
            page,
            "<svg class=\"m\" x=\"{:.2}%\" y=\"{:.1}\"><title>{}</title>{shape}</svg>",
            self.x.at(point.0) * 100.0,
            self.height * (1.0 - self.y.at(point.1)),
            Html(&(self.says)(line, point))
        );
    }

    /// Places of the points; of too many the lowest and highest of each bucket.
    fn thinned(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let placed = points
            .iter()
            .filter(|(x, _)| self.x.holds(*x))
            .map(|(x, y)| (self.x.at(*x) * WIDTH, self.height * (1.0 - self.y.at(*y))));
        let placed: Vec<(f64, f64)> = placed.collect();
        if placed.len() <= 2 * BUCKETS {
            return placed;
        }
        let mut kept = Vec::with_capacity(2 * BUCKETS + 2);
        for bucket in placed.chunks(placed.len().div_ceil(BUCKETS)) {
            let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let (Some(top), Some(low)) = (
                bucket.iter().min_by(by_height),
                bucket.iter().max_by(by_height),
            ) else {
                continue;
            };
            let (one, other) = if top.0 <= low.0 {
                (top, low)
            } else {
                (low, top)
            };
            kept.extend([*one, *other]);
        }
        kept
    }
}

/// The line in pieces: it ends where the next sample is much later than samples usually are.
fn pieces(points: &[(f64, f64)], gaps: bool) -> Vec<&[(f64, f64)]> {
    let apart = |pair: &[(f64, f64)]| match pair {
        [(a, _), (b, _)] => b - a,
        _ => 0.0,
    };
    let mut usual: Vec<f64> = points.windows(2).map(apart).collect();
    let middle = usual.len() / 2;
    if !gaps || usual.len() < 8 {
        return vec![points];
    }
    let (_, usual, _) = usual.select_nth_unstable_by(middle, f64::total_cmp);
    let longest = *usual * GAP;
    points.chunk_by(|(a, _), (b, _)| b - a <= longest).collect()
}

fn shows_points(line: &Line) -> bool {
    match line.style {
        Style::Dots => true,
        Style::Line => line.points.len() <= SHOWN_MAX,
        Style::Dashed => false,
    }
}

/// Some of the points, evenly, and the highest.
fn tips(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(TIPS_MAX).max(1);
    let highest = points.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let even = points.iter().step_by(every);
    even.chain(highest).copied().collect()
}

fn class(number: usize, style: Style) -> String {
    let style = match style {
        Style::Dashed => " dashed",
        // Colours come again; what comes again is dashed finely.
        _ if number >= COLOURS => " again",
        _ => "",
    };
    format!("c{}{style}", number % COLOURS)
}

/// A shape of its own for each of four lines in a row, for those who do not see the colours.
fn marker(number: usize) -> &'static str {
    match number % 4 {
        0 => "<circle r=\"4\"/>",
        1 => "<path d=\"M-3.6 -3.6H3.6V3.6H-3.6Z\"/>",
        2 => "<path d=\"M0 -4.8L4.8 3.6H-4.8Z\"/>",
        _ => "<path d=\"M0 -5L5 0L0 5L-5 0Z\"/>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>(lines: &'a [Line], says: &'a dyn Fn(&Line, (f64, f64)) -> String) -> Frame<'a> {
        Frame {
            title: "t",
            y_title: "y",
            x_title: "x".to_owned(),
            x: Scale::time(100_000.0, 6.0),
            y: Scale::amount([0.0, 100.0].into_iter(), 5.0),
            height: 200.0,
            lines,
            marks: &[],
            gaps: true,
            numbered: true,
            says,
        }
    }

    #[test]
    fn a_line_ends_where_samples_are_missing() {
        let seconds = (0..20).chain(40..60).map(|s| (f64::from(s), 1.0));
        let points: Vec<_> = seconds.collect();
        let lengths: Vec<_> = pieces(&points, true).iter().map(|p| p.len()).collect();
        assert_eq!(lengths, [20, 20]);
        assert_eq!(pieces(&points, false).len(), 1);
    }

    #[test]
    fn a_peak_of_one_sample_is_drawn() {
        let mut points: Vec<_> = (0..50_000).map(|s| (f64::from(s) * 2.0, 1.0)).collect();
        points[31_337].1 = 100.0;
        let lines = [Line {
            name: "n1".to_owned(),
            points,
            style: Style::Line,
        }];
        let says = |_: &Line, (x, y): (f64, f64)| format!("at {x}: {y}");
        let frame = frame(&lines, &says);
        let drawn = frame.thinned(&lines[0].points);
        assert!(drawn.len() <= 2 * BUCKETS, "{}", drawn.len());
        assert!(drawn.iter().any(|(_, y)| *y == 0.0));
        let mut page = String::new();
        frame.draw(&mut page);
        assert!(page.contains("at 62674: 100") && page.len() < 60_000);
        assert!(page.contains("n1 from 1 to 100"));
    }

    #[test]
    fn what_lies_outside_is_not_drawn_at_the_edge() {
        let lines = [Line {
            name: "n1".to_owned(),
            points: vec![(-1.0, 5.0), (1e9, 5.0)],
            style: Style::Dots,
        }];
        let mut page = String::new();
        frame(&lines, &|_, _| "tip".to_owned()).draw(&mut page);
        assert!(!page.contains("tip"), "{page}");
    }
}
