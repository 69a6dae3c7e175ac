//! A cell of the matrix as the text of a scenario.
//!
//! Owns how each hazard is made. The text is what `hookproof run` reads, so that a cell can be saved, looked at and
//! changed. Windows are short (a lease 3 s, a request 10 s, a key 30 s or 120 s), so that all of them close within the
//! run. When and how hard a fault strikes is drawn from the seed, keyed by what the draw is for.
//!
//! Beside its hazard a cell has noise that the matrix calls harmless to its offer: latency, refused connections,
//! throttling, and lost replies where the promise holds against them. Without these last, no grant would ever be in doubt,
//! and a forgotten key or a late read would have nobody to harm.

use std::fmt::Write as _;

use hookproof_core::promise::{Hazard, Offer, Verdict, promise};
use xxhash_rust::xxh3::xxh3_64;

use super::Cell;
use crate::seed::{Concern, Draws, below};

/// Names of faults that are the hazard begin with this.
pub(super) const HAZARD: &str = "hazard";

const STORM_S: u64 = 120;
/// Longer than any hazard lasts: to outlast a key is a hazard of its own.
const KEY_TTL_S: u64 = 120;
/// Where keys are to be forgotten within the run.
const KEY_TTL_SHORT_S: u64 = 30;
const LIFETIME_S: u64 = 10;
const LEASE_S: u64 = 3;
const CLOCK_ERROR_MS: u64 = 500;
const LAG_S: u64 = 1;

/// The scenario of a cell under `seed`, which is in the text as well.
pub fn source(cell: Cell, seed: u64) -> String {
    let mut text = Text::new(cell, seed);
    text.hazard(cell.hazard);
    text.noise(cell.hazard);
    text.finish(cell, seed)
}

/// How long a key lives: beyond every doubt, unless the promise of keys is not that the grant is applied.
fn key_ttl_s(hazard: Hazard) -> u64 {
    if promise(Offer::IdempotencyKey, hazard) == Verdict::Holds { KEY_TTL_S } else { KEY_TTL_SHORT_S }
}

/// Draws that are keyed by their purpose.
struct Chance(Draws);

impl Chance {
    fn between(&self, what: &str, low: u64, high: u64) -> u64 {
        let [draw, _] = self.0.draw(Concern::Promise, xxh3_64(what.as_bytes()), 0);
        low + below(draw, high - low + 1)
    }

    fn pick<'a, const N: usize>(&self, what: &str, of: [&'a str; N]) -> &'a str {
        let index = self.between(what, 0, N as u64 - 1);
        of[usize::try_from(index).expect("an index of an array")]
    }

    /// A probability between two percentages.
    fn percent(&self, what: &str, low: u64, high: u64) -> String {
        let percent = self.between(what, low, high);
        format!("probability = {}.{:02}\n", percent / 100, percent % 100)
    }
}

/// A stretch of the storm, in milliseconds.
#[derive(Clone, Copy)]
struct Stretch {
    at_ms: u64,
    for_ms: u64,
}

impl Stretch {
    const fn seconds(at: u64, length: u64) -> Self {
        Self { at_ms: at * 1_000, for_ms: length * 1_000 }
    }

    fn write(self) -> String {
        format!("at = \"{}ms\"\nfor = \"{}ms\"\n", self.at_ms, self.for_ms)
    }
}

/// A scenario under construction.
struct Text {
    offer: Offer,
    chance: Chance,
    instances: u64,
    visits_per_minute: u64,
    store: String,
    key_ttl: String,
    read_back_lag: String,
    /// Further keys of `[upstream]`.
    upstream: String,
    faults: String,
    hazards: u32,
}

impl Text {
    fn new(cell: Cell, seed: u64) -> Self {
        let chance = Chance(Draws::new(seed));
        Self {
            offer: cell.offer,
            instances: chance.between("instances", 2, 4),
            visits_per_minute: 2,
            store: String::new(),
            key_ttl: format!("{}s", key_ttl_s(cell.hazard)),
            read_back_lag: format!("{LAG_S}s"),
            upstream: String::new(),
            faults: String::new(),
            hazards: 0,
            chance,
        }
    }

    /// Whether a lost reply is harmless to this offer.
    fn bears_doubt(&self) -> bool {
        promise(self.offer, Hazard::LostReply) == Verdict::Holds
    }

    /// A fault that is the hazard; `rest` are its own keys.
    fn strike(&mut self, kind: &str, rest: &str) {
        self.hazards += 1;
        let name = format!("{HAZARD}-{}", self.hazards);
        self.fault(&name, kind, rest);
    }

