//! The protocol's bodies.

use hookproof_core::experiment::{Experiment, VariantIndex};
use hookproof_core::identity::GrantId;
use hookproof_core::store::rows::GrantRecord;
use hookproof_core::store::{Evidence, GrantState, Resolution};
use hookproof_core::time::WallTime;
use serde::{Deserialize, Serialize};

use super::times;
use crate::hook::{Basis, Visited};
use crate::store::{ParkedPlace, Stored};

/// `POST /v1/visits`.
#[derive(Debug, Deserialize)]
pub(super) struct Visit {
    pub(super) user_id: String,
    pub(super) correlation_id: Option<String>,
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(super) struct VisitAnswer<'e> {
    variant: &'e str,
    assignment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<Grant>,
    provisional: bool,
}

impl<'e> VisitAnswer<'e> {
    pub(super) fn new(experiment: &'e Experiment, visited: Visited) -> Self {
        Self {
            variant: variant(experiment, visited.variant),
            assignment: visited.basis.name(),
            grant: visited.grant.map(|(id, state)| Grant::new(id, state)),
            provisional: visited.basis == Basis::Provisional,
        }
    }
}

/// The variant's name. A record may be of a version with more variants than this one.
pub(super) fn variant(experiment: &Experiment, variant: VariantIndex) -> &str {
    experiment.variants().get(variant.index()).map_or("unknown", |variant| &variant.name)
}

/// A grant in a visit's answer.
#[derive(Debug, Serialize)]
pub(super) struct Grant {
    id: String,
    state: &'static str,
}

impl Grant {
    pub(super) fn new(id: GrantId, state: GrantState) -> Self {
        Self { id: id.to_string(), state: state.name() }
    }
}

/// A grant by itself. The user is not told: whoever has the id need not know whose it is.
#[derive(Debug, Serialize)]
pub(super) struct GrantStatus {
    id: String,
    state: &'static str,
    units: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
}

impl GrantStatus {
    /// Nothing if the record has no grant.
    pub(super) fn new(id: GrantId, stored: &Stored) -> Option<Self> {
        let record = stored.record.grant?;
        let (attempts, due_at) = match record {
            GrantRecord::Pending(open) | GrantRecord::Claimed(open) => (Some(open.attempts), times::text(open.due_at)),
            GrantRecord::Parked(evidence) => (Some(evidence.attempts), None),
            GrantRecord::Delivered | GrantRecord::Rejected => (None, None),
        };
        let state = record.state().name();
        Some(Self { id: id.to_string(), state, units: stored.units, attempts, due_at })
    }
}

/// `GET /v1/parked`.
#[derive(Debug, Deserialize, Serialize)]
pub struct ParkedList {
    /// How many there are in all.
    pub total: u64,
    /// The first ones, by when they were parked.
    pub parked: Vec<Parked>,
    /// What to ask for `after`, if there may be more: the last one's place, which outlives its resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl ParkedList {
    /// A page of at most `limit`.
    pub(super) fn new(total: u64, page: &[Stored], limit: u16) -> Self {
        let is_full = page.len() >= usize::from(limit);
        let next = page.last().filter(|_| is_full).and_then(Stored::parked_place).map(place_text);
        Self { total, parked: page.iter().filter_map(Parked::new).collect(), next }
    }
}

/// A place in the list of parked grants, as its reader hands it back.
fn place_text(place: ParkedPlace) -> String {
    format!("{}@{}", place.grant, place.parked_at.as_unix_nanos())
}

/// The place whose text it is.
pub(super) fn parked_place(text: &str) -> Option<ParkedPlace> {
    let (grant, nanos) = text.split_once('@')?;
    Some(ParkedPlace { parked_at: WallTime::from_unix_nanos(nanos.parse().ok()?), grant: grant_id(grant)? })
}

/// A grant that waits for a human, with the evidence.
#[derive(Debug, Deserialize, Serialize)]
pub struct Parked {
    /// The grant.
    pub grant_id: String,
    /// Whose it is: the ledger is looked up by it.
    pub user_id: String,
    /// By how much.
    pub units: u32,
    /// Why it was parked.
    pub reason: String,
    /// What to look up, and what follows from it.
    pub look_up: String,
    /// The class of the last answer, if there was one.
    pub last_answer: Option<String>,
    /// Requests.
    pub attempts: u32,
    /// When the first request was sent; null if that is not known, or none was.
    pub first_sent_at: Option<String>,
    /// No request was sent after this.
    pub sent_until: Option<String>,
    /// When it was parked.
    pub parked_at: Option<String>,
    /// Ties it to the visit.
    pub correlation_id: Option<String>,
}

impl Parked {
    /// Nothing if it is not parked.
    pub(super) fn new(stored: &Stored) -> Option<Self> {
        let Some(GrantRecord::Parked(evidence)) = stored.record.grant else { return None };
        let Evidence { grant, units, fence: _, reason, answer, attempts, first_sent_at, sent_until, parked_at } =
            evidence;
        Some(Self {
            grant_id: grant.to_string(),
            user_id: stored.user.id.as_ref().to_owned(),
            units,
            reason: reason.name().to_owned(),
            look_up: reason.look_up().to_owned(),
            last_answer: answer.map(|answer| answer.name().to_owned()),
            attempts,
            first_sent_at: times::text(first_sent_at),
            sent_until: times::text(sent_until),
            parked_at: times::text(parked_at),
            correlation_id: stored.user.correlation.as_deref().map(str::to_owned),
        })
    }
}

/// `POST /v1/parked/{id}/resolve`.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Resolving {
    /// One of the names of [`Resolution`].
    #[serde(rename = "as")]
    pub(super) resolution: String,
}

/// The resolution of that name.
pub(super) fn resolution(name: &str) -> Option<Resolution> {
    Resolution::ALL.into_iter().find(|resolution| resolution.name() == name)
}

/// `POST /ofrep/v1/evaluate/flags/{key}`, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(super) struct Evaluate {
    pub(super) context: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The id whose text it is.
pub(super) fn grant_id(text: &str) -> Option<GrantId> {
    let bytes: [u8; 16] = hex::decode(text.replace('-', "")).ok()?.try_into().ok()?;
    let id = GrantId::from_bytes(bytes);
    text.eq_ignore_ascii_case(&id.to_string()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = GrantId::from_bytes(*b"0123456789abcdef");
        assert_eq!(grant_id(&id.to_string()), Some(id));
        assert_eq!(grant_id(&id.to_string().to_uppercase()), Some(id));
        for text in ["", "-", "30313233343536373839616263646566", "x0313233-3435-3637-3839-616263646566", "é"] {
            assert_eq!(grant_id(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_in_the_list_is_read_as_it_is_written_and_nothing_else_is() {
        let grant = GrantId::from_bytes(*b"0123456789abcdef");
        let place = ParkedPlace { parked_at: WallTime::from_unix_nanos(u64::MAX), grant };
        assert_eq!(parked_place(&place_text(place)), Some(place));
        for text in [String::new(), grant.to_string(), format!("{grant}@"), format!("{grant}@-1"), "@1".to_owned()] {
            assert_eq!(parked_place(&text), None, "{text}");
        }
    }
}
