//! A hook under load: the real one on a store of its own, embedded or behind HTTP.
//!
//! Half of the users are treated. Delivery has its defaults but for an attempt's timeout of 500 ms, so that a service that hangs is noticed within a
//! short run, and no cap on effects by the minute, which would put delivery off in the middle of it. A visit waits for the store for 10 s rather than one, so that
//! long waits are measured and not cut off.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::hook::HookConfig;
use hookproof_core::lineage::Lineage;
use hookproof_core::store::FleetLimits;
use hookproof_core::upstream::{Capability, Upstream};
use hookproof_runtime::client::{Client, ClientConfig, Roots, trust};
use hookproof_runtime::hook::{Basis, Config, Hook, Running};
use hookproof_runtime::sidecar::{Limits, Server, ServerConfig};
use hookproof_runtime::store::Store;
use hookproof_runtime::store::sqlite::{OpenError, Sqlite};
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::arrivals::{Plan, Visitor};
use crate::disk;
use crate::offer::{Answered, Measured, offer};
use crate::quota::{Mode, QuotaService};
use crate::sidecar::Sidecar;

/// The store's file, in the subject's folder.
const STORE: &str = "hook.db";
/// How long an attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a visit waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for a commit under way.
const GRACE: Duration = Duration::from_secs(10);

/// What can be put under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The hardened hook in the caller's process.
    Hardened,
    /// The same behind HTTP on loopback, as a sidecar.
    Sidecar,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hardened, Self::Sidecar];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardened => "hardened",
            Self::Sidecar => "hardened-sidecar",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Why nothing can be put under load.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store can't be made in that folder; name another one.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The machine has no port, thread or memory for it.
    #[error("{0}")]
    Machine(#[from] std::io::Error),
    /// A user who should have a record beforehand got none; the store fails.
    #[error("the store does not record visits")]
    Unrecorded,
}

/// A hook that is ready for visits. Its end does not wait for requests to the quota service.
pub struct Subject {
    /// Always some until the value is dropped.
    runtime: Option<Runtime>,
    hook: Hook,
    sidecar: Option<Arc<Sidecar>>,
    _running: Running,
    _service: QuotaService,
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
    }
}

impl Subject {
    /// Starts one on the store in `folder`, which is made if there is none, with a quota service in this mode.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(kind: Kind, folder: &Path, mode: Mode) -> Result<Self, StartError> {
        let service = QuotaService::start(mode)?;
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let lineage = lineage();
        let names: Vec<&str> = lineage.current().variants().iter().map(|variant| variant.name.as_str()).collect();
        let store = Store::Sqlite(Sqlite::open(&folder.join(STORE), names)?);
        let entered = runtime.enter();
        let running = start(lineage, store, &service.url());
        drop(entered);
        let hook = running.hook().clone();
        let sidecar = match kind {
            Kind::Hardened => None,
            Kind::Sidecar => Some(Arc::new(runtime.block_on(serve(hook.clone()))?)),
        };
        Ok(Self { runtime: Some(runtime), hook, sidecar, _running: running, _service: service })
    }

    /// The runtime on which it runs.
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("until it is dropped").handle()
    }

    /// The hook itself.
    pub const fn hook(&self) -> &Hook {
        &self.hook
    }

    /// Records the plan's returning users, several at a time.
    ///
    /// # Errors
    /// The store records none.
    pub fn record_returning(&self, plan: Plan) -> Result<(), StartError> {
        self.handle().block_on(async {
            let mut visits = JoinSet::new();
            let mut recorded = 0;
            for number in 0..plan.users {
                visits.spawn(self.visit(Visitor::Returning(number).id().into()));
                if visits.len() >= 256 || number + 1 == plan.users {
                    let answers = std::mem::take(&mut visits).join_all().await;
                    recorded += answers.iter().filter(|answer| is_recorded(**answer)).count() as u64;
                }
            }
            if recorded == plan.users { Ok(()) } else { Err(StartError::Unrecorded) }
        })
    }

    /// Offers the visits of `plan`.
    pub fn offer(&self, plan: Plan) -> Measured {
        offer(self.handle(), plan, |id| self.visit(id))
    }

    /// One visit of the user with this id.
    pub fn visit(&self, id: Arc<str>) -> impl Future<Output = Answered> + Send + 'static {
        let (hook, sidecar) = (self.hook.clone(), self.sidecar.clone());
        async move {
            match sidecar {
                Some(sidecar) => sidecar.visit(&id).await,
                None => hook.visit(&id, None).await.map_or(Answered::Failed, |visited| answered(visited.basis)),
            }
        }
    }
}

/// The bytes of an average commit of the store in `folder`, as far as its log still tells: read it while the subject is there.
///
/// # Errors
/// What the file system says.
pub fn commit_bytes(folder: &Path) -> std::io::Result<Option<usize>> {
    disk::commit_bytes(&folder.join(format!("{STORE}-wal")))
}

