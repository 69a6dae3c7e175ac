//! The cells and the sabotages that are checked.
//!
//! Owns the lists. The matrix's cells come from [`promise`]; beside them stand *compounds*, in which
//! several hazards meet, and sabotages, in which one guard is broken.

use hookproof_core::promise::{Hazard, Offer, promise};

use crate::cell::{Bound, Cell, Claim};
use crate::guard::Guard;

/// Several hazards at once.
#[derive(Clone, Copy, Debug)]
pub struct Compound {
    /// Its name in tables.
    pub name: &'static str,
    /// For which offers.
    pub offers: &'static [Offer],
    /// Which hazards.
    pub hazards: &'static [Hazard],
    /// How often anything goes wrong in all.
    pub budget: u8,
    /// How often the service refuses for good.
    pub refusals: u8,
    /// How often the service says 429.
    pub throttles: u8,
    /// What is claimed.
    pub claim: Claim,
}

use Hazard::{
    ClockError, CommitUnknown, CrashAfterSend, Duplicate, LostReply, LostRequest, OutlastedWindow, Stall, StoreOutage,
    StoreRollback,
};
use Offer::{IdempotencyKey, None as NoOffer, PutById, ReadBack};

const EVERYBODY: &[Offer] = &Offer::ALL;

/// All compounds. In each, a grant is applied at most once and never lost silently.
pub const COMPOUNDS: [Compound; 7] = [
    Compound {
        name: "slow-at-the-edge",
        offers: EVERYBODY,
        hazards: &[Stall, OutlastedWindow],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "clock-at-the-edge",
        offers: EVERYBODY,
        hazards: &[ClockError, OutlastedWindow],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "copy-at-the-edge",
        offers: &[PutById, IdempotencyKey],
        hazards: &[Duplicate, OutlastedWindow],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "stall-and-rollback",
        offers: EVERYBODY,
        hazards: &[Stall, StoreRollback],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "loss-and-rollback",
        offers: EVERYBODY,
        hazards: &[LostReply, LostRequest, CommitUnknown, StoreRollback],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "refused-in-doubt",
        offers: EVERYBODY,
        hazards: &[LostReply, Stall, CrashAfterSend],
        budget: 2,
        refusals: 1,
        throttles: 1,
        claim: Claim::Safe,
    },
    Compound {
        name: "any-two",
        offers: EVERYBODY,
        hazards: &[LostReply, CrashAfterSend, Stall, CommitUnknown, StoreOutage],
        budget: 2,
        refusals: 0,
        throttles: 1,
        claim: Claim::Safe,
    },
];

impl Compound {
    /// Its cell for an offer.
    pub fn cell(&self, offer: Offer) -> Cell {
        let cell = Cell::new(offer, self.hazards, self.budget, self.claim);
        Cell { refusals: self.refusals, throttles: self.throttles, ..cell }
    }
}

/// A broken guard, and where it shows.
#[derive(Clone, Copy, Debug)]
pub struct Sabotage {
    /// Which guard.
    pub guard: Guard,
    /// With which offer.
    pub offer: Offer,
    /// Under which hazards.
    pub hazards: &'static [Hazard],
    /// How often anything goes wrong in all.
    pub budget: u8,
    /// What the same cell promises with nothing broken.
    pub claim: Claim,
}

const fn sabotage(guard: Guard, offer: Offer, hazards: &'static [Hazard], budget: u8, claim: Claim) -> Sabotage {
    Sabotage { guard, offer, hazards, budget, claim }
}

