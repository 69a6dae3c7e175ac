//! The expectations in words.

use hookproof_sim::scenario::{Expect, Limit, Scenario};

use super::words::list;

pub(super) fn lines(scenario: &Scenario) -> Vec<String> {
    if scenario.expects.is_empty() {
        return vec!["The file expects nothing; only the invariants of judged hooks are enforced.".to_owned()];
    }
    let mut lines: Vec<String> = scenario.expects.iter().map(|expect| line(scenario, expect)).collect();
    if !scenario.judge.is_empty() {
        let judged: Vec<&str> = scenario.judge.iter().map(|hook| hook.name()).collect();
        lines.push(format!("And every invariant of {} holds.", list(&judged)));
    }
    lines
}

fn line(scenario: &Scenario, expect: &Expect) -> String {
    let hook = expect.hook.map_or("every hook", |hook| hook.name());
    let limit = match expect.limit {
        Limit::AtMost(most) => format!("at most {most}"),
        Limit::AtLeast(least) => format!("at least {least}"),
        Limit::Equals(value) => format!("exactly {value}"),
        Limit::Between(low, high) => format!("from {low} to {high}"),
    };
    let during = match (expect.during.name.as_str(), expect.during.fault) {
        ("run", _) => "over the whole run".to_owned(),
        ("storm", _) => "during the storm".to_owned(),
        ("calm", _) => "during the calm".to_owned(),
        (name, Some(_)) => {
            let times = match expect.during.stretches.len() {
                1 => String::new(),
                several => format!(", all {several} times together"),
            };
            format!("during the fault {name:?}{times}; inconclusive if it meets nothing")
        }
        (name, None) => {
            let is_window = scenario.windows.iter().any(|window| window.name == name);
            format!("during the {} {name:?}", if is_window { "window" } else { "traffic" })
        }
    };
    format!("{hook}: {} is {limit}, {during}.", expect.metric.name())
}
