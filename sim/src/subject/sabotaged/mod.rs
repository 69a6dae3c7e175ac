//! The hardened hook, broken on purpose.
//!
//! Owns a border around the real hook: what goes in and what comes out passes it, and one thing is bent on the way. The hook
//! itself is the shipped one; where a protection or a setting says it all, the border is empty. What is bent is listed in
//! [`crate::sabotage`]; `inward` bends what the process is told, `outward` what it asks for.
//!
//! It knows no oracle. Chance enters with the process (`seed`) and nowhere else.

mod inward;
mod outward;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookproof_core::assignment::{Frame, Hasher, UserId};
use hookproof_core::experiment::{Experiment, HashSpec, VariantIndex};
use hookproof_core::hook::HookConfig;
use hookproof_core::identity::GrantId;
use hookproof_core::protection::Protection;
use hookproof_core::upstream::{Answer, Ask, Capability, NotSent};

use super::{Call, Clocks, Hardened, Input, Output};
use crate::network::Patience;
use crate::sabotage::Sabotage;
use crate::users::NameBuffer;

/// The first token of the border's own requests; they go down from here, and the hook's own up from zero.
const OWN_TOKENS: u64 = u64::MAX;
/// What the border waits for its own requests.
const PATIENCE: Patience = Patience::Total { connect: Duration::from_secs(1), attempt: Duration::from_secs(5) };
/// A lease that no run outlasts.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

/// One process.
#[derive(Clone, Debug)]
pub struct Sabotaged {
    sabotage: Sabotage,
    hook: Hardened,
    hasher: Hasher,
    /// What a hasher of this process is seeded with.
    seed: u64,
    /// The tokens of the border's own requests, with the visit that waits for each.
    own: BTreeMap<u64, Option<Input>>,
    own_count: u64,
    /// Whose visit it is.
    visits: BTreeMap<u64, u32>,
    /// Users that the border has met: asked for, recorded, failed or mismatched, whatever its sabotage is about.
    met: BTreeSet<u32>,
    /// The hook's requests under way, by token, with whose they are.
    under_way: BTreeMap<u64, u32>,
    receipts: u64,
    /// Answers that wait for the quota service.
    withheld: Vec<Output>,
    /// Answers that the border makes up.
    made_up: Vec<Input>,
    tokens: u32,
    tokens_max: u32,
}

impl Sabotaged {
    /// A process around `hook`, which was made with settings that went through [`configure`].
    pub fn new(sabotage: Sabotage, hook: Hardened, retry_budget: u32, seed: u64) -> Self {
        let hasher = hasher(hook.lineage().current());
        Self {
            sabotage,
            hook,
            hasher,
            seed,
            own: BTreeMap::new(),
            own_count: 0,
            visits: BTreeMap::new(),
            met: BTreeSet::new(),
            under_way: BTreeMap::new(),
            receipts: 0,
            withheld: Vec::new(),
            made_up: Vec::new(),
            tokens: retry_budget,
            tokens_max: retry_budget,
        }
    }

    /// Takes one input and appends what it asks for.
    pub(super) fn handle(&mut self, clocks: Clocks, input: Input, outputs: &mut Vec<Output>) {
        let mut asked = Vec::new();
        let mut next = self.inward(clocks, input, outputs);
        while let Some(input) = next {
            let visit = if let Input::Visit { visit, .. } = input { Some(visit) } else { None };
            self.hook.handle(clocks.mono, input, &mut asked);
            if let Some(visit) = visit.filter(|_| self.is(Sabotage::AcknowledgesBeforeDurable)) {
                self.acknowledge(visit, &asked, outputs);
            }
            for output in asked.drain(..) {
                self.outward(output, outputs);
            }
            next = self.made_up.pop();
        }
        if self.under_way.is_empty() {
            outputs.append(&mut self.withheld);
        }
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }

    fn experiment(&self) -> &Experiment {
        self.hook.lineage().current()
    }

    /// What the running version would assign.
    fn candidate(&self, user: u32) -> Option<VariantIndex> {
        let mut name = NameBuffer::default();
        let assignment = self.experiment().assign(id(name.render(user)));
        assignment.enrolled.then_some(assignment.variant)
    }

    /// The grant of a user who has `variant`, as the running version makes it.
    fn grant(&self, user: u32, variant: VariantIndex) -> Option<(GrantId, u32)> {
        let grant = self.experiment().variants()[variant.index()].grant.as_ref()?;
        let effect = Frame::new(&grant.effect).expect("its length was checked when the experiment was made");
        let mut name = NameBuffer::default();
        Some((self.hasher.grant_id(effect, id(name.render(user))), grant.units))
    }

    /// A request of the border's own for a treatment's grant, once a user.
    fn ask_for(&mut self, user: u32, variant: VariantIndex, waits: Option<Input>) -> Option<Output> {
        let (id, units) = self.grant(user, variant)?;
        if !self.met.insert(user) {
            return None;
        }
        let call =
            Call { token: 0, ask: Ask::Apply, user, units, key: Some(*id.as_bytes()), patience: PATIENCE, visit: None };
        Some(self.own_call(call, waits))
    }

