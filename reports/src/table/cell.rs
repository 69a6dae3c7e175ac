//! How a metric's value is written in a cell: at most seven columns, without hiding that something is above zero.

use super::text::{grouped, whole};
use crate::number::Number;

/// What kind of value a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A quotient.
    Ratio,
    /// A whole number.
    Count,
    /// US dollars.
    Dollars,
    /// A share of one, shown in per cent.
    Share,
    /// Microseconds, shown in a fitting unit.
    Micros,
}

impl Form {
    /// The value as a cell.
    pub(crate) fn show(self, value: Number) -> String {
        let Some(value) = value.value() else { return "never".to_owned() };
        if value < 0.0 {
            return format!("-{}", self.magnitude(-value));
        }
        self.magnitude(value)
    }

    fn magnitude(self, value: f64) -> String {
        match self {
            Self::Ratio if value > 0.0 && value < 0.005 => "<0.01".to_owned(),
            Self::Ratio if value < 99.995 => format!("{value:.2}"),
            Self::Ratio if value < 9_999.5 => format!("{value:.0}"),
            Self::Count if value < 99_999.5 => grouped(whole(value)),
            Self::Ratio | Self::Count => large(value),
            Self::Dollars if value == 0.0 => "$0".to_owned(),
            Self::Dollars if value < 0.01 => "<$0.01".to_owned(),
            Self::Dollars if value < 99.995 => format!("${value:.2}"),
            Self::Dollars if value < 99_999.5 => format!("${}", grouped(whole(value))),
            Self::Dollars => format!("${}", large(value)),
            Self::Share if value == 0.0 => "0%".to_owned(),
            Self::Share if value < 0.0005 => "<0.1%".to_owned(),
            Self::Share if value < 9.9995 => format!("{:.1}%", value * 100.0),
            Self::Share => ">999%".to_owned(),
            Self::Micros if value < 999.5 => format!("{value:.0}us"),
            Self::Micros if value < 99_950.0 => format!("{:.1}ms", value / 1e3),
            Self::Micros if value < 9_999_500.0 => format!("{:.0}ms", value / 1e3),
            Self::Micros if value < 999_950_000.0 => format!("{:.1}s", value / 1e6),
            Self::Micros => format!("{}s", large(value / 1e6)),
        }
    }
}

/// Three digits and the power of a thousand.
fn large(value: f64) -> String {
    let mut scaled = value;
    for suffix in ["", "K", "M", "G", "T", "P"] {
        let decimals = if suffix.is_empty() || scaled >= 99.95 {
            0
        } else if scaled >= 9.995 {
            1
        } else {
            2
        };
        if scaled < 999.5 {
            return format!("{scaled:.decimals$}{suffix}");
        }
        scaled /= 1e3;
    }
    "huge".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_short_and_do_not_hide_what_is_above_zero() {
        let cases = [
            (Form::Ratio, 2.4, "2.40"),
            (Form::Ratio, 0.001, "<0.01"),
            (Form::Ratio, 12_345.0, "12.3K"),
            (Form::Count, 0.0, "0"),
            (Form::Count, 7_812.0, "7,812"),
            (Form::Count, 1_234_567.0, "1.23M"),
            (Form::Dollars, 0.0, "$0"),
            (Form::Dollars, 0.001, "<$0.01"),
            (Form::Dollars, 14_012.4, "$14,012"),
            (Form::Dollars, 99_999.6, "$100K"),
            (Form::Dollars, 1e30, "$huge"),
            (Form::Share, 0.0, "0%"),
            (Form::Share, 0.0001, "<0.1%"),
            (Form::Share, 0.1206, "12.1%"),
            (Form::Share, 1.0, "100.0%"),
            (Form::Micros, 812.0, "812us"),
            (Form::Micros, 12_340.0, "12.3ms"),
            (Form::Micros, 5_000_000.0, "5000ms"),
            (Form::Micros, 61_000_000.0, "61.0s"),
            (Form::Micros, 1e12, "1.00Ms"),
            (Form::Ratio, -0.5, "-0.50"),
        ];
        for (form, value, text) in cases {
            assert_eq!(form.show(Number::finite(value).unwrap()), text);
            assert!(text.len() <= 7);
        }
        assert_eq!(Form::Micros.show(Number::NEVER), "never");
    }
}
