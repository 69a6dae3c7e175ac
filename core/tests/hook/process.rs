//! Goal: a whole process keeps its promises where its machines meet: acknowledgements that are lost or late, versions that
//! live side by side, a coverage that shrinks, an end that is announced, limits that a fleet shares, a store of somebody else.
//!
//! Method: whole hooks on the bench (`bench.rs`). Each answer that rests on no record is compared with what is recorded.

use std::collections::BTreeSet;
use std::time::Duration;

use hookproof_core::admission::VisitAnswer;
use hookproof_core::assignment::UserId;
use hookproof_core::audit::AuditEvent;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::{Experiment, HashSpec, VariantIndex};
use hookproof_core::identity::UserHandle;
use hookproof_core::lineage::{Lineage, OtherLineage};
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::store::{First, GrantState};
use hookproof_core::upstream::Capability;

use super::bench::{
    Bench, EVERYBODY_PPM, Fate, Handling, STORE_ORIGIN, WITH_KEYS, among, config, everyone_is_treated, experiment,
    of_lineage, only, status,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const CONTROL: VariantIndex = VariantIndex::new(0);
const TREATMENT: VariantIndex = VariantIndex::new(1);
const FATES: [Fate; 4] = [Fate::Done, Fate::Refused, Fate::ReplyLost, Fate::CommandLost];

/// The answer to the only visit since the last look.
fn answer(bench: &mut Bench) -> VisitAnswer {
    let answers = std::mem::take(&mut bench.answers);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0]
}

/// The answer to a visit whose commit meets `fate`, and so does the lookup that may follow.
fn visited(bench: &mut Bench, process: usize, user: u64, fate: Fate) -> VisitAnswer {
    bench.admit_fates = [fate, fate].into();
    bench.visit(process, user);
    bench.settle_down();
    bench.admit_fates.clear();
    answer(bench)
}

fn recorded(answer: VisitAnswer) -> VariantIndex {
    let VisitAnswer::Recorded { variant, .. } = answer else { panic!("{answer:?} is no record") };
    variant
}

fn provisional(answer: VisitAnswer) -> VariantIndex {
    let VisitAnswer::Provisional { variant } = answer else { panic!("{answer:?} is not provisional") };
    variant
}

#[test]
fn no_pair_of_lost_acknowledgements_loses_or_doubles_a_grant() {
    let capabilities = [WITH_KEYS, Capability::PutById, Capability::ReadBack { lag: SECOND }, Capability::None];
    for capability in capabilities {
        for (first, second) in FATES.into_iter().flat_map(|first| FATES.map(|second| (first, second))) {
            for place in 0..3 {
                let mut bench = Bench::new(config(capability), 1);
                bench.settle_down();
                let fates = [&mut bench.admit_fates, &mut bench.claim_fates, &mut bench.settle_fates];
                fates.into_iter().nth(place).expect("three places").extend([first, second]);
                bench.visit(0, 0);
                bench.run_for(HOUR);
                let context = format!("{capability:?}: {first:?}, {second:?} at {place}");
                match bench.state(0) {
                    Some(GrantState::Delivered) => assert_eq!(bench.service.applied(0), 1, "GRANT-1: {context}"),
                    Some(GrantState::Parked) => {
                        assert_eq!(capability, Capability::None, "GRANT-3: {context}");
                        assert!(bench.service.applied(0) <= 1, "GRANT-1: {context}");
                    }
                    None => {
                        assert_eq!(place, 0, "{context}");
                        assert!(matches!(bench.answers[..], [VisitAnswer::Provisional { .. }]), "{context}");
                        assert_eq!(bench.service.applied(0), 0, "GRANT-2: {context}");
                    }
                    Some(state) => panic!("GRANT-3: {state:?}: {context}"),
                }
            }
        }
    }
}

