//! Stores of tests that hand every method on: to answers that are there at once, or to another store. And reads that are
//! waited for where nothing can be awaited.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_util::future::BoxFuture;
use tidewire::ids::{Position, RecordId, Seq};
use tidewire::rules::{Person, Principal};
use tidewire::schema::EntityName;
use tidewire::store::{
    ActivityPage, ActivityQuery, At, CommitError, Count, Counted, Differ, Difference, ListPage, LogLimit,
    LogPage, Outcome, Past, Query, ReadFuture, RecordLease, Scope, StoreError, Stored, Survey, Unit, Who,
};

/// `trait Store` of a store that never waits. `answers_at_once!` makes a `Store` of it.
pub(crate) trait AtOnce: Send + Sync + 'static {
    fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>>;
    fn get(&self, entity: &str, id: &RecordId) -> Result<At<Option<Stored>>, StoreError>;
    fn find(&self, entity: &str, id: &RecordId, who: &Who) -> Result<At<Option<Stored>>, StoreError>;
    fn principal(&self, person: &Arc<Person>) -> Result<At<Principal>, StoreError>;
    fn rights_changed(&self, person: &str, entities: &[EntityName]) -> Result<Seq, StoreError>;
    fn differ(&self, differ: &Differ) -> Result<At<Difference>, StoreError>;
    fn list(&self, query: &Query) -> Result<At<ListPage>, StoreError>;
    fn count(&self, count: &Count) -> Result<At<Counted>, StoreError>;
    fn log(&self, after: Seq, limit: LogLimit) -> Result<At<LogPage>, StoreError>;
    fn history(
        &self,
        entity: &str,
        id: &RecordId,
        who: &Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError>;
    fn activity(&self, query: &ActivityQuery) -> Result<At<ActivityPage>, StoreError>;
    fn survey(&self, scope: Option<&Scope>, since: &Position) -> Result<At<Survey>, StoreError>;
    fn leases(&self) -> Result<At<Vec<RecordLease>>, StoreError>;
    fn head(&self) -> Result<At<()>, StoreError>;
}

pub(crate) fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> ReadFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

/// The store, for methods that answer from it at once.
pub(crate) fn itself<'a, T>(store: &'a T, _method: &'static str) -> &'a T {
    store
}

macro_rules! answers_at_once {
    ($store:ty) => {
        $crate::support::at_once::hands_on!(
            $store,
            AtOnce,
            $crate::support::at_once::itself,
            $crate::support::at_once::ready
        );
    };
}
pub(crate) use answers_at_once;

/// Makes a `Store` of `$store`: every method asks the same of `$to(self, "its name")`, by trait `$asked`, and makes a
/// `ReadFuture` of the answer by `$answer`.
macro_rules! hands_on {
    ($store:ty, $asked:ident, $to:path, $answer:path) => {
        const _: () = {
            use std::sync::Arc;

            use futures_util::future::BoxFuture;
            use tidewire::ids::{Position, RecordId, Seq};
            use tidewire::rules::{Person, Principal};
            use tidewire::schema::EntityName;
            use tidewire::store::*;

            impl Store for $store {
                fn commit(&self, unit: Unit) -> BoxFuture<'_, Result<Outcome, CommitError>> {
                    $asked::commit($to(self, "commit"), unit)
                }

                fn get<'a>(
                    &'a self,
                    entity: &'a str,
                    id: &'a RecordId,
                ) -> ReadFuture<'a, At<Option<Stored>>> {
                    $answer($asked::get($to(self, "get"), entity, id))
                }

                fn find<'a>(
                    &'a self,
                    entity: &'a str,
                    id: &'a RecordId,
                    who: &'a Who,
                ) -> ReadFuture<'a, At<Option<Stored>>> {
                    $answer($asked::find($to(self, "find"), entity, id, who))
                }

                fn principal<'a>(&'a self, person: &'a Arc<Person>) -> ReadFuture<'a, At<Principal>> {
                    $answer($asked::principal($to(self, "principal"), person))
                }

                fn rights_changed<'a>(
                    &'a self,
                    person: &'a str,
                    entities: &'a [EntityName],
                ) -> ReadFuture<'a, Seq> {
                    $answer($asked::rights_changed($to(self, "rights_changed"), person, entities))
                }

                fn differ<'a>(&'a self, differ: &'a Differ) -> ReadFuture<'a, At<Difference>> {
                    $answer($asked::differ($to(self, "differ"), differ))
                }

                fn list<'a>(&'a self, query: &'a Query) -> ReadFuture<'a, At<ListPage>> {
                    $answer($asked::list($to(self, "list"), query))
                }

                fn count<'a>(&'a self, count: &'a Count) -> ReadFuture<'a, At<Counted>> {
                    $answer($asked::count($to(self, "count"), count))
                }

                fn log(&self, after: Seq, limit: LogLimit) -> ReadFuture<'_, At<LogPage>> {
                    $answer($asked::log($to(self, "log"), after, limit))
                }

                fn history<'a>(
                    &'a self,
                    entity: &'a str,
                    id: &'a RecordId,
                    who: &'a Who,
                    before: Option<Seq>,
                    limit: LogLimit,
                ) -> ReadFuture<'a, At<Option<Past>>> {
                    $answer($asked::history($to(self, "history"), entity, id, who, before, limit))
                }

                fn activity<'a>(&'a self, query: &'a ActivityQuery) -> ReadFuture<'a, At<ActivityPage>> {
                    $answer($asked::activity($to(self, "activity"), query))
                }

                fn survey<'a>(
                    &'a self,
                    scope: Option<&'a Scope>,
                    since: &'a Position,
                ) -> ReadFuture<'a, At<Survey>> {
                    $answer($asked::survey($to(self, "survey"), scope, since))
                }

                fn leases(&self) -> ReadFuture<'_, At<Vec<RecordLease>>> {
                    $answer($asked::leases($to(self, "leases")))
                }

                fn head(&self) -> ReadFuture<'_, At<()>> {
                    $answer($asked::head($to(self, "head")))
                }
            }
        };
    };
}
pub(crate) use hands_on;

/// The answer of a read, waited for in place, where a test cannot await. What the read needs runs on threads of its own.
pub(crate) trait Now: Future + Sized {
    fn now(self) -> Self::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        // A runtime's task that blocks would never get back its turns, of which every poll takes one.
        let mut future = pin!(tokio::task::unconstrained(self));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(answer) => return answer,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl<F: Future> Now for F {}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
