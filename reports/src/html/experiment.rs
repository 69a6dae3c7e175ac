//! What the experiment would have concluded, hook by hook.

use maud::{Markup, html};

use crate::conclusion::{Ratio, conclusion, interval, p_value, percent};
use crate::number::Number;
use crate::record::{Experiment, Lift, Run};
use crate::table::text::grouped;

use super::definition::digits;
use super::findings::{head, table};
use super::words::{Shown, hook};

/// The section of a scenario's experiment.
pub(crate) fn render(runs: &[&Run], key: &str) -> Markup {
    let told: Vec<(&Run, &Experiment)> = runs.iter().filter_map(|run| Some((*run, run.experiment.as_ref()?))).collect();
    html! {
        h3 #{ (key) "-experiment" } { "What the experiment would have concluded" }
        @if told.is_empty() { p .empty { "Nobody was exposed, or the record is of a version that did not say." } } @else {
            p .note {
                "A user is contaminated who was in both groups, or first in a control and holds an effect. The sample ratio is of first exposures, "
                "so it may be sound where users switch later. The sequential test may be looked at after every user, the other once."
            }
            (table(&format!("{key}-lift"), "The lift that was planted and the one an analyst would report", &html! {
                (head(&["Hook", "Contaminated", "Lift planted", "Estimated, 95 %", "Bias", "Sample ratio", "Would conclude"]))
                tbody { @for (run, experiment) in &told { (row(run, experiment)) } }
            }))
        }
    }
}

fn row(run: &Run, experiment: &Experiment) -> Markup {
    let Experiment { arms, exposed, contaminated, srm, lift } = experiment;
    let share = *contaminated as f64 / (*exposed).max(1) as f64;
    html! {
        tr {
            th scope="row" { (hook(&run.hook, run.role)) }
            td .n { (percent(share)) br; small { (grouped(*contaminated)) " of " (grouped(*exposed)) } }
            @match lift {
                Some(lift) => { (of_lift(lift)) },
                None => { td { small { "none" } } td { small { "nothing to compare" } } td { small { "nothing to compare" } } },
            }
            td .n {
                @for ratio in Ratio::all(srm) {
                    (ratio.test) " p " (p_value(ratio.p)) @if ratio.is_mismatch() { " " strong .bad { "mismatch" } } br;
                }
                @for arm in arms {
                    small { (Shown(&arm.variant)) " " (grouped(arm.exposed)) " of " (arm.expected.value().map_or_else(String::new, digits)) } br;
                }
            }
            td { (conclusion(experiment)) }
        }
    }
}

fn of_lift(lift: &Lift) -> Markup {
    let value = |number: Number| percent(number.value().unwrap_or_default());
    html! {
        td .n { (value(lift.planted)) }
        td .n {
            (value(lift.estimated))
            @if let Some((low, high)) = interval(lift) { br; small { (percent(low)) " to " (percent(high)) } }
        }
        td .n { (value(lift.bias)) }
    }
}