#[test]
fn a_visit_whose_acknowledgement_is_late_is_answered_in_time_and_its_grant_delivered() {
    let mut bench = Bench::new(config(WITH_KEYS), 1);
    bench.settle_down();
    bench.holds_replies = true;
    bench.visit(0, 0);
    bench.run_for(Duration::from_nanos(999_999_999));
    assert_eq!(bench.answers, []);
    bench.run_for(Duration::from_nanos(1));
    assert_eq!(answer(&mut bench), VisitAnswer::Provisional { variant: TREATMENT });
    assert_eq!(bench.state(0), Some(GrantState::Pending), "the commit is done all the same");
    bench.run_for(10 * SECOND);
    bench.holds_replies = false;
    bench.run_for(MINUTE);
    assert_eq!(bench.answers, [], "one answer to one visit");
    assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1), "GRANT-3");
}

#[test]
fn late_acknowledgements_of_claims_and_settlements_double_nothing() {
    for late_for in [SECOND, 29 * SECOND, 31 * SECOND, 2 * MINUTE] {
        for other_process_visits in [false, true] {
            let mut bench = Bench::new(config(WITH_KEYS), 2);
            bench.settle_down();
            bench.visit(0, 0);
            while bench.state(0) != Some(GrantState::Claimed) {
                assert!(bench.step(), "the grant is claimed");
            }
            bench.holds_replies = true;
            bench.run_for(late_for);
            bench.holds_replies = false;
            if other_process_visits {
                bench.visit(1, 0);
            }
            bench.run_for(HOUR);
            let context = format!("late for {late_for:?}, other process: {other_process_visits}");
            assert_eq!((bench.state(0), bench.service.applied(0)), (Some(GrantState::Delivered), 1), "{context}");
            assert_eq!(bench.sends.len(), 1, "GRANT-5: {context}");
        }
    }
}

#[test]
fn a_grant_that_nobody_was_told_of_does_not_wait_for_one_that_is_due_much_later() {
    let mut bench = Bench::new(config(Capability::ReadBack { lag: HOUR }), 1);
    bench.service.script.push_back(Handling::ApplyAndLose);
    bench.visit(0, 0);
    bench.run_for(MINUTE);
    assert_eq!(bench.state(0), Some(GrantState::Pending), "it is read in an hour");
    bench.admit_fates = [Fate::ReplyLost, Fate::ReplyLost].into();
    bench.visit(0, 1);
    bench.run_for(MINUTE);
    assert_eq!(bench.state(1), Some(GrantState::Delivered), "GRANT-3");
}

#[test]
fn visits_that_come_together_share_a_commit() {
    let mut bench = Bench::new(config(WITH_KEYS), 1);
    bench.settle_down();
    bench.visit_all(0, 300);
    bench.settle_down();
    assert_eq!(bench.batch_largest, 128);
    assert_eq!(bench.answers.len(), 300);
}

fn is_treated(experiment: &Experiment, user: u64) -> bool {
    let text = format!("user-{user}");
    let id = UserId::new(text.as_bytes()).expect("it is short enough");
    experiment.assign(id).variant == TREATMENT
}

/// A version before, and one after the treatment's share was raised.
fn reweighted() -> [Experiment; 2] {
    [experiment(EVERYBODY_PPM, [1, 1]), experiment(EVERYBODY_PPM, [1, 3])]
}

/// Exposes users under one version and shows them the other one without a record; returns how many met a variant that
/// contradicts what is recorded (the baseline contradicts nothing), and how many treatments were shown.
fn contradictions(config: DeliveryConfig, lineages: Vec<Lineage>) -> (usize, usize) {
    let mut bench = Bench::with_lineages(config, lineages);
    bench.settle_down();
    let (mut contradiction_count, mut treatment_count) = (0, 0);
    for user in 0..200 {
        // Every reply tells a process how many versions there are.
        let (exposing, showing) = if user % 2 == 0 { (0, 1) } else { (1, 0) };
        let truth = recorded(visited(&mut bench, exposing, user, Fate::Done));
        let shown = provisional(visited(&mut bench, showing, user, Fate::Refused));
        contradiction_count += usize::from(shown != CONTROL && shown != truth);
        treatment_count += usize::from(shown == TREATMENT);
    }
    (contradiction_count, treatment_count)
}

