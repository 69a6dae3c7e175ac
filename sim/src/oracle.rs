//! The named invariants, judged from outside: from what users saw, what was sent and what the ledger holds.
//!
//! Owns the findings, not the facts. An oracle never looks into a hook; it is told what happened at the borders and
//! records what breaks a rule, with the first case as evidence, and goes on.
//!
//! Rules that look at more than one event keep what they need in side tables (`claims`, `budget`), with an entry only for
//! what is under way or in trouble; what waits for the end of a run is in `world/judging`. Each rule has a *reached* partner
//! ([`Rule::partner`]): what a run must have come across for its zero to mean something.
//!
//! `ASSIGN-2` is checked against an independent computation of the specified hash, written here from the specification.

pub mod budget;
pub mod claims;

use std::time::Duration;

use hookproof_core::experiment::{Experiment, HashSpec};
use hookproof_core::time::Instant;
use sha2::{Digest, Sha256};

use crate::metrics::reached::Reached;
use crate::outcome::{Invariant, Violation};
use crate::users;

/// The invariants that are judged from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the invariant of that name; `says` tells it")]
pub enum Rule {
    Assign1,
    Assign2,
    Grant1,
    Grant2,
    Grant3,
    Grant4,
    Grant5,
    Load1,
    Load2,
    Load3,
    Load4,
    Path1,
    Audit1,
    Time1,
}

impl Rule {
    /// All rules, in the order of records.
    pub const ALL: [Self; 14] = [
        Self::Assign1,
        Self::Assign2,
        Self::Grant1,
        Self::Grant2,
        Self::Grant3,
        Self::Grant4,
        Self::Grant5,
        Self::Load1,
        Self::Load2,
        Self::Load3,
        Self::Load4,
        Self::Path1,
        Self::Audit1,
        Self::Time1,
    ];

    /// Its name.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Assign1 => "ASSIGN-1",
            Self::Assign2 => "ASSIGN-2",
            Self::Grant1 => "GRANT-1",
            Self::Grant2 => "GRANT-2",
            Self::Grant3 => "GRANT-3",
            Self::Grant4 => "GRANT-4",
            Self::Grant5 => "GRANT-5",
            Self::Load1 => "LOAD-1",
            Self::Load2 => "LOAD-2",
            Self::Load3 => "LOAD-3",
            Self::Load4 => "LOAD-4",
            Self::Path1 => "PATH-1",
            Self::Audit1 => "AUDIT-1",
            Self::Time1 => "TIME-1",
        }
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Assign1 => "an exposed user never changes variant",
            Self::Assign2 => "a first assignment is the specified hash of the user's id",
            Self::Grant1 => "at most one effect per user",
            Self::Grant2 => "only exposed, treated users are granted",
            Self::Grant3 => "every treated exposure ends delivered, rejected or parked, each for a reason",
            Self::Grant4 => "no request in doubt is sent that could execute after the key's window",
            Self::Grant5 => "only the live claim sends, and no receipt is lost",
            Self::Load1 => "requests in flight stay within the fleet's limit",
            Self::Load2 => "no retry is sent before the retry budget allows it",
            Self::Load3 => "once the last trigger ends, goodput returns within the stated time",
            Self::Load4 => "rows written stay within a fixed multiple of attempts and grants",
            Self::Path1 => "no visit waits for the quota service",
            Self::Audit1 => "the books agree with the ledger, with what was shown and with what was sent",
            Self::Time1 => "nothing depends on the wall clock of an instance",
        }
    }

    /// What a run must have come across for a zero to mean something; `None` where the check itself is that.
    pub const fn partner(self) -> Option<Reached> {
        match self {
            Self::Load2 | Self::Load3 => None,
            Self::Assign1 | Self::Grant2 => Some(Reached::Provisional),
            Self::Assign2 => Some(Reached::RecordedElsewhere),
            Self::Grant1 => Some(Reached::SendsInDoubt),
            Self::Grant4 => Some(Reached::WindowedSends),
            Self::Grant3 | Self::Grant5 => Some(Reached::Takeovers),
            Self::Load1 => Some(Reached::SendsAtLimit),
            Self::Load4 => Some(Reached::RetriesPutOff),
            Self::Path1 => Some(Reached::VisitsDuringCalls),
            Self::Audit1 => Some(Reached::AbandonedCalls),
            Self::Time1 => Some(Reached::WallClockChanges),
        }
    }
}

/// All findings of a run.
#[derive(Clone, Debug)]
pub struct Oracles {
    findings: [Invariant; Rule::ALL.len()],
}

impl Default for Oracles {
    fn default() -> Self {
        let finding = |rule: Rule| Invariant {
            id: rule.id(),
            says: rule.says(),
            checked: 0,
            violations: 0,
            inconclusive: 0,
            first: None,
        };
        Self { findings: Rule::ALL.map(finding) }
    }
}