const fn is_recorded(answered: Answered) -> bool {
    matches!(answered, Answered::First | Answered::Repeated)
}

/// What a basis means here: the experiment enrols everybody and blocks nobody.
pub(crate) const fn answered(basis: Basis) -> Answered {
    match basis {
        Basis::FirstExposure => Answered::First,
        Basis::Recorded => Answered::Repeated,
        Basis::Provisional => Answered::Provisional,
        Basis::NotEnrolled | Basis::Blocked => Answered::Failed,
    }
}

fn start(lineage: Lineage, store: Store, url: &str) -> Running {
    let capability = Capability::IdempotencyKey { ttl: Duration::from_secs(24 * 3_600) };
    let upstream = Upstream { capability, request_lifetime: Duration::from_secs(60) };
    let mut delivery = DeliveryConfig::new(upstream, Duration::from_millis(500));
    delivery.connect_timeout = ATTEMPT_TIMEOUT;
    delivery.attempt_timeout = ATTEMPT_TIMEOUT;
    delivery.fleet = FleetLimits { effects_per_minute: u32::MAX, ..delivery.fleet };
    let url = url.parse().expect("an address of this machine is a URL");
    let client = ClientConfig::new(url, capability, ATTEMPT_TIMEOUT, ATTEMPT_TIMEOUT);
    let tls = trust(Roots::None).expect("nobody is trusted, for nothing is encrypted");
    let client = Client::new(client, tls).expect("loopback may be connected to");
    let committer = CommitterConfig { patience: PATIENCE, ..CommitterConfig::default() };
    let config = Config::new(lineage, HookConfig { delivery, committer });
    Running::start(config, store, client).expect("the settings fit together")
}

fn lineage() -> Lineage {
    let variant = |name: &str, grant| VariantSpec { name: name.to_owned(), weight: 50, grant };
    let grant = GrantSpec { units: 25, effect: "quota-increase".to_owned() };
    let spec = Spec {
        id: "bench".to_owned(),
        namespace: "bench".to_owned(),
        lineage: None,
        version: "1".to_owned(),
        hash: HashSpec::Sha256V1,
        salt: None,
        coverage_ppm: 1_000_000,
        variants: vec![variant("control", None), variant("extra-quota", Some(grant))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    };
    let experiment = Experiment::new(spec).expect("the experiment above is valid");
    Lineage::new(experiment, Vec::new()).expect("one version is a lineage")
}

/// Puts a sidecar before the hook, which serves until the runtime ends.
async fn serve(hook: Hook) -> std::io::Result<Sidecar> {
    // As many at a time as an open loop may pile up: what is turned away would be missing in the latencies.
    let limits = Limits { connections_max: 16_384, requests_max: 16_384, ..Limits::default() };
    let listen = ([127, 0, 0, 1], 0).into();
    let config = ServerConfig { listen, hosts: Vec::new(), token: None, limits };
    let server = Server::bind(config, hook).await.map_err(std::io::Error::other)?;
    let address = server.address();
    tokio::spawn(server.serve(std::future::pending()));
    Ok(Sidecar::new(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        per_second: 500.0,
        warm_up: Duration::from_millis(100),
        length: Duration::from_millis(300),
        users: 20,
        first_visits: 0.5,
        seed: 1,
    };

    #[test]
    fn every_visit_is_answered_with_the_kind_that_was_planned() {
        for kind in Kind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let subject = Subject::start(kind, folder.path(), Mode::Ok).unwrap();
            subject.record_returning(PLAN).unwrap();
            let measured = subject.offer(PLAN);
            let is_first = |visitor| matches!(visitor, Visitor::New(_));
            let planned = || PLAN.arrivals().filter(|arrival| arrival.is_measured);
            let first = planned().filter(|arrival| is_first(arrival.visitor)).count() as u64;
            assert_eq!(measured.first.wait.count(), first, "{kind:?}: {measured:?}");
            assert_eq!(measured.repeated.wait.count(), planned().count() as u64 - first, "{kind:?}");
            let bytes = commit_bytes(folder.path()).unwrap().expect("commits have been made");
            assert!(bytes > 4_096, "{bytes}");
        }
    }

    #[test]
    fn no_way_in_which_the_service_fails_keeps_visits_from_their_records() {
        for mode in Mode::ALL {
            let folder = tempfile::tempdir().unwrap();
            let subject = Subject::start(Kind::Hardened, folder.path(), mode).unwrap();
            subject.record_returning(PLAN).unwrap();
            let measured = subject.offer(PLAN);
            assert_eq!(measured.recorded.wait.count(), measured.offered_count, "{mode:?}: {measured:?}");
        }
    }
}
