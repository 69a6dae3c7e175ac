//! The event log of a run: one JSON object a line, in order of time.
//!
//! Owns the lines' form ([`Line`]), which is that of the logs that other systems write of themselves: what a log cannot know, such as a
//! fault's touch or a claim, is not in it. The run is simulated again with somebody listening, so nothing is held in memory.
//!
//! * Times are true UTC: the scenario's start and the run's time.
//! * Users are named in one place ([`user`]).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use hookproof_core::experiment::Experiment;
use hookproof_core::identity::GrantId;
use hookproof_core::protection::Protections;
use hookproof_core::store::GrantState;
use hookproof_core::time::Instant;
use hookproof_core::upstream::{Answer, Ask, Lost, NotSent};
use hookproof_sim::chronicle::{Entry, Happening, Place};
use hookproof_sim::fault::kind_name;
use hookproof_sim::scenario::{FaultKind, HookKind, Scenario};
use hookproof_sim::{Recording, Setting, run_listening, users};
use serde::Serialize;

use crate::record;

/// Runs the scenario and writes what happens; the digest of the run.
///
/// # Errors
/// Of `out`.
pub(crate) fn write(scenario: &Scenario, hook: HookKind, seed: u64, out: &mut dyn Write) -> io::Result<String> {
    let setting = Setting { hook, protections: Protections::ALL, sabotage: None, recording: Recording::Off, seed };
    let placed = scenario.placed(seed);
    let mut log = Log { scenario: &placed, notes: notes(&placed), out, written: Ok(()) };
    let outcome = run_listening(scenario, setting, &mut |entry| log.tell(entry), &mut |_| {});
    log.note_until(scenario.duration + scenario.calm);
    log.written?;
    Ok(format!("{:032x}", outcome.digest))
}

/// A line. What it has no field for is left out; readers ignore fields that they do not know.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    t: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// `read` for a request that only asks whether a grant was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<u32>,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    settled_as: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// The id of a user.
fn user(user: u32) -> String {
    users::name(user)
}

/// The name of a user's how-manieth request.
fn request(whose: u32, number: u64) -> String {
    format!("{}/request-{number}", user(whose))
}

/// A try of a visit: the first has the visit's own name.
fn visit(whose: u32, visit: u64, attempt: u32) -> (String, Option<String>) {
    let first = format!("{}/visit-{visit}", user(whose));
    if attempt <= 1 { (first, None) } else { (format!("{first}/try-{attempt}"), Some(first)) }
}

/// Ends of spikes and of the storm, which are no events of anybody, in order of time.
fn notes(placed: &Scenario) -> VecDeque<(Duration, String)> {
    let spikes = placed.traffic.iter().filter(|traffic| !traffic.kind.is_open()).map(|spike| {
        let (at, length) = spike.kind.stretch();
        (at + length, format!("fault-end {} (spike)", spike.name))
    });
    let mut notes: Vec<(Duration, String)> = spikes.collect();
    notes.push((placed.duration, "storm-end".to_owned()));
    notes.sort_by_key(|(at, _)| *at);
    notes.into()
}

struct Log<'a> {
    scenario: &'a Scenario,
    /// What is still to be noted.
    notes: VecDeque<(Duration, String)>,
    out: &'a mut dyn Write,
    /// The first failure; nothing is written after it.
    written: io::Result<()>,
}

impl<'a> Log<'a> {
    fn tell(&mut self, entry: &Entry) {
        let at = entry.at.since(Instant::ORIGIN);
        self.note_until(at);
        let user = entry.user.map(user);
        let instance = if let Place::Instance(instance) = entry.place { Some(instance) } else { None };
        let Some(line) = self.line(entry) else { return };
        let instance = line.instance.or_else(|| instance.map(app));
        let line = Line { t: self.utc(at), user, instance, ..line };
        put(self.out, &mut self.written, &line);
    }

    /// Writes the notes up to a time.
    fn note_until(&mut self, at: Duration) {
        while self.notes.front().is_some_and(|(noted_at, _)| *noted_at <= at) {
            let Some((noted_at, text)) = self.notes.pop_front() else { return };
            let line = Line { t: self.utc(noted_at), kind: "note", text: Some(text), ..Line::default() };
            put(self.out, &mut self.written, &line);
        }
    }

    fn utc(&self, at: Duration) -> String {
        record::utc(self.scenario.start + at)
    }

