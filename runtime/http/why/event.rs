//! Why a connection got a change or did not get it, or would: by what its session knows of its subscriptions, or, for a connection that
//! is gone, by the rights of now.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{now, words};
use crate::channels::{Event, Sight};
use crate::http::problem::{Problem, bad_query};
use crate::http::state::AppState;
use crate::ids::{ConnectionId, Seq};
use crate::protocol::Params;
use crate::realtime::channel::Channel;
use crate::realtime::roster::LookedAt;
use crate::realtime::subscription_row::{ShownAgain, SubscriptionRow};
use crate::repository::{RuleQuestion, RuleReason};
use crate::rules::{Person, Verdict, claims_asked, unmet};
use crate::schema::{Operation, Record};
use crate::store::{Change, ChangeOp, Scope};

/// `None` where the connection is unknown and the question does not say whose it was. `by`: the administrator.
pub(super) async fn why(
    state: &AppState,
    by: Option<&str>,
    connection: ConnectionId,
    seq: Seq,
    params: &Params,
) -> Result<Option<Value>, Problem> {
    let looked = state.sessions.roster().look(connection).await;
    let (user, channel) = (params.one("user")?, params.one("channel")?);
    if looked.is_none() && user.is_none() && channel.is_none() {
        return Ok(None);
    }
    let mut json = json!({
        "about": "event",
        "connection": connection.to_string(),
        "seq": seq.0,
        "position": state.repository.head().await?.seq.0,
    });
    let Some(change) = state.repository.change(seq).await? else {
        return Ok(Some(no_change(seq, json)));
    };
    json["entity"] = (*change.entity).into();
    json["recordId"] = change.id.as_str().into();
    json["change"] = change.op.word().into();
    if change.op == ChangeOp::Schema {
        let said = "the schema changed here; every subscription started again, and no event told of it";
        return Ok(Some(found(json, "schema", said.to_owned())));
    }
    let person = match &looked {
        Some(looked) => looked.person.clone(),
        None => Arc::new(Person { id: user.map(Arc::from), ..Person::default() }),
    };
    now::log_use(by, &person, &change.entity, "subscribe");
    json["user"] = person.id.as_deref().into();
    // Of a connection that is gone, and its token with it.
    let knows_claims = looked.is_some() || person.id.is_none();
    let mut asked = AskedChange { state, change: &change, json, knows_claims };
    let answer = match &looked {
        Some(looked) => asked.of_connection(looked, channel).await?,
        None => {
            asked.json["judged"] = "now".into();
            asked.would(&person, channel).await?
        }
    };
    Ok(Some(answer))
}

struct AskedChange<'a> {
    state: &'a AppState,
    change: &'a Change,
    json: Value,
    /// Whether the claims of the person's token are known, or that there are none.
    knows_claims: bool,
}