    fn fault(&mut self, name: &str, kind: &str, rest: &str) {
        let _ = write!(self.faults, "\n[[fault]]\nkind = \"{kind}\"\nname = \"{name}\"\n{rest}");
    }

    /// A hazard with one of `kinds`, now and then during most of the storm.
    fn strike_often<const N: usize>(&mut self, kinds: [&str; N]) {
        let kind = self.chance.pick("hazard kind", kinds).to_owned();
        let stretch = Stretch { at_ms: self.chance.between("hazard at", 0, 15_000), for_ms: 70_000 };
        let probability = self.chance.percent("hazard probability", 10, 60);
        self.strike(&kind, &(stretch.write() + &probability));
    }

    /// A hazard of some seconds that comes again and again.
    fn strike_again<const N: usize>(&mut self, kinds: [&str; N], rest: &str) {
        let kind = self.chance.pick("hazard kind", kinds).to_owned();
        let at_ms = self.chance.between("hazard at", 1_000, 10_000);
        let stretch = Stretch { at_ms, for_ms: self.chance.between("hazard length", 1_000, 8_000) };
        self.strike(&kind, &format!("{}every = \"25s\"\n{rest}", stretch.write()));
    }

    /// The store refuses for longer than a lease, again and again: everybody, or one instance, whose grants another takes over.
    fn store_outage(&mut self) {
        let one = "on = [\"app-1\"]\n";
        let kinds = [("store.error", one), ("store.error", ""), ("store.read-only", ""), ("store.full", "")];
        let (kind, whom) = kinds[usize::try_from(self.chance.between("hazard kind", 0, 3)).unwrap_or_default()];
        let at_ms = self.chance.between("hazard at", 1_000, 12_000);
        // A lease, and the time after which another instance looks for what is overdue.
        let for_ms = self.chance.between("hazard length", (LEASE_S + 5) * 1_000, 11_500);
        self.strike(kind, &format!("{}every = \"24s\"\n{whom}", Stretch { at_ms, for_ms }.write()));
    }

    fn hazard(&mut self, hazard: Hazard) {
        match hazard {
            Hazard::LostReply => {
                self.strike_often(["quota.lost-reply", "network.lost-reply", "quota.error-after", "quota.malformed"]);
            }
            Hazard::LostRequest => self.strike_often(["network.loss", "network.reset"]),
            Hazard::CrashBeforeSend => self.crash(["claimed"]),
            Hazard::CrashAfterSend => self.crash(["sent", "applied"]),
            Hazard::Stall => self.stall(LEASE_S * 1_000 + 500, LIFETIME_S * 1_000 - 2_000, "25s"),
            Hazard::OverlongStall => {
                self.stall((KEY_TTL_SHORT_S + LEASE_S + 2) * 1_000, (KEY_TTL_SHORT_S + LEASE_S + 12) * 1_000, "60s");
            }
            Hazard::Duplicate => self.strike_often(["network.duplicate"]),
            Hazard::Replay => self.replay(),
            Hazard::OutlastedWindow => self.outlasted_window(),
            Hazard::KeyLost => self.key_lost(),
            Hazard::ReadLag => {
                self.believe_otherwise("read-back-lag", &format!("{LAG_S}s"));
                self.read_back_lag = format!("{}s", self.chance.between("lag", 2 * LIFETIME_S, 4 * LIFETIME_S));
            }
            Hazard::FalseAck => self.strike_often(["quota.false-ack"]),
            Hazard::CommitUnknown => self.commit_unknown(),
            Hazard::StoreOutage => self.store_outage(),
            Hazard::StoreRollback => self.roll_back("", [500, 40_000]),
            Hazard::SilentRollback => self.roll_back("silent = true\n", [(KEY_TTL_SHORT_S + 4) * 1_000, 40_000]),
            Hazard::TwoStores => self.store.push_str("authority = \"per-instance\"\n"),
            Hazard::ClockError => self.clock_error(),
            Hazard::ClockBeyondBound => self.clock_beyond_bound(),
        }
    }

    fn crash<const N: usize>(&mut self, moments: [&str; N]) {
        let moment = self.chance.pick("moment", moments).to_owned();
        let stretch = Stretch { at_ms: self.chance.between("hazard at", 0, 10_000), for_ms: 80_000 };
        let probability = self.chance.percent("hazard probability", 5, 50);
        let downtime = self.chance.between("downtime", 100, 5_000);
        let rest = format!("{}when = \"{moment}\"\ndowntime = \"{downtime}ms\"\n{probability}", stretch.write());
        self.strike("process.crash", &rest);
    }

