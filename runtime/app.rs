//! `App`: builds everything from a `Config` and a schema, and runs it on a listener until it is stopped.
//!
//! Knows every floor below and decides nothing. It never binds, reads the environment or catches signals.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::auth::NameTrust;
use crate::channels::{ChannelManager, Ring};
use crate::config::Config;
use crate::env::Env;
use crate::event_bus::{Batches, EventBus, OutOfOrder};
use crate::expiry::Expiry;
use crate::http::guard::Hosts;
use crate::http::tls::Tls;
use crate::http::{AppState, Proxies, ROUTES, RateLimits, Services, router, server};
use crate::identity::{Identities, LoadedTokens, MailError, Mailer};
use crate::metrics::Metrics;
use crate::presence::{Presence, PresenceJudge, PresenceLimits};
use crate::realtime::reader::LiveReader;
use crate::realtime::session::Surroundings;
use crate::realtime::{Sessions, WebSocketManager};
use crate::repository::{Current, Repository};
use crate::schema::{Diagnostics, Generation, Schema, with_names};
use crate::store::{Evolved, LiveStore, LogLimit, OpenError, OpenReport, Store, choice};

/// How long listeners of the event bus have at shutdown to handle the events that wait.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// A server that is ready to run.
pub struct App {
    config: Arc<Config>,
    env: Env,
    metrics: Arc<Metrics>,
    store: Arc<dyn LiveStore>,
    repository: Arc<Repository>,
    identities: Arc<Identities>,
    sessions: Arc<Sessions>,
    event_bus: EventBus,
    /// From the first commit on, for the sweep of expired records.
    committed: Batches,
    found: FoundDatabase,
    channels_task: JoinHandle<Result<(), OutOfOrder>>,
    runtime: LiveRuntime,
}

/// What opening found, for the person who started the server.
#[derive(Debug, Clone)]
pub struct FoundDatabase {
    /// What the operator calls the database: `data/tidewire.db`.
    pub database: String,
    pub generation: Generation,
    pub report: OpenReport,
}

/// Why a server could not be made ready. The text is for the person who starts it.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("{0}")]
    Store(OpenError),
    #[error("{0}")]
    Tokens(String),
    /// The rules for names in the settings do not fit the schema.
    #[error("{0}")]
    Names(Diagnostics),
    #[error("the threads for live connections cannot be started: {0}")]
    Runtime(std::io::Error),
    #[error("{0}")]
    Mail(MailError),
}

impl App {
    /// Opens the store and starts the tasks between it and the sockets. Blocks for the database; needs a tokio runtime
    /// around it.
    pub fn open(config: Config, schema: Arc<Schema>, env: Env) -> Result<App, AppError> {
        App::open_for(config, schema, env, NameTrust::Believed)
    }

