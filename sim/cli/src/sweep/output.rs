//! Where a sweep's record goes: stdout in the form that was asked for, and a folder.

use std::collections::BTreeMap;

use hookproof_reports as reports;
use hookproof_reports::{SweepRecord, TableOptions, render_sweep, render_sweep_json, render_sweep_markdown};

use crate::args::SweepFormat;
use crate::exit::Failure;
use crate::out::OutFolder;
use crate::terminal::{self, Terminal};

/// What goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Output(SweepFormat);

impl Output {
    /// The one form for stdout; beside another, `json` means the file.
    ///
    /// # Errors
    /// Two forms want stdout.
    pub(crate) fn resolve(formats: &[SweepFormat], has_folder: bool) -> Result<Self, Failure> {
        let mut texts: Vec<SweepFormat> =
            formats.iter().copied().filter(|format| *format != SweepFormat::Json).collect();
        texts.dedup();
        let wants_json = formats.contains(&SweepFormat::Json);
        match texts[..] {
            [] => Ok(Self(SweepFormat::Json)),
            [text] if has_folder || !wants_json => Ok(Self(text)),
            [_] => Err(Failure::bad_input(
                "--format json and another both want stdout; add --out DIR for the record, or ask for one of them",
            )),
            [..] => Err(Failure::bad_input("--format human and markdown both want stdout; ask for one of them")),
        }
    }

    /// Writes the record into the folder, if there is one, and prints.
    ///
    /// # Errors
    /// Folder or stdout cannot take it.
    pub(crate) fn put(
        self,
        record: &SweepRecord,
        paths: BTreeMap<String, String>,
        folder: Option<&OutFolder>,
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        if let Some(folder) = folder {
            folder.write(&file_name(record), render_sweep_json(record).as_bytes())?;
        }
        let options = TableOptions { palette: terminal.palette(), paths };
        let text = match self.0 {
            SweepFormat::Human => render_sweep(record, &options),
            SweepFormat::Json => render_sweep_json(record),
            SweepFormat::Markdown => render_sweep_markdown(record, &options),
        };
        terminal::print(text.as_bytes())
    }

    /// Shows what is there of a sweep that was interrupted, and writes no record: whoever finds one may take it for whole.
    /// Where the record was asked for, stdout stays empty.
    ///
    /// # Errors
    /// Stdout cannot take it.
    pub(crate) fn put_interrupted(
        self,
        record: &SweepRecord,
        paths: BTreeMap<String, String>,
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        match self.0 {
            SweepFormat::Human | SweepFormat::Markdown => self.put(record, paths, None, terminal)?,
            SweepFormat::Json => {
                let options = TableOptions { palette: reports::Palette::plain(), paths };
                terminal.say(render_sweep(record, &options).trim_end());
            }
        }
        terminal.complain("interrupted before all seeds had run; nothing was stored");
        Ok(())
    }
}

/// Shards may share a folder.
fn file_name(record: &SweepRecord) -> String {
    record
        .shard
        .map_or_else(|| "sweep.json".to_owned(), |shard| format!("sweep-{}-of-{}.json", shard.index(), shard.count()))
}
