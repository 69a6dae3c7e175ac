//! `hook.toml`: the file of a hook in production.
//!
//! Owns its keys, defaults and ranges, and which of them may name a file or an environment variable. `[experiment]` and `[hardened]` are those
//! of scenarios.

use std::net::SocketAddr;
use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::lineage::Lineage;
use toml::de::DeValue;

use super::super::form::Form;
use super::super::hook_file::{
    HookFile, Secret, ServerSettings, StoreChoice, Surroundings, UpstreamTarget, Whereabouts,
};
use super::decode_with;
use super::experiment::{self, Rules};
use super::tree::{Flaw, Placed, Reader};
use super::units::{self, found};
use super::words::clip;
use super::{settings, upstream};

/// Versions of a lineage that may be live at once.
const ANNOUNCED_MAX: usize = 50;
/// Names under which a server is asked.
const HOSTS_MAX: usize = 50;
const CLOCK_ERROR: Duration = Duration::from_millis(500);
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8787);

/// The keys that name a secret: one for a file, one for a variable.
type SecretKeys = (&'static str, &'static str);

/// Reads a whole file. Nothing only if a problem was reported (`DECODE-1`).
pub(super) fn file(mut root: Reader<'_>, surroundings: &mut Surroundings<'_>) -> Option<HookFile> {
    let _: Option<u32> = root.need("schema", "1", super::file::schema);
    let lineage = strict_lineage(&mut root, surroundings);
    let (store, clock_error) = store(root.table("store", "[store]"), surroundings);
    let example = "[upstream] with `url` and `capability`";
    let target = target(root.need_table("upstream", "[upstream]", example), surroundings);
    let hardened = settings::hardened(root.table("hardened", "[hardened]"));
    let server = server(root.table("server", "[server]"), surroundings);
    root.finish();
    let file = HookFile { lineage: lineage?, store: store?, clock_error, upstream: target?, hardened, server };
    if let Err(error) = file.hook_config().check() {
        let remedy = "change one of them in [hardened], or `clock-error` of [store]";
        root.sink().flaw(&root.place_of("hardened"), Flaw::new(error.to_string(), remedy));
    }
    Some(file)
}

/// Reads a scenario's or a hook's experiment and nothing else. Nothing only if a problem was reported (`DECODE-1`).
pub(super) fn lineage(mut root: Reader<'_>, surroundings: &mut Surroundings<'_>) -> Option<Lineage> {
    let _: Option<u32> = root.get("schema", super::file::schema);
    let mut reader = experiment_table(&mut root);
    let secret = secret(&mut reader, ("secret-file", "secret-env"), surroundings);
    let inherited = secret.map(Secret::into_bytes);
    let current = experiment::under(reader, &Rules::Lenient(inherited));
    joined(&mut root, current, surroundings)
}

fn strict_lineage(root: &mut Reader<'_>, surroundings: &mut Surroundings<'_>) -> Option<Lineage> {
    let mut reader = experiment_table(root);
    let secret = secret(&mut reader, ("secret-file", "secret-env"), surroundings);
    let current = experiment::under(reader, &Rules::Hook(secret.map(Secret::into_bytes)));
    joined(root, current, surroundings)
}

fn experiment_table<'a>(root: &mut Reader<'a>) -> Reader<'a> {
    root.need_table("experiment", "[experiment]", "[experiment] with `id` and two variants")
}

/// The experiment beside the versions that `announced` names.
fn joined(root: &mut Reader<'_>, current: Option<Experiment>, surroundings: &mut Surroundings<'_>) -> Option<Lineage> {
    let paths = root.placed("announced", units::texts(ANNOUNCED_MAX));
    let inherited = current.as_ref().and_then(|current| match &current.spec().hash {
        hookproof_core::experiment::HashSpec::HmacSha256V1 { secret } => Some(secret.clone()),
        hookproof_core::experiment::HashSpec::Sha256V1 => None,
    });
    let Some(Placed { value: paths, place }) = paths else { return Lineage::new(current?, Vec::new()).ok() };
    let read: Vec<_> = paths.iter().map(|path| announced(root, path, inherited.as_deref(), surroundings)).collect();
    let others: Vec<Experiment> = read.into_iter().collect::<Option<_>>()?;
    match Lineage::new(current?, others) {
        Ok(lineage) => Some(lineage),
        Err(error) => {
            let path = paths.get(error.position).map_or("", String::as_str);
            let cause = format!("the version in {} is of another lineage, hash or secret", clip(path));
            let remedy = "give it the same `namespace`, `lineage`, `hash` and secret, or leave it out";
            root.sink().flaw(&place, Flaw::new(cause, remedy));
            None
        }
    }
}

