//! What the names of a rule mean: the record, the proposed change, the person who asks, and the records that belong to the person.
//!
//! Knows no operator.

use std::sync::Arc;

use super::refused::{self, no_name, no_part, unknown};
use super::types::Type;
use crate::schema::builtin::USER;
use crate::schema::cel::{Identifier, SyntaxData, SyntaxNode};
use crate::schema::check::doubt::Doubts;
use crate::schema::column::{Column, FieldIndex};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{list, quoted, suggestion};
use crate::schema::model::{Entity, FieldKind, Operation};
use crate::schema::rule::{NowForm, ReferencePath, Term, UserTerm};
use crate::schema::tree::Span;

/// Words that are no fields.
pub(super) const WORDS: &[&str] = &["user", "change", "record", "now"];
/// References that may be followed one after the other.
const MOST_STEPS: usize = 3;
/// Place of `role` in the built-in `User`.
const ROLE: FieldIndex = FieldIndex(1);

/// What a rule may name.
#[derive(Clone, Copy)]
pub(super) struct RuleScope<'a> {
    pub(super) entities: &'a [Entity],
    pub(super) doubts: &'a Doubts,
    /// The entity whose records the rule judges.
    pub(super) own: &'a Entity,
    /// Decides what is seen, live events among it.
    pub(super) is_read: bool,
    /// What the rule is called: `read`, `create`.
    pub(super) word: &'static str,
    pub(super) is_update: bool,
    /// The event of the `[[on]]` whose `when` or value this is: bare names are the record after it.
    pub(super) on: Option<Operation>,
    /// Within `exists`: its name for a record, and the entity.
    pub(super) element: Option<(&'a str, &'a Entity)>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning<'a> {
    Value(Term, Type<'a>),
    /// `user` itself.
    Person,
    /// `user.memberships`
    Records(&'a Entity),
    /// `user.memberships.project`
    Set(&'a Entity, Column, Type<'a>),
}

impl<'a> RuleScope<'a> {
    /// Of a name, or of names with dots between them.
    pub(super) fn meaning(self, node: &SyntaxNode) -> Result<Meaning<'a>, Diagnostic> {
        let path = path(node)?;
        let Some((first, rest)) = path.split_first() else { return Err(no_name(node)) };
        if let Some((name, entity)) = self.element
            && name == first.text
        {
            return self.of_element(entity, node, rest);
        }
        match (first.text.as_str(), rest) {
            ("user", _) => self.of_user(node, rest),
            ("old", [_, ..]) if self.on.is_some() => self.of_old(rest),
            ("change", _) => self.of_change(node, rest),
            ("record", [name]) => self.own_column(name),
            ("record", [name, part, ..]) if self.is_read => Err(self.part_of(name, part)),
            ("record", [name, below @ ..]) => self.behind(self.own_column(name)?, self.own, name, below),
            ("now", []) if self.own.field("now").is_none() => self.now(node),
            ("record", []) => Err(unknown(node.span.clone(), "`record` alone has no value")
                .help("name one of its fields: `record.id`")),
            (_, []) => self.own_column(first),
            (_, [second, ..]) => match self.own.field(&first.text) {
                Some((_, field)) if !self.is_read && matches!(field.kind, FieldKind::Ref { .. }) => {
                    self.behind(self.own_column(first)?, self.own, first, rest)
                }
                Some(_) | None => Err(self.part_of(first, second)),
            },
        }
    }

    /// Whether a name in the condition may be meant rightly and only be broken where it is described.
    pub(super) fn is_in_doubt(self, node: &SyntaxNode) -> bool {
        let each = |nodes: &[SyntaxNode]| nodes.iter().any(|node| self.is_in_doubt(node));
        match &node.data {
            SyntaxData::Name(_) | SyntaxData::Select(..) => match path(node) {
                Ok(words) => self.is_path_in_doubt(&words),
                Err(_) => false,
            },
            SyntaxData::List(items)
            | SyntaxData::All(items)
            | SyntaxData::Any(items)
            | SyntaxData::Sum(items) => each(items),
            SyntaxData::Call(of, _, arguments) => {
                of.as_deref().is_some_and(|of| self.is_in_doubt(of)) || each(arguments)
            }
            SyntaxData::Not(inner) => self.is_in_doubt(inner),
            SyntaxData::Binary(_, left, right) => self.is_in_doubt(left) || self.is_in_doubt(right),
            SyntaxData::Null
            | SyntaxData::Bool(_)
            | SyntaxData::Int(_)
            | SyntaxData::Float(_)
            | SyntaxData::Text(_)
            | SyntaxData::Unsupported(_) => false,
        }
    }

    fn is_path_in_doubt(self, words: &[Identifier]) -> bool {
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let own = |field: &str| self.doubts.field(&self.own.name, field);
        match (words.as_slice(), self.element) {
            ([name, rest @ ..], Some((element, entity))) if *name == element => {
                rest.first().is_some_and(|field| self.doubts.field(&entity.name, field))
            }
            (["user", name, rest @ ..], _) => {
                let is_field =
                    self.entities.iter().any(|entity| &*entity.name == USER && entity.field(name).is_some());
                let of_records = || {
                    let entity = self.entities.iter().find(|entity| *entity.plural == **name);
                    let field = |entity: &Entity| {
                        rest.first().is_some_and(|field| self.doubts.field(&entity.name, field))
                    };
                    self.doubts.records(name) || entity.is_some_and(field)
                };
                self.doubts.field(USER, name)
                    || !(is_field || matches!(*name, "id" | "claims")) && of_records()
            }
            (["old", field, ..], _) if self.on.is_some() => own(field),
            (["change" | "record", field, ..], _) => own(field),
            ([field, ..], _) => own(field),
            ([], _) => false,
        }
    }

    fn of_element(
        self,
        entity: &'a Entity,
        node: &SyntaxNode,
        rest: &[Identifier],
    ) -> Result<Meaning<'a>, Diagnostic> {
        let [name, below @ ..] = rest else {
            return Err(unknown(node.span.clone(), "a record alone has no value")
                .help("name one of its fields, as in `m.role`"));
        };
        let Meaning::Value(Term::Record(column), kind) = self.column(entity, name)? else {
            return Err(no_name(node));
        };
        if self.is_read {
            if let [part, ..] = below {
                return Err(match entity.field(&name.text).map(|(_, field)| &field.kind) {
                    Some(FieldKind::Ref { entity: target, .. }) => {
                        self.no_further(entity, name, part, target)
                    }
                    Some(_) | None => no_part(name, part),
                });
            }
            stays(column, name)?;
        }
        self.behind(Meaning::Value(Term::Element(column), kind), entity, name, below)
    }

    /// `old.field`: the value before an update.
    fn of_old(self, rest: &[Identifier]) -> Result<Meaning<'a>, Diagnostic> {
        match rest {
            [name, below @ ..] => {
                let at = self.before(name, "old")?;
                let start = Meaning::Value(Term::Change(at), Type::of(Column::Field(at), self.own));
                self.behind(start, self.own, name, below)
            }
            [] => unreachable!("`old` alone is a field's name"),
        }
    }

    /// `changed(field)`.
    pub(super) fn changed(self, inner: &SyntaxNode) -> Result<FieldIndex, Diagnostic> {
        let SyntaxData::Name(text) = &inner.data else {
            return Err(refused::misfit(inner, "`changed` asks for one field".to_owned())
                .help("write `changed(status)`; join several with `||`"));
        };
        self.before(&Identifier { text: text.clone(), span: inner.span.clone() }, "changed")
    }

    /// A field of which the record before an update has a value, too.
    fn before(self, name: &Identifier, word: &str) -> Result<FieldIndex, Diagnostic> {
        if self.on != Some(Operation::Update) {
            let message = format!("{} is only possible with event = \"update\"", quoted(word));
            let problem = Diagnostic::new(DiagnosticCode::RuleChange, name.span.clone(), message);
            return Err(problem.label("nothing was changed").help(
                "write the bare name: with a create it is the new record, with a delete the one that goes",
            ));
        }
        match self.own.field(&name.text) {
            Some((at, _)) => Ok(at),
            None => Err(self.unknown_field(self.own, name)),
        }
    }

    fn of_change(self, node: &SyntaxNode, rest: &[Identifier]) -> Result<Meaning<'a>, Diagnostic> {
        if !self.is_update {
            let problem = Diagnostic::new(
                DiagnosticCode::RuleChange,
                node.span.clone(),
                "`change` is only possible in the rule `update`",
            );
            return Err(problem.label("nothing is changed here").help(match self.on {
                Some(_) => "the bare name is the value after the change, `old.field` the one before",
                None => "write the bare name: in `create` it is the proposed value, elsewhere the stored one",
            }));
        }
        let [name, below @ ..] = rest else {
            return Err(unknown(node.span.clone(), "`change` alone has no value")
                .help("name one field, as in `change.owner`"));
        };
        match self.own.field(&name.text) {
            Some((at, _)) => {
                let value = Meaning::Value(Term::Change(at), Type::of(Column::Field(at), self.own));
                self.behind(value, self.own, name, below)
            }
            None if column_of(self.own, &name.text).is_some() => {
                let message = format!("no request changes {}", quoted(&name.text));
                Err(unknown(name.span.clone(), message).help("`change` has the fields of the entity only"))
            }
            None => Err(self.unknown_field(self.own, name)),
        }
    }

    fn of_user(self, node: &SyntaxNode, rest: &[Identifier]) -> Result<Meaning<'a>, Diagnostic> {
        let Some((name, below)) = rest.split_first() else { return Ok(Meaning::Person) };
        let value = |term: UserTerm, kind: Type<'a>| Ok(Meaning::Value(Term::User(term), kind));
        let user = self.entities.iter().find(|entity| &*entity.name == USER);
        let field = user.and_then(|user| Some((user, user.field(&name.text)?.0)));
        match (name.text.as_str(), field, below) {
            ("claims", _, []) => Err(unknown(node.span.clone(), "`user.claims` alone has no value")
                .help("name a claim, as in `user.claims.team`")),
            ("claims", _, path) => value(
                UserTerm::Claim(path.iter().map(|word| Arc::from(word.text.as_str())).collect()),
                Type::Claim,
            ),
            ("id", _, []) => value(UserTerm::Id, Type::Id(USER_ID, crate::schema::model::IdKind::Text)),
            (_, Some((_, ROLE)), []) => value(UserTerm::Role, Type::Text),
            (_, Some((user, at)), []) => value(UserTerm::Field(at), Type::of(Column::Field(at), user)),
            (_, Some((user, at)), below)
                if !self.is_read && matches!(user.at(at).kind, FieldKind::Ref { .. }) =>
            {
                let term = Term::User(UserTerm::Field(at));
                self.behind(Meaning::Value(term, Type::of(Column::Field(at), user)), user, name, below)
            }
            (_, _, below) => self.of_records(name, below, field.is_some() || name.text == "id"),
        }
    }

    fn of_records(
        self,
        name: &Identifier,
        below: &[Identifier],
        is_field: bool,
    ) -> Result<Meaning<'a>, Diagnostic> {
        let entity =
            self.entities.iter().find(|entity| *entity.plural == *name.text && &*entity.name != USER);
        let Some(entity) = entity else {
            return Err(match below {
                [part, ..] if is_field => no_part(name, part),
                _ => self.unknown_of_user(name),
            });
        };
        if entity.identity.is_none() {
            return Err(whose(entity, &name.span));
        }
        match below {
            [] => Ok(Meaning::Records(entity)),
            [field] => {
                let Meaning::Value(Term::Record(column), kind) = self.column(entity, field)? else {
                    return Err(self.unknown_field(entity, field));
                };
                stays(column, field)?;
                Ok(Meaning::Set(entity, column, kind))
            }
            [field, part, ..] => Err(no_part(field, part)),
        }
    }

    /// What is seen must be known of the record before a change, too, and the log does not keep when that was written.
    fn own_column(self, name: &Identifier) -> Result<Meaning<'a>, Diagnostic> {
        let meaning = self.column(self.own, name)?;
        if self.is_read && matches!(meaning, Meaning::Value(Term::Record(Column::UpdatedAt), _)) {
            let message = "a read rule cannot use `updated_at`";
            let problem = Diagnostic::new(DiagnosticCode::RuleUnsupported, name.span.clone(), message);
            return Err(problem
                .label("changes with every write")
                .help("store the time in a field of its own, or use `created_at`"));
        }
        Ok(meaning)
    }

    fn column(self, entity: &'a Entity, name: &Identifier) -> Result<Meaning<'a>, Diagnostic> {
        match column_of(entity, &name.text) {
            Some(column) => Ok(Meaning::Value(Term::Record(column), Type::of(column, entity))),
            None => Err(self.unknown_field(entity, name)),
        }
    }

    pub(super) fn unknown_field(self, entity: &Entity, name: &Identifier) -> Diagnostic {
        let mut known: Vec<&str> = entity.fields.iter().map(|field| &*field.name).collect();
        known.extend(["id", "version", "created_at", "updated_at"]);
        if std::ptr::eq(entity, self.own) {
            known.push("user");
        }
        // A file that does not say which entity it describes already got an error.
        let of = if entity.name.is_empty() { "the entity".to_owned() } else { quoted(&entity.name) };
        let message = format!("{of} has no field {}", quoted(&name.text));
        if let Some(constant) = refused::constant(&name.text) {
            return unknown(name.span.clone(), message).help(format!("write `{constant}`"));
        }
        let help = refused::word(&name.text, self.is_update)
            .map(str::to_owned)
            .or_else(|| self.records_of(&name.text))
            .unwrap_or_else(|| suggestion(&name.text, &known, "there are"));
        unknown(name.span.clone(), message).help(help)
    }

    /// What to write where a name is no field, but the name or the plural of an entity.
    fn records_of(self, name: &str) -> Option<String> {
        let named = |entity: &&Entity| entity.name.eq_ignore_ascii_case(name) || *entity.plural == *name;
        let Entity { name, plural, identity, .. } = self.entities.iter().find(named)?;
        Some(match (self.is_read, identity) {
            (false, _) => format!("write `exists({name}, x, …)` to ask for records of {}", quoted(name)),
            (true, Some(_)) => {
                format!(
                    "write `user.{plural}.exists(x, …)` to ask for the caller's own records of {}",
                    quoted(name)
                )
            }
            (true, None) if self.is_of_names() => Self::NAMES_KNOW.to_owned(),
            (true, None) => format!(
                "write a lookup field (from = \"…\") for what this rule needs of {}: it sees one record",
                quoted(name)
            ),
        })
    }

    fn unknown_of_user(self, name: &Identifier) -> Diagnostic {
        if name.text == "users" {
            let problem = unknown(name.span.clone(), "`user.users` is not possible");
            return problem.help("the user's own `User` record is `user`: write `user.role`, for example");
        }
        let fields =
            self.entities.iter().filter(|entity| &*entity.name == USER).flat_map(|user| &user.fields);
        let mut known: Vec<&str> =
            ["id", "claims"].into_iter().chain(fields.map(|field| &*field.name)).collect();
        known.extend(
            self.entities.iter().filter(|entity| entity.identity.is_some()).map(|entity| &*entity.plural),
        );
        let message = format!("`user` has no {}", quoted(&name.text));
        unknown(name.span.clone(), message).help(suggestion(&name.text, &known, "there are"))
    }

    /// The time of the write.
    fn now(self, node: &SyntaxNode) -> Result<Meaning<'a>, Diagnostic> {
        if self.is_read {
            let message =
                format!("a {} rule has no `now`, because rights change only with a write", self.word);
            let help = if self.is_of_names() {
                "let a record of the user give the right, and let the server delete it when its time is over (`expires`)"
            } else {
                "compare with `now` in the rule that allows the write, or let `expires = \"until\"` delete the record"
            };
            return Err(self.too_far(node.span.clone(), message).help(help));
        }
        Ok(Meaning::Value(Term::Now(NowForm::Datetime), Type::Now))
    }

    /// `draft.holder` and on: what lies behind a reference. `of` is the entity that has the field `name`.
    fn behind(
        self,
        start: Meaning<'a>,
        of: &'a Entity,
        name: &Identifier,
        below: &[Identifier],
    ) -> Result<Meaning<'a>, Diagnostic> {
        let (mut reached, mut of, mut name) = (start, of, name);
        for (step, next) in below.iter().enumerate() {
            let Meaning::Value(via, _) = reached else { return Err(no_part(name, next)) };
            let target = of.field(&name.text).and_then(|(_, field)| match &field.kind {
                FieldKind::Ref { entity, .. } => self.entities.iter().find(|other| other.name == *entity),
                FieldKind::Text { .. }
                | FieldKind::Int { .. }
                | FieldKind::Float { .. }
                | FieldKind::Bool
                | FieldKind::Enum { .. }
                | FieldKind::Json
                | FieldKind::Date
                | FieldKind::Datetime
                | FieldKind::Uuid => None,
            });
            let Some(target) = target else { return Err(no_part(name, next)) };
            if step == MOST_STEPS {
                let message = format!("a rule follows at most {MOST_STEPS} references one after the other");
                return Err(Diagnostic::new(DiagnosticCode::RuleSteps, next.span.clone(), message)
                    .label("one too many")
                    .help("give a record on the way a lookup field (from = \"…\") and name that"));
            }
            let Meaning::Value(Term::Record(column), kind) = self.column(target, next)? else {
                return Err(no_part(name, next));
            };
            let path = ReferencePath { via, entity: target.name.clone(), column };
            reached = Meaning::Value(Term::Behind(Box::new(path)), kind);
            (of, name) = (target, next);
        }
        Ok(reached)
    }

    /// `project.owner`: a rule that decides what is seen sees one record.
    fn part_of(self, of: &Identifier, part: &Identifier) -> Diagnostic {
        let field = self.own.field(&of.text).map(|(_, field)| field);
        if field.is_some() && refused::is_size(&part.text) {
            return no_part(of, part);
        }
        let help = match field.map(|field| &field.kind) {
            Some(FieldKind::Ref { .. }) if !self.is_read => {
                format!("name a field of the record that {} refers to", quoted(&of.text))
            }
            Some(FieldKind::Ref { entity: target, .. }) => {
                return self.no_further(self.own, of, part, target);
            }
            Some(FieldKind::Json) => {
                "a rule cannot use the parts of a json field: store the value in a field of its own"
                    .to_owned()
            }
            Some(_) => format!("{} has no parts", quoted(&of.text)),
            None => {
                return match column_of(self.own, &of.text) {
                    Some(_) => no_part(of, part),
                    None => self.unknown_field(self.own, of),
                };
            }
        };
        unknown(part.span.clone(), format!("{} has no {}", quoted(&of.text), quoted(&part.text))).help(help)
    }
}

