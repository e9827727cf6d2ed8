//! What a client says of its presence: from the JSON of one frame to a `PresenceFrame`, or to the error that the client gets.
//!
//! Pure. Knows neither who may be present where nor what a resource is.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use super::codes::Code;
use crate::ids::shown;

/// Longest name of a resource, in bytes as it is written.
const LONGEST_RESOURCE: usize = 512;
/// Parts of a name between its slashes.
const MOST_PARTS: usize = 16;

/// What is before the resource in the name of its channel.
pub const PRESENCE: &str = "presence:";

/// As `encodeURIComponent` of browsers.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One part of a resource's name as it is written.
pub fn encode_part(part: &str) -> String {
    utf8_percent_encode(part, PART).to_string()
}

/// A resource of presence, as in `presence:Task/7`. One that exists is well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceName {
    /// The channel exactly as the client wrote it: the name under which it is answered.
    pub channel: Arc<str>,
    /// What is between the slashes, decoded: by these two spellings are one resource.
    pub parts: Arc<[String]>,
}

/// A frame about presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceFrame {
    pub resource: ResourceName,
    pub action: PresenceAction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceAction {
    Join(PresenceNews),
    Update(PresenceNews),
    Heartbeat(PresenceNews),
    Leave,
    /// Who is there, without being there.
    Watch(WatchKind),
    Unwatch,
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PresenceNews {
    /// Each key replaces the one before; `null` takes it away.
    pub metadata: Map<String, Value>,
    pub state: Option<PresenceState>,
}

/// What a watcher is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchKind {
    /// Who is there.
    Users,
    /// How many.
    Count,
}

/// How busy a user is; the busiest of their connections counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceState {
    Active,
    Idle,
    Away,
}

/// Why a frame about presence was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPresence {
    pub code: Code,
    pub message: String,
}

impl ResourceName {
    /// Of a channel: `presence:Task/7`.
    pub fn of_channel(channel: &str) -> Result<ResourceName, BadPresence> {
        let rest = channel
            .strip_prefix(PRESENCE)
            .ok_or_else(|| bad(format!("`{}` is no `presence:` channel", shown(channel))))?;
        ResourceName::parse(rest, channel.into())
    }

    /// Of a resource alone: `Task/7`.
    pub fn of_resource(resource: &str) -> Result<ResourceName, BadPresence> {
        ResourceName::parse(resource, format!("{PRESENCE}{resource}").into())
    }

    fn parse(text: &str, channel: Arc<str>) -> Result<ResourceName, BadPresence> {
        if text.len() > LONGEST_RESOURCE {
            return Err(bad(format!("the name of a resource has at most {LONGEST_RESOURCE} bytes")));
        }
        if text.contains(['?', '#']) {
            return Err(bad("a resource has no filter: percent-encode `?` and `#`"));
        }
        let part = |text: &str| -> Result<String, BadPresence> {
            let decoded = percent_decode_str(text).decode_utf8();
            let decoded = decoded.map_err(|_| bad("the resource is not percent-encoded UTF-8"))?;
            if decoded.is_empty() || decoded.chars().any(char::is_control) {
                return Err(bad("a part of the resource is empty or has a control character: write Task/7"));
            }
            Ok(decoded.into_owned())
        };
        let parts: Arc<[String]> = text.split('/').map(part).collect::<Result<_, _>>()?;
        if parts.len() > MOST_PARTS {
            return Err(bad(format!("the name of a resource has at most {MOST_PARTS} parts")));
        }
        Ok(ResourceName { channel, parts })
    }

    /// Without `presence:`, as it is written.
    pub fn resource(&self) -> &str {
        self.channel.strip_prefix(PRESENCE).unwrap_or(&self.channel)
    }
}

impl PresenceFrame {
    /// `None` where the type of the frame is none of presence.
    pub fn of(kind: &str, object: &Map<String, Value>) -> Option<Result<PresenceFrame, BadPresence>> {
        let news = || PresenceNews::of(object.get("payload"));
        let action = match kind {
            "presence:join" => news().map(PresenceAction::Join),
            "presence:update" => news().map(PresenceAction::Update),
            "presence:heartbeat" => news().map(PresenceAction::Heartbeat),
            "presence:leave" => Ok(PresenceAction::Leave),
            _ => return None,
        };
        Some(resource(object).and_then(|resource| Ok(PresenceFrame { resource, action: action? })))
    }
}

/// `channel`, or `payload.resource`.
fn resource(object: &Map<String, Value>) -> Result<ResourceName, BadPresence> {
    let payload = object.get("payload").and_then(Value::as_object);
    match (object.get("channel"), payload.and_then(|payload| payload.get("resource"))) {
        (Some(Value::String(channel)), None) => ResourceName::of_channel(channel),
        (None | Some(Value::Null), Some(Value::String(resource))) => ResourceName::of_resource(resource),
        (Some(Value::String(channel)), Some(Value::String(resource))) => {
            let named = ResourceName::of_channel(channel)?;
            if named.parts != ResourceName::of_resource(resource)?.parts {
                return Err(bad("`channel` and `payload.resource` name two resources: send one of them"));
            }
            Ok(named)
        }
        (None | Some(Value::Null), None) => {
            Err(bad("the frame names no resource: send `channel` as presence:Task/7, or `payload.resource`"))
        }
        _ => Err(bad("`channel` and `payload.resource` are strings")),
    }
}

