//! The request path: one visit in, one answer out, and never a word to the upstream.
//!
//! Owns the decision what a visit is answered. It computes a candidate assignment; the *stored first* one is the
//! authority, so an answer with a record behind it waits for the store, and only for the store.
//!
//! * `ASSIGN-1`: what is shown with a record is what the store recorded first.
//! * `ASSIGN-2`: the candidate depends on mode, salt or secret, weights and id only.
//! * `GRANT-2`: the grant is part of the command that records the exposure.
//! * `PATH-1`: no input of the upstream reaches this machine.

use crate::assignment::{InvalidUserId, UserId};
use crate::audit::AuditEvent;
use crate::experiment::{Assignment, Experiment, VariantIndex};
use crate::identity::UserHandle;
use crate::store::{Admit, Admitted, First, GrantIntent, GrantState};

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
    /// The store could not record it: the baseline is shown, it is no exposure, and nothing is granted.
    Provisional {
        /// The baseline.
        variant: VariantIndex,
    },
    /// The id cannot be assigned.
    Invalid(InvalidUserId),
}

/// What a visit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Nothing more.
    Answer(VisitAnswer),
    /// A record.
    Admit {
        /// The command that makes or finds it.
        admit: Admit,
        /// What is shown if the store cannot.
        provisional: VariantIndex,
    },
}

/// The machine. It holds no visit: what an answer needs travels with the command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Admission {
    experiment: Experiment,
}

impl Admission {
    /// Admits visits to `experiment`.
    pub const fn new(experiment: Experiment) -> Self {
        Self { experiment }
    }

    /// Decides what a visit of the user with the id `user_id` needs.
    pub fn on_visit(&self, user: UserHandle, user_id: &[u8]) -> Decision {
        let id = match UserId::new(user_id) {
            Ok(id) => id,
            Err(error) => return Decision::Answer(VisitAnswer::Invalid(error)),
        };
        let baseline = self.experiment.baseline();
        let assignment = self.experiment.assign(id);
        if !assignment.enrolled {
            return Decision::Answer(VisitAnswer::NotEnrolled { variant: baseline });
        }
        let admit = Admit { user, variant: assignment.variant, grant: self.intent(assignment) };
        Decision::Admit { admit, provisional: baseline }
    }

    /// What is promised along with an exposure: a treatment's units, fixed here for the grant's life.
    fn intent(&self, assignment: Assignment) -> Option<GrantIntent> {
        let grant = self.experiment.variants()[assignment.variant.index()].grant.as_ref()?;
        assignment.grant.map(|id| GrantIntent { id, units: grant.units })
    }

    /// The answer to a visit whose admission was committed.
    pub fn on_admitted(admitted: Admitted) -> VisitAnswer {
        VisitAnswer::Recorded { variant: admitted.variant, first: admitted.first, grant: admitted.grant }
    }

    /// The answer to a visit whose admission was refused or whose outcome is unknown, and its event.
    pub const fn on_not_admitted(user: UserHandle, provisional: VariantIndex) -> (VisitAnswer, AuditEvent) {
        (VisitAnswer::Provisional { variant: provisional }, AuditEvent::Provisional { user, variant: provisional })
    }
}
