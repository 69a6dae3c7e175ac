//! The faults in words, in the order of time.

use hookproof_sim::fault::kind_name;
use hookproof_sim::scenario::{
    ClockShift, Fault, FaultKind, Moment, OutageMode, RestartMode, Scenario, Target, Targets,
};

use super::words::{counted, length, list, percent};

pub(super) fn lines(scenario: &Scenario) -> Vec<String> {
    let mut faults: Vec<&Fault> = scenario.faults.iter().collect();
    faults.sort_by_key(|fault| fault.at);
    let mut lines: Vec<String> = restarts(scenario).into_iter().collect();
    lines.extend(faults.into_iter().map(|fault| line(scenario, fault)));
    if lines.is_empty() {
        lines.push("Nothing.".to_owned());
    }
    lines
}

fn restarts(scenario: &Scenario) -> Option<String> {
    let restart = scenario.fleet.restart.as_ref()?;
    let mode = match restart.mode {
        RestartMode::AllAtOnce => "all instances restart at once",
        RestartMode::Rolling => "the instances restart one after the other",
    };
    Some(format!("Every {} {mode}, each down for {}.", length(restart.every), length(restart.downtime)))
}

fn line(scenario: &Scenario, fault: &Fault) -> String {
    let share = match fault.probability.ppm() {
        1_000_000 => String::new(),
        ppm => format!(", {} of the opportunities", percent(f64::from(ppm) / 1e6)),
    };
    let on = match &fault.on {
        Targets::All => String::new(),
        Targets::Only(targets) => format!(", on {}", list(&targets.iter().copied().map(target).collect::<Vec<_>>())),
    };
    format!("{} ({}): {}{share}{on}: {}.", fault.name, kind_name(&fault.kind), when(scenario, fault), says(&fault.kind))
}

fn target(target: Target) -> String {
    match target {
        Target::Instance(index) => format!("app-{}", index + 1),
        Target::Store => "store".to_owned(),
        Target::Quota => "quota".to_owned(),
    }
}

fn when(scenario: &Scenario, fault: &Fault) -> String {
    let lasts = fault.lasts();
    let stretch = if fault.waits_until_the_storm_ends() {
        format!("from {} on, at the first chance", length(fault.at))
    } else if lasts.is_zero() {
        format!("at {}", length(fault.at))
    } else {
        format!("{} to {}", length(fault.at), length(fault.at + lasts))
    };
    match fault.every {
        None => stretch,
        Some(every) => {
            let times = counted(fault.starts(scenario.duration).count(), "time");
            format!("{stretch}, then every {} ({times} in all)", length(every))
        }
    }
}

fn says(kind: &FaultKind) -> String {
    match kind {
        FaultKind::ClockOffset { by } => format!("the wall clock is {}, then right again", shifted(*by)),
        FaultKind::ClockDrift { ppm } => {
            let way = if *ppm < 0 { "slow" } else { "fast" };
            format!("clocks run {way} by {} in a million", ppm.unsigned_abs())
        }
        FaultKind::ClockStep { by } => format!("the wall clock jumps, stays {}", shifted(*by)),
        FaultKind::ClockFreeze => "the wall clock stands still".to_owned(),
        FaultKind::ClockStrobe { by, period } => {
            format!("the wall clock is {} and right in turn, every {}", shifted(*by), length(*period))
        }
        FaultKind::ProcessCrash { downtime, when } => {
            format!("the process dies{} and is away for {}", moment(*when), length(*downtime))
        }
        FaultKind::ProcessPause { when } => format!("the process stands still{}", moment(*when)),
        FaultKind::ProcessRollingRestart { downtime } => {
            format!("instances restart in turn, each down for {}", length(*downtime))
        }
        FaultKind::ProcessDeploy { version, .. } => format!("instances restart with version {version:?}"),
        FaultKind::NetworkLatency { add } | FaultKind::StoreLatency { add } => format!("{} slower", length(*add)),
        FaultKind::QuotaOutage { mode: OutageMode::Refused } => "connections are refused".to_owned(),
        FaultKind::QuotaOutage { mode: OutageMode::Unavailable } => "every request gets 503".to_owned(),
        FaultKind::QuotaOutage { mode: OutageMode::Unauthorised } => "every request gets 401".to_owned(),
        FaultKind::QuotaOutage { mode: OutageMode::Hang } => "requests are taken and never answered".to_owned(),
        FaultKind::QuotaThrottle { retry_after: None } => "429".to_owned(),
        FaultKind::QuotaThrottle { retry_after: Some(after) } => format!("429, to be tried after {}", length(*after)),
        FaultKind::QuotaSlow { factor } => format!("service takes {factor} times as long"),
        FaultKind::QuotaKeyLag { lag } => format!("a replica answers that is {} behind", length(*lag)),
        FaultKind::QuotaReplay { delay } => format!("a proxy sends the request again, {} later", length(*delay)),
        FaultKind::StoreFailover { lost, silent } => {
            let told = if *silent { "nothing tells of it" } else { "its epoch tells of it" };
            format!("the commits of the last {} vanish, and {told}", length(*lost))
        }
        FaultKind::NetworkLoss => "the request vanishes, its client waits".to_owned(),
        FaultKind::NetworkLostReply => "the answer vanishes, its client waits".to_owned(),
        FaultKind::NetworkDuplicate => "the same bytes arrive twice".to_owned(),
        FaultKind::NetworkReorder => "the request is overtaken and arrives late".to_owned(),
        FaultKind::NetworkPartition => "there is no connection".to_owned(),
        FaultKind::NetworkReset => "the connection breaks before the service has the request".to_owned(),
        FaultKind::QuotaErrorBefore => "500, and no effect".to_owned(),
        FaultKind::QuotaErrorAfter => "500, after the effect".to_owned(),
        FaultKind::QuotaLostReply => "the quota is raised, then the connection closes".to_owned(),
        FaultKind::QuotaRestart => "the service forgets its keys".to_owned(),
        FaultKind::QuotaFalseAck => "200, and no effect".to_owned(),
        FaultKind::QuotaMalformed => "the answer can't be read".to_owned(),
        FaultKind::StoreError => "commits are refused".to_owned(),
        FaultKind::StoreOutage => "the store is away".to_owned(),
        FaultKind::StoreReadOnly => "the store can only be read".to_owned(),
        FaultKind::StoreLostAck => "commits are done, and their senders hear nothing certain".to_owned(),
        FaultKind::StoreFull => "the store has no room for a write".to_owned(),
    }
}

fn moment(when: Option<Moment>) -> &'static str {
    match when {
        None => "",
        Some(Moment::Claimed) => ", about to send a request,",
        Some(Moment::Sent) => ", a request just sent,",
        Some(Moment::Applied) => ", a request just applied and not yet answered,",
    }
}

fn shifted(by: ClockShift) -> String {
    let size = length(std::time::Duration::from_nanos(by.nanos.unsigned_abs()));
    if by.nanos < 0 { format!("{size} behind") } else { format!("{size} ahead") }
}
