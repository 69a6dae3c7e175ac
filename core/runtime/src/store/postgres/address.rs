//! Where the database is, and how the way there is protected.
//!
//! `sslmode` of a connection string means: `disable`, no TLS; `require` and `verify-full`, TLS with the server's certificate and name verified. (Who
//! does not verify encrypts for whoever answers.) Without one it is as `disable` if the server is on this machine, as
//! `verify-full` otherwise. A connection string holds a password, and never shows.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{OpenError, Settings, sslmode};
use crate::client::{Roots, trust};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A name of a schema is at most this long, or the server would cut it.
const SCHEMA_MAX: usize = 63;

/// See the module.
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) schema: String,
}

impl Address {
    pub(super) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let Settings { connection, schema, ca_file, commit_timeout, connections: _ } = settings;
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_plain = schema.bytes().all(is_name) && !schema.starts_with(|first: char| first.is_ascii_digit());
        if schema.is_empty() || schema.len() > SCHEMA_MAX || !is_plain || schema.starts_with("pg_") {
            return Err(OpenError::SchemaName(schema.clone()));
        }
        let mut config: Config =
            sslmode::in_known_words(connection).parse().map_err(|_| OpenError::ConnectionString)?;
        config.target_session_attrs(TargetSessionAttrs::ReadWrite).tcp_user_timeout(*commit_timeout);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("hookproof");
        }
        let needs_tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Require => true,
            SslMode::Prefer | _ => !is_local(&config),
        };
        config.ssl_mode(if needs_tls { SslMode::Require } else { SslMode::Disable });
        let tls = needs_tls.then(|| tls(ca_file.as_deref())).transpose()?;
        Ok(Self { config, tls, schema: schema.clone() })
    }
}

impl Settings {
    /// Whether a connection could be tried with them: the connection string, the schema's name and, where the server has to be verified,
    /// the certificates. Nobody is asked.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn check(&self) -> Result<(), OpenError> {
        Address::new(self).map(drop)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.config.get_hosts();
        formatter.debug_struct("Address").field("hosts", &hosts).field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Whether whoever could listen to the connection is on this machine anyway.
fn is_local(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// Trusts the certificates in `ca_file`, or those that the machine trusts.
fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let trusted = match ca_file {
        Some(path) => {
            let failed = |said: String| OpenError::CaFile { path: path.to_owned(), said };
            let pem = fs::read(path).map_err(|error| failed(error.to_string()))?;
            trust(Roots::Pem(&pem)).map_err(|error| failed(error.to_string()))?
        }
        None => trust(Roots::System).map_err(|_| OpenError::NoCa)?,
    };
    Ok(MakeRustlsConnect::new(Arc::unwrap_or_clone(trusted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(connection: &str) -> Result<Address, OpenError> {
        Address::new(&Settings::new(connection))
    }

    #[test]
    fn the_way_to_another_machine_is_encrypted_unless_it_is_said_not_to_be() {
        let is_encrypted = |connection: &str| address(connection).unwrap().tls.is_some();
        assert!(!is_encrypted("host=/run/postgresql user=hook"));
        assert!(!is_encrypted("postgres://hook@localhost/hook"));
        assert!(!is_encrypted("host=127.0.0.1,::1 user=hook"));
        assert!(!is_encrypted("postgres://hook@db.example/hook?sslmode=disable"));
        assert!(is_encrypted("postgres://hook@db.example/hook"));
        assert!(is_encrypted("host=/run/postgresql,db.example user=hook"));
        assert!(is_encrypted("postgres://hook@localhost/hook?sslmode=require"));
        assert!(is_encrypted("host=localhost user=hook sslmode=verify-full"));
    }

    #[test]
    fn a_password_that_looks_like_a_setting_stays_as_it_is() {
        for connection in [
            "postgres://hook:sslmode=verify-full@db.example/hook?sslmode=disable",
            "host=db.example password=sslmode=verify-full sslmode=disable",
            "host=db.example sslmode=disable password='sslmode=verify-full'",
        ] {
            let address = address(connection).unwrap();
            assert_eq!(address.config.get_password(), Some(&b"sslmode=verify-full"[..]), "{connection}");
            assert!(address.tls.is_none(), "{connection}");
        }
    }

    #[test]
    fn a_password_does_not_show() {
        for connection in
            ["postgres://hook:s3cret@localhost/hook", "host=localhost s3cret=1", "host=localhost password='s3cret"]
        {
            let settings = Settings::new(connection);
            let said = match Address::new(&settings) {
                Ok(address) => format!("{address:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!said.contains("s3cret") && !format!("{settings:?}").contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_schema_has_a_name_that_needs_no_quotes() {
        for (schema, is_permitted) in [
            ("hookproof", true),
            ("hook_2", true),
            ("Hook", false),
            ("2nd", false),
            ("a\"b", false),
            ("", false),
            ("pg_x", false),
        ] {
            let settings = Settings { schema: schema.to_owned(), ..Settings::new("host=localhost") };
            assert_eq!(Address::new(&settings).is_ok(), is_permitted, "{schema}");
        }
    }
}
