//! What a rule means, said once more in the plainest way: over JSON, by names, with `None` for what is not known. The oracle of
//! the property test, so it shares nothing with `runtime/rules` but the tree of the rule.

use serde_json::{Map, Value as Json};
use tidewire::schema::{Column, Comparison, Expr, Schema, Term, UserTerm};
use tidewire::store::{Condition, Test};

/// One record as JSON, with the name of its entity.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) entity: String,
    pub(super) values: Map<String, Json>,
}

/// Who asks, as the oracle sees them.
pub(super) struct Asker {
    pub(super) id: Option<String>,
    pub(super) role: Option<String>,
    pub(super) claims: Map<String, Json>,
    pub(super) user: Option<Row>,
    /// Of every entity, those that belong to them.
    pub(super) related: Vec<Row>,
}

pub(super) struct Oracle<'a> {
    pub(super) schema: &'a Schema,
    pub(super) asker: &'a Asker,
    pub(super) row: &'a Row,
    pub(super) element: Option<&'a Row>,
}

/// A value as a rule sees it: what a json field holds is a document, which equals nothing.
enum Seen {
    Plain(Json),
    Document(Json),
}

impl Oracle<'_> {
    pub(super) fn grants(&self, rule: &Expr) -> bool {
        let disabled = self
            .asker
            .user
            .as_ref()
            .is_some_and(|user| user.values.get("disabled") == Some(&Json::Bool(true)));
        !disabled && self.holds(rule) == Some(true)
    }

    fn holds(&self, rule: &Expr) -> Option<bool> {
        match rule {
            Expr::Constant(holds) => Some(*holds),
            Expr::Not(inner) => self.holds(inner).map(|holds| !holds),
            Expr::All(terms) => not_any(terms.iter().map(|term| self.holds(term).map(|holds| !holds))),
            Expr::Any(terms) => any(terms.iter().map(|term| self.holds(term))),
            Expr::Holds(term) => self.plain(term)?.as_bool(),
            Expr::Compare(left, comparison, right) => {
                compared(&self.plain(left)?, *comparison, &self.plain(right)?)
            }
            Expr::IsNull(Term::User(UserTerm::Itself)) => Some(self.asker.id.is_none()),
            Expr::IsNull(term) => Some(match self.seen(term) {
                Seen::Plain(json) | Seen::Document(json) => json.is_null(),
            }),
            Expr::OneOf(item, list) => any(list
                .iter()
                .map(|other| compared(&self.plain(item)?, Comparison::Eq, &self.plain(other)?))),
            Expr::Member(item, list) => {
                let (Seen::Plain(list) | Seen::Document(list)) = self.seen(list);
                let item = self.plain(item)?;
                let elements = list.as_array().filter(|_| comparable(&item))?;
                let equal = |other: &Json| compared(&item, Comparison::Eq, other) == Some(true);
                Some(elements.iter().any(equal))
            }
            Expr::Related(item, set) => {
                self.asker.id.as_ref()?;
                any(self.belonging(&set.entity).map(|row| {
                    let other = self.column(row, set.column);
                    compared(&self.plain(item)?, Comparison::Eq, &other)
                }))
            }
            Expr::Exists(entity, condition) => {
                self.asker.id.as_ref()?;
                any(self.belonging(entity).map(|row| {
                    Oracle { element: Some(row), schema: self.schema, asker: self.asker, row: self.row }
                        .holds(condition)
                }))
            }
            Expr::Starts(text, prefix) => {
                Some(self.plain(text)?.as_str()?.starts_with(self.plain(prefix)?.as_str()?))
            }
            Expr::Contains(text, part) => {
                Some(self.plain(text)?.as_str()?.contains(self.plain(part)?.as_str()?))
            }
            Expr::Named(_) => Some(false),
        }
    }

    fn belonging<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = &'a Row> {
        self.asker.related.iter().filter(move |row| row.entity == entity)
    }

    /// What can be compared, if it is there.
    fn plain(&self, term: &Term) -> Option<Json> {
        match self.seen(term) {
            Seen::Plain(json) if comparable(&json) => Some(json),
            Seen::Plain(_) | Seen::Document(_) => None,
        }
    }

    fn seen(&self, term: &Term) -> Seen {
        let user = self.asker.user.as_ref();
        let field = |row: Option<&Row>, column| {
            let json = row.map_or(Json::Null, |row| self.column(row, column));
            if row.is_some_and(|row| self.is_document(row, column)) {
                Seen::Document(json)
            } else {
                Seen::Plain(json)
            }
        };
        match term {
            Term::Record(column) => field(Some(self.row), *column),
            Term::Element(column) => field(self.element, *column),
            Term::Change(_) => Seen::Plain(Json::Null),
            Term::Value(value) => {
                let mut json = Vec::new();
                value.write_json(&mut json);
                Seen::Plain(serde_json::from_slice(&json).unwrap())
            }
            Term::User(UserTerm::Itself) => Seen::Plain(Json::Null),
            Term::User(UserTerm::Id) => Seen::Plain(self.asker.id.clone().map_or(Json::Null, Json::String)),
            Term::User(UserTerm::Role) => match (&self.asker.role, user) {
                (Some(role), _) => Seen::Plain(Json::String(role.clone())),
                (None, Some(user)) => Seen::Plain(user.values["role"].clone()),
                (None, None) => Seen::Plain(Json::Null),
            },
            Term::User(UserTerm::Field(at)) => field(user, Column::Field(*at)),
            Term::User(UserTerm::Claim(path)) => {
                let mut claim = Json::Object(self.asker.claims.clone());
                for name in path {
                    claim =
                        claim.as_object().and_then(|claims| claims.get(&**name)).cloned().unwrap_or_default();
                }
                Seen::Plain(claim)
            }
            Term::Size(inner) => {
                let size = match self.seen(inner) {
                    Seen::Plain(Json::String(text)) => Some(text.chars().count()),
                    Seen::Plain(Json::Array(list)) | Seen::Document(Json::Array(list)) => Some(list.len()),
                    Seen::Plain(_) | Seen::Document(_) => None,
                };
                Seen::Plain(size.map_or(Json::Null, Json::from))
            }
        }
    }

    fn column(&self, row: &Row, column: Column) -> Json {
        row.values.get(&self.name(row, column)).cloned().unwrap_or_default()
    }

    fn name(&self, row: &Row, column: Column) -> String {
        match column {
            Column::Id => "id".to_owned(),
            Column::Version => "version".to_owned(),
            Column::CreatedAt | Column::UpdatedAt => panic!("no rule here asks for times"),
            Column::Field(at) => self.schema.entity(&row.entity).unwrap().at(at).name.to_string(),
        }
    }

    fn is_document(&self, row: &Row, column: Column) -> bool {
        let Column::Field(at) = column else { return false };
        self.schema.entity(&row.entity).unwrap().at(at).kind.word() == "json"
    }

    /// Whether the record meets a condition of a client.
    pub(super) fn meets(&self, condition: &Condition) -> bool {
        let own = || Term::Record(condition.column);
        let value = |value: &tidewire::schema::Value| Term::Value(value.clone());
        let text = |text: &String| Term::Value(tidewire::schema::Value::Text(text.clone()));
        let by = |comparison, other: &_| Expr::Compare(own(), comparison, value(other));
        let asked = match &condition.test {
            Test::Eq(other) => by(Comparison::Eq, other),
            Test::Ne(other) => by(Comparison::Ne, other),
            Test::Lt(other) => by(Comparison::Lt, other),
            Test::Lte(other) => by(Comparison::Lte, other),
            Test::Gt(other) => by(Comparison::Gt, other),
            Test::Gte(other) => by(Comparison::Gte, other),
            Test::In(others) => Expr::OneOf(own(), others.iter().map(value).collect()),
            Test::Contains(part) => Expr::Contains(own(), text(part)),
            Test::Starts(prefix) => Expr::Starts(own(), text(prefix)),
            Test::Null(true) => Expr::IsNull(own()),
            Test::Null(false) => Expr::Not(Box::new(Expr::IsNull(own()))),
        };
        self.holds(&asked) == Some(true)
    }
}

fn comparable(json: &Json) -> bool {
    json.is_string() || json.is_number() || json.is_boolean()
}

/// One that holds is enough; otherwise one that is not known leaves all unknown.
fn any(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let terms: Vec<Option<bool>> = terms.collect();
    if terms.contains(&Some(true)) {
        Some(true)
    } else if terms.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn not_any(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    any(terms).map(|holds| !holds)
}

fn compared(left: &Json, comparison: Comparison, right: &Json) -> Option<bool> {
    let (less, equal) = match (left, right) {
        (Json::String(left), Json::String(right)) => (left < right, left == right),
        (Json::Bool(left), Json::Bool(right)) => (!left & right, left == right),
        (Json::Number(left), Json::Number(right)) => {
            let (left, right) = (left.as_f64()?, right.as_f64()?);
            (left < right, left == right)
        }
        _ => return None,
    };
    Some(match comparison {
        Comparison::Eq => equal,
        Comparison::Ne => !equal,
        Comparison::Lt => less,
        Comparison::Lte => less || equal,
        Comparison::Gt => !less && !equal,
        Comparison::Gte => !less,
    })
}
