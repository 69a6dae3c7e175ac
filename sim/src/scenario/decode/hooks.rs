//! `hooks`, `judge`, `excuse` and `[hook.NAME]`: what is driven, whose invariants are enforced, and whom they leave out.
//!
//! Owns the known hooks' names in files. Hooks of one's own are part of the format; they are checked and then refused,
//! because this version can't run them.

use toml::de::DeValue;

use super::super::form::Form;
use super::super::{Excuse, HookKind};
use super::tree::{Flaw, Node, Placed, Reader};
use super::units::{self, meant};
use super::words::{clip, list};

/// More names than this in `hooks` or `judge` are refused unread.
const HOOKS_MAX: usize = 50;

/// The hooks of a scenario.
pub(super) struct Hooks {
    pub(super) run: Vec<HookKind>,
    pub(super) judge: Vec<HookKind>,
}

/// Reads `hooks`, `judge` and `[hook.NAME]`.
pub(super) fn hooks(root: &mut Reader<'_>) -> Hooks {
    let foreign = foreign(root);
    let run = match kinds(root, "hooks", &foreign) {
        Some(kinds) if kinds.is_empty() && is_empty(root.node("hooks")) => {
            let remedy = "name at least one hook, or remove `hooks` to drive all three";
            let flaw = Flaw::new("`hooks = []` leaves nothing to drive", remedy);
            root.sink().flaw(&root.place_of("hooks"), flaw);
            HookKind::ALL.to_vec()
        }
        Some(kinds) => kinds.into_iter().map(|kind| kind.value).collect(),
        None => HookKind::ALL.to_vec(),
    };
    let judge = match kinds(root, "judge", &foreign) {
        Some(kinds) => judged(root, kinds, &run),
        None => run.iter().copied().filter(|kind| *kind == HookKind::Hardened).collect(),
    };
    Hooks { run, judge }
}

/// Reads `excuse`. Each word that is none is reported at its own place.
pub(super) fn excuses(root: &mut Reader<'_>) -> Vec<Excuse> {
    let words = Form::Word(Excuse::ALL.map(Excuse::name).to_vec());
    let form = Form::List(Box::new(words), HOOKS_MAX);
    if root.get("excuse", units::taking(form, units::texts(HOOKS_MAX))).is_none() {
        return Vec::new();
    }
    let Some(node) = root.node("excuse") else { return Vec::new() };
    let parse = units::choice("an excuse", Excuse::ALL.map(|excuse| (excuse.name(), excuse)));
    let mut excuses = Vec::new();
    for entry in node.get_ref().as_array().into_iter().flat_map(|array| array.iter()) {
        match parse(entry.get_ref()) {
            Ok(excuse) if excuses.contains(&excuse) => {
                let flaw = Flaw::new(format!("`excuse` names `{}` twice", excuse.name()), "name each once");
                root.sink().flaw(&entry.span(), flaw);
            }
            Ok(excuse) => excuses.push(excuse),
            Err(flaw) => root.sink().flaw(&entry.span(), flaw),
        }
    }
    excuses
}

fn is_empty(node: Option<&Node<'_>>) -> bool {
    node.and_then(|node| node.get_ref().as_array()).is_some_and(|array| array.is_empty())
}

fn judged(root: &Reader<'_>, kinds: Vec<Placed<HookKind>>, run: &[HookKind]) -> Vec<HookKind> {
    for kind in kinds.iter().filter(|kind| !run.contains(&kind.value)) {
        let cause = format!("`judge` names `{}`, which is not among `hooks`", kind.value.name());
        root.sink().flaw(&kind.place, Flaw::new(cause, "add it to `hooks`, or remove it here"));
    }
    kinds.into_iter().map(|kind| kind.value).collect()
}

/// The known hooks that an array names; absent if the key is, or if it is no array of strings.
fn kinds(root: &mut Reader<'_>, key: &'static str, foreign: &[String]) -> Option<Vec<Placed<HookKind>>> {
    let form = Form::List(Box::new(Form::Word(HookKind::ALL.map(HookKind::name).to_vec())), HOOKS_MAX);
    root.get(key, units::taking(form, units::texts(HOOKS_MAX)))?;
    let node = root.node(key)?;
    let mut kinds: Vec<Placed<HookKind>> = Vec::new();
    for entry in node.get_ref().as_array().into_iter().flat_map(|array| array.iter()) {
        let name = entry.get_ref().as_str().unwrap_or_default();
        match HookKind::from_name(name) {
            Some(value) if kinds.iter().any(|kind| kind.value == value) => {
                let cause = format!("`{key}` names `{name}` twice");
                root.sink().flaw(&entry.span(), Flaw::new(cause, "name each hook once"));
            }
            Some(value) => kinds.push(Placed { value, place: entry.span() }),
            None if foreign.iter().any(|known| known == name) => {}
            None => root.sink().flaw(&entry.span(), unknown(name)),
        }
    }
    Some(kinds)
}

fn unknown(name: &str) -> Flaw {
    let names = || HookKind::ALL.map(HookKind::name);
    let all = format!("the hooks are {}", list(names(), "and"));
    Flaw::new(format!("\"{}\" is not a hook", clip(name)), meant(name, names(), &all))
}

/// Reads all `[hook.NAME]` and gives their names.
fn foreign(root: &mut Reader<'_>) -> Vec<String> {
    let sink = root.sink();
    let entries = root.table("hook", "[hook]").into_entries().take(HOOKS_MAX);
    let read = entries.map(|(name, place, node)| {
        let mut reader = Reader::of(sink, format!("[hook.{}]", clip(name)), node);
        let commands = [reader.get("lockstep", command), reader.get("command", command)];
        if reader.is_present() {
            let cause = format!("this version can't run the foreign hook `{}`", clip(name));
            let remedy = format!(
                "remove [hook.{}]; the hooks are {}",
                clip(name),
                list(HookKind::ALL.map(HookKind::name), "and")
            );
            sink.flaw(&place, Flaw::new(cause, remedy));
        }
        if commands.iter().all(Option::is_none) && !reader.has("lockstep") && !reader.has("command") {
            let flaw = Flaw::new(format!("{} says not how it is run", reader.name()), "add `lockstep = [\"…\"]`");
            sink.gap(reader.place(), flaw);
        }
        reader.finish();
        name.to_owned()
    });
    read.collect()
}

fn command(value: &DeValue<'_>) -> Result<Vec<String>, Flaw> {
    let command = units::texts(1_000)(value)?;
    if command.is_empty() { Err(Flaw::new("the command is empty", "name the program to run")) } else { Ok(command) }
}
