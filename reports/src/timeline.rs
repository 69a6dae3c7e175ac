//! One time line in text: what is offered and what goes wrong, lane below lane over a common axis.
//!
//! The storm takes most of the columns at one scale; the calm, however long, a few at the end, since nothing begins there.
//! Nothing rests on colour, and with [`Charset::Ascii`] nothing on characters beyond ASCII.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::length::Length;
use crate::number::Number;
use crate::table::{left, truncated, width};

/// Columns of the names, and of the calm.
const NAME_COLUMNS: usize = 20;
const CALM_COLUMNS: usize = 8;

/// A label of the axis needs this much room.
const TICK_COLUMNS: usize = 10;

/// Steps of the axis in milliseconds, up to years.
pub(crate) const STEPS_MS: [u64; 35] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    345_600_000,
    604_800_000,
    864_000_000,
    1_209_600_000,
    2_592_000_000,
    8_640_000_000,
    31_536_000_000,
];

/// What happens over a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// The storm.
    pub storm: Length,
    /// The calm after it.
    pub calm: Length,
    /// From top to bottom.
    pub lanes: Vec<Lane>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// What it is about.
    pub name: String,
    /// What is drawn.
    pub marks: Marks,
    /// A few characters after the line, such as its greatest value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What is drawn in a lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marks {
    /// A rate per second in equal parts of the storm.
    Rates(Vec<Number>),
    /// Stretches from–to; of no length for a point.
    Stretches(Vec<(Length, Length)>),
}

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Blocks and lines.
    Unicode,
    /// Nothing beyond ASCII.
    Ascii,
}

impl Charset {
    const fn levels(self) -> [char; 8] {
        match self {
            Self::Unicode => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => ['.', ':', '-', '=', '+', '*', '#', '@'],
        }
    }

    const fn stretch(self) -> char {
        match self {
            Self::Unicode => '━',
            Self::Ascii => '=',
        }
    }

    const fn point(self) -> char {
        match self {
            Self::Unicode => '◆',
            Self::Ascii => '!',
        }
    }
}

/// The time line in at most `columns` columns, at least 60.
pub fn render_timeline(timeline: &Timeline, columns: usize, charset: Charset) -> String {
    let storm_columns = columns.max(60) - NAME_COLUMNS - CALM_COLUMNS - 2;
    let scale = Scale { storm: timeline.storm.0, columns: storm_columns };
    let mut text = axis(&scale, timeline.calm);
    for lane in &timeline.lanes {
        let drawn = match &lane.marks {
            Marks::Rates(rates) => scale.rates(rates, charset),
            Marks::Stretches(stretches) => scale.stretches(stretches, charset),
        };
        let name = left(&truncated_name(&lane.name, charset), NAME_COLUMNS);
        let _ = writeln!(text, "{}", format!("{name} {drawn}|{}", lane.note).trim_end());
    }
    text
}

fn truncated_name(name: &str, charset: Charset) -> String {
    let short = truncated(name, NAME_COLUMNS);
    match charset {
        Charset::Unicode => short,
        Charset::Ascii => short.replace('…', "~"),
    }
}

/// From moments of the storm to columns.
struct Scale {
    storm: Duration,
    columns: usize,
}

impl Scale {
    /// The column a moment lies in; the storm's end lies behind the last.
    fn column(&self, at: Duration) -> usize {
        let column = at.as_nanos() * self.columns as u128 / self.storm.as_nanos().max(1);
        usize::try_from(column).unwrap_or(usize::MAX).min(self.columns)
    }

    fn rates(&self, rates: &[Number], charset: Charset) -> String {
        let rates: Vec<f64> = rates.iter().map(|rate| rate.value().unwrap_or(0.0)).collect();
        let most = rates.iter().copied().fold(0.0, f64::max);
        let levels = charset.levels();
        let level = |rate: f64| {
            if rate <= 0.0 {
                return ' ';
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of eight levels")]
            let level = (rate / most * 8.0).ceil() as usize;
            levels[level.clamp(1, levels.len()) - 1]
        };
        (0..self.columns).map(|column| level(mean_of_part(&rates, column, self.columns))).collect()
    }

    fn stretches(&self, stretches: &[(Length, Length)], charset: Charset) -> String {
        let mut drawn = vec![' '; self.columns];
        for (from, to) in stretches {
            let first = self.column(from.0).min(self.columns - 1);
            if from == to {
                drawn[first] = charset.point();
                continue;
            }
            // A stretch that ends within a column has that column.
            let end = self.column(to.0.saturating_sub(Duration::from_nanos(1))) + 1;
            drawn[first..end.clamp(first + 1, self.columns)].fill(charset.stretch());
        }
        drawn.into_iter().collect()
    }
}

/// The mean of the part number `part` of `parts` equal ones.
fn mean_of_part(values: &[f64], part: usize, parts: usize) -> f64 {
    let (count, parts) = (values.len() as f64, parts as f64);
    let (from, to) = (part as f64 * count / parts, (part + 1) as f64 * count / parts);
    let overlap = |index: usize| ((index + 1) as f64).min(to) - (index as f64).max(from);
    let sum: f64 = values.iter().enumerate().map(|(index, value)| value * overlap(index).max(0.0)).sum();
    if to > from { sum / (to - from) } else { 0.0 }
}

/// Labels and ticks, and where the calm begins.
fn axis(scale: &Scale, calm: Length) -> String {
    let room = scale.columns / TICK_COLUMNS;
    let fits = |step: &u64| scale.storm.as_millis() <= u128::from(*step) * room as u128;
    let step = Duration::from_millis(STEPS_MS.into_iter().find(fits).unwrap_or(STEPS_MS[STEPS_MS.len() - 1]));
    let (mut labels, mut ticks) = (String::new(), vec!['-'; scale.columns]);
    let mut at = Duration::ZERO;
    while at < scale.storm {
        let (column, label) = (scale.column(at), Length(at).to_string());
        // The last label must leave room for the one of the calm.
        if column >= width(&labels) && column + width(&label) < scale.columns {
            labels = left(&labels, column) + &label + " ";
        }
        ticks[column.min(scale.columns - 1)] = '+';
        at += step;
    }
    let labels = left(&labels, scale.columns);
    let ticks: String = ticks.into_iter().collect();
    let gap = " ".repeat(NAME_COLUMNS + 1);
    format!("{gap}{labels}|calm {calm}\n{gap}{ticks}|{}\n", "-".repeat(CALM_COLUMNS))
}
