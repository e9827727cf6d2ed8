//! The connections that read, and who may have one: the one limit of all reads.
//!
//! A short read runs where it is awaited and never blocks: without a free connection it waits as a future does. A read that
//! is probably short is tried there with an allowance, if a connection is free. Any other read runs on a blocking thread, so
//! that no async worker stands still while SQLite steps over rows; such reads leave one connection to the others. A read that
//! gets no connection in time is refused. Does not know what is read.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::scan_limit;
use crate::store::StoreError;

pub(super) struct Pool {
    /// Those that are not lent. The one that was used last is lent first: its statements are prepared. The lock is held for
    /// one push or pop.
    free: Mutex<Vec<Connection>>,
    /// A permit for each free connection.
    turns: Arc<Semaphore>,
    /// A permit for each read that may last: one less than there are connections, but at least one.
    lasting: Arc<Semaphore>,
    wait: Duration,
}

impl Pool {
    /// Over at least one connection. A read waits for one no longer than `wait`.
    pub(super) fn new(connections: Vec<Connection>, wait: Duration) -> Arc<Pool> {
        let count = connections.len();
        let lasting = Arc::new(Semaphore::new(count.saturating_sub(1).max(1)));
        Arc::new(Pool {
            free: Mutex::new(connections),
            turns: Arc::new(Semaphore::new(count)),
            lasting,
            wait,
        })
    }

    /// A read that is bounded and takes well under a millisecond: it would cost more to hand it to a thread.
    pub(super) async fn short<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = match self.turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => self.in_time(self.turns.acquire()).await?,
        };
        read(&mut self.lend())
    }

    /// A read that is most often as short. It is made at once on the thread of the caller, and stopped where it goes past what
    /// such a read may take. `None` when it was stopped or no connection is free: then it must be made again, as one that lasts.
    pub(super) fn in_place<T>(&self, read: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let _turn = self.turns.try_acquire().ok()?;
        scan_limit::in_place(|| read(&mut self.lend()))
    }

    /// A read that may last. Once it runs it runs to its end and holds its connection until then, even when no one waits for
    /// it any longer.
    pub(super) async fn lasting<T: Send + 'static>(
        self: &Arc<Pool>,
        read: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = async {
            let place = self.lasting.clone().acquire_owned().await?;
            Ok((place, self.turns.clone().acquire_owned().await?))
        };
        let (pool, turn) = (self.clone(), self.in_time(turn).await?);
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut conn = pool.lend();
            read(&mut conn)
        });
        answer.await.unwrap_or_else(|failed| Err(StoreError::Storage(failed.to_string())))
    }

    async fn in_time<T>(
        &self,
        turn: impl Future<Output = Result<T, tokio::sync::AcquireError>>,
    ) -> Result<T, StoreError> {
        let turn = tokio::time::timeout(self.wait, turn).await.map_err(|_| StoreError::Overloaded)?;
        Ok(turn.expect("the semaphores are never closed"))
    }

    /// To the holder of a turn.
    fn lend(&self) -> Lent<'_> {
        let conn = self.free.lock().pop();
        Lent { pool: self, conn: Some(conn.expect("there is a free connection for each turn")) }
    }
}

/// Goes back when it is dropped, also by a panic.
struct Lent<'p> {
    pool: &'p Pool,
    conn: Option<Connection>,
}

impl Deref for Lent<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("lent until it is dropped")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.conn.as_mut().expect("lent until it is dropped")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.free.lock().extend(self.conn.take());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn pool(connections: usize, wait: u64) -> Arc<Pool> {
        let connections = (0..connections).map(|_| Connection::open_in_memory().unwrap());
        Pool::new(connections.collect(), Duration::from_millis(wait))
    }

    type Reading = std::pin::Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

    /// A read that lasts until the sender is used or dropped. It runs when this returns.
    async fn lasting(pool: &Arc<Pool>) -> (std::sync::mpsc::Sender<()>, Reading) {
        let (release, released) = std::sync::mpsc::channel();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let pool = pool.clone();
        let mut reading: Reading = Box::pin(async move {
            let wait = move |_: &mut Connection| {
                begun.send(()).unwrap();
                let _ = released.recv();
                Ok(())
            };
            pool.lasting(wait).await
        });
        assert_eq!((&mut reading).now_or_never(), None);
        begins.await.unwrap();
        (release, reading)
    }

    #[tokio::test]
    async fn reads_that_last_leave_a_connection_to_the_short_ones() {
        let pool = pool(2, 1);
        let (release, reading) = lasting(&pool).await;
        assert_eq!(pool.short(|_| Ok(1)).await, Ok(1));
        assert_eq!(pool.lasting(|_| Ok(2)).await, Err(StoreError::Overloaded));
        drop(release);
        assert_eq!(reading.await, Ok(()));
        assert_eq!(pool.lasting(|_| Ok(2)).await, Ok(2));
    }

    #[tokio::test]
    async fn a_read_in_place_waits_for_no_connection_and_gives_its_own_back() {
        let pool = pool(1, 10_000);
        let (release, reading) = lasting(&pool).await;
        assert_eq!(pool.in_place(|_| 1), None);
        drop(release);
        reading.await.unwrap();
        assert_eq!(pool.in_place(|_| 1), Some(1));
        let stopped = pool.in_place(|_| (0..100_000).try_for_each(|_| scan_limit::step()).is_err());
        assert_eq!(stopped, None);
        assert_eq!(pool.in_place(|_| 1), Some(1));
    }

    #[tokio::test]
    async fn with_one_connection_every_read_takes_its_turn() {
        let pool = pool(1, 1);
        let (release, reading) = lasting(&pool).await;
        assert_eq!(pool.short(|_| Ok(1)).await, Err(StoreError::Overloaded));
        drop(release);
        reading.await.unwrap();
        assert_eq!(pool.short(|_| Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_holds_its_connection_to_its_end() {
        let pool = pool(1, 10_000);
        let (release, reading) = lasting(&pool).await;
        drop(reading);
        assert_eq!(pool.turns.available_permits(), 0);
        drop(release);
        assert_eq!(pool.short(|_| Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_read_that_panics_gives_its_connection_back() {
        let pool = pool(1, 10_000);
        let failed = pool.lasting::<()>(|_| panic!("a defect")).await;
        assert!(
            matches!(&failed, Err(StoreError::Storage(cause)) if cause.contains("a defect")),
            "{failed:?}"
        );
        assert_eq!(pool.short(|_| Ok(1)).await, Ok(1));
    }
}