impl AskedChange<'_> {
    async fn of_connection(mut self, looked: &LookedAt, channel: Option<&str>) -> Result<Value, Problem> {
        let concerned = |row: &&SubscriptionRow| match channel {
            Some(channel) => *row.channel == *channel,
            None => row.sight.as_ref().is_some_and(|known| is_about(&known.sight, self.change)),
        };
        let rows: Vec<&SubscriptionRow> = looked.rows.iter().filter(concerned).collect();
        // The one that got it tells most.
        let gets = |row: &&&SubscriptionRow| {
            let known = row.sight.as_ref();
            known.is_some_and(|known| known.sight.judge(self.change).is_some())
                && row.since.is_some_and(|since| since < self.change.seq)
        };
        let Some(row) = rows.iter().find(gets).or(rows.first()) else {
            self.json["judged"] = "now".into();
            if channel.is_some() {
                return self.would(&looked.person, channel).await;
            }
            let Change { entity, id, .. } = self.change;
            let said = format!("the connection has no subscription that is about {entity} `{id}`");
            return Ok(found(self.json, "not_subscribed", said));
        };
        self.of_subscription(row).await
    }

    async fn of_subscription(mut self, row: &SubscriptionRow) -> Result<Value, Problem> {
        let seq = self.change.seq;
        self.json["channel"] = (*row.channel).into();
        self.json["subscription"] = json!({
            "phase": row.phase,
            "since": row.since.map(|since| since.0),
            "sent": row.sent.0,
        });
        let (Some(since), Some(known)) = (row.since, &row.sight) else {
            self.json["judged"] = "then".into();
            let said = format!("the subscription has no position yet ({})", row.phase);
            return Ok(found(self.json, "waiting", said));
        };
        if seq <= since {
            self.json["judged"] = "then".into();
            let said = format!(
                "the subscription begins after change {since}, and this is change {seq}: what it changed was in the snapshot, or the client \
                 had it already"
            );
            return Ok(found(self.json, "before", said));
        }
        let changed = match &known.person.id {
            Some(person) => self.state.repository.rights_changed(person, known.sight.uses()).await?,
            None => Seq::ZERO,
        };
        self.json["judged"] = if changed > seq { "now" } else { "then" }.into();
        if changed > seq {
            self.json["rightsChanged"] = changed.0.into();
        }
        if let Some(ShownAgain { after, at }) = row.shown_again {
            self.json["subscription"]["snapshot"] = json!({"after": after.0, "at": at.0});
            if row.was_in_snapshot(seq) && known.sight.judge(self.change).is_some() {
                let said = format!(
                    "the subscription began again with a snapshot as of change {at}: what this change led to was in it, and no event was \
                     sent"
                );
                return Ok(found(self.json, "snapshot", said));
            }
        }
        match known.sight.judge(self.change) {
            Some(event) if seq > row.sent => {
                self.add_event(&event);
                let said = format!(
                    "the event waits to be sent: the connection was sent everything up to change {}",
                    row.sent
                );
                Ok(found(self.json, "waiting", said))
            }
            Some(event) => {
                self.add_event(&event);
                let event = told(&event);
                if changed > seq {
                    let said = format!(
                        "by the rights of now, the connection is sent {event}; the rights changed after it"
                    );
                    return Ok(found(self.json, "would", said));
                }
                Ok(found(self.json, "delivered", format!("the connection was sent {event}")))
            }
            None => self.unseen(&known.person.clone(), &row.channel, &known.sight).await,
        }
    }

    /// Whether rules of the entity ask claims that are not known.
    fn lacks_claims(&self) -> bool {
        let schema = self.state.schema();
        let asked = schema.entity(&self.change.entity).map(|entity| claims_asked(entity));
        !self.knows_claims && asked.is_some_and(|claims| !claims.is_empty())
    }

    /// Whether a person with this channel would get the change.
    async fn would(mut self, person: &Arc<Person>, channel: Option<&str>) -> Result<Value, Problem> {
        let channel = channel.map_or_else(|| format!("entity:{}", self.change.entity), str::to_owned);
        self.json["channel"] = (*channel).into();
        let current = self.state.repository.current();
        let resolved = Channel::resolve(&current.schema, current.generation, &channel)
            .map_err(|refusal| bad_query(format!("`channel`: {}", refusal.message)))?;
        let principal = self.state.repository.principal(person).await?;
        let binding = match resolved.open(&principal, self.change.seq) {
            Ok(binding) => binding,
            Err(refusal) => {
                let who = words::who(person.id.as_deref());
                let said =
                    format!("{who} is refused this channel ({}): {}", refusal.code.as_str(), refusal.message);
                let doubtful = self.lacks_claims();
                let mut json = found(self.json, "refused", said);
                if doubtful {
                    now::say_unknown_claims(&mut json);
                }
                return Ok(json);
            }
        };
        match binding.sight.judge(self.change) {
            Some(event) => {
                self.add_event(&event);
                let said = format!("by the rights of now, a subscriber would be sent {}", told(&event));
                let doubtful = self.lacks_claims();
                let mut json = found(self.json, "would", said);
                if doubtful {
                    now::say_unknown_claims(&mut json);
                }
                Ok(json)
            }
            None => self.unseen(person, &channel, &binding.sight).await,
        }
    }

    /// The sight shows nothing of the change: by which clause.
    async fn unseen(mut self, person: &Arc<Person>, channel: &str, sight: &Sight) -> Result<Value, Problem> {
        let (change, who) = (self.change, words::who(person.id.as_deref()));
        if sight.generation() != change.generation {
            let said =
                "the change was made under another schema, before or after the one of the subscription"
                    .to_owned();
            return Ok(found(self.json, "schema", said));
        }
        if !is_about(sight, change) {
            let said = format!("the channel is not about {} `{}`", change.entity, change.id);
            return Ok(found(self.json, "not_about", said));
        }
        let schema = self.state.schema();
        let Some(entity) = schema.entity(&change.entity).cloned() else {
            return Ok(found(self.json, "schema", "the entity is gone".to_owned()));
        };
        let operation = match sight {
            Sight::Records { scope: Scope::Record(..), .. } => Operation::Read,
            Sight::Records { .. } | Sight::Activity(_) => Operation::List,
        };
        let rows = change.rows(&entity);
        // What came to be decides; of a delete there is only what was.
        let sides: Vec<&Record> = rows.new.iter().chain(&rows.old).collect();
        let mut finding = "hidden";
        for record in sides {
            let question = RuleQuestion {
                person: person.clone(),
                entity: entity.clone(),
                operation,
                record: record.clone(),
            };
            let answer = self.state.repository.explain(question).await?;
            if matches!(answer.reason, RuleReason::Granted(_)) {
                finding = "filtered";
                if self.add_filter(channel, record)? {
                    break;
                }
                continue;
            }
            now::add_rules(&answer, &mut self.json);
            let now::RuleSentence { text: said, .. } =
                now::sentence(&answer, &entity, change.id.as_str(), &who, operation);
            let mut json = found(self.json, "hidden", said);
            if !self.knows_claims {
                now::add_unknown_claims(&answer, &mut json);
            }
            return Ok(json);
        }
        let said = match self.json["filter"].as_array() {
            Some(_) => format!("the filter of the channel leaves {} `{}` out", change.entity, change.id),
            None => format!("{who} does not see {} `{}` through this channel", change.entity, change.id),
        };
        Ok(found(self.json, finding, said))
    }

    /// Whether the filter of the channel leaves the record out.
    fn add_filter(&mut self, channel: &str, record: &Record) -> Result<bool, Problem> {
        let current = self.state.repository.current();
        let resolved = Channel::resolve(&current.schema, current.generation, channel);
        let Some(entity) = current.schema.entity(&self.change.entity) else { return Ok(false) };
        let Ok(resolved) = resolved else { return Ok(false) };
        let unmet = unmet(resolved.filter(), entity, record);
        if unmet.is_empty() {
            return Ok(false);
        }
        self.json["filter"] = words::clauses(&unmet).into();
        Ok(true)
    }

    fn add_event(&mut self, event: &Event) {
        let Event::Record { verdict, mask } = event else {
            self.json["event"] = "activity".into();
            return;
        };
        self.json["event"] = frame(*verdict).into();
        if let Some(cause) = cause(*verdict) {
            self.json["cause"] = cause.into();
        }
        let schema = self.state.schema();
        if let (false, Some(entity)) = (mask.hides_nothing(), schema.entity(&self.change.entity)) {
            let hidden = mask.hidden().iter().map(|field| Value::from(&*entity.at(*field).name));
            self.json["hidden"] = hidden.collect::<Vec<_>>().into();
        }
    }
}

