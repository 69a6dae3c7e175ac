//! The protections of the hook that can be taken away, one at a time, to see what each prevents.
//!
//! Production code passes [`Protections::ALL`]. The simulator removes one to show that a scenario turns red without it;
//! a protection whose removal no scenario notices proves nothing.

/// One protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The idempotency key is the grant id. Without it every attempt has a key of its own.
    StableKey,
    /// A grant in doubt is not sent where it could execute after the key's window. Without it, it is.
    WindowGuard,
    /// Concurrency adapts to the upstream. Without it nothing bounds the requests in flight.
    AdaptiveLimit,
    /// Retries beyond a budget are put on a floor of one a second and process. Without it nothing but backoff postpones them.
    RetryBudget,
    /// Sending stops where most answers are failures. Without it, it goes on.
    Breaker,
    /// Backoff is drawn between zero and its bound. Without it, it is the bound.
    Jitter,
    /// An answer without a record shows a variant only if all versions agree on it. Without it, it shows this version's.
    VersionAgreement,
}

impl Protection {
    /// All protections.
    pub const ALL: [Self; 7] = [
        Self::StableKey,
        Self::WindowGuard,
        Self::AdaptiveLimit,
        Self::RetryBudget,
        Self::Breaker,
        Self::Jitter,
        Self::VersionAgreement,
    ];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StableKey => "stable-key",
            Self::WindowGuard => "window-guard",
            Self::AdaptiveLimit => "adaptive-limit",
            Self::RetryBudget => "retry-budget",
            Self::Breaker => "breaker",
            Self::Jitter => "jitter",
            Self::VersionAgreement => "version-agreement",
        }
    }

    /// The protection of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protection| protection.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of protections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protections(u8);

impl Protections {
    /// Every protection: what production runs with.
    pub const ALL: Self = Self(u8::MAX);

    /// This set without `protection`.
    #[must_use]
    pub const fn without(self, protection: Protection) -> Self {
        Self(self.0 & !protection.bit())
    }

    /// Whether the set holds `protection`.
    pub const fn has(self, protection: Protection) -> bool {
        self.0 & protection.bit() != 0
    }
}
