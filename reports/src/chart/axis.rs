//! Axes: which values they have, where they lie and how they are labelled.

use std::ops::Range;
use std::time::Duration;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::length::Length;
use crate::timeline::STEPS_MS;

/// At most so many labels of a time axis.
const TIME_LABELS: u128 = 7;
/// At most so many steps of a linear axis.
const STEPS: f64 = 5.0;

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<(f64, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Powers of ten.
    Powers,
}

impl Axis {
    /// A run's time in seconds, from its origin.
    pub(crate) fn time(end: Duration) -> Self {
        let fits = |step: &u64| end.as_millis() <= u128::from(*step) * TIME_LABELS;
        let step = Duration::from_millis(STEPS_MS.into_iter().find(fits).unwrap_or(STEPS_MS[STEPS_MS.len() - 1]));
        let mut ticks = Vec::new();
        let mut at = Duration::ZERO;
        while at <= end && ticks.len() < 1_000 {
            ticks.push((at.as_secs_f64(), Length(at).to_string()));
            at += step;
        }
        Self { low: 0.0, high: end.as_secs_f64().max(1e-9), scale: Scale::Linear, ticks }
    }

    /// From the least to the greatest and a little more, zero included.
    pub(crate) fn linear(least: f64, greatest: f64) -> Self {
        Self::stepped(least, greatest, 0.0)
    }

    /// The same for whole numbers, which are all that is labelled.
    pub(crate) fn whole(least: f64, greatest: f64) -> Self {
        Self::stepped(least, greatest, 1.0)
    }

    fn stepped(least: f64, greatest: f64, step_min: f64) -> Self {
        let (least, greatest) = (least.min(0.0), greatest.max(0.0));
        let spread = if greatest > least { greatest - least } else { 1.0 };
        let step = step((spread / STEPS).max(step_min));
        let (first, last) = ((least / step).floor(), (greatest.max(least + spread) / step).floor());
        let low = if least < 0.0 { least - spread * 0.04 } else { 0.0 };
        let ticks = (0..=STEPS_MAX)
            .map(|index| first + f64::from(index))
            .take_while(|tick| *tick <= last)
            .map(|tick| tick * step)
            .filter(|value| *value >= low)
            .map(|value| (value, number(value)))
            .collect();
        Self { low, high: greatest.max(least + spread) + spread * 0.06, scale: Scale::Linear, ticks }
    }

    /// From the power of ten at or below `least` to the one at or above `most`; both are above zero.
    pub(crate) fn powers(least: f64, most: f64, label: fn(f64) -> String) -> Self {
        let mut low = 1.0;
        while low > least.max(1e-6) {
            low /= 10.0;
        }
        while low * 10.0 <= least {
            low *= 10.0;
        }
        let mut ticks = vec![(low, label(low))];
        let mut high = low;
        while (high < most || ticks.len() < 2) && ticks.len() < 40 {
            high *= 10.0;
            ticks.push((high, label(high)));
        }
        let every = ticks.len().div_ceil(6);
        let ticks = ticks.into_iter().step_by(every).collect();
        Self { low, high: high * 1.3, scale: Scale::Powers, ticks }
    }

    /// One place for each label, from n to n + 1.
    pub(crate) fn places(labels: Vec<String>) -> Self {
        let high = labels.len().max(1) as f64;
        let ticks = labels.into_iter().enumerate().map(|(index, label)| (index as f64 + 0.5, label)).collect();
        Self { low: 0.0, high, scale: Scale::Linear, ticks }
    }

    /// The label of one of its ticks.
    pub(crate) fn label(&self, value: f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| at.total_cmp(&value).is_eq());
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }

    /// Its least and its greatest value.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Where a value lies between the ends, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Powers => libm::log10(value / self.low) / libm::log10(self.high / self.low),
        }
    }
}

const STEPS_MAX: i32 = 12;

/// The least 1, 2 or 5 times a power of ten that is not below.
fn step(least: f64) -> f64 {
    let mut power = 1.0;
    while power > least {
        power /= 10.0;
    }
    while power * 10.0 <= least {
        power *= 10.0;
    }
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= least).unwrap_or(power * 10.0)
}

/// A tick's value in a few characters.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1e9 => format!("{}G", trimmed(value / 1e9)),
        large if large >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        large if large >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

/// Up to four places, without zeros at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "\u{2212}") }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "a coordinate of a chart, some hundreds")]
        let along = (f64::from(limit.1 - limit.0) * self.share(*value)).round() as i32;
        limit.0 + along
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if !hint.weight().allow_light_points() || hint.max_num_points() > 0 {
            return self.ticks.iter().map(|(at, _)| *at).collect();
        }
        Vec::new()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn time_is_labelled_in_units_of_people() {
        assert_eq!(
            labels(&Axis::time(Duration::from_secs(28 * 86_400))),
            ["0s", "4d", "8d", "12d", "16d", "20d", "24d", "28d"]
        );
        assert_eq!(labels(&Axis::time(Duration::from_secs(90))), ["0s", "15s", "30s", "45s", "1m", "75s", "90s"]);
        assert_eq!(labels(&Axis::time(Duration::ZERO)), ["0s"]);
    }

    #[test]
    fn values_are_labelled_in_round_numbers() {
        assert_eq!(labels(&Axis::linear(0.0, 48.0)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(&Axis::linear(0.0, 0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::whole(0.0, 2.0)), ["0", "1", "2"]);
        assert_eq!(labels(&Axis::linear(-30.0, 12.0)), ["−30", "−20", "−10", "0", "10"]);
        assert_eq!(labels(&Axis::linear(0.0, 4e6)), ["0", "1M", "2M", "3M", "4M"]);
        assert_eq!(
            labels(&Axis::powers(1.0, 7_000.0, |value| format!("{value}"))),
            ["1", "10", "100", "1000", "10000"]
        );
    }

    #[test]
    fn any_value_has_a_place() {
        for axis in [Axis::linear(0.0, 0.0), Axis::linear(-5.0, 5.0), Axis::powers(1.0, 1.0, |_| String::new())] {
            for value in [f64::MIN, -1.0, 0.0, 0.5, 1e300] {
                assert!((0..=100).contains(&axis.map(&value, (0, 100))), "{axis:?} {value}");
            }
        }
    }
}