fn is_about(sight: &Sight, change: &Change) -> bool {
    match sight {
        Sight::Records { scope, .. } => scope.contains(change),
        Sight::Activity(scope) => scope.read_scope(&change.entity).is_some(),
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Record { verdict, .. } => match cause(*verdict) {
            Some(cause) => format!("`{}` ({cause})", frame(*verdict)),
            None => format!("`{}`", frame(*verdict)),
        },
        Event::Entry(_) => "`activity`".to_owned(),
    }
}

fn frame(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Created | Verdict::Entered => "entity:created",
        Verdict::Updated => "entity:updated",
        Verdict::Left | Verdict::Lost | Verdict::Deleted | Verdict::Nothing => "entity:deleted",
    }
}

fn cause(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Entered => Some("entered"),
        Verdict::Left => Some("left"),
        Verdict::Lost => Some("no longer readable"),
        Verdict::Created | Verdict::Updated | Verdict::Deleted | Verdict::Nothing => None,
    }
}

fn no_change(seq: Seq, mut json: Value) -> Value {
    json["judged"] = "now".into();
    let (finding, said) = if json["position"].as_u64().is_some_and(|head| seq.0 > head) {
        ("not_written", format!("there is no change {seq} yet"))
    } else {
        ("forgotten", format!("change {seq} is no longer in the log"))
    };
    found(json, finding, said)
}

fn found(mut json: Value, finding: &str, said: String) -> Value {
    json["finding"] = finding.into();
    json["answer"] = said.into();
    json
}
