//! Pseudonyms in the place of user ids, so that a record can be handed on.
//!
//! Owns the form of a pseudonym, its key, and where in a record ids stand. Does not know who may see ids, or where a key is
//! kept. A pseudonym is a function of key and id alone: equal records under equal keys give equal bytes.
//!
//! * A secret key hides ids from whoever has not got it.
//! * Without one the key is the digest of the scenario, which stands in the record: that hides ids from a reader, not from
//!   somebody who tries all ids that there may be.
//!
//! Read next: `reports/tests/renderings/pseudonym.rs`; `sim/cli/tests/command_line/privacy.rs`.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::record::{Run, RunRecord, ScenarioId, Story};

/// What every pseudonym of a user begins with.
const PREFIX: &str = "user:";
/// Bytes of the keyed hash that a pseudonym shows, in two hexadecimal digits each. Among n users some two share one with a
/// probability of about n² ÷ 2⁴⁹: 7 in ten million for 20,000 users, 2 in a thousand for a million.
const BYTES: usize = 6;

/// How user ids stand in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserIds {
    /// As they are; so they stand in older records.
    #[default]
    Shown,
    /// As pseudonyms under a key that follows from the record itself.
    ScenarioKey,
    /// As pseudonyms under a key that somebody keeps.
    SecretKey,
}

/// The secret is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTooShort;

impl fmt::Display for KeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of fewer than {} bytes is soon guessed", Pseudonyms::KEY_LENGTH_MIN)
    }
}

impl std::error::Error for KeyTooShort {}

/// Gives pseudonyms.
#[derive(Clone)]
pub struct Pseudonyms(Option<Hmac<Sha256>>);

impl Pseudonyms {
    /// The least length of a secret key, in bytes.
    pub const KEY_LENGTH_MIN: usize = 16;

    /// Under the digest of the scenario that the user belongs to.
    pub const fn by_scenario() -> Self {
        Self(None)
    }

    /// Under a key of one's own, the same for every scenario.
    ///
    /// # Errors
    /// The key has fewer than [`Self::KEY_LENGTH_MIN`] bytes.
    pub fn by_secret(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < Self::KEY_LENGTH_MIN { Err(KeyTooShort) } else { Ok(Self(Some(keyed(key)))) }
    }

    /// The pseudonym of one of the scenario's users.
    pub fn user(&self, scenario: &ScenarioId, id: &str) -> String {
        format!("{PREFIX}{}", self.code(scenario, "user", id))
    }

    /// Whether a text has the form of a user's pseudonym.
    pub fn is_user(text: &str) -> bool {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.strip_prefix(PREFIX).is_some_and(|code| code.len() == 2 * BYTES && code.bytes().all(is_digit))
    }

    /// The first digits of HMAC-SHA-256 over what the text is, a zero byte and the text.
    fn code(&self, scenario: &ScenarioId, what: &str, text: &str) -> String {
        let hmac = self.0.clone().unwrap_or_else(|| keyed(scenario.digest.as_bytes()));
        let hash = hmac.chain_update(what).chain_update([0]).chain_update(text).finalize().into_bytes();
        hex::encode(&hash[..BYTES])
    }

    /// Puts a pseudonym in the place of every id in a record; one that has pseudonyms stays as it is.
    pub fn hide(&self, record: &mut RunRecord) {
        match record.user_ids {
            UserIds::ScenarioKey | UserIds::SecretKey => return,
            UserIds::Shown => {}
        }
        record.user_ids = if self.0.is_some() { UserIds::SecretKey } else { UserIds::ScenarioKey };
        for run in &mut record.runs {
            self.hide_in_run(run);
        }
        for ablation in &mut record.ablations {
            let rows = std::iter::once(&mut ablation.complete).chain(&mut ablation.removed);
            for broken in rows.flat_map(|row| &mut row.breaks) {
                if let Some(user) = &mut broken.user {
                    let hidden = self.user(&ablation.scenario, user);
                    broken.found = broken.found.replacen(&format!(", {user}:"), &format!(", {hidden}:"), 1);
                    *user = hidden;
                }
            }
        }
    }

    fn hide_in_run(&self, run: &mut Run) {
        let scenario = &run.scenario;
        let hide = |user: &mut String| *user = self.user(scenario, user);
        let violations = run.invariants.iter_mut().filter_map(|invariant| invariant.first.as_mut());
        violations.filter_map(|first| first.user.as_mut()).for_each(hide);
        run.worst_users.iter_mut().for_each(|worst| hide(&mut worst.user));
        run.parked.iter_mut().for_each(|parked| hide(&mut parked.user));
        for story in &mut run.stories {
            self.hide_in_story(scenario, story);
        }
    }

    /// A visit is called by its user and a number; any other name for one may hold an id as well.
    fn hide_in_story(&self, scenario: &ScenarioId, story: &mut Story) {
        let hidden = self.user(scenario, &story.user);
        for correlation in story.steps.iter_mut().filter_map(|step| step.correlation.as_mut()) {
            let number = correlation.strip_prefix(story.user.as_str()).and_then(|rest| rest.strip_prefix('/'));
            *correlation = match number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                Some(number) => format!("{hidden}/{number}"),
                None => format!("visit:{}", self.code(scenario, "visit", correlation)),
            };
        }
        story.user = hidden;
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}
