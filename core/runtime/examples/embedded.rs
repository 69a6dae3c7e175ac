//! A service that embeds the hook: it reads a user id a line, and answers each with the variant and the state of the grant.
//!
//!     cargo run -p hookproof-runtime --example embedded -- hook.db http://127.0.0.1:8080
//!
//! The quota service at that URL gets one `POST /increase_quota` for each treated user, whatever happens to this process: end it as you like,
//! start it again with the same file, and it goes on. At the end of its input it drains and stops. Instead of a file it takes a connection string of
//! PostgreSQL's; then any number of instances can run at once.
//!
//! `tests/crash` kills it at every point at which that could matter. For that its times are short: a grant whose sender was killed is taken over
//! within a second, and one that failed is tried again within seconds, however often it has failed.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookproof_core::committer::CommitterConfig;
use hookproof_core::delivery::config::DeliveryConfig;
use hookproof_core::experiment::{Experiment, Exposed, GrantSpec, HashSpec, Phase, Spec, VariantSpec};
use hookproof_core::hook::HookConfig;
use hookproof_core::lineage::Lineage;
use hookproof_core::protection::{Protection, Protections};
use hookproof_core::store::FleetLimits;
use hookproof_core::upstream::{Capability, Upstream};
use hookproof_runtime::client::{Client, ClientConfig};
use hookproof_runtime::hook::{Config, Running};
use hookproof_runtime::store::Store;
use hookproof_runtime::store::postgres::{Postgres, Settings};
use hookproof_runtime::store::sqlite::Sqlite;
use rustls::RootCertStore;

/// How long the end waits for what is under way.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What the hook does and why, for whoever must explain it.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let running = start(Arguments::parse(&std::env::args().skip(1).collect::<Vec<_>>())?).await?;
    let names: Vec<_> = variants(running.hook().lineage());
    // Lines are read on a thread of their own, so that the hook goes on while nobody types.
    let (lines, mut typed) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        stdin().lock().lines().map_while(Result::ok).try_for_each(|line| lines.blocking_send(line))
    });
    while let Some(user) = typed.recv().await {
        match running.hook().visit(&user, None).await {
            Ok(visited) => {
                let grant = visited.grant.map_or("none", |(_, state)| state.name());
                let variant = &names[visited.variant.index()];
                writeln!(stdout(), "{user}\t{variant}\t{}\t{grant}", visited.basis.name())?;
            }
            Err(error) => writeln!(stdout(), "{user}\terror\t{error}\tnone")?,
        }
    }
    let is_drained = running.shut_down(GRACE).await;
    eprintln!("{}", if is_drained { "drained" } else { "not all that was under way has ended" });
    Ok(())
}

const USAGE: &str = "usage: embedded STORE.db|CONNECTION http://QUOTA-SERVICE [without=PROTECTION] [key-ttl-ms=N]";

struct Arguments<'a> {
    store: &'a str,
    url: &'a str,
    protections: Protections,
    /// For how long the quota service remembers a key.
    key_ttl: Duration,
}

impl<'a> Arguments<'a> {
    fn parse(arguments: &'a [String]) -> Result<Self, Box<dyn Error>> {
        let [store, url, rest @ ..] = arguments else { return Err(USAGE.into()) };
        let mut parsed = Self { store, url, protections: Protections::ALL, key_ttl: Duration::from_secs(24 * 3600) };
        for argument in rest {
            match argument.split_once('=') {
                Some(("without", name)) => {
                    parsed.protections = parsed.protections.without(Protection::from_name(name).ok_or(USAGE)?);
                }
                Some(("key-ttl-ms", number)) => parsed.key_ttl = Duration::from_millis(number.parse()?),
                Some(_) | None => return Err(USAGE.into()),
            }
        }
        Ok(parsed)
    }
}

async fn start(arguments: Arguments<'_>) -> Result<Running, Box<dyn Error>> {
    let Arguments { store, url, protections, key_ttl } = arguments;
    // What the quota service offers, and for how long it may sit on a request.
    let capability = Capability::IdempotencyKey { ttl: key_ttl };
    let upstream = Upstream { capability, request_lifetime: Duration::from_secs(60).min(key_ttl / 4) };
    let mut delivery = DeliveryConfig::new(upstream, Duration::from_millis(10));
    delivery.protections = protections;
    delivery.attempt_timeout = Duration::from_millis(300);
    delivery.connect_timeout = Duration::from_millis(300);
    delivery.lease = Duration::from_millis(600);
    delivery.backoff_cap = Duration::from_secs(1);
    delivery.breaker.open = Duration::from_millis(100);
    delivery.breaker.open_cap = Duration::from_secs(1);
    delivery.fleet = FleetLimits { initial_in_flight: 8, ..delivery.fleet };
    let mut client = ClientConfig::new(url.parse()?, capability, delivery.connect_timeout, delivery.attempt_timeout);
    client.read_idle_timeout = delivery.attempt_timeout;
    let tls = rustls::ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let client = Client::new(client, Arc::new(tls))?;

    let lineage = lineage()?;
    let names = variants(&lineage);
    let names = names.iter().map(String::as_str);
    let store = if store.contains('=') || store.starts_with("postgres") {
        Store::Postgres(Arc::new(Postgres::open(&Settings::new(store), names).await?))
    } else {
        Store::Sqlite(Sqlite::open(Path::new(store), names)?)
    };
    let config = Config::new(lineage, HookConfig { delivery, committer: CommitterConfig::default() });
    Ok(Running::start(config, store, client)?)
}

/// Half of the users get 25 units more.
fn lineage() -> Result<Lineage, Box<dyn Error>> {
    let variant = |name: &str, grant| VariantSpec { name: name.to_owned(), weight: 50, grant };
    let grant = GrantSpec { units: 25, effect: "quota-increase".to_owned() };
    let spec = Spec {
        id: "quota-experiment".to_owned(),
        namespace: "example".to_owned(),
        lineage: Some("quota-experiment".to_owned()),
        version: "1".to_owned(),
        // For people who type. Where treatment is worth money, a secret keeps users from choosing ids that win.
        hash: HashSpec::Sha256V1,
        salt: None,
        coverage_ppm: 1_000_000,
        variants: vec![variant("control", None), variant("extra-quota", Some(grant))],
        generation: 0,
        exposed: Exposed::Keep,
        phase: Phase::Running,
        operations: BTreeSet::new(),
    };
    let experiment = Experiment::new(spec).map_err(|errors| format!("the experiment is not permitted: {errors:?}"))?;
    Ok(Lineage::new(experiment, Vec::new())?)
}

fn variants(lineage: &Lineage) -> Vec<String> {
    lineage.current().variants().iter().map(|variant| variant.name.clone()).collect()
}
