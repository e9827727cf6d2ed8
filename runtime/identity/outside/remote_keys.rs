//! `RemoteKeys`: keys of an issuer that change: behind an address, or in a file that is replaced.
//!
//! One task reads them, now and then and when a token names a key that is not known. A stranger can send such tokens, so reading for
//! them is bounded (`allowance.rs`). Requests only wait for the task. While an issuer does not answer, its last keys stay good for a
//! day; a key that it no longer lists is gone at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::allowance::FetchAllowance;
use super::fetch::{Fetcher, secure};
use super::keys::{TokenAlgorithm, VerifyingKey};
use crate::env::Env;

/// How long keys are used before they are read again.
const FRESH: Duration = Duration::from_secs(600);
/// The same of a file, which costs nothing.
const FRESH_FILE: Duration = Duration::from_secs(10);
/// Until the next try after a failure.
const AGAIN: Duration = Duration::from_secs(10);
/// How old keys may be that cannot be read again.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// How long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(6);

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeysOrigin {
    File(PathBuf),
    Url(String),
    /// Named by the issuer, at `/.well-known/openid-configuration`.
    Discovery(String),
}

/// What an issuer says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Discovered {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
}

/// See the module's text.
pub(super) struct RemoteKeys {
    origin: KeysOrigin,
    algorithm: TokenAlgorithm,
    wanted: Notify,
    /// Held for a look.
    asking: Mutex<Asking>,
    state: watch::Sender<KeysState>,
}

struct Asking {
    allowance: FetchAllowance,
    /// The task was asked and has not answered.
    pending: bool,
}

/// What is known now.
#[derive(Clone, Default)]
struct KeysState {
    /// Counts the tries.
    tries: u64,
    keys: Arc<[Arc<VerifyingKey>]>,
    discovered: Option<Arc<Discovered>>,
    /// When the keys were read, by the clock that cannot be set.
    read: Option<Duration>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has no such key.
    Unknown,
    /// Its keys could not be read.
    Unavailable,
}

impl RemoteKeys {
    pub(super) fn new(origin: KeysOrigin, algorithm: TokenAlgorithm, now: Duration) -> RemoteKeys {
        RemoteKeys {
            origin,
            algorithm,
            wanted: Notify::new(),
            asking: Mutex::new(Asking { allowance: FetchAllowance::new(now), pending: true }),
            state: watch::Sender::default(),
        }
    }

    /// The keys that may have signed a token. Reads them where none fits.
    pub(super) async fn find(&self, id: Option<&str>, env: &Env) -> Result<Vec<Arc<VerifyingKey>>, NoKey> {
        let found = self.fitting(id, env);
        if found.as_ref().is_ok_and(|keys| !keys.is_empty()) || !self.read_now(env).await {
            return found.and_then(|keys| if keys.is_empty() { Err(NoKey::Unknown) } else { Ok(keys) });
        }
        match self.fitting(id, env)? {
            keys if keys.is_empty() => Err(NoKey::Unknown),
            keys => Ok(keys),
        }
    }

    pub(super) async fn discovered(&self, env: &Env) -> Option<Arc<Discovered>> {
        if self.state.borrow().discovered.is_none() {
            self.read_now(env).await;
        }
        self.state.borrow().discovered.clone()
    }

    fn fitting(&self, id: Option<&str>, env: &Env) -> Result<Vec<Arc<VerifyingKey>>, NoKey> {
        let state = self.state.borrow();
        let read = state.read.filter(|read| env.elapsed().saturating_sub(*read) < OLDEST);
        read.ok_or(NoKey::Unavailable)?;
        let fits = |key: &&Arc<VerifyingKey>| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        Ok(state.keys.iter().filter(fits).cloned().collect())
    }

    /// Waits until the task has read the keys once more. False where it may not be asked now.
    async fn read_now(&self, env: &Env) -> bool {
        let mut following = self.state.subscribe();
        // Before the task is asked: it may be done before the next line.
        let tries = following.borrow_and_update().tries;
        {
            let mut asking = self.asking.lock();
            if !asking.pending {
                if !asking.allowance.take(env.elapsed()) {
                    return false;
                }
                asking.pending = true;
                self.wanted.notify_one();
            }
        }
        matches!(timeout(PATIENCE, following.wait_for(|state| state.tries > tries)).await, Ok(Ok(_)))
    }

    /// Reads the keys for ever, and says each time which there are.
    pub(super) async fn keep(
        &self,
        name: &str,
        fetcher: &Fetcher,
        env: &Env,
        tell: impl Fn(&[Arc<VerifyingKey>]),
    ) {
        let mut failing = false;
        loop {
            let read = self.read(fetcher).await;
            let worked = match read {
                Ok((keys, discovered)) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(issuer = name, "the keys of the issuer can be read again");
                    }
                    tell(&keys);
                    self.publish(Some((keys, discovered)), env);
                    true
                }
                Err(why) => {
                    // Once: the next tries fail in the same way.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(
                            issuer = name,
                            why,
                            "the keys of the issuer could not be read; the last ones stay good for a day"
                        );
                    }
                    self.publish(None, env);
                    false
                }
            };
            let rest = match (&self.origin, worked) {
                (_, false) => AGAIN,
                (KeysOrigin::File(_), true) => FRESH_FILE,
                (KeysOrigin::Url(_) | KeysOrigin::Discovery(_), true) => FRESH,
            };
            // Asked or not, it is time then.
            let _ = timeout(rest, self.wanted.notified()).await;
        }
    }

    fn publish(&self, read: Option<(Vec<Arc<VerifyingKey>>, Option<Discovered>)>, env: &Env) {
        self.asking.lock().pending = false;
        self.state.send_modify(|state| {
            state.tries += 1;
            if let Some((keys, discovered)) = read {
                state.keys = keys.into();
                state.discovered = discovered.map(Arc::new);
                state.read = Some(env.elapsed());
            }
        });
    }

    async fn read(&self, fetcher: &Fetcher) -> Result<(Vec<Arc<VerifyingKey>>, Option<Discovered>), String> {
        let (text, discovered) = match &self.origin {
            KeysOrigin::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
                (reading.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?, None)
            }
            KeysOrigin::Url(url) => (fetcher.get(url).await?, None),
            KeysOrigin::Discovery(issuer) => {
                let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let text = fetcher.get(&address).await?;
                let found: Discovered = serde_json::from_str(&text)
                    .map_err(|error| format!("the description at {address} is not one of OpenID: {error}"))?;
                if found.issuer != *issuer {
                    return Err(format!("the description at {address} is of another issuer"));
                }
                for endpoint in [&found.authorization_endpoint, &found.token_endpoint] {
                    secure(endpoint)?;
                }
                (fetcher.get(&found.jwks_uri).await?, Some(found))
            }
        };
        Ok((VerifyingKey::of_set(self.algorithm, &text)?, discovered))
    }
}
