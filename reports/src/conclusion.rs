//! What an experiment would have concluded: the lift that was planted beside the one an analyst would report, and whether the
//! groups are as large as declared.
//!
//! Owns the words and the two limits of judgement; the figures are the record's. A p-value is of one run with a fixed end, so it
//! is compared with [`MISMATCH`], as is the sequential one, which may be looked at on the way.

use crate::number::Number;
use crate::record::{Experiment, Lift, Role, SampleRatio, Verdict};
use crate::sweep::none_violated;
use crate::table::Row;
use crate::table::text::{counted, grouped};

/// Below it the sample ratio is mismatched: R. Kohavi, D. Tang and Y. Xu, "Trustworthy Online Controlled Experiments", 2020,
/// chapter 21. At 0.05 one in twenty sound experiments would be.
const MISMATCH: f64 = 0.001;
/// Standard errors to either side of an estimate that hold the truth in 95 of 100 samples.
const Z_95: f64 = 1.959_963_984_540_054;

/// A test of the sample ratio.
pub(crate) struct Ratio {
    /// Its name.
    pub(crate) test: &'static str,
    /// Its p-value.
    pub(crate) p: f64,
}

impl Ratio {
    /// The fixed-sample test that is good for these numbers: the exact one where there is one, else chi-square.
    pub(crate) fn fixed(srm: &SampleRatio) -> Option<Self> {
        let of = |test, p: Option<Number>| p.and_then(Number::value).map(|p| Self { test, p });
        of("exact", srm.exact_p).or_else(|| of("chi-square", srm.chi_square_p))
    }

    /// The sequential one.
    pub(crate) fn sequential(srm: &SampleRatio) -> Option<Self> {
        srm.sequential_p.and_then(Number::value).map(|p| Self { test: "sequential", p })
    }

    /// What there is of both.
    pub(crate) fn all(srm: &SampleRatio) -> impl Iterator<Item = Self> {
        [Self::fixed(srm), Self::sequential(srm)].into_iter().flatten()
    }

    /// Whether it says that the groups are not as declared.
    pub(crate) fn is_mismatch(&self) -> bool {
        self.p < MISMATCH
    }
}

/// Whether the groups are as large as declared, as far as some test can tell.
fn is_mismatched(experiment: &Experiment) -> bool {
    Ratio::all(&experiment.srm).any(|ratio| ratio.is_mismatch())
}

/// The ends of the 95 % interval around an estimate.
pub(crate) fn interval(lift: &Lift) -> Option<(f64, f64)> {
    let (estimated, error) = (lift.estimated.value()?, lift.standard_error?.value()?);
    Some((estimated - Z_95 * error, estimated + Z_95 * error))
}

/// What a reader of the estimate would take home, beside what is true.
pub(crate) fn conclusion(experiment: &Experiment) -> &'static str {
    if is_mismatched(experiment) {
        return "nothing: users do not stand in the declared ratio";
    }
    let Some(lift) = &experiment.lift else { return "no lift was planted, so none can be compared" };
    let (Some((low, high)), Some(planted)) = (interval(lift), lift.planted.value()) else {
        return "nothing: a group is of one user";
    };
    let holds = |value: f64| (low..=high).contains(&value);
    match (holds(planted), holds(0.0)) {
        (true, false) => "a lift, and the planted one is within the interval",
        (true, true) => "no lift that can be told from none; the planted one is within the interval",
        (false, true) => "no lift, though one was planted",
        (false, false) => "a lift, but not the planted one",
    }
}

/// A lift for people, in per cent of the outcome without an effect, which is one.
pub(crate) fn percent(share: f64) -> String {
    let rounded = (share * 1e3).round() / 10.0;
    let sign = if rounded < 0.0 { "\u{2212}" } else { "" };
    format!("{sign}{:.1} %", rounded.abs())
}

