//! What rules use of a person: which entities they ask, and so which log entries are changes of a user's rights
//! (SEMANTICS R1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::schema::{
    Column, Entity, EntityName, Expr, FieldIndex, NameRules, Operation, Record, Schema, Term, UserTerm, Value,
};

const USER: &str = "User";
/// Places in `User`, which is built in.
const ROLE: FieldIndex = FieldIndex(1);
const DISABLED: FieldIndex = FieldIndex(2);

/// What must be read of a person before rules are asked: the `User` record always, since it may be disabled; and the records of
/// these entities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// By entity the columns that are asked; of `User` the fields.
    used: BTreeMap<EntityName, BTreeSet<Column>>,
}

impl Needs {
    /// Of the rule for an operation.
    pub fn of(entity: &Entity, operation: Operation) -> Needs {
        let mut needs = Needs::default();
        needs.add_rule(entity.access.rule(operation));
        needs
    }

    /// Of everything that decides what is seen of an entity.
    pub fn of_read(entity: &Entity) -> Needs {
        let mut needs = Needs::of(entity, Operation::Read);
        needs.add_rule(entity.access.rule(Operation::List));
        for field in &entity.fields {
            if let Some(read) = &field.read {
                needs.add_rule(&read.meaning);
            }
        }
        needs
    }

    /// Of the rules for names of presence and rooms.
    pub fn of_names(names: &NameRules) -> Needs {
        let mut needs = Needs::default();
        names.presence.rules().chain(names.rooms.rules()).for_each(|rule| needs.add_rule(rule));
        needs
    }

    /// Of the conditions of its `[[on]]` tables.
    pub fn of_triggers(entity: &Entity) -> Needs {
        let mut needs = Needs::default();
        for when in entity.triggers.iter().filter_map(|trigger| trigger.when.as_ref()) {
            needs.add_rule(&when.meaning);
        }
        needs
    }

    pub fn add(&mut self, other: &Needs) {
        for (entity, columns) in &other.used {
            self.used.entry(entity.clone()).or_default().extend(columns);
        }
    }

    /// Whether nothing need be read.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    /// The entities whose records belong to the person, `User` not among them.
    pub fn related(&self) -> impl Iterator<Item = &EntityName> {
        self.used.keys().filter(|entity| &***entity != USER)
    }

    /// All, `User` among them.
    pub fn entities(&self) -> Arc<[EntityName]> {
        let user: EntityName = USER.into();
        std::iter::once(user).chain(self.related().cloned()).collect()
    }

    fn columns(&mut self, entity: &str) -> &mut BTreeSet<Column> {
        self.used.entry(entity.into()).or_default()
    }

    fn add_rule(&mut self, rule: &Expr) {
        match rule {
            Expr::Constant(_) | Expr::Named(_) => {}
            Expr::Not(inner) => self.add_rule(inner),
            Expr::All(terms) | Expr::Any(terms) => terms.iter().for_each(|term| self.add_rule(term)),
            Expr::Holds(term) | Expr::IsNull(term) => self.add_term(term, None),
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => {
                self.add_term(left, None);
                self.add_term(right, None);
            }
            Expr::OneOf(item, list) => list.iter().chain([item]).for_each(|term| self.add_term(term, None)),
            Expr::Related(item, set) => {
                self.add_term(item, None);
                self.columns(&set.entity).insert(set.column);
            }
            Expr::Search(search) => {
                search.keys.iter().for_each(|key| self.add_term(&key.value, None));
                self.add_rule(&search.condition);
            }
            Expr::Exists(entity, _, condition) => {
                self.columns(entity);
                self.add_rule(condition);
                self.add_elements(entity, condition);
            }
        }
    }

    fn add_term(&mut self, term: &Term, element: Option<&EntityName>) {
        match (term, element) {
            (Term::User(UserTerm::Role), _) => drop(self.columns(USER).insert(Column::Field(ROLE))),
            (Term::User(UserTerm::Field(field)), _) => drop(self.columns(USER).insert(Column::Field(*field))),
            (Term::Element(column), Some(entity)) => drop(self.columns(entity).insert(*column)),
            (Term::Size(inner), _) => self.add_term(inner, element),
            (Term::Behind(path), _) => self.add_term(&path.via, element),
            (
                Term::Record(_)
                | Term::Change(_)
                | Term::Element(_)
                | Term::Value(_)
                | Term::Now(_)
                | Term::User(UserTerm::Itself | UserTerm::Id | UserTerm::Claim(_)),
                _,
            ) => {}
        }
    }

    /// The columns that the condition of an `exists` asks of its records. There is none within another.
    fn add_elements(&mut self, entity: &EntityName, condition: &Expr) {
        match condition {
            Expr::Constant(_) | Expr::Named(_) | Expr::Exists(..) | Expr::Search(_) => {}
            Expr::Not(inner) => self.add_elements(entity, inner),
            Expr::All(terms) | Expr::Any(terms) => {
                terms.iter().for_each(|term| self.add_elements(entity, term));
            }
            Expr::Holds(term) | Expr::IsNull(term) | Expr::Related(term, _) => {
                self.add_term(term, Some(entity));
            }
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => {
                self.add_term(left, Some(entity));
                self.add_term(right, Some(entity));
            }
            Expr::OneOf(item, list) => {
                list.iter().chain([item]).for_each(|term| self.add_term(term, Some(entity)));
            }
        }
    }
}

