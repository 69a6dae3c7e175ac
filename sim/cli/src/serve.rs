//! `serve`: the hardened hook as an HTTP server, beside a service in any language.
//!
//! Owns how `hook.toml` becomes a running hook, and its end: on SIGTERM or SIGINT no request is taken any more, those under way are
//! finished, and what was claimed and not sent goes back to the store. The only verb with a runtime of several threads.

mod logs;

use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use hookproof_core::hook::HookConfig;
use hookproof_runtime::client::{Client, ClientConfig, Roots, Token, trust};
use hookproof_runtime::hook::{Config, Running};
use hookproof_runtime::sidecar::{Bearer, Limits, Server, ServerConfig};
use hookproof_runtime::telemetry::Shown;
use hookproof_sim::scenario::{HookFile, ServerSettings, UpstreamTarget};
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::{Host, Url};

use crate::args::ServeArgs;
use crate::exit::{Exit, Failure};
use crate::hook_file;
use crate::location::Location;
use crate::runtime;
use crate::terminal::{self, Terminal};

/// Serves until it is told to end, or only checks.
///
/// # Errors
/// The file is bad, the store can't be opened, or the address is taken.
pub(crate) fn serve(args: &ServeArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let path = &args.config;
    let parts = Parts::of(hook_file::load(path, terminal)?, path)?;
    if args.check {
        parts.store.check()?;
        parts.warnings.iter().for_each(|warning| terminal.say(&format!("warning: {warning}")));
        terminal::print(format!("{}: valid; {}\n", path.display(), parts.summary()).as_bytes())?;
        return Ok(Exit::Pass);
    }
    logs::begin()?;
    runtime::of_all_cores()?.block_on(run(parts))
}

/// What a hook is started with.
struct Parts {
    config: Config,
    store: Location,
    client: Client,
    upstream: Url,
    server: ServerConfig,
    grace: Duration,
    /// What works and should not stay so.
    warnings: Vec<String>,
}

impl Parts {
    fn of(file: HookFile, path: &Path) -> Result<Self, Failure> {
        let in_file = |what: &str, why: String| Failure::bad_input(format!("{}: {what}: {why}", path.display()));
        let hook = file.hook_config();
        let HookFile { lineage, store, clock_error: _, upstream, hardened: _, server } = file;
        let has_token = upstream.token.is_some();
        let (client, upstream) = client(&upstream, &hook).map_err(|why| in_file("[upstream]", why))?;
        let store = Location::of(store, path);
        let mut config = Config::new(lineage, hook);
        config.known_max = server.known_users_max as usize;
        if let Some(shown) = shown(&server).map_err(|why| in_file("[server]", why))? {
            config.shown = shown;
        }
        let grace = server.shutdown_grace;
        let server = server_config(server).map_err(|why| in_file("[server]", why))?;
        let mut warnings = Vec::new();
        if has_token && upstream.scheme() == "http" && !is_this_machine(&upstream) {
            warnings.push(format!(
                "[upstream]: the token goes to {upstream} without TLS, for all on the way to read: use https"
            ));
        }
        Ok(Self { config, store, client, upstream, server, grace, warnings })
    }

    /// What it is, without secrets.
    fn summary(&self) -> String {
        let experiment = self.config.lineage.current();
        format!(
            "{} version {} of lineage {}; store {}; quota service {}; listens on {}",
            experiment.id(),
            experiment.version(),
            experiment.framed_lineage(),
            self.store,
            self.upstream,
            self.server.listen
        )
    }
}

/// Whether what is sent there stays on this machine.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn client(target: &UpstreamTarget, hook: &HookConfig) -> Result<(Client, Url), String> {
    let url: Url = target.url.parse().map_err(|error| format!("url: {error}"))?;
    let delivery = &hook.delivery;
    let (connect, attempt) = (delivery.connect_timeout, delivery.attempt_timeout);
    let mut config = ClientConfig::new(url.clone(), delivery.upstream.capability, connect, attempt);
    config.allow_link_local = target.allow_link_local;
    config.token = match &target.token {
        Some(token) => Some(Token::new(token.reveal()).map_err(|error| format!("token: {error}"))?),
        None => None,
    };
    let tls = trust(Roots::of(target.ca.as_deref(), &url)).map_err(|error| format!("ca-file: {error}"))?;
    let client = Client::new(config, tls).map_err(|error| format!("url: {error}"))?;
    Ok((client, url))
}

/// How users stand in the log, if the file says so.
fn shown(server: &ServerSettings) -> Result<Option<Shown>, String> {
    match (&server.id_key, server.show_ids) {
        (_, true) => Ok(Some(Shown::Ids)),
        (Some(key), false) => {
            let shown = Shown::pseudonyms(key.reveal().as_bytes());
            shown.map(Some).map_err(|error| format!("id-key-file: {error}"))
        }
        (None, false) => Ok(None),
    }
}

fn server_config(server: ServerSettings) -> Result<ServerConfig, String> {
    let token = match &server.token {
        Some(token) => Some(Bearer::new(token.reveal()).map_err(|error| format!("token-file: {error}"))?),
        None => None,
    };
    let limits = Limits {
        body_max: server.body_max as usize,
        header_max: server.header_max as usize,
        header_timeout: server.header_timeout,
        request_timeout: server.request_timeout,
        connections_max: server.connections_max as usize,
        requests_max: server.requests_max as usize,
    };
    Ok(ServerConfig { listen: server.listen, hosts: server.hosts, token, limits })
}

async fn run(parts: Parts) -> Result<Exit, Failure> {
    let summary = parts.summary();
    let Parts { config, store, client, upstream: _, server, grace, warnings } = parts;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::listen().map_err(|error| Failure::harness(format!("signals can't be taken: {error}")))?;
    let store = store.open(config.lineage.current().variants()).await?;
    let running = Running::start(config, store, client).map_err(|error| Failure::bad_input(error.to_string()))?;
    let server = match Server::bind(server, running.hook().clone()).await {
        Ok(server) => server,
        Err(error) => {
            running.shut_down(grace).await;
            return Err(Failure::bad_input(error.to_string()));
        }
    };
    let address = server.address();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, summary, "started");
    terminal::print(format!("listening on http://{address}\n").as_bytes())?;
    let hook = running.hook().clone();
    let mut is_told = true;
    let end = async {
        is_told = tokio::select! {
            () = signals.wait() => true,
            () = hook.stopping() => false,
        };
    };
    server.serve(end).await;
    if !is_told {
        return Err(Failure::harness("the hook has failed, which is a bug in hookproof: the log says where"));
    }
    if running.shut_down(grace).await {
        tracing::info!("ended");
    } else {
        tracing::warn!("ended before all was done: what is open is claimed again when its lease has ended");
    }
    Ok(Exit::Pass)
}

/// What ends a server.
struct Signals([Signal; 2]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    async fn wait(mut self) {
        poll_fn(|ctx| {
            let is_told = self.0.iter_mut().any(|signal| signal.poll_recv(ctx).is_ready());
            if is_told { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        tracing::info!("told to end");
    }
}
