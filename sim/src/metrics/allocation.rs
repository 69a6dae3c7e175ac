//! Harm, from what the ledger holds and what users saw: one function for every hook.

use hookproof_core::experiment::Experiment;
use hookproof_core::time::Instant;

use super::lift::{Comparison, Group, Lift, Outcomes};
use super::srm::{Arm, Arms};
use crate::outcome::WorstUser;
use crate::scenario::Quota;
use crate::users::{self, User};

/// How many of the worst users are named.
const WORST: usize = 10;

/// The units of each variant's grant, by version and index. Version 0 is the scenario's, the others its roll-outs' in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Entitlements {
    versions: Vec<Vec<Option<u32>>>,
    arms: Arms,
}

impl Entitlements {
    /// The entitlements under each of these versions.
    pub fn new<'e>(versions: impl IntoIterator<Item = &'e Experiment, IntoIter: Clone>) -> Self {
        let units = |experiment: &Experiment| {
            experiment.variants().iter().map(|variant| variant.grant.as_ref().map(|grant| grant.units)).collect()
        };
        let versions = versions.into_iter();
        Self { arms: Arms::new(versions.clone()), versions: versions.map(units).collect() }
    }

    /// The units a variant of a version entitles to; `None` is a control.
    pub fn of(&self, version: u8, variant: u8) -> Option<u32> {
        self.versions.get(usize::from(version))?.get(usize::from(variant)).copied().flatten()
    }

    /// The units that a user is entitled to, by the version of the first exposure.
    pub fn of_user(&self, user: &User) -> Option<u32> {
        if user.is_exposed() { self.of(user.first_version, user.first_variant) } else { None }
    }

    /// The p-value of the sequential test of the declared shares, looked at after each first exposure.
    pub fn sequential_p_value(&self, users: &[User]) -> f64 {
        let mut exposed: Vec<(Instant, u32)> = Vec::new();
        let numbered = users.iter().zip(0..).filter(|(user, _)| user.is_exposed());
        exposed.extend(numbered.map(|(user, index)| (user.first_exposed_at, index)));
        exposed.sort_unstable();
        let mut sequence = self.arms.sequence();
        for (_, index) in exposed {
            let user = &users[index as usize];
            sequence.observe(user.first_version, user.first_variant);
        }
        sequence.p_value()
    }

    fn largest(&self) -> u32 {
        self.versions.iter().flatten().flatten().copied().max().unwrap_or(0)
    }
}

/// The state of all users at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// Users with an exposure record.
    pub exposed: u64,
    /// Users whose first exposure was a treatment.
    pub entitled: u64,
    /// Entitled users with a request or an effect.
    pub entitled_called: u64,
    /// See `over-allocation.worst-ratio`; infinite if somebody holds something whose own cap is 0.
    pub worst_ratio: Option<f64>,
    /// See `over-allocation.worst-cap-ratio`.
    pub worst_cap_ratio: Option<f64>,
    /// See `over-allocation.users`.
    pub over_users: u64,
    /// See `over-allocation.units`.
    pub over_units: u64,
    /// See `over-allocation.max-grants`.
    pub max_grants: u16,
    /// See `under-allocation.users`.
    pub under_users: u64,
    /// See `undelivered.users`.
    pub undelivered_users: u64,
    /// See `wrong-allocation.users`.
    pub wrong_users: u64,
    /// See `group-switching.users`.
    pub switched_users: u64,
    /// Users in both groups, or control-first with an effect.
    pub contaminated_users: u64,
    /// See `experiment.srm-p`.
    pub srm_p: Option<f64>,
    /// The exact test, where few users are expected in an arm.
    pub srm_exact_p: Option<f64>,
    /// Users by the variant of the first exposure.
    pub arms: Vec<Arm>,
    /// What an analyst estimates; see `experiment.lift-bias`.
    pub lift: Option<Lift>,
    /// The worst users by held ÷ own cap, worst first.
    pub worst: Vec<WorstUser>,
}

/// What users are held against.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick<'y> {
    /// `[quota]`.
    pub quota: &'y Quota,
    /// Who is entitled to what.
    pub entitlements: &'y Entitlements,
    /// The outcomes of the experiment, if it has a true lift.
    pub outcomes: Option<&'y Outcomes>,
}

