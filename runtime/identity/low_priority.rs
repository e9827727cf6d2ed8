//! `LowPriorityThreads`: work that can wait, on threads that the system runs after all others of this process.
//!
//! Knows nothing of passwords. On systems other than Linux a thread has no priority of its own here, and runs like any other.

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// See the module's text.
#[derive(Debug)]
pub(super) struct LowPriorityThreads {
    /// Its blocking threads alone are used. Always there, until it is dropped.
    runtime: Option<Runtime>,
}

impl LowPriorityThreads {
    /// At most so many run at once. A thread starts when there is work, and ends when there is none for a while.
    pub(super) fn new(most: usize) -> LowPriorityThreads {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(most)
            .thread_name("low-priority")
            .on_thread_start(give_way)
            .build();
        LowPriorityThreads { runtime: Some(runtime.expect("a runtime without drivers opens nothing")) }
    }

    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it is taken on drop alone").spawn_blocking(work)
    }
}

impl Drop for LowPriorityThreads {
    fn drop(&mut self) {
        // A runtime must not wait for its threads where it is dropped by a task.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The lowest priority, of this thread alone.
#[cfg(target_os = "linux")]
fn give_way() {
    const LOWEST: i32 = 19;
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_have_the_lowest_priority_and_others_keep_theirs() {
        let mine = || rustix::process::getpriority_process(None).unwrap();
        let before = mine();
        let threads = LowPriorityThreads::new(2);
        assert_eq!(threads.run(mine).await.unwrap(), 19);
        assert_eq!(mine(), before);
        assert_eq!(tokio::task::spawn_blocking(mine).await.unwrap(), before);
    }

    #[tokio::test]
    async fn a_panic_is_told_and_the_next_work_runs() {
        let threads = LowPriorityThreads::new(1);
        assert!(threads.run(|| panic!("as asked")).await.unwrap_err().is_panic());
        assert_eq!(threads.run(|| 5).await.unwrap(), 5);
    }
}