/// Another version: the `[experiment]` of a file, under the secret of this one if it names none.
fn announced(
    root: &Reader<'_>,
    path: &str,
    inherited: Option<&[u8]>,
    surroundings: &mut Surroundings<'_>,
) -> Option<Experiment> {
    let attached = match (surroundings.read_file)(path) {
        Ok(attached) => attached,
        Err(cause) => {
            let cause = format!("the announced version in {} can't be read: {cause}", clip(path));
            let remedy = "check the path, which is relative to this file";
            root.sink().flaw(&root.place_of("announced"), Flaw::new(cause, remedy));
            return None;
        }
    };
    let read = decode_with(&attached.path, &attached.bytes, |mut root| {
        let mut reader = experiment_table(&mut root);
        let own = secret(&mut reader, ("secret-file", "secret-env"), surroundings).map(Secret::into_bytes);
        experiment::under(reader, &Rules::Hook(own.or(inherited.map(<[u8]>::to_vec))))
    });
    read.map_err(|error| root.sink().attached(error)).ok()
}

fn store(mut reader: Reader<'_>, surroundings: &mut Surroundings<'_>) -> (Option<StoreChoice>, Duration) {
    let kinds = [("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)];
    let kind = reader.get("kind", units::choice("a kind of store", kinds)).unwrap_or(Kind::Sqlite);
    let clock_error = reader.get("clock-error", units::duration).unwrap_or(CLOCK_ERROR);
    let choice = match kind {
        Kind::Sqlite => {
            let path = reader.get("path", units::filled_text).unwrap_or_else(|| "hook.db".to_owned());
            Some(StoreChoice::Sqlite { path })
        }
        Kind::Postgres => {
            let keys = ("url-file", "url-env");
            if reader.node(keys.0).is_none() && reader.node(keys.1).is_none() {
                let cause = "a PostgreSQL store needs a URL, which holds a password";
                let remedy = "add `url-env = \"HOOKPROOF_STORE_URL\"` or `url-file = \"store.url\"`";
                reader.sink().gap(reader.place(), Flaw::new(cause, remedy));
            }
            let schema = reader.get("schema", units::filled_text).unwrap_or_else(|| "hookproof".to_owned());
            let ca_file = reader.get("ca-file", units::filled_text);
            let url = secret(&mut reader, keys, surroundings);
            url.map(|url| StoreChoice::Postgres { url, schema, ca_file })
        }
    };
    reader.finish_with(|key| match (kind, key) {
        (Kind::Postgres, "path") => Some(Flaw::new("`path` is a key of an SQLite store", "remove it, or `kind`")),
        (Kind::Sqlite, "url-env" | "url-file" | "schema" | "ca-file") => {
            Some(Flaw::new(format!("`{key}` is a key of a PostgreSQL store"), "add `kind = \"postgres\"`"))
        }
        (Kind::Postgres | Kind::Sqlite, _) => None,
    });
    (choice, clock_error)
}

#[derive(Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
}

fn target(mut reader: Reader<'_>, surroundings: &mut Surroundings<'_>) -> Option<UpstreamTarget> {
    let url = reader.need("url", "\"https://quota.example\"", url);
    let facts = upstream::believed(&mut reader);
    let token = secret(&mut reader, ("token-file", "token-env"), surroundings);
    let ca = reader.placed("ca-file", units::filled_text);
    let allow_link_local = reader.get("allow-link-local", units::boolean).unwrap_or(false);
    reader.finish();
    let ca = ca.and_then(|path| match (surroundings.read_file)(&path.value) {
        Ok(attached) => Some(attached.bytes),
        Err(cause) => {
            let flaw = Flaw::new(format!("`ca-file` can't be read: {cause}"), "check the path and its permissions");
            reader.sink().flaw(&path.place, flaw);
            None
        }
    });
    Some(UpstreamTarget { url: url?, facts, token, ca, allow_link_local })
}

fn server(mut reader: Reader<'_>, surroundings: &mut Surroundings<'_>) -> ServerSettings {
    let listen = reader.get("listen", address).unwrap_or(LISTEN);
    let hosts = reader.get("hosts", units::texts(HOSTS_MAX)).unwrap_or_default();
    let token = secret(&mut reader, ("token-file", "token-env"), surroundings);
    let show_ids = reader.get("show-ids", units::boolean).unwrap_or(false);
    let id_key = secret(&mut reader, ("id-key-file", "id-key-env"), surroundings);
    let mut bytes = |key, range, otherwise| reader.get(key, units::integer(range)).unwrap_or(otherwise);
    let body_max = bytes("max-body-bytes", 1..=1 << 20, 8 << 10);
    let header_max = bytes("max-header-bytes", 8 << 10..=1 << 20, 16 << 10);
    let connections_max = bytes("max-connections", 1..=1_000_000, 1_024);
    let requests_max = bytes("max-requests", 1..=1_000_000, 512);
    let known_users_max = bytes("max-known-users", 1..=10_000_000, 100_000);
    let mut time = |key, seconds| reader.get(key, units::positive_duration).unwrap_or(Duration::from_secs(seconds));
    let header_timeout = time("header-timeout", 10);
    let request_timeout = time("request-timeout", 10);
    let shutdown_grace = time("shutdown-grace", 20);
    let is_public = !listen.ip().to_canonical().is_loopback();
    if is_public && token.is_none() && !reader.has("token-file") && !reader.has("token-env") {
        let cause = format!("{listen} can be reached from other machines, and there is no token");
        let remedy = "add `token-file = \"hook.token\"` (`openssl rand -hex 32` makes one), or listen on 127.0.0.1";
        reader.sink().flaw(&reader.place_of("listen"), Flaw::new(cause, remedy));
    }
    reader.finish();
    ServerSettings {
        listen,
        hosts,
        token,
        show_ids,
        id_key,
        body_max,
        header_max,
        header_timeout,
        request_timeout,
        connections_max,
        requests_max,
        known_users_max,
        shutdown_grace,
    }
}

/// The secret that one of two keys names, if it can be read.
fn secret(reader: &mut Reader<'_>, keys: SecretKeys, surroundings: &mut Surroundings<'_>) -> Option<Secret> {
    let file = reader.placed(keys.0, units::filled_text);
    let variable = reader.placed(keys.1, units::filled_text);
    if let (Some(_), Some(second)) = (&file, &variable) {
        let cause = format!("`{}` and `{}` name the same secret", keys.0, keys.1);
        reader.sink().flaw(&second.place, Flaw::new(cause, "keep one of them"));
    }
    let (key, place, read) = match (&file, &variable) {
        (Some(path), _) => (keys.0, &path.place, (surroundings.read_secret)(Whereabouts::File(&path.value))),
        (None, Some(name)) => (keys.1, &name.place, (surroundings.read_secret)(Whereabouts::Variable(&name.value))),
        (None, None) => return None,
    };
    let refuse = |cause: String, remedy| reader.sink().flaw(place, Flaw::new(cause, remedy));
    match read {
        Ok(secret) if secret.reveal().is_empty() => {
            refuse(
                format!("`{key}` names an empty secret"),
                "write the secret there; `openssl rand -hex 32` makes one",
            );
            None
        }
        Ok(secret) => Some(secret),
        Err(cause) => {
            refuse(
                format!("the secret that `{key}` names can't be used: {cause}"),
                "see to it that only the hook's user can read it",
            );
            None
        }
    }
}

/// As far as can be said without a parser of URLs; the client looks closer.
fn url(value: &DeValue<'_>) -> Result<String, Flaw> {
    let text = units::filled_text(value)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_fit = rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.chars().any(|letter| letter.is_whitespace() || matches!(letter, '@' | '?' | '#'))
    });
    if is_fit {
        return Ok(text);
    }
    let remedy = "write it as \"https://quota.example/path\": no credentials, no query, no fragment";
    Err(Flaw::new("this is no URL of a quota service", remedy))
}

fn address(value: &DeValue<'_>) -> Result<SocketAddr, Flaw> {
    let remedy = "write an address and a port, such as \"127.0.0.1:8787\" or \"[::1]:8787\"";
    let text = value.as_str();
    let refused = || Flaw::new(format!("expected an address, found {}", found(value)), remedy).taking(Form::Text);
    text.and_then(|text| text.parse().ok()).ok_or_else(refused)
}
