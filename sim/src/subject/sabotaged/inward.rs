//! What a broken hook is told otherwise than it happened.

use std::time::Duration;

use hookproof_core::classify::AnswerClass;
use hookproof_core::store::{ClaimedGrant, Committed, Reply};
use hookproof_core::time::WallTime;
use hookproof_core::upstream::{Answer, Body, NotSent};

use super::super::{Clocks, Input, Output};
use super::{FOR_EVER, Sabotaged};
use crate::sabotage::Sabotage;

const HOUR: Duration = Duration::from_secs(3_600);

/// A whole answer of this status.
const fn status(code: u16) -> Answer {
    Answer::Status { code, body: Body::WellFormed, retry_after: None }
}

impl Sabotaged {
    /// What the hook is told of `input`, if anything.
    pub(super) fn inward(&mut self, clocks: Clocks, input: Input, outputs: &mut Vec<Output>) -> Option<Input> {
        match input {
            Input::Started { .. } | Input::Timer { .. } => Some(input),
            Input::Visit { visit, user, .. } => {
                self.visits.insert(visit, user);
                self.on_visit(user, input, outputs)
            }
            Input::Answered { token, answer, draw } => {
                if let Some(waits) = self.own.remove(&token) {
                    return waits;
                }
                let user = self.under_way.remove(&token);
                let is_mismatch = AnswerClass::of(answer) == AnswerClass::KeyMismatch;
                if self.is(Sabotage::NewKeyAfterMismatch) && is_mismatch {
                    self.met.extend(user);
                }
                Some(Input::Answered { token, answer: self.heard(answer), draw })
            }
            Input::Stored { ticket, reply, draw } => {
                Some(Input::Stored { ticket, reply: self.replied(clocks, reply), draw })
            }
        }
    }

    fn on_visit(&mut self, user: u32, input: Input, outputs: &mut Vec<Output>) -> Option<Input> {
        let asks_at_once = self.is(Sabotage::SendsBeforeDurable);
        let asks_first = self.is(Sabotage::ExposesAfterEffect);
        if let Some(variant) = self.candidate(user).filter(|_| asks_at_once || asks_first) {
            let waits = asks_first.then(|| input.clone());
            if let Some(call) = self.ask_for(user, variant, waits) {
                outputs.push(call);
                return (!asks_first).then_some(input);
            }
        }
        Some(input)
    }

    /// What is made of an answer.
    fn heard(&self, answer: Answer) -> Answer {
        let class = AnswerClass::of(answer);
        let retry_after = if let Answer::Status { retry_after, .. } = answer { retry_after } else { None };
        match (self.sabotage, class) {
            // A 503 is never kept, and means the same in all else.
            (Sabotage::BreakerCountsThrottles, AnswerClass::Throttled)
            | (Sabotage::BreakerCountsKeptErrors, AnswerClass::ServerError) => {
                Answer::Status { code: 503, body: Body::WellFormed, retry_after }
            }
            (Sabotage::OutageIsPause, AnswerClass::Unavailable) => {
                Answer::Status { code: 503, body: Body::WellFormed, retry_after: Some(HOUR) }
            }
            (Sabotage::IgnoresRetryAfter, AnswerClass::Throttled) => status(429),
            (Sabotage::TimeoutIsUnsent, AnswerClass::Timeout | AnswerClass::Broken)
            | (Sabotage::NewKeyAfterMismatch, AnswerClass::KeyMismatch) => Answer::NotSent(NotSent::Refused),
            (Sabotage::TimeoutIsReceipt, AnswerClass::Timeout)
            | (Sabotage::ConflictIsReceipt, AnswerClass::InProgress)
            | (Sabotage::UnprovenIsReceipt, AnswerClass::Unproven) => status(200),
            (Sabotage::UnauthorisedIsRejection, AnswerClass::Unauthorised) => status(410),
            (Sabotage::RefusalIsTransient, AnswerClass::Refused | AnswerClass::BadRequest | AnswerClass::NotFound) => {
                status(500)
            }
            _ => answer,
        }
    }

    /// What is made of the store's reply.
    fn replied(&mut self, clocks: Clocks, mut reply: Reply) -> Reply {
        let Reply::Committed { at, results, .. } = &mut reply else { return reply };
        if self.is(Sabotage::LeaseByWallClock) {
            *at = clocks.wall;
        }
        for result in results {
            let Committed::Claimed { grants, .. } = result else { continue };
            if self.is(Sabotage::ForgetsAfterRestart) {
                grants.retain(|grant| u32::try_from(grant.user.0).is_ok_and(|user| self.met.contains(&user)));
            }
            if self.is(Sabotage::ParksAfterFailover) {
                let is_lost = |grant: &&ClaimedGrant| grant.first_sent_at == WallTime::UNIX_EPOCH;
                self.met.extend(grants.iter().filter(is_lost).filter_map(|grant| u32::try_from(grant.user.0).ok()));
            }
            if self.is(Sabotage::LeaseTooShort) {
                for grant in grants {
                    grant.lease_until = grant.lease_until + FOR_EVER;
                }
            }
        }
        reply
    }
}

/// What a claim is cut to that keeps nobody away.
pub(super) const SHORT_LEASE: Duration = Duration::from_millis(50);
