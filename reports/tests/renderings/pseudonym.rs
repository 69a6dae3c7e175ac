//! Goal: a record in which ids are hidden holds none in any of its places, and its pseudonyms are what their definition says.
//! Method: the record of `tests/data/mixed.json`, which fills every place; pseudonyms are computed by Python's `hmac`.

use hookproof_reports::{
    Ablation, AblationRow, Broken, HtmlOptions, KeyTooShort, Pseudonyms, RunRecord, ScenarioPaths, Seeds, TableOptions,
    UserIds, Verdict, parse, render_github, render_html, render_json, render_junit, render_markdown, render_table,
};

const SECRET: &[u8] = b"a secret of the team, kept in CI";
/// Of `user-12` under the scenario's digest, and under [`SECRET`].
const BY_SCENARIO: &str = "user:42c9ba7404f4";
const BY_SECRET: &str = "user:aafe27f07105";

fn mixed() -> RunRecord {
    parse(include_str!("../data/mixed.json")).expect("a record")
}

fn hidden(pseudonyms: &Pseudonyms) -> RunRecord {
    let mut record = mixed();
    pseudonyms.hide(&mut record);
    record
}

fn secret() -> Pseudonyms {
    Pseudonyms::by_secret(SECRET).expect("long enough")
}

/// Where a text has `user-` and a digit.
fn ids(text: &str) -> usize {
    text.match_indices("user-").filter(|(at, _)| text[at + 5..].starts_with(|c: char| c.is_ascii_digit())).count()
}

fn renderings(record: &RunRecord) -> [String; 6] {
    let paths = ScenarioPaths::new();
    [
        render_json(record),
        render_html(record, &HtmlOptions { paths: paths.clone() }),
        render_table(record, &TableOptions::default()),
        render_markdown(record, &paths),
        render_junit(record, &paths),
        render_github(record, &paths),
    ]
}

#[test]
fn a_pseudonym_is_the_first_twelve_digits_of_the_hmac() {
    let scenario = mixed().runs[0].scenario.clone();
    // hmac.new(key, b"user\0user-12", "sha256").hexdigest()[:12], with the scenario's digest and with SECRET as the key.
    assert_eq!(Pseudonyms::by_scenario().user(&scenario, "user-12"), BY_SCENARIO);
    assert_eq!(secret().user(&scenario, "user-12"), BY_SECRET);
    assert!(Pseudonyms::is_user(BY_SCENARIO) && Pseudonyms::is_user(BY_SECRET));
    for text in
        ["", "user:", "user:3f9a", "user:3F9A1C0B2D4E", "user-3f9a1c0b2d4e", "user:3f9a1c0b2d4e0", "user:3f9a1c0b2d4g"]
    {
        assert!(!Pseudonyms::is_user(text), "{text}");
    }
}

#[test]
fn no_rendering_of_a_hidden_record_holds_an_id_and_those_of_the_shown_one_do() {
    assert_eq!(mixed().user_ids, UserIds::Shown, "an older record says nothing of its ids");
    for (pseudonyms, ids_are) in [(Pseudonyms::by_scenario(), UserIds::ScenarioKey), (secret(), UserIds::SecretKey)] {
        let record = hidden(&pseudonyms);
        assert_eq!(record.user_ids, ids_are);
        for (shown, hidden) in renderings(&mixed()).iter().zip(renderings(&record)) {
            assert!(ids(shown) > 0, "{shown}");
            assert_eq!(ids(&hidden), 0, "{hidden}");
            assert!(hidden.contains("user:"), "{hidden}");
        }
    }
}

#[test]
fn equal_keys_give_equal_bytes_and_another_key_or_scenario_other_pseudonyms() {
    assert_eq!(render_json(&hidden(&secret())), render_json(&hidden(&secret())));
    let scenario = mixed().runs[0].scenario.clone();
    let mut other = scenario.clone();
    other.digest.replace_range(..1, if other.digest.starts_with('0') { "1" } else { "0" });
    let by_scenario = Pseudonyms::by_scenario();
    assert_ne!(by_scenario.user(&scenario, "user-12"), by_scenario.user(&other, "user-12"));
    assert_eq!(secret().user(&scenario, "user-12"), secret().user(&other, "user-12"), "a secret joins reports");
    let another = Pseudonyms::by_secret(b"another secret of the team").expect("long enough");
    assert_ne!(another.user(&scenario, "user-12"), secret().user(&scenario, "user-12"));
    assert!(matches!(Pseudonyms::by_secret(&SECRET[..15]), Err(KeyTooShort)));
}

#[test]
fn what_is_hidden_is_not_hidden_twice() {
    let once = hidden(&secret());
    let mut twice = once.clone();
    Pseudonyms::by_scenario().hide(&mut twice);
    assert_eq!(once, twice);
    assert_eq!(parse(&render_json(&once)).expect("a record"), once);
}

#[test]
fn a_visit_keeps_its_number_and_a_foreign_name_of_one_is_hidden_whole() {
    let mut record = mixed();
    let story = record.runs.iter_mut().find_map(|run| run.stories.first_mut()).expect("somebody is told of");
    let user = story.user.clone();
    story.steps = vec![story.steps[0].clone(); 3];
    for (step, correlation) in
        story.steps.iter_mut().zip([format!("{user}/7"), format!("{user}/x"), "alice@example".into()])
    {
        step.correlation = Some(correlation);
    }
    secret().hide(&mut record);
    let story = record.runs.iter().find_map(|run| run.stories.first()).expect("somebody is told of");
    let correlations: Vec<&str> = story.steps.iter().filter_map(|step| step.correlation.as_deref()).collect();
    assert_eq!(correlations[0], format!("{}/7", story.user));
    assert!(correlations[1..].iter().all(|one| one.starts_with("visit:") && one.len() == 18), "{correlations:?}");
    assert_ne!(correlations[1], correlations[2]);
}

#[test]
fn what_breaks_without_a_protection_names_a_pseudonym() {
    let scenario = mixed().runs[0].scenario.clone();
    let broken = Broken {
        name: "GRANT-1".into(),
        seeds: 1,
        first_seed: 1,
        found: "GRANT-1 is violated once; first at 1s, user-1: effect number 2 for one user".into(),
        user: Some("user-1".into()),
    };
    let row = |without: &str, breaks| AblationRow {
        without: without.into(),
        means: String::new(),
        cells: Vec::new(),
        breaks,
    };
    let mut record = mixed();
    record.ablations.push(Ablation {
        scenario: scenario.clone(),
        hook: "hardened".into(),
        seeds: Seeds { from: 1, to: 2 },
        verdict: Verdict::Pass,
        harms: Vec::new(),
        complete: row("", Vec::new()),
        removed: vec![row("stable-key", vec![broken])],
    });
    secret().hide(&mut record);
    let broken = &record.ablations[0].removed[0].breaks[0];
    let user = secret().user(&scenario, "user-1");
    assert_eq!(broken.user.as_deref(), Some(user.as_str()));
    assert!(broken.found.contains(&format!("first at 1s, {user}: effect")), "{}", broken.found);
}
