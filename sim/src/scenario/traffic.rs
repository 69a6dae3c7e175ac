//! `[[traffic]]`, resolved: how arrivals are spread over time, and who arrives.
//!
//! Owns the closed set of kinds and what all of them have in common: a name, a stretch of the storm, a choice of users. It
//! knows no chance; `crate::traffic` turns it into arrivals.

use std::time::Duration;

use super::{Probability, Trace};

/// One `[[traffic]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Unique name; default `traffic-N`.
    pub name: String,
    /// What it does.
    pub kind: TrafficKind,
    /// `users`: who arrives. It means nothing for a spike.
    pub selection: Selection,
}

/// What a traffic does. Rates are arrivals a second.
#[derive(Clone, Debug, PartialEq)]
pub enum TrafficKind {
    /// Arrivals at a constant rate during `[at, at + for)`; default the whole storm.
    Steady {
        /// Arrivals a second.
        rate_per_second: f64,
        /// Poisson or evenly spaced.
        spacing: Spacing,
        /// Start.
        at: Duration,
        /// Length.
        length: Duration,
    },
    /// Arrivals at a rate that changes linearly.
    Ramp {
        /// Rate at the start.
        from_per_second: f64,
        /// Rate at the end.
        to_per_second: f64,
        /// Poisson or evenly spaced.
        spacing: Spacing,
        /// Start.
        at: Duration,
        /// Length.
        length: Duration,
    },
    /// Arrivals in bursts.
    Burst {
        /// Rate within a burst.
        rate_per_second: f64,
        /// Rate between bursts.
        idle_per_second: f64,
        /// Length of a burst, or its mean.
        burst: Duration,
        /// From one burst's start to the next one's, or its mean; at least `burst`.
        every: Duration,
        /// Whether the lengths are fixed or drawn.
        rhythm: Rhythm,
        /// Poisson or evenly spaced, in operational time.
        spacing: Spacing,
        /// Start of the first burst.
        at: Duration,
        /// Length.
        length: Duration,
    },
    /// Arrivals at a rate that swings like a sine.
    Diurnal {
        /// Mean rate over a period.
        rate_per_second: f64,
        /// Largest rate, from one to two times the mean; the smallest lies as far below the mean.
        peak_per_second: f64,
        /// Length of a day.
        period: Duration,
        /// A moment of the largest rate, from the run's origin.
        peak_at: Duration,
        /// Poisson or evenly spaced, in operational time.
        spacing: Spacing,
        /// Start.
        at: Duration,
        /// Length.
        length: Duration,
    },
    /// Recorded arrivals.
    Trace {
        /// What was recorded.
        trace: Trace,
        /// Multiplies the arrivals.
        scale: f64,
        /// How much faster than recorded it goes.
        speed: f64,
        /// Uniform or even within each interval.
        spacing: Spacing,
        /// Start.
        at: Duration,
        /// Length; default the whole trace.
        length: Duration,
    },
    /// Multiplies the sum of all other arrivals.
    Spike {
        /// Start.
        at: Duration,
        /// Length.
        length: Duration,
        /// Factor, 0 or more.
        factor: f64,
    },
}

impl TrafficKind {
    /// Start and length.
    pub const fn stretch(&self) -> (Duration, Duration) {
        match self {
            Self::Steady { at, length, .. }
            | Self::Ramp { at, length, .. }
            | Self::Burst { at, length, .. }
            | Self::Diurnal { at, length, .. }
            | Self::Trace { at, length, .. }
            | Self::Spike { at, length, .. } => (*at, *length),
        }
    }

    /// Whether it has arrivals of its own.
    pub const fn is_open(&self) -> bool {
        self.spike_factor().is_none()
    }

    /// The factor of a spike.
    pub const fn spike_factor(&self) -> Option<f64> {
        match self {
            Self::Spike { factor, .. } => Some(*factor),
            Self::Steady { .. }
            | Self::Ramp { .. }
            | Self::Burst { .. }
            | Self::Diurnal { .. }
            | Self::Trace { .. } => None,
        }
    }
}

/// Spacing of open arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// A Poisson process.
    Poisson,
    /// A metronome.
    Even,
}

/// How bursts follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Each lasts `length`, one begins each `every`.
    Regular,
    /// Bursts and the silence between them are exponentially distributed with these means: a Markov-modulated Poisson
    /// process of two states.
    Random,
}

/// `users` of `[[traffic]]`: who arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// Whom of `[users]` an arrival is.
    pub popularity: Popularity,
    /// Probability that an arrival is the user of one of the last `recent` arrivals instead.
    pub returning: Probability,
    /// See `returning`; default 1,000.
    pub recent: u32,
}

impl Selection {
    /// `recent` where it is not given.
    pub const RECENT: u32 = 1_000;

    /// Everybody alike.
    pub const UNIFORM: Self =
        Self { popularity: Popularity::Uniform, returning: Probability::ZERO, recent: Self::RECENT };
}

/// Whom of `[users]` an arrival is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// All alike; without `[users]`, somebody new.
    Uniform,
    /// The first users have a share of the arrivals to themselves.
    Hot {
        /// Share of the users who are hot, rounded up to a whole user.
        users: Probability,
        /// Share of the arrivals that are theirs.
        arrivals: Probability,
    },
    /// User number k, from 1, with a probability proportional to k to the power of minus `exponent`.
    Zipf {
        /// From 0.01 to 10.
        exponent: f64,
    },
}
