//! One table per entity: its DDL, and every SQL text that writing and reading its records needs, built once at opening
//! so that no operation formats SQL.
//!
//! Does not know what the database already holds; `evolution/` compares the two.

use std::borrow::Cow;
use std::sync::Arc;

use super::counts::Counts;
use super::dialect::SqliteDialect;
use super::identifier::quoted;
use super::kept::Kept;
use super::search::Search;
use crate::schema::{Entity, EntityName, FieldIndex, FieldKind, KeyFields, Schema, WORDS_VERSION};
use crate::store::relations::{Relation, Relations};
use crate::store::sql::Dialect;

/// The tables of one schema, by entity.
pub(super) struct Catalog {
    /// By `Relation::place`.
    tables: Vec<Table>,
    pub(super) relations: Arc<Relations>,
    pub(super) kept: Kept,
    pub(super) counts: Counts,
}

/// One entity's table and the statements over it. Statements bind `?1..` in the order their comments give.
pub(super) struct Table {
    pub(super) entity: Arc<Entity>,
    /// Quoted.
    pub(super) name: String,
    /// Quoted, comma-separated: id, version, created_at, updated_at, then the fields in schema order.
    pub(super) columns: String,
    /// All columns.
    pub(super) insert: String,
    /// `id` → all columns.
    pub(super) select: String,
    /// `id` → seq, floor, generation, all columns: the position and the record in one statement, which is one read
    /// transaction.
    pub(super) select_at: String,
    /// Id of a person, most → all columns of the records that belong to them, where `Entity::identity` says whose a record is.
    pub(super) select_of_person: Option<String>,
    /// `id` → some fields: for each lookup the ref that it goes through and itself, and each field that lookups copy.
    select_fields: Vec<SelectFields>,
    /// For each field: value, most → ids of the records that have the value, ascending. Asked where an index answers it.
    pub(super) ids_with: Vec<String>,
    /// The same for each `[[unique]]`, and for each unique field whose values are compared whatever their case.
    ids_with_all: Vec<SelectHolders>,
    /// `id` → a row if there is such a record.
    pub(super) exists: String,
    /// `id`, version, updated_at, then every field.
    pub(super) update_all: String,
    /// For each field: `id`, version, updated_at, the field. An index is rewritten only by a statement that names
    /// one of its columns, so the common update of one field leaves the others alone.
    pub(super) update_one: Vec<String>,
    /// `id`.
    pub(super) delete: String,
    /// → how many records there are. Without a condition: SQLite answers that from page headers.
    pub(super) count: String,
    /// The quoted name of the index over `created_at`.
    pub(super) newest: String,
    /// Where some field is searched.
    pub(super) search: Option<Search>,
}

/// Finds the records that have certain values in all fields of a key.
struct SelectHolders {
    key: KeyFields,
    select: String,
}

struct SelectFields {
    fields: Vec<FieldIndex>,
    select: String,
}

/// The column of the index that every table has.
const NEWEST: &str = "created_at";

/// A secondary index, named after what it covers, so that the name alone shows whether it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableIndex {
    pub(super) name: String,
    pub(super) create: String,
}

impl Catalog {
    pub(super) fn of(schema: &Schema) -> Catalog {
        let relations = Arc::new(Relations::of(schema));
        let mut tables: Vec<Table> = schema.entities().map(Table::of).collect();
        for relation in relations.all() {
            for lookup in &relation.lookups {
                tables[relation.place].prepare_fields(&[lookup.via, lookup.field]);
                if let Some(target) = relations.get(&lookup.target) {
                    tables[target.place].prepare_fields(&[lookup.source]);
                }
            }
        }
        let (kept, counts) = (Kept::of(schema), Counts::default());
        Catalog { tables, relations, kept, counts }
    }

    pub(super) fn table(&self, entity: &str) -> Option<&Table> {
        self.relations.get(entity).map(|relation| self.of_relation(relation))
    }

    pub(super) fn of_relation(&self, relation: &Relation) -> &Table {
        &self.tables[relation.place]
    }

