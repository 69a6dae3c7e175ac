//! What the world knows of each user: what they saw, and what the quota service's ledger says of them.
//!
//! One record of 32 bytes a user, so that a visit or an effect touches one half of a cache line. It holds facts, no
//! judgement; `metrics` and `oracle` judge.

use hookproof_core::time::Instant;

/// No variant.
pub const NO_VARIANT: u8 = u8::MAX;

/// One user.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct User {
    /// When the first exposure was recorded; [`Instant::MAX`] if never.
    pub first_exposed_at: Instant,
    /// Units held beyond the base.
    pub granted_units: u32,
    /// Units asked for in vain because of the hard limit.
    pub refused_units: u32,
    /// Visits per second by the user's own rate.
    pub rate: f32,
    /// Effects in the ledger.
    pub effects: u16,
    /// Requests for this user so far.
    pub calls: u16,
    /// Visits so far.
    pub visits: u16,
    /// The restart epoch in which the user was last seen, from 1; 0 is never.
    pub last_epoch: u16,
    /// Variant of the first exposure.
    pub first_variant: u8,
    /// The version that showed it: 0 is the scenario's, the others its roll-outs' in file order.
    pub first_version: u8,
    /// Variant that was seen last.
    pub last_variant: u8,
    /// See the constants of [`User`].
    pub flags: u8,
}

const _: () = assert!(size_of::<User>() == 32);

impl User {
    /// Saw two variants.
    pub const SWITCHED: u8 = 1;
    /// The grant was parked or rejected by the hook.
    pub const CLOSED: u8 = 2;
    /// Entitled, and an effect came at or after the first exposure.
    pub const DELIVERED: u8 = 4;
    /// Some request for them may have arrived.
    pub const CALLED: u8 = 8;
    /// Saw a variant, recorded or shown.
    pub const SEEN: u8 = 16;
    /// The last exposure that was logged is to a treatment.
    pub const LOGGED_TREATMENT: u8 = 128;

    /// The service said yes to a request for them and did nothing.
    pub const DECEIVED: u8 = 32;
    /// The store has lost the acknowledged record of their exposure, and has none since.
    pub const FORGOTTEN: u8 = 64;

    /// Nobody has seen them yet.
    pub const NEW: Self = Self {
        first_exposed_at: Instant::MAX,
        granted_units: 0,
        refused_units: 0,
        rate: 0.0,
        effects: 0,
        calls: 0,
        visits: 0,
        last_epoch: 0,
        first_variant: NO_VARIANT,
        first_version: 0,
        last_variant: NO_VARIANT,
        flags: 0,
    };

    /// Whether an exposure is recorded.
    pub fn is_exposed(&self) -> bool {
        self.first_exposed_at < Instant::MAX
    }

    /// The variant of the first exposure.
    pub fn recorded_variant(&self) -> Option<u8> {
        self.is_exposed().then_some(self.first_variant)
    }

    /// Whether a flag is set.
    pub const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sets a flag.
    pub const fn set(&mut self, flag: u8) {
        self.flags |= flag;
    }

    /// Takes a flag back.
    pub const fn clear(&mut self, flag: u8) {
        self.flags &= !flag;
    }
}

/// Names a user's how-manieth visit or request in draws, in 40 bits.
///
/// The counters of a record have 16 bits. From where they stand still, the time in microseconds names what happens:
/// a busy user's requests share their draws only within one microsecond.
pub fn ordinal(count: u16, now: Instant) -> u64 {
    const BY_TIME: u64 = 1 << 39;
    if count < u16::MAX { u64::from(count) } else { BY_TIME | (now.as_nanos() / 1_000 % BY_TIME) }
}

/// The name of user number `index`, in reports and as the id a hook is given.
pub fn name(index: u32) -> String {
    format!("user-{index}")
}

/// Renders the same name without allocating.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameBuffer {
    bytes: [u8; 15],
}

impl NameBuffer {
    /// The name of user number `index`.
    pub fn render(&mut self, index: u32) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(index).as_bytes();
        let length = 5 + digits.len();
        self.bytes[..5].copy_from_slice(b"user-");
        self.bytes[5..length].copy_from_slice(digits);
        &self.bytes[..length]
    }
}
