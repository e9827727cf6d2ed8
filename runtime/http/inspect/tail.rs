//! The newest changes of the log, with what each changed, as far as the administrator may read it: no user is above the rules.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::Identity;
use crate::http::problem::{Problem, bad_query};
use crate::http::state::AppState;
use crate::ids::{Seq, shown};
use crate::protocol::Params;
use crate::repository::Current;
use crate::rules::{Principal, ReadScope};
use crate::schema::{Entity, EntityName, FieldIndex, Record, Value as StoredValue};
use crate::store::{Change, ChangeOp};

/// Characters of a value that are shown.
const MOST_VALUE: usize = 400;

/// Which changes are wanted.
struct WantedChanges<'a> {
    entity: Option<&'a str>,
    record: Option<&'a str>,
    by: Option<&'a str>,
    mid: Option<&'a str>,
}

impl WantedChanges<'_> {
    fn wants(&self, change: &Change) -> bool {
        self.entity.is_none_or(|entity| *change.entity == *entity)
            && self.record.is_none_or(|record| change.id.as_str() == record)
            && self.by.is_none_or(|by| change.actor.as_deref() == Some(by))
            && self.mid.is_none_or(|mid| change.mid.as_ref().is_some_and(|own| own.as_str() == mid))
    }
}

/// `{items, next, head}`: changes after `after`, or the newest. `next` is the `after` of the next request.
pub(super) async fn tail(
    state: &AppState,
    admin: &Identity,
    params: &Params,
    limit: usize,
) -> Result<Value, Problem> {
    let wanted = WantedChanges {
        entity: params.one("entity")?,
        record: params.one("record")?,
        by: params.one("by")?,
        mid: params.one("mid")?,
    };
    let head = state.repository.head().await?;
    let after = match params.one("after")? {
        Some(text) => after(text)?.max(head.floor),
        None => Seq(head.seq.0.saturating_sub(limit as u64).max(head.floor.0)),
    };
    let page = state.repository.changes(after, limit).await?;
    let principal = state.repository.principal(&admin.person()).await?;
    let mut scopes = Scopes { current: state.repository.current(), principal, known: HashMap::new() };
    let items: Vec<Value> =
        page.changes.iter().filter(|change| wanted.wants(change)).map(|change| scopes.item(change)).collect();
    Ok(json!({"items": items, "next": page.to.0, "head": head.seq.0}))
}

fn after(text: &str) -> Result<Seq, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seq = digits.then(|| text.parse().ok()).flatten().map(Seq);
    seq.ok_or_else(|| bad_query(format!("`after` must be `next` of the last answer, not `{}`", shown(text))))
}

/// What the administrator may read, by entity.
struct Scopes {
    current: Current,
    principal: Principal,
    known: HashMap<EntityName, Option<Arc<ReadScope>>>,
}

impl Scopes {
    fn of(&mut self, name: &EntityName) -> Option<Arc<ReadScope>> {
        let Scopes { current: Current { schema, generation }, principal, known } = self;
        let bind = || {
            let entity = schema.entity(name)?;
            ReadScope::bind(entity, *generation, principal).ok().map(Arc::new)
        };
        known.entry(name.clone()).or_insert_with(bind).clone()
    }

    fn item(&mut self, change: &Change) -> Value {
        let mut json = json!({
            "seq": change.seq.0,
            "op": change.op.word(),
            "entity": change.entity,
            "recordId": change.id.as_str(),
            "at": change.at.rfc3339(),
            "by": change.actor,
        });
        if let Some(mid) = &change.mid {
            json["mid"] = mid.as_str().into();
        }
        if let Some(cause) = change.cause {
            json["cause"] = cause.word().into();
        }
        if change.op == ChangeOp::Schema || change.generation != self.current.generation {
            return json;
        }
        let Some(scope) = self.of(&change.entity) else { return json };
        let rows = change.rows(&scope.entity);
        let is_seen = |record: &Option<Record>| record.as_ref().is_none_or(|record| scope.sees(record));
        if !is_seen(&rows.old) || !is_seen(&rows.new) {
            json["hidden"] = true.into();
            return json;
        }
        let fields = changed(&scope.entity, rows.old.as_ref(), rows.new.as_ref());
        let is_hidden = |field: &FieldIndex| {
            rows.old.iter().chain(&rows.new).any(|record| scope.mask(record).hidden().contains(field))
        };
        let shown = fields.iter().filter(|field| !is_hidden(field));
        let diff = |field: &FieldIndex| {
            json!({
                "field": scope.entity.at(*field).name,
                "before": rows.old.as_ref().map(|record| value(record, *field)),
                "after": rows.new.as_ref().map(|record| value(record, *field)),
            })
        };
        json["diff"] = shown.map(diff).collect::<Vec<_>>().into();
        json
    }
}

/// A field that a record does not have, and one that is null, are the same.
fn changed(entity: &Entity, old: Option<&Record>, new: Option<&Record>) -> Vec<FieldIndex> {
    let of = |record: Option<&Record>, field: FieldIndex| {
        record.map_or(StoredValue::Null, |record| record.values[field.0].clone())
    };
    let fields = (0..entity.fields.len()).map(FieldIndex);
    fields.filter(|field| of(old, *field) != of(new, *field)).collect()
}

/// As JSON, or the start of it as a text.
fn value(record: &Record, field: FieldIndex) -> Value {
    let mut json = Vec::new();
    record.values[field.0].write_json(&mut json);
    let text = String::from_utf8_lossy(&json);
    match text.char_indices().nth(MOST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}