/// A p-value for people.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "under 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A sentence about a hook's experiment, of its first seed, where there is something to say: a lift was planted, or the ratio is
/// mismatched.
pub(crate) fn sentence(row: &Row<'_>) -> Option<String> {
    let experiment = row.first.experiment.as_ref().filter(|one| one.lift.is_some() || is_mismatched(one))?;
    let mut parts = Vec::new();
    if let Some(lift) = &experiment.lift {
        let value = |number: Number| percent(number.value().unwrap_or_default());
        let interval = interval(lift)
            .map_or_else(String::new, |(low, high)| format!(" (95 %: {} to {})", percent(low), percent(high)));
        let (estimated, planted, bias) = (value(lift.estimated), value(lift.planted), value(lift.bias));
        parts.push(format!("lift {estimated}{interval}, planted {planted}, bias {bias}"));
    }
    let contaminated = grouped(experiment.contaminated);
    parts.push(format!("{contaminated} of {} contaminated", counted(experiment.exposed, "user")));
    let tests: Vec<String> =
        Ratio::all(&experiment.srm).map(|ratio| format!("{} p {}", ratio.test, p_value(ratio.p))).collect();
    if !tests.is_empty() {
        parts.push(format!("sample ratio: {}", tests.join(", ")));
    }
    let seed = if row.runs.len() > 1 { format!(" (seed {})", row.first.seed) } else { String::new() };
    let hook = &row.first.hook;
    Some(format!("{hook}{seed} would have concluded {}: {}", conclusion(experiment), parts.join("; ")))
}

/// What no violation over several seeds of a judged hook says of seeds that were not run; nothing of a single run.
pub(crate) fn bound(row: &Row<'_>) -> Option<String> {
    let count = |verdict| row.runs.iter().filter(|run| run.verdict == verdict).count() as u64;
    let (judged, violated) = (count(Verdict::Pass), count(Verdict::Violated));
    (row.first.role == Role::Judged && judged > 1 && violated == 0).then(|| none_violated(judged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64) -> Option<Number> {
        Number::finite(value)
    }

    fn experiment(estimated: f64, chi_square_p: f64, sequential_p: f64) -> Experiment {
        let planted = 0.1;
        let lift = Lift {
            planted: number(planted).unwrap(),
            estimated: number(estimated).unwrap(),
            bias: number((estimated - planted) / planted).unwrap(),
            standard_error: number(0.02),
            control: 5_000,
            treatment: 5_000,
        };
        let srm = SampleRatio { chi_square_p: number(chi_square_p), exact_p: None, sequential_p: number(sequential_p) };
        Experiment { arms: Vec::new(), exposed: 10_000, contaminated: 0, srm, lift: Some(lift) }
    }

    #[test]
    fn the_conclusion_holds_the_interval_against_nothing_and_against_the_truth() {
        for (estimated, says) in [
            (0.11, "a lift, and the planted one is within the interval"),
            (0.05, "a lift, but not the planted one"),
            (0.01, "no lift, though one was planted"),
            (-0.2, "a lift, but not the planted one"),
        ] {
            assert_eq!(conclusion(&experiment(estimated, 0.5, 1.0)), says, "{estimated}");
        }
        let mut unsure = experiment(0.1, 0.5, 1.0);
        unsure.lift.as_mut().unwrap().standard_error = number(0.06);
        assert!(conclusion(&unsure).starts_with("no lift that can be told from none"));
        unsure.lift.as_mut().unwrap().standard_error = None;
        assert_eq!(conclusion(&unsure), "nothing: a group is of one user");
        unsure.lift = None;
        assert!(conclusion(&unsure).starts_with("no lift was planted"));
    }

    #[test]
    fn a_mismatch_by_either_test_leaves_nothing_to_conclude() {
        for (fixed, sequential) in [(1e-9, 1.0), (0.5, 1e-9)] {
            assert!(conclusion(&experiment(0.1, fixed, sequential)).starts_with("nothing: users do not stand"));
        }
        let mut few = experiment(0.1, 0.000_5, 1.0);
        few.srm.exact_p = number(0.01);
        assert!(conclusion(&few).starts_with("a lift"), "where the exact test is given, chi-square is no good");
    }

    #[test]
    fn the_interval_has_1_96_standard_errors_to_either_side() {
        let (low, high) = interval(experiment(0.1, 0.5, 1.0).lift.as_ref().unwrap()).unwrap();
        assert!((low - 0.060_800_72).abs() < 1e-8 && (high - 0.139_199_28).abs() < 1e-8, "{low} {high}");
        assert_eq!([percent(low), percent(-0.682_1), percent(-0.000_1)], ["6.1 %", "\u{2212}68.2 %", "0.0 %"]);
        assert_eq!([p_value(0.000_9), p_value(0.138_5)], ["under 0.001", "0.139"]);
    }
}
