//! Which shard an array job's variables say this is: an existing scheduler is the cluster.
//!
//! The one place of `sweep` that reads the environment, through a function that a test replaces. Each scheduler numbers its
//! jobs in its own way; a [`Shard`] counts from 1.

use hookproof_reports::Shard;

/// A shard that a scheduler's variables name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which.
    pub(crate) shard: Shard,
    /// The scheduler.
    pub(crate) scheduler: &'static str,
    /// The variable that numbers its jobs.
    pub(crate) variable: &'static str,
}

/// A scheduler with one variable for the job's number and one for their count.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    count: &'static str,
    /// The number of the first job.
    first: u64,
}

/// Kubernetes sets the index only; the manifest has to set the count.
const SCHEDULERS: [Scheduler; 4] = [
    Scheduler { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: "JOB_COMPLETIONS", first: 0 },
    Scheduler { name: "GitLab", index: "CI_NODE_INDEX", count: "CI_NODE_TOTAL", first: 1 },
    Scheduler { name: "CircleCI", index: "CIRCLE_NODE_INDEX", count: "CIRCLE_NODE_TOTAL", first: 0 },
    Scheduler { name: "Buildkite", index: "BUILDKITE_PARALLEL_JOB", count: "BUILDKITE_PARALLEL_JOB_COUNT", first: 0 },
];

const SLURM: &str = "Slurm";
const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_MAX: &str = "SLURM_ARRAY_TASK_MAX";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";

const REMEDY: &str = "say --shard I/N, or --shard none for the whole";

/// What the variables say; `None` if this is no array job, or one of a single job. An empty variable counts as none.
///
/// # Errors
/// They are incomplete, no numbers, or two schedulers contradict each other; the message has the remedy.
pub(crate) fn detect(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Found>, String> {
    let variables = Variables(&|name| variable(name).filter(|value| !value.is_empty()));
    let mut found = Vec::new();
    found.extend(variables.slurm()?);
    for scheduler in &SCHEDULERS {
        found.extend(variables.numbered(scheduler)?);
    }
    let Some(first) = found.first().copied() else { return Ok(None) };
    match found.iter().find(|other| other.shard != first.shard) {
        None => Ok(Some(first)),
        Some(other) => Err(format!(
            "{} ({}) says shard {}, {} ({}) says shard {}; {REMEDY}",
            first.variable, first.scheduler, first.shard, other.variable, other.scheduler, other.shard
        )),
    }
}

struct Variables<'v>(&'v dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = (self.0)(name) else { return Ok(None) };
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| plain);
        number.map(Some).ok_or_else(|| format!("{name} is {text:?}, not a whole number; {REMEDY}"))
    }

    fn numbered(&self, scheduler: &Scheduler) -> Result<Option<Found>, String> {
        let Scheduler { name, index, count, first } = *scheduler;
        let (number, jobs) = match (self.number(index)?, self.number(count)?) {
            (Some(number), Some(jobs)) => (number, jobs),
            // GitLab counts the jobs of a job that is not parallel, too.
            (None, None | Some(1)) => return Ok(None),
            (Some(_), None) => return Err(format!("{index} ({name}) is set, but {count} is not; set it, or {REMEDY}")),
            (None, Some(_)) => return Err(format!("{count} ({name}) is set, but {index} is not; {REMEDY}")),
        };
        let Some(nth) = number.checked_sub(first).filter(|nth| *nth < jobs) else {
            return Err(format!("{index} is {number}, but {name} counts {count}={jobs} jobs from {first}; {REMEDY}"));
        };
        shard(nth + 1, jobs, name, index)
    }

    /// Slurm's array may begin anywhere and have a step; what it is made of must be evenly spaced to be numbered.
    fn slurm(&self) -> Result<Option<Found>, String> {
        let Some(id) = self.number(SLURM_ID)? else { return Ok(None) };
        let (min, max) = (self.number(SLURM_MIN)?, self.number(SLURM_MAX)?);
        let step = self.number(SLURM_STEP)?.unwrap_or(1);
        if step == 0 {
            return Err(format!("{SLURM_STEP} is 0, by which no array is spaced; {REMEDY}"));
        }
        let missing = |name: &str| format!("{SLURM_ID} is set, but {name} is not; {REMEDY}");
        let min = min.ok_or_else(|| missing(SLURM_MIN))?;
        let spaced = max.map(|max| (max.saturating_sub(min) / step).saturating_add(1));
        let count = self.number(SLURM_COUNT)?.or(spaced).ok_or_else(|| missing(SLURM_COUNT))?;
        let uneven = || {
            format!("{SLURM_ID}={id} is no task of an evenly spaced array from {min} of {count} by {step}; {REMEDY}")
        };
        let offset = id.checked_sub(min).filter(|offset| offset.is_multiple_of(step)).ok_or_else(uneven)? / step;
        if offset >= count || spaced.is_some_and(|spaced| spaced != count) {
            return Err(uneven());
        }
        shard(offset + 1, count, SLURM, SLURM_ID)
    }
}