#[test]
fn what_is_shown_without_a_record_contradicts_no_exposure_under_a_version_that_was_announced() {
    let [before, after] = reweighted();
    let lineages = vec![among(before.clone(), vec![after.clone()]), among(after, vec![before])];
    let (contradiction_count, treatment_count) = contradictions(config(WITH_KEYS), lineages);
    assert_eq!(contradiction_count, 0, "ASSIGN-1");
    assert!((50..150).contains(&treatment_count), "where both agree, the variant is shown: {treatment_count}");
}

#[test]
fn a_version_in_the_store_that_a_process_does_not_know_leaves_it_only_the_baseline() {
    let [before, after] = reweighted();
    let (contradiction_count, treatment_count) = contradictions(config(WITH_KEYS), vec![only(before), only(after)]);
    assert_eq!((contradiction_count, treatment_count), (0, 0), "ASSIGN-1");
}

#[test]
fn without_version_agreement_somebody_is_shown_what_contradicts_their_record() {
    let [before, after] = reweighted();
    let lineages = vec![among(before.clone(), vec![after.clone()]), among(after, vec![before])];
    let protections = Protections::ALL.without(Protection::VersionAgreement);
    let (contradiction_count, _) = contradictions(DeliveryConfig { protections, ..config(WITH_KEYS) }, lineages);
    assert!(contradiction_count > 0, "the protection's removal goes unnoticed");
}

#[test]
fn a_process_trusts_its_own_version_alone_until_it_hears_of_another() {
    let [before, after] = reweighted();
    let mut bench = Bench::with_lineages(config(WITH_KEYS), vec![only(before.clone()), only(after)]);
    bench.crash(1);
    bench.settle_down();
    let treated = (0..100).find(|user| is_treated(&before, *user)).expect("half of them are");
    assert_eq!(provisional(visited(&mut bench, 0, treated, Fate::Refused)), TREATMENT);
    bench.start(1);
    bench.settle_down();
    // The next reply of the store tells how many versions there are, whoever's visit it is for.
    visited(&mut bench, 0, treated + 1_000, Fate::Done);
    assert_eq!(provisional(visited(&mut bench, 0, treated, Fate::Refused)), CONTROL, "ASSIGN-1");
}

#[test]
fn a_process_that_cannot_ask_for_the_versions_goes_on_and_asks_again() {
    let [before, after] = reweighted();
    let lineages = vec![among(before.clone(), vec![after.clone()]), among(after, vec![before])];
    let mut bench = Bench::with_lineages(config(WITH_KEYS), lineages);
    bench.crash(1);
    bench.settle_down();
    bench.start(1);
    bench.settle_down();
    bench.open_fates = [Fate::Refused, Fate::CommandLost].into();
    for user in 0..20 {
        bench.visit(0, user);
        bench.run_for(MINUTE);
    }
    assert!(bench.open_fates.is_empty(), "it asked again");
    let counts = bench.image.counts();
    assert_eq!(counts.delivered, counts.admitted, "visits go on");
    bench.answers.clear();
    let shown = (100..140).map(|user| provisional(visited(&mut bench, 0, user, Fate::Refused)));
    assert!(shown.collect::<BTreeSet<_>>().contains(&TREATMENT), "it knows all versions in the end");
}

#[test]
fn versions_of_another_lineage_cannot_be_announced() {
    let foreign = of_lineage("other", HashSpec::Sha256V1, EVERYBODY_PPM, [0, 1]);
    let others = vec![everyone_is_treated(), foreign];
    assert_eq!(Lineage::new(everyone_is_treated(), others).map(|_| ()), Err(OtherLineage { position: 1 }));
}