/// Sabotages that show within seconds.
pub const SABOTAGES: [Sabotage; 20] = [
    sabotage(Guard::StableKey, PutById, &[LostReply], 1, Claim::Holds),
    sabotage(Guard::StableKey, IdempotencyKey, &[LostReply], 1, Claim::Holds),
    sabotage(Guard::Window, IdempotencyKey, &[OutlastedWindow], 1, Claim::Parked),
    sabotage(Guard::WindowFromFirst, IdempotencyKey, &[OutlastedWindow], 1, Claim::Parked),
    sabotage(Guard::LifetimeInWindow, IdempotencyKey, &[OutlastedWindow], 1, Claim::Parked),
    sabotage(Guard::ClockErrorInWindow, IdempotencyKey, &[ClockError, OutlastedWindow], 2, Claim::Safe),
    sabotage(Guard::Lease, ReadBack, &[Stall], 1, Claim::Holds),
    sabotage(Guard::Fence, ReadBack, &[Stall], 1, Claim::Holds),
    sabotage(Guard::StaleReceipt, NoOffer, &[Stall], 1, Claim::Parked),
    sabotage(Guard::DoubtAtLapse, NoOffer, &[CrashAfterSend], 1, Claim::Parked),
    sabotage(Guard::DoubtAtLapse, ReadBack, &[CrashAfterSend], 1, Claim::Holds),
    sabotage(Guard::DoubtIsStored, ReadBack, &[LostReply], 1, Claim::Holds),
    sabotage(Guard::ConflictIsDoubt, IdempotencyKey, &[Duplicate, OutlastedWindow], 2, Claim::Safe),
    sabotage(Guard::ThrottledIsSeen, IdempotencyKey, &[Duplicate, OutlastedWindow], 2, Claim::Safe),
    sabotage(Guard::NotRepeatable, NoOffer, &[LostReply], 1, Claim::Parked),
    sabotage(Guard::AbsenceAfterLifetime, ReadBack, &[Stall], 1, Claim::Holds),
    sabotage(Guard::AbsenceAfterLag, ReadBack, &[Stall], 1, Claim::Holds),
    sabotage(Guard::Epoch, NoOffer, &[StoreRollback], 1, Claim::Parked),
    sabotage(Guard::DurableClaim, NoOffer, &[CrashAfterSend], 1, Claim::Parked),
    sabotage(Guard::DoubtIsNeverRejected, PutById, &[LostReply], 1, Claim::Safe),
];

impl Sabotage {
    /// The cell with the guard broken.
    pub fn cell(&self) -> Cell {
        Cell { broken: Some(self.guard), ..self.unbroken() }
    }

    /// The same cell with nothing broken.
    pub fn unbroken(&self) -> Cell {
        let refusals = u8::from(self.guard == Guard::DoubtIsNeverRejected);
        let throttles = u8::from(self.guard != Guard::ConflictIsDoubt);
        Cell { refusals, throttles, ..Cell::new(self.offer, self.hazards, self.budget, self.claim) }
    }
}

/// The compounds' cells with their names. The small bound leaves them out.
pub fn compounds(bound: Bound) -> impl Iterator<Item = (&'static str, Cell)> {
    let all: &[Compound] = match bound {
        Bound::Small => &[],
        Bound::Large => &COMPOUNDS,
    };
    all.iter().flat_map(|compound| compound.offers.iter().map(|offer| (compound.name, compound.cell(*offer))))
}

/// The cells without a hazard.
pub fn baseline(bound: Bound) -> impl Iterator<Item = Cell> {
    Offer::ALL.into_iter().flat_map(move |offer| sized(Cell::new(offer, &[], 0, Claim::Holds), bound))
}

/// The matrix's cells.
pub fn cells(bound: Bound) -> impl Iterator<Item = Cell> {
    let pairs = Hazard::ALL.into_iter().flat_map(|hazard| Offer::ALL.map(|offer| (offer, hazard)));
    pairs.flat_map(move |(offer, hazard)| sized(Cell::new(offer, &[hazard], 1, promise(offer, hazard).into()), bound))
}

/// A cell in the sizes of a bound. A counterexample needs one size only, and the smallest is the strongest.
fn sized(cell: Cell, bound: Bound) -> Vec<Cell> {
    match (bound, cell.claim) {
        (Bound::Small, _) | (Bound::Large, Claim::Impossible) => vec![cell],
        (Bound::Large, Claim::Holds | Claim::Parked | Claim::Safe) => {
            let twice = Cell { budget: cell.budget * 2, ..cell.clone() };
            let two_users = Cell { users: 2, ..cell };
            if twice.budget == 0 {
                vec![two_users]
            } else if twice.has(OutlastedWindow) {
                // Retries throughout a window, for two users at once, are more states than an afternoon has seconds.
                vec![twice]
            } else {
                vec![twice, two_users]
            }
        }
    }
}
