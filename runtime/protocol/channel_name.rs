//! Channel names: `entity:Task`, `entity:Task:<id>`, live queries as `entity:Task?status=open`, `activity`, and the channels of
//! messages, `room:<name>` and `user:<id>`. A `ChannelName` that exists was well formed.
//!
//! Knows neither the schema nor rights: whether the entity exists, and what its filter means, is judged where the schema is at
//! hand.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::codes::Code;
use super::named_entities::named_entities;
use super::query_string::Params;
use crate::ids::shown;

/// Longest channel name, in bytes.
pub const MAX_BYTES: usize = 4 << 10;

/// As `encodeURIComponent` of browsers.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// The channel of what happens.
const ACTIVITY: &str = "activity";

/// What a list can be asked beside its filter, and why a channel cannot.
const NOT_HERE: [(&str, &str); 7] = [
    ("sort", "events come in the order of the log"),
    ("limit", "a channel has every record that meets its filter; `payload.limit` bounds the snapshot"),
    ("cursor", "a snapshot comes whole"),
    ("expand", "subscribe to the entity that the reference leads to"),
    ("fields", "events carry the whole record"),
    ("search", "filter by `contains`, `starts` or `ends` instead"),
    ("group", "counts are not live"),
];

/// The exact text that a client sent, which is the subscription's identity, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelName {
    pub text: Arc<str>,
    pub target: ChannelTarget,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelTarget {
    /// Every record of the entity.
    Entity(String),
    /// One record, by its percent-decoded id.
    Record(String, String),
    /// The records that meet a filter: the names and values of its query string, decoded.
    Query(String, Vec<(String, String)>),
    /// Messages of a room: the parts of its name between slashes, percent-decoded.
    Room(Vec<String>),
    /// Messages of the server for one user: the percent-decoded id.
    User(String),
    /// What happens in the records of these entities; `None` for all that have an activity.
    Activity(Option<Vec<String>>),
}

/// Why a text is no channel, with the code that the client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ChannelError {
    pub code: Code,
    pub message: String,
}

impl ChannelName {
    pub fn parse(text: &str) -> Result<ChannelName, ChannelError> {
        if text.len() > MAX_BYTES {
            return Err(bad(format!(
                "a channel name has at most {MAX_BYTES} bytes, this one has {}",
                text.len()
            )));
        }
        let (name, filter) = text.split_once('?').map_or((text, None), |(name, filter)| (name, Some(filter)));
        if name == ACTIVITY {
            return Ok(ChannelName { text: text.into(), target: activity(filter)? });
        }
        let (family, rest) = name
            .split_once(':')
            .ok_or_else(|| bad(format!("`{}` is not a channel: it has no `:`", shown(text))))?;
        match family {
            "entity" => {
                let target = match filter {
                    Some(filter) => query(target(rest)?, filter)?,
                    None => target(rest)?,
                };
                Ok(ChannelName { text: text.into(), target })
            }
            "room" | "user" if filter.is_some() => Err(bad(format!(
                "a `{family}:` channel has messages and no records, so it takes no filter: leave out what follows the `?`"
            ))),
            "room" => Ok(ChannelName { text: text.into(), target: ChannelTarget::Room(room(rest)?) }),
            "user" => {
                Ok(ChannelName { text: text.into(), target: ChannelTarget::User(decoded(rest, "the id")?) })
            }
            "presence" => Err(ChannelError {
                code: Code::ForbiddenChannel,
                message: "`presence:` channels are for /ws, /sse and sessions of polls; here read GET /api/realtime/presence/{resource}"
                    .to_owned(),
            }),
            ACTIVITY => Err(bad(
                "the activity has no parts: use `activity`, or `activity?entity=Task` for one entity"
                    .to_owned(),
            )),
            other => Err(bad(format!(
                "`{}:` is not a kind of channel; use `entity:`, `room:`, `user:` or `activity`",
                shown(other)
            ))),
        }
    }
}

/// What a channel name has at the place of an id or of a part of a room's name.
pub fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// The parts of a room's name. Two spellings are two rooms; rules see the same parts of both.
fn room(name: &str) -> Result<Vec<String>, ChannelError> {
    name.split('/').map(|part| decoded(part, "a part of the room's name")).collect()
}

fn decoded(text: &str, what: &str) -> Result<String, ChannelError> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| bad(format!("{what} is not percent-encoded UTF-8")))?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(bad(format!(
            "{what} is empty or has a control character: write room:lobby, or user:<id>"
        )));
    }
    Ok(text.into_owned())
}

