//! The same kills on PostgreSQL, and crashes of the database itself: what it has acknowledged must be there when it comes up again. Claims and
//! settlements let go of their locks before the disk has them and are acknowledged after it has; a hook that does not wait for that is caught.
//!
//! Each world has a database of its own on one throw-away server; those that let it crash have a server of their own.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hookproof_testing::crash::{Ambiguity, Harm, TREATMENT, Told, World, side_by_side, wait_for};
use hookproof_testing::postgres::{Durability, Server};
use tokio_postgres::NoTls;

use crate::embedded::on_postgres;
use crate::kills::{acquit, kills_wanted};

/// The server crashes so often.
const CRASHES: usize = 6;
const ALIVE: &str = "a crash of the database ends no child";

static SHARED: LazyLock<Option<Server>> = LazyLock::new(|| Server::own("kills on PostgreSQL", Durability::None));

/// The server that worlds share, if there is one on this machine.
pub fn shared() -> Option<&'static Server> {
    SHARED.as_ref()
}

/// Does `sql` on the database at `connection`, and returns the first column.
fn by_hand(connection: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, socket) = tokio_postgres::connect(connection, NoTls).await.unwrap();
        tokio::spawn(socket);
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    })
}

/// A new database on `server`: how to connect to it.
pub fn database(server: &Server) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("world_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    by_hand(server.connection(), &format!("CREATE DATABASE {name}"));
    server.connection().replace("dbname=postgres", &format!("dbname={name}"))
}

#[test]
fn no_kill_loses_or_doubles_a_grant_on_postgresql() {
    let Some(server) = shared() else { return };
    // These worlds are slower.
    let wanted = kills_wanted() / 10;
    let worlds = side_by_side(Ambiguity::ALL.len(), Ambiguity::ALL, |ambiguity| {
        let mut world = on_postgres(&database(server), &[]);
        world.kill_everywhere(ambiguity, 1);
        while world.kill_count < wanted / Ambiguity::ALL.len() as u64 {
            world.kill_everywhere(ambiguity, 1);
        }
        world.settle();
        world
    });
    let kills = acquit("PostgreSQL", &worlds);
    assert!(kills >= 72, "only {kills} kills");
}

/// The server crashes in the middle, time and again: once a receipt was shown, once a request was sent. Half of the children die with it, the others go
/// on. After each, another child tells everybody how they stand.
fn crashes(harm: &Harm) -> Option<World> {
    let server = Server::own("crashes of PostgreSQL", Durability::None)?;
    let connection = database(&server);
    let mut world = on_postgres(&connection, &[]);
    for crash in 0..CRASHES {
        world.service.behave((crash % 3 == 0).then_some(Ambiguity::AppliedAndCut));
        let mut child = world.start(harm);
        let user = world.users_with(&mut child, TREATMENT, 1).expect(ALIVE).remove(0);
        if crash % 2 == 0 {
            world.visit_until(&mut child, &user, Told::is_settled).expect(ALIVE);
        } else {
            wait_for("a request", || world.service.ledger().asked.contains_key(&user).then_some(()));
        }
        let asked: BTreeSet<String> = world.service.ledger().asked.keys().cloned().collect();
        server.crash();
        if crash < CRASHES / 2 {
            drop(child);
        } else {
            world.visit_until_settled(&mut child, 1).expect(ALIVE);
            child.end();
        }
        let claimed = by_hand(&connection, "SELECT user_id FROM hookproof.users WHERE attempts > 0");
        let lost = asked.iter().filter(|user| !claimed.contains(user));
        world.findings.extend(lost.map(|user| format!("GRANT-5: {user} was asked for, and the claim is lost")));
        let mut next = world.start(harm);
        world.visit_all(&mut next).expect(ALIVE);
        next.end();
    }
    world.settle();
    Some(world)
}

#[test]
fn no_crash_of_the_database_loses_what_it_has_acknowledged() {
    let Some(world) = crashes(&Harm::NONE) else { return };
    assert_eq!(world.findings, Vec::<String>::new());
    assert!(world.service.ledger().effects.len() >= CRASHES);
}

#[test]
fn a_hook_that_does_not_wait_for_the_databases_disk_is_caught() {
    let Some(world) = crashes(&Harm::NONE.and_skip("flush")) else { return };
    assert!(world.findings.iter().any(|found| found.starts_with("GRANT-5")), "{:?}", world.findings);
}
