//! What a session asks of the database, and the answers. Each read of records or of the log comes with what became of the
//! peer's rights meanwhile, asked for after the read: nothing may be shown before that is looked at.

use std::sync::Arc;

use crate::ids::{Position, RecordId, Seq};
use crate::rules::{Person, Principal, ReadScope};
use crate::schema::EntityName;
use crate::store::{At, Differ, Difference, ListPage, LogPage, Scope, StoreError, Survey};

/// What a session reads.
#[derive(Debug, Clone)]
pub enum ReadRequest {
    Survey {
        scope: Scope,
        since: Position,
        rights: RightsCheck,
    },
    Rows {
        scope: Scope,
        read_scope: Arc<ReadScope>,
        after: Option<RecordId>,
        limit: usize,
        rights: RightsCheck,
    },
    Log {
        after: Seq,
        rights: RightsCheck,
    },
    Principal(Arc<Person>),
    Differ(Differ),
}

#[derive(Debug)]
pub enum ReadAnswer {
    Survey(Result<CheckedRead<Survey>, StoreError>),
    Rows(Result<CheckedRead<ListPage>, StoreError>),
    Log(Result<CheckedRead<LogPage>, StoreError>),
    Principal(Result<At<Principal>, StoreError>),
    Differ(Result<At<Difference>, StoreError>),
}

/// Whose rights a read must not overtake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsCheck {
    /// `None` is nobody, whose rights do not change.
    pub person: Option<Arc<str>>,
    /// For each `ReadScope::uses`: after which seq a change matters.
    pub uses: Vec<(Arc<[EntityName]>, Seq)>,
    /// The answer must know of every change up to here, however early the position is that is read at.
    pub until: Seq,
}

/// What was read, and the rights of the person after it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedRead<T> {
    pub read: At<T>,
    pub rights: RightsNow,
}

/// For each `ReadScope::uses` that was asked the last change of rights that matters, 0 if there was none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsNow(pub Vec<(Arc<[EntityName]>, Seq)>);

impl RightsCheck {
    pub fn of(person: &Person, uses: &Arc<[EntityName]>, after: Seq) -> RightsCheck {
        let mut rights = RightsCheck { person: person.id.clone(), ..RightsCheck::default() };
        rights.add(uses, after);
        rights
    }

    /// Whoever uses nothing has no rights that change.
    pub fn add(&mut self, uses: &Arc<[EntityName]>, after: Seq) {
        if uses.is_empty() || self.person.is_none() {
            return;
        }
        match self.uses.iter_mut().find(|(known, _)| known == uses) {
            Some((_, least)) => *least = after.min(*least),
            None => self.uses.push((uses.clone(), after)),
        }
    }
}

impl RightsNow {
    /// `None` where nobody asked, and so nothing may be shown.
    pub fn changed(&self, uses: &Arc<[EntityName]>) -> Option<Seq> {
        if uses.is_empty() {
            return Some(Seq::ZERO);
        }
        self.0.iter().find(|(known, _)| known == uses).map(|(_, changed)| *changed)
    }
}
