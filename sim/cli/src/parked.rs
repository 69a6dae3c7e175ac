//! `parked …`: an operator's word about grants that wait for one.

use std::collections::HashSet;
use std::fmt::Write as _;

use hookproof_runtime::client::{Roots, trust};
use hookproof_runtime::sidecar::operator::{AskError, Operator, Parked, ParkedList};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::args::{CheckFormat, ParkedListArgs, ParkedResolveArgs, ParkedShowArgs, SidecarArgs};
use crate::exit::{Exit, Failure};
use crate::hook_file::{secret_file, variable};
use crate::runtime;
use crate::scenarios::read as read_file;
use crate::terminal;

/// Holds the token itself, where there is no file.
const VARIABLE: &str = "HOOKPROOF_TOKEN";
/// Grants that are asked for at once.
const PAGE: usize = 1_000;

/// Prints all parked grants.
///
/// # Errors
/// The sidecar can't be asked, or refuses.
pub(crate) fn list(args: &ParkedListArgs) -> Result<Exit, Failure> {
    let mut all: Vec<Parked> = Vec::new();
    let mut after = String::new();
    let total = loop {
        let page: ParkedList = read(ask(&args.sidecar, &format!("/v1/parked?limit={PAGE}{after}"), None)?)?;
        // One that was parked again since the last page stands at its new place only.
        let again: HashSet<&str> = page.parked.iter().map(|parked| parked.grant_id.as_str()).collect();
        all.retain(|parked| !again.contains(parked.grant_id.as_str()));
        all.extend(page.parked);
        let Some(next) = page.next else { break page.total };
        after = format!("&after={next}");
    };
    let text = match args.format {
        CheckFormat::Human => all.iter().fold(String::new(), |mut text, parked| {
            let Parked { grant_id, user_id, units, reason, parked_at, .. } = parked;
            let since = parked_at.as_deref().unwrap_or("-");
            let _ = writeln!(text, "{grant_id}  {since}  {reason}  {units} units  {}", user_id.escape_debug());
            text
        }),
        CheckFormat::Json => json_text(&json!({"total": total, "parked": all})),
    };
    terminal::print(text.as_bytes())?;
    Ok(Exit::Pass)
}

/// Prints a parked grant with all that is known of it.
///
/// # Errors
/// As of [`list`]; it is not parked.
pub(crate) fn show(args: &ParkedShowArgs) -> Result<Exit, Failure> {
    let answer = ask(&args.sidecar, &format!("/v1/parked/{}", args.grant), None)?;
    let text = match args.format {
        CheckFormat::Human => human(&read(answer)?),
        CheckFormat::Json => json_text(&answer),
    };
    terminal::print(text.as_bytes())?;
    Ok(Exit::Pass)
}

/// Ends a parked grant or makes it due again, and prints in what state it is then.
///
/// # Errors
/// As of [`show`].
pub(crate) fn resolve(args: &ParkedResolveArgs) -> Result<Exit, Failure> {
    let body = json!({"as": args.resolution});
    let answer = ask(&args.sidecar, &format!("/v1/parked/{}/resolve", args.grant), Some(&body))?;
    let state = answer["state"].as_str().unwrap_or("resolved").escape_debug().to_string();
    terminal::print(format!("{} is {state}\n", args.grant).as_bytes())?;
    Ok(Exit::Pass)
}

fn human(parked: &Parked) -> String {
    let Parked { grant_id, user_id, units, reason, look_up, attempts, .. } = parked;
    let known = |text: &Option<String>| text.as_deref().unwrap_or("-").escape_debug().to_string();
    let lines = [
        ("grant", grant_id.clone()),
        ("user", user_id.escape_debug().to_string()),
        ("units", units.to_string()),
        ("reason", reason.clone()),
        ("last answer", known(&parked.last_answer)),
        ("attempts", attempts.to_string()),
        ("first sent at", known(&parked.first_sent_at)),
        ("sent until", known(&parked.sent_until)),
        ("parked at", known(&parked.parked_at)),
        ("correlation", known(&parked.correlation_id)),
        ("look up", look_up.clone()),
    ];
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<14} {value}");
        text
    })
}

fn ask(sidecar: &SidecarArgs, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let token = match &sidecar.token_file {
        Some(path) => secret_file(path),
        None => variable(VARIABLE),
    };
    let no_token =
        |why| Failure::bad_input(format!("there is no token, which --token-file or {VARIABLE} gives: {why}"));
    let token = token.map_err(no_token)?;
    let pem = sidecar.ca_file.as_deref().map(read_file).transpose()?;
    let tls = trust(Roots::of(pem.as_deref(), &sidecar.url))
        .map_err(|error| Failure::bad_input(format!("--ca-file: {error}")))?;
    let operator = Operator::new(sidecar.url.clone(), token.reveal(), tls).map_err(|error| failure(&error))?;
    runtime::of_this_thread()?.block_on(operator.ask(path, body)).map_err(|error| failure(&error))
}

fn failure(error: &AskError) -> Failure {
    let message = error.to_string();
    match error {
        AskError::Unreachable { .. } | AskError::Refused { status: 500.., .. } => Failure::harness(message),
        AskError::NotLoopback(_) | AskError::Url(_) | AskError::Token | AskError::Refused { .. } => {
            Failure::bad_input(message)
        }
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| Failure::harness(format!("the answer is no sidecar's: {error}")))
}

fn json_text(value: &Value) -> String {
    format!("{value:#}\n")
}