    /// The same for callers who may say who they are, or who must show it.
    pub fn open_for(
        config: Config,
        schema: Arc<Schema>,
        env: Env,
        names: NameTrust,
    ) -> Result<App, AppError> {
        let config = Arc::new(config);
        let tokens = loaded_tokens(&config, &env, names)?;
        let schema = with_rules_for_names(&schema, &config).map_err(AppError::Names)?;
        let metrics = Arc::new(Metrics::new(ROUTES, env.now()));
        let backend = choice::backend(&config).map_err(AppError::Store)?;
        let opened = backend.open(&schema, env.clone(), metrics.store.clone()).map_err(AppError::Store)?;
        let (generation, report) = (opened.generation, opened.report);
        let store: Arc<dyn Store> = opened.store.clone();

        let live = &config.realtime;
        let kept = LogLimit { changes: live.ring_changes, bytes: live.ring_bytes };
        let ring = Arc::new(Ring::new(report.epoch.clone(), report.head, generation, kept));
        let runtime = LiveRuntime::start().map_err(AppError::Runtime)?;
        let (event_bus, feed) = EventBus::new(opened.batches, report.head, metrics.clone());
        let (channels, channels_task) = {
            let _on_the_live_runtime = runtime.handle().enter();
            ChannelManager::start(ring.clone(), feed, live.scan_groups, env.clone(), metrics.clone())
        };

        let around = Surroundings {
            schema: schema.clone(),
            generation,
            epoch: report.epoch.clone(),
            config: Arc::new(live.clone()),
            metrics: metrics.clone(),
        };
        let reader = LiveReader::new(store.clone(), ring, live);
        let current = Current { schema, generation };
        let repository = Arc::new(Repository::new(store, current, env.clone()));
        let mailer = config.auth.mail.as_deref().map(Mailer::read).transpose().map_err(AppError::Mail)?;
        let sessions = Sessions::new(around, channels, reader, repository.clone(), env.clone());
        let presence = {
            let _on_the_live_runtime = runtime.handle().enter();
            let current = repository.clone();
            let schema = move || {
                let Current { schema, generation } = current.current();
                (schema, generation)
            };
            let judge = PresenceJudge::new(opened.store.clone(), Box::new(schema));
            let limits = PresenceLimits::of(live);
            Presence::start(judge, limits, event_bus.listen(), env.clone(), metrics.clone())
        };
        sessions.open_presence(presence);
        let vault = backend.vault().map_err(AppError::Store)?;
        let identities = Identities::new(vault, repository.clone(), env.clone(), &config.auth, names, tokens)
            .with_mailer(mailer);
        let identities = Arc::new(identities);
        let found = FoundDatabase { database: backend.about().database, generation, report };
        let store = opened.store;
        Ok(App {
            config,
            env,
            metrics,
            store,
            repository,
            identities,
            sessions,
            committed: event_bus.listen(),
            event_bus,
            found,
            channels_task,
            runtime,
        })
    }

    pub fn found(&self) -> &FoundDatabase {
        &self.found
    }

    pub fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    pub fn identities(&self) -> &Arc<Identities> {
        &self.identities
    }

    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// What is committed, for listeners in this process.
    pub fn event_bus(&self) -> &EventBus {
        &self.event_bus
    }

    /// The way to another schema while the server runs.
    pub fn reshaper(&self) -> Reshaper {
        let (store, repository, sessions) =
            (self.store.clone(), self.repository.clone(), self.sessions.clone());
        Reshaper { store, repository, sessions, config: self.config.clone() }
    }

    /// Serves until `shutdown`, then ends in order: sockets learn when to reconnect, requests in flight finish, the
    /// store commits what it has accepted.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let hosts = Hosts::new(listener.local_addr()?, &self.config.allowed_hosts);
        let hosts = Arc::new(hosts.with_origins(&self.config.allowed_origins));
        let tls = Tls::load(&self.config.tls).map_err(std::io::Error::other)?;
        let tasks = TaskTracker::new();
        let current = self.repository.clone();
        let expiry = Expiry {
            store: self.store.clone(),
            env: self.env.clone(),
            schema: Box::new(move || {
                let Current { schema, generation } = current.current();
                (schema, generation)
            }),
            batches: self.committed,
        };
        let state = AppState::new(Services {
            repository: self.repository,
            sessions: self.sessions.clone(),
            websockets: WebSocketManager::new(self.sessions.clone()),
            config: self.config.clone(),
            hosts,
            proxies: Proxies::new(&self.config.trusted_proxies),
            identities: self.identities.clone(),
            env: self.env,
            limits: RateLimits::new(&self.config.http),
            metrics: self.metrics.clone(),
            tasks: tasks.clone(),
            live: self.runtime.handle().clone(),
        });
        let mut channels_task = self.channels_task;
        let mut broken = None;
        let stop = async {
            tokio::select! {
                () = shutdown => tracing::info!("stopping"),
                ended = &mut channels_task => broken = Some(match ended {
                    Ok(Err(gap)) => gap.to_string(),
                    Ok(Ok(())) | Err(_) => "it ended before the server stopped".to_owned(),
                }),
            }
            self.sessions.lifecycle().drain();
        };
        let serving = server::Serving { router: router(state), tasks, metrics: self.metrics, tls };
        let heard_by_leases = self.event_bus.listen();
        self.sessions.leases().load().await;
        // What the sweep has committed when the server ends is committed; the next start continues.
        let sweeping = async {
            let deletes = self.identities.follow_deletes(self.event_bus.listen());
            let users = self.sessions.follow_users(self.event_bus.listen());
            let leases = self.sessions.leases().keep(heard_by_leases);
            let resets = self.identities.send_resets();
            tokio::join!(expiry.run(), self.identities.keep(), deletes, users, leases, resets);
        };
        tokio::select! {
            () = server::serve(listener, serving, &self.config, stop) => {}
            () = sweeping => {}
        }
        self.store.close().await;
        if let Some(broken) = broken {
            // Writes would still be acknowledged, but no subscriber would receive them. It is better to stop the server.
            return Err(std::io::Error::other(format!("ChannelManager: {broken}")));
        }
        // The bus ends with the store's batches, when ChannelManager has taken them all; no connection is left to ask it.
        if timeout(LAST_CALLS, self.event_bus.finished()).await.is_err() {
            tracing::warn!("a listener of the event bus did not stop in time");
        }
        channels_task.abort();
        Ok(())
    }
}

