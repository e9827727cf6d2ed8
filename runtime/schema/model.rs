//! The checked schema: entities, fields, types. A `Schema` that exists has unique names, resolved references
//! and defaults of the right type. Knows neither files nor the database.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::column::{Column, EntityName, FieldIndex};
use super::delay::Delay;
use super::name_rules::{NameRules, NameTable};
pub use super::operation::Operation;
use super::rule::{Expr, Rule};
use super::text_step::{self, TextStep};
use super::trigger::Trigger;
use super::value::Value;

/// The built-in entity that every schema has.
pub(super) const USER: &str = "User";

/// Identity of a schema in the log: grows by one with each change of the schema that reached the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Every entity by name, in the order of the files' names, the built-in `User` among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schema {
    entities: IndexMap<EntityName, Arc<Entity>>,
    by_plural: IndexMap<Arc<str>, EntityName>,
    /// Who may use the names of presence and rooms: rules of the settings, which speak of entities.
    names: NameRules,
}

impl Schema {
    /// For the checker, which has made sure that names and plurals are unique and references resolve.
    pub fn new(entities: impl IntoIterator<Item = Entity>) -> Schema {
        let mut schema = Schema::default();
        for entity in entities {
            schema.by_plural.insert(entity.plural.clone(), entity.name.clone());
            schema.entities.insert(entity.name.clone(), Arc::new(entity));
        }
        schema
    }

    pub fn entity(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entities.get(name)
    }

    pub fn by_plural(&self, plural: &str) -> Option<&Arc<Entity>> {
        self.entities.get(self.by_plural.get(plural)?)
    }

    pub fn entities(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.values()
    }

    pub fn names(&self) -> &NameRules {
        &self.names
    }

    /// The same with other rules for names.
    #[must_use]
    pub(super) fn named(mut self, presence: NameTable, rooms: NameTable) -> Schema {
        (self.names.presence, self.names.rooms) = (presence, rooms);
        self
    }

    /// The entity that a ref field refers to.
    pub fn target(&self, field: &Field) -> Option<&Arc<Entity>> {
        let entity = field.kind.target()?;
        self.entity(entity)
    }

    /// The same, but open to everyone where a file has no rules at all, and where no pattern fits a name: for `tidewire dev` on a developer's machine.
    #[must_use]
    pub fn opened(mut self) -> Schema {
        for entity in self.entities.values_mut() {
            if entity.access.is_unsaid() {
                Arc::make_mut(entity).access.open = true;
            }
        }
        self.names.open = true;
        self
    }

    /// `task.project`, as the file has it, of a lookup.
    pub fn lookup_path(&self, entity: &Entity, field: &Field) -> Option<String> {
        let lookup = field.lookup?;
        let via = entity.at(lookup.via);
        Some(format!("{}.{}", via.name, self.target(via)?.at(lookup.field).name))
    }
}

/// One entity: its fields in file order. `id`, `version`, `created_at` and `updated_at` are not among the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub name: EntityName,
    /// REST path segment and table name: `tasks`.
    pub plural: Arc<str>,
    /// The field that names a record to people.
    pub label: Option<FieldIndex>,
    pub id_kind: IdKind,
    pub fields: Vec<Field>,
    /// Over fields, `created_at` and `updated_at`. Every table also has those over each reference, each unique field and
    /// `created_at`.
    pub indexes: Vec<Vec<Column>>,
    /// Several fields each: no two records have the same values in all of them.
    pub unique: Vec<KeyFields>,
    pub access: Access,
    /// How long its changes are kept for the history of a record, beyond the log's retention.
    pub history: Option<History>,
    /// Whether the activity shows its changes.
    pub activity: bool,
    /// Its events go out to each channel in at most so many batches a second; without it, at once.
    pub rate: Option<u32>,
    /// A client changes and deletes its records only while it holds their leases.
    pub lease_required: bool,
    /// The name that it had before: a rename is then no loss.
    pub was: Option<EntityName>,
    /// The ref to `User` that says whose a record is: `user.<plural>` in rules are the records that refer to the person by it.
    pub identity: Option<FieldIndex>,
    /// The datetime after which the server deletes a record.
    pub expires: Option<FieldIndex>,
    /// What the server does after operations on its records, in the order of the file.
    pub triggers: Vec<Trigger>,
}