/// Whether what is seen of an entity depends on who asks; otherwise it is the same for everybody whose account is open.
pub fn depends_on_person(entity: &Entity) -> bool {
    let fields = entity.fields.iter().filter_map(|field| field.read.as_ref());
    [Operation::Read, Operation::List].iter().any(|operation| asks_of_person(entity.access.rule(*operation)))
        || fields.map(|read| &read.meaning).any(asks_of_person)
}

fn asks_of_person(rule: &Expr) -> bool {
    fn term(asked: &Term) -> bool {
        match asked {
            Term::User(_) | Term::Element(_) => true,
            Term::Size(inner) => term(inner),
            Term::Behind(path) => term(&path.via),
            Term::Record(_) | Term::Change(_) | Term::Value(_) | Term::Now(_) => false,
        }
    }
    match rule {
        Expr::Constant(_) | Expr::Named(_) => false,
        Expr::Not(inner) => asks_of_person(inner),
        Expr::All(terms) | Expr::Any(terms) => terms.iter().any(asks_of_person),
        Expr::Holds(one) | Expr::IsNull(one) => term(one),
        Expr::Compare(left, _, right)
        | Expr::Member(left, right)
        | Expr::Starts(left, right)
        | Expr::Ends(left, right)
        | Expr::Contains(left, right) => term(left) || term(right),
        Expr::OneOf(item, list) => term(item) || list.iter().any(term),
        Expr::Related(..) | Expr::Exists(..) | Expr::Search(_) => true,
    }
}

/// The names of the claims that decide what is seen of an entity: of `user.claims.a.b` it is `a`.
pub fn claims_asked(entity: &Entity) -> BTreeSet<Arc<str>> {
    let fields = entity.fields.iter().filter_map(|field| field.read.as_ref());
    let rules = [Operation::Read, Operation::List].map(|operation| entity.access.rule(operation));
    let mut claims = BTreeSet::new();
    for rule in rules.into_iter().chain(fields.map(|read| &read.meaning)) {
        add_claims(rule, &mut claims);
    }
    claims
}

fn add_claims(rule: &Expr, claims: &mut BTreeSet<Arc<str>>) {
    fn add<'t>(terms: impl IntoIterator<Item = &'t Term>, claims: &mut BTreeSet<Arc<str>>) {
        for term in terms {
            match term {
                Term::User(UserTerm::Claim(path)) => claims.extend(path.first().cloned()),
                Term::Size(inner) => add([&**inner], claims),
                Term::Behind(path) => add([&path.via], claims),
                Term::User(_)
                | Term::Element(_)
                | Term::Record(_)
                | Term::Change(_)
                | Term::Value(_)
                | Term::Now(_) => {}
            }
        }
    }
    match rule {
        Expr::Constant(_) | Expr::Named(_) => {}
        Expr::Not(inner) | Expr::Exists(_, _, inner) => add_claims(inner, claims),
        Expr::All(rules) | Expr::Any(rules) => rules.iter().for_each(|rule| add_claims(rule, claims)),
        Expr::Holds(one) | Expr::IsNull(one) | Expr::Related(one, _) => add([one], claims),
        Expr::Compare(left, _, right)
        | Expr::Member(left, right)
        | Expr::Starts(left, right)
        | Expr::Ends(left, right)
        | Expr::Contains(left, right) => add([left, right], claims),
        Expr::OneOf(item, list) => add(list.iter().chain([item]), claims),
        Expr::Search(search) => {
            add(search.keys.iter().map(|key| &key.value), claims);
            add_claims(&search.condition, claims);
        }
    }
}

/// The entities of a schema whose changes are changes of a user's rights to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights(BTreeMap<EntityName, RightsEntity>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsEntity {
    /// Whose a record is; `None` for `User`, whose records are the persons themselves.
    pub identity: Option<FieldIndex>,
    /// A change of these fields changes rights.
    pub fields: BTreeSet<FieldIndex>,
}

impl Rights {
    pub fn of(schema: &Schema) -> Rights {
        let mut needs = Needs::default();
        schema.entities().for_each(|entity| needs.add(&Needs::of_read(entity)));
        needs.add(&Needs::of_names(schema.names()));
        needs.columns(USER).insert(Column::Field(DISABLED));
        let rights = needs.used.into_iter().filter_map(|(name, columns)| {
            let entity = schema.entity(&name)?;
            let field = |column| match column {
                Column::Field(field) => Some(field),
                Column::Id | Column::Version | Column::CreatedAt | Column::UpdatedAt => None,
            };
            let fields = columns.into_iter().filter_map(field).collect();
            Some((name, RightsEntity { identity: entity.identity, fields }))
        });
        Rights(rights.collect())
    }

    /// Whether changes of its records may change a user's rights.
    pub fn holds(&self, entity: &str) -> bool {
        self.0.contains_key(entity)
    }

    /// The persons whose rights may change with the change of a record, in no order and without doubles.
    pub fn concerned(&self, entity: &str, old: Option<&Record>, new: Option<&Record>) -> Vec<Arc<str>> {
        let Some(rights) = self.0.get(entity) else { return Vec::new() };
        let person = |record: &Record| match rights.identity {
            None => Some(record.id.shared()),
            Some(field) => match record.values.get(field.0) {
                Some(Value::Text(id)) => Some(Arc::from(id.as_str())),
                Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_))
                | None => None,
            },
        };
        let (before, after) = (old.and_then(person), new.and_then(person));
        if let (Some(old), Some(new)) = (old, new)
            && before == after
            && rights.fields.iter().all(|field| old.values.get(field.0) == new.values.get(field.0))
        {
            return Vec::new();
        }
        let mut concerned: Vec<Arc<str>> = before.into_iter().chain(after).collect();
        concerned.dedup();
        concerned
    }
}
