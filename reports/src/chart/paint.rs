//! From the SVG that plotters writes to the one that stands in the page: sentinel colours become classes, lists of points
//! become paths of relative steps, and what the style sheet says once is left out everywhere else.
//!
//! A class is `f` (filled) or `k` (a line) and the code of the ink; text has `t` and its anchor.

use std::fmt::Write as _;

use super::ink::Ink;

/// The shapes and texts within the `svg` element.
pub(super) fn paint(svg: &str) -> String {
    let mut out = String::new();
    let mut rest = svg;
    while let Some(begin) = rest.find('<') {
        let Some(length) = rest[begin..].find('>') else { break };
        let tag = &rest[begin + 1..begin + length];
        rest = &rest[begin + length + 1..];
        let content = rest.split('<').next().unwrap_or_default().trim();
        element(&mut out, tag.trim_end_matches('/'), content);
    }
    out
}

fn element(out: &mut String, tag: &str, content: &str) {
    let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
    let get = |key: &str| attribute(attributes, key).unwrap_or_default();
    let (fill, stroke) = (Ink::code_of(get("fill")), Ink::code_of(get("stroke")));
    let class = fill.map(|code| format!("f{code}")).or_else(|| stroke.map(|code| format!("k{code}")));
    let class = class.unwrap_or_default();
    let _ = match name {
        "rect" => write!(
            out,
            r#"<rect class="{class}" x="{}" y="{}" width="{}" height="{}"/>"#,
            get("x"),
            get("y"),
            get("width"),
            get("height")
        ),
        "line" => {
            let points = format!("{},{} {},{}", get("x1"), get("y1"), get("x2"), get("y2"));
            write!(out, r#"<path class="{class}" d="{}"/>"#, path(&points))
        }
        "polyline" => write!(out, r#"<path class="{class}" d="{}"/>"#, path(get("points"))),
        "polygon" => write!(out, r#"<path class="{class}" d="{}z"/>"#, path(get("points"))),
        "text" => {
            let letter = if fill == Some(Ink::Letter.code()) { " l" } else { "" };
            let anchor = get("text-anchor").chars().next().unwrap_or('s');
            let (x, y, dy) = (get("x"), get("y"), get("dy"));
            write!(out, r#"<text class="t {anchor}{letter}" x="{x}" y="{y}" dy="{dy}">{content}</text>"#)
        }
        // The `svg` element itself, and the ends of elements.
        _ => Ok(()),
    };
}

fn attribute<'a>(attributes: &'a str, key: &str) -> Option<&'a str> {
    let all = attributes.split("\" ").filter_map(|pair| pair.trim().split_once("=\""));
    all.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value.trim_end_matches('"'))
}

/// Points as a path: `M` to the first, then steps; steps on one line are one.
fn path(points: &str) -> String {
    let parse = |pair: &str| pair.split_once(',').and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
    let points: Vec<(i32, i32)> = points.split_whitespace().filter_map(parse).collect();
    let Some((first, others)) = points.split_first() else { return String::new() };
    let mut path = format!("M{} {}", first.0, first.1);
    let mut steps: Vec<(i32, i32)> = Vec::new();
    let mut at = *first;
    for point in others {
        let step = (point.0 - at.0, point.1 - at.1);
        at = *point;
        match steps.last_mut() {
            _ if step == (0, 0) => {}
            Some(last) if onward(*last, step) => *last = (last.0 + step.0, last.1 + step.1),
            Some(_) | None => steps.push(step),
        }
    }
    for step in steps {
        let _ = match step {
            (across, 0) => write!(path, "h{across}"),
            (0, down) => write!(path, "v{down}"),
            (across, down) => write!(path, "l{across} {down}"),
        };
    }
    path
}

/// Whether two steps go the same way along an axis.
fn onward(one: (i32, i32), other: (i32, i32)) -> bool {
    let across = one.1 == 0 && other.1 == 0 && one.0.signum() == other.0.signum();
    across || (one.0 == 0 && other.0 == 0 && one.1.signum() == other.1.signum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_become_steps_and_steps_on_one_line_are_one() {
        assert_eq!(path("1,2 3,2 5,2 5,2 5,9 5,4 6,5 "), "M1 2h4v7v-5l1 1");
        assert_eq!(path(""), "");
    }
}
