//! The channel `activity`, resolved against a schema: of which entities it tells, and what one person may know of them.
//!
//! Knows no text and no code: what a refusal says is in `channel.rs`.

use std::sync::Arc;

use crate::rules::{BindError, Principal, is_closed};
use crate::schema::{Entity, EntityName, Generation, Schema};
use crate::store::ActivityScope;

/// The entries of a snapshot where the client names no number.
pub(super) const DEFAULT_ENTRIES: usize = 50;

/// See the module's text. Like `GET /api/activity`, it takes an entity without an activity for one that does not exist.
#[derive(Debug, Clone)]
pub(super) struct ActivityChannel {
    entities: Vec<Arc<Entity>>,
    /// Whether the client named them, and so gets to know of one that is closed.
    are_named: bool,
}

/// Why a person gets no activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActivityRefusal {
    /// To this person, or because there is none or it has no activity.
    Unknown(EntityName),
    Rule(BindError),
}

impl ActivityChannel {
    pub(super) fn resolve(
        schema: &Schema,
        named: Option<&[String]>,
    ) -> Result<ActivityChannel, ActivityRefusal> {
        let are_named = named.is_some();
        let entities = match named {
            None => schema.entities().filter(|entity| entity.activity).cloned().collect(),
            Some(named) => {
                let active = |name: &str| schema.entity(name).filter(|entity| entity.activity).cloned();
                let unknown = |name: &str| ActivityRefusal::Unknown(name.into());
                named
                    .iter()
                    .map(|name| active(name).ok_or_else(|| unknown(name)))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(ActivityChannel { entities, are_named })
    }

    /// The lowest rate among its entities.
    pub(super) fn rate(&self) -> Option<u32> {
        self.entities.iter().filter_map(|entity| entity.rate).min()
    }

    /// What the person may know who asks for this channel now.
    pub(super) fn open(
        &self,
        principal: &Principal,
        generation: Generation,
    ) -> Result<ActivityScope, ActivityRefusal> {
        if let Some(closed) =
            self.entities.iter().find(|entity| self.are_named && is_closed(entity, principal))
        {
            return Err(ActivityRefusal::Unknown(closed.name.clone()));
        }
        self.rebind(principal, generation).map_err(ActivityRefusal::Rule)
    }

    /// The same for a user who is subscribed already: what is closed now tells nothing.
    pub(super) fn rebind(
        &self,
        principal: &Principal,
        generation: Generation,
    ) -> Result<ActivityScope, BindError> {
        ActivityScope::bind(&self.entities, generation, principal)
    }
}
