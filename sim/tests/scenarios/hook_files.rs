//! Capability: the file of a hook in production is read with all that is wrong with it at once, and shows no secret.
//!
//! Method: files of a few lines, whose surroundings are a closure.

use std::time::Duration;

use hookproof_core::assignment::HashMode;
use hookproof_core::experiment::HashSpec;
use hookproof_sim::scenario::{
    Attached, HookFile, ScenarioError, Secret, StoreChoice, Surroundings, Whereabouts, decode_hook,
};

const SMALL: &str = r#"
schema = 1
[experiment]
id = "quota"
namespace = "prod"
lineage = "quota"
secret-env = "SECRET"
variant = [{ name = "a", weight = 1 }, { name = "b", weight = 1, grant = 1 }]
[upstream]
url = "https://quota.example"
capability = "put-by-id"
"#;

/// With every file holding `attached`, and every secret its own name sixteen times.
fn decode(source: &str, attached: &str) -> Result<HookFile, ScenarioError> {
    let mut read_file = |path: &str| Ok(Attached { path: path.to_owned(), bytes: attached.as_bytes().to_owned() });
    let mut read_secret = |whereabouts: Whereabouts<'_>| match whereabouts {
        Whereabouts::File(name) | Whereabouts::Variable(name) => Ok(Secret::new(name.repeat(16))),
    };
    let mut surroundings = Surroundings { read_file: &mut read_file, read_secret: &mut read_secret };
    decode_hook("hook.toml", source.as_bytes(), &mut surroundings)
}

fn messages(source: &str, attached: &str) -> Vec<String> {
    let error = decode(source, attached).expect_err("it is refused");
    error.problems().iter().map(|problem| problem.message.clone()).collect()
}

#[test]
fn every_setting_is_read() {
    let announced = SMALL.replace("\"quota\"\nnamespace", "\"quota-experiment\"\nnamespace");
    let announced = announced.replace("lineage = \"quota\"", "lineage = \"quota-experiment\"");
    let announced = announced.replace("secret-env = \"SECRET\"", "");
    let file =
        decode(include_str!("good-hooks/every-setting.toml"), &announced).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.lineage.others().len(), 1);
    assert_eq!(file.store, StoreChoice::Sqlite { path: "data/hook.db".to_owned() });
    assert_eq!(file.hook_config().delivery.clock_error, Duration::from_millis(100));
    assert_eq!(file.hook_config().delivery.fleet.max_in_flight, 8);
    assert_eq!(file.upstream.facts.key_ttl, Duration::from_secs(48 * 3_600));
    assert_eq!(file.upstream.token, Some(Secret::new("QUOTA_TOKEN".repeat(16))));
    assert_eq!(file.upstream.ca.as_deref(), Some(announced.as_bytes()));
    assert_eq!((file.server.listen.to_string(), file.server.hosts.len()), ("[::]:8080".to_owned(), 1));
    assert_eq!(file.server.shutdown_grace, Duration::from_secs(6));
}

#[test]
fn what_is_left_out_has_its_default_and_no_debug_output_shows_a_secret() {
    let file = decode(SMALL, "").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.lineage.current().mode(), HashMode::HmacSha256V1);
    assert_eq!(file.store, StoreChoice::Sqlite { path: "hook.db".to_owned() });
    assert_eq!((file.server.listen.to_string(), file.server.token.clone()), ("127.0.0.1:8787".to_owned(), None));
    let whole = decode(&format!("{SMALL}token-file = \"quiet\"\n[server]\ntoken-file = \"quiet\"\n"), "");
    let whole = whole.unwrap_or_else(|error| panic!("{error}"));
    assert!(!format!("{:?}{:?}", whole.upstream, whole.server).contains("quiet"));
}

#[test]
fn the_unkeyed_hash_is_used_only_if_it_is_asked_for() {
    let unkeyed = SMALL.replace("secret-env = \"SECRET\"", "hash = \"sha256-v1\"");
    let file = decode(&unkeyed, "").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.lineage.current().spec().hash, HashSpec::Sha256V1);
    assert_eq!(
        messages(&SMALL.replace("secret-env", "hash = \"sha256-v1\"\nsecret-env"), ""),
        ["`secret-env` is not used by the hash `sha256-v1`"]
    );
    assert_eq!(
        messages(&SMALL.replace("secret-env = \"SECRET\"", ""), ""),
        ["[experiment] has no secret, so that anybody could compute who is in which variant"]
    );
}

#[test]
fn a_secret_that_stands_in_two_places_is_not_chosen_from() {
    let inline = "secret = \"sixteen bytes or more\"";
    let twice = SMALL.replace("secret-env = \"SECRET\"", &format!("{inline}\nsecret-env = \"SECRET\""));
    assert_eq!(messages(&twice, ""), ["`secret` and `secret-env` name the same secret"]);
    let announcing = format!("announced = [\"v1.toml\"]\n{SMALL}");
    assert_eq!(messages(&announcing, &twice), ["`secret` and `secret-env` name the same secret"]);
    let once = SMALL.replace("secret-env = \"SECRET\"", inline);
    let file = decode(&once, "").unwrap_or_else(|error| panic!("{error}"));
    let hash = HashSpec::HmacSha256V1 { secret: b"sixteen bytes or more".to_vec() };
    assert_eq!(file.lineage.current().spec().hash, hash);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let broken = r#"
schema = 2
announce = ["v1.toml"]
[experiment]
id = "quota"
secret-file = "a"
secret-env = "B"
true-lift = 0.5
variant = [{ name = "a", weight = 1 }, { name = "b", weight = 1, grant = 1 }]
[store]
url-env = "X"
clock-error = 5
[upstream]
url = "quota.example?x"
[server]
listen = "192.0.2.1:80"
max-body-bytes = 0
"#;
    let found = messages(broken, "");
    let expected = [
        "schema 1",
        "unknown key `announce`",
        "`namespace` is missing",
        "`lineage` is missing",
        "name the same secret",
        "unknown key `true-lift`",
        "`url-env` is a key of a PostgreSQL store",
        "a duration needs a unit",
        "no URL of a quota service",
        "`capability` is missing",
        "can be reached from other machines",
        "from 1 to 1048576",
    ];
    for part in expected {
        assert!(found.iter().any(|message| message.contains(part)), "{part}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn an_announced_version_is_of_the_same_lineage_and_what_is_wrong_with_it_is_told() {
    let source = format!("announced = [\"v1.toml\"]\n{SMALL}");
    let other = SMALL.replace("lineage = \"quota\"", "lineage = \"other\"");
    assert_eq!(messages(&source, &other), ["the version in v1.toml is of another lineage, hash or secret"]);
    let error = decode(&source, &SMALL.replace("weight = 1,", "weigt = 1,")).expect_err("it is refused");
    assert!(error.problems().iter().all(|problem| problem.path == "v1.toml"), "{error}");
}