/// The entity to whose ids `user.id` belongs.
const USER_ID: &str = USER;

pub(super) fn column_of(entity: &Entity, name: &str) -> Option<Column> {
    match name {
        "id" => Some(Column::Id),
        "version" => Some(Column::Version),
        "created_at" => Some(Column::CreatedAt),
        "updated_at" => Some(Column::UpdatedAt),
        name => entity.field(name).map(|(at, _)| Column::Field(at)),
    }
}

/// They change with every write, which then would be a change of rights.
fn stays(column: Column, name: &Identifier) -> Result<(), Diagnostic> {
    match column {
        Column::Version | Column::UpdatedAt => {
            let message = format!("{} of a user's records cannot be used", quoted(&name.text));
            let problem = Diagnostic::new(DiagnosticCode::RuleUnsupported, name.span.clone(), message);
            Err(problem
                .label("changes with every write")
                .help("rights can depend on fields, `id` and `created_at` only, so that not every write changes rights"))
        }
        Column::Id | Column::CreatedAt | Column::Field(_) => Ok(()),
    }
}

fn whose(entity: &Entity, span: &Span) -> Diagnostic {
    let refs: Vec<&str> = entity.refs_to_user().map(|at| &*entity.at(at).name).collect();
    let problem = |message: String| Diagnostic::new(DiagnosticCode::RuleRelation, span.clone(), message);
    match refs.is_empty() {
        true => problem(format!(
            "{} has no ref to `User`, so its records belong to no user",
            quoted(&entity.name)
        ))
        .label("no user")
        .help("only an entity with a ref to `User` can be used as `user.…`"),
        false => {
            problem(format!("{} refers to `User` by {}", quoted(&entity.name), list(refs.iter().copied())))
                .label("which one?")
                .help(format!(
                    "mark the one that says which user a record belongs to: {} = {{ …, identity = true }}",
                    refs[0]
                ))
        }
    }
}

/// The names of `a.b.c`.
fn path(node: &SyntaxNode) -> Result<Vec<Identifier>, Diagnostic> {
    let mut words = Vec::new();
    let mut at = node;
    while let SyntaxData::Select(of, word) = &at.data {
        words.push(word.clone());
        at = of;
    }
    let SyntaxData::Name(name) = &at.data else { return Err(no_name(at)) };
    words.push(Identifier { text: name.clone(), span: at.span.clone() });
    words.reverse();
    Ok(words)
}
