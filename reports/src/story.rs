//! Users' stories in text: one line a step, the clock of each place beside the true time.

use std::fmt::Write as _;

use crate::record::{Run, Step, Story, Why};
use crate::table::{Palette, left, width};

/// Columns of the time since the run's origin.
const AT_COLUMNS: usize = 20;
const PLACE_COLUMNS: usize = 6;

/// Renders the stories of runs, or says of a run that it has none.
pub fn render_stories(runs: &[Run], palette: &Palette) -> String {
    let mut text = String::new();
    for run in runs {
        if run.stories.is_empty() {
            let nobody = "nobody holds too much, and no invariant names a user; choose one with --user";
            line(&mut text, &format!("{}: {nobody}", name(run)));
        }
        for story in &run.stories {
            tell(&mut text, run, story, palette);
        }
        text.push('\n');
    }
    text.pop();
    text
}

fn name(run: &Run) -> String {
    format!("{} · {} · seed {}", run.scenario.name, run.hook, run.seed)
}

fn tell(text: &mut String, run: &Run, story: &Story, palette: &Palette) {
    let why = match story.why {
        Why::Violation => ", by whom an invariant was first violated",
        Why::OverAllocated => ", who holds too much",
        Why::Asked => "",
    };
    let (title, aside) = (&palette.title, &palette.aside);
    line(text, &format!("{}{} · {}{why}{}", title.start, name(run), story.user, title.end));
    let Story { effects, held, intended, .. } = story;
    let effects = if *effects == 1 { "1 effect".to_owned() } else { format!("{effects} effects") };
    line(text, &format!("holds {held} units after {effects}; {intended} are intended"));
    if story.steps.is_empty() {
        line(text, "never seen in this run");
    }
    let shown_columns = story.steps.iter().filter_map(|step| step.shown.as_deref()).map(width).max().unwrap_or(0);
    let mut correlation = None;
    for step in &story.steps {
        if step.correlation.is_some() && step.correlation != correlation {
            correlation.clone_from(&step.correlation);
            line(text, &format!("{}{}{}", aside.start, correlation.as_deref().unwrap_or_default(), aside.end));
        }
        tell_step(text, step, shown_columns);
        for id in &step.violates {
            let first = run.invariants.iter().find(|one| one.id == *id).and_then(|one| one.first.as_ref());
            let evidence = first.map_or("", |first| first.evidence.as_str());
            line(text, &format!("  {}violates {id}{}: {evidence}", palette.bad.start, palette.bad.end));
        }
    }
    if story.left_out > 0 {
        line(text, &format!("  and {} more steps", story.left_out));
    }
}

fn tell_step(text: &mut String, step: &Step, shown_columns: usize) {
    let at = left(&step.at.to_string(), AT_COLUMNS);
    let place = left(&step.place, PLACE_COLUMNS);
    let shown = left(step.shown.as_deref().unwrap_or_default(), shown_columns);
    line(text, &format!("  {at}  {place}  {shown}  {}", step.text));
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{}", line.trim_end()).expect("a string takes every line");
}