    /// One instance stands still between guard and write; the others go on.
    fn stall(&mut self, shortest_ms: u64, longest_ms: u64, every: &str) {
        let at_ms = self.chance.between("hazard at", 1_000, 8_000);
        let stretch = Stretch { at_ms, for_ms: self.chance.between("hazard length", shortest_ms, longest_ms) };
        let probability = self.chance.percent("hazard probability", 30, 100);
        let rest =
            format!("{}every = \"{every}\"\nwhen = \"claimed\"\non = [\"app-1\"]\n{probability}", stretch.write());
        self.strike("process.pause", &rest);
    }

    fn replay(&mut self) {
        let stretch = Stretch::seconds(0, 80).write();
        let delay = self.chance.between("delay", KEY_TTL_SHORT_S + 1, 2 * KEY_TTL_SHORT_S);
        let probability = self.chance.percent("hazard probability", 10, 60);
        self.strike("quota.replay", &format!("{stretch}delay = \"{delay}s\"\n{probability}"));
    }

    fn outlasted_window(&mut self) {
        let stretch = Stretch {
            at_ms: self.chance.between("hazard at", 1_000, 20_000),
            for_ms: self.chance.between("hazard length", (KEY_TTL_SHORT_S + 2) * 1_000, 70_000),
        };
        let kind =
            self.chance.pick("hazard kind", ["network.lost-reply", "quota.lost-reply", "quota.outage"]).to_owned();
        let mode = if kind == "quota.outage" { "mode = \"hang\"\n" } else { "" };
        self.strike(&kind, &(stretch.write() + mode));
    }

    fn key_lost(&mut self) {
        let mut kind = self.chance.pick("hazard kind", ["restart", "profile", "belief", "lag"]);
        if kind == "lag" && self.offer != Offer::IdempotencyKey {
            // Nobody else looks keys up, so a replica would have nothing to hide.
            kind = "restart";
        }
        match kind {
            "restart" => {
                let every = self.chance.between("hazard every", 300, 3_000);
                self.strike("quota.restart", &format!("every = \"{every}ms\"\n"));
            }
            "profile" => self.upstream.push_str("profile = \"keys-ignored\"\n"),
            "belief" => {
                self.believe_otherwise("key-ttl", &self.key_ttl.clone());
                self.key_ttl = format!("{}ms", self.chance.between("ttl", 50, 1_000));
            }
            _ => {
                let lag = self.chance.between("lag", 1, 20);
                let rest = format!("{}lag = \"{lag}s\"\n", Stretch::seconds(0, 80).write());
                self.strike("quota.key-lag", &rest);
            }
        }
    }

