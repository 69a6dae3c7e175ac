//! `--check-determinism`: the same run twice must be the same run.

use hookproof_sim::outcome::{Outcome, Value};

/// How often each run is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    /// And compared.
    Twice,
}

/// What differs between two runs of the same scenario, hook and seed; `None` if nothing does.
pub(crate) fn difference(first: &Outcome, second: &Outcome) -> Option<String> {
    if first == second {
        return None;
    }
    if first.digest != second.digest {
        return Some(format!("digest {:032x}, then {:032x}", first.digest, second.digest));
    }
    let names = first.metrics.keys().chain(second.metrics.keys());
    let mut differing = names.filter(|metric| first.metrics.get(metric) != second.metrics.get(metric));
    Some(differing.next().map_or_else(
        || "equal digests and metrics, other details".to_owned(),
        |metric| {
            let shown = |outcome: &Outcome| match outcome.metrics.get(metric) {
                None => "no value".to_owned(),
                Some(Value::Never) => "never".to_owned(),
                Some(Value::Number(number)) => number.to_string(),
            };
            format!("{} {}, then {}", metric.name(), shown(first), shown(second))
        },
    ))
}
