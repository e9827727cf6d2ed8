//! `Sight`: what a subscription is shown of each change, bound to one person. It is the one value by which groups, attachments that
//! catch up, replays and polls decide.

use std::sync::Arc;

use super::event::{Event, judge};
use crate::protocol::View;
use crate::rules::{ReadScope, depends_on_person};
use crate::schema::{EntityName, Generation};
use crate::store::{ActivityScope, Change, Scope};

/// See the module's text.
#[derive(Debug, Clone)]
pub enum Sight {
    /// The records of a channel.
    Records { scope: Scope, read_scope: Arc<ReadScope> },
    /// What happens.
    Activity(Arc<ActivityScope>),
}

impl Sight {
    /// Of the schema that it was bound under.
    pub fn generation(&self) -> Generation {
        match self {
            Sight::Records { read_scope, .. } => read_scope.generation,
            Sight::Activity(scope) => scope.generation,
        }
    }

    /// Entities whose records decided what is seen (`ReadScope::uses`).
    pub fn uses(&self) -> &Arc<[EntityName]> {
        match self {
            Sight::Records { read_scope, .. } => &read_scope.uses,
            Sight::Activity(scope) => &scope.uses,
        }
    }

    /// Equal views of one channel text are equal sights.
    pub fn view(&self) -> View {
        match self {
            Sight::Records { read_scope, .. } => View::of(read_scope),
            Sight::Activity(scope) => {
                View::of_activity(scope.read_scopes().map(|scope| &**scope), scope.generation)
            }
        }
    }

    /// Whether another person may see something else.
    pub fn depends_on_person(&self) -> bool {
        match self {
            Sight::Records { read_scope, .. } => depends_on_person(&read_scope.entity),
            Sight::Activity(scope) => scope.depends_on_person,
        }
    }

    /// Whether every record is seen, with every filter passed.
    pub fn is_everything(&self) -> bool {
        match self {
            Sight::Records { read_scope, .. } => read_scope.predicate().is_true(),
            Sight::Activity(_) => false,
        }
    }

    /// What the change is for the subscription, if it is anything.
    pub fn judge(&self, change: &Change) -> Option<Event> {
        match self {
            Sight::Records { scope, read_scope } => judge(change, scope, read_scope),
            Sight::Activity(scope) if scope.generation != change.generation => None,
            Sight::Activity(scope) => scope.entry(change).map(|entry| Event::Entry(Arc::new(entry))),
        }
    }

    /// For each entity whose changes may concern the subscription, the records of it and what is seen of them.
    pub(super) fn parts(&self) -> impl Iterator<Item = SightPart<'_>> {
        let (one, many) = match self {
            Sight::Records { scope, read_scope } => (Some((scope.clone(), read_scope)), None),
            Sight::Activity(scope) => (None, Some(scope.read_scopes())),
        };
        let many = many.into_iter().flatten();
        let many = many.map(|read_scope| (Scope::Entity(read_scope.entity.name.clone()), read_scope));
        one.into_iter().chain(many).map(|(scope, read_scope)| SightPart { scope, read_scope })
    }
}

/// What a sight sees of one entity.
pub(super) struct SightPart<'a> {
    pub(super) scope: Scope,
    pub(super) read_scope: &'a Arc<ReadScope>,
}