impl Entity {
    /// An entity with UUIDs as ids and nothing beside its fields.
    pub fn new(name: &str, plural: &str, fields: Vec<Field>) -> Entity {
        Entity {
            name: name.into(),
            plural: plural.into(),
            label: None,
            id_kind: IdKind::Uuid,
            fields,
            indexes: Vec::new(),
            unique: Vec::new(),
            access: Access::default(),
            history: None,
            activity: true,
            rate: None,
            lease_required: false,
            was: None,
            identity: None,
            expires: None,
            triggers: Vec::new(),
        }
    }

    pub fn field(&self, name: &str) -> Option<(FieldIndex, &Field)> {
        let at = self.fields.iter().position(|field| &*field.name == name)?;
        Some((FieldIndex(at), &self.fields[at]))
    }

    /// The refs to `User`.
    pub fn refs_to_user(&self) -> impl Iterator<Item = FieldIndex> {
        let is_ref =
            |field: &Field| matches!(&field.kind, FieldKind::Ref { entity, .. } if &**entity == USER);
        let fields = self.fields.iter().enumerate().filter(move |(_, field)| is_ref(field));
        fields.map(|(at, _)| FieldIndex(at))
    }

    /// The identity, where it has to be said which of several refs it is.
    pub fn marked_identity(&self) -> Option<FieldIndex> {
        self.identity.filter(|_| self.refs_to_user().nth(1).is_some())
    }

    /// The names of the other fields of each `[[unique]]` that this field is in.
    pub fn unique_with(&self, field: &Field) -> Vec<Vec<&str>> {
        let names = |key: &KeyFields| key.fields.iter().map(|at| &*self.at(*at).name).collect::<Vec<&str>>();
        let with_it = self.unique.iter().map(names).filter(|names| names.contains(&&*field.name));
        with_it.map(|names| names.into_iter().filter(|name| *name != &*field.name).collect()).collect()
    }

    /// The columns of every index that the records have beside the one over ids, the built-in ones first.
    pub fn all_indexes(&self) -> impl Iterator<Item = Vec<Column>> {
        let alone = self
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.unique || matches!(field.kind, FieldKind::Ref { .. }));
        let alone = alone.map(|(at, _)| vec![Column::Field(FieldIndex(at))]);
        let together = self.unique.iter().map(|key| key.fields.iter().copied().map(Column::Field).collect());
        // The sweep asks for what is due next, and newest first is asked of every entity.
        let expiry = self.expires.map(|field| vec![Column::Field(field)]);
        alone
            .chain(together)
            .chain(expiry)
            .chain([vec![Column::CreatedAt]])
            .chain(self.indexes.iter().cloned())
    }

    /// The fields whose values no two records share: each `unique` field, then each `[[unique]]`.
    pub fn unique_keys(&self) -> impl Iterator<Item = KeyFields> {
        let alone = self.fields.iter().enumerate().filter(|(_, field)| field.unique);
        let alone = alone
            .map(|(at, field)| KeyFields { fields: vec![FieldIndex(at)], ignore_case: field.ignore_case });
        alone.chain(self.unique.iter().cloned())
    }

    pub fn at(&self, index: FieldIndex) -> &Field {
        &self.fields[index.0]
    }

    /// On the wire and in files.
    pub fn name_of(&self, column: Column) -> &str {
        match column {
            Column::Id => "id",
            Column::Version => "version",
            Column::CreatedAt => "created_at",
            Column::UpdatedAt => "updated_at",
            Column::Field(at) => &self.at(at).name,
        }
    }
}