/// Measures all users.
pub fn measure(users: &[User], yardstick: Yardstick<'_>) -> Allocation {
    let Yardstick { quota, entitlements, outcomes } = yardstick;
    let mut allocation = Allocation::default();
    let mut worst: Vec<(u64, u64, u32)> = Vec::new();
    let (mut exposures, mut comparison) = (entitlements.arms.no_exposures(), Comparison::default());
    let common_cap = u64::from(quota.base) + u64::from(entitlements.largest());
    for (user, index) in users.iter().zip(0..) {
        let held = u64::from(quota.base) + u64::from(user.granted_units);
        keep_largest(&mut allocation.worst_cap_ratio, ratio(held, common_cap));
        let cap = u64::from(quota.base) + u64::from(entitlements.of_user(user).unwrap_or(0));
        let asked = held + u64::from(user.refused_units);
        keep_largest(&mut allocation.worst_ratio, ratio(asked, cap));
        if held > cap {
            allocation.over_users += 1;
            allocation.over_units += held - cap;
            keep_worst(&mut worst, (held, cap, index));
        }
        count(&mut allocation, user, entitlements);
        if user.is_exposed() {
            exposures.count(user.first_version, user.first_variant);
            if let Some(outcomes) = outcomes {
                let group = if user.is(User::LOGGED_TREATMENT) { Group::Treatment } else { Group::Control };
                outcomes.enter(&mut comparison, index, group, user.effects > 0);
            }
        }
    }
    allocation.srm_p = entitlements.arms.p_value(&exposures);
    allocation.srm_exact_p = entitlements.arms.exact_p_value(&exposures);
    allocation.arms = entitlements.arms.met(&exposures);
    allocation.lift = outcomes.and_then(|outcomes| outcomes.lift(&comparison));
    allocation.worst = worst.into_iter().map(|(held, cap, index)| name_worst(users, held, cap, index)).collect();
    allocation
}

fn count(allocation: &mut Allocation, user: &User, entitlements: &Entitlements) {
    let has_effect = user.effects > 0;
    allocation.max_grants = allocation.max_grants.max(user.effects);
    allocation.switched_users += u64::from(user.is(User::SWITCHED));
    if !user.is_exposed() {
        return;
    }
    allocation.exposed += 1;
    if entitlements.of_user(user).is_some() {
        allocation.entitled += 1;
        allocation.entitled_called += u64::from(has_effect || user.is(User::CALLED));
        allocation.undelivered_users += u64::from(!has_effect);
        allocation.under_users += u64::from(!has_effect && !user.is(User::CLOSED));
        allocation.contaminated_users += u64::from(user.is(User::SWITCHED));
    } else {
        allocation.wrong_users += u64::from(has_effect);
        allocation.contaminated_users += u64::from(has_effect || user.is(User::SWITCHED));
    }
}

/// Held ÷ cap. Whoever may hold nothing and does has infinitely too much; nothing of nothing is no ratio.
fn ratio(held: u64, cap: u64) -> Option<f64> {
    match (held, cap) {
        (0, 0) => None,
        (_, 0) => Some(f64::INFINITY),
        (held, cap) => Some(held as f64 / cap as f64),
    }
}

fn keep_largest(largest: &mut Option<f64>, candidate: Option<f64>) {
    if let Some(candidate) = candidate {
        *largest = Some(largest.map_or(candidate, |largest| largest.max(candidate)));
    }
}

/// Keeps the worst by ratio; of equal ones the lower number.
fn keep_worst(worst: &mut Vec<(u64, u64, u32)>, candidate: (u64, u64, u32)) {
    let is_worse = |a: &(u64, u64, u32), b: &(u64, u64, u32)| {
        u128::from(a.0) * u128::from(b.1) > u128::from(b.0) * u128::from(a.1)
    };
    let position = worst.partition_point(|other| !is_worse(&candidate, other));
    if position < WORST {
        worst.insert(position, candidate);
        worst.truncate(WORST);
    }
}

fn name_worst(users: &[User], held: u64, intended: u64, index: u32) -> WorstUser {
    let effects = u32::from(users[index as usize].effects);
    WorstUser { user: users::name(index), effects, held, intended }
}