impl Oracles {
    /// Enters one check; `evidence` is asked for only at the first violation.
    #[inline]
    pub fn check(
        &mut self,
        rule: Rule,
        at: Instant,
        user: Option<u32>,
        holds: bool,
        evidence: impl FnOnce() -> String,
    ) {
        self.findings[rule as usize].checked += 1;
        if !holds {
            self.violated(rule, at, user, evidence);
        }
    }

    #[cold]
    fn violated(&mut self, rule: Rule, at: Instant, user: Option<u32>, evidence: impl FnOnce() -> String) {
        let finding = &mut self.findings[rule as usize];
        finding.violations += 1;
        finding.first.get_or_insert_with(|| Violation {
            at: at.since(Instant::ORIGIN),
            user: user.map(users::name),
            evidence: evidence(),
        });
    }

    /// Enters checks that nothing can be said about, and why.
    pub fn undecided(&mut self, rule: Rule, count: u64, why: String) {
        let finding = &mut self.findings[rule as usize];
        finding.checked += count;
        finding.inconclusive += count;
        finding.first.get_or_insert(Violation { at: Duration::ZERO, user: None, evidence: why });
    }

    /// The findings, in a fixed order.
    pub fn findings(self) -> Vec<Invariant> {
        self.findings.into()
    }
}

/// The specified assignment, written a second time: H(0x01 ‖ frame(salt) ‖ id), the first 8 bytes as a number r, and the
/// first variant whose cumulative weight exceeds (r · W) ≫ 64.
pub fn specified_variant(experiment: &Experiment, user: u32) -> u8 {
    let mut id = users::NameBuffer::default();
    specified_variant_of(experiment, id.render(user))
}

/// The same for a user's id as it is.
pub fn specified_variant_of(experiment: &Experiment, id: &[u8]) -> u8 {
    let salt = experiment.salt().as_bytes();
    let frame = [1, u8::try_from(salt.len()).expect("a salt has at most 255 bytes")];
    let message = [&frame, salt, id];
    let digest = match &experiment.spec().hash {
        HashSpec::Sha256V1 => sha256(message),
        HashSpec::HmacSha256V1 { secret } => hmac_sha256(secret, message),
    };
    let word = digest.iter().take(8).fold(0u128, |word, byte| word << 8 | u128::from(*byte));
    let total: u128 = experiment.variants().iter().map(|variant| u128::from(variant.weight)).sum();
    let point = (word * total) >> 64;
    let mut cumulative = 0;
    let position = experiment.variants().iter().position(|variant| {
        cumulative += u128::from(variant.weight);
        cumulative > point
    });
    position.and_then(|position| u8::try_from(position).ok()).expect("the point lies below the total weight")
}

fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> sha2::digest::Output<Sha256> {
    parts.into_iter().fold(Sha256::new(), Digest::chain_update).finalize()
}

/// HMAC (RFC 2104) from its definition.
fn hmac_sha256(secret: &[u8], message: [&[u8]; 3]) -> sha2::digest::Output<Sha256> {
    let mut key = [0; 64];
    if secret.len() > key.len() {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let (inner, outer) = (key.map(|byte| byte ^ 0x36), key.map(|byte| byte ^ 0x5c));
    let inner_digest = sha256([inner.as_slice()].into_iter().chain(message));
    sha256([outer.as_slice(), &inner_digest])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hookproof_core::assignment::UserId;
    use hookproof_core::experiment::{Exposed, GrantSpec, Phase, Spec, VariantSpec};

    use super::*;

    #[test]
    fn the_second_implementation_agrees_with_the_core() {
        let variant = |name: &str, weight, grant| VariantSpec { name: name.into(), weight, grant };
        let grant = Some(GrantSpec { units: 25, effect: "quota-increase".into() });
        for hash in [
            HashSpec::Sha256V1,
            HashSpec::HmacSha256V1 { secret: b"short".to_vec() },
            HashSpec::HmacSha256V1 { secret: vec![7; 131] },
        ] {
            let experiment = Experiment::new(Spec {
                id: "exp".into(),
                namespace: "sim".into(),
                lineage: None,
                version: "1".into(),
                hash,
                salt: None,
                coverage_ppm: 1_000_000,
                variants: vec![variant("a", 3, None), variant("b", 0, None), variant("c", 4, grant.clone())],
                generation: 0,
                exposed: Exposed::Keep,
                phase: Phase::Running,
                operations: BTreeSet::new(),
            })
            .unwrap();
            for user in 0..2_000 {
                let id = users::name(user);
                let assignment = experiment.assign(UserId::new(id.as_bytes()).unwrap());
                assert_eq!(assignment.variant.index(), usize::from(specified_variant(&experiment, user)));
            }
        }
    }
}
