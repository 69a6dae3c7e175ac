//! `[[fault]]`: what goes wrong, when, and whom it touches.
//!
//! Owns what all kinds share: the name, the share of opportunities, the targets. Parameters of single kinds are in
//! `kinds`, times in `timing`.

use std::time::Duration;

use hookproof_core::experiment::{Experiment, change};

use super::super::form::Form;
use super::super::{Fault, FaultKind, Probability, Target, Targets};
use super::kinds::{KINDS, Kind, Reach};
use super::names::Names;
use super::settings::INSTANCES_MAX;
use super::timing::{Extent, Timing, is_random, timing};
use super::tree::{Flaw, Place, Reader};
use super::units::{self, meant};
use super::words::{clip, list};

/// What the faults of a scenario refer to.
#[derive(Clone, Copy)]
pub(super) struct Frame<'s> {
    /// Length of the storm.
    pub(super) duration: Duration,
    /// Number of instances.
    pub(super) instances: u16,
    /// The version that is deployed when the fault starts, if there is a valid one.
    pub(super) deployed: Option<&'s Experiment>,
}

/// Reads all `[[fault]]`.
pub(super) fn faults(readers: Vec<Reader<'_>>, names: &mut Names, frame: &Frame<'_>) -> Vec<Fault> {
    let mut heads: Vec<_> = readers.into_iter().filter_map(|reader| head(reader, names)).enumerate().collect();
    refuse_random_order(&heads);
    // A deploy changes the version before it in the order of time.
    heads.sort_by_key(|(_, head)| head.starts_at);
    let mut read: Vec<Read> = Vec::new();
    for (index, head) in heads {
        let (sink, every) = (head.reader.sink(), head.reader.place_of("every"));
        let deployed = read.iter().rev().find_map(|earlier| experiment_of(&earlier.fault)).or(frame.deployed);
        let Some(fault) = fault(head, &Frame { deployed, ..*frame }) else { continue };
        if let Some((place, flaw)) = read.iter().find_map(|earlier| earlier.cannot_follow(&fault, frame.duration)) {
            sink.flaw(place, flaw);
        }
        read.push(Read { index, every, fault });
    }
    read.sort_by_key(|read| read.index);
    read.into_iter().map(|read| read.fault).collect()
}

/// Of several deploys each must say when it starts: what one may change depends on which was before it.
fn refuse_random_order(heads: &[(usize, Head<'_>)]) {
    let deploys: Vec<&Head<'_>> =
        heads.iter().map(|(_, head)| head).filter(|head| head.row.name == "process.deploy").collect();
    for head in deploys.iter().filter(|head| head.is_random && deploys.len() > 1) {
        let cause = "of several deploys none can start at random: what it changes depends on which was before it";
        let flaw = Flaw::new(cause, "write when it starts, such as `at = \"2m\"`");
        head.reader.sink().flaw(&head.reader.place_of("at"), flaw);
    }
}

/// A whole fault, its position in the file, and the place of its `every`.
struct Read {
    index: usize,
    every: Place,
    fault: Fault,
}

impl Read {
    /// Why this deploy, which repeats, must not come again after `later`.
    fn cannot_follow(&self, later: &Fault, duration: Duration) -> Option<(&Place, Flaw)> {
        let period = self.fault.every?.as_nanos();
        let (again, between) = (experiment_of(&self.fault)?, experiment_of(later)?);
        let since = later.at.saturating_sub(self.fault.at).as_nanos();
        let returns_at = self.fault.at.as_nanos() + (since / period + 1) * period;
        if returns_at >= duration.as_nanos() {
            return None;
        }
        let refusals = change::between(between, again).err()?;
        let refusal = refusals.first()?;
        let cause = format!("`{}` comes again after `{}`: {refusal}", clip(&self.fault.name), clip(&later.name));
        Some((&self.every, Flaw::new(cause, "write single deploys, each with what it changes")))
    }
}

fn experiment_of(fault: &Fault) -> Option<&Experiment> {
    if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind { Some(experiment) } else { None }
}

/// A fault of which kind and name are known.
struct Head<'a> {
    reader: Reader<'a>,
    row: &'static Kind,
    name: String,
    /// The first start, as far as it is written correctly.
    starts_at: Duration,
    is_random: bool,
}

fn head<'a>(mut reader: Reader<'a>, names: &mut Names) -> Option<Head<'a>> {
    let row = row(&mut reader);
    let name = names.name_of(&mut reader, row.map_or("fault", |row| row.name));
    let row = row?;
    reader.rename(format!("[[fault]] of kind `{}`", row.name));
    let node = reader.node("at").or_else(|| reader.node("every"));
    let starts_at = node.and_then(|node| units::duration(node.get_ref()).ok()).unwrap_or_default();
    let is_random = node.is_some_and(|node| is_random(node.get_ref()));
    Some(Head { reader, row, name, starts_at, is_random })
}

fn fault(head: Head<'_>, frame: &Frame<'_>) -> Option<Fault> {
    let Head { mut reader, row, name, starts_at: _, is_random: _ } = head;
    let kind = (row.read)(&mut reader, frame);
    let extent = extent(&reader, row, kind.as_ref(), frame);
    let timing = timing(&mut reader, extent, frame.duration);
    let probability = probability(&mut reader);
    let on = targets(&mut reader, row, frame.instances);
    reader.finish_with(|key| of_another_kind(key, row));

    let (kind, Timing { at, placement, length, every }) = (kind?, timing?);
    Some(Fault { name, kind, at, placement, length, every, probability, on })
}