/// The tokens of the settings. Where callers must show who they are, a secret that can be guessed is refused.
fn loaded_tokens(config: &Config, env: &Env, names: NameTrust) -> Result<LoadedTokens, AppError> {
    let tokens = LoadedTokens::load(&config.auth, env).map_err(AppError::Tokens)?;
    match names {
        NameTrust::Refused if !tokens.weak.is_empty() => Err(AppError::Tokens(format!(
            "secrets of the file of `auth.tokens` can be guessed:\n  {}\nMake one by `openssl rand -base64 48`, and give it to the \
             programs that use it",
            tokens.weak.join("\n  ")
        ))),
        NameTrust::Refused | NameTrust::Believed => {
            for weak in &tokens.weak {
                tracing::warn!(secret = weak, "`tidewire serve` would refuse this secret");
            }
            Ok(tokens)
        }
    }
}

/// Changes the schema of a running server. Cheap to clone.
#[derive(Clone)]
pub struct Reshaper {
    store: Arc<dyn LiveStore>,
    repository: Arc<Repository>,
    sessions: Arc<Sessions>,
    config: Arc<Config>,
}

impl Reshaper {
    /// Of the schema that is in force.
    pub fn generation(&self) -> Generation {
        self.repository.current().generation
    }

    /// Brings database, requests and live connections to another schema, as far as nothing is lost; otherwise nothing
    /// changes, and the error is the plan with what is in its way.
    pub async fn reshape(&self, schema: Arc<Schema>) -> Result<Evolved, OpenError> {
        let schema = with_rules_for_names(&schema, &self.config).map_err(|faults| {
            OpenError::Unusable(format!("the rules for names do not fit the schema files\n{faults}"))
        })?;
        let evolved = self.store.evolve(schema.clone()).await?;
        if evolved.generation == self.generation() {
            return Ok(evolved);
        }
        self.repository.adopt(Current { schema: schema.clone(), generation: evolved.generation });
        self.sessions.lifecycle().adopt(schema, evolved.generation);
        Ok(evolved)
    }
}

/// The schema and the settings' rules for names, which speak of its entities.
fn with_rules_for_names(schema: &Schema, config: &Config) -> Result<Arc<Schema>, Diagnostics> {
    with_names(schema.clone(), &config.presence, &config.rooms).map(Arc::new)
}

/// The runtime of live connections: ChannelManager and the sockets' tasks.
///
/// A batch wakes every subscriber's task. On one runtime a request would wait behind all of them, several times over
/// before it is answered, and each batch would hold what few writes got through. With a runtime of their own the
/// operating system shares the cores between the two: answers stay quick however many listen, commits stay large, and
/// one write carries what several commits brought (docs/performance.md).
struct LiveRuntime(Option<Runtime>);

impl LiveRuntime {
    fn start() -> std::io::Result<LiveRuntime> {
        let runtime = Builder::new_multi_thread().thread_name("tidewire-live").enable_all().build()?;
        Ok(LiveRuntime(Some(runtime)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("the runtime is taken only by `drop`").handle()
    }
}

impl Drop for LiveRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Its tasks were awaited; waiting for its threads is not possible from within another runtime.
            runtime.shutdown_background();
        }
    }
}
