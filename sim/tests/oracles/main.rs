//! The judgement can be relied on: metrics are what the guide says, rulings those of the contract, and a hook that is broken on
//! purpose is found.

mod bite;
mod metrics;
mod rulings;
mod sabotage;
