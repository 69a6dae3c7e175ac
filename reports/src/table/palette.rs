//! Colours as pairs of strings, so that this crate needs to know no terminal.

use crate::record::Verdict;

/// What is written before and after a styled text; both empty for no style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Before it.
    pub start: String,
    /// After it.
    pub end: String,
}

impl Style {
    /// The text between start and end.
    pub(crate) fn paint(&self, text: &str) -> String {
        format!("{}{text}{}", self.start, self.end)
    }
}

/// The styles of a table by what they are for. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// The word PASS.
    pub good: Style,
    /// The word FAIL.
    pub bad: Style,
    /// The word INCONCLUSIVE.
    pub doubt: Style,
    /// A scenario's title.
    pub title: Style,
    /// Headings of columns, legend.
    pub aside: Style,
}

impl Palette {
    /// No styles at all.
    pub fn plain() -> Self {
        Self::default()
    }

    pub(crate) fn of(&self, verdict: Verdict) -> &Style {
        match verdict {
            Verdict::Violated => &self.bad,
            Verdict::Inconclusive => &self.doubt,
            Verdict::Pass => &self.good,
        }
    }
}
