//! The versioned run record of Hookproof and its renderings.