#[test]
fn a_user_exposed_under_a_wider_coverage_keeps_the_variant_after_it_was_lowered() {
    let wide = everyone_is_treated();
    let nobody = experiment(0, [0, 1]);
    for lowered in [among(nobody.clone(), vec![wide.clone()]), only(nobody)] {
        let mut bench = Bench::with_lineages(config(WITH_KEYS), vec![only(wide.clone())]);
        bench.settle_down();
        visited(&mut bench, 0, 0, Fate::Done);
        bench.deploy(0, lowered);
        bench.start(0);
        bench.settle_down();
        let grant = Some(GrantState::Delivered);
        let known = VisitAnswer::Recorded { variant: TREATMENT, first: First::Known, grant };
        assert_eq!(visited(&mut bench, 0, 0, Fate::Done), known, "ASSIGN-1");
        assert_eq!(visited(&mut bench, 0, 1, Fate::Done), VisitAnswer::NotEnrolled { variant: CONTROL });
        assert_eq!(bench.image.variant(UserHandle(1)), None, "a look at a record exposes nobody");
        assert_eq!(provisional(visited(&mut bench, 0, 0, Fate::Refused)), CONTROL);
    }
}

#[test]
fn a_user_whom_no_version_can_have_exposed_is_answered_without_the_store() {
    let mut bench = Bench::with_lineages(config(WITH_KEYS), vec![only(experiment(0, [0, 1]))]);
    bench.settle_down();
    let before = bench.command_count;
    bench.visit(0, 0);
    assert_eq!(answer(&mut bench), VisitAnswer::NotEnrolled { variant: CONTROL });
    bench.settle_down();
    assert_eq!(bench.command_count, before);
}

#[test]
fn a_process_that_is_told_to_stop_gives_back_what_it_claimed_and_did_not_send() {
    let mut bench = Bench::new(config(WITH_KEYS), 1);
    bench.settle_down();
    bench.visit_all(0, 10);
    while bench.image.counts().claimed == 0 {
        assert!(bench.step(), "something is claimed");
    }
    let claimed = bench.image.counts().claimed;
    bench.stop(0);
    assert!(!bench.is_idle(0), "what it claimed is not given back yet");
    bench.settle_down();
    let released = |event: &AuditEvent| matches!(event, AuditEvent::Released { .. });
    assert_eq!(bench.event_count(released) as u64, claimed);
    assert_eq!((bench.sends.len(), bench.image.counts().pending), (0, 10));
    assert!(bench.is_idle(0));
    bench.run_for(HOUR);
    assert_eq!(bench.sends.len(), 0, "nothing more is claimed");
    bench.start(0);
    bench.run_for(MINUTE);
    assert_eq!(bench.count(10, GrantState::Delivered), 10);
    assert!(bench.sends.iter().all(|(_, _, request)| request.attempt == 1), "what was not sent does not count");
}

#[test]
fn a_process_that_is_told_to_stop_waits_for_its_answers_and_settles_them() {
    for answers in [vec![200], vec![500]] {
        let mut bench = Bench::new(config(WITH_KEYS), 1);
        bench.holds_sends = true;
        bench.visit(0, 0);
        bench.settle_down();
        bench.settle_fates = [Fate::Refused, Fate::ReplyLost].into();
        bench.stop(0);
        bench.run_for(10 * SECOND);
        assert!(!bench.is_idle(0), "an answer is to come");
        for code in answers {
            bench.answer(0, status(code));
        }
        assert!(!bench.is_idle(0), "the settlement is not durable yet");
        bench.run_for(HOUR);
        assert!(bench.is_idle(0));
        assert_ne!(bench.state(0), Some(GrantState::Claimed), "GRANT-5: what is known is settled");
        assert_eq!(bench.sends.len(), 1);
    }
}

#[test]
fn a_process_that_is_told_to_stop_before_anything_else_is_idle_once_the_store_has_answered() {
    for fate in FATES {
        let mut bench = Bench::new(config(WITH_KEYS), 1);
        bench.open_fates.push_back(fate);
        bench.stop(0);
        bench.run_for(MINUTE);
        assert!(bench.is_idle(0), "{fate:?}");
        assert_eq!(
            visited(&mut bench, 0, 0, Fate::Done),
            VisitAnswer::Recorded { variant: TREATMENT, first: First::Exposure, grant: Some(GrantState::Pending) }
        );
        bench.run_for(HOUR);
        assert_eq!(bench.sends.len(), 0, "what is admitted to the end is another process's to deliver");
    }
}

