//! What a user may do with a record now: for questions of which nothing is kept, and for administrators who ask as a user. Each use
//! is logged. It explains, and neither reads nor writes as the user.

use std::sync::Arc;

use serde_json::{Value, json};

use super::words;
use crate::http::kept::UnreadRecord;
use crate::http::problem::{Problem, bad_query};
use crate::http::state::AppState;
use crate::ids::{RecordId, shown};
use crate::protocol::{Code, Params};
use crate::refusals::{KeptClaims, RefusedCaller};
use crate::repository::{RuleAnswer, RuleQuestion, RuleReason};
use crate::rules::{Claims, Clause, Person};
use crate::schema::{Entity, IdKind, Operation};

/// What is asked by the rights of now.
pub(super) struct NowQuestion {
    person: Arc<Person>,
    entity: String,
    record: String,
    operation: Operation,
    /// Whether the claims of the person's token are known, or that there are none.
    knows_claims: bool,
}

impl NowQuestion {
    /// Whether the caller may read a record.
    pub(super) fn read(caller: &RefusedCaller, read: &UnreadRecord) -> NowQuestion {
        let (claims, knows_claims) = match &caller.claims {
            KeptClaims::Known(claims) => (claims.clone(), true),
            KeptClaims::Unknown => (Claims::default(), false),
        };
        let person = Arc::new(Person { id: caller.user.clone(), role: caller.role.clone(), claims });
        let (entity, record) = (read.entity.name.to_string(), read.id.clone());
        NowQuestion { person, entity, record, operation: Operation::Read, knows_claims }
    }

    /// `None` where nothing of it is said.
    pub(super) fn of(params: &Params) -> Result<Option<NowQuestion>, Problem> {
        let (entity, record) = (params.one("entity")?, params.one("record")?);
        let operation = params.one("operation")?.unwrap_or("read");
        let (Some(entity), Some(record)) = (entity, record) else {
            return if entity.is_none() && record.is_none() {
                Ok(None)
            } else {
                Err(bad_query("`entity` and `record` go together: name both".to_owned()))
            };
        };
        let known =
            [Operation::Read, Operation::List, Operation::Update, Operation::Delete, Operation::Lease];
        let operation = known.into_iter().find(|known| known.word() == operation).ok_or_else(|| {
            bad_query(format!(
                "`operation` is read, list, update, delete or lease, not `{}`: a create has no record yet, ask `tidewire rules why`",
                shown(operation)
            ))
        })?;
        let text = |name| params.one(name).map(|value| value.map(Arc::<str>::from));
        let person = Person { id: text("user")?, role: text("role")?, ..Person::default() };
        let (entity, record, knows_claims) = (entity.to_owned(), record.to_owned(), person.id.is_none());
        Ok(Some(NowQuestion { person: Arc::new(person), entity, record, operation, knows_claims }))
    }
}

/// An administrator asks as a user. Operators find each use in the log.
pub(super) fn log_use(by: Option<&str>, person: &Person, entity: &str, operation: &str) {
    let user = person.id.as_deref();
    tracing::info!(by, user, entity, operation, "an administrator asked what a user may do");
}

/// `by`: the administrator.
pub(super) async fn why(state: &AppState, by: Option<&str>, asked: &NowQuestion) -> Result<Value, Problem> {
    let schema = state.schema();
    let NowQuestion { person, entity, record, operation, knows_claims } = asked;
    let Some(entity) = schema.entity(entity).or_else(|| schema.by_plural(entity)) else {
        return Err(Problem::new(Code::UnknownEntity, format!("there is no entity `{}`", shown(entity))));
    };
    log_use(by, person, &entity.name, operation.word());
    let id = match entity.id_kind {
        IdKind::Uuid => RecordId::parse_uuid(record),
        IdKind::Text => RecordId::parse_text(record),
    };
    let id = id.map_err(|error| bad_query(error.to_string()))?;
    let head = state.repository.head().await?.seq;
    let mut json = json!({
        "about": "rule",
        "judged": "now",
        "position": head.0,
        "user": person.id,
        "entity": entity.name,
        "recordId": id.as_str(),
        "operation": operation.word(),
    });
    let Some(stored) = state.repository.record_now(entity, &id).await? else {
        json["finding"] = "missing".into();
        json["answer"] = format!("by the rights of now, there is no {} `{id}`", entity.name).into();
        return Ok(json);
    };
    let question = RuleQuestion {
        person: person.clone(),
        entity: entity.clone(),
        operation: *operation,
        record: stored,
    };
    let answer = state.repository.explain(question).await?;
    add_rules(&answer, &mut json);
    let who = words::who(person.id.as_deref());
    let RuleSentence { finding, text: said } = sentence(&answer, entity, id.as_str(), &who, *operation);
    json["finding"] = finding.into();
    json["answer"] = format!("by the rights of now, {said}").into();
    if !knows_claims {
        add_unknown_claims(&answer, &mut json);
    }
    if let RuleReason::Granted(hidden) = &answer.reason {
        json["hidden"] = hidden.iter().map(|field| Value::from(&**field)).collect::<Vec<_>>().into();
    }
    Ok(json)
}

/// The rules that were asked; the one that decided is the last.
pub(super) fn add_rules(answer: &RuleAnswer, json: &mut Value) {
    if let Some(last) = answer.rules.last() {
        json["rule"] = words::rule(last);
    }
    json["rules"] = answer.rules.iter().map(words::rule).collect::<Vec<_>>().into();
}

/// Says so where a rule asks claims of a token that no one has here.
pub(super) fn add_unknown_claims(answer: &RuleAnswer, json: &mut Value) {
    if answer.rules.iter().any(|rule| rule.clauses.iter().any(asks_claims)) {
        say_unknown_claims(json);
    }
}

/// The answer would perhaps be another one with them.
pub(super) fn say_unknown_claims(json: &mut Value) {
    json["claims"] = "unknown".into();
    let said = json["answer"].as_str().unwrap_or_default();
    json["answer"] =
        format!("{said}; the claims of their token are not known, so this is without them").into();
}

fn asks_claims(clause: &Clause) -> bool {
    clause.values.iter().any(|(name, _)| name.contains("user.claims."))
        || clause.records.iter().any(asks_claims)
}

/// What was found: a word, and a sentence.
pub(super) struct RuleSentence {
    pub(super) finding: &'static str,
    pub(super) text: String,
}

/// What the rules came to, in words.
pub(super) fn sentence(
    answer: &RuleAnswer,
    entity: &Entity,
    id: &str,
    who: &str,
    operation: Operation,
) -> RuleSentence {
    let (name, word) = (&entity.name, operation.word());
    let because = answer.rules.last().map(words::because).unwrap_or_default();
    let (finding, text) = match &answer.reason {
        RuleReason::Granted(hidden) if hidden.is_empty() => {
            ("granted", format!("{who} may {word} {name} `{id}`, {because}"))
        }
        RuleReason::Granted(hidden) => {
            let names = hidden.join("`, `");
            ("granted", format!("{who} may {word} {name} `{id}`, {because}; not shown: `{names}`"))
        }
        RuleReason::Denied => ("denied", format!("{who} may not {word} {name} `{id}`, {because}")),
        RuleReason::Hidden => ("hidden", format!("{who} may not read {name} `{id}`, {because}")),
        RuleReason::Disabled => ("disabled", format!("the account of {who} is disabled")),
        RuleReason::Unruled => {
            ("unruled", format!("{name} has no [access] table, so every request is denied"))
        }
        RuleReason::Failed(why) => ("failed", format!("the rule cannot be used for {who}: {why}")),
    };
    RuleSentence { finding, text }
}