    fn own_call(&mut self, call: Call, waits: Option<Input>) -> Output {
        let token = OWN_TOKENS - self.own_count;
        self.own_count += 1;
        self.own.insert(token, waits);
        Output::Call(Call { token, ..call })
    }

    /// Tells the hook that a request which was not sent could not be.
    fn refuse(&mut self, token: u64) {
        self.make_up(token, Answer::NotSent(NotSent::Refused));
    }

    fn make_up(&mut self, token: u64, answer: Answer) {
        self.made_up.push(Input::Answered { token, answer, draw: self.seed });
    }
}

fn id(name: &[u8]) -> UserId<'_> {
    UserId::new(name).expect("names of simulated users are ids")
}

/// The experiment's hashes.
fn hasher(experiment: &Experiment) -> Hasher {
    let frame = |text| Frame::new(text).expect("its length was checked when the experiment was made");
    let (salt, lineage) = (frame(experiment.salt()), frame(experiment.framed_lineage()));
    match &experiment.spec().hash {
        HashSpec::Sha256V1 => Hasher::sha256_v1(salt, lineage),
        HashSpec::HmacSha256V1 { secret } => {
            Hasher::hmac_sha256_v1(secret, salt, lineage).expect("an experiment's secret is not empty")
        }
    }
}

/// The settings of a hook that is broken by them; any other keeps its own.
pub fn configure(sabotage: Sabotage, instances: u16, config: &mut HookConfig) {
    let removed = match sabotage {
        Sabotage::KeyPerAttempt => Some(Protection::StableKey),
        Sabotage::NoVersionAgreement => Some(Protection::VersionAgreement),
        Sabotage::NoWindowGuard => Some(Protection::WindowGuard),
        Sabotage::NoAdaptiveLimit => Some(Protection::AdaptiveLimit),
        // The border has a budget of its own.
        Sabotage::NoRetryBudget | Sabotage::BudgetWithoutFloor => Some(Protection::RetryBudget),
        Sabotage::NoBreaker => Some(Protection::Breaker),
        Sabotage::NoJitter => Some(Protection::Jitter),
        Sabotage::WindowWithoutLifetime => return believe_no_lifetime(config),
        Sabotage::AbsentTooEarly => {
            believe_no_lifetime(config);
            if let Capability::ReadBack { lag } = &mut config.delivery.upstream.capability {
                *lag = Duration::ZERO;
            }
            return;
        }
        Sabotage::LimitPerInstance => {
            let fleet = &mut config.delivery.fleet;
            fleet.initial_in_flight = fleet.initial_in_flight.saturating_mul(instances);
            fleet.max_in_flight = fleet.max_in_flight.saturating_mul(instances);
            return;
        }
        Sabotage::NoEffectCap => {
            config.delivery.fleet.effects_per_minute = u32::MAX;
            return;
        }
        Sabotage::LeaseWithoutEnd => {
            config.delivery.lease = FOR_EVER;
            return;
        }
        Sabotage::KeyPerVersion
        | Sabotage::VersionInGrantId
        | Sabotage::NewKeyAfterMismatch
        | Sabotage::BodyOfTheDay
        | Sabotage::HasherOfTheProcess
        | Sabotage::OneHashForBoth
        | Sabotage::TreatsEveryone
        | Sabotage::ShowsCandidate
        | Sabotage::AcknowledgesBeforeDurable
        | Sabotage::SendsBeforeDurable
        | Sabotage::ExposesAfterEffect
        | Sabotage::ProvisionalIsExposure
        | Sabotage::GrantsProvisionally
        | Sabotage::ExposesEveryVisit
        | Sabotage::ExposesWithoutGranting
        | Sabotage::GrantsControls
        | Sabotage::LeaseByWallClock
        | Sabotage::LeaseTooShort
        | Sabotage::LosesReceipts
        | Sabotage::ForgetsAfterRestart
        | Sabotage::TimeoutIsUnsent
        | Sabotage::TimeoutIsReceipt
        | Sabotage::ConflictIsReceipt
        | Sabotage::UnprovenIsReceipt
        | Sabotage::UnauthorisedIsRejection
        | Sabotage::RefusalIsTransient
        | Sabotage::GivesUpAtOnce
        | Sabotage::ParksEverything
        | Sabotage::ParksInDoubt
        | Sabotage::ParksAfterFailover
        | Sabotage::ReadsInsteadOfSending
        | Sabotage::SendsTwice
        | Sabotage::WaitsForUpstream
        | Sabotage::OutageIsPause
        | Sabotage::BreakerCountsThrottles
        | Sabotage::BreakerCountsKeptErrors
        | Sabotage::IgnoresRetryAfter => None,
    };
    if let Some(protection) = removed {
        config.delivery.protections = config.delivery.protections.without(protection);
    }
}

fn believe_no_lifetime(config: &mut HookConfig) {
    config.delivery.upstream.request_lifetime = Duration::ZERO;
}
