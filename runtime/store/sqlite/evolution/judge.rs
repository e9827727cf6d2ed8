//! What each move costs, found out by looking at the records: how many values go, which do not convert, which are double,
//! and what the operator has to say first.
//!
//! Reads only, so that a plan can be made beside a running server.

use rusqlite::{OptionalExtension, params};

use super::difference::{Becomes, Move, Site, TogetherField, gains_steps};
use super::premises::{Premises, text_of};
use super::remarks::{
    counted, counted_are, counted_have, does_not_convert, duplicates, leaving, retyped, same_value, shell,
};
use super::stored_schema::StoredField;
use super::values::Converter;
use crate::ids::{Timestamp, shown};
use crate::schema::convert::is_widening;
use crate::schema::limits::LARGEST_INT;
use crate::schema::{Entity, FieldDefault, FieldKind, History, KeyFields, Sequence, Value};
use crate::store::migration::{AllowFlag, EXAMPLES, MigrationStep, Need, Plan, Remedy, StepKind};
use crate::store::sql::Dialect;
use crate::store::sqlite::clock::cutoff;
use crate::store::sqlite::dialect::SqliteDialect;
use crate::store::sqlite::identifier::quoted;
use crate::store::sqlite::rows::{Sql, unsigned};

impl Premises<'_> {
    pub(super) fn plan(&self, moves: &[Move]) -> rusqlite::Result<Plan> {
        let mut steps = moves.iter().map(|one| self.step(one, moves)).collect::<Result<Vec<_>, _>>()?;
        let given = self.given(&steps);
        steps.extend(self.stray_flags(&steps));
        Ok(Plan { steps, given })
    }

    fn step(&self, one: &Move, moves: &[Move]) -> rusqlite::Result<MigrationStep> {
        let done = |kind, subject: &str, what: String| MigrationStep {
            subject: subject.to_owned(),
            kind,
            what,
            loses: 0,
            need: None,
        };
        Ok(match one {
            Move::Create { entity } => done(StepKind::Create, &entity.name, "create the entity".to_owned()),
            Move::Rename { entity, was } => {
                done(StepKind::Rename, &entity.name, format!("rename the entity `{was}`"))
            }
            Move::Relocate { entity, table } => done(
                StepKind::Rename,
                &entity.name,
                format!("move from /api/{table} to /api/{}", entity.plural),
            ),
            Move::RenameField { at } => {
                done(StepKind::Rename, &at.subject(), format!("rename the field `{}`", at.column))
            }
            Move::Drop { name, table } => self.drop_entity(name, table)?,
            Move::Ids { entity, table } => self.ids(entity, table)?,
            Move::AddField { at } => self.add_field(at)?,
            Move::DropField { entity, table, column, copied } => {
                let values = if *copied { 0 } else { self.values(table, column)? };
                self.drop_field(entity, column, values)
            }
            Move::Retype { at, was } => self.retype(at, was)?,
            Move::Require { at } => self.require(at)?,
            Move::Unique { at } => self.unique(at, moves)?,
            Move::UniqueTogether { key, members } => self.unique_together(key, members)?,
            Move::Follow { at } => self.follow(at)?,
            Move::Expire { at } => self.expire(at)?,
            Move::Number { at, is_new } => self.number(at, *is_new)?,
            Move::Forget { entity, was } => self.forget(entity, was)?,
        })
    }

    /// Records that are due go as soon as the server runs.
    fn expire(&self, at: &Site) -> rusqlite::Result<MigrationStep> {
        let (table, column) = (quoted(&at.table), quoted(&at.column));
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} <= ?1");
        let due: u64 = self.conn.query_row(&sql, [self.now.rfc3339()], |row| row.get(0).map(unsigned))?;
        let name = at.entity.name.to_string();
        let allowed = due == 0 || self.allow.expire.contains(&name);
        let need = Need {
            why: format!("{} due and would be deleted", counted_are(due)),
            examples: Vec::new(),
            remedy: Remedy::Flag(format!("--allow-expire {name}")),
        };
        Ok(MigrationStep {
            subject: name,
            kind: StepKind::Expire,
            what: format!("let records expire by `{}`", at.field().name),
            loses: due,
            need: (!allowed).then_some(need),
        })
    }

    fn drop_entity(&self, name: &str, table: &str) -> rusqlite::Result<MigrationStep> {
        let records = self.count(&format!("SELECT count(*) FROM {}", quoted(table)))?;
        let kept = self.kept_changes(name, Timestamp(i64::MAX))?;
        let allowed = records + kept == 0 || self.allow.drop.contains(name);
        let history = match kept {
            0 => String::new(),
            kept => format!(" with {} of its history", counted(kept, "change")),
        };
        let need = Need {
            why: format!("{}{history} would be lost", counted(records, "record")),
            examples: Vec::new(),
            remedy: Remedy::Flag(format!("--allow-drop {name}")),
        };
        let (subject, loses) = (name.to_owned(), records + kept);
        let need = (!allowed).then_some(need);
        Ok(MigrationStep { subject, kind: StepKind::Drop, what: "drop the entity".to_owned(), loses, need })
    }

    /// Changes of an entity, older than that, which are below the log's floor and so kept for nothing but its history.
    fn kept_changes(&self, entity: &str, older_than: Timestamp) -> rusqlite::Result<u64> {
        let sql = r#"SELECT count(*) FROM "_changes" WHERE "seq" <= (SELECT "floor" FROM "_meta") AND "entity" = ?1 AND "at" < ?2"#;
        self.conn.query_row(sql, params![entity, older_than.0], |row| row.get(0).map(unsigned))
    }

    fn ids(&self, entity: &Entity, table: &str) -> rusqlite::Result<MigrationStep> {
        let records = self.count(&format!("SELECT count(*) FROM {}", quoted(table)))?;
        let need = Need {
            why: format!("{} have ids of the other kind", counted(records, "record")),
            examples: Vec::new(),
            remedy: Remedy::Words("ids never change: give the entity another name"),
        };
        Ok(MigrationStep {
            subject: entity.name.to_string(),
            kind: StepKind::Retype,
            what: "change the kind of its ids".to_owned(),
            loses: 0,
            need: (records > 0).then_some(need),
        })
    }

    /// `values` that are there and no copies.
    fn drop_field(&self, entity: &Entity, column: &str, values: u64) -> MigrationStep {
        let subject = format!("{}.{column}", entity.name);
        let allowed = values == 0 || self.allow.drop.contains(&subject);
        let need = Need {
            why: format!("{} would be lost", counted(values, "value")),
            examples: Vec::new(),
            remedy: Remedy::Flag(format!("--allow-drop {subject}")),
        };
        let need = (!allowed).then_some(need);
        MigrationStep {
            subject,
            kind: StepKind::Drop,
            what: "drop the field".to_owned(),
            loses: values,
            need,
        }
    }

    fn values(&self, table: &str, column: &str) -> rusqlite::Result<u64> {
        let (table, column) = (quoted(table), quoted(column));
        self.count(&format!("SELECT count(*) FROM {table} WHERE {column} IS NOT NULL"))
    }

    fn add_field(&self, at: &Site) -> rusqlite::Result<MigrationStep> {
        let records = self.count(&format!("SELECT count(*) FROM {}", quoted(&at.table)))?;
        let value = self.fill(at);
        let field = at.field();
        let need = if field.required && value.is_null() && records > 0 {
            Some(self.backfill(at, format!("{} would have no value for it", counted(records, "record"))))
        } else if field.unique && !value.is_null() && records > 1 && !self.fills_each(at) {
            Some(same_value(records))
        } else if records > 0 {
            self.dangling(at, &value)?
        } else {
            None
        };
        Ok(self.field_step(at, StepKind::Add, "add the field", need))
    }

    fn retype(&self, at: &Site, was: &StoredField) -> rusqlite::Result<MigrationStep> {
        let subject = at.subject();
        let field = at.field();
        let found = Converter::new(self, at, was).survey()?;
        // What a lookup holds is copied again, whatever it converts to.
        let copied = field.lookup.is_some();
        let clear = copied || self.allow.clear.contains(&subject);
        let same_type = was.kind == field.kind.word();
        // Steps that change no value are no loss.
        let steps = gains_steps(was, field) && found.lossy > 0;
        let asked = found.values == 0 || (!steps && (same_type || is_widening(&was.kind, &field.kind)));
        let cleared = self.fill(at);
        let need = if found.failed > 0 && !clear {
            Some(does_not_convert(&subject, &found, &cleared))
        } else if found.failed > 0 && field.required && cleared.is_null() {
            let why = format!("{} would be left without a value", counted(found.failed, "record"));
            Some(self.backfill(at, why))
        } else if let Some(value) = &found.duplicate {
            let leave =
                if steps { "change the records first, or leave `normalize` out" } else { leaving(at) };
            Some(duplicates(vec![value.clone()], leave))
        } else if found.failed == 0 && !asked && !clear && !self.allow.retype.contains(&subject) {
            Some(Need {
                why: match same_type {
                    true => format!("{} would be stored otherwise", counted(found.lossy, "value")),
                    false => format!("{} would be converted", counted(found.values, "value")),
                },
                examples: found.examples.clone(),
                remedy: Remedy::Flag(format!("--allow-retype {subject}")),
            })
        } else {
            None
        };
        let loses = if copied { 0 } else { found.lossy + found.failed };
        Ok(MigrationStep { subject, kind: StepKind::Retype, what: retyped(was, field), loses, need })
    }

    fn require(&self, at: &Site) -> rusqlite::Result<MigrationStep> {
        let nulls = self.nulls(at)?;
        let value = self.fill(at);
        let given = self.allow.backfill.contains_key(&at.subject());
        let need = if nulls == 0 || self.fills_each(at) {
            None
        } else if !given {
            Some(self.backfill(at, format!("{} no value", counted_have(nulls))))
        } else if at.field().unique && nulls > 1 {
            Some(same_value(nulls))
        } else if at.field().unique && self.has_value(at, &value)? {
            let taken = format!("there is a record with `{}` already", shown(&text_of(&value)));
            Some(duplicates(vec![taken], leaving(at)))
        } else {
            self.dangling(at, &value)?
        };
        Ok(self.field_step(at, StepKind::Require, "make the field required", need))
    }

    fn has_value(&self, at: &Site, value: &Value) -> rusqlite::Result<bool> {
        let (table, column) = (quoted(&at.table), quoted(&at.column));
        let (column, given) = (compared(at, &column), compared(at, "?1"));
        let sql = format!("SELECT 1 FROM {table} WHERE {column} = {given}");
        Ok(self.conn.query_row(&sql, [Sql(value)], |_| Ok(())).optional()?.is_some())
    }

    /// The values as they are now; what a conversion or a backfill makes of them is judged there.
    fn unique(&self, at: &Site, moves: &[Move]) -> rusqlite::Result<MigrationStep> {
        let of_this = |other: &Site| other.subject() == at.subject();
        let retyped = moves.iter().any(|one| matches!(one, Move::Retype { at, .. } if of_this(at)));
        let doubles = if retyped { Vec::new() } else { self.doubles(at)? };
        let need = (!doubles.is_empty()).then(|| duplicates(doubles, leaving(at)));
        let what = match at.field().ignore_case {
            true => "make the field unique, whatever the case of its letters",
            false => "make the field unique",
        };
        Ok(self.field_step(at, StepKind::Unique, what, need))
    }

    /// A field that changes its values is judged with the values that it has then, so it must have them before.
    fn unique_together(&self, key: &KeyFields, members: &[TogetherField]) -> rusqlite::Result<MigrationStep> {
        let first = &members[0].at;
        let names: Vec<&str> = members.iter().map(|member| &*member.at.field().name).collect();
        let names = names.join("`, `");
        let rewritten = members.iter().find(|member| member.becomes == Becomes::Rewritten);
        let empty = |member: &TogetherField| {
            member.becomes == Becomes::Added
                && (self.fills_each(&member.at) || self.fill(&member.at).is_null())
        };
        let records = self.count(&format!("SELECT count(*) FROM {}", quoted(&first.table)))?;
        let need = match rewritten {
            _ if records < 2 || members.iter().any(empty) => None,
            Some(member) => Some(Need {
                why: format!("the values of `{}` change in the same step", member.at.field().name),
                examples: Vec::new(),
                remedy: Remedy::Words(
                    "leave this `[[unique]]` out, start once, then put it in: the values are compared then",
                ),
            }),
            None => {
                let doubles = self.doubles_together(key, members)?;
                (!doubles.is_empty()).then(|| Need {
                    why: "these values are there more than once".to_owned(),
                    examples: doubles,
                    remedy: Remedy::Words("change the records first, or leave `[[unique]]` out"),
                })
            }
        };
        Ok(MigrationStep {
            subject: first.entity.name.to_string(),
            kind: StepKind::Unique,
            what: match key.ignore_case {
                true => format!("make `{names}` unique together, whatever the case of their letters"),
                false => format!("make `{names}` unique together"),
            },
            loses: 0,
            need,
        })
    }

    /// Lists of values that more than one record has, the most frequent first. A field that is new has one value in all records.
    fn doubles_together(&self, key: &KeyFields, members: &[TogetherField]) -> rusqlite::Result<Vec<String>> {
        let there: Vec<&TogetherField> =
            members.iter().filter(|member| member.becomes != Becomes::Added).collect();
        let present: Vec<String> = there.iter().map(|member| quoted(&member.at.column)).collect();
        let folds = |member: &TogetherField| key.folds(&member.at.entity, member.at.field);
        let compared = there.iter().zip(&present).map(|(member, column)| match folds(member) {
            true => SqliteDialect.folded(column),
            false => column.clone(),
        });
        let compared: Vec<String> = compared.collect();
        let table = quoted(&members[0].at.table);
        // Of several spellings one is named.
        let texts = there.iter().zip(&present).map(|(member, column)| match folds(member) {
            true => format!("min({column})"),
            false => format!("CAST({column} AS TEXT)"),
        });
        let texts: Vec<String> = texts.collect();
        let filled: Vec<String> = present.iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let (group, have) = match compared.as_slice() {
            [] => (String::new(), String::new()),
            columns => {
                (format!("GROUP BY {}", columns.join(", ")), format!("WHERE {}", filled.join(" AND ")))
            }
        };
        let texts: String = texts.iter().map(|text| format!(", {text}")).collect();
        let mut statement = self.conn.prepare(&format!(
            "SELECT count(*){texts} FROM {table} {have} {group} HAVING count(*) > 1 ORDER BY 1 DESC{texts} LIMIT {EXAMPLES}"
        ))?;
        let rows = statement.query_map([], |row| {
            let values = (1..=present.len()).map(|at| row.get::<_, String>(at));
            Ok((row.get::<_, i64>(0)?, values.collect::<Result<Vec<_>, _>>()?))
        })?;
        let told = |(times, values): (i64, Vec<String>)| {
            let values: Vec<String> = values.iter().map(|value| format!("`{}`", shown(value))).collect();
            match values.is_empty() {
                true => format!("{times} records would get the same values"),
                false if key.ignore_case => {
                    format!("{times} records have {}, in any case", values.join(", "))
                }
                false => format!("{times} records have {}", values.join(", ")),
            }
        };
        rows.map(|row| row.map(told)).collect()
    }

    fn field_step(&self, at: &Site, kind: StepKind, what: &str, need: Option<Need>) -> MigrationStep {
        MigrationStep { subject: at.subject(), kind, what: what.to_owned(), loses: 0, need }
    }

    fn follow(&self, at: &Site) -> rusqlite::Result<MigrationStep> {
        let values = self.values(&at.table, &at.column)?;
        let subject = at.subject();
        let path = self.schema.lookup_path(&at.entity, at.field()).unwrap_or_default();
        let allowed = values == 0 || self.allow.clear.contains(&subject);
        let need = Need {
            why: format!("{} would be replaced by what `{path}` holds", counted(values, "value")),
            examples: Vec::new(),
            remedy: Remedy::Flag(format!("--allow-clear {subject}")),
        };
        let need = (!allowed).then_some(need);
        Ok(MigrationStep {
            subject,
            kind: StepKind::Follow,
            what: format!("copy it from `{path}`"),
            loses: values,
            need,
        })
    }

    /// Numbers that are there stay; the others go on behind them.
    fn number(&self, at: &Site, is_new: bool) -> rusqlite::Result<MigrationStep> {
        let records = self.count(&format!("SELECT count(*) FROM {}", quoted(&at.table)))?;
        let highest: i64 = match is_new {
            true => 0,
            false => {
                let (table, column) = (quoted(&at.table), quoted(&at.column));
                let sql = format!("SELECT coalesce(max(CAST({column} AS INTEGER)), 0) FROM {table}");
                self.conn.query_row(&sql, [], |row| row.get(0))?
            }
        };
        let is_full = highest.saturating_add_unsigned(records) > LARGEST_INT;
        let need = is_full.then(|| Need {
            why: format!("there are no numbers left after {highest}"),
            examples: Vec::new(),
            remedy: Remedy::Words("give the records smaller numbers first"),
        });
        let what = match at.field().sequence {
            Some(Sequence::Within(parent)) => {
                format!("number the records of each `{}`", at.entity.at(parent).name)
            }
            Some(Sequence::Whole) | None => "number the records".to_owned(),
        };
        Ok(self.field_step(at, StepKind::Number, &what, need))
    }

    /// Changes below the log's floor are kept for nothing but the history.
    fn forget(&self, entity: &Entity, was: &str) -> rusqlite::Result<MigrationStep> {
        let oldest = match entity.history {
            Some(History::For(time)) => cutoff(self.now, time),
            Some(History::Forever) | None => Timestamp(i64::MAX),
        };
        let changes = self.kept_changes(was, oldest)?;
        let allowed = changes == 0 || self.allow.forget.contains(&*entity.name);
        let need = Need {
            why: format!("{} of its history would be lost", counted(changes, "change")),
            examples: Vec::new(),
            remedy: Remedy::Flag(format!("--allow-forget {}", entity.name)),
        };
        Ok(MigrationStep {
            subject: entity.name.to_string(),
            kind: StepKind::Forget,
            what: "keep less of its history".to_owned(),
            loses: changes,
            need: (!allowed).then_some(need),
        })
    }

    /// Values that more than one record has, the most frequent first.
    fn doubles(&self, at: &Site) -> rusqlite::Result<Vec<String>> {
        let (table, column) = (quoted(&at.table), quoted(&at.column));
        let compared = compared(at, &column);
        // Two spellings, the first and the last of them; values that are compared letter for letter have one.
        let mut statement = self.conn.prepare(&format!(
            "SELECT CAST(min({column}) AS TEXT), count(*), CAST(max({column}) AS TEXT) FROM {table} \
             WHERE {column} IS NOT NULL GROUP BY {compared} HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT {EXAMPLES}"
        ))?;
        let told = |row: &rusqlite::Row<'_>| {
            let (value, times, other): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(match value == other {
                true => format!("{times} records have `{}`", shown(&value)),
                false => format!("{times} records have `{}`, `{}` or the like", shown(&value), shown(&other)),
            })
        };
        statement.query_map([], told)?.collect()
    }

    fn backfill(&self, at: &Site, why: String) -> Need {
        let value = match &at.field().default {
            Some(FieldDefault::Value(value)) => shell(&text_of(value)),
            Some(FieldDefault::UserId | FieldDefault::Now(_) | FieldDefault::Random) | None => {
                "VALUE".to_owned()
            }
        };
        let remedy = Remedy::Flag(format!("--backfill {}={value}", at.subject()));
        Need { why, examples: Vec::new(), remedy }
    }

    /// A value that would be filled in and leads to no record.
    fn dangling(&self, at: &Site, value: &Value) -> rusqlite::Result<Option<Need>> {
        let FieldKind::Ref { entity, .. } = &at.field().kind else { return Ok(None) };
        if value.is_null() || self.leads_somewhere(entity, value)? {
            return Ok(None);
        }
        Ok(Some(Need {
            why: format!("there is no {entity} with the id `{}`", shown(&text_of(value))),
            examples: Vec::new(),
            remedy: Remedy::Words("name a record that exists"),
        }))
    }

    /// The flags that concern a step, as they were written.
    fn given(&self, steps: &[MigrationStep]) -> Vec<String> {
        let flags = self.allow.flags().into_iter().filter(|flag| concerns(flag, steps));
        let write = |AllowFlag { flag, subject, .. }: AllowFlag<'_>| match self.allow.backfill.get(subject) {
            Some(value) if flag == "--backfill" => format!("{flag} {subject}={}", shell(&text_of(value))),
            _ => format!("{flag} {subject}"),
        };
        flags.map(write).collect()
    }

    /// A flag that concerns nothing is a mistake, so it is reported and not ignored.
    fn stray_flags(&self, steps: &[MigrationStep]) -> Vec<MigrationStep> {
        let step = |AllowFlag { flag, subject, .. }: AllowFlag<'_>| MigrationStep {
            subject: subject.to_owned(),
            kind: StepKind::Stray,
            what: format!("{flag} allows nothing"),
            loses: 0,
            need: Some(Need {
                why: "no step of this kind affects it".to_owned(),
                examples: Vec::new(),
                remedy: Remedy::Words("take the flag out, or correct it: Entity or Entity.field"),
            }),
        };
        self.allow.flags().into_iter().filter(|flag| !concerns(flag, steps)).map(step).collect()
    }
}

/// What of a value of a unique field two records may not share.
fn compared(at: &Site, operand: &str) -> String {
    if at.field().ignore_case { SqliteDialect.folded(operand) } else { operand.to_owned() }
}

fn concerns(flag: &AllowFlag<'_>, steps: &[MigrationStep]) -> bool {
    steps.iter().any(|step| step.subject == flag.subject && flag.kinds.contains(&step.kind))
}
