//! What the experiment would have reported: an outcome of each user, and the lift that an analyst estimates from them.
//!
//! Owns the model of the outcome, 1 + true lift · (holds an effect) + N(0, 1), and the estimate. The noise is keyed by user
//! alone, so hooks and stretches are compared on the same users. A user counts where the *last* logged variant says, as an
//! analyst has it who joins the outcome to the exposure log; where that is not what the user holds, the estimate is biased.

use crate::seed::{Concern, Draws, normal};

/// The outcomes of all users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcomes {
    true_lift: f64,
    draws: Draws,
}

/// A mean under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Mean {
    fn enter(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The variance of the mean, by the sample's own variance; `None` of fewer than two.
    fn variance(self) -> Option<f64> {
        let (count, mean) = (self.count as f64, self.value()?);
        let of_sample = (self.squares - self.sum * mean).max(0.0) / (count - 1.0);
        (self.count > 1).then(|| of_sample / count)
    }
}

/// What an analyst estimates, beside what is true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lift {
    /// What an effect really adds to the outcome.
    pub planted: f64,
    /// The difference of the groups' means.
    pub estimated: f64,
    /// (estimated - planted) ÷ planted.
    pub bias: f64,
    /// Standard error of the estimate, after Welch; `None` if a group is of one user.
    pub standard_error: Option<f64>,
    /// Users by the last logged variant.
    pub control: u64,
    /// Likewise.
    pub treatment: u64,
}

/// The comparison of the two groups.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    control: Mean,
    treatment: Mean,
}

/// Which group an analyst finds a user in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The last logged variant has no grant.
    Control,
    /// It has one.
    Treatment,
}

impl Outcomes {
    /// The outcomes under this true lift; `None` where it is 0, since nothing can be said in relation to it.
    pub fn new(true_lift: f64, draws: Draws) -> Option<Self> {
        (true_lift != 0.0).then_some(Self { true_lift, draws })
    }

    /// Enters a user.
    pub fn enter(&self, comparison: &mut Comparison, user: u32, group: Group, holds_effect: bool) {
        let noise = normal(self.draws.draw(Concern::Outcome, u64::from(user), 0));
        let outcome = 1.0 + if holds_effect { self.true_lift } else { 0.0 } + noise;
        let mean = match group {
            Group::Control => &mut comparison.control,
            Group::Treatment => &mut comparison.treatment,
        };
        mean.enter(outcome);
    }

    /// The estimate and what it is off by. `None` if a group is empty.
    pub fn lift(&self, comparison: &Comparison) -> Option<Lift> {
        let Comparison { control, treatment } = *comparison;
        let estimated = treatment.value()? - control.value()?;
        let variance = control.variance().zip(treatment.variance()).map(|(one, other)| one + other);
        Some(Lift {
            planted: self.true_lift,
            estimated,
            bias: (estimated - self.true_lift) / self.true_lift,
            standard_error: variance.map(libm::sqrt),
            control: control.count,
            treatment: treatment.count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bias(true_lift: f64, users: impl Iterator<Item = (u32, Group, bool)>) -> Option<f64> {
        lift(true_lift, users).map(|lift| lift.bias)
    }

    fn lift(true_lift: f64, users: impl Iterator<Item = (u32, Group, bool)>) -> Option<Lift> {
        let outcomes = Outcomes::new(true_lift, Draws::new(1))?;
        let mut comparison = Comparison::default();
        users.for_each(|(user, group, holds)| outcomes.enter(&mut comparison, user, group, holds));
        outcomes.lift(&comparison)
    }

    /// The outcomes' standard deviation is one, so with 50,000 in each group the standard error is √(2 ÷ 50,000), to within 1 %.
    #[test]
    fn the_standard_error_is_that_of_two_means() {
        let groups = [Group::Control, Group::Treatment];
        let found = lift(0.5, (0..100_000_u32).map(|user| (user, groups[user as usize % 2], user % 2 == 1))).unwrap();
        let expected = libm::sqrt(2.0 / 50_000.0);
        let standard_error = found.standard_error.unwrap();
        assert!((standard_error / expected - 1.0).abs() < 0.01, "{standard_error} {expected}");
        assert_eq!((found.control, found.treatment), (50_000, 50_000));
        let few = lift(0.5, (0..3).map(|user| (user, groups[user as usize % 2], false))).unwrap();
        assert_eq!((few.standard_error, few.treatment), (None, 1), "one user has no variance");
    }

    /// With 100,000 users the standard error of the estimate is 2 ÷ √100,000 = 0.0063, of the bias at a lift of 0.5 twice that;
    /// five of them are allowed.
    #[test]
    fn who_holds_what_the_log_says_gives_an_unbiased_estimate() {
        let groups = [Group::Control, Group::Treatment];
        let users = (0..100_000_u32).map(|user| (user, groups[user as usize % 2], user % 2 == 1));
        let bias = bias(0.5, users).unwrap();
        assert!(bias.abs() < 0.064, "{bias}");
    }

    /// Half of the treated hold nothing and half of the control do: the two groups do not differ, and the bias is -1.
    #[test]
    fn groups_that_hold_the_same_show_no_lift() {
        let groups = [Group::Control, Group::Treatment];
        let users = (0..100_000_u32).map(|user| (user, groups[user as usize % 2], user % 4 < 2));
        let bias = bias(0.5, users).unwrap();
        assert!((bias + 1.0).abs() < 0.064, "{bias}");
    }

    #[test]
    fn without_a_lift_or_a_group_there_is_no_bias() {
        let both = || [(0, Group::Control, false), (1, Group::Treatment, true)].into_iter();
        assert!(bias(-0.25, both()).is_some());
        assert_eq!(bias(0.0, both()), None);
        assert_eq!(bias(0.1, both().take(1)), None);
        assert_eq!(bias(0.1, both().skip(1)), None);
    }
}
