//! Each machine by itself against what the protocol says of it, and what none of them may do: depend on anything but hashing and ids.

mod classification;
mod committer;
mod dependencies;
mod grant;
mod read_only_store;
mod store;
