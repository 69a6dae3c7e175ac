//! What a scenario says before it is run: sentences by topic, figures by name, what can be promised, one time line.
//!
//! The sentences are made by whoever knows scenarios; here is what a program reads ([`render_explanations_json`]) and how it
//! is laid out for people ([`render_explanation`]): no line wider than asked for, nothing that rests on colour.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::layout::Layout;
use crate::number::Number;
use crate::record::ScenarioId;
use crate::table::{Palette, wrapped};
use crate::timeline::{Charset, Timeline, render_timeline};

const SCHEMA: &str = "hookproof.explain/1";

/// What one scenario says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Which scenario.
    pub scenario: ScenarioId,
    /// The seed of the run that it is about.
    pub seed: u64,
    /// Whether the faults and their surroundings were drawn from the seed.
    pub swarm: bool,
    /// The file's own words.
    pub about: String,
    /// Figures by name; rates are per second, moments seconds from the run's origin.
    pub figures: BTreeMap<String, Number>,
    /// Sentences by topic.
    pub sections: Vec<Section>,
    /// What the hook promises against what.
    pub promises: Vec<Promise>,
    /// When what happens.
    pub timeline: Timeline,
}

/// Sentences about one topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    /// The topic.
    pub title: String,
    /// A sentence or two each.
    pub lines: Vec<String>,
}

/// A row of the promise matrix that applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Promise {
    /// The fault's name, or the setting.
    pub cause: String,
    /// The hazard's name.
    pub hazard: String,
    /// What happens, in one line.
    pub says: String,
    /// What can be promised.
    pub verdict: String,
}

#[derive(Serialize)]
struct Document<'e> {
    schema: &'static str,
    explanations: &'e [Explanation],
}

/// All of it for programs: `hookproof.explain/1`. Equal explanations give equal bytes.
pub fn render_explanations_json(explanations: &[Explanation]) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Layout::default());
    let document = Document { schema: SCHEMA, explanations };
    document.serialize(&mut serializer).expect("an explanation has text keys and finite numbers");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// One explanation for people, in at most `columns` columns.
pub fn render_explanation(explanation: &Explanation, columns: usize, charset: Charset, palette: &Palette) -> String {
    let ScenarioId { name, title, .. } = &explanation.scenario;
    let drawn = if explanation.swarm { ", drawn by the swarm" } else { "" };
    let mut text = String::new();
    for line in wrapped(&format!("{name} (seed {}{drawn}): {title}", explanation.seed), columns) {
        let _ = writeln!(text, "{}", palette.title.paint(&line));
    }
    for line in wrapped(&explanation.about, columns - INDENT) {
        let _ = writeln!(text, "  {line}");
    }
    for section in &explanation.sections {
        let _ = writeln!(text, "\n{}", palette.title.paint(&section.title));
        section.lines.iter().for_each(|line| item(&mut text, line, columns));
    }
    let _ = writeln!(text, "\n{}", palette.title.paint("On one time line"));
    text += &render_timeline(&explanation.timeline, columns, charset);
    if charset == Charset::Ascii { ascii(&text) } else { text }
}

const INDENT: usize = 2;

fn item(text: &mut String, sentence: &str, columns: usize) {
    for (number, line) in wrapped(sentence, columns - 2 * INDENT).iter().enumerate() {
        let _ = writeln!(text, "{}{line}", if number == 0 { "  - " } else { "    " });
    }
}

/// The text without the characters beyond ASCII that the sentences are made with; what a file itself holds is replaced.
fn ascii(text: &str) -> String {
    let replaced = text.chars().map(|character| match character {
        '÷' => '/',
        '×' | '·' => 'x',
        '–' | '−' => '-',
        '…' => '~',
        character if character.is_ascii() => character,
        _ => '?',
    });
    replaced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::length::Length;
    use crate::timeline::{Lane, Marks};
    use std::time::Duration;

    fn seconds(seconds: u64) -> Length {
        Length(Duration::from_secs(seconds))
    }

    fn explanation() -> Explanation {
        let rates = [1.0, 1.0, 4.0, 0.0, 2.0].map(|rate| Number::finite(rate).unwrap()).to_vec();
        let stretches = vec![(seconds(30), seconds(60)), (seconds(90), seconds(90))];
        Explanation {
            scenario: ScenarioId { name: "x".to_owned(), title: "A title".to_owned(), digest: "00".to_owned() },
            seed: 7,
            swarm: false,
            about: "What is modelled, in a sentence that is longer than a line of sixty columns can be.".to_owned(),
            figures: BTreeMap::from([("visits".to_owned(), Number::from(3))]),
            sections: vec![Section { title: "Who visits".to_owned(), lines: vec!["5 × 3 users".to_owned()] }],
            promises: Vec::new(),
            timeline: Timeline {
                storm: seconds(100),
                calm: seconds(600),
                lanes: vec![
                    Lane { name: "visits".to_owned(), marks: Marks::Rates(rates), note: String::new() },
                    Lane {
                        name: "a name that is much too long".to_owned(),
                        marks: Marks::Stretches(stretches),
                        note: String::new(),
                    },
                ],
            },
        }
    }

    #[test]
    fn lanes_stand_over_one_axis() {
        let text = render_explanation(&explanation(), 80, Charset::Unicode, &Palette::plain());
        insta::assert_snapshot!(text);
        assert!(text.lines().all(|line| crate::table::width(line) <= 80));
    }

    #[test]
    fn without_unicode_there_is_only_ascii() {
        let text = render_explanation(&explanation(), 60, Charset::Ascii, &Palette::plain());
        insta::assert_snapshot!(text);
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 60));
    }

    #[test]
    fn json_has_every_figure_by_name() {
        let json: serde_json::Value = serde_json::from_str(&render_explanations_json(&[explanation()])).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["explanations"][0]["figures"]["visits"], 3);
        assert_eq!(json["explanations"][0]["timeline"]["lanes"][1]["marks"]["stretches"][0][1], "1m");
    }
}