fn target(rest: &str) -> Result<ChannelTarget, ChannelError> {
    let (entity, id) = rest.split_once(':').map_or((rest, None), |(entity, id)| (entity, Some(id)));
    let named = !entity.is_empty() && entity.bytes().all(|b| b.is_ascii_alphanumeric());
    if !named {
        return Err(bad(format!("`{}` is not the name of an entity", shown(entity))));
    }
    let Some(id) = id else { return Ok(ChannelTarget::Entity(entity.to_owned())) };
    let id = percent_decode_str(id)
        .decode_utf8()
        .map_err(|_| bad("the id of the channel is not percent-encoded UTF-8".to_owned()))?;
    if id.is_empty() {
        return Err(bad(format!("the channel names no id: use `entity:{entity}` for all records")));
    }
    Ok(ChannelTarget::Record(entity.to_owned(), id.into_owned()))
}

fn query(target: ChannelTarget, filter: &str) -> Result<ChannelTarget, ChannelError> {
    let ChannelTarget::Entity(entity) = target else {
        return Err(bad(
            "the channel of one record takes no filter: leave out what follows the `?`".to_owned()
        ));
    };
    let pairs = Params::parse(Some(filter)).map_err(|error| bad(error.to_string()))?;
    if let Some((name, why)) = NOT_HERE.iter().find(|(name, _)| pairs.has(name)) {
        return Err(bad(format!("`{name}` is not for channels: {why}")));
    }
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if pairs.is_empty() {
        return Err(bad(format!("the filter is empty: use `entity:{entity}` for all records")));
    }
    Ok(ChannelTarget::Query(entity, pairs))
}

fn activity(narrowed: Option<&str>) -> Result<ChannelTarget, ChannelError> {
    let Some(narrowed) = narrowed else { return Ok(ChannelTarget::Activity(None)) };
    let params = Params::parse(Some(narrowed)).map_err(|error| bad(error.to_string()))?;
    let wrong = |name: &str| match name {
        "limit" => "`limit` is not for channels: `payload.limit` bounds the snapshot".to_owned(),
        "before" => "`before` is not for channels: `GET /api/activity?before=…` has older entries".to_owned(),
        _ => format!("the activity is narrowed by `entity` alone, not by `{}`", shown(name)),
    };
    if let Some((name, _)) = params.iter().find(|(name, _)| *name != "entity") {
        return Err(bad(wrong(name)));
    }
    let named = params.one("entity").map_err(|error| bad(error.to_string()))?;
    let named =
        named.ok_or_else(|| bad("nothing follows the `?`: use `activity` for all entities".to_owned()))?;
    named_entities(named)
        .map(|named| ChannelTarget::Activity(Some(named)))
        .map_err(|error| bad(error.to_string()))
}

