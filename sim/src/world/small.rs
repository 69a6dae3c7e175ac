//! Small scenarios and worlds of them, for the tests of this folder.

use std::time::Duration;

use hookproof_core::protection::Protections;

use super::{Recording, Setting, World};
use crate::scenario::{HookKind, Scenario, Span, decode};

/// A scenario of half the users treated, with `tables` for the rest.
pub(super) fn scenario(duration: &str, tables: &str) -> Scenario {
    let source = format!(
        "schema = 1\ntitle = \"t\"\nduration = \"{duration}\"\n[experiment]\nid = \"e\"\n\
         [[experiment.variant]]\nname = \"a\"\nweight = 1\n[[experiment.variant]]\nname = \"b\"\nweight = 1\ngrant = 25\n\
         {tables}"
    );
    decode("small", "small.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A world in which nothing has begun.
pub(super) fn world(scenario: &Scenario, hook: HookKind) -> World<'_> {
    let (protections, sabotage, recording) = (Protections::ALL, None, Recording::Off);
    let setting = Setting { hook, protections, sabotage, recording, seed: 1 };
    let span = Span { name: "run".into(), stretches: vec![(Duration::ZERO, scenario.duration)], fault: None };
    World::new(scenario, setting, vec![span])
}