/// Fields by whose values records are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFields {
    pub fields: Vec<FieldIndex>,
    /// Texts are the same if only the case of their letters differs. Ids, values of an enum and times are no texts.
    pub ignore_case: bool,
}

impl KeyFields {
    /// Values are the same letter for letter.
    pub fn exact(fields: Vec<FieldIndex>) -> KeyFields {
        KeyFields { fields, ignore_case: false }
    }

    /// Whether the values of this field are compared whatever the case of their letters.
    pub fn folds(&self, entity: &Entity, field: FieldIndex) -> bool {
        self.ignore_case && matches!(entity.at(field).kind, FieldKind::Text { .. })
    }
}

/// `Uuid` for every entity from a file, `Text` for the built-in `User`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    Uuid,
    Text,
}

/// One field with its constraints.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub kind: FieldKind,
    /// Never null.
    pub required: bool,
    pub unique: bool,
    /// Two texts that differ by case alone are the same value. Only with `unique`.
    pub ignore_case: bool,
    /// Its records are found by their values of it: `GET /api/{plural}/by/{field}/{value}`. Only with `unique`.
    pub find: bool,
    /// What is done to a text before it is stored, in order.
    pub normalize: Vec<TextStep>,
    /// Clients may not set it.
    pub readonly: bool,
    pub default: Option<FieldDefault>,
    /// Words of this text are found by `?search=`.
    pub search: bool,
    /// Copied by the server from the record that another field refers to.
    pub lookup: Option<Lookup>,
    /// Numbers that the server gives.
    pub sequence: Option<Sequence>,
    /// The name that it had before: a rename is then no loss.
    pub was: Option<Arc<str>>,
    /// Who may see it, of those who may see the record; without one all of them. `hidden = true` is the rule `false`.
    pub read: Option<Rule>,
}

impl Field {
    /// A field without constraints.
    pub fn new(name: &str, kind: FieldKind) -> Field {
        Field {
            name: name.into(),
            kind,
            required: false,
            unique: false,
            ignore_case: false,
            find: false,
            normalize: Vec::new(),
            readonly: false,
            default: None,
            search: false,
            lookup: None,
            sequence: None,
            was: None,
            read: None,
        }
    }

    /// Whether it is hidden from everyone: `hidden = true`, or a rule that says `false`.
    pub fn is_hidden(&self) -> bool {
        self.read.as_ref().is_some_and(|rule| rule.meaning == Expr::Constant(false))
    }

    /// A value of the field as it is stored.
    pub fn normalized(&self, value: Value) -> Value {
        if self.normalize.is_empty() {
            return value;
        }
        let Value::Text(text) = value else { return value };
        Value::Text(text_step::normalized(&self.normalize, text))
    }

    /// Whether no client may set it.
    pub fn is_kept_by_server(&self) -> bool {
        self.readonly || self.lookup.is_some() || self.sequence.is_some()
    }
}

/// Where a lookup field has its value from (SEMANTICS R8). Null where `via` is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// The field of the same entity that refers to the record; a lookup itself, perhaps.
    pub via: FieldIndex,
    /// The field of the entity referred to. No chain of lookups leads back to its beginning.
    pub field: FieldIndex,
}

/// Which records a sequence counts (SEMANTICS X5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// All of the entity.
    Whole,
    /// Those with the same value in this field. A record without one has no number.
    Within(FieldIndex),
}

/// How long an entity's changes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    For(Duration),
    Forever,
}

/// Type and the constraints that go with it. `min`/`max` are inclusive; for text they count characters.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    Text { min: Option<u64>, max: Option<u64>, pattern: Option<Pattern> },
    Int { min: Option<i64>, max: Option<i64> },
    Float { min: Option<f64>, max: Option<f64> },
    Bool,
    Enum { values: Vec<Arc<str>> },
    Json,
    Date,
    Datetime,
    Uuid,
    Ref { entity: EntityName, on_delete: OnDelete },
}

