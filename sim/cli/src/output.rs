//! Where a run record goes: stdout in the forms that were asked for, and a folder with a file for each form.

use std::path::Path;

use hookproof_reports::{
    Ablation, HtmlOptions, RunRecord, ScenarioPaths, TableOptions, render_ablation, render_ablation_markdown,
    render_github, render_html, render_json, render_junit, render_markdown, render_table,
};

use crate::args::Format;
use crate::exit::Failure;
use crate::out::OutFolder;
use crate::terminal::{self, Terminal};

/// What goes to stdout, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output(Vec<Format>);

/// Whether a form can share stdout with another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Lines for people and for GitHub's runner.
    Lines,
    /// One document, for a program.
    Document,
}

const fn nature(format: Format) -> Nature {
    match format {
        Format::Human | Format::Github => Nature::Lines,
        Format::Json | Format::Junit | Format::Markdown | Format::Html => Nature::Document,
    }
}

impl Output {
    /// Lines go to stdout; so does a document that was asked for alone. Beside others a document means its file in the folder.
    ///
    /// # Errors
    /// A document beside others, and no folder to hold it.
    pub(crate) fn resolve(formats: &[Format], has_folder: bool) -> Result<Self, Failure> {
        let mut asked: Vec<Format> = Vec::new();
        for format in formats {
            if !asked.contains(format) {
                asked.push(*format);
            }
        }
        if asked.is_empty() {
            asked.push(Format::Human);
        }
        let (lines, documents): (Vec<Format>, Vec<Format>) =
            asked.iter().partition(|format| nature(**format) == Nature::Lines);
        match (&lines[..], &documents[..]) {
            ([], [_]) => Ok(Self(documents)),
            (_, []) => Ok(Self(lines)),
            _ if has_folder => Ok(Self(lines)),
            _ => {
                let names: Vec<&str> = asked.iter().map(|format| name(*format)).collect();
                Err(Failure::bad_input(format!(
                    "--format {} all want stdout; add --out DIR, which holds a file of each, or ask for one of them \
                     (human and github can be combined)",
                    names.join(", ")
                )))
            }
        }
    }

    /// Prints the record.
    ///
    /// # Errors
    /// Stdout cannot take it.
    pub(crate) fn print(&self, record: &RunRecord, paths: &ScenarioPaths, terminal: &Terminal) -> Result<(), Failure> {
        let options = TableOptions { palette: terminal.palette(), paths: paths.clone() };
        self.0.iter().try_for_each(|format| terminal::print(render(*format, record, &options).as_bytes()))
    }
}

/// The record in one form.
pub(crate) fn render(format: Format, record: &RunRecord, options: &TableOptions) -> String {
    match format {
        Format::Human => {
            render_table(record, options) + &ablations(record, |one| render_ablation(one, &options.palette))
        }
        Format::Json => render_json(record),
        Format::Junit => render_junit(record, &options.paths),
        Format::Markdown => summary(record, &options.paths),
        Format::Github => render_github(record, &options.paths),
        Format::Html => page(record, &options.paths),
    }
}

/// The page for a step summary.
fn summary(record: &RunRecord, paths: &ScenarioPaths) -> String {
    render_markdown(record, paths) + &ablations(record, render_ablation_markdown)
}

/// The matrices that a record holds, below its runs.
fn ablations(record: &RunRecord, render: impl Fn(&Ablation) -> String) -> String {
    record.ablations.iter().fold(String::new(), |text, ablation| text + "\n" + &render(ablation))
}

fn page(record: &RunRecord, paths: &ScenarioPaths) -> String {
    render_html(record, &HtmlOptions { paths: paths.clone() })
}

/// The record itself, in a folder.
pub(crate) const RECORD: &str = "run.json";

/// Writes the files that are made from a record.
///
/// # Errors
/// The folder does not take one.
pub(crate) fn write_renderings(folder: &OutFolder, record: &RunRecord, paths: &ScenarioPaths) -> Result<(), Failure> {
    folder.write("junit.xml", render_junit(record, paths).as_bytes())?;
    folder.write("summary.md", summary(record, paths).as_bytes())?;
    folder.write("report.html", page(record, paths).as_bytes())
}

/// What a file's name says it holds; `None` is a folder.
pub(crate) fn format_of(path: &Path) -> Option<Format> {
    let ending = path.extension().filter(|_| !path.is_dir())?.to_str()?;
    match ending {
        "json" => Some(Format::Json),
        "xml" => Some(Format::Junit),
        "md" | "markdown" => Some(Format::Markdown),
        "html" => Some(Format::Html),
        "txt" => Some(Format::Human),
        _ => None,
    }
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Human => "human",
        Format::Json => "json",
        Format::Junit => "junit",
        Format::Markdown => "markdown",
        Format::Github => "github",
        Format::Html => "html",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formats, whether there is a folder, and what goes to stdout.
    type Case<'a> = (&'a [Format], bool, Option<&'a [Format]>);

    #[test]
    fn lines_share_stdout_and_a_document_has_it_alone() {
        use Format::{Github, Human, Json, Junit, Markdown};

        let cases: [Case<'_>; 10] = [
            (&[], false, Some(&[Human])),
            (&[Human, Github], false, Some(&[Human, Github])),
            (&[Github, Github], false, Some(&[Github])),
            (&[Json], false, Some(&[Json])),
            (&[Json], true, Some(&[Json])),
            (&[Junit, Junit], false, Some(&[Junit])),
            (&[Human, Markdown], false, None),
            (&[Human, Markdown], true, Some(&[Human])),
            (&[Json, Junit], false, None),
            (&[Json, Junit], true, Some(&[])),
        ];
        for (formats, has_folder, stdout) in cases {
            let resolved = Output::resolve(formats, has_folder).ok();
            assert_eq!(resolved, stdout.map(|formats| Output(formats.to_vec())), "{formats:?}, folder {has_folder}");
        }
    }
}
