//! Names of faults, traffic and windows: unique across the three, none reserved.
//!
//! Owns who has which name. Names that the file gives are claimed first, in file order; only then do entries without
//! one get a default that is still free.

use std::collections::BTreeSet;

use super::tree::{Flaw, Placed, Reader, Sink};
use super::units;
use super::words::clip;

/// Names of stretches that every run has.
pub(super) const RESERVED: [&str; 3] = ["storm", "calm", "run"];

/// Who has which name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Claims the names that the entries of `groups` give themselves, and reports clashes.
    pub(super) fn claim(&mut self, sink: &Sink<'_>, groups: [&mut [Reader<'_>]; 3]) {
        let mut given: Vec<_> = groups.into_iter().flatten().filter_map(given_name).collect();
        given.sort_by_key(|name| name.place.start);
        for name in given {
            if RESERVED.contains(&name.value.as_str()) {
                let cause = format!("the name `{}` is reserved", name.value);
                sink.flaw(&name.place, Flaw::new(cause, "every run has a stretch of that name; choose another"));
            } else if !self.0.insert(name.value.clone()) {
                let cause = format!("the name `{}` is taken", clip(&name.value));
                sink.flaw(
                    &name.place,
                    Flaw::new(cause, "faults, traffic and windows share their names; choose another"),
                );
            }
        }
    }

    /// The name that an entry gives itself, or `otherwise`, or that with `-2`, `-3`, … where it is taken.
    pub(super) fn name_of(&mut self, reader: &mut Reader<'_>, otherwise: &str) -> String {
        reader.get("name", units::name).unwrap_or_else(|| self.free(otherwise))
    }

    fn free(&mut self, base: &str) -> String {
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        let mut candidates = std::iter::once(base.to_owned()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or_else(|| base.to_owned());
        self.0.insert(name.clone());
        name
    }

    /// Whether an entry has that name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// All names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The name that an entry gives itself. One that can't be a name is reported when the entry is decoded.
fn given_name(reader: &mut Reader<'_>) -> Option<Placed<String>> {
    let node = reader.node("name")?;
    Some(Placed { value: units::name(node.get_ref()).ok()?, place: node.span() })
}
