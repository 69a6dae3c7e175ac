//! Goal: what `core/runtime/tests/crash` shows of the library holds for the binary that is installed: `hookproof serve` with a store of its own. It is killed at
//! each place under each ambiguity of the quota service's answers, and its disk is full for a while, which it survives and says.
//!
//! Method: the binary as cargo builds it for tests, which is the one that is shipped but for the places at which it can be harmed. It is visited
//! over HTTP, and judged from outside ([`hookproof_testing::crash`]).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use hookproof_testing::crash::{Ambiguity, End, Harm, Program, Service, TREATMENT, Told, Wire, World, side_by_side};

/// Its times are short, so that who was killed is soon replaced.
const CONFIG: &str = r#"
schema = 1
[experiment]
id = "quota-experiment"
namespace = "test"
lineage = "quota-experiment"
secret-file = "experiment.secret"
[[experiment.variant]]
name = "control"
weight = 50
[[experiment.variant]]
name = "extra-quota"
weight = 50
grant = 25
[store]
clock-error = "10ms"
[hardened]
connect-timeout = "300ms"
attempt-timeout = "300ms"
lease = "600ms"
backoff-cap = "1s"
breaker-open = "100ms"
breaker-open-cap = "1s"
[server]
listen = "127.0.0.1:0"
show-ids = true
[upstream]
capability = "idempotency-key"
"#;

const ALIVE: &str = "a full disk ends no hook";

/// A folder in which the sidecar runs.
fn world() -> World {
    World::new(Service::start(Duration::from_secs(24 * 3600)), |folder, url| {
        let (secret, config) = (folder.join("experiment.secret"), folder.join("hook.toml"));
        fs::write(&secret, "not to be guessed at all\n").expect("the folder is ours");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        fs::write(&config, format!("{CONFIG}url = \"{url}\"\n")).expect("the folder is ours");
        let arguments = vec!["serve".into(), "--config".into(), config.into()];
        Program { path: env!("CARGO_BIN_EXE_hookproof").into(), arguments, wire: Wire::Http }
    })
}

#[test]
fn no_kill_of_the_sidecar_loses_or_doubles_a_grant() {
    let worlds = side_by_side(Ambiguity::ALL.len(), Ambiguity::ALL, |ambiguity| {
        let mut world = world();
        world.kill_everywhere(ambiguity, 1);
        world.settle();
        world
    });
    for world in &worlds {
        assert!(world.findings.is_empty(), "{:#?}", world.findings);
    }
    let kills: u64 = worlds.iter().map(|world| world.kill_count).sum();
    println!("sidecar: {kills} kills");
    assert!(kills >= 72, "only {kills} kills");
}

#[test]
fn a_full_disk_is_survived_and_said_and_what_was_promised_is_kept() {
    let mut world = world();
    let full = world.path("full");
    // Nothing is delivered before the disk is full.
    world.service.behave_always(Ambiguity::Unavailable);
    let mut hook = world.start(&Harm::disk(format!("full-while:{}", full.display())));
    let promised = world.users_with(&mut hook, TREATMENT, 2).expect(ALIVE);

    fs::write(&full, "").expect("the folder is ours");
    let newcomers: Vec<_> = (0..8).map(|_| world.newcomer()).collect();
    for user in &newcomers {
        let told = world.visit(&mut hook, user).expect(ALIVE);
        assert_eq!((told.basis.as_str(), told.grant.as_str()), ("provisional", "none"), "{user}");
    }
    for user in &promised {
        let told = world.visit(&mut hook, user).expect(ALIVE);
        assert_eq!((told.basis.as_str(), told.variant.as_str()), ("recorded", TREATMENT), "{user}");
    }
    world.service.behave(None);
    let asked = world.service.ledger().asked.clone();
    let metrics = hook.get("/metrics").body;
    let unknown = metrics.lines().find(|line| line.starts_with("hookproof_commits_total{outcome=\"unknown\"}"));
    assert!(unknown.is_some(), "{metrics}");
    // Before the disk was full there may have been some too: the store is waited for only so long.
    let provisional = format!("hookproof_visits_total{{basis=\"provisional\"}} {}", world.provisional_count);
    assert!(world.provisional_count >= 8 && metrics.lines().any(|line| line == provisional), "{metrics}");
    let log = hook.log();
    assert!(log.contains("the store failed") && log.contains("database or disk is full"), "{log}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(hook.get(path).status, 200, "{path}");
    }
    // Without a durable claim nothing is sent, and nobody without a record is asked for.
    assert!(newcomers.iter().all(|user| !asked.contains_key(user)), "{asked:?}");

    fs::remove_file(&full).expect("it is there");
    for user in promised.iter().chain(&newcomers) {
        world.visit_until(&mut hook, user, Told::is_settled).expect(ALIVE);
    }
    assert_eq!(hook.end(), End::Ended);
    let settled = world.settle();
    assert_eq!(world.findings, Vec::<String>::new());
    assert!(promised.iter().all(|user| settled.delivered.contains(user)), "{settled:?}");
}

#[test]
fn nothing_that_is_shipped_can_be_harmed() {
    let tree = |edges: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--locked", "--package", "hookproof", "--edges", edges]);
        let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("a tree is UTF-8")
    };
    let harm = "hookproof-faulty-disk";
    assert!(tree("normal,build,dev").contains(harm), "tests need it");
    assert!(!tree("normal,build").contains(harm), "and only tests have it");
}