    fn believe_otherwise(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.upstream, "believed = {{ {key} = \"{value}\" }}");
    }

    fn commit_unknown(&mut self) {
        match self.chance.pick("hazard", ["lost-ack", "outage", "latency"]) {
            "lost-ack" => self.strike_often(["store.lost-ack"]),
            "outage" => self.strike_again(["store.outage"], ""),
            _ => {
                let add = self.chance.between("add", 900, 8_000);
                let probability = self.chance.percent("hazard probability", 10, 80);
                self.strike_again(["store.latency"], &format!("add = \"{add}ms\"\n{probability}"));
            }
        }
    }

    /// What was lost must be visited again, or nobody could know of it: hence many visits.
    fn roll_back(&mut self, rest: &str, [least_ms, most_ms]: [u64; 2]) {
        self.visits_per_minute = 15;
        let lost_ms = self.chance.between("lost", least_ms, most_ms);
        let at_ms = self.chance.between("hazard at", lost_ms, 45_000);
        self.strike("store.failover", &format!("at = \"{at_ms}ms\"\nlost = \"{lost_ms}ms\"\n{rest}"));
    }

    /// The store's clock swings from one end of its declared bound to the other; the instances' are off anyhow.
    fn clock_error(&mut self) {
        let by = self.chance.between("by", 50, CLOCK_ERROR_MS);
        let at_ms = self.chance.between("hazard at", 0, 900);
        let first = self.chance.pick("sign", ["", "-"]);
        let second = if first.is_empty() { "-" } else { "" };
        for (at_ms, sign) in [(at_ms, first), (at_ms + 6_000, second)] {
            let rest = format!("at = \"{at_ms}ms\"\nfor = \"5s\"\nevery = \"12s\"\nby = \"{sign}{by}ms\"\n");
            self.strike("clock.offset", &(rest + "on = [\"store\"]\n"));
        }
        let by = self.chance.between("step by", 1, 7_200);
        let every = self.chance.between("step every", 3, 20);
        let sign = self.chance.pick("step sign", ["", "-"]).to_owned();
        self.strike("clock.step", &format!("every = \"{every}s\"\nby = \"{sign}{by}s\"\non = [\"app-1\"]\n"));
        let ppm = self.chance.between("ppm", 0, 400_000);
        let faster = self.chance.between("faster", 0, 1);
        let sign = if faster == 1 { "" } else { "-" };
        let stretch = Stretch::seconds(1, 100).write();
        self.strike("clock.drift", &format!("{stretch}ppm = {sign}{}\non = [\"app-2\"]\n", ppm + 1));
        self.strike("clock.freeze", &format!("{stretch}on = [\"app-1\", \"app-2\"]\nprobability = 0.5\n"));
    }

    /// The store's clock stands for long, or runs ahead again and again, while requests are slow and replies are lost.
    fn clock_beyond_bound(&mut self) {
        let by = self.chance.between("by", 40, 90);
        if self.chance.pick("direction", ["back", "ahead"]) == "back" {
            let at_ms = self.chance.between("hazard at", 2_000, 6_000);
            self.strike("clock.step", &format!("at = \"{at_ms}ms\"\nby = \"-{by}s\"\non = [\"store\"]\n"));
        } else {
            let every = self.chance.between("hazard every", 1, 4);
            self.strike("clock.step", &format!("every = \"{every}s\"\nby = \"{by}s\"\non = [\"store\"]\n"));
        }
        if self.bears_doubt() {
            self.fault(
                "noise-silence",
                "network.lost-reply",
                &(Stretch::seconds(1, 45).write() + "probability = 0.9\n"),
            );
            self.fault(
                "noise-overtaken",
                "network.reorder",
                &(Stretch::seconds(1, 80).write() + "probability = 0.4\n"),
            );
        }
    }

    fn noise(&mut self, hazard: Hazard) {
        let stretch = Stretch::seconds(0, 90).write();
        let add = self.chance.between("noise latency", 1, 80);
        self.fault("noise-latency", "network.latency", &format!("{stretch}add = \"{add}ms\"\nprobability = 0.3\n"));
        let refused = self.chance.percent("noise refused", 0, 10);
        self.fault("noise-refused", "quota.outage", &(stretch.clone() + &refused));
        // Where a settlement comes too late, only an attempt that was *not* applied leaves something to be parked.
        let is_late = matches!(hazard, Hazard::StoreOutage | Hazard::ClockBeyondBound);
        let throttled = if is_late && !self.bears_doubt() { (30, 60) } else { (0, 5) };
        let throttled = self.chance.percent("noise throttle", throttled.0, throttled.1);
        self.fault("noise-throttle", "quota.throttle", &(stretch.clone() + "retry-after = \"200ms\"\n" + &throttled));
        if self.bears_doubt() {
            let lost = self.chance.percent("noise lost", 10, 30);
            self.fault("noise-lost", "network.lost-reply", &(stretch + &lost));
        }
    }

    fn finish(self, cell: Cell, seed: u64) -> String {
        let batch = self.chance.between("batch", 1, 8);
        let Self { instances, visits_per_minute, store, key_ttl, read_back_lag, upstream, faults, .. } = self;
        let (hazard, offer) = (cell.hazard, cell.offer.name());
        // Several authorities are refused for a judged hook.
        let judge = if hazard == Hazard::TwoStores { "judge = []\n" } else { "" };
        let (says, verdict) = (hazard.says(), cell.verdict().name());
        format!(
            r#"schema = 1
title = "{offer}: {says}"
about = "A cell of the promise matrix: {verdict}."
seed = {seed}
duration = "{STORM_S}s"
calm = "10m"
hooks = ["hardened"]
{judge}
[experiment]
id = "promise"
[[experiment.variant]]
name = "control"
weight = 10
[[experiment.variant]]
name = "extra-quota"
weight = 90
grant = 25

[users]
population = 60
visits = {{ mean = {visits_per_minute}, per = "1m" }}

[fleet]
instances = {instances}

[store]
clock-error = "{CLOCK_ERROR_MS}ms"
{store}
[upstream]
service-time = "20ms"
capability = "{offer}"
request-lifetime = "{LIFETIME_S}s"
key-ttl = "{key_ttl}"
read-back-lag = "{read_back_lag}"
{upstream}
[hardened]
lease = "{LEASE_S}s"
connect-timeout = "300ms"
attempt-timeout = "1s"
backoff-cap = "2s"
breaker-open = "1s"
breaker-open-cap = "4s"
commit-batch = {batch}
{faults}"#
        )
    }
}