impl PresenceNews {
    fn of(payload: Option<&Value>) -> Result<PresenceNews, BadPresence> {
        let wrong = |message: &str| BadPresence { code: Code::BadFrame, message: message.to_owned() };
        let payload = match payload {
            None | Some(Value::Null) => return Ok(PresenceNews::default()),
            Some(Value::Object(payload)) => payload,
            Some(_) => return Err(wrong("`payload` is not an object")),
        };
        let metadata = match payload.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(_) => {
                return Err(wrong("`payload.metadata` is not an object: {\"cursor\": …, \"typing\": true}"));
            }
        };
        let state = match payload.get("state") {
            None | Some(Value::Null) => None,
            Some(Value::String(state)) => match state.as_str() {
                "active" => Some(PresenceState::Active),
                "idle" => Some(PresenceState::Idle),
                "away" => Some(PresenceState::Away),
                _ => return Err(wrong("`payload.state` is one of active, idle, away")),
            },
            Some(_) => return Err(wrong("`payload.state` is one of active, idle, away")),
        };
        Ok(PresenceNews { metadata, state })
    }
}

fn bad(message: impl Into<String>) -> BadPresence {
    BadPresence { code: Code::BadChannel, message: message.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(frame: &Value) -> Result<PresenceFrame, BadPresence> {
        let object = frame.as_object().unwrap();
        PresenceFrame::of(object["type"].as_str().unwrap(), object).expect("a frame of presence")
    }

    #[test]
    fn a_resource_is_named_by_its_channel_or_in_the_payload_and_answered_as_it_was_written() {
        let by_channel =
            parse(&json!({"type": "presence:leave", "channel": "presence:User/ada%20l%C3%B6we"}));
        let by_channel = by_channel.unwrap().resource;
        assert_eq!(*by_channel.parts, ["User".to_owned(), "ada löwe".to_owned()]);
        assert_eq!(&*by_channel.channel, "presence:User/ada%20l%C3%B6we");
        let payload =
            json!({"type": "presence:join", "payload": {"resource": "User/ada löwe", "metadata": {"a": 1}}});
        let by_payload = parse(&payload).unwrap();
        assert_eq!(by_payload.resource.parts, by_channel.parts);
        assert_eq!(&*by_payload.resource.channel, "presence:User/ada löwe");
        let PresenceAction::Join(news) = by_payload.action else { panic!("a join") };
        assert_eq!(news.metadata, *json!({"a": 1}).as_object().unwrap());
    }

    #[test]
    fn a_bad_frame_says_what_is_wrong() {
        let long = format!("presence:{}", "a".repeat(513));
        let deep = format!("presence:{}", vec!["a"; 17].join("/"));
        let (channel, frame) = (Code::BadChannel, Code::BadFrame);
        for (json, code, word) in [
            (json!({"type": "presence:join"}), channel, "no resource"),
            (json!({"type": "presence:join", "channel": 7}), channel, "strings"),
            (json!({"type": "presence:join", "channel": "room:a"}), channel, "no `presence:` channel"),
            (json!({"type": "presence:join", "channel": "presence:"}), channel, "empty"),
            (json!({"type": "presence:join", "channel": "presence:a//b"}), channel, "empty"),
            (json!({"type": "presence:join", "channel": "presence:a/"}), channel, "empty"),
            (json!({"type": "presence:join", "channel": "presence:%ff"}), channel, "UTF-8"),
            (json!({"type": "presence:join", "channel": "presence:a%00"}), channel, "control"),
            (json!({"type": "presence:join", "channel": "presence:a?b=1"}), channel, "filter"),
            (json!({"type": "presence:join", "channel": long}), channel, "512"),
            (json!({"type": "presence:join", "channel": deep}), channel, "16 parts"),
            (json!({"type": "presence:join", "payload": {"resource": 7}}), channel, "strings"),
            (
                json!({"type": "presence:join", "channel": "presence:a", "payload": {"resource": "b"}}),
                channel,
                "two resources",
            ),
            (
                json!({"type": "presence:update", "channel": "presence:a", "payload": 7}),
                frame,
                "not an object",
            ),
            (
                json!({"type": "presence:update", "channel": "presence:a", "payload": {"metadata": []}}),
                frame,
                "metadata",
            ),
            (
                json!({"type": "presence:heartbeat", "channel": "presence:a", "payload": {"state": "asleep"}}),
                frame,
                "active, idle, away",
            ),
            (
                json!({"type": "presence:heartbeat", "channel": "presence:a", "payload": {"state": 1}}),
                frame,
                "active, idle, away",
            ),
        ] {
            let error = parse(&json).unwrap_err();
            assert_eq!(error.code, code, "{json}");
            assert!(error.message.contains(word), "{json}: {}", error.message);
        }
    }
}
