//! The persons and records of a file of cases: a small world without a database.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::{FileMember, RulesReader, Word, json, members, object};
use crate::auth::{GUEST_ROLE, SERVICE_PREFIX};
use crate::env::Env;
use crate::ids::{RecordId, Timestamp};
use crate::repository::{default_value, suggestion as meant, value_of_json};
use crate::rules::Person;
use crate::schema::message::{quoted, suggestion};
use crate::schema::{Entity, Field, FieldIndex, FieldKind, Record, Schema, Value, text_form};
use crate::verdict::{USER, World, copy_lookups};

/// The anonymous caller; every file knows it.
pub(super) const NOBODY: &str = "nobody";
/// Says that a person is a guest or a machine.
const KIND: &str = "kind";

/// Ids of records count from here: letters that no value of a file has by chance, since `named` looks for them in texts.
const FIRST_ID: u128 = u128::from_be_bytes(*b"tw of a case\0\0\0\0");

/// Of a record that is proposed; a server makes its id later.
const NO_ID: uuid::Uuid = uuid::Uuid::nil();

/// When everything in a file happens that does not say `now`.
const NOW: Timestamp = Timestamp(1_767_225_600_000);

pub(super) struct Scene<'s> {
    pub(super) schema: &'s Schema,
    pub(super) persons: BTreeMap<String, Arc<Person>>,
    records: Vec<Placed>,
    /// When everything in the file happens.
    pub(super) now: Timestamp,
    /// For what the server makes at random.
    env: Env,
}

/// A record under the name that the file gives it.
struct Placed {
    entity: Arc<Entity>,
    name: String,
    record: Record,
}

/// The values that a table sets, and which these are.
pub(super) struct GivenValues {
    pub(super) values: Vec<Value>,
    pub(super) named: Vec<FieldIndex>,
}

