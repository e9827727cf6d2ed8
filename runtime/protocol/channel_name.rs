//! Channel names: `entity:Task`, `entity:Task:<id>`. A `ChannelName` that exists was well formed.
//!
//! Knows neither the schema nor rights: whether the entity exists is judged where the schema is at hand.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::codes::Code;
use crate::ids::shown;

/// Longest channel name, in bytes.
pub const MAX_BYTES: usize = 512;

/// The exact text that a client sent, which is the subscription's identity, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelName {
    pub text: Arc<str>,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every record of the entity.
    Entity(String),
    /// One record, by its percent-decoded id.
    Record(String, String),
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
        let (family, rest) = name
            .split_once(':')
            .ok_or_else(|| bad(format!("`{}` is not a channel: it has no `:`", shown(text))))?;
        match family {
            "entity" if filter.is_some() => Err(bad(format!(
                "`{}` has a filter: live queries are not served yet, subscribe to `{name}`",
                shown(text)
            ))),
            "entity" => Ok(ChannelName { text: text.into(), target: target(rest)? }),
            "presence" | "user" | "room" => Err(ChannelError {
                code: Code::ForbiddenChannel,
                message: format!("`{family}:` channels are not served yet"),
            }),
            other => Err(bad(format!("`{}:` is not a family of channels, use `entity:`", shown(other)))),
        }
    }
}

fn target(rest: &str) -> Result<Target, ChannelError> {
    let (entity, id) = rest.split_once(':').map_or((rest, None), |(entity, id)| (entity, Some(id)));
    let named = !entity.is_empty() && entity.bytes().all(|b| b.is_ascii_alphanumeric());
    if !named {
        return Err(bad(format!("`{}` is not the name of an entity", shown(entity))));
    }
    let Some(id) = id else { return Ok(Target::Entity(entity.to_owned())) };
    let id = percent_decode_str(id)
        .decode_utf8()
        .map_err(|_| bad("the id of the channel is not percent-encoded UTF-8".to_owned()))?;
    if id.is_empty() {
        return Err(bad(format!("the channel names no id: use `entity:{entity}` for all records")));
    }
    Ok(Target::Record(entity.to_owned(), id.into_owned()))
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
        assert_eq!(name.target, Target::Record("User".into(), "ada löwe".into()));
        assert_eq!(&*name.text, "entity:User:ada%20l%C3%B6we");
        assert_eq!(ChannelName::parse("entity:Task").unwrap().target, Target::Entity("Task".into()));
    }

    #[test]
    fn bad_names_say_what_is_wrong() {
        let long = format!("entity:{}", "a".repeat(600));
        for (text, code, word) in [
            ("", Code::BadChannel, "no `:`"),
            ("Task", Code::BadChannel, "no `:`"),
            ("entity:", Code::BadChannel, "name of an entity"),
            ("entity:Task:", Code::BadChannel, "no id"),
            ("entity:Task:%ff", Code::BadChannel, "percent-encoded"),
            ("entity:Ta sk", Code::BadChannel, "name of an entity"),
            ("entity:Task?status=open", Code::BadChannel, "live queries"),
            ("tasks:1", Code::BadChannel, "family"),
            ("presence:board", Code::ForbiddenChannel, "presence:"),
            ("user:ada", Code::ForbiddenChannel, "user:"),
            ("room:x", Code::ForbiddenChannel, "room:"),
            (long.as_str(), Code::BadChannel, "512"),
        ] {
            let error = ChannelName::parse(text).unwrap_err();
            assert_eq!(error.code, code, "{text}");
            assert!(error.message.contains(word), "{text}: {}", error.message);
        }
    }
}
