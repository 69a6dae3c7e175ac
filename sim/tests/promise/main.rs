//! The hardened hook keeps its promise: in each cell of the matrix, under whatever a swarm draws, in a fleet, and on a store that
//! is away while the experiment changes.

mod fleet;
mod matrix;
mod provisional;
mod swarm;
