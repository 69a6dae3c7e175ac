//! Capability: arrivals come at the rate that a scenario states, and who arrives is who it says.
//!
//! Method: arrivals of many seeds are counted in bins and held against the rate, integrated here by Simpson's rule from the
//! formula in the guide, not by the simulator's own closed forms. Every tolerance is five standard deviations of what is
//! measured, written as the formula that gives it; the seeds are fixed, so that a test passes always or never.

use std::collections::BTreeMap;

use hookproof_core::time::Instant;
use hookproof_sim::run;
use hookproof_sim::scenario::{Attached, HookKind, Scenario, decode_with_files};
use hookproof_sim::seed::Draws;
use hookproof_sim::traffic::{Arrivals, Expected, Whom};

const HEAD: &str = r#"
schema = 1
title = "Arrivals"
duration = "120s"
hooks = ["hardened"]
[experiment]
id = "arrivals"
[[experiment.variant]]
name = "control"
weight = 50
[[experiment.variant]]
name = "extra"
weight = 50
grant = 25
"#;

/// 1,000 arrivals in four intervals of uneven length, silence in the second.
const TRACE: &str = "offset_s,arrivals\n0,300\n10,0\n30,600\n70,100\n";

const SECOND: u64 = 1_000_000_000;

fn scenario(rest: &str) -> Scenario {
    let source = format!("{HEAD}{rest}");
    let mut files = |path: &str| Ok(Attached { path: path.to_owned(), bytes: TRACE.into() });
    decode_with_files("arrivals", "arrivals.toml", source.as_bytes(), &mut files)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// All arrivals of the first process, in nanoseconds.
fn arrivals(scenario: &Scenario, seed: u64) -> Vec<u64> {
    let arrivals = Arrivals::new(scenario, Draws::new(seed));
    let mut at = arrivals.open_start(0);
    let next = |n| {
        at = arrivals.next_open(at, 0, n)?;
        Some(at.as_nanos())
    };
    (0..).map_while(next).collect()
}

/// Arrivals in bins of `bin_s` over the 120 seconds.
fn binned(times: &[u64], bin_s: u64) -> Vec<f64> {
    let mut bins = vec![0.0; usize::try_from(120 / bin_s).expect("a few bins")];
    for at in times {
        bins[usize::try_from(at / SECOND / bin_s).expect("a few bins")] += 1.0;
    }
    bins
}

/// The integral of `rate` over each bin, by Simpson's rule on pieces of a hundredth of a second.
fn integrated(rate: impl Fn(f64) -> f64, bin_s: u64) -> Vec<f64> {
    let piece = |at: f64| (rate(at) + 4.0 * rate(at + 0.005) + rate(at + 0.009_999_999)) / 6.0 * 0.01;
    let bin = |bin: u64| (0..bin_s * 100).map(|step| piece((bin * bin_s * 100 + step) as f64 / 100.0)).sum();
    (0..120 / bin_s).map(bin).collect()
}

/// Checks that counts are Poisson with the integrated rate: bin by bin over all seeds (chi-square), and from seed to seed.
fn assert_poisson(name: &str, traffic: &str, rate: impl Fn(f64) -> f64) {
    const SEEDS: u64 = 200;
    let scenario = scenario(traffic);
    let expected = integrated(rate, 5);
    let mut sums = vec![0.0; expected.len()];
    let (mut squares, mut cells, mut slack) = (0.0, 0.0, 0.0);
    for seed in 0..SEEDS {
        let times = arrivals(&scenario, seed);
        assert!(times.is_sorted(), "{name}");
        for ((count, expected), sum) in binned(&times, 5).into_iter().zip(&expected).zip(&mut sums) {
            *sum += count;
            if *expected < 1e-6 {
                assert!(count < 0.5, "{name}: somebody arrives where the rate is nothing");
                continue;
            }
            squares += (count - expected) * (count - expected) / expected;
            cells += 1.0;
            slack += 2.0 + 1.0 / expected;
        }
    }
    // A squared Poisson deviation over its mean m has mean 1 and variance 2 + 1 ÷ m.
    assert!((squares - cells).abs() < 5.0 * slack.sqrt(), "{name}: counts scatter by {} of Poisson's", squares / cells);
    let seeds = SEEDS as f64;
    let live: Vec<(f64, f64)> =
        sums.into_iter().zip(&expected).filter(|(_, m)| **m > 1e-6).map(|(s, m)| (s, m * seeds)).collect();
    let chi: f64 = live.iter().map(|(sum, mean)| (sum - mean) * (sum - mean) / mean).sum();
    let freedom = live.len() as f64;
    assert!((chi - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "{name}: chi-square {chi} of {freedom}: {live:?}");
    let total: f64 = expected.iter().sum();
    let estimate = Expected::of(&scenario).open;
    assert!((estimate - total).abs() < 1e-3 * total, "{name}: {estimate} are estimated, {total} come");
}

#[test]
fn every_kind_of_traffic_arrives_at_its_rate() {
    assert_poisson("steady", "[[traffic]]\nkind = 'steady'\nrate = '7/s'\n", |_| 7.0);
    let ramp = "[[traffic]]\nkind = 'ramp'\nfrom = '0/s'\nto = '12/s'\nat = '20s'\nfor = '60s'\n";
    let rate = |t: f64| if (20.0..80.0).contains(&t) { (t - 20.0) / 5.0 } else { 0.0 };
    assert_poisson("ramp", ramp, rate);
    let down = "[[traffic]]\nkind = 'ramp'\nfrom = '12/s'\nto = '0/s'\n";
    assert_poisson("ramp down", down, |t| 12.0 - t / 10.0);
    let burst =
        "[[traffic]]\nkind = 'burst'\nrate = '20/s'\nidle-rate = '1/s'\nlength = '5s'\nevery = '20s'\nat = '10s'\n";
    let rate = |t: f64| {
        if t < 10.0 {
            0.0
        } else if (t - 10.0) % 20.0 < 5.0 {
            20.0
        } else {
            1.0
        }
    };
    assert_poisson("burst", burst, rate);
    let diurnal = "[[traffic]]\nkind = 'diurnal'\nrate = '6/s'\npeak = '12/s'\nperiod = '50s'\npeak-at = '15s'\n";
    let rate = |t: f64| 6.0 + 6.0 * (std::f64::consts::TAU * (t - 15.0) / 50.0).cos();
    assert_poisson("diurnal", diurnal, rate);
}

#[test]
fn a_spike_multiplies_every_kind() {
    let spike = "[[traffic]]\nkind = 'spike'\nat = '30s'\nfor = '25s'\nfactor = 3\n";
    let lull = "[[traffic]]\nkind = 'spike'\nat = '50s'\nfor = '20s'\nfactor = 0.5\n";
    let factor = |t: f64| {
        (if (30.0..55.0).contains(&t) { 3.0 } else { 1.0 }) * if (50.0..70.0).contains(&t) { 0.5 } else { 1.0 }
    };
    let ramp = "[[traffic]]\nkind = 'ramp'\nfrom = '2/s'\nto = '8/s'\n";
    assert_poisson("ramp", &format!("{ramp}{spike}{lull}"), |t| (2.0 + t / 20.0) * factor(t));
    let burst = "[[traffic]]\nkind = 'burst'\nrate = '9/s'\nlength = '15s'\nevery = '40s'\n";
    let rate = |t: f64| if t % 40.0 < 15.0 { 9.0 * factor(t) } else { 0.0 };
    assert_poisson("burst", &format!("{burst}{spike}{lull}"), rate);
    let diurnal = "[[traffic]]\nkind = 'diurnal'\nrate = '6/s'\npeak = '9/s'\nperiod = '40s'\n";
    let rate = |t: f64| (6.0 - 3.0 * (std::f64::consts::TAU * t / 40.0).cos()) * factor(t);
    assert_poisson("diurnal", &format!("{diurnal}{spike}{lull}"), rate);
}

const KINDS: [&str; 6] = [
    "kind = 'steady'\nrate = '7/s'\n",
    "kind = 'ramp'\nfrom = '1/s'\nto = '9/s'\n",
    "kind = 'burst'\nrate = '20/s'\nlength = '3s'\nevery = '10s'\n",
    "kind = 'burst'\nrate = '20/s'\nidle-rate = '1/s'\nlength = '3s'\nevery = '10s'\nrhythm = 'random'\n",
    "kind = 'diurnal'\nrate = '5/s'\npeak = '8/s'\nperiod = '1m'\n",
    "kind = 'trace'\nfile = 't.csv'\n",
];

#[test]
fn a_spike_of_factor_1_changes_nothing() {
    for kind in KINDS {
        for spacing in ["poisson", "even"] {
            let alone = format!("[[traffic]]\n{kind}spacing = '{spacing}'\n");
            let spiked = format!("{alone}[[traffic]]\nkind = 'spike'\nat = '7s'\nfor = '60s'\nfactor = 1\n");
            for seed in 0..3 {
                let times = arrivals(&scenario(&alone), seed);
                assert!(times.len() > 100, "{kind}: {}", times.len());
                assert_eq!(times, arrivals(&scenario(&spiked), seed), "{kind}");
            }
        }
    }
}

#[test]
fn a_metronome_beats_where_the_integrated_rate_is_a_whole_number() {
    let times = |kind: &str| arrivals(&scenario(&format!("[[traffic]]\n{kind}spacing = 'even'\n")), 1);
    // From 0 to 12 a second within 120 s: t² ÷ 20 beats within t seconds.
    let ramp = times("kind = 'ramp'\nfrom = '0/s'\nto = '12/s'\n");
    for (beat, at) in ramp.iter().enumerate() {
        let expected = (20.0 * beat as f64).sqrt() * 1e9;
        assert!((*at as f64 - expected).abs() < 1e3, "beat {beat} is at {at}, not at {expected}");
    }
    assert_eq!(ramp.len(), 720, "a beat on the very end is none");
    for rate in [1, 3, 7, 10, 13, 30, 33, 60, 99, 1_000] {
        let steady = times(&format!("kind = 'steady'\nrate = '{rate}/s'\n"));
        assert_eq!(steady.len(), rate * 120, "{rate}/s");
        assert!(steady[rate * 119].abs_diff(119 * SECOND) <= 1, "no rounding adds up: {}", steady[rate * 119]);
    }
    assert_eq!(times("kind = 'diurnal'\nrate = '10/s'\npeak = '15/s'\nperiod = '60s'\n").len(), 1_200);
    let burst = times("kind = 'burst'\nrate = '2/s'\nlength = '3s'\nevery = '10s'\n");
    let near = |at: u64| (at as f64 / 1e9 * 2.0).round() / 2.0;
    let begin: Vec<f64> = burst.iter().take(9).map(|at| near(*at)).collect();
    assert_eq!(begin, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 10.0, 10.5, 11.0]);
    assert_eq!(times("kind = 'trace'\nfile = 't.csv'\n")[300], 30 * SECOND);
}

/// Variance over mean of the counts in windows of a two-state process, from its start in equilibrium: H. Heffes and D. Lucantoni,
/// "A Markov modulated characterization of packetized voice and data traffic", 1986.
fn mmpp_dispersion(high: f64, low: f64, burst: f64, silence: f64, window: f64) -> f64 {
    let (off, on) = (1.0 / burst, 1.0 / silence);
    let sum = off + on;
    let long = 2.0 * (high - low).powi(2) * off * on / (sum.powi(2) * (high * on + low * off));
    1.0 + long * (1.0 - (1.0 - (-sum * window).exp()) / (sum * window))
}

#[test]
fn random_bursts_are_as_dispersed_as_their_formula_says() {
    let traffic = "[[traffic]]\nkind = 'burst'\nrate = '30/s'\nidle-rate = '2/s'\nlength = '1s'\nevery = '4s'\nrhythm = 'random'\n";
    let scenario = scenario(traffic);
    for window in [2, 10] {
        // One window a seed, long after the first burst, so that windows are independent.
        let counts: Vec<f64> =
            (0..4_000).map(|seed| binned(&arrivals(&scenario, seed), window).pop().unwrap()).collect();
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let moment = |power: i32| counts.iter().map(|count| (count - mean).powi(power)).sum::<f64>() / n;
        let expected = mmpp_dispersion(30.0, 2.0, 1.0, 3.0, window as f64);
        let (mean_wanted, seconds) = (9.0 * window as f64, window as f64);
        assert!((mean - mean_wanted).abs() < 5.0 * (moment(2) / n).sqrt(), "{mean} arrivals in {seconds} s");
        // The standard error of a variance is √((m₄ − m₂²) ÷ n).
        let slack = 5.0 * ((moment(4) - moment(2).powi(2)) / n).sqrt() / mean;
        let dispersion = moment(2) / mean;
        assert!((dispersion - expected).abs() < slack, "over {seconds} s {dispersion}, not {expected} ± {slack}");
        assert!(slack < 0.25 * expected, "{slack} would let anything pass");
    }
}

fn trace(keys: &str) -> Scenario {
    scenario(&format!("[[traffic]]\nkind = 'trace'\nfile = 't.csv'\n{keys}"))
}

/// Arrivals by interval of the trace, which is played from `at` at `speed`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive moments")]
fn by_interval(times: &[u64], at: f64, speed: f64) -> [usize; 4] {
    let edges = [0.0, 10.0, 30.0, 70.0, 110.0].map(|edge| ((at + edge / speed) * 1e9) as u64);
    [0, 1, 2, 3].map(|index| times.iter().filter(|time| (edges[index]..edges[index + 1]).contains(*time)).count())
}

#[test]
fn a_trace_has_exactly_its_arrivals_in_each_interval() {
    for seed in 0..50 {
        let times = arrivals(&trace(""), seed);
        assert!(times.is_sorted() && times.len() == 1_000);
        assert_eq!(by_interval(&times, 0.0, 1.0), [300, 0, 600, 100], "the last interval is as long as the one before");
        assert_eq!(by_interval(&arrivals(&trace("spacing = 'even'\n"), seed), 0.0, 1.0), [300, 0, 600, 100]);
        let fast = arrivals(&trace("speed = 2\nat = '60s'\n"), seed);
        assert_eq!((fast.len(), by_interval(&fast, 60.0, 2.0)), (1_000, [300, 0, 600, 100]));
    }
}

#[test]
fn the_scale_of_a_trace_rounds_totals_and_never_adds_up_its_rounding() {
    for (scale, whole, parts) in [
        ("2", 2_000, [600, 0, 1_200, 200]),
        ("0.3333", 333, [100, 0, 200, 33]),
        ("0.001", 1, [0, 0, 1, 0]),
        ("1.0015", 1_002, [300, 0, 601, 101]),
    ] {
        let scaled = trace(&format!("scale = {scale}\n"));
        let times = arrivals(&scaled, 3);
        assert_eq!((times.len(), by_interval(&times, 0.0, 1.0)), (whole, parts), "scale {scale}");
        assert!((Expected::of(&scaled).open - whole as f64).abs() <= 0.5);
    }
}

#[test]
fn a_spike_multiplies_the_arrivals_of_a_trace() {
    let spike = "[[traffic]]\nkind = 'spike'\nat = '40s'\nfor = '20s'\nfactor = 3\n";
    let silence = "[[traffic]]\nkind = 'spike'\nat = '70s'\nfor = '10s'\nfactor = 0\n";
    for seed in 0..20 {
        let times = arrivals(&trace(&format!("{spike}{silence}")), seed);
        assert_eq!(by_interval(&times, 0.0, 1.0), [300, 0, 1_200, 75]);
        let within = times.iter().filter(|at| (40 * SECOND..60 * SECOND).contains(*at)).count();
        assert_eq!(within, 900);
    }
}

#[test]
fn a_part_of_a_trace_ends_where_it_is_cut() {
    let times = arrivals(&trace("for = '30s'\nat = '5s'\n"), 1);
    assert_eq!(times.len(), 300);
    let cut = arrivals(&trace("for = '50s'\n"), 1);
    assert_eq!(cut, arrivals(&trace(""), 1)[..cut.len()], "what is played is the beginning of the whole");
    // Half of the 600 arrivals come before the cut: a binomial, σ = √150.
    assert!((cut.len() as f64 - 600.0).abs() < 5.0 * 150_f64.sqrt(), "{}", cut.len());
}

#[test]
fn arrivals_of_a_trace_are_uniform_within_their_interval() {
    let mut tenths = [0.0; 10];
    for seed in 0..100 {
        for at in arrivals(&trace(""), seed).into_iter().filter(|at| *at < 10 * SECOND) {
            tenths[usize::try_from(at / SECOND).unwrap()] += 1.0;
        }
    }
    let chi: f64 = tenths.iter().map(|count| (count - 3_000.0_f64).powi(2) / 3_000.0).sum();
    assert!((chi - 9.0).abs() < 5.0 * 18_f64.sqrt(), "chi-square {chi} of 9: {tenths:?}");
}

/// Counts who the first `n` arrivals are.
fn crowd(users: &str, n: u64) -> BTreeMap<u32, f64> {
    let rest = format!("[users]\npopulation = 1_000\n[[traffic]]\nkind = 'steady'\nrate = '1/s'\nusers = {users}\n");
    let arrivals = Arrivals::new(&scenario(&rest), Draws::new(5));
    let mut crowd = BTreeMap::new();
    for n in 1..=n {
        let Whom::Known(user) = arrivals.open_user(0, n) else { panic!("everybody is of the population") };
        *crowd.entry(user).or_default() += 1.0;
    }
    crowd
}

#[test]
fn zipfs_law_holds_rank_by_rank() {
    const N: u64 = 200_000;
    for exponent in [0.4, 1.0, 1.1, 2.5] {
        let crowd = crowd(&format!("{{ zipf = {exponent} }}"), N);
        let weight = |rank: u32| f64::from(rank).powf(-exponent);
        let all: f64 = (1..=1_000).map(weight).sum();
        // Ranks in bins of growing width, so that each expects enough.
        let edges = [1, 2, 3, 5, 10, 30, 100, 300, 1_001];
        let mut chi = 0.0;
        for pair in edges.windows(2) {
            let expected = (pair[0]..pair[1]).map(weight).sum::<f64>() / all * N as f64;
            let count: f64 = crowd.range(pair[0] - 1..pair[1] - 1).map(|(_, count)| count).sum();
            assert!(expected > 3.0, "rank {} with exponent {exponent} expects only {expected}", pair[0]);
            chi += (count - expected).powi(2) / expected;
        }
        assert!((chi - 7.0).abs() < 5.0 * 14_f64.sqrt(), "exponent {exponent}: chi-square {chi} of 7");
        assert!(crowd.keys().all(|user| *user < 1_000));
    }
}

#[test]
fn the_hot_share_of_users_has_its_share_of_arrivals_and_all_of_them_are_alike() {
    const N: u64 = 100_000;
    let crowd = crowd("{ hot = 0.01, hot-arrivals = 0.6 }", N);
    let hot: f64 = crowd.range(..10).map(|(_, count)| count).sum();
    let deviation = (N as f64 * 0.6 * 0.4).sqrt();
    assert!((hot - 60_000.0).abs() < 5.0 * deviation, "{hot}");
    let chi = |users: std::ops::Range<u32>, mean: f64| -> f64 {
        users.map(|user| (crowd.get(&user).unwrap_or(&0.0) - mean).powi(2) / mean).sum()
    };
    let (few, many) = (chi(0..10, 6_000.0), chi(10..1_000, 40_000.0 / 990.0));
    assert!((few - 9.0).abs() < 5.0 * 18_f64.sqrt(), "chi-square {few} of 9");
    assert!((many - 989.0).abs() < 5.0 * 1_978_f64.sqrt(), "chi-square {many} of 989");
}

#[test]
fn returning_users_are_those_of_the_last_arrivals() {
    const N: u64 = 50_000;
    let rest = "[[traffic]]\nkind = 'steady'\nrate = '1/s'\nusers = { returning = 0.3, recent = 20 }\n";
    let arrivals = Arrivals::new(&scenario(rest), Draws::new(5));
    let mut back = [0.0; 21];
    for n in 1..=N {
        match arrivals.open_user(0, n) {
            Whom::Before(by) => {
                assert!(u64::from(by) < n, "arrival {n} can't be that of {by} before");
                back[by as usize] += 1.0;
            }
            Whom::New => back[0] += 1.0,
            Whom::Known(_) => panic!("there is no population"),
        }
    }
    let returned = N as f64 - back[0];
    assert!((returned - N as f64 * 0.3).abs() < 5.0 * (N as f64 * 0.21).sqrt(), "{returned}");
    let mean = returned / 20.0;
    let chi: f64 = back[1..].iter().map(|count| (count - mean).powi(2) / mean).sum();
    assert!((chi - 19.0).abs() < 5.0 * 38_f64.sqrt(), "chi-square {chi} of 19: {back:?}");
}

/// Users who were exposed in a run, which is who ever came.
fn exposed(rest: &str) -> f64 {
    let outcome = run(&scenario(rest), HookKind::Hardened, 1, &mut |_| {});
    let logged = outcome.metrics.iter().find(|(metric, _)| metric.name() == "exposure.logged");
    let (_, value) = logged.expect("the hardened hook records exposures");
    let hookproof_sim::outcome::Value::Number(number) = value else { panic!("{value:?}") };
    *number
}

#[test]
fn in_a_run_users_come_again_as_often_as_the_file_says() {
    let traffic = |users: &str| format!("[[traffic]]\nkind = 'steady'\nrate = '20/s'\nspacing = 'even'\n{users}\n");
    assert!((exposed(&traffic("")) - 2_400.0).abs() < 0.5, "each arrival is somebody new");
    let again = exposed(&traffic("users = { returning = 0.5 }"));
    assert!((again - 1_200.0).abs() < 5.0 * 600_f64.sqrt(), "{again} users in 2,400 visits");
    // With a population, 300 users are all met by 2,400 visits; where most return among the last two, few are.
    let closed = "[users]\npopulation = 300\n";
    assert!(exposed(&format!("{closed}{}", traffic(""))) > 298.5);
    let few = exposed(&format!("{closed}{}", traffic("users = { returning = 0.99, recent = 2 }")));
    assert!(few < 60.0, "{few}");
    let hot = exposed(&format!("{closed}{}", traffic("users = { hot = 0.1, hot-arrivals = 1 }")));
    assert!((hot - 30.0).abs() < 0.5, "{hot}");
}

#[test]
fn every_kind_begins_and_ends_with_its_stretch() {
    for kind in KINDS {
        let times = arrivals(&scenario(&format!("[[traffic]]\n{kind}at = '10s'\nfor = '60s'\n")), 7);
        assert!(times.iter().all(|at| (10 * SECOND..70 * SECOND).contains(at)), "{kind}");
        assert!(!times.is_empty());
    }
    assert_eq!(Arrivals::new(&trace("at = '10s'\n"), Draws::new(1)).open_start(0), Instant::from_nanos(10 * SECOND));
}