#[test]
fn two_processes_together_send_no_more_in_a_minute_than_the_effect_cap_and_each_says_so_once() {
    let mut config = config(WITH_KEYS);
    config.fleet.effects_per_minute = 5;
    let mut bench = Bench::new(config, 2);
    bench.freeze_for(10 * SECOND);
    for user in 0..24 {
        bench.visit(usize::from(user % 2 == 0), user);
    }
    bench.run_for(10 * MINUTE);
    assert_eq!(bench.count(24, GrantState::Delivered), 24, "it drops none");
    for minute in 0..10_u32 {
        let is_within = |at: &Duration| (minute * MINUTE..(minute + 1) * MINUTE).contains(at);
        let sent = bench.sends.iter().filter(|(at, ..)| is_within(at)).count();
        assert!(sent <= 5, "{sent} in minute {minute}");
        let until = STORE_ORIGIN + (minute + 1) * MINUTE;
        let said = bench.event_count(|event| *event == AuditEvent::EffectCapReached { until });
        assert!(said <= 2, "said {said} times of minute {minute}");
        assert!(sent < 5 || said >= 1, "nobody says so in minute {minute}");
    }
}

#[test]
fn two_processes_together_have_no_more_in_flight_than_the_fleets_limit() {
    let mut bench = Bench::new(config(WITH_KEYS), 2);
    bench.holds_sends = true;
    for user in 0..40 {
        bench.visit(usize::from(user % 2 == 0), user);
        bench.settle_down();
        assert!(bench.held.len() <= 4, "LOAD-1");
    }
    bench.service.otherwise = Handling::Apply;
    for _ in 0..40 {
        bench.answer(0, status(200));
        assert!(bench.held.len() <= usize::from(bench.image.fleet().limit()), "LOAD-1");
    }
    assert_eq!(bench.count(40, GrantState::Delivered), 40);
}

#[test]
fn a_store_of_another_lineage_mode_or_secret_is_refused_and_nothing_is_admitted_or_sent() {
    let keyed = |secret: &[u8]| {
        let hash = HashSpec::HmacSha256V1 { secret: secret.to_vec() };
        of_lineage("bench", hash, EVERYBODY_PPM, [0, 1])
    };
    let other = of_lineage("other", HashSpec::Sha256V1, EVERYBODY_PPM, [0, 1]);
    let pairs = [
        (everyone_is_treated(), other),
        (everyone_is_treated(), keyed(b"one")),
        (keyed(b"one"), everyone_is_treated()),
        (keyed(b"one"), keyed(b"two")),
    ];
    for (owner, foreigner) in pairs {
        let mut bench = Bench::with_lineages(config(WITH_KEYS), vec![only(owner)]);
        bench.holds_sends = true;
        bench.visit(0, 0);
        bench.settle_down();
        bench.crash(0);
        bench.holds_sends = false;
        bench.events.clear();
        let before = bench.image.clone();
        bench.deploy(0, only(foreigner));
        bench.start(0);
        // One visit waits for the opening, one comes later; a grant of the owner's is due meanwhile.
        bench.visit(0, 1);
        bench.run_for(SECOND);
        bench.visit(0, 0);
        bench.run_for(HOUR);
        assert_eq!(bench.event_count(|event| *event == AuditEvent::StoreRefused), 1);
        assert!(bench.answers[1..].iter().all(|answer| *answer == VisitAnswer::Provisional { variant: CONTROL }));
        assert_eq!((bench.answers.len(), bench.sends.len()), (3, 1), "GRANT-2");
        assert_eq!(bench.image, before, "nothing was written");
        assert_eq!(bench.deadline(0), None, "nor will it ever be");
    }
}
