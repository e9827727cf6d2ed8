//! A store that counts its reads, by the method that was asked. Knows no story.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidewire::store::Store;

use super::at_once::hands_on;

pub struct CountingStore {
    inner: Arc<dyn Store>,
    reads: Mutex<BTreeMap<&'static str, usize>>,
}

impl CountingStore {
    pub fn over(inner: Arc<dyn Store>) -> Arc<CountingStore> {
        Arc::new(CountingStore { inner, reads: Mutex::default() })
    }

    /// The reads since this was asked last.
    pub fn take(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.reads.lock())
    }

    fn asked(&self, method: &'static str) -> &dyn Store {
        if method != "commit" {
            *self.reads.lock().entry(method).or_default() += 1;
        }
        &*self.inner
    }
}

/// The other store's future is the answer.
fn same<T>(answer: T) -> T {
    answer
}

hands_on!(CountingStore, Store, CountingStore::asked, same);