impl<'s> Scene<'s> {
    pub(super) fn read(schema: &'s Schema, root: &[FileMember<'_>], reader: &mut RulesReader) -> Scene<'s> {
        let nobody = (NOBODY.to_owned(), Arc::new(Person::default()));
        let mut scene = Scene {
            schema,
            persons: BTreeMap::from([nobody]),
            records: Vec::new(),
            now: NOW,
            env: Env::system(),
        };
        scene.read_now(root, reader);
        for member in root.iter().filter(|member| member.key.text == "persons") {
            if let Some(table) = reader.table(member, "[persons.ada]") {
                members(table).for_each(|person| scene.person(&person, reader));
            }
        }
        for member in root.iter().filter(|member| member.key.text == "records") {
            if let Some(table) = reader.table(member, "[records.Task.paint]") {
                scene.all_records(table, reader);
            }
        }
        scene.settle_lookups();
        scene
    }

    pub(super) fn find(&self, entity: &str, name: &str) -> Option<&Record> {
        self.placed(entity, name).map(|placed| &placed.record)
    }

    /// A text with the file's names in the place of the ids that were made for its records.
    pub(super) fn named(&self, text: &str) -> String {
        let mut text = text.replace(&format!("\"{NO_ID}\""), "(not made yet)");
        for placed in self.records.iter().filter(|placed| &*placed.entity.name != USER) {
            text = text.replace(placed.record.id.as_str(), &placed.name);
        }
        text
    }

    /// The names of an entity's records.
    pub(super) fn names(&self, entity: &str) -> Vec<&str> {
        let of = self.records.iter().filter(|placed| &*placed.entity.name == entity);
        of.map(|placed| &*placed.name).collect()
    }

    /// What a request sets, so nothing readonly; faults are reported.
    pub(super) fn requested(
        &self,
        entity: &Entity,
        table: &DeTable<'_>,
        reader: &mut RulesReader,
    ) -> GivenValues {
        for FileMember { key, .. } in members(table) {
            if entity.field(&key.text).is_some_and(|(_, field)| field.readonly && field.lookup.is_none()) {
                let message = format!(
                    "{} is readonly: no request can set it, even if a rule allows it",
                    quoted(&key.text)
                );
                reader.fault(&key.span, message, "take it out; [records] may set it");
            }
        }
        self.given(entity, table, reader)
    }

    /// What a table sets; faults are reported.
    fn given(&self, entity: &Entity, table: &DeTable<'_>, reader: &mut RulesReader) -> GivenValues {
        let mut given = GivenValues { values: vec![Value::Null; entity.fields.len()], named: Vec::new() };
        for FileMember { key, value } in members(table) {
            let Some((at, field)) = entity.field(&key.text) else {
                let names: Vec<&str> = entity.fields.iter().map(|field| &*field.name).collect();
                let message = format!("{} is not a field of {}", quoted(&key.text), entity.name);
                reader.fault(&key.span, message, suggestion(&key.text, &names, "the fields are"));
                continue;
            };
            if let Some(path) = self.schema.lookup_path(entity, field) {
                let message = format!("{} is copied from `{path}`", quoted(&key.text));
                reader.fault(&key.span, message, "set that instead");
                continue;
            }
            match self.value(field, value) {
                Ok(value) => {
                    given.values[at.0] = value;
                    given.named.push(at);
                }
                Err((message, help)) => reader.fault(&value.span(), message, help),
            }
        }
        given
    }

    /// The record that a person proposes to create: what is not given is the default.
    pub(super) fn proposed(
        &self,
        entity: &Entity,
        given: &GivenValues,
        writer: &Person,
    ) -> Result<Record, String> {
        let mut values = self.with_defaults(entity, given, writer.id.as_ref());
        copy_lookups(self, self.schema, entity, &mut values)?;
        Ok(record(RecordId::from_uuid(NO_ID), self.now, values))
    }

    /// The values of a record after an update.
    pub(super) fn updated(
        &self,
        entity: &Entity,
        old: &Record,
        given: &GivenValues,
    ) -> Result<Vec<Value>, String> {
        let mut values = old.values.clone();
        for at in &given.named {
            values[at.0] = given.values[at.0].clone();
        }
        copy_lookups(self, self.schema, entity, &mut values)?;
        Ok(values)
    }

    fn read_now(&mut self, root: &[FileMember<'_>], reader: &mut RulesReader) {
        for member in root.iter().filter(|member| member.key.text == "now") {
            let Some(word) = reader.word(member, "now = \"2026-11-21T08:00:00Z\"") else { continue };
            match text_form::millis(&word.text) {
                Some(millis) => self.now = Timestamp(millis),
                None => reader.fault(
                    &word.span,
                    format!("{} is not a datetime", quoted(&word.text)),
                    "write a time with an offset: now = \"2026-11-21T08:00:00Z\"",
                ),
            }
        }
    }

    fn person(&mut self, member: &FileMember<'_>, reader: &mut RulesReader) {
        let Word { text: name, span } = &member.key;
        if name == NOBODY {
            let help = "remove it, or choose another name";
            return reader.fault(span, format!("`{NOBODY}` is the anonymous caller"), help);
        }
        let id = match RecordId::parse_text(name) {
            Ok(id) => id,
            Err(error) => {
                return reader.fault(
                    span,
                    format!("a person's name is the id: {error}"),
                    "choose another name",
                );
            }
        };
        let Some(table) = reader.table(member, &format!("[persons.{name}]")) else { return };
        if members(table)
            .any(|member| member.key.text == KIND && member.value.get_ref().as_str() == Some("guest"))
        {
            // A guest has no record and nothing of their own: only the role by which rules know guests.
            reader.known(table, &[KIND], "of a guest");
            let guest = Person { role: Some(GUEST_ROLE.into()), ..Person::default() };
            self.persons.insert(name.clone(), Arc::new(guest));
            return;
        }
        let mut id = id;
        let mut person = Person::default();
        let mut user = None;
        for member in reader.known(table, &[KIND, "role", "claims", "user"], "of a person") {
            match &*member.key.text {
                KIND => match reader.word(&member, "kind = \"service\"") {
                    Some(word) if word.text == "service" => {
                        id = RecordId::stored(&format!("{SERVICE_PREFIX}{name}"));
                    }
                    Some(word) if word.text != "user" => {
                        let help = "write \"guest\" for a caller with a shared token, \"service\" for a machine, or leave it out";
                        reader.fault(
                            &word.span,
                            format!("there is no kind {} of a person", quoted(&word.text)),
                            help,
                        );
                    }
                    Some(_) | None => {}
                },
                "role" => {
                    person.role = reader.word(&member, "role = \"admin\"").map(|role| role.text.into());
                }
                "claims" => {
                    let table = reader.table(&member, "claims = { team = \"north\" }");
                    person.claims = table.map(object).unwrap_or_default().into();
                }
                _ => user = reader.table(&member, "user = { role = \"editor\" }"),
            }
        }
        person.id = Some(id.shared());
        self.add_user(name, id, user, reader);
        self.persons.insert(name.clone(), Arc::new(person));
    }

    /// The person's `User` record, which every person has from the first sight on.
    fn add_user(&mut self, name: &str, id: RecordId, user: Option<&DeTable<'_>>, reader: &mut RulesReader) {
        let Some(entity) = self.schema.entity(USER).cloned() else { return };
        let nothing = DeTable::new();
        let mut given = self.given(&entity, user.unwrap_or(&nothing), reader);
        if let Some((at, _)) = entity.field("name").filter(|(at, _)| !given.named.contains(at)) {
            given.values[at.0] = Value::Text(name.to_owned());
            given.named.push(at);
        }
        let values = self.with_defaults(&entity, &given, None);
        self.records.push(Placed { entity, name: name.to_owned(), record: record(id, self.now, values) });
    }

    /// First all names, so that records may refer to later ones.
    fn all_records(&mut self, table: &DeTable<'_>, reader: &mut RulesReader) {
        let mut bodies: Vec<(usize, &DeTable<'_>)> = Vec::new();
        for of_entity in members(table) {
            let Some(entity) = self.entity(&of_entity.key, reader) else { continue };
            if &*entity.name == USER {
                let help = "describe people in [persons.NAME], with their `User` record in `user`";
                reader.fault(&of_entity.key.span, "a User is a person", help);
                continue;
            }
            let example = format!("[records.{}.one]", entity.name);
            let Some(named) = reader.table(&of_entity, &example) else { continue };
            for one in members(named) {
                let Some(body) = reader.table(&one, &example) else { continue };
                let id = uuid::Uuid::from_u128(FIRST_ID + self.records.len() as u128);
                let record =
                    record(RecordId::from_uuid(id), self.now, vec![Value::Null; entity.fields.len()]);
                bodies.push((self.records.len(), body));
                self.records.push(Placed { entity: entity.clone(), name: one.key.text, record });
            }
        }
        for (at, body) in bodies {
            let entity = self.records[at].entity.clone();
            let given = self.given(&entity, body, reader);
            self.records[at].record.values = self.with_defaults(&entity, &given, None);
        }
    }

    pub(super) fn entity(&self, name: &Word, reader: &mut RulesReader) -> Option<Arc<Entity>> {
        let found = self.schema.entity(&name.text).cloned();
        if found.is_none() {
            let names: Vec<&str> = self.schema.entities().map(|entity| &*entity.name).collect();
            let message = format!("there is no entity {}", quoted(&name.text));
            reader.fault(&name.span, message, suggestion(&name.text, &names, "the schema files have"));
        }
        found
    }

    fn with_defaults(&self, entity: &Entity, given: &GivenValues, writer: Option<&Arc<str>>) -> Vec<Value> {
        let fields = entity.fields.iter().enumerate();
        let value = |(at, field): (usize, &Field)| match given.named.contains(&FieldIndex(at)) {
            true => given.values[at].clone(),
            false => default_value(field, writer, self.now, &self.env),
        };
        fields.map(value).collect()
    }

    /// Fault and help. A reference names a record of the file, a person or an id.
    fn value(&self, field: &Field, value: &Spanned<DeValue<'_>>) -> Result<Value, (String, String)> {
        if let (FieldKind::Ref { entity, .. }, DeValue::String(name)) = (&field.kind, value.get_ref()) {
            return self.reference(field, entity, name);
        }
        value_of_json(self.schema, field, &json(value.get_ref())).map_err(|fault| {
            (
                format!("{} {}", quoted(&field.name), fault.message),
                "see the field in the schema file".to_owned(),
            )
        })
    }

    fn reference(&self, field: &Field, entity: &str, name: &str) -> Result<Value, (String, String)> {
        if let Some(record) = self.find(entity, name) {
            return Ok(Value::Text(record.id.as_str().to_owned()));
        }
        let names = self.names(entity);
        let whose = if entity == USER { "person".to_owned() } else { format!("{entity} of this file") };
        let message = format!("{} refers to no {whose}: {}", quoted(&field.name), quoted(name));
        let help = match meant(name, names.iter().copied()) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None if entity == USER => format!("describe them: [persons.{}]", crate::ids::shown(name)),
            None => format!("describe it: [records.{entity}.{}]", crate::ids::shown(name)),
        };
        Err((message, help))
    }

    /// After as many rounds as there are records at the latest, every chain of lookups has come to its end; the schema's
    /// checker refuses those without one.
    fn settle_lookups(&mut self) {
        for _ in 0..=self.schema.entities().map(|entity| entity.fields.len()).sum() {
            let mut changed = false;
            for at in 0..self.records.len() {
                let (entity, mut values) =
                    (self.records[at].entity.clone(), self.records[at].record.values.clone());
                let copied = copy_lookups(self, self.schema, &entity, &mut values);
                if copied.is_ok() && values != self.records[at].record.values {
                    self.records[at].record.values = values;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
    }

    fn placed(&self, entity: &str, name: &str) -> Option<&Placed> {
        self.records.iter().find(|placed| &*placed.entity.name == entity && placed.name == name)
    }

    /// Whether the file has a person of that name; a fault with a suggestion otherwise.
    pub(super) fn knows(&self, name: &Word, reader: &mut RulesReader) -> bool {
        if self.persons.contains_key(&name.text) {
            return true;
        }
        let names: Vec<&str> = self.persons.keys().map(String::as_str).collect();
        let message = format!("there is no person {}", quoted(&name.text));
        reader.fault(&name.span, message, suggestion(&name.text, &names, "the persons are"));
        false
    }
}

impl World for Scene<'_> {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, String> {
        let found = self
            .records
            .iter()
            .find(|placed| &*placed.entity.name == entity && placed.record.id.as_str() == id);
        Ok(found.map(|placed| placed.record.clone()))
    }

    fn belonging(
        &self,
        entity: &Entity,
        of: FieldIndex,
        user: &str,
        most: usize,
    ) -> Result<Vec<Record>, String> {
        let theirs = |placed: &&Placed| {
            placed.entity.name == entity.name && placed.record.values[of.0] == Value::Text(user.to_owned())
        };
        let found = self.records.iter().filter(theirs).take(most);
        Ok(found.map(|placed| placed.record.clone()).collect())
    }
}

fn record(id: RecordId, now: Timestamp, values: Vec<Value>) -> Record {
    Record { id, version: 1, created_at: now, updated_at: now, values }
}
