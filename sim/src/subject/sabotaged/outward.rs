//! What a broken hook asks for otherwise than it meant to.

use std::time::Duration;

use hookproof_core::assignment::Weights;
use hookproof_core::classify::{Doubt, ParkReason};
use hookproof_core::experiment::VariantIndex;
use hookproof_core::identity::GrantId;
use hookproof_core::store::{Admit, Command, Fence, GrantIntent, Settle, Settlement};
use hookproof_core::upstream::{Answer, Ask, Body};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::super::{Call, Output, Shown};
use super::inward::SHORT_LEASE;
use super::{Sabotaged, id};
use crate::sabotage::Sabotage;
use crate::users::NameBuffer;

/// What a retry costs a budget that only success refills, and what success returns.
const RETRY_COST: u32 = 14;
/// How soon a row is looked at again for which the bucket has nothing.
const SPIN: Duration = Duration::from_millis(100);

impl Sabotaged {
    /// Passes on what the hook asks for, bent.
    pub(super) fn outward(&mut self, output: Output, outputs: &mut Vec<Output>) {
        match output {
            Output::Answer { visit, answer } => self.on_answer(visit, answer, outputs),
            Output::Call(call) => self.on_call(call, outputs),
            Output::Store(mut commit) => {
                for command in &mut commit.commands {
                    self.on_command(command);
                }
                outputs.push(Output::Store(commit));
            }
            Output::Expose { .. } | Output::SetTimer { .. } | Output::Log(_) | Output::Audit(_) => outputs.push(output),
        }
    }

    /// Answers a visit that the hook has just begun, unless it has answered it itself.
    pub(super) fn acknowledge(&self, visit: u64, asked: &[Output], outputs: &mut Vec<Output>) {
        let is_answered = |output: &Output| matches!(output, Output::Answer { visit: of, .. } if *of == visit);
        let candidate = self.visits.get(&visit).and_then(|user| self.candidate(*user));
        if let Some(variant) = candidate.filter(|_| !asked.iter().any(is_answered)) {
            outputs.push(Output::Answer { visit, answer: Shown::Variant(variant) });
        }
    }

    fn on_answer(&mut self, visit: u64, answer: Shown, outputs: &mut Vec<Output>) {
        let user = self.visits.remove(&visit);
        let candidate = user.and_then(|user| self.candidate(user));
        let answer = match (self.sabotage, answer, candidate) {
            (Sabotage::ProvisionalIsExposure, Shown::Provisional(variant), _) => Shown::Variant(variant),
            (Sabotage::ShowsCandidate, Shown::Variant(_), Some(candidate)) => Shown::Variant(candidate),
            (_, answer, _) => answer,
        };
        match (answer, user) {
            (Shown::Variant(variant), Some(user)) if self.is(Sabotage::ExposesEveryVisit) => {
                outputs.push(Output::Expose { user, variant });
            }
            (Shown::Provisional(variant), Some(user)) if self.is(Sabotage::GrantsProvisionally) => {
                let call = self.ask_for(user, variant, None);
                outputs.extend(call);
            }
            _ => {}
        }
        let output = Output::Answer { visit, answer };
        if self.is(Sabotage::WaitsForUpstream) && !self.under_way.is_empty() {
            self.withheld.push(output);
        } else {
            outputs.push(output);
        }
    }

    fn on_call(&mut self, call: Call, outputs: &mut Vec<Output>) {
        let is_lost = self.is(Sabotage::ParksAfterFailover) && self.met.contains(&call.user);
        if is_lost || self.is(Sabotage::ParksEverything) {
            let mismatch = Answer::Status { code: 422, body: Body::WellFormed, retry_after: None };
            return self.make_up(call.token, mismatch);
        }
        let is_retry = self.met.contains(&call.user);
        if self.is(Sabotage::BudgetWithoutFloor) && is_retry {
            let Some(rest) = self.tokens.checked_sub(RETRY_COST) else { return self.refuse(call.token) };
            self.tokens = rest;
        }
        let call = self.bent(call);
        self.under_way.insert(call.token, call.user);
        outputs.push(Output::Call(call));
        if self.is(Sabotage::SendsTwice) {
            let again = self.own_call(call, None);
            outputs.push(again);
        }
    }

    fn bent(&self, mut call: Call) -> Call {
        if self.is(Sabotage::ReadsInsteadOfSending) {
            call.ask = Ask::Read;
        }
        if self.is(Sabotage::BodyOfTheDay) || self.is(Sabotage::NewKeyAfterMismatch) {
            call.units = self.experiment().largest_grant();
        }
        let salt = if self.is(Sabotage::KeyPerVersion) {
            Some(self.version())
        } else if self.is(Sabotage::NewKeyAfterMismatch) && self.met.contains(&call.user) {
            Some([0x5a; 16])
        } else {
            None
        };
        if let (Some(key), Some(salt)) = (&mut call.key, salt) {
            *key = mixed(*key, salt);
        }
        call
    }

