//! Goal: the sidecar gives services in any language what the hook promises, lets nobody else in, and its operators decide about parked grants.
//!
//! Method: the binary itself on a port of its own, with a store in a temporary folder, against a small quota service over real HTTP.

mod postgres;
mod quota;
mod sidecar;

use std::collections::HashSet;
use std::io::Write as _;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::folder::{Finished, Folder};
use quota::Quota;
use sidecar::{Sidecar, TOKEN, answer, config, folder, permit, private, until};

/// The first user who is treated, with the visit's answer.
fn treated(sidecar: &Sidecar) -> (String, Value) {
    let users = (0..100).map(|number| format!("user-{number}"));
    let mut visits = users.map(|user| (sidecar.visit(&user), user));
    let (answer, user) = visits.find(|(answer, _)| answer["variant"] == "extra").expect("half of them are treated");
    (user, answer)
}

fn wait_for_state(sidecar: &Sidecar, grant: &str, state: &str) {
    until(|| (sidecar.get(&format!("/v1/grants/{grant}")).json()["state"] == state).then_some(()));
}

fn id_of(answer: &Value) -> String {
    answer["grant"]["id"].as_str().expect("a treated user has a grant").to_owned()
}

#[test]
fn a_treated_visit_is_granted_once_and_answered_alike_after_a_restart() {
    let quota = Quota::start(200);
    let folder = folder(&quota.url(), "");
    let sidecar = Sidecar::start(&folder);
    let (user, first) = treated(&sidecar);
    assert_eq!((&first["assignment"], &first["provisional"]), (&json!("first-exposure"), &json!(false)));
    let grant = id_of(&first);
    wait_for_state(&sidecar, &grant, "delivered");
    assert_eq!(sidecar.end(), 0);

    let sidecar = Sidecar::start(&folder);
    let again = sidecar.visit(&user);
    let expected = json!({"variant": "extra", "assignment": "recorded", "provisional": false,
        "grant": {"id": grant, "state": "delivered"}});
    assert_eq!(again, expected);
    assert_eq!(sidecar.end(), 0);
    assert_eq!(quota.requests()[&grant], 1);
    assert_eq!(quota.applied()[&grant], format!("{{\"user_id\":\"{user}\",\"units\":25}}"));

    let log = std::fs::read_to_string(folder.path("log")).expect("it logs");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(lines.iter().any(|line| line["message"] == "started" && line["version"] == env!("CARGO_PKG_VERSION")));
    for hidden in [&user, TOKEN, "not to be guessed"] {
        assert!(!log.contains(hidden), "the log shows {hidden}");
    }
    let verified = folder.run(&["experiment", "verify", "hook.toml", "--store", "hook.db"]);
    assert_eq!(verified.exit, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.ends_with(" records, all as computed\n"), "{}", verified.stdout);
}