    /// The shared name of a known entity, a new one of any other.
    pub(super) fn shared_name(&self, entity: &str) -> EntityName {
        self.relations.shared_name(entity)
    }

    /// How many statements the committer may want to keep prepared.
    pub(super) fn statements(&self) -> usize {
        let of = |table: &Table| {
            12 + table.update_one.len()
                + table.ids_with.len()
                + table.ids_with_all.len()
                + table.select_fields.len()
        };
        26 + self.tables.iter().map(of).sum::<usize>()
    }
}

impl Table {
    fn of(entity: &Arc<Entity>) -> Table {
        let name = quoted(&entity.plural);
        let fields: Vec<String> = entity.fields.iter().map(|field| quoted(&field.name)).collect();
        let mut columns = r#""id", "version", "created_at", "updated_at""#.to_owned();
        fields.iter().for_each(|field| columns.extend([", ", field]));
        let places = vec!["?"; 4 + fields.len()].join(", ");
        let set_all: String = (4..).zip(&fields).map(|(at, field)| format!(", {field} = ?{at}")).collect();
        let set_version = format!(r#"UPDATE {name} SET "version" = ?2, "updated_at" = ?3"#);
        let one = |field: &String| format!(r#"{set_version}, {field} = ?4 WHERE "id" = ?1"#);
        Table {
            insert: format!("INSERT INTO {name} ({columns}) VALUES ({places})"),
            select: format!(r#"SELECT {columns} FROM {name} WHERE "id" = ?1"#),
            select_at: format!(
                r#"SELECT "_meta"."seq", "_meta"."floor", "_meta"."generation", {} FROM "_meta" LEFT JOIN {name} ON {name}."id" = ?1"#,
                columns.split(", ").map(|column| format!("{name}.{column}")).collect::<Vec<_>>().join(", ")
            ),
            select_of_person: entity.identity.map(|person| {
                format!("SELECT {columns} FROM {name} WHERE {} = ?1 LIMIT ?2", fields[person.0])
            }),
            select_fields: Vec::new(),
            ids_with: fields
                .iter()
                .map(|field| format!(r#"SELECT "id" FROM {name} WHERE {field} = ?1 ORDER BY "id" LIMIT ?2"#))
                .collect(),
            ids_with_all: entity
                .unique_keys()
                .filter(|key| key.ignore_case || key.fields.len() > 1)
                .map(|key| SelectHolders { select: select_holders(&name, entity, &key), key })
                .collect(),
            exists: format!(r#"SELECT 1 FROM {name} WHERE "id" = ?1"#),
            update_all: format!(r#"{set_version}{set_all} WHERE "id" = ?1"#),
            update_one: fields.iter().map(one).collect(),
            delete: format!(r#"DELETE FROM {name} WHERE "id" = ?1"#),
            count: format!("SELECT count(*) FROM {name}"),
            newest: quoted(&plain_index(entity, &[NEWEST]).name),
            search: Search::of(entity),
            entity: entity.clone(),
            name,
            columns,
        }
    }

    /// The statement that finds records by all these fields: by one, or by those of a `[[unique]]`.
    pub(super) fn select_holders(&self, key: &KeyFields) -> &str {
        match key.fields.as_slice() {
            [field] if !key.ignore_case => &self.ids_with[field.0],
            _ => {
                let known = self.ids_with_all.iter().find(|known| known.key == *key);
                &known.expect("records are found by the fields of a `[[unique]]`").select
            }
        }
    }

    /// The statement over some fields.
    pub(super) fn select_fields(&self, fields: &[FieldIndex]) -> Cow<'_, str> {
        match self.select_fields.iter().find(|known| known.fields == fields) {
            Some(known) => Cow::Borrowed(&known.select),
            None => Cow::Owned(self.select_of(fields)),
        }
    }

    /// Writes a statement once that will be asked for.
    fn prepare_fields(&mut self, fields: &[FieldIndex]) {
        if self.select_fields.iter().all(|known| known.fields != fields) {
            self.select_fields.push(SelectFields { fields: fields.to_vec(), select: self.select_of(fields) });
        }
    }

    fn select_of(&self, fields: &[FieldIndex]) -> String {
        let columns: Vec<String> = fields.iter().map(|field| quoted(&self.entity.at(*field).name)).collect();
        format!(r#"SELECT {} FROM {} WHERE "id" = ?1"#, columns.join(", "), self.name)
    }
}

/// `CREATE TABLE` of an entity. The repository decides whether a field may be null: a constraint here could not
/// be loosened later without copying the table.
pub(super) fn create_table(entity: &Entity) -> String {
    let fields: String = entity
        .fields
        .iter()
        .map(|field| format!(", {} {}", quoted(&field.name), sql_type(&field.kind)))
        .collect();
    format!(
        r#"CREATE TABLE {} ("id" TEXT PRIMARY KEY NOT NULL, "version" INTEGER NOT NULL, "created_at" INTEGER NOT NULL, "updated_at" INTEGER NOT NULL{fields}) STRICT, WITHOUT ROWID"#,
        quoted(&entity.plural)
    )
}

pub(super) fn sql_type(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Int { .. } | FieldKind::Bool => "INTEGER",
        FieldKind::Float { .. } => "REAL",
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Json
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => "TEXT",
    }
}

/// Every index that the entity's table should have: one for each unique field, each reference, each `[[unique]]`, the field of `expires`, `created_at` and each `[[index]]`; one more for each key whose texts are compared
/// whatever their case. None is
/// a UNIQUE one: SQLite would judge each statement, and a unit is judged at its end (`store/unit/end_checks.rs`).
pub(super) fn indexes(entity: &Entity) -> Vec<TableIndex> {
    let mut wanted: Vec<TableIndex> = Vec::new();
    let mut add = |index: TableIndex| {
        if !wanted.iter().any(|known| known.name == index.name) {
            wanted.push(index);
        }
    };
    for columns in entity.all_indexes() {
        add(plain_index(entity, &columns.iter().map(|at| entity.name_of(*at)).collect::<Vec<_>>()));
    }
    for key in entity.unique_keys().filter(|key| key.ignore_case) {
        add(folded_index(entity, &key));
    }
    wanted
}

fn select_holders(table: &str, entity: &Entity, key: &KeyFields) -> String {
    let equal = (1..).zip(&key.fields).map(|(at, field)| {
        let (column, place) = (quoted(&entity.at(*field).name), format!("?{at}"));
        match key.folds(entity, *field) {
            true => format!("{} = {}", SqliteDialect.folded(&column), SqliteDialect.folded(&place)),
            false => format!("{column} = {place}"),
        }
    });
    let (equal, most) = (equal.collect::<Vec<_>>().join(" AND "), key.fields.len() + 1);
    format!(r#"SELECT "id" FROM {table} WHERE {equal} ORDER BY "id" LIMIT ?{most}"#)
}

/// Its name holds the version of what the index holds: another one makes the index again.
fn folded_index(entity: &Entity, key: &KeyFields) -> TableIndex {
    let name_of = |field: &FieldIndex| &*entity.at(*field).name;
    let column = |field: &FieldIndex| match key.folds(entity, *field) {
        true => SqliteDialect.folded(&quoted(name_of(field))),
        false => quoted(name_of(field)),
    };
    let columns: Vec<String> = key.fields.iter().map(column).collect();
    let names: Vec<&str> = key.fields.iter().map(name_of).collect();
    let name = format!("{}:{} in any case, {WORDS_VERSION}", entity.plural, names.join(","));
    let create =
        format!("CREATE INDEX {} ON {} ({})", quoted(&name), quoted(&entity.plural), columns.join(", "));
    TableIndex { name, create }
}

fn plain_index(entity: &Entity, names: &[&str]) -> TableIndex {
    let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let name = format!("{}:{}", entity.plural, names.join(","));
    let create =
        format!("CREATE INDEX {} ON {} ({})", quoted(&name), quoted(&entity.plural), columns.join(", "));
    TableIndex { name, create }
}
