//! `Lifecycle`: what is true for every connection at this moment, and the notice of its changes: another schema, and
//! the end of the server.
//!
//! Does not know the listeners.

use std::sync::Arc;

use tokio::sync::watch;

use super::session::Surroundings;
use crate::schema::{Generation, Schema};

/// See the module's text.
#[derive(Debug)]
pub struct Lifecycle(watch::Sender<News>);

/// A notice to every connection.
#[derive(Debug, Clone)]
pub struct News {
    pub around: Surroundings,
    /// The server stops.
    pub draining: bool,
}

impl Lifecycle {
    pub fn new(around: Surroundings) -> Lifecycle {
        Lifecycle(watch::Sender::new(News { around, draining: false }))
    }

    pub fn around(&self) -> Surroundings {
        self.0.borrow().around.clone()
    }

    /// What is true now, and a way to receive all that comes after it.
    pub fn follow(&self) -> (Surroundings, watch::Receiver<News>) {
        let mut news = self.0.subscribe();
        let around = news.borrow_and_update().around.clone();
        (around, news)
    }

    /// From here on entities have the shape of another schema. Every connection is notified, and its channels start again.
    pub fn adopt(&self, schema: Arc<Schema>, generation: Generation) {
        self.0.send_modify(|news| {
            news.around.schema = schema;
            news.around.generation = generation;
        });
    }

    /// The server stops: every connection learns when to reconnect, and is ended.
    pub fn drain(&self) {
        self.0.send_modify(|news| news.draining = true);
    }

    pub fn is_draining(&self) -> bool {
        self.0.borrow().draining
    }

    /// Completes when `drain` was called.
    pub async fn drained(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(|news| news.draining).await;
    }
}
