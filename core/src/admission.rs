//! The request path: one visit in, one answer out, and never a word to the upstream.
//!
//! Owns the decision what a visit is answered. It computes a candidate assignment; the *stored first* one is the
//! authority, so an answer with a record behind it waits for the store, and only for the store.
//!
//! * `ASSIGN-1`: what is shown with a record is what the store recorded first; what is shown without one contradicts no
//!   exposure under any version that may be live.
//! * `ASSIGN-2`: the candidate depends on mode, salt or secret, weights and id only.
//! * `GRANT-2`: the grant is part of the command that records the exposure.
//! * `PATH-1`: no input of the upstream reaches this machine.

use crate::assignment::{InvalidUserId, UserId};
use crate::experiment::{Assignment, VariantIndex};
use crate::identity::UserHandle;
use crate::lineage::Lineage;
use crate::protection::{Protection, Protections};
use crate::store::{Admit, Admitted, Command, First, GrantIntent, GrantState, VersionId};

/// Names a visit; the caller's choice, opaque here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VisitToken(pub u64);

/// What a visit is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisitAnswer {
    /// The recorded assignment: an exposure.
    Recorded {
        /// The recorded variant.
        variant: VariantIndex,
        /// Whether this visit made the record.
        first: First,
        /// The state of the user's grant, if there is one.
        grant: Option<GrantState>,
    },
    /// The user is outside the experiment's coverage and meets the baseline: no exposure.
    NotEnrolled {
        /// The baseline.
        variant: VariantIndex,
    },
    /// The user was exposed in an earlier generation, whose users the experiment blocks: no exposure.
    Blocked {
        /// The baseline.
        variant: VariantIndex,
    },
    /// The store could not record it: it is no exposure, and nothing is granted.
    Provisional {
        /// The user's variant if every version that may be live agrees on it, else the baseline.
        variant: VariantIndex,
    },
    /// The id cannot be assigned.
    Invalid(InvalidUserId),
}

/// What a visit needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Nothing more.
    Answer(VisitAnswer),
    /// A record.
    Store {
        /// The command that makes or finds it.
        command: Command,
        /// What is shown if the store cannot.
        provisional: VariantIndex,
    },
}

/// The machine. It holds no visit: what an answer needs travels with the command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admission {
    lineage: Lineage,
    protections: Protections,
    /// No process has ever run a version that is not known here.
    knows_all: bool,
}

impl Admission {
    /// Admits visits to the current version of `lineage`.
    pub const fn new(lineage: Lineage, protections: Protections) -> Self {
        Self { lineage, protections, knows_all: false }
    }

    /// The versions it knows.
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The store says which versions were ever opened.
    pub fn on_versions(&mut self, versions: &[VersionId]) {
        self.knows_all = self.lineage.knows(versions);
    }

    /// Another version was opened, and it is not yet known which.
    pub fn on_another_version(&mut self) {
        self.knows_all = false;
    }

    /// Decides what a visit of the user with the id `user_id` needs.
    pub fn on_visit(&self, user: UserHandle, user_id: &[u8]) -> Decision {
        let id = match UserId::new(user_id) {
            Ok(id) => id,
            Err(error) => return Decision::Answer(VisitAnswer::Invalid(error)),
        };
        let experiment = self.lineage.current();
        let baseline = experiment.baseline();
        let assignment = experiment.assign(id);
        if !assignment.enrolled {
            if self.knows_all && !self.lineage.may_be_exposed_elsewhere(id) {
                return Decision::Answer(VisitAnswer::NotEnrolled { variant: baseline });
            }
            return Decision::Store { command: Command::Find(user), provisional: baseline };
        }
        let (variant, generation) = (assignment.variant, experiment.generation());
        let admit = Admit { user, variant, generation, grant: self.intent(assignment) };
        Decision::Store { command: Command::Admit(admit), provisional: self.provisional(id, assignment) }
    }

    /// What is promised along with an exposure: a treatment's units, fixed here for the grant's life.
    fn intent(&self, assignment: Assignment) -> Option<GrantIntent> {
        let grant = self.lineage.current().variants()[assignment.variant.index()].grant.as_ref()?;
        assignment.grant.map(|id| GrantIntent { id, units: grant.units })
    }

    /// What is shown to an enrolled user without a record.
    fn provisional(&self, id: UserId<'_>, assignment: Assignment) -> VariantIndex {
        if !self.protections.has(Protection::VersionAgreement) {
            assignment.variant
        } else if self.knows_all {
            self.lineage.provisional(id, assignment)
        } else {
            self.lineage.current().baseline()
        }
    }

    /// The answer to a visit whose record was made or found.
    pub fn on_record(&self, record: Option<Admitted>) -> VisitAnswer {
        let experiment = self.lineage.current();
        let baseline = experiment.baseline();
        match record {
            None => VisitAnswer::NotEnrolled { variant: baseline },
            Some(record) if experiment.blocks(record.generation) => VisitAnswer::Blocked { variant: baseline },
            Some(Admitted { variant, first, grant, .. }) => VisitAnswer::Recorded { variant, first, grant },
        }
    }
}
