//! Sidecars that share a database. Skipped where there is no server of one.

use std::collections::BTreeMap;

use hookproof_testing::postgres::{Durability, Server};
use serde_json::json;

use super::super::folder::Folder;
use super::quota::Quota;
use super::sidecar::{Sidecar, folder, private};
use super::{id_of, wait_for_state};

/// A schema of this test run's own.
fn schema(test: &str) -> String {
    format!("hookproof_{test}_{}", std::process::id())
}

/// A folder whose hook keeps its records in `schema` of the server's database.
fn sharing(server: &Server, schema: &str, quota: &Quota) -> Folder {
    let folder =
        folder(&quota.url(), &format!("[store]\nkind = \"postgres\"\nurl-file = \"store.url\"\nschema = \"{schema}\""));
    folder.write("store.url", server.connection());
    private(&folder, "store.url");
    folder
}

#[test]
fn two_sidecars_on_one_database_deliver_every_grant_once() {
    let Some(server) = Server::find("sidecars on PostgreSQL", Durability::None) else { return };
    let (quota, schema) = (Quota::start(200), schema("two"));
    let folders = [sharing(&server, &schema, &quota), sharing(&server, &schema, &quota)];
    let sidecars = [Sidecar::start(&folders[0]), Sidecar::start(&folders[1])];
    let users: Vec<String> = (0..40).map(|number| format!("user-{number}")).collect();
    // Each user's first visit is at one of them, the second at the other.
    let visit = |place: usize, user: &str| sidecars[place % 2].visit(user);
    let first: Vec<_> = users.iter().enumerate().map(|(place, user)| visit(place, user)).collect();
    let mut treated = BTreeMap::new();
    for (place, (user, first)) in users.iter().zip(&first).enumerate() {
        let again = visit(place + 1, user);
        assert_eq!((&first["assignment"], &again["assignment"]), (&json!("first-exposure"), &json!("recorded")));
        assert_eq!((&first["variant"], &first["grant"]["id"]), (&again["variant"], &again["grant"]["id"]));
        if first["variant"] == "extra" {
            let grant = id_of(first);
            wait_for_state(&sidecars[place % 2], &grant, "delivered");
            treated.insert(grant, 1);
        }
    }
    assert!(!treated.is_empty() && treated.len() < users.len());
    assert_eq!(quota.requests(), treated, "one request for each grant, and no other");
    for sidecar in sidecars {
        assert_eq!(sidecar.end(), 0);
    }
    let verified = folders[0].run(&["experiment", "verify", "hook.toml"]);
    assert_eq!((verified.exit, verified.stdout.as_str()), (0, "40 records, all as computed\n"), "{}", verified.stderr);
    folders[0].write("experiment.secret", "another one altogether");
    for verb in [&["experiment", "verify", "hook.toml"][..], &["begin-epoch", "--config", "hook.toml"]] {
        let foreign = folders[0].run(verb);
        assert_eq!(foreign.exit, 2, "{verb:?}: {}", foreign.stderr);
        assert!(foreign.stderr.contains("another experiment or secret"), "{}", foreign.stderr);
    }
}

#[test]
fn after_a_restore_what_was_open_is_not_sent_again() {
    let Some(server) = Server::find("an epoch on PostgreSQL", Durability::None) else { return };
    let quota = Quota::start(500);
    let folder = sharing(&server, &schema("restored"), &quota);
    let absent = folder.run(&["begin-epoch", "--config", "hook.toml"]);
    assert_eq!(absent.exit, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("holds no store"), "{}", absent.stderr);
    super::restored(&folder, &quota);
}

#[test]
fn a_check_reads_what_a_database_would_be_reached_with_and_asks_nobody() {
    let postgres = "[store]\nkind = \"postgres\"\nurl-file = \"store.url\"";
    let away = "postgres://hook:s3cret@db.example/hook";
    let cases = [
        ("", "localhost:s3cret", "connection string"),
        ("schema = \"Hook\"", away, "no name for a schema"),
        ("ca-file = \"missing.pem\"", away, "missing.pem"),
        ("ca-file = \"empty.pem\"", away, "no certificate"),
    ];
    for (more, connection, why) in cases {
        let folder = folder("http://127.0.0.1:9", &format!("{postgres}\n{more}"));
        folder.write("store.url", connection);
        folder.write("empty.pem", "");
        private(&folder, "store.url");
        let run = folder.run(&["serve", "--config", "hook.toml", "--check"]);
        assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{more}: {}", run.stderr);
        assert!(run.stderr.contains(why) && !run.stderr.contains("s3cret"), "{more}: {}", run.stderr);
    }
    let folder = folder("http://127.0.0.1:9", postgres);
    folder.write("store.url", "postgres://hook:s3cret@127.0.0.1:9/hook");
    private(&folder, "store.url");
    let run = folder.run(&["serve", "--config", "hook.toml", "--check"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    assert!(run.stdout.contains("store postgres schema hookproof"), "{}", run.stdout);
}

#[test]
fn a_database_that_is_not_there_is_said_and_no_secret_with_it() {
    let folder = folder("http://127.0.0.1:9", "[store]\nkind = \"postgres\"\nurl-file = \"store.url\"");
    folder.write("store.url", "postgres://hook:s3cret@127.0.0.1:9/hook");
    private(&folder, "store.url");
    for verb in [
        &["serve", "--config", "hook.toml"][..],
        &["experiment", "verify", "hook.toml"],
        &["begin-epoch", "--config", "hook.toml"],
    ] {
        let run = folder.run(verb);
        assert_eq!(run.exit, 2, "{verb:?}: {}", run.stderr);
        assert!(run.stderr.contains("cannot open the store"), "{verb:?}: {}", run.stderr);
        assert!(!run.stderr.contains("s3cret") && !run.stdout.contains("s3cret"), "{verb:?}: {}", run.stderr);
    }
}
