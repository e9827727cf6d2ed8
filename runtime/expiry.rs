//! Records that end at a time of their own: `expires = "until"` in a schema file (SEMANTICS X4). A sweep deletes those that are due, as
//! ordinary units without an author.
//!
//! Knows no database and no rule: it reads and commits by `trait Store`, as everybody does.

mod steady;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use crate::env::Env;
use crate::event_bus::{Announcement, Batches};
use crate::ids::Timestamp;
use crate::schema::{Generation, Schema};
use crate::store::{Change, ChangeOp, CommitBatch, Store};

pub use sweep::{NextLook, Sweep};

/// The longest that is slept: wall clocks are set right without telling anybody.
const LONGEST: Duration = Duration::from_secs(60);
/// After trouble with the store.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// The schema that is in force.
pub type SchemaNow = Box<dyn Fn() -> (Arc<Schema>, Generation) + Send + Sync>;

/// What the sweep needs of its surroundings.
pub struct Expiry {
    pub store: Arc<dyn Store>,
    pub env: Env,
    pub schema: SchemaNow,
    pub batches: Batches,
}

impl Expiry {
    /// Sweeps until the store's batches end. It sleeps until the next record is due, and is woken by a write of one that is due
    /// earlier.
    pub async fn run(self) {
        let Expiry { store, env, schema, mut batches } = self;
        let mut sweep = Sweep::new(store, env.clone());
        loop {
            let (current, generation) = schema();
            let next = match sweep.run(&current, generation).await {
                Ok(next) => next,
                Err(trouble) => {
                    tracing::debug!(%trouble, "the sweep of expired records waits for the store");
                    NextLook::After(AFTER_TROUBLE)
                }
            };
            let sleep = tokio::time::sleep(wait(next, env.now()));
            tokio::pin!(sleep);
            loop {
                tokio::select! {
                    () = &mut sleep => break,
                    heard = batches.next() => match heard {
                        None => return,
                        Some(Announcement::Missed(_)) => break,
                        Some(Announcement::Batch(batch)) if wakes(&batch, &current, next, &mut sweep) => break,
                        Some(Announcement::Batch(_)) => {}
                    },
                }
            }
        }
    }
}

fn wait(next: NextLook, now: Timestamp) -> Duration {
    match next {
        NextLook::At(time) => Duration::from_millis(u64::try_from(time.0 - now.0).unwrap_or(0)).min(LONGEST),
        NextLook::After(time) => time.min(LONGEST),
        NextLook::Never => LONGEST,
    }
}

/// Whether a batch has a record that is due before the next look, or another schema.
fn wakes(batch: &CommitBatch, schema: &Schema, next: NextLook, sweep: &mut Sweep) -> bool {
    let mut wakes = false;
    for change in &batch.changes {
        if change.op == ChangeOp::Schema {
            return true;
        }
        let Some(due) = due(change, schema) else { continue };
        sweep.written(&change.entity, due);
        wakes |= match next {
            NextLook::At(time) => due < time,
            NextLook::After(_) | NextLook::Never => true,
        };
    }
    wakes
}

/// When the record of a change is due, if it ever is.
fn due(change: &Change, schema: &Schema) -> Option<Timestamp> {
    let entity = schema.entity(&change.entity)?;
    let name = &entity.at(entity.expires?).name;
    let record: serde_json::Value = serde_json::from_slice(change.after.as_ref()?).ok()?;
    crate::schema::text_form::millis(record[&**name].as_str()?).map(Timestamp)
}
