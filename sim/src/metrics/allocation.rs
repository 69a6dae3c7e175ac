//! Harm, from what the ledger holds and what users saw: one function for every hook.

use hookproof_core::experiment::Experiment;

use crate::outcome::WorstUser;
use crate::scenario::{FaultKind, Quota, Scenario};
use crate::users::{self, User};

/// How many of the worst users are named.
const WORST: usize = 10;

/// The units of each variant's grant, by index, over all versions that a scenario deploys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlements {
    units: Vec<Option<u32>>,
}

impl Entitlements {
    /// The entitlements of a scenario; where versions differ, the first that has the variant counts.
    pub fn new(scenario: &Scenario) -> Self {
        let mut units: Vec<Option<u32>> = Vec::new();
        let mut add = |experiment: &Experiment| {
            for variant in experiment.variants().iter().skip(units.len()) {
                units.push(variant.grant.as_ref().map(|grant| grant.units));
            }
        };
        add(&scenario.experiment);
        for fault in &scenario.faults {
            if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind {
                add(experiment);
            }
        }
        Self { units }
    }

    /// The units a variant entitles to; `None` is a control.
    pub fn of(&self, variant: u8) -> Option<u32> {
        self.units.get(usize::from(variant)).copied().flatten()
    }

    fn largest(&self) -> u32 {
        self.units.iter().flatten().copied().max().unwrap_or(0)
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
    /// See `over-allocation.worst-ratio`.
    pub worst_ratio: f64,
    /// See `over-allocation.worst-cap-ratio`.
    pub worst_cap_ratio: f64,
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
    /// The worst users by held ÷ own cap, worst first.
    pub worst: Vec<WorstUser>,
}

/// Measures all users.
pub fn measure(users: &[User], quota: &Quota, entitlements: &Entitlements) -> Allocation {
    let mut allocation = Allocation::default();
    let mut worst: Vec<(u64, u64, u32)> = Vec::new();
    let common_cap = u64::from(quota.base) + u64::from(entitlements.largest());
    for (user, index) in users.iter().zip(0..) {
        let held = u64::from(quota.base) + u64::from(user.granted_units);
        allocation.worst_cap_ratio = allocation.worst_cap_ratio.max(ratio(held, common_cap));
        let cap = u64::from(quota.base) + u64::from(entitled_units(user, entitlements).unwrap_or(0));
        let asked = held + u64::from(user.refused_units);
        allocation.worst_ratio = allocation.worst_ratio.max(ratio(asked, cap));
        if held > cap {
            allocation.over_users += 1;
            allocation.over_units += held - cap;
            keep_worst(&mut worst, (held, cap, index));
        }
        count(&mut allocation, user, entitlements);
    }
    allocation.worst = worst.into_iter().map(|(held, cap, index)| name_worst(users, held, cap, index)).collect();
    allocation
}

/// The units of the grant that a user is entitled to.
fn entitled_units(user: &User, entitlements: &Entitlements) -> Option<u32> {
    if user.is_exposed() { entitlements.of(user.first_variant) } else { None }
}

fn count(allocation: &mut Allocation, user: &User, entitlements: &Entitlements) {
    let has_effect = user.effects > 0;
    allocation.max_grants = allocation.max_grants.max(user.effects);
    allocation.switched_users += u64::from(user.is(User::SWITCHED));
    if !user.is_exposed() {
        return;
    }
    allocation.exposed += 1;
    if entitled_units(user, entitlements).is_some() {
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

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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
