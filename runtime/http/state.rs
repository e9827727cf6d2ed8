//! `AppState`: what every handler may use.
//!
//! Knows no route.

use std::ops::Deref;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::guard::Hosts;
use super::limits::RateLimits;
use super::proxies::Proxies;
use crate::config::Config;
use crate::env::Env;
use crate::identity::Identities;
use crate::metrics::Metrics;
use crate::realtime::{Sessions, WebSocketManager};
use crate::repository::Repository;
use crate::schema::{Generation, Schema};

/// What every handler may use. The router clones it several times for each request, so a clone only counts up one counter.
#[derive(Clone)]
pub struct AppState(Arc<Services>);

/// What the routes use.
pub struct Services {
    pub repository: Arc<Repository>,
    pub sessions: Arc<Sessions>,
    pub websockets: WebSocketManager,
    pub config: Arc<Config>,
    pub hosts: Arc<Hosts>,
    pub proxies: Proxies,
    pub identities: Arc<Identities>,
    pub env: Env,
    pub limits: RateLimits,
    pub metrics: Arc<Metrics>,
    /// Tasks that shutdown waits for: connections, and the sockets that came from them.
    pub tasks: TaskTracker,
    /// The runtime of live connections (`app.rs` says why there are two).
    pub live: tokio::runtime::Handle,
}

impl AppState {
    pub fn new(services: Services) -> AppState {
        AppState(Arc::new(services))
    }
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl Services {
    pub fn schema(&self) -> Arc<Schema> {
        self.repository.current().schema
    }

    pub fn generation(&self) -> Generation {
        self.repository.current().generation
    }
}
