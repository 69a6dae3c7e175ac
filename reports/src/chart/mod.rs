//! Charts as SVG that follows the page's colours.
//!
//! Plotters draws; what it draws in are [`Ink`]s, sentinel colours that [`paint`] turns into classes of the page's one style
//! sheet. A chart's text is made here of numbers and of words of ours: nothing of a record's text enters it.
//!
//! * Values come as the least and the greatest of each bin, and bins are joined by their extremes: what lasted one bin is
//!   drawn, whatever its neighbours are.
//! * A chart is a function of its values: no font is measured, and no float function of the platform is used.

mod axis;
mod ink;
mod paint;

use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, DrawingArea, IntoDrawingArea as _, PathElement, Polygon, Rectangle,
    SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoTextStyle as _, TRANSPARENT};

pub(crate) use axis::Axis;
pub(crate) use ink::Ink;

/// Width and height of the coordinates that charts are drawn in.
pub(crate) const SIZE: (u32, u32) = (960, 400);
/// No curve has more bins; more are joined by their extremes.
const BINS_MAX: usize = 240;
const TEXT_SIZE: i32 = 26;
const LABELS_LEFT: i32 = 104;
const LABELS_BELOW: i32 = 44;
const LETTER_ROWS: usize = 2;
const LETTER_HEIGHT: i32 = 28;
const LETTER_WIDTH: i32 = 30;
/// A moment is as wide as this.
const SHADE_WIDTH_MIN: i32 = 3;
/// What lasts from the beginning to this share of the end is shaded faintly, so that the rest stands out.
const WHOLE_FROM: f64 = 0.9;

/// Least and greatest value in a bin; `None` where there is none.
pub(crate) type Span = Option<(f64, f64)>;

/// What is drawn.
pub(crate) struct Chart<'a> {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Stretches of x behind everything else, in order of their beginnings.
    pub(crate) shades: &'a [Shade],
    /// From the bottom to the top.
    pub(crate) marks: Vec<Mark>,
}

/// A stretch of x with a letter above it, which the page's legend explains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shade {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) letter: String,
    /// What is no disturbance is shaded faintly.
    pub(crate) faint: bool,
}

/// One thing that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mark {
    /// Values in bins of this width.
    Curve { spans: Vec<Span>, bin: f64, ink: Ink },
    /// A value over a stretch of x.
    Rule { from: f64, to: f64, at: f64, ink: Ink },
    /// A limit on x, over all of y.
    Wall { at: f64, ink: Ink },
    /// Something from zero up to a value, from one x to another.
    Bar { from: f64, to: f64, up_to: f64, ink: Ink },
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const INFALLIBLE: &str = "drawing into a string does not fail";

/// The chart's shapes and texts, to stand in an `svg` element whose `viewBox` has [`SIZE`].
pub(crate) fn draw(chart: &Chart<'_>) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let rows = if chart.shades.is_empty() { 0 } else { LETTER_ROWS };
        let above = i32::try_from(rows).unwrap_or(0) * LETTER_HEIGHT + 16;
        let mut context = ChartBuilder::on(&root)
            .margin_top(above)
            .margin_right(34)
            .x_label_area_size(LABELS_BELOW)
            .y_label_area_size(LABELS_LEFT)
            .build_cartesian_2d(chart.x.clone(), chart.y.clone())
            .expect(INFALLIBLE);
        shades(&root, &context, chart);
        mesh(&mut context, chart);
        for mark in &chart.marks {
            draw_mark(&mut context, mark, &chart.y);
        }
        root.present().expect(INFALLIBLE);
    }
    paint::paint(&svg)
}

fn mesh(context: &mut Context<'_, '_>, chart: &Chart<'_>) {
    let colour = Ink::Text.colour();
    let label = ("sans-serif", TEXT_SIZE).into_text_style(&SIZE).color(&colour);
    context
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(Ink::Grid.colour())
        .light_line_style(TRANSPARENT)
        .axis_style(Ink::Axis.colour())
        .label_style(label)
        .x_label_formatter(&|value| chart.x.label(*value))
        .y_label_formatter(&|value| chart.y.label(*value))
        .draw()
        .expect(INFALLIBLE);
}

/// The stretches over the whole height, and a letter above each that finds room; the legend has them all.
fn shades(root: &Area<'_>, context: &Context<'_, '_>, chart: &Chart<'_>) {
    let mut taken = [i32::MIN; LETTER_ROWS];
    let colour = Ink::Letter.colour();
    let letters = ("sans-serif", TEXT_SIZE).into_text_style(&SIZE).color(&colour);
    let letters = letters.pos(Pos::new(HPos::Center, VPos::Center));
    let (low, high) = chart.y.ends();
    let (first, last) = chart.x.ends();
    // The calm after the storm has no faults, and may be short.
    let last = last * WHOLE_FROM;
    for shade in chart.shades {
        let (left, top) = context.backend_coord(&(shade.from, high));
        let (right, bottom) = context.backend_coord(&(shade.to, low));
        let right = right.max(left + SHADE_WIDTH_MIN);
        let whole = shade.from <= first && shade.to >= last;
        let ink = if whole || shade.faint { Ink::Faint } else { Ink::Shade };
        let area = Rectangle::new([(left, top), (right, bottom)], ink.colour().filled());
        root.draw(&area).expect(INFALLIBLE);
        // A wide one has its letter at its beginning.
        let centre = i32::midpoint(left, right).min(left + LETTER_WIDTH / 2);
        let Some(row) = (0..LETTER_ROWS).find(|row| taken[*row] < centre - LETTER_WIDTH / 2) else { continue };
        taken[row] = centre + LETTER_WIDTH / 2;
        let above = LETTER_HEIGHT * i32::try_from(row).unwrap_or(0) + LETTER_HEIGHT / 2;
        root.draw(&Text::new(shade.letter.as_str(), (centre, top - above), letters.clone())).expect(INFALLIBLE);
    }
}