/// A single job is the whole.
fn shard(index: u64, count: u64, scheduler: &'static str, variable: &'static str) -> Result<Option<Found>, String> {
    let shard = Shard::new(index, count).map_err(|error| format!("{variable} ({scheduler}): {error}; {REMEDY}"))?;
    Ok((shard != Shard::WHOLE).then_some(Found { shard, scheduler, variable }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        detect(get).map(|found| found.map(|found| format!("{} {}", found.scheduler, found.shard)))
    }

    #[test]
    fn each_scheduler_counts_in_its_own_way() {
        let cases: [(&[(&str, &str)], &str); 8] = [
            (&[(SLURM_ID, "0"), (SLURM_MIN, "0"), (SLURM_MAX, "3"), (SLURM_COUNT, "4")], "Slurm 1/4"),
            (&[(SLURM_ID, "4"), (SLURM_MIN, "1"), (SLURM_COUNT, "4")], "Slurm 4/4"),
            (
                &[(SLURM_ID, "7"), (SLURM_MIN, "1"), (SLURM_MAX, "7"), (SLURM_STEP, "2"), (SLURM_COUNT, "4")],
                "Slurm 4/4",
            ),
            (&[(SLURM_ID, "5"), (SLURM_MIN, "3"), (SLURM_MAX, "9")], "Slurm 3/7"),
            (&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "8")], "Kubernetes 1/8"),
            (&[("CI_NODE_INDEX", "8"), ("CI_NODE_TOTAL", "8")], "GitLab 8/8"),
            (&[("CIRCLE_NODE_INDEX", "7"), ("CIRCLE_NODE_TOTAL", "8")], "CircleCI 8/8"),
            (&[("BUILDKITE_PARALLEL_JOB", "1"), ("BUILDKITE_PARALLEL_JOB_COUNT", "3")], "Buildkite 2/3"),
        ];
        for (variables, shard) in cases {
            assert_eq!(of(variables), Ok(Some(shard.to_owned())), "{variables:?}");
        }
    }

    #[test]
    fn a_single_job_is_the_whole() {
        let cases: [&[(&str, &str)]; 5] = [
            &[],
            &[("CI_NODE_TOTAL", "1")],
            &[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "1")],
            &[("CI_NODE_INDEX", ""), ("CI_NODE_TOTAL", "")],
            &[(SLURM_ID, "3"), (SLURM_MIN, "3"), (SLURM_MAX, "3"), (SLURM_COUNT, "1")],
        ];
        for variables in cases {
            assert_eq!(of(variables), Ok(None), "{variables:?}");
        }
    }

    #[test]
    fn what_is_incomplete_or_contradicts_itself_is_refused_with_a_remedy() {
        let cases: [(&[(&str, &str)], &str); 13] = [
            (&[("JOB_COMPLETION_INDEX", "0")], "JOB_COMPLETIONS is not"),
            (&[("JOB_COMPLETIONS", "4")], "JOB_COMPLETION_INDEX is not"),
            (&[("CI_NODE_INDEX", "0"), ("CI_NODE_TOTAL", "4")], "from 1"),
            (&[("CI_NODE_INDEX", "5"), ("CI_NODE_TOTAL", "4")], "from 1"),
            (&[("CIRCLE_NODE_INDEX", "4"), ("CIRCLE_NODE_TOTAL", "4")], "from 0"),
            (&[("CIRCLE_NODE_INDEX", "-1"), ("CIRCLE_NODE_TOTAL", "4")], "not a whole number"),
            (&[("BUILDKITE_PARALLEL_JOB", "0"), ("BUILDKITE_PARALLEL_JOB_COUNT", "0")], "=0 jobs"),
            (&[(SLURM_ID, "3"), (SLURM_COUNT, "4")], SLURM_MIN),
            (&[(SLURM_ID, "3"), (SLURM_MIN, "1")], SLURM_COUNT),
            (&[(SLURM_ID, "1"), (SLURM_MIN, "0"), (SLURM_STEP, "0"), (SLURM_COUNT, "4")], "by which no array"),
            (&[(SLURM_ID, "20"), (SLURM_MIN, "1"), (SLURM_MAX, "20"), (SLURM_COUNT, "5")], "evenly spaced"),
            (&[(SLURM_ID, "2"), (SLURM_MIN, "1"), (SLURM_MAX, "7"), (SLURM_STEP, "2")], "evenly spaced"),
            (
                &[
                    ("CI_NODE_INDEX", "1"),
                    ("CI_NODE_TOTAL", "4"),
                    ("BUILDKITE_PARALLEL_JOB", "1"),
                    ("BUILDKITE_PARALLEL_JOB_COUNT", "4"),
                ],
                "says shard 1/4, BUILDKITE_PARALLEL_JOB (Buildkite) says shard 2/4",
            ),
        ];
        for (variables, message) in cases {
            let error = of(variables).unwrap_err();
            assert!(error.contains(message) && error.contains(REMEDY), "{variables:?}: {error}");
        }
    }
}