impl FieldKind {
    /// The word of the schema file.
    pub fn word(&self) -> &'static str {
        match self {
            FieldKind::Text { .. } => "text",
            FieldKind::Int { .. } => "int",
            FieldKind::Float { .. } => "float",
            FieldKind::Bool => "bool",
            FieldKind::Enum { .. } => "enum",
            FieldKind::Json => "json",
            FieldKind::Date => "date",
            FieldKind::Datetime => "datetime",
            FieldKind::Uuid => "uuid",
            FieldKind::Ref { .. } => "ref",
        }
    }

    /// The entity that a field of this kind refers to.
    pub fn target(&self) -> Option<&EntityName> {
        if let FieldKind::Ref { entity, .. } = self { Some(entity) } else { None }
    }

    /// What happens to a record when the one that its field refers to is deleted.
    pub fn on_delete(&self) -> Option<OnDelete> {
        if let FieldKind::Ref { on_delete, .. } = self { Some(*on_delete) } else { None }
    }
}

/// A compiled pattern; equal when its source is.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What happens to a record when the record that it refers to is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    Restrict,
    Cascade,
    SetNull,
}

impl OnDelete {
    pub const ALL: [OnDelete; 3] = [OnDelete::Restrict, OnDelete::Cascade, OnDelete::SetNull];

    /// The word of the schema file.
    pub fn word(self) -> &'static str {
        match self {
            OnDelete::Restrict => "restrict",
            OnDelete::Cascade => "cascade",
            OnDelete::SetNull => "set_null",
        }
    }
}

/// The value of a field that a create leaves out.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldDefault {
    Value(Value),
    /// The writer's id; null for an anonymous writer.
    UserId,
    /// The time of the request, or so much later: `datetime` or `date`.
    Now(Delay),
    /// A secret that the server makes, another one for each record: `text`.
    Random,
}

/// Who may do what with the records of an entity. A missing rule denies the operation (G10).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    pub read: Option<Rule>,
    /// Which of the records that may be read are in lists; without it all of them.
    pub list: Option<Rule>,
    pub create: Option<Rule>,
    pub update: Option<Rule>,
    pub delete: Option<Rule>,
    /// Who may hold the lease of a record; without it who may update it.
    pub lease: Option<Rule>,
    /// The file has no rule, and everybody may do everything: `Schema::opened`.
    pub open: bool,
}

impl Access {
    /// The condition under which a user may. Of a list it is asked beside that of reading.
    pub fn rule(&self, operation: Operation) -> &Expr {
        const EVERYBODY: &Expr = &Expr::Constant(true);
        const NOBODY: &Expr = &Expr::Constant(false);
        match self.source(operation) {
            Some(rule) => &rule.meaning,
            None if operation == Operation::List => EVERYBODY,
            None if operation == Operation::Lease => match &self.update {
                // It judges a change, and there is none yet.
                Some(rule) if rule.meaning.asks_of_change() => NOBODY,
                Some(_) | None => self.rule(Operation::Update),
            },
            None if self.open => EVERYBODY,
            None => NOBODY,
        }
    }

    /// The rule as the file has it.
    pub fn source(&self, operation: Operation) -> Option<&Rule> {
        match operation {
            Operation::Read => self.read.as_ref(),
            Operation::List => self.list.as_ref(),
            Operation::Create => self.create.as_ref(),
            Operation::Update => self.update.as_ref(),
            Operation::Delete => self.delete.as_ref(),
            Operation::Lease => self.lease.as_ref(),
        }
    }

    /// The place for the rule.
    pub fn source_mut(&mut self, operation: Operation) -> &mut Option<Rule> {
        match operation {
            Operation::Read => &mut self.read,
            Operation::List => &mut self.list,
            Operation::Create => &mut self.create,
            Operation::Update => &mut self.update,
            Operation::Delete => &mut self.delete,
            Operation::Lease => &mut self.lease,
        }
    }

    /// Whether the file says nothing.
    pub fn is_unsaid(&self) -> bool {
        Operation::ALL.iter().all(|operation| self.source(*operation).is_none())
    }
}