fn draw_mark(context: &mut Context<'_, '_>, mark: &Mark, y: &Axis) {
    let (low, high) = y.ends();
    match mark {
        Mark::Curve { spans, bin, ink } => curve(context, spans, *bin, *ink),
        Mark::Rule { from, to, at, ink } => line(context, vec![(*from, *at), (*to, *at)], *ink),
        Mark::Wall { at, ink } => line(context, vec![(*at, low), (*at, high)], *ink),
        Mark::Bar { from, to, up_to, ink } => {
            let area = Rectangle::new([(*from, low.max(0.0)), (*to, *up_to)], ink.colour().filled());
            context.draw_series([area]).expect(INFALLIBLE);
        }
    }
}

fn line(context: &mut Context<'_, '_>, points: Vec<(f64, f64)>, ink: Ink) {
    context.draw_series([PathElement::new(points, ink.colour())]).expect(INFALLIBLE);
}

/// Each stretch of bins with values as one shape: a line of steps where least and greatest are the same, else the band
/// between them, which has an outline and is seen however thin.
fn curve(context: &mut Context<'_, '_>, spans: &[Span], bin: f64, ink: Ink) {
    let (spans, bin) = joined(spans, bin);
    let mut next = 0;
    while next < spans.len() {
        let some = spans[next..].iter().map_while(|span| *span).collect::<Vec<_>>();
        let begin = next;
        next += some.len().max(1);
        if some.is_empty() {
            continue;
        }
        let upper = steps(&some, begin, bin, |(_, greatest)| greatest);
        if some.iter().all(|(least, greatest)| least.total_cmp(greatest).is_eq()) {
            line(context, upper, ink);
            continue;
        }
        let lower = steps(&some, begin, bin, |(least, _)| least);
        let outline: Vec<_> = upper.into_iter().chain(lower.into_iter().rev()).collect();
        context.draw_series([Polygon::new(outline, ink.colour().filled())]).expect(INFALLIBLE);
    }
}

fn steps(spans: &[(f64, f64)], begin: usize, bin: f64, of: fn((f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let corner = |(index, span): (usize, &(f64, f64))| {
        let left = (begin + index) as f64 * bin;
        [(left, of(*span)), (left + bin, of(*span))]
    };
    spans.iter().enumerate().flat_map(corner).collect()
}

/// At most [`BINS_MAX`] bins, each with the least and the greatest of what it joins, and their width.
fn joined(spans: &[Span], bin: f64) -> (Vec<Span>, f64) {
    let each = spans.len().div_ceil(BINS_MAX).max(1);
    let join = |one: Span, other: &Span| match (one, *other) {
        (Some((least, greatest)), Some((low, high))) => Some((least.min(low), greatest.max(high))),
        (one, other) => one.or(other),
    };
    (spans.chunks(each).map(|chunk| chunk.iter().fold(None, join)).collect(), bin * each as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(marks: Vec<Mark>, shades: &[Shade]) -> String {
        draw(&Chart { x: Axis::places(vec!["one".to_owned(); 4]), y: Axis::linear(0.0, 10.0), shades, marks })
    }

    #[test]
    fn one_value_among_many_bins_is_drawn() {
        let mut spans: Vec<Span> = vec![Some((0.0, 0.0)); 100_000];
        spans[77_777] = Some((0.0, 7.0));
        let (few, bin) = joined(&spans, 1.0);
        assert!(few.len() <= BINS_MAX);
        assert_eq!(few.iter().filter(|span| **span == Some((0.0, 7.0))).count(), 1);
        assert!(few.len() as f64 * bin >= spans.len() as f64);
    }

    #[test]
    fn bins_without_a_value_interrupt_the_curve() {
        let spans = vec![Some((1.0, 1.0)), None, Some((2.0, 3.0)), Some((2.0, 2.0))];
        let svg = drawn(vec![Mark::Curve { spans, bin: 1.0, ink: Ink::Series(0) }], &[]);
        assert_eq!(svg.matches("class=\"k1\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"f1\"").count(), 1, "{svg}");
    }

    #[test]
    fn a_moment_has_a_width_and_crowded_letters_are_left_to_the_legend() {
        let shade = |from: f64| Shade { from, to: from, letter: "A".to_owned(), faint: false };
        let svg = drawn(Vec::new(), &[shade(1.0), shade(1.001), shade(1.002), shade(3.0)]);
        assert_eq!(svg.matches("class=\"fs\"").count(), 4, "{svg}");
        assert_eq!(svg.matches(">A<").count(), 3, "{svg}");
        assert!(!svg.contains("width=\"0\""), "{svg}");
    }

    #[test]
    fn every_colour_is_a_class_of_the_style_sheet() {
        let marks = vec![
            Mark::Curve { spans: vec![Some((1.0, 4.0)); 4], bin: 1.0, ink: Ink::Series(1) },
            Mark::Rule { from: 0.0, to: 4.0, at: 5.0, ink: Ink::Limit },
            Mark::Wall { at: 2.0, ink: Ink::Capacity },
            Mark::Bar { from: 1.0, to: 2.0, up_to: 3.0, ink: Ink::Series(0) },
        ];
        let svg = drawn(marks, &[Shade { from: 1.0, to: 2.0, letter: "B".to_owned(), faint: true }]);
        insta::assert_snapshot!(svg);
    }
}
