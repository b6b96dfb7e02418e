//! Records of runs as one page for a browser, and as Markdown.
//!
//! The rooms: `page` (the HTML page), `markdown` (the summary), `plots` (which plots there
//! are), [`frame`] (how one is drawn), [`scale`] (axes and ticks), [`number`] and [`words`] (what
//! both say), `closing` (the last lines on a terminal), [`escape`] (so that a record stays text).
//!
//! The plots are drawn here and not by a library: those put fixed colours, fixed widths and letters
//! that shrink into the picture, while these follow the reader's light or dark, width and printer.
//!
//! Promises: a page needs nothing but itself: no script, no network, no font; whatever a record
//! holds, it adds no markup. Does not: judge; the record brings its verdict.

mod closing;
pub mod escape;
pub mod frame;
pub mod markdown;
pub mod number;
pub mod page;
pub mod plots;
pub mod scale;
pub mod words;

pub use closing::closing;
pub use markdown::markdown;
pub use page::page;
