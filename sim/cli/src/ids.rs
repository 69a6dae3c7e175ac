//! Whether what is printed and written names users by their ids or by pseudonyms, and who is meant by a pseudonym.
//!
//! The one place that reads the key. Ids are hidden where a record is made, so none of its renderings can show one.

use std::env;
use std::fs;

use hookproof_reports::{Pseudonyms, RunRecord, ScenarioId, UserIds};
use hookproof_sim::users;

use crate::args::IdArgs;
use crate::exit::Failure;
use crate::scenarios;
use crate::story;
use crate::terminal::Terminal;

/// Holds the key itself, for CI servers that give secrets so.
const VARIABLE: &str = "HOOKPROOF_ID_KEY";

/// How users are called.
pub(crate) struct Ids {
    pseudonyms: Pseudonyms,
    are_shown: bool,
}

/// A user, as somebody calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// By number.
    Number(u32),
    /// By pseudonym.
    Pseudonym(String),
}

impl Ids {
    /// As `args` and the environment say.
    ///
    /// # Errors
    /// The key can't be read, or is too short.
    pub(crate) fn resolve(args: &IdArgs) -> Result<Self, Failure> {
        let variable = || env::var_os(VARIABLE).filter(|key| !key.is_empty());
        let key = match &args.id_key {
            Some(path) => {
                let bytes = fs::read(path).map_err(|error| scenarios::unreadable(path, &error))?;
                Some((format!("--id-key {}", path.display()), bytes))
            }
            None => variable().map(|key| (VARIABLE.to_owned(), key.into_encoded_bytes())),
        };
        let pseudonyms = match key {
            None => Pseudonyms::by_scenario(),
            Some((name, key)) => Pseudonyms::by_secret(key.trim_ascii_end())
                .map_err(|error| Failure::bad_input(format!("{name}: {error}; `openssl rand -hex 32` makes one")))?,
        };
        Ok(Self { pseudonyms, are_shown: args.show_ids })
    }

    /// The record as it may be printed and written.
    pub(crate) fn presented(&self, mut record: RunRecord) -> RunRecord {
        if !self.are_shown {
            self.pseudonyms.hide(&mut record);
        }
        record
    }

    /// A stored record likewise; what it does not hold cannot be shown.
    pub(crate) fn presented_again(&self, record: RunRecord, terminal: &Terminal) -> RunRecord {
        if self.are_shown && record.user_ids != UserIds::Shown {
            terminal.complain("the record holds pseudonyms, not ids: they are shown of a run with --show-ids");
        }
        self.presented(record)
    }

    /// Whom somebody means, among the users below `count`.
    pub(crate) fn meant(&self, called: &Called, scenario: &ScenarioId, count: u32) -> Vec<u32> {
        match called {
            Called::Number(number) => vec![*number],
            Called::Pseudonym(pseudonym) => {
                let is_meant = |user: &u32| self.pseudonyms.user(scenario, &users::name(*user)) == *pseudonym;
                (0..count).filter(is_meant).collect()
            }
        }
    }
}

/// Reads what somebody calls a user.
pub(crate) fn parse(text: &str) -> Result<Called, String> {
    let number = story::user_number(text).map(Called::Number);
    let pseudonym = || Pseudonyms::is_user(text).then(|| Called::Pseudonym(text.to_owned()));
    let form = "a simulated user is named user-17 or 17, or by the pseudonym of a report, as user:3f9a1c0b2d4e";
    number.or_else(pseudonym).ok_or_else(|| form.to_owned())
}