fn row(reader: &mut Reader<'_>) -> Option<&'static Kind> {
    let kinds = Form::Word(KINDS.iter().map(|row| row.name).collect());
    let name = reader.need_placed("kind", "\"quota.outage\"", units::taking(kinds, units::text))?;
    let row = KINDS.iter().find(|row| row.name == name.value);
    if row.is_none() {
        let names = || KINDS.iter().map(|row| row.name);
        let cause = format!("\"{}\" is not a kind of fault", clip(&name.value));
        let remedy = meant(&name.value, names(), &format!("the kinds are {}", list(names(), "and")));
        reader.sink().flaw(&name.place, Flaw::new(cause, remedy));
    }
    row
}

fn extent(reader: &Reader<'_>, row: &Kind, kind: Option<&FaultKind>, frame: &Frame<'_>) -> Extent {
    let (downtime, roll_out) = match kind {
        Some(FaultKind::ProcessCrash { downtime, .. }) => (*downtime, Duration::ZERO),
        Some(FaultKind::ProcessRollingRestart { downtime }) => (*downtime, *downtime * u32::from(frame.instances)),
        Some(_) | None => (Duration::ZERO, Duration::ZERO),
    };
    Extent { shape: row.shape, waits: reader.has("when"), downtime, roll_out }
}

/// `probability`, or its synonym `rate`.
fn probability(reader: &mut Reader<'_>) -> Probability {
    let probability = reader.get("probability", units::probability);
    let rate = reader.get("rate", units::probability);
    if reader.has("probability") && reader.has("rate") {
        let flaw = Flaw::new("`rate` and `probability` are the same thing", "keep `probability` and remove `rate`");
        reader.sink().flaw(&reader.place_of("rate"), flaw);
    }
    probability.or(rate).unwrap_or(Probability::ONE)
}

fn targets(reader: &mut Reader<'_>, row: &Kind, instances: u16) -> Targets {
    if row.reach == Reach::Whole {
        if let Some(node) = reader.node("on") {
            let cause = format!("`on` means nothing in `{}`, which happens to the whole service or store", row.name);
            reader.sink().flaw(&node.span(), Flaw::new(cause, "remove `on`"));
        }
        return Targets::All;
    }
    let count_max = usize::from(INSTANCES_MAX) + 2;
    let form = Form::List(Box::new(Form::Matching(TARGET)), count_max);
    if reader.get("on", units::taking(form, units::texts(count_max))).is_none() {
        return Targets::All;
    }
    let Some(node) = reader.node("on") else { return Targets::All };
    let mut targets = Vec::new();
    for entry in node.get_ref().as_array().into_iter().flat_map(|array| array.iter()) {
        match target(entry.get_ref().as_str().unwrap_or_default(), row, instances) {
            Ok(target) if targets.contains(&target) => {}
            Ok(target) => targets.push(target),
            Err(flaw) => reader.sink().flaw(&entry.span(), flaw),
        }
    }
    if node.get_ref().as_array().is_some_and(|array| array.is_empty()) {
        let remedy = "name at least one target, or remove `on` to touch all";
        reader.sink().flaw(&node.span(), Flaw::new("`on = []` touches nothing", remedy));
    }
    Targets::Only(targets)
}

fn target(name: &str, row: &Kind, instances: u16) -> Result<Target, Flaw> {
    let is_clock = row.name.starts_with("clock.");
    let number = name.strip_prefix("app-").filter(|digits| !digits.starts_with(['0', '+']));
    match (name, number.and_then(|digits| digits.parse::<u16>().ok())) {
        ("store", _) if is_clock => Ok(Target::Store),
        ("quota", _) if is_clock => Ok(Target::Quota),
        ("store" | "quota", _) => {
            let cause = format!("`on` of `{}` names \"{name}\", which has a clock but no process", row.name);
            Err(Flaw::new(cause, format!("name instances, \"app-1\" to \"app-{instances}\"")))
        }
        (_, Some(number)) if number <= instances => Ok(Target::Instance(number - 1)),
        _ => {
            let clocks = if is_clock { ", \"store\" or \"quota\"" } else { "" };
            let cause = format!("\"{}\" is not a target of this fault", clip(name));
            Err(Flaw::new(cause, format!("name instances, \"app-1\" to \"app-{instances}\"{clocks}")))
        }
    }
}

/// Names of targets; which of them a fault can have, its kind and the fleet's size say.
const TARGET: &str = "app-[1-9][0-9]{0,3}|store|quota";

/// A key that other kinds have.
fn of_another_kind(key: &str, row: &Kind) -> Option<Flaw> {
    let owners: Vec<_> = KINDS.iter().filter(|kind| kind.keys.contains(&key)).map(|kind| kind.name).collect();
    if owners.is_empty() {
        return None;
    }
    let cause = format!("`{key}` is a key of {}, not of `{}`", list(owners.iter().copied(), "and"), row.name);
    Some(Flaw::new(cause, "remove it, or change `kind`"))
}
