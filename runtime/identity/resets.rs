//! `Resets`: the bounded queue of names that wait for a mail with a link, and the mailer behind it.
//!
//! Knows no account: `forgotten.rs` asks and sends.

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::error::IdentityError;
use super::mail::Mailer;

/// Requests that may wait for their mail.
const MOST: usize = 64;

/// The queue, and the mailer behind it.
#[derive(Debug)]
pub(super) struct Resets {
    mailer: Mailer,
    asked: mpsc::Sender<String>,
    /// Taken once, by `send_resets`.
    queue: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Resets {
    pub(super) fn new(mailer: Mailer) -> Resets {
        let (asked, queue) = mpsc::channel(MOST);
        Resets { mailer, asked, queue: Mutex::new(Some(queue)) }
    }

    pub(super) fn mailer(&self) -> &Mailer {
        &self.mailer
    }

    /// Puts a name into the queue.
    pub(super) fn ask(&self, key: String) -> Result<(), IdentityError> {
        self.asked.try_send(key).map_err(|_| IdentityError::Overloaded)
    }

    /// None if it was taken before.
    pub(super) fn take_queue(&self) -> Option<mpsc::Receiver<String>> {
        self.queue.lock().take()
    }
}