fn bad(message: String) -> ChannelError {
    ChannelError { code: Code::BadChannel, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_keep_their_text_and_decode_their_id() {
        let name = ChannelName::parse("entity:User:ada%20l%C3%B6we").unwrap();
        assert_eq!(name.target, ChannelTarget::Record("User".into(), "ada löwe".into()));
        assert_eq!(&*name.text, "entity:User:ada%20l%C3%B6we");
        assert_eq!(ChannelName::parse("entity:Task").unwrap().target, ChannelTarget::Entity("Task".into()));
    }

    #[test]
    fn a_filter_begins_at_the_first_question_mark_and_is_decoded_as_a_list_decodes_it() {
        let text = "entity:Task?title=what%3F+a?b&priority[gte]=3&done";
        let name = ChannelName::parse(text).unwrap();
        let pairs = [("title", "what? a?b"), ("priority[gte]", "3"), ("done", "")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        assert_eq!(name.target, ChannelTarget::Query("Task".into(), pairs));
        assert_eq!(&*name.text, text, "the exact text is the subscription's identity");
    }

    #[test]
    fn rooms_have_parts_and_keep_their_text() {
        let name = ChannelName::parse("room:project/a%2Fb").unwrap();
        assert_eq!(name.target, ChannelTarget::Room(vec!["project".into(), "a/b".into()]));
        assert_eq!(&*name.text, "room:project/a%2Fb");
        assert_eq!(ChannelName::parse("user:a%20b").unwrap().target, ChannelTarget::User("a b".into()));
    }

    #[test]
    fn the_activity_is_of_all_entities_or_of_those_that_are_named() {
        for (text, named) in [
            ("activity", None),
            ("activity?entity=Task", Some(vec!["Task"])),
            ("activity?entity=Task,Note", Some(vec!["Task", "Note"])),
            ("activity?entity=Task%2CNote&", Some(vec!["Task", "Note"])),
        ] {
            let named = named.map(|named| named.into_iter().map(str::to_owned).collect());
            let name = ChannelName::parse(text).unwrap();
            assert_eq!((name.target, &*name.text), (ChannelTarget::Activity(named), text));
        }
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        let long = format!("entity:{}", "a".repeat(4090));
        let many = format!("activity?entity={}", vec!["Task"; 201].join(","));
        for (text, code, word) in [
            ("", Code::BadChannel, "no `:`"),
            ("Task", Code::BadChannel, "no `:`"),
            ("entity:", Code::BadChannel, "name of an entity"),
            ("entity:Task:", Code::BadChannel, "no id"),
            ("entity:Task:%ff", Code::BadChannel, "percent-encoded"),
            ("entity:Ta sk", Code::BadChannel, "name of an entity"),
            ("entity:Task?", Code::BadChannel, "filter is empty"),
            ("entity:Task?&&", Code::BadChannel, "filter is empty"),
            ("entity:Task:1?status=open", Code::BadChannel, "one record"),
            ("entity:Task?title=%ff", Code::BadChannel, "percent-encoded"),
            ("entity:Task?sort=title", Code::BadChannel, "`sort`"),
            ("entity:Task?done=true&limit=5", Code::BadChannel, "`payload.limit`"),
            ("entity:Task?cursor=x", Code::BadChannel, "`cursor`"),
            ("entity:Task?expand=project", Code::BadChannel, "`expand`"),
            ("entity:Task?fields=title", Code::BadChannel, "`fields`"),
            ("entity:Task?s%65arch=x", Code::BadChannel, "`search`"),
            ("entity:Task?group=status", Code::BadChannel, "`group`"),
            ("entity?status=open", Code::BadChannel, "no `:`"),
            ("tasks:1", Code::BadChannel, "kind of channel"),
            ("presence:board", Code::ForbiddenChannel, "presence:"),
            ("user:", Code::BadChannel, "the id"),
            ("user:%ff", Code::BadChannel, "percent-encoded"),
            ("user:ada?x=1", Code::BadChannel, "no filter"),
            ("room:", Code::BadChannel, "is empty"),
            ("room:a//b", Code::BadChannel, "is empty"),
            ("room:a/", Code::BadChannel, "is empty"),
            ("room:a%0Ab", Code::BadChannel, "control"),
            ("room:lobby?x=1", Code::BadChannel, "no filter"),
            (long.as_str(), Code::BadChannel, "4096"),
            ("Activity", Code::BadChannel, "no `:`"),
            ("activity:", Code::BadChannel, "no parts"),
            ("activity:Task", Code::BadChannel, "`activity?entity=Task`"),
            ("activity:?entity=Task", Code::BadChannel, "no parts"),
            ("activity?", Code::BadChannel, "nothing follows"),
            ("activity?&", Code::BadChannel, "nothing follows"),
            ("activity?entity", Code::BadChannel, "`Task,Comment`"),
            ("activity?entity=", Code::BadChannel, "`Task,Comment`"),
            ("activity?entity=Task,", Code::BadChannel, "`Task,Comment`"),
            ("activity?entity=Task,,Note", Code::BadChannel, "`Task,Comment`"),
            ("activity?entity=%ff", Code::BadChannel, "percent-encoded"),
            ("activity?entity=Task&entity=Note", Code::BadChannel, "`entity` is given twice"),
            ("activity?entity=Task&limit=5", Code::BadChannel, "`payload.limit`"),
            ("activity?before=5", Code::BadChannel, "`GET /api/activity?before=…`"),
            ("activity?status=open", Code::BadChannel, "not by `status`"),
            ("activity?entity[in]=Task", Code::BadChannel, "not by `entity[in]`"),
            (many.as_str(), Code::BadChannel, "more than 200"),
        ] {
            let error = ChannelName::parse(text).unwrap_err();
            assert_eq!(error.code, code, "{text}");
            assert!(error.message.contains(word), "{text}: {}", error.message);
        }
    }
}
