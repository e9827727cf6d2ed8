//! Why a request, a frame, an operation of a batch or a channel of a poll was refused: as it was kept then.

use serde_json::{Value, json};

use super::now::{self, NowQuestion};
use super::words;
use crate::http::kept::UnreadRecord;
use crate::http::problem::Problem;
use crate::http::state::AppState;
use crate::refusals::{KeptRefusal, RefusedOperation};
use crate::store::{Evidence, RefusalFinding};

/// The newest refusal of this id, with those before it.
pub(super) async fn why(state: &AppState, by: Option<&str>, id: &str) -> Result<Option<Value>, Problem> {
    let found = state.sessions.refusals().find(id, state.env.now());
    let Some((newest, earlier)) = found.split_first() else { return Ok(None) };
    let mut answer = refusal_json(newest);
    answer["judged"] = "then".into();
    if let Some(question) = unread(state, newest) {
        // Where that cannot be answered now, such as for an id that is none, what was kept is the answer.
        if let Ok(Value::Object(members)) = now::why(state, by, &question).await {
            members
                .into_iter()
                .filter(|(name, _)| name != "operation")
                .for_each(|(name, value)| answer[name] = value);
        }
    }
    answer["about"] = "refusal".into();
    if !earlier.is_empty() {
        answer["earlier"] = earlier.iter().map(|refusal| refusal_json(refusal)).collect::<Vec<_>>().into();
    }
    Ok(Some(answer))
}

/// What is asked by the rights of now of a record that was not found when it was read.
fn unread(state: &AppState, refusal: &KeptRefusal) -> Option<NowQuestion> {
    let RefusedOperation::Request(request) = &refusal.operation else { return None };
    let read = UnreadRecord::of(&state.schema(), request, refusal.code, refusal.evidence.as_deref())?;
    Some(NowQuestion::read(refusal.caller.as_ref()?, &read))
}

/// One refusal, as lists show it too.
pub(in crate::http) fn refusal_json(refusal: &KeptRefusal) -> Value {
    let caller = refusal.caller.as_ref();
    let (operation, op, channel) = match &refusal.operation {
        RefusedOperation::Request(request) => (Some(&**request), None, None),
        RefusedOperation::OfBatch { request, op } => (Some(&**request), Some(*op), None),
        RefusedOperation::OfPoll { request, channel } => (Some(&**request), None, Some(&**channel)),
        RefusedOperation::Frame { channel } => (None, None, channel.as_deref()),
    };
    let mut json = json!({
        "id": refusal.id,
        "answer": sentence(refusal),
        "at": words::time(refusal.at),
        "via": refusal.via.word(),
        "user": caller.and_then(|caller| caller.user.as_deref()),
        "code": refusal.code.as_str(),
    });
    let optional = [
        ("role", caller.and_then(|caller| caller.role.as_deref()).map(Value::from)),
        ("operation", operation.map(Value::from)),
        ("op", op.map(Value::from)),
        ("channel", channel.map(Value::from)),
        ("message", refusal.message.as_deref().map(Value::from)),
        ("cause", refusal.cause.as_deref().map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            json[name] = value;
        }
    }
    if let Some(evidence) = &refusal.evidence {
        add_evidence(evidence, &mut json);
    }
    json
}

fn add_evidence(evidence: &Evidence, json: &mut Value) {
    json["finding"] = evidence.finding.word().into();
    json["entity"] = (*evidence.entity).into();
    json["recordId"] = (*evidence.id).into();
    json["position"] = evidence.position.0.into();
    if let RefusalFinding::MissingReference { field, target, id }
    | RefusalFinding::HiddenReference { field, target, id } = &evidence.finding
    {
        json["reference"] = json!({"field": field, "entity": target, "recordId": id});
    }
    if let Some(rule) = &evidence.rule {
        json["rule"] = words::rule(rule);
    }
}

fn sentence(refusal: &KeptRefusal) -> String {
    let user = refusal.caller.as_ref().and_then(|caller| caller.user.as_deref());
    let who = words::who(user);
    let Some(evidence) = &refusal.evidence else {
        let said = refusal.message.as_deref().unwrap_or("what was sent is not valid");
        return format!("{} for {who}: {said}", refusal.code.as_str());
    };
    let Evidence { entity, id, finding, rule, .. } = &**evidence;
    let because = rule.as_ref().map(words::because).unwrap_or_default();
    let asked = rule.as_ref().map_or("do this", |rule| rule.operation.word());
    match finding {
        RefusalFinding::Missing => format!("there is no {entity} `{id}`"),
        RefusalFinding::Closed => format!("{who} cannot know of {entity}, {because}"),
        RefusalFinding::Hidden => {
            format!("{who} may not read {entity} `{id}`, {because}; so it looks as if it did not exist")
        }
        RefusalFinding::Denied => format!("{who} may not {asked} {entity} `{id}`, {because}"),
        RefusalFinding::Disabled => format!("the account of {who} is disabled"),
        RefusalFinding::Unruled => format!("{entity} has no [access] table, so every request is denied"),
        RefusalFinding::MissingReference { field, target, id } => {
            format!("`{field}` refers to {target} `{id}`, and there is none")
        }
        RefusalFinding::HiddenReference { field, target, id } => {
            format!("`{field}` refers to {target} `{id}`, which {who} may not read, {because}")
        }
    }
}
