//! Why a record is missing in a list that was answered: by the record and the rights of now, and whether either changed since.

use serde_json::{Value, json};

use super::now;
use super::words;
use crate::http::problem::Problem;
use crate::http::state::AppState;
use crate::ids::RecordId;
use crate::refusals::ListQuestion;
use crate::repository::{RuleAnswer, RuleQuestion, RuleReason};
use crate::rules::{Needs, Person, unmet};
use crate::schema::{Entity, IdKind, Operation, Record};
use crate::store::Who;

pub(super) async fn why(
    state: &AppState,
    by: Option<&str>,
    list: &str,
    record: &str,
) -> Result<Option<Value>, Problem> {
    let Some(question) = state.sessions.refusals().list(list, state.env.now()) else { return Ok(None) };
    let current = state.repository.current();
    let Some(entity) = current.schema.entity(&question.query.entity) else { return Ok(None) };
    let person = match &question.query.who {
        Who::Person(person) => person.clone(),
        Who::System | Who::ReadScope(_) => return Ok(None),
    };
    let mut json = json!({
        "about": "record",
        "at": words::time(question.at),
        "user": person.id,
        "operation": "list",
        "entity": entity.name,
        "recordId": record,
        "position": question.position.0,
        "judged": "now",
    });
    now::log_use(by, &person, &entity.name, Operation::List.word());
    if question.query.generation != current.generation {
        let said = "the schema changed after the list was answered, so its filter cannot be judged: ask by the rights of now";
        return Ok(Some(found(json, "schema", said.to_owned())));
    }
    let id = match entity.id_kind {
        IdKind::Uuid => RecordId::parse_uuid(record),
        IdKind::Text => RecordId::parse_text(record),
    };
    let Ok(id) = id else {
        return Ok(Some(found(json, "missing", format!("`{record}` cannot be the id of a {}", entity.name))));
    };
    let changed = state.repository.last_change_after(&entity.name, &id, question.position).await?;
    if let Some(changed) = changed {
        json["changedSince"] = changed.0.into();
    }
    let Some(stored) = state.repository.record_now(entity, &id).await? else {
        let said = format!("there is no {} `{id}`", entity.name);
        return Ok(Some(found(json, "missing", said)));
    };
    if let Some(user) = &person.id {
        let uses = Needs::of_read(entity).entities();
        let changed = state.repository.rights_changed(user, &uses).await?;
        if changed > question.position {
            json["rightsChanged"] = changed.0.into();
        }
    }
    let answer = state
        .repository
        .explain(RuleQuestion {
            person: person.clone(),
            entity: entity.clone(),
            operation: Operation::List,
            record: stored.clone(),
        })
        .await?;
    let judged = JudgedRecord { entity, person: &person, id: &id, stored: &stored };
    Ok(Some(judged.by(state, &question, &answer, json).await?))
}

struct JudgedRecord<'a> {
    entity: &'a Entity,
    person: &'a Person,
    id: &'a RecordId,
    stored: &'a Record,
}

impl JudgedRecord<'_> {
    async fn by(
        &self,
        state: &AppState,
        question: &ListQuestion,
        answer: &RuleAnswer,
        mut json: Value,
    ) -> Result<Value, Problem> {
        let JudgedRecord { entity, person, id, stored } = self;
        now::add_rules(answer, &mut json);
        let who = words::who(person.id.as_deref());
        if !matches!(answer.reason, RuleReason::Granted(_)) {
            let now::RuleSentence { finding, text: said } =
                now::sentence(answer, entity, id.as_str(), &who, Operation::List);
            return Ok(found(json, finding, said));
        }
        let filter = &question.query.filter;
        let unmet = unmet(filter, entity, stored);
        if !unmet.is_empty() {
            json["filter"] = words::clauses(&unmet).into();
            let said = format!("the filter leaves {} `{id}` out: {}", entity.name, words::judged(&unmet));
            return Ok(found(json, "filtered", said));
        }
        if !state.repository.would_list(&question.query, id).await? {
            let (finding, said) = if question.query.search.is_empty() {
                // A field that the filter names is not shown with this record.
                (
                    "filtered",
                    format!("the filter names a field that {who} does not see in {} `{id}`", entity.name),
                )
            } else {
                ("search", format!("not every word of the search begins a word of {} `{id}`", entity.name))
            };
            return Ok(found(json, finding, said));
        }
        if created_after(stored, question) {
            let said = format!("{} `{id}` was created after this list was answered", entity.name);
            return Ok(found(json, "later", said));
        }
        let said =
            format!("{} `{id}` is in this list: look at the pages before or behind this one", entity.name);
        Ok(found(json, "listed", said))
    }
}

fn created_after(stored: &Record, question: &ListQuestion) -> bool {
    stored.created_at > question.at
}

fn found(mut json: Value, finding: &str, mut said: String) -> Value {
    let since = match (json["changedSince"].is_null(), json["rightsChanged"].is_null()) {
        (true, true) => "",
        (false, true) => "the record was",
        (true, false) => "the rights of the user were",
        (false, false) => "the record and the rights of the user were",
    };
    if !since.is_empty() {
        said.push_str(&format!(
            "; {since} changed after the list was answered, so this is the answer of now"
        ));
    }
    json["finding"] = finding.into();
    json["answer"] = said.into();
    json
}