    /// The line without time, user and place; `None` for what no log of a system has.
    fn line(&self, entry: &Entry) -> Option<Line<'a>> {
        let whose = entry.user.unwrap_or_default();
        let line = match entry.what {
            Happening::Tries { attempt, instance, visit: number } => {
                let (visit, retry_of) = visit(whose, number, attempt);
                let (visit, instance) = (Some(visit), Some(app(instance)));
                Line { kind: "visit", visit, retry_of, instance, ..Line::default() }
            }
            Happening::Exposed { variant, version } => self.exposure(version, variant),
            Happening::Sent { number, ask, key, .. } => Line {
                kind: "call",
                request: Some(request(whose, number)),
                key: key.map(|key| GrantId::from_bytes(key).to_string()),
                ask: (ask == Ask::Read).then_some("read"),
                ..Line::default()
            },
            Happening::Heard { number, answer } => {
                let (status, error) = heard(answer);
                Line { kind: "answer", request: Some(request(whose, number)), status, error, ..Line::default() }
            }
            Happening::Served { number, units: Some(units), .. } => {
                Line { kind: "effect", request: Some(request(whose, number)), units: Some(units), ..Line::default() }
            }
            Happening::Settled { state } => {
                Line { kind: "settled", settled_as: Some(settled(state)?), ..Line::default() }
            }
            Happening::Starts { .. } => Line { kind: "start", ..Line::default() },
            Happening::Stops { .. } => Line { kind: "stop", ..Line::default() },
            Happening::FaultStarts { fault } => self.fault("fault-start", fault),
            Happening::FaultEnds { fault } => self.fault("fault-end", fault),
            Happening::Visits
            | Happening::TryFailed { .. }
            | Happening::Shown { .. }
            | Happening::Claimed { .. }
            | Happening::Touched { .. }
            | Happening::Repeated { .. }
            | Happening::Arrived { .. }
            | Happening::Served { units: None, .. } => return None,
        };
        Some(line)
    }

    /// What is recorded of an exposure to a variant of a version: the scenario's, or one of its roll-outs' in file order.
    fn exposure(&self, version: u8, variant: u8) -> Line<'a> {
        let deployed = self.scenario.faults.iter().filter_map(|fault| {
            if let FaultKind::ProcessDeploy { experiment, .. } = &fault.kind { Some(&**experiment) } else { None }
        });
        let experiment = std::iter::once(&self.scenario.experiment).chain(deployed).nth(usize::from(version));
        let variant = experiment.and_then(|experiment| experiment.variants().get(usize::from(variant)));
        Line {
            kind: "exposure",
            variant: Some(variant.map_or("unknown", |variant| variant.name.as_str())),
            experiment: experiment.map(Experiment::id),
            version: experiment.map(Experiment::version),
            ..Line::default()
        }
    }

    fn fault(&self, what: &str, fault: u32) -> Line<'a> {
        let fault = self.scenario.faults.get(fault as usize);
        let named = fault.map_or_else(String::new, |fault| format!(" {} ({})", fault.name, kind_name(&fault.kind)));
        Line { kind: "note", text: Some(format!("{what}{named}")), ..Line::default() }
    }
}

fn put(out: &mut dyn Write, written: &mut io::Result<()>, line: &Line<'_>) {
    if written.is_ok() {
        let text = serde_json::to_string(line).expect("a line has text keys and no map");
        *written = writeln!(out, "{text}");
    }
}

fn app(instance: u16) -> String {
    format!("app-{}", u32::from(instance) + 1)
}

/// A status or an error.
const fn heard(answer: Answer) -> (Option<u16>, Option<&'static str>) {
    match answer {
        Answer::Status { code, .. } => (Some(code), None),
        Answer::NotSent(NotSent::Dns) => (None, Some("dns")),
        Answer::NotSent(NotSent::Refused) => (None, Some("refused")),
        Answer::NotSent(NotSent::ConnectTimeout) => (None, Some("connect-timeout")),
        Answer::NotSent(NotSent::Tls) => (None, Some("tls")),
        Answer::Lost(Lost::Timeout) => (None, Some("timeout")),
        Answer::Lost(Lost::Reset) => (None, Some("reset")),
        Answer::Lost(Lost::Truncated) => (None, Some("truncated")),
    }
}

/// The final states.
const fn settled(state: GrantState) -> Option<&'static str> {
    match state {
        GrantState::Delivered => Some("delivered"),
        GrantState::Rejected => Some("rejected"),
        GrantState::Parked => Some("parked"),
        GrantState::Pending | GrantState::Claimed => None,
    }
}
