//! The pictures of a run. Each file has one: its numbers from the cells, the words that they say, and then the drawing.
//!
//! A picture that a run has nothing for is an `Err` that says so; the page lists those.

pub(super) mod chart;
pub(super) mod effects;
pub(super) mod heat;
pub(super) mod ladder;
pub(super) mod pairs;
pub(super) mod percentiles;
pub(super) mod rounds;
pub(super) mod seconds;
mod timeline;

use maud::Markup;

/// A picture and what one sees on it.
#[derive(Debug)]
pub(super) struct Picture {
    /// Its anchor.
    pub(super) id: &'static str,
    /// Its heading: the question that it answers.
    pub(super) title: &'static str,
    /// What one sees, worked out from its numbers.
    pub(super) words: Vec<String>,
    /// The drawing.
    pub(super) body: Markup,
}

/// A picture, or why this run has none.
pub(super) type Drawn = Result<Picture, String>;
