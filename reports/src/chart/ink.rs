//! What a chart is drawn in: names, not colours. Which colour a name has depends on the reader's scheme.

use plotters::style::RGBColor;

/// Curves of one chart that look different.
pub(crate) const SERIES: u8 = 6;

/// Red and green of all sentinel colours; blue tells them apart.
const SENTINEL: (u8, u8) = (0xF1, 0x05);

/// What something is drawn in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Labels of the axes.
    Text,
    /// Letters above the shaded stretches.
    Letter,
    /// Lines across the chart.
    Grid,
    /// The axes.
    Axis,
    /// Stretches of time in which something goes on.
    Shade,
    /// The same for what goes on all the time, or is no disturbance.
    Faint,
    /// The limit of an expectation.
    Limit,
    /// What something can do at most.
    Capacity,
    /// Where the storm ends.
    Calm,
    /// The n-th curve, from 0; after the last kind the first comes again.
    Series(u8),
}

impl Ink {
    /// The character that stands for it in a class.
    pub(crate) fn code(self) -> char {
        match self {
            Self::Text => 't',
            Self::Letter => 'l',
            Self::Grid => 'g',
            Self::Axis => 'a',
            Self::Shade => 's',
            Self::Faint => 'w',
            Self::Limit => 'x',
            Self::Capacity => 'c',
            Self::Calm => 'e',
            Self::Series(index) => char::from(b'1' + index % SERIES),
        }
    }

    /// The sentinel that plotters draws in.
    pub(crate) fn colour(self) -> RGBColor {
        RGBColor(SENTINEL.0, SENTINEL.1, u8::try_from(self.code()).unwrap_or(b't'))
    }

    /// The code of a colour as the SVG has it, `#F10567`; `None` for what is no sentinel.
    pub(crate) fn code_of(colour: &str) -> Option<char> {
        let hex = colour.strip_prefix("#F105")?;
        u8::from_str_radix(hex, 16).ok().map(char::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_leads_back_to_its_ink() {
        let named = [
            Ink::Text,
            Ink::Letter,
            Ink::Grid,
            Ink::Axis,
            Ink::Shade,
            Ink::Faint,
            Ink::Limit,
            Ink::Capacity,
            Ink::Calm,
        ];
        let mut codes = std::collections::BTreeSet::new();
        for ink in named.into_iter().chain((0..SERIES).map(Ink::Series)) {
            assert!(codes.insert(ink.code()), "{ink:?} has the code of another");
            let RGBColor(red, green, blue) = ink.colour();
            assert_eq!(Ink::code_of(&format!("#{red:02X}{green:02X}{blue:02X}")), Some(ink.code()));
        }
        assert_eq!(Ink::Series(SERIES).code(), Ink::Series(0).code());
        assert_eq!(Ink::code_of("#000000"), None);
    }
}
