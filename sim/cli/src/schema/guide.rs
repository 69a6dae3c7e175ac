//! What the guide says of keys, for those who hover over one in an editor.
//!
//! Owns how the tables of `docs/scenarios.md` are read. The guide is the one place where a key is described; a key that it
//! does not describe has no description here either, and the tests say which those may be.

use std::collections::BTreeMap;

const GUIDE: &str = include_str!("../../../../docs/scenarios.md");

/// Descriptions by table and key; the file's own keys have the table `""`.
pub(super) struct Guide(BTreeMap<(String, String), String>);

impl Guide {
    /// Reads the guide.
    pub(super) fn read() -> Self {
        let mut descriptions = BTreeMap::new();
        let mut table = None;
        for line in GUIDE.lines() {
            table = heading(line, table);
            if let (Some(table), Some(row)) = (&table, line.strip_prefix("| `")) {
                let row = format!("`{row}");
                let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
                describe(&mut descriptions, table, &cells);
            }
        }
        Self(descriptions)
    }

    /// What the guide says of a table's key.
    pub(super) fn of(&self, table: &str, key: &str) -> Option<&str> {
        self.0.get(&(table.to_owned(), key.to_owned())).map(String::as_str)
    }
}

/// The table that the rows after this line are about.
fn heading(line: &str, before: Option<String>) -> Option<String> {
    let named = |text: &str| {
        let (_, name) = text.split_once("`[")?;
        let (name, _) = name.split_once(']')?;
        Some(name.trim_start_matches('[').to_owned())
    };
    if line.starts_with("## The file's own keys") {
        Some(String::new())
    } else if line.starts_with("## ") || line.starts_with("| key of ") || line.starts_with("Each `[[") {
        named(line)
    } else if line.starts_with("| kind ") {
        None
    } else {
        before
    }
}

fn describe(descriptions: &mut BTreeMap<(String, String), String>, table: &str, cells: &[&str]) {
    let mut add = |names: &str, text: String| {
        // Every second part stands between backticks.
        for name in names.split('`').skip(1).step_by(2) {
            descriptions.insert((table.to_owned(), name.to_owned()), text.clone());
        }
    };
    match (table, cells) {
        ("hardened", [key, default, other_key, other_default]) => {
            add(key, format!("Default: {default}."));
            add(other_key, format!("Default: {other_default}."));
        }
        (_, [key, notation, default, meaning]) => {
            let default = match *default {
                "" | "none" => String::new(),
                "required" => " Required.".to_owned(),
                default => format!(" Default: {default}."),
            };
            let meaning = if meaning.is_empty() { String::new() } else { format!(": {meaning}") };
            add(key, format!("{notation}{meaning}.{default}"));
        }
        _ => {}
    }
}
