//! The file of a hook in production: the experiment, its store, its quota service, and how it is asked.
//!
//! Owns the resolved form of `hook.toml`: every default filled in, every secret read. `decode` turns a file's text into it. Nothing here
//! knows how a hook is run.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hookproof_core::lineage::Lineage;

use super::{Attached, Hardened, UpstreamFacts};

/// A whole file, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct HookFile {
    /// `[experiment]`, and the versions that `announced` names.
    pub lineage: Lineage,
    /// `kind` of `[store]` with what it needs.
    pub store: StoreChoice,
    /// `clock-error` of `[store]`; default 500 ms.
    pub clock_error: Duration,
    /// `[upstream]`.
    pub upstream: UpstreamTarget,
    /// `[hardened]`, over the defaults of the core.
    pub hardened: Hardened,
    /// `[server]`.
    pub server: ServerSettings,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// `kind = "sqlite"`, the default.
    Sqlite {
        /// `path`, relative to the file; default `hook.db`.
        path: String,
    },
    /// `kind = "postgres"`.
    Postgres {
        /// What `url-file` or `url-env` holds.
        url: Secret,
        /// `schema`, the database's; default `hookproof`.
        schema: String,
        /// `ca-file`, relative to the file.
        ca_file: Option<String>,
    },
}

/// `[upstream]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTarget {
    /// `url`.
    pub url: String,
    /// `capability` with what belongs to it.
    pub facts: UpstreamFacts,
    /// What `token-file` or `token-env` holds.
    pub token: Option<Secret>,
    /// What `ca-file` holds: PEM.
    pub ca: Option<Vec<u8>>,
    /// `allow-link-local`; default false.
    pub allow_link_local: bool,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// `listen`; default 127.0.0.1:8787.
    pub listen: SocketAddr,
    /// `hosts`; default none but this machine's own.
    pub hosts: Vec<String>,
    /// What `token-file` or `token-env` holds.
    pub token: Option<Secret>,
    /// `show-ids`; default false.
    pub show_ids: bool,
    /// What `id-key-file` or `id-key-env` holds.
    pub id_key: Option<Secret>,
    /// `max-body-bytes`; default 8 KiB.
    pub body_max: u32,
    /// `max-header-bytes`; default 16 KiB.
    pub header_max: u32,
    /// `header-timeout`; default 10 s.
    pub header_timeout: Duration,
    /// `request-timeout`; default 10 s.
    pub request_timeout: Duration,
    /// `max-connections`; default 1,024.
    pub connections_max: u32,
    /// `max-requests`; default 512.
    pub requests_max: u32,
    /// `max-known-users`; default 100,000.
    pub known_users_max: u32,
    /// `shutdown-grace`; default 20 s.
    pub shutdown_grace: Duration,
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `text`, kept from view.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts<'s> {
    /// In the file of this path.
    File(&'s str),
    /// In the environment variable of this name.
    Variable(&'s str),
}

/// What a hook's file may name, as its decoder is given it. Both answer why they can't in a lowercase fragment; a path is relative to the
/// file.
pub struct Surroundings<'f> {
    /// Reads a file, up to 8 MiB.
    pub read_file: &'f mut dyn FnMut(&str) -> Result<Attached, String>,
    /// Reads a secret without the white space at its end.
    pub read_secret: &'f mut dyn FnMut(Whereabouts<'_>) -> Result<Secret, String>,
}
