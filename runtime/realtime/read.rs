//! What a session asks of the database, and the answers. Each read of records or of the log comes with what became of the
//! peer's rights meanwhile, asked for after the read: nothing may be shown before that is looked at.

use std::sync::Arc;

use crate::channels::Sight;
use crate::ids::{Position, Seq};
use crate::rules::{Person, Principal};
use crate::schema::{EntityName, Generation};
use crate::store::{
    At, Differ, Difference, ListCursor, ListPage, LogPage, Scope, SortBy, StoreError, Survey,
};

/// What a session reads.
#[derive(Debug, Clone)]
pub enum ReadRequest {
    /// `of`: the records of a channel; `None` for the whole log.
    Survey {
        of: Option<Scope>,
        since: Position,
        rights: RightsCheck,
    },
    Rows {
        rows: RowsAsked,
        rights: RightsCheck,
    },
    Log {
        after: Seq,
        rights: RightsCheck,
    },
    Principal(Arc<Person>),
    Differ(Differ),
}

/// A page of a snapshot.
#[derive(Debug, Clone)]
pub struct RowsAsked {
    pub sight: Sight,
    /// Of records; equal ones by id. The activity begins with the newest.
    pub order: Arc<[SortBy]>,
    pub after: Option<ListCursor>,
    pub limit: usize,
}

#[derive(Debug)]
pub enum ReadAnswer {
    Survey(Result<CheckedRead<Survey>, StoreError>),
    Rows(Result<CheckedRead<ListPage>, StoreError>),
    Log(Result<CheckedRead<LogPage>, StoreError>),
    Principal(Result<At<Principal>, StoreError>),
    Differ(Result<At<Difference>, StoreError>),
}

impl ReadAnswer {
    /// The store has, or had, another schema than this one; of entities that are gone it knows nothing.
    pub fn is_of_another_schema(&self, mine: Generation) -> bool {
        match self {
            ReadAnswer::Survey(Ok(survey)) => survey.read.generation != mine,
            ReadAnswer::Rows(Ok(rows)) => rows.read.generation != mine,
            ReadAnswer::Differ(Ok(difference)) => difference.generation != mine,
            ReadAnswer::Survey(Err(error))
            | ReadAnswer::Rows(Err(error))
            | ReadAnswer::Differ(Err(error)) => {
                matches!(error, StoreError::StaleGeneration | StoreError::UnknownEntity(_))
            }
            ReadAnswer::Log(_) | ReadAnswer::Principal(_) => false,
        }
    }
}

/// Whose rights a read must not overtake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsCheck {
    /// `None` is an anonymous caller, whose rights do not change.
    pub person: Option<Arc<str>>,
    /// After which seq a change of each matters.
    pub uses: Vec<RightsAt>,
    /// The answer must know of every change up to here, however early the position is that is read at.
    pub until: Seq,
}

/// Rights that come from these entities (`ReadScope::uses`), and a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsAt {
    pub uses: Arc<[EntityName]>,
    pub seq: Seq,
}

/// What was read, and the rights of the person after it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedRead<T> {
    pub read: At<T>,
    pub rights: RightsNow,
}

/// For all rights that were asked for the last change that matters, 0 if there was none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightsNow(pub Vec<RightsAt>);

impl RightsCheck {
    pub fn of(person: &Person, uses: &Arc<[EntityName]>, after: Seq) -> RightsCheck {
        let mut rights = RightsCheck { person: person.id.clone(), ..RightsCheck::default() };
        rights.add(uses, after);
        rights
    }

    /// A read scope that uses nothing has no rights that change.
    pub fn add(&mut self, uses: &Arc<[EntityName]>, after: Seq) {
        if uses.is_empty() || self.person.is_none() {
            return;
        }
        match self.uses.iter_mut().find(|known| known.uses == *uses) {
            Some(known) => known.seq = after.min(known.seq),
            None => self.uses.push(RightsAt { uses: uses.clone(), seq: after }),
        }
    }
}

impl RightsNow {
    /// `None` where no one asked, so nothing may be shown.
    pub fn changed(&self, uses: &Arc<[EntityName]>) -> Option<Seq> {
        if uses.is_empty() {
            return Some(Seq::ZERO);
        }
        self.0.iter().find(|known| known.uses == *uses).map(|known| known.seq)
    }
}