/// A grant that was under way when the store of `folder` was copied, and after that copy was put back.
fn restored(folder: &Folder, quota: &Quota) {
    let sidecar = Sidecar::start(folder);
    let grant = id_of(&treated(&sidecar).1);
    until(|| quota.requests().contains_key(&grant).then_some(()));
    assert_eq!(sidecar.end(), 0);
    let begun = folder.run(&["begin-epoch", "--config", "hook.toml"]);
    assert_eq!(begun.exit, 0, "{}", begun.stderr);
    assert!(begun.stdout.contains(" has begun; what is open is in doubt"), "{}", begun.stdout);

    let before = quota.requests()[&grant];
    let sidecar = Sidecar::start(folder);
    wait_for_state(&sidecar, &grant, "parked");
    let evidence = sidecar.get_as_operator(&format!("/v1/parked/{grant}")).json();
    assert_eq!((&evidence["reason"], &evidence["first_sent_at"]), (&json!("history-lost"), &json!(null)));
    assert_eq!(quota.requests()[&grant], before, "nothing was sent");
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn after_a_restore_what_was_open_is_not_sent_again() {
    let quota = Quota::start(500);
    let folder = folder(&quota.url(), "");
    let begin = || folder.run(&["begin-epoch", "--config", "hook.toml"]);
    assert_eq!(begin().exit, 2, "there is no store yet");
    assert!(!folder.path("hook.db").exists(), "and none is made");
    let sidecar = Sidecar::start(&folder);
    let refused = begin();
    assert_eq!(refused.exit, 2, "{}", refused.stdout);
    assert!(refused.stderr.contains("another process has the store"), "{}", refused.stderr);
    assert_eq!(sidecar.end(), 0);
    restored(&folder, &quota);
}

#[test]
fn only_a_request_that_is_meant_for_it_is_answered() {
    let folder = folder("http://127.0.0.1:9", "max-body-bytes = 100");
    let sidecar = Sidecar::start(&folder);
    let json = "Content-Type: application/json\r\n";
    let visit = "{\"user_id\":\"ann\"}";
    let long = format!("{{\"user_id\":\"{}\"}}", "a".repeat(100));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let port = sidecar.address.rsplit(':').next().expect("a port").to_owned();
    let host = |name: &str| format!("Host: {name}:{port}\r\n{json}");
    let cases = [
        ("POST", "/v1/visits", json, visit, 200),
        ("POST", "/v1/visits", &host("localhost"), visit, 200),
        ("POST", "/v1/visits", &host("evil.example"), visit, 421),
        ("POST", "/v1/visits", "Host: \r\n", visit, 421),
        ("POST", "/v1/visits", "", visit, 415),
        ("POST", "/v1/visits", "Content-Type: text/plain\r\n", visit, 415),
        ("POST", "/v1/visits", json, &long, 413),
        ("POST", "/v1/visits", json, "{", 400),
        ("POST", "/v1/visits", json, "{\"user_id\":\"\"}", 400),
        ("POST", "/v1/visits", json, "{\"user_id\":7}", 400),
        ("POST", "/v1/visits", json, "{\"user_id\":\"ann\",\"correlation_id\":\"\"}", 400),
        ("GET", "/v1/visits", "", "", 405),
        ("GET", "/nowhere", "", "", 404),
        ("GET", "/v1/grants/7", "", "", 400),
        ("GET", "/v1/grants/00000000-0000-8000-8000-000000000000", "", "", 404),
        ("GET", "/v1/parked", "", "", 401),
        ("GET", "/v1/parked", &bearer("a-token-that-nobody-guesser"), "", 401),
        ("GET", "/v1/parked", &bearer(TOKEN), "", 200),
        ("GET", "/v1/parked?limit=0", &bearer(TOKEN), "", 400),
        ("POST", "/v1/parked/00000000-0000-8000-8000-000000000000/resolve", json, "{\"as\":\"retry\"}", 401),
        ("GET", "/healthz", &host("10.0.0.7"), "", 200),
        ("GET", "/readyz", &host("10.0.0.7"), "", 200),
    ];
    for (method, path, headers, body, status) in cases {
        let answer = sidecar.ask(method, path, headers, body);
        assert_eq!(answer.status, status, "{method} {path} {headers:?} {body:?}: {answer:?}");
        assert!(!answer.head.contains("access-control"), "{answer:?}");
        if status >= 400 {
            assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
            assert_eq!(answer.json()["status"], status);
        }
    }
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(sidecar.send(&huge).status, 431);
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn a_read_shows_what_a_visit_would_and_records_nothing() {
    let folder = folder("http://127.0.0.1:9", "");
    let sidecar = Sidecar::start(&folder);
    let evaluate = |key: &str, body: &str| sidecar.post(&format!("/ofrep/v1/evaluate/flags/{key}"), body);
    let of = |user: &str| evaluate("quota", &format!("{{\"context\":{{\"targetingKey\":\"{user}\"}}}}")).json();
    for number in 0..20 {
        let user = format!("user-{number}");
        let before = of(&user);
        assert_eq!((&before["metadata"]["assignment"], &before["reason"]), (&json!("provisional"), &json!("SPLIT")));
        assert_eq!(of(&user), before);
        assert_eq!(sidecar.visit(&user)["assignment"], "first-exposure", "a read had recorded the user");
        let after = of(&user);
        assert_eq!((&after["value"], &after["metadata"]["assignment"]), (&before["value"], &json!("recorded")));
    }
    let cases = [
        ("other", "{\"context\":{\"targetingKey\":\"ann\"}}", 404, "FLAG_NOT_FOUND"),
        ("quota", "{\"context\":{}}", 400, "TARGETING_KEY_MISSING"),
        ("quota", "{}", 400, "INVALID_CONTEXT"),
        ("quota", "{\"context\":{\"targetingKey\":\"\"}}", 400, "INVALID_CONTEXT"),
        ("quota", "[", 400, "PARSE_ERROR"),
    ];
    for (key, body, status, code) in cases {
        let answer = evaluate(key, body);
        assert_eq!((answer.status, &answer.json()["errorCode"]), (status, &json!(code)), "{body}");
    }
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn an_operator_sees_the_evidence_of_a_parked_grant_and_decides() {
    // Nothing protects against doubles, so an answer that proves nothing parks the grant.
    let quota = Quota::start(500);
    let folder = folder(&quota.url(), "");
    folder.write("hook.toml", config(&quota.url(), "").replace("\"idempotency-key\"", "\"none\""));
    let sidecar = Sidecar::start(&folder);
    let (user, visit) = treated(&sidecar);
    let grant = id_of(&visit);
    wait_for_state(&sidecar, &grant, "parked");
    until(|| sidecar.get("/metrics").body.contains("hookproof_backlog{state=\"parked\"} 1\n").then_some(()));

    let url = format!("http://{}", sidecar.address);
    let parked = |arguments: &[&str]| -> Finished {
        let end = ["--url", &url, "--token-file", "hook.token"];
        folder.run(&[&["parked"], arguments, &end].concat())
    };
    let list = parked(&["list"]);
    assert_eq!(list.exit, 0, "{}", list.stderr);
    assert!(list.stdout.starts_with(&grant) && list.stdout.contains("not-repeatable"), "{}", list.stdout);
    let shown = parked(&["show", &grant]).stdout;
    assert!(shown.contains(&user) && shown.contains("the service's ledger"), "{shown}");
    let evidence = sidecar.get_as_operator(&format!("/v1/parked/{grant}")).json();
    assert_eq!((&evidence["attempts"], &evidence["last_answer"]), (&json!(1), &json!("server-error")));

    // Under the rules, a retry of what cannot be repeated is no request: it parks again.
    let retried = parked(&["resolve", &grant, "--as", "retry"]);
    assert_eq!(retried.exit, 0, "{}", retried.stderr);
    wait_for_state(&sidecar, &grant, "parked");
    assert_eq!(quota.requests()[&grant], 1);

    let resolved = parked(&["resolve", &grant, "--as", "applied"]);
    assert_eq!((resolved.exit, resolved.stdout), (0, format!("{grant} is delivered\n")));
    assert_eq!(sidecar.visit(&user)["grant"]["state"], "delivered");
    let again = parked(&["resolve", &grant, "--as", "applied"]);
    assert_eq!(again.exit, 2, "{}", again.stderr);
    assert!(again.stderr.contains("409") && again.stderr.contains("not parked"), "{}", again.stderr);
    assert_eq!(parked(&["list"]).stdout, "");
    let json = parked(&["list", "--format", "json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), json!({"total": 0, "parked": []}));
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn more_parked_grants_than_a_page_are_listed_page_by_page_whatever_is_resolved_meanwhile() {
    let quota = Quota::start(500);
    let folder = folder(&quota.url(), "");
    folder.write("hook.toml", config(&quota.url(), "").replace("\"idempotency-key\"", "\"none\""));
    let sidecar = Sidecar::start(&folder);
    let visits: Vec<Value> = (0..20).map(|number| sidecar.visit(&format!("user-{number}"))).collect();
    let mut grants: Vec<String> = visits.iter().filter(|visit| visit["variant"] == "extra").map(id_of).collect();
    for grant in &grants {
        wait_for_state(&sidecar, grant, "parked");
    }
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let (mut listed, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = sidecar.get_as_operator(&format!("/v1/parked?{query}")).json();
        let ids: Vec<_> = page["parked"].as_array().expect("a list").iter().map(|one| text(&one["grant_id"])).collect();
        assert!(ids.len() <= 3);
        listed.extend(ids);
        let Some(next) = page.get("next").map(text) else { break };
        query = format!("limit=3&after={next}");
        // An operator works from the top: what the next page comes after is parked no more.
        let last = listed.last().expect("a page that is followed by another is not empty");
        if listed.len() == 3 {
            let resolve = sidecar.post_as_operator(&format!("/v1/parked/{last}/resolve"), "{\"as\": \"applied\"}");
            assert_eq!(resolve.status, 200, "{}", resolve.body);
            let gone = sidecar.get_as_operator(&format!("/v1/parked?after={last}"));
            assert_eq!(gone.status, 409, "{}", gone.body);
        } else {
            let by_id = sidecar.get_as_operator(&format!("/v1/parked?limit=3&after={last}")).json();
            assert_eq!(by_id, sidecar.get_as_operator(&format!("/v1/parked?{query}")).json());
        }
        assert_eq!(page["total"], if listed.len() == 3 { grants.len() } else { grants.len() - 1 });
    }
    listed.sort();
    grants.sort();
    assert_eq!(listed, grants);
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn the_list_of_parked_grants_is_as_long_as_there_are() {
    let count = 1_005;
    let folder = folder("http://127.0.0.1:9", "");
    assert_eq!(Sidecar::start(&folder).end(), 0, "the store is made");
    let park = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) \
         INSERT INTO users (user_id, variant, generation, exposed_at, changed_at, grant_id, units, state, sent_until, \
         fence_epoch, fence_claim, fence_nonce, attempts, in_doubt, is_seen, park_reason) \
         SELECT 'user-' || n, 1, 0, n, n / 7, unhex(printf('%032x', n)), 25, 'parked', n, 0, 0, 0, 1, 1, 1, 'window-closed' FROM numbers"
    );
    Connection::open(folder.path("hook.db")).and_then(|store| store.execute_batch(&park)).expect("rows");
    let sidecar = Sidecar::start(&folder);
    let url = format!("http://{}", sidecar.address);
    let list = ["parked", "list", "--format", "json", "--url", &url, "--token-file", "hook.token"];
    let list: Value = serde_json::from_str(&folder.run(&list).stdout).expect("JSON");
    let parked = list["parked"].as_array().expect("a list");
    let ids: HashSet<_> = parked.iter().map(|one| one["grant_id"].as_str().expect("an id")).collect();
    assert_eq!((&list["total"], parked.len(), ids.len()), (&json!(count), count, count));
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn a_request_under_way_is_answered_while_the_sidecar_ends() {
    let folder = folder("http://127.0.0.1:9", "");
    let mut sidecar = Sidecar::start(&folder);
    let body = "{\"user_id\":\"ann\"}";
    let mut stream = sidecar.connect();
    let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    write!(stream, "POST /v1/visits HTTP/1.1\r\nHost: localhost\r\n{head}\r\n").expect("it listens");
    // The server asks for the body, so the request is under way.
    let mut continued = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut continued).expect("it answers");
    assert!(continued.starts_with(b"HTTP/1.1 100 Continue"));
    sidecar.signal();
    until(|| std::net::TcpStream::connect(&sidecar.address).is_err().then_some(()));
    stream.write_all(body.as_bytes()).expect("the connection is open");
    assert_eq!(answer(&mut stream).status, 200);
    assert_eq!(sidecar.wait(), 0);
    assert_eq!(Sidecar::start(&folder).visit("ann")["assignment"], "recorded");
}

#[test]
fn what_is_too_much_is_turned_away_at_once() {
    let folder = folder("http://127.0.0.1:9", "max-requests = 1\nmax-connections = 8");
    let sidecar = Sidecar::start(&folder);
    let mut held = sidecar.connect();
    let head = "POST /v1/visits HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    write!(held, "{head}Content-Length: 17\r\nExpect: 100-continue\r\n\r\n").expect("it listens");
    let mut continued = [0; 25];
    std::io::Read::read_exact(&mut held, &mut continued).expect("it answers");
    let shed = sidecar.post("/v1/visits", "{\"user_id\":\"ann\"}");
    assert_eq!(shed.status, 503);
    assert!(shed.head.contains("retry-after: 1"), "{shed:?}");
    assert_eq!(sidecar.get("/healthz").status, 200, "whoever watches is answered");
    held.write_all(b"{\"user_id\":\"ann\"}").expect("the connection is open");
    until(|| (sidecar.post("/v1/visits", "{\"user_id\":\"ann\"}").status == 200).then_some(()));
    drop(held);

    let mut held: Vec<_> = (0..16).map(|_| sidecar.connect()).collect();
    let last = held.last_mut().expect("there are sixteen");
    assert_eq!(answer(last).status, 503);
    drop(held);
    until(|| sidecar.get("/metrics").body.contains("hookproof_shed_total{what=\"connections\"}").then_some(()));
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn a_client_that_asks_and_never_reads_loses_its_connection() {
    let folder = folder("http://127.0.0.1:9", "request-timeout = \"500ms\"\nmax-connections = 2");
    let sidecar = Sidecar::start(&folder);
    let mut deaf = sidecar.connect();
    deaf.set_write_timeout(Some(sidecar::PATIENCE)).expect("no time is zero");
    let error = loop {
        if let Err(error) = deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n") {
            break error;
        }
    };
    let is_ended = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe].contains(&error.kind());
    assert!(is_ended, "the server ends it: {error}");
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn a_token_that_others_could_read_on_the_way_is_warned_of() {
    let folder = folder("", "");
    folder.write("quota.token", "one that nobody guesses");
    private(&folder, "quota.token");
    for (url, is_open) in [
        ("http://quota.example", true),
        ("http://192.0.2.1:8080", true),
        ("http://localhost:9000", false),
        ("http://127.0.0.1:9000", false),
        ("http://[::1]:9000", false),
    ] {
        let text = config(url, "");
        folder.write("hook.toml", text.replace("[server]", "token-file = \"quota.token\"\n[server]"));
        let checked = folder.run(&["serve", "--config", "hook.toml", "--check"]);
        assert_eq!(checked.exit, 0, "{}", checked.stderr);
        assert_eq!(checked.stderr.contains("without TLS"), is_open, "{url}: {}", checked.stderr);
        folder.write("hook.toml", text);
        let tokenless = folder.run(&["serve", "--config", "hook.toml", "--check"]).stderr;
        assert!(!tokenless.contains("without TLS"), "{url}: {tokenless}");
    }
}

#[test]
fn metrics_are_those_of_prometheus() {
    let folder = folder("http://127.0.0.1:9", "");
    let sidecar = Sidecar::start(&folder);
    sidecar.visit("ann");
    let answer = sidecar.get("/metrics");
    assert!(answer.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", answer.head);
    let (samples, end) = answer.body.rsplit_once("# EOF\n").expect("OpenMetrics ends so");
    assert_eq!(end, "");
    for sample in samples.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = sample.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("hookproof_"), "{sample}");
        assert!(value.parse::<f64>().is_ok(), "{sample}");
    }
    assert!(samples.contains("hookproof_visits_total{basis=\"first-exposure\"} 1\n"), "{samples}");
    let names =
        samples.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split(' ').next());
    for name in names {
        assert!(DOCUMENT.contains(&format!("`{name}")), "docs/sidecar.md does not name {name}");
    }
    assert_eq!(sidecar.end(), 0);
}

fn refused(folder: &Folder, why: &str) {
    let run = folder.run(&["serve", "--config", "hook.toml"]);
    assert_eq!((run.exit, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    assert!(run.stderr.contains(why), "{why}: {}", run.stderr);
}

#[test]
fn the_level_of_the_log_is_one_that_there_is_and_none_is_the_default() {
    let folder = folder("http://127.0.0.1:9", "");
    let serve = |level: &str| {
        let mut command = folder.command(&["serve", "--config", "hook.toml"]);
        // Without a store it ends by itself.
        folder.write("hook.toml", config("http://127.0.0.1:9", "[store]\npath = \"missing/hook.db\""));
        Finished::from(command.env("HOOKPROOF_LOG", level).output().expect("the binary starts")).stderr
    };
    assert!(serve("loud").contains("HOOKPROOF_LOG: \"loud\" is none of off, error"), "{}", serve("loud"));
    for level in ["", "warn"] {
        assert!(serve(level).contains("cannot open the store"), "{level:?}: {}", serve(level));
    }
}

#[test]
fn a_store_serves_one_process() {
    let folder = folder("http://127.0.0.1:9", "");
    let sidecar = Sidecar::start(&folder);
    refused(&folder, "another process has the store");
    assert_eq!(sidecar.end(), 0);
}

#[test]
fn a_file_that_is_not_safe_or_not_whole_is_refused_and_nothing_is_written() {
    let url = "http://127.0.0.1:9";
    let whole = config(url, "");
    let cases = [
        (whole.replace("127.0.0.1:0", "0.0.0.0:0").replace("token-file = \"hook.token\"", ""), "there is no token"),
        (whole.replace("namespace = \"test\"", ""), "`namespace` is missing"),
        (whole.replace("secret-file = \"experiment.secret\"", ""), "has no secret"),
        (whole.replace("capability = \"idempotency-key\"", ""), "`capability` is missing"),
        (whole.replace("http://127.0.0.1:9", "ftp://x"), "no URL of a quota service"),
        (whole.replace("http://127.0.0.1:9", "http://169.254.169.254"), "link-local"),
        (whole.replace("token-file", "tokenfile"), "did you mean `token-file`?"),
        (whole.replace("[hardened]", "[hardened]\nlease = \"1s\""), "lease must be"),
        (format!("{whole}\n[store]\nkind = \"postgres\"\n"), "needs a URL"),
        (format!("announced = [\"old.toml\"]\n{whole}"), "the announced version in old.toml can't be read"),
        ("schema = 1\n[".to_owned(), "hook.toml:2"),
    ];
    for (text, why) in cases {
        let folder = folder(url, "");
        folder.write("hook.toml", text);
        refused(&folder, why);
        assert!(!folder.path("hook.db").exists(), "{why}");
    }
}

#[test]
fn secrets_that_others_may_read_are_refused() {
    let url = "http://127.0.0.1:9";
    let folder = folder(url, "");
    for secret in ["experiment.secret", "hook.token"] {
        permit(&folder, secret, 0o644);
        refused(&folder, "chmod 600");
        private(&folder, secret);
    }
    permit(&folder, "hook.toml", 0o646);
    refused(&folder, "anybody may change hook.toml");
    folder.write(
        "hook.toml",
        config(url, "").replace("secret-file = \"experiment.secret\"", "secret = \"keep it quiet and do not tell\""),
    );
    permit(&folder, "hook.toml", 0o644);
    refused(&folder, "holds the secret");
    private(&folder, "hook.toml");
    let checked = folder.run(&["serve", "--config", "hook.toml", "--check"]);
    assert_eq!(checked.exit, 0, "{}", checked.stderr);
    assert!(checked.stdout.contains("test/quota") && !checked.stdout.contains("quiet"), "{}", checked.stdout);
    folder.write("hook.token", "short");
    refused(&folder, "soon guessed");
    std::fs::remove_file(folder.path("hook.toml")).expect("it is there");
    refused(&folder, "hook.toml");
}

#[test]
fn what_others_may_change_decides_nothing_and_no_named_file_shows_the_secret() {
    let url = "http://127.0.0.1:9";
    let folder = folder(url, "");
    let secret = "secret-file = \"experiment.secret\"";
    folder.write("v1.toml", config(url, ""));
    folder.write(
        "hook.toml",
        format!("announced = [\"v1.toml\"]\n{}", config(url, "").replace("lineage", "version = 2\nlineage")),
    );
    permit(&folder, "v1.toml", 0o646);
    refused(&folder, "anybody may change v1.toml");
    permit(&folder, "v1.toml", 0o644);
    let check = || folder.run(&["serve", "--config", "hook.toml", "--check"]);
    assert_eq!(check().exit, 0, "{}", check().stderr);
    folder.write("v1.toml", config(url, "").replace(secret, "secret = \"not to be guessed at all\""));
    refused(&folder, "v1.toml holds the secret");
    private(&folder, "v1.toml");
    assert_eq!(check().exit, 0, "{}", check().stderr);

    let stores = ["", "[store]\nkind = \"postgres\"\nurl-file = \"store.url\"\nca-file = \"ca.pem\""];
    folder.write("store.url", "postgres://hook@db.example/hook");
    private(&folder, "store.url");
    folder.write("ca.pem", "whom the hook trusts");
    permit(&folder, "ca.pem", 0o666);
    for store in stores {
        let text = config("https://quota.example", store);
        let text = if store.is_empty() { text.replace("[server]", "ca-file = \"ca.pem\"\n[server]") } else { text };
        folder.write("hook.toml", text);
        refused(&folder, "anybody may change ca.pem");
    }
}

#[test]
fn a_record_that_no_version_explains_is_named_and_an_announced_version_explains_its_own() {
    let folder = folder("http://127.0.0.1:9", "");
    let sidecar = Sidecar::start(&folder);
    let first: Vec<Value> = (0..40).map(|number| sidecar.visit(&format!("user-{number}"))).collect();
    assert_eq!(sidecar.end(), 0);
    let verify = || folder.run(&["experiment", "verify", "hook.toml", "--store", "hook.db"]);
    let text = config("http://127.0.0.1:9", "");
    let reweighted =
        text.replacen("weight = 50", "weight = 4_000_000", 1).replace("lineage =", "version = 2\nlineage =");
    folder.write("hook.toml", &reweighted);
    let differing = verify();
    assert_eq!(differing.exit, 1, "{}{}", differing.stdout, differing.stderr);
    let moved = first.iter().filter(|visit| visit["variant"] == "extra").count();
    assert!(differing.stdout.contains("by version 2 the variant is \"control\", and \"extra\" is recorded"));
    assert!(differing.stdout.ends_with(&format!("40 records, {moved} differ\n")), "{}", differing.stdout);

    folder.write("v1.toml", text.replace("secret-file = \"experiment.secret\"", ""));
    folder.write("hook.toml", format!("announced = [\"v1.toml\"]\n{reweighted}"));
    let explained = verify();
    assert_eq!(explained.exit, 0, "{}{}", explained.stdout, explained.stderr);

    folder.write("experiment.secret", "another one altogether");
    let foreign = verify();
    assert_eq!(foreign.exit, 2, "{}", foreign.stderr);
    assert!(foreign.stderr.contains("another experiment or secret"), "{}", foreign.stderr);
    let sidecar = folder.run(&["experiment", "verify", "hook.toml", "--store", "hook.toml"]);
    assert_eq!(sidecar.exit, 2, "{}", sidecar.stderr);
}

#[test]
fn operators_need_a_token_and_a_sidecar_on_this_machine() {
    let folder = folder("http://127.0.0.1:9", "");
    let cases: [(&[&str], i32, &str); 4] = [
        (&["parked", "list"], 2, "there is no token"),
        (&["parked", "list", "--token-file", "hook.token", "--url", "ftp://127.0.0.1:1"], 2, "no URL of a sidecar"),
        (&["parked", "list", "--token-file", "hook.token", "--url", "http://192.0.2.1:1"], 2, "is not this machine"),
        (&["parked", "list", "--token-file", "hook.token", "--url", "http://127.0.0.1:9"], 5, "no sidecar answers"),
    ];
    for (arguments, exit, why) in cases {
        let run = folder.run(arguments);
        assert_eq!(run.exit, exit, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(why), "{arguments:?}: {}", run.stderr);
    }
}

const DOCUMENT: &str = include_str!("../../../../docs/sidecar.md");

#[test]
fn the_documents_file_is_valid() {
    let folder = folder("", "");
    let (_, after) = DOCUMENT.split_once("```toml\n").expect("the document has a file");
    folder.write("hook.toml", after.split_once("```").expect("a block ends").0);
    let checked = folder.run(&["serve", "--config", "hook.toml", "--check"]);
    assert_eq!(checked.exit, 0, "{}", checked.stderr);
    let expected = "hook.toml: valid; quota-experiment version 1 of lineage prod/quota-experiment; store sqlite hook.db; \
                    quota service http://127.0.0.1:9000/; listens on 127.0.0.1:8787\n";
    assert_eq!(checked.stdout, expected);
}

#[test]
fn every_key_is_documented() {
    let folder = folder("", "");
    let text = config("http://127.0.0.1:9", "\n[store]\n");
    let tables = ["schema = 1", "[store]", "[upstream]", "[server]", "[hardened]"];
    let scenarios = include_str!("../../../../docs/scenarios.md");
    let mut keys = 0;
    for table in tables {
        folder.write("hook.toml", text.replacen(table, &format!("{table}\n_ = 1"), 1));
        let refused = folder.run(&["serve", "--config", "hook.toml"]).stderr;
        let (_, known) = refused.split_once("known keys here are ").unwrap_or_else(|| panic!("{table}: {refused}"));
        for key in known.lines().next().expect("a line").split('`').skip(1).step_by(2) {
            let shown = if table == "[hardened]" { scenarios } else { DOCUMENT };
            // The document names a file's key, and says once that each has a sister for variables.
            let file = key.replace("-env", "-file");
            let is_named = [format!("`{file}`"), format!("`[{key}]`")].iter().any(|name| shown.contains(name));
            assert!(is_named, "{table}: {key} is not documented");
            keys += 1;
        }
    }
    assert!(keys > 40, "only {keys} keys were found");
}
