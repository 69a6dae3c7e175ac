//! `experiment check`: the gate before an experiment goes to production.
//!
//! Owns what is checked beyond the file's own validity: that this program assigns as the golden vectors and a second
//! implementation say, that the shares it finds are those of the weights, and what a reviewer would ask about. Same file, same
//! bytes: the users are made up, the thresholds fixed.

mod findings;
mod human;
mod json;

use hookproof_core::assignment::UserId;
use hookproof_core::experiment::Experiment;
use hookproof_sim::oracle::specified_variant_of;

use self::findings::{Warning, warnings};
use super::{file, vectors};
use crate::args::{CheckArgs, CheckFormat};
use crate::exit::{Exit, Failure};
use crate::terminal::{self, Terminal};

/// Golden vectors of both hashes, one of each kind of `core/tests/data/assignment_v1.csv`.
const VECTORS: &[u8] = include_bytes!("check/vectors.csv");

/// Ids that are made up, `user-0` and so on.
const SAMPLE_COUNT: u32 = 100_000;

/// A share that is off by more standard deviations than this is no chance: less than once in a million shares.
const DEVIATIONS_MAX: f64 = 5.0;

/// Prints what was checked, and passes if nothing is wrong.
///
/// # Errors
/// The file is bad; nothing has been printed then.
pub(crate) fn check(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let experiment = file::load(&args.file, terminal)?;
    let compared = vectors::compare("the built-in vectors", VECTORS)?;
    let check = Check {
        experiment: &experiment,
        strictness: if args.strict { Strictness::WarningsFail } else { Strictness::WarningsPass },
        vectors: compared.rows,
        vectors_difference: compared.first,
        sample: Sample::of(&experiment),
        warnings: warnings(&experiment),
    };
    let text = match args.format {
        CheckFormat::Human => human::render(&check),
        CheckFormat::Json => json::render(&check),
    };
    terminal::print(text.as_bytes())?;
    Ok(if check.is_passed() { Exit::Pass } else { Exit::Violated })
}

/// Whether a warning fails the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    WarningsPass,
    WarningsFail,
}

/// All that is printed.
struct Check<'e> {
    experiment: &'e Experiment,
    strictness: Strictness,
    vectors: u64,
    vectors_difference: Option<String>,
    sample: Sample,
    warnings: Vec<Warning>,
}

impl Check<'_> {
    /// What fails the gate, warnings aside.
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(difference) = &self.vectors_difference {
            failures.push(format!("this program assigns otherwise than the golden vectors say: {difference}"));
        }
        if let Some(user) = &self.sample.disagreement {
            failures.push(format!("the second implementation assigns {user} otherwise"));
        }
        for share in self.sample.shares.iter().filter(|share| !share.is_fair()) {
            failures.push(format!(
                "the share of {} is off by {:.1} standard deviations, which is no chance; another `salt` draws afresh",
                share.of,
                share.deviations()
            ));
        }
        failures
    }

    fn is_passed(&self) -> bool {
        let warned = self.strictness == Strictness::WarningsFail && !self.warnings.is_empty();
        self.failures().is_empty() && !warned
    }
}

/// What became of users who were made up.
struct Sample {
    /// The first user about whom the two implementations disagree.
    disagreement: Option<String>,
    /// Those who take part, then each variant's.
    shares: Vec<Share>,
}

/// A share that was expected and the count that was found.
struct Share {
    of: String,
    expected: f64,
    found: u32,
}

impl Sample {
    fn of(experiment: &Experiment) -> Self {
        let mut disagreement = None;
        let (mut enrolled, mut counts) = (0_u32, vec![0_u32; experiment.variants().len()]);
        for number in 0..SAMPLE_COUNT {
            let id = format!("user-{number}");
            let user = UserId::new(id.as_bytes()).expect("a made-up id is permitted");
            let assignment = experiment.assign(user);
            enrolled += u32::from(assignment.enrolled);
            counts[assignment.variant.index()] += 1;
            let again = usize::from(specified_variant_of(experiment, id.as_bytes()));
            if disagreement.is_none() && again != assignment.variant.index() {
                disagreement = Some(id);
            }
        }
        let total: f64 = experiment.variants().iter().map(|variant| f64::from(variant.weight)).sum();
        let coverage = if experiment.is_ended() { 0 } else { experiment.coverage_ppm() };
        let part = Share { of: "users who take part".to_owned(), expected: f64::from(coverage) / 1e6, found: enrolled };
        let variants = experiment.variants().iter().zip(counts).map(|(variant, found)| Share {
            of: format!("{:?}", variant.name),
            expected: f64::from(variant.weight) / total,
            found,
        });
        Self { disagreement, shares: std::iter::once(part).chain(variants).collect() }
    }
}

impl Share {
    /// How far the count lies from what is expected, in standard deviations of a binomial one.
    fn deviations(&self) -> f64 {
        let count = f64::from(SAMPLE_COUNT);
        let off = f64::from(self.found) - count * self.expected;
        let deviation = (count * self.expected * (1.0 - self.expected)).sqrt();
        // Nobody or everybody: there is no chance in it.
        if off == 0.0 { 0.0 } else { off / deviation }
    }

    fn is_fair(&self) -> bool {
        self.deviations().abs() <= DEVIATIONS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_fair_within_five_deviations() {
        let share = |expected, found| Share { of: String::new(), expected, found };
        assert!(share(0.5, 50_790).is_fair() && !share(0.5, 50_791).is_fair());
        assert!(share(0.0, 0).is_fair() && !share(0.0, 1).is_fair());
        assert!(share(1.0, 100_000).is_fair() && !share(1.0, 99_999).is_fair());
    }
}
