//! `[[window]]` and `[[expect]]`: what must come of a run, and over which stretch of it.
//!
//! Owns the limits of metrics and the resolution of `during`: a name becomes the stretches it stands for.

use std::time::Duration;

use super::super::form::{Form, Need};
use super::super::{Expect, Fault, HookKind, Limit, Span, Traffic, Window};
use super::names::{Names, RESERVED};
use super::timing::check_ends;
use super::tree::{Flaw, Placed, Reader};
use super::units::{self, meant};
use super::words::{clip, list};
use crate::metrics::Metric;

/// What expectations refer to.
pub(super) struct Scene<'s> {
    pub(super) hooks: &'s [HookKind],
    pub(super) faults: &'s [Fault],
    pub(super) traffic: &'s [Traffic],
    pub(super) windows: &'s [Window],
    pub(super) names: &'s Names,
    pub(super) duration: Duration,
    pub(super) calm: Duration,
}

/// Reads all `[[window]]` of a storm that lasts `duration`.
pub(super) fn windows(readers: Vec<Reader<'_>>, duration: Duration) -> Vec<Window> {
    readers.into_iter().filter_map(|reader| window(reader, duration)).collect()
}

fn window(mut reader: Reader<'_>, duration: Duration) -> Option<Window> {
    let name = reader.need("name", "\"late\"", units::name);
    let at = reader.need("at", "\"150s\"", units::duration);
    let length = reader.need("for", "\"60s\"", units::positive_duration);
    if let (Some(at), Some(length)) = (at, length) {
        check_ends(&reader, at, at + length, duration);
    }
    reader.finish();
    Some(Window { name: name?, at: at?, length: length? })
}

/// Reads all `[[expect]]`.
pub(super) fn expects(readers: Vec<Reader<'_>>, scene: &Scene<'_>) -> Vec<Expect> {
    let read = readers.into_iter().map(|reader| expect(reader, scene));
    read.collect::<Vec<_>>().into_iter().flatten().collect()
}

fn expect(mut reader: Reader<'_>, scene: &Scene<'_>) -> Option<Expect> {
    let line = reader.sink().line(reader.place());
    let hook = hook(&mut reader, scene);
    let metrics = Form::Word(Metric::ALL.into_iter().map(Metric::name).collect());
    let metric = reader.need("metric", "\"over-allocation.worst-ratio\"", units::taking(metrics, metric));
    let limit = limit(&mut reader);
    let during = during(&mut reader, scene);
    reader.finish();
    Some(Expect { hook, metric: metric?, limit: limit?, during: during?, line })
}

fn hook(reader: &mut Reader<'_>, scene: &Scene<'_>) -> Option<HookKind> {
    let all = HookKind::ALL.map(|kind| (kind.name(), kind));
    let hook = reader.placed("hook", units::choice("a known hook", all))?;
    if !scene.hooks.contains(&hook.value) {
        let cause = format!("the hook `{}` is not among the scenario's `hooks`", hook.value.name());
        reader.sink().flaw(&hook.place, Flaw::new(cause, "add it to `hooks`, or expect something of another hook"));
    }
    Some(hook.value)
}

fn metric(value: &toml::de::DeValue<'_>) -> Result<Metric, Flaw> {
    let name = units::text(value)?;
    let known = || Metric::ALL.into_iter().map(Metric::name);
    let unknown = || {
        let cause = format!("\"{}\" is not a metric", clip(&name));
        let area = name.split('.').next().unwrap_or_default();
        let siblings: Vec<_> = known().filter(|known| known.split('.').next() == Some(area)).collect();
        let areas = "the metrics are listed in the guide; their names start with an area, such as `upstream.`";
        let otherwise =
            if siblings.is_empty() { areas.to_owned() } else { format!("there are {}", list(siblings, "and")) };
        Flaw::new(cause, meant(&name, known(), &otherwise))
    };
    Metric::from_name(&name).ok_or_else(unknown)
}

fn limit(reader: &mut Reader<'_>) -> Option<Limit> {
    const KEYS: [&str; 4] = ["at-most", "at-least", "equals", "between"];
    reader.needs(Need::One(&KEYS));
    let given: Vec<_> = KEYS.into_iter().filter(|key| reader.has(key)).collect();
    let limits = [
        reader.get("at-most", units::number).map(Limit::AtMost),
        reader.get("at-least", units::number).map(Limit::AtLeast),
        reader.get("equals", units::number).map(Limit::Equals),
        reader.get("between", between).map(|(low, high)| Limit::Between(low, high)),
    ];
    match given.as_slice() {
        [_] => limits.into_iter().flatten().next(),
        [] => {
            let flaw =
                Flaw::new("the expectation has no limit", "add one of `at-most`, `at-least`, `equals`, `between`");
            if reader.is_present() {
                reader.sink().gap(reader.place(), flaw);
            }
            None
        }
        [first, second, ..] => {
            let cause = format!("`{first}` and `{second}` are both given");
            reader.sink().flaw(&reader.place_of(second), Flaw::new(cause, "keep one limit, or use `between = [a, b]`"));
            None
        }
    }
}

fn between(value: &toml::de::DeValue<'_>) -> Result<(f64, f64), Flaw> {
    let remedy = "write two numbers, the smaller one first: `between = [0.4, 0.5]`";
    let [low, high] = value.as_array().map_or(&[][..], |array| &array[..]) else {
        return Err(Flaw::new("expected an array of two numbers", remedy).taking(Form::Pair));
    };
    let (low, high) = (units::number(low.get_ref())?, units::number(high.get_ref())?);
    if low > high { Err(Flaw::new("the first number is larger than the second", remedy)) } else { Ok((low, high)) }
}

fn during(reader: &mut Reader<'_>, scene: &Scene<'_>) -> Option<Span> {
    let name = reader.get("during", units::text).unwrap_or_else(|| "run".to_owned());
    let end = scene.duration + scene.calm;
    let (stretches, fault) = match name.as_str() {
        "run" => (vec![(Duration::ZERO, end)], None),
        "storm" => (vec![(Duration::ZERO, scene.duration)], None),
        "calm" => (vec![(scene.duration, end)], None),
        _ => named(&Placed { value: name.clone(), place: reader.place_of("during") }, reader, scene)?,
    };
    Some(Span { name, stretches, fault })
}

type Stretches = Vec<(Duration, Duration)>;

/// The stretches that a name of the file stands for, and the fault if it is one.
fn named(name: &Placed<String>, reader: &Reader<'_>, scene: &Scene<'_>) -> Option<(Stretches, Option<usize>)> {
    if let Some(index) = scene.faults.iter().position(|fault| fault.name == name.value) {
        return Some((scene.faults[index].stretches(scene.duration), Some(index)));
    }
    let traffic = scene.traffic.iter().find(|traffic| traffic.name == name.value).map(|traffic| {
        let (at, length) = traffic.kind.stretch();
        (at, at + length)
    });
    let window = || scene.windows.iter().find(|window| window.name == name.value);
    let stretch = traffic.or_else(|| window().map(|window| (window.at, window.at + window.length)));
    // A name that was claimed belongs to an entry that is broken, which is reported there.
    if stretch.is_none() && !scene.names.contains(&name.value) {
        let cause = format!("nothing is named `{}`", clip(&name.value));
        let known = || scene.names.iter().chain(RESERVED);
        let remedy = meant(&name.value, known(), &format!("known names are {}", list(known().take(20), "and")));
        reader.sink().gap(&name.place, Flaw::new(cause, remedy));
    }
    Some((vec![stretch?], None))
}
