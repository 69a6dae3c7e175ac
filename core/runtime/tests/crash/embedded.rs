//! The example, as a child.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use hookproof_testing::crash::{Program, Service, Wire, World};
use rusqlite::{Connection, OpenFlags};

/// What the example believes of the service.
pub const KEY_TTL: Duration = Duration::from_secs(24 * 3600);
/// The store's file in a world's folder.
pub const STORE: &str = "hook.db";

/// The example, built as this test is: with `--test crash` cargo does not do so by itself.
static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().unwrap().parent().unwrap();
    let profile = if folder.ends_with("release") { "release" } else { "test" };
    let mut build = Command::new(env!("CARGO"));
    // What cargo has told this test of itself would make it build packages again that ask for that, now and the next time.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_package(name)) {
        build.env_remove(name);
    }
    // With all packages' features: as in a test of the whole workspace, which has built it already.
    let built = build
        .args(["build", "--quiet", "--offline", "--workspace", "--example", "embedded"])
        .args(["--profile", profile, "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .status()
        .unwrap();
    assert!(built.success(), "the example is not built");
    folder.join("examples").join("embedded")
});

fn is_of_package(variable: &OsStr) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
    variable.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

/// The example on `store`, asking the service at `url`, with these settings.
fn program(store: impl AsRef<OsStr>, url: &str, settings: &[&str]) -> Program {
    let mut arguments = vec![store.as_ref().to_owned(), url.into()];
    arguments.extend(settings.iter().map(Into::into));
    Program { path: EXAMPLE.clone(), arguments, wire: Wire::Lines }
}

/// A world in which the example runs on an SQLite file, with these settings.
pub fn on_sqlite(settings: &[&str]) -> World {
    on_sqlite_for(Service::start(KEY_TTL), settings)
}

/// The same with a service of one's own.
pub fn on_sqlite_for(service: Service, settings: &[&str]) -> World {
    World::new(service, |folder, url| program(folder.join(STORE), url, settings))
}

/// A world in which the example runs on a PostgreSQL database.
pub fn on_postgres(connection: &str, settings: &[&str]) -> World {
    World::new(Service::start(KEY_TTL), |_, url| program(connection, url, settings))
}

/// What SQLite says of the file of `world`: nothing if it is there and sound.
pub fn damage(world: &World) -> Option<String> {
    let file = Connection::open_with_flags(world.path(STORE), OpenFlags::SQLITE_OPEN_READ_WRITE);
    let check = |file: Connection| file.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    let said = file.and_then(check).unwrap_or_else(|error| error.to_string());
    (said != "ok").then(|| format!("damaged: {said}"))
}
