//! `Body`: one JSON object as a client sent it, syntax checked and no key twice at any depth. It remembers the numbers that
//! the parser changed.
//!
//! Knows no schema: `validate` checks whether the keys are fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::numbers::{self, Inexact, InexactNumber, JsonStep};
use super::value_fault::ValueFault;
use crate::schema::{Entity, FieldKind};

/// The members of a JSON object, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Body {
    pub(super) members: Map<String, Json>,
    /// In `members` each has its nearest float, or 0 where there is none.
    pub(super) inexact: Vec<Inexact>,
}

/// A number that cannot be the value of its field.
#[derive(Debug)]
pub struct NumberFault<'a> {
    pub field: &'a str,
    pub fault: ValueFault,
}

/// What some editors and programs write before a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

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
    /// The whole object, for bodies that are no record.
    pub fn into_json(self) -> Json {
        Json::Object(self.members)
    }

    /// Reads one JSON object. Nesting beyond 128 levels and keys that appear twice are refused.
    pub fn parse(bytes: &[u8]) -> Result<Body, BodyError> {
        let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(BodyError::Empty);
        }
        let (json, inexact) = read(bytes).map_err(BodyError::Syntax)?;
        match json {
            Json::Object(members) => Ok(Body { members, inexact }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                Err(BodyError::NotAnObject(kind_of(&json)))
            }
        }
    }

    /// For bodies that the server itself makes.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, Json)>) -> Body {
        Body::from_members(pairs.into_iter().map(|(name, json)| (name.to_owned(), json)).collect())
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The value of a member that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.members.get(key)?.as_str()
    }

    pub fn to_json(&self) -> Json {
        Json::Object(self.members.clone())
    }

    pub fn remove(&mut self, key: &str) {
        self.members.remove(key);
    }

    pub(super) fn from_members(members: Map<String, Json>) -> Body {
        Body { members, inexact: Vec::new() }
    }

    /// A body within a body: the object that a path led to, with the numbers that lie in it.
    pub(super) fn from_part(members: Map<String, Json>, inexact: Vec<Inexact>) -> Body {
        Body { members, inexact }
    }

    pub(super) fn members(&self) -> &Map<String, Json> {
        &self.members
    }

    /// Why the member cannot be the value of a field of this kind, if a number in it is not kept as it was sent.
    pub(super) fn number_fault(&self, name: &str, kind: &FieldKind) -> Option<ValueFault> {
        let of_field = self.inexact.iter().filter_map(|number| match number.path.split_first() {
            // Only a json field may hold a number within a value.
            Some((JsonStep::Key(key), rest))
                if key == name && (rest.is_empty() || *kind == FieldKind::Json) =>
            {
                Some((&number.text, rest))
            }
            Some(_) | None => None,
        });
        of_field.filter_map(|(text, rest)| numbers::fault(kind, text, rest)).next()
    }

    /// The same for every field of an entity, by name.
    pub fn number_faults<'a>(&self, entity: &'a Entity) -> Vec<NumberFault<'a>> {
        let fields = entity.fields.iter().filter(|field| self.members.contains_key(&*field.name));
        fields
            .filter_map(|field| {
                let fault = self.number_fault(&field.name, &field.kind)?;
                Some(NumberFault { field: &field.name, fault })
            })
            .collect()
    }
}

/// Reads one JSON value of any kind for a json field, as strictly as a body. The fault says what is wrong, and where.
pub fn strict_json(bytes: &[u8]) -> Result<Json, ValueFault> {
    let (json, inexact) = read(bytes).map_err(|error| ValueFault::new("bad_json", error))?;
    let fault =
        inexact.first().and_then(|number| numbers::fault(&FieldKind::Json, &number.text, &number.path));
    fault.map_or(Ok(json), Err)
}

/// One JSON value, and the numbers in it that a float changes.
fn read(bytes: &[u8]) -> Result<(Json, Vec<Inexact>), String> {
    let found = numbers::inexact(bytes);
    let mut patched = Cow::Borrowed(bytes);
    for number in found.iter().filter(|number| number.is_beyond_parsers()) {
        // As long as before, so that the places in the parser's errors are those of the text.
        patched.to_mut()[number.at.clone()].fill(b' ');
        patched.to_mut()[number.at.start] = b'0';
    }
    let mut numbers =
        NumberTracker { text: bytes, left: found.into_iter().peekable(), next: 0, placed: Vec::new() };
    let mut parser = serde_json::Deserializer::from_slice(&patched);
    let json = Strict(&mut numbers).deserialize(&mut parser).and_then(|json| parser.end().map(|()| json));
    json.map(|json| (json, numbers.placed)).map_err(|error| error.to_string())
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

/// Finds the places of inexact numbers while the text is parsed, number by number.
struct NumberTracker<'a> {
    text: &'a [u8],
    left: std::iter::Peekable<std::vec::IntoIter<InexactNumber>>,
    next: usize,
    placed: Vec<Inexact>,
}

impl NumberTracker<'_> {
    /// The parser is at the next number.
    fn pass(&mut self) {
        if let Some(found) = self.left.next_if(|found| found.nth == self.next) {
            let text = String::from_utf8_lossy(&self.text[found.at]).into_owned();
            self.placed.push(Inexact { path: Vec::new(), text });
        }
        self.next += 1;
    }

    /// What was placed since a mark lies behind this step.
    fn within(&mut self, mark: usize, step: impl Fn() -> JsonStep) {
        for number in &mut self.placed[mark..] {
            number.path.insert(0, step());
        }
    }
}

/// JSON in which no object names a key twice. Two values for one key are a defect of the sender, and whichever of
/// them won would be a surprise.
struct Strict<'a, 'b>(&'a mut NumberTracker<'b>);

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
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
        self.0.pass();
        Ok(Json::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        self.0.pass();
        Ok(Json::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        self.0.pass();
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
        loop {
            let mark = self.0.placed.len();
            let Some(item) = items.next_element_seed(Strict(&mut *self.0))? else {
                return Ok(Json::Array(array));
            };
            self.0.within(mark, || JsonStep::Index(array.len()));
            array.push(item);
        }
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
            let mark = self.0.placed.len();
            let value = entries.next_value_seed(Strict(&mut *self.0))?;
            self.0.within(mark, || JsonStep::Key(key.clone()));
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }
}