    /// Stands for the running version by its label.
    fn version(&self) -> [u8; 16] {
        xxh3_128(self.experiment().version().as_bytes()).to_le_bytes()
    }

    fn on_command(&mut self, command: &mut Command) {
        match command {
            Command::Open(_) | Command::Find(_) | Command::Resolve(_) => {}
            Command::Admit(admit) => self.on_admit(admit),
            Command::Claim(claim) => {
                if self.is(Sabotage::LeaseTooShort) {
                    claim.lease = SHORT_LEASE;
                }
            }
            Command::Settle(settle) => self.on_settle(settle),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other hooks leave admissions as they are")]
    fn on_admit(&mut self, admit: &mut Admit) {
        let Ok(user) = u32::try_from(admit.user.0) else { return };
        match self.sabotage {
            Sabotage::HasherOfTheProcess => {
                let word = xxh3_64_with_seed(&user.to_le_bytes(), self.seed);
                self.assign(admit, user, self.picked(word));
            }
            Sabotage::OneHashForBoth => {
                let mut name = NameBuffer::default();
                let word = self.hasher.enrolment_word(id(name.render(user)));
                self.assign(admit, user, self.picked(word));
            }
            Sabotage::TreatsEveryone => self.assign(admit, user, self.treatment()),
            Sabotage::ExposesWithoutGranting => admit.grant = None,
            Sabotage::GrantsControls => {
                let grant = self.grant(user, self.treatment());
                admit.grant = grant.map(|(id, units)| GrantIntent { id, units });
            }
            Sabotage::VersionInGrantId => {
                if let Some(intent) = &mut admit.grant {
                    intent.id = GrantId::from_bytes(mixed(*intent.id.as_bytes(), self.version()));
                }
            }
            Sabotage::ForgetsAfterRestart => {
                self.met.insert(user);
            }
            _ => {}
        }
    }

    fn assign(&self, admit: &mut Admit, user: u32, variant: VariantIndex) {
        admit.variant = variant;
        admit.grant = self.grant(user, variant).map(|(id, units)| GrantIntent { id, units });
    }

    fn picked(&self, word: u64) -> VariantIndex {
        let weights = self.experiment().variants().iter().map(|variant| variant.weight);
        let index = Weights::new(weights).map_or(0, |weights| weights.pick(word));
        VariantIndex::new(u8::try_from(index).expect("an experiment has at most 255 variants"))
    }

    fn treatment(&self) -> VariantIndex {
        let index = self.experiment().variants().iter().position(|variant| variant.grant.is_some());
        VariantIndex::new(index.and_then(|index| u8::try_from(index).ok()).unwrap_or(0))
    }

    fn on_settle(&mut self, settle: &mut Settle) {
        let Ok(user) = u32::try_from(settle.user.0) else { return };
        let is_receipt = settle.settlement == Settlement::Delivered;
        self.receipts += u64::from(is_receipt);
        match (self.sabotage, settle.settlement) {
            (Sabotage::LosesReceipts, Settlement::Delivered) if self.receipts.is_multiple_of(2) => {
                settle.fence = Fence { claim: 0, ..settle.fence };
                settle.settlement = Settlement::Released { after: Duration::ZERO };
            }
            (Sabotage::ParksInDoubt, Settlement::Again { doubt: Doubt::InDoubt, .. }) => {
                settle.settlement = Settlement::Parked { reason: ParkReason::NotRepeatable, answer: None };
            }
            (Sabotage::GivesUpAtOnce, Settlement::Again { .. } | Settlement::Unsent { .. }) => {
                settle.settlement = Settlement::Rejected;
            }
            (Sabotage::BudgetWithoutFloor, Settlement::Delivered) => {
                self.tokens = self.tokens.saturating_add(1).min(self.tokens_max);
            }
            (Sabotage::BudgetWithoutFloor, Settlement::Again { .. } | Settlement::Unsent { .. }) => {
                self.met.insert(user);
                if let (true, Settlement::Unsent { after }) = (self.tokens < RETRY_COST, &mut settle.settlement) {
                    *after = SPIN;
                }
            }
            _ => {}
        }
    }
}

/// A key that differs from `key` by `salt`.
fn mixed(mut key: [u8; 16], salt: [u8; 16]) -> [u8; 16] {
    for (byte, salt) in key.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    key
}
