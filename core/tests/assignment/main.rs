//! Who gets which variant: as published, evenly, and moved by nothing but what an experiment's change says.

mod changes;
mod golden_vectors;
mod properties;
mod statistics;
