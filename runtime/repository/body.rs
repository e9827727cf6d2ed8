//! `Body`: one JSON object as a client sent it, syntax checked and no key twice at any depth.
//!
//! Knows no schema: whether the keys are fields is `validate`'s business.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

/// The members of a JSON object, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body(Map<String, Json>);

/// Why bytes are not a body. The text is for the sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is empty; expected one JSON object")]
    Empty,
    #[error("the body is not valid JSON: {0}")]
    Syntax(String),
    #[error("the body is {0}; expected one JSON object")]
    NotAnObject(&'static str),
}

impl Body {
    /// Reads one JSON object. Nesting beyond 128 levels and keys that appear twice are refused.
    pub fn parse(bytes: &[u8]) -> Result<Body, BodyError> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(BodyError::Empty);
        }
        let Strict(json) =
            serde_json::from_slice(bytes).map_err(|error| BodyError::Syntax(error.to_string()))?;
        match json {
            Json::Object(members) => Ok(Body(members)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                Err(BodyError::NotAnObject(kind_of(&json)))
            }
        }
    }

    /// For bodies that the server itself makes.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, Json)>) -> Body {
        Body(pairs.into_iter().map(|(name, json)| (name.to_owned(), json)).collect())
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of a member that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    pub fn to_json(&self) -> Json {
        Json::Object(self.0.clone())
    }

    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(super) fn from_members(members: Map<String, Json>) -> Body {
        Body(members)
    }

    pub(super) fn members(&self) -> &Map<String, Json> {
        &self.0
    }

    pub(super) fn into_members(self) -> Map<String, Json> {
        self.0
    }
}

/// Reads one JSON value of any kind, as strictly as a body. The error says what is wrong, and where.
pub fn strict_json(bytes: &[u8]) -> Result<Json, String> {
    serde_json::from_slice(bytes).map(|Strict(json)| json).map_err(|error| error.to_string())
}

/// What a JSON value is, with its article: `an array`.
pub(super) fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// JSON in which no object names a key twice. Two values for one key are a defect of the sender, and whichever of
/// them won would be a surprise.
struct Strict(Json);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key `{}` appears twice in one object",
                    crate::ids::shown(&key)
                )));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }
}
