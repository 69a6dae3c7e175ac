//! Capability: what a run will need is known before it, and no setting of the callers gets past it.
//!
//! Method: scenarios in which every try fails at once, the worst that callers can make of their retries, are run; what they took is
//! held against the estimate. Where a run would take too long to wait for, the estimate must be beyond the limits.

use hookproof_sim::run;
use hookproof_sim::scenario::{HookKind, LimitError, Limits, Scenario, decode};

/// 300 visits within a minute, none of which is answered with anything but an error.
const OUTAGE: &str = r#"
schema = 1
title = "Every try fails"
duration = "60s"
calm = "30s"
[experiment]
id = "limits"
[[experiment.variant]]
name = "control"
weight = 1
[[experiment.variant]]
name = "extra"
weight = 1_000_000
grant = 25
[[traffic]]
kind = "steady"
rate = "5/s"
[[fault]]
kind = "process.crash"
at = "0s"
downtime = "60s"
"#;

fn scenario(caller: &str) -> Scenario {
    let source = format!("{OUTAGE}[caller]\n{caller}\n");
    decode("limits", "limits.toml", source.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_run_in_which_every_try_fails_takes_no_more_than_was_estimated() {
    for caller in [
        "retries = 0",
        "retries = 50\npause = { from = '1ms', to = '3ms' }",
        "retries = 'unlimited'\npause = { from = '20ms', to = '40ms' }",
        "retries = 'unlimited'\npause = { from = '0s', to = '1s' }\ngive-up = 0.2",
        "retries = 1_000\npause = { from = '0s', to = '0s' }",
    ] {
        let scenario = scenario(caller);
        let estimate = scenario.estimate().events;
        for hook in HookKind::ALL {
            let events = run(&scenario, hook, 1, &mut |_| {}).events;
            assert!(events <= estimate, "{}, {caller}: {events} of {estimate}", hook.name());
            assert!(events * 200 > estimate, "{}, {caller}: {events} of {estimate} is no estimate", hook.name());
        }
    }
}

#[test]
fn retries_that_would_never_end_are_refused_before_the_run() {
    for caller in [
        "retries = 'unlimited'\npause = { from = '0s', to = '1ns' }",
        "retries = 'unlimited'\npause = { from = '1us', to = '1us' }",
        "retries = 4_000_000_000\npause = { from = '0s', to = '0s' }",
        "retries = 4_000_000_000\npause = { from = '1us', to = '2us' }",
    ] {
        let error = scenario(caller).check_limits(&Limits::default()).expect_err(caller);
        assert!(matches!(error, LimitError::Events { estimate, .. } if estimate > 10_000_000_000), "{caller}: {error}");
    }
}

#[test]
fn what_cannot_be_counted_is_refused_whatever_the_limits_are() {
    let spike = "[[traffic]]\nkind = 'spike'\nat = '1s'\nfor = '1s'\nfactor = 1e6\n";
    let source = |spikes| format!("{OUTAGE}{}", spike.repeat(spikes));
    let limits = Limits { max_events: u64::MAX, max_memory: u64::MAX };
    let check = |spikes| {
        let scenario = decode("limits", "limits.toml", source(spikes).as_bytes());
        scenario.unwrap_or_else(|error| panic!("{error}")).check_limits(&limits)
    };
    assert_eq!(check(2), Ok(()));
    for spikes in [3, 60] {
        assert_eq!(check(spikes), Err(LimitError::Uncountable));
    }
    assert!(LimitError::Uncountable.to_string().contains("the factors of spikes"));
}

#[test]
fn a_limit_of_memory_is_said_in_a_unit_in_which_it_is_not_nothing() {
    let said = |max_memory| {
        let limits = Limits { max_memory, ..Limits::default() };
        scenario("retries = 0").check_limits(&limits).expect_err("no run takes so little").to_string()
    };
    for (max_memory, text) in
        [(0, "0 bytes"), (1, "1 byte"), (1_000, "1000 bytes"), (3 << 10, "3 KiB"), (2 << 20, "2 MiB")]
    {
        let said = said(max_memory);
        assert!(said.starts_with("a run would take about 17 MiB of memory"), "{said}");
        assert!(said.contains(&format!("more than the limit of {text};")), "{said}");
    }
}

#[test]
fn retries_that_end_are_not_refused() {
    for caller in [
        "retries = 'unlimited'",
        "retries = 'unlimited'\npause = { from = '0s', to = '1ns' }\ngive-up = 0.01",
        "retries = 4_000_000_000\npause = { from = '10ms', to = '10ms' }",
    ] {
        assert_eq!(scenario(caller).check_limits(&Limits::default()), Ok(()), "{caller}");
    }
}

#[test]
fn tokens_without_end_for_the_hooks_own_retries_are_refused() {
    let mut scenario = scenario("retries = 0");
    assert_eq!(scenario.check_limits(&Limits::default()), Ok(()));
    scenario.hardened.retry_budget = Some(u32::MAX);
    assert!(matches!(scenario.check_limits(&Limits::default()), Err(LimitError::Events { .. })));
}
