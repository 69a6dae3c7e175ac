//! Where a broken hook must be found: the swarm, or one small scenario that is made for what it breaks.

use crate::scenario::{Scenario, decode};

/// A ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ground {
    /// What the swarm draws.
    Swarm,
    /// Nothing goes wrong.
    Fair,
    /// Versions with other weights and grants roll out while replies are lost.
    Deploys,
    /// The store loses commits, and another version runs when the users come back.
    Rollback,
    /// The store is away while versions with other weights roll out.
    Away,
    /// Keys are forgotten soon, and requests are slow.
    Window,
    /// Reads show effects late.
    Lagging,
    /// The service says yes in the wrong form, and has done nothing.
    Unproven,
    /// The service does not accept our credentials for a while.
    Credentials,
    /// The hard limit leaves no room for the grant.
    HardLimit,
    /// More visits than the service can work off, from several instances.
    Storm,
    /// Two in five requests fail, for long.
    Failing,
    /// Nothing answers for two minutes.
    Outage,
    /// Three in five requests are throttled.
    Throttled,
    /// Hundreds of keys repeat their 500.
    KeptErrors,
    /// Forty grants fail at one moment.
    Together,
    /// More grants a minute than the cap lets through.
    Capped,
}

impl Ground {
    /// All grounds.
    pub const ALL: [Self; 17] = [
        Self::Swarm,
        Self::Fair,
        Self::Deploys,
        Self::Rollback,
        Self::Away,
        Self::Window,
        Self::Lagging,
        Self::Unproven,
        Self::Credentials,
        Self::HardLimit,
        Self::Storm,
        Self::Failing,
        Self::Outage,
        Self::Throttled,
        Self::KeptErrors,
        Self::Together,
        Self::Capped,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Swarm => "swarm",
            Self::Fair => "fair",
            Self::Deploys => "deploys",
            Self::Rollback => "rollback",
            Self::Away => "away",
            Self::Window => "window",
            Self::Lagging => "lagging",
            Self::Unproven => "unproven",
            Self::Credentials => "credentials",
            Self::HardLimit => "hard-limit",
            Self::Storm => "storm",
            Self::Failing => "failing",
            Self::Outage => "outage",
            Self::Throttled => "throttled",
            Self::KeptErrors => "kept-errors",
            Self::Together => "together",
            Self::Capped => "capped",
        }
    }

    /// Its scenario, below the repository's root; the swarm's is what it varies.
    pub fn path(self) -> String {
        match self {
            Self::Swarm => "scenarios/swarm.toml".into(),
            Self::Fair
            | Self::Deploys
            | Self::Rollback
            | Self::Away
            | Self::Window
            | Self::Lagging
            | Self::Unproven
            | Self::Credentials
            | Self::HardLimit
            | Self::Storm
            | Self::Failing
            | Self::Outage
            | Self::Throttled
            | Self::KeptErrors
            | Self::Together
            | Self::Capped => format!("scenarios/sabotage/{}.toml", self.name()),
        }
    }

    /// What happens on it.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Swarm => "what the swarm draws",
            Self::Fair => "nothing goes wrong",
            Self::Deploys => "versions with other weights and grants roll out while replies are lost",
            Self::Rollback => "the store loses commits, and another version runs when the users come back",
            Self::Away => "the store is away while versions with other weights roll out",
            Self::Window => "keys are forgotten soon, and requests are slow",
            Self::Lagging => "reads show effects late",
            Self::Unproven => "the service says yes in the wrong form, and has done nothing",
            Self::Credentials => "the service does not accept our credentials for a while",
            Self::HardLimit => "the hard limit leaves no room for the grant",
            Self::Storm => "more visits than the service can work off, from several instances",
            Self::Failing => "two in five requests fail, for long",
            Self::Outage => "nothing answers for two minutes",
            Self::Throttled => "three in five requests are throttled",
            Self::KeptErrors => "hundreds of keys repeat their 500 to whoever asks again",
            Self::Together => "forty grants fail at one moment",
            Self::Capped => "more grants a minute than the cap lets through",
        }
    }

    /// The text of its scenario.
    const fn source(self) -> &'static str {
        match self {
            Self::Swarm => include_str!("../../../scenarios/swarm.toml"),
            Self::Fair => include_str!("../../../scenarios/sabotage/fair.toml"),
            Self::Deploys => include_str!("../../../scenarios/sabotage/deploys.toml"),
            Self::Rollback => include_str!("../../../scenarios/sabotage/rollback.toml"),
            Self::Away => include_str!("../../../scenarios/sabotage/away.toml"),
            Self::Window => include_str!("../../../scenarios/sabotage/window.toml"),
            Self::Lagging => include_str!("../../../scenarios/sabotage/lagging.toml"),
            Self::Unproven => include_str!("../../../scenarios/sabotage/unproven.toml"),
            Self::Credentials => include_str!("../../../scenarios/sabotage/credentials.toml"),
            Self::HardLimit => include_str!("../../../scenarios/sabotage/hard-limit.toml"),
            Self::Storm => include_str!("../../../scenarios/sabotage/storm.toml"),
            Self::Failing => include_str!("../../../scenarios/sabotage/failing.toml"),
            Self::Outage => include_str!("../../../scenarios/sabotage/outage.toml"),
            Self::Throttled => include_str!("../../../scenarios/sabotage/throttled.toml"),
            Self::KeptErrors => include_str!("../../../scenarios/sabotage/kept-errors.toml"),
            Self::Together => include_str!("../../../scenarios/sabotage/together.toml"),
            Self::Capped => include_str!("../../../scenarios/sabotage/capped.toml"),
        }
    }
}

/// The scenario of a ground.
///
/// # Panics
/// The file is no scenario: a mistake of this repository.
pub fn base(ground: Ground) -> Scenario {
    decode(ground.name(), &ground.path(), ground.source().as_bytes()).expect("a ground is a valid scenario")
}
