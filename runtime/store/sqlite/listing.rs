//! A `Query` or a `Count` as SQL. Names come from the schema and are quoted, values are bound, so one shape of a query is
//! one text, which the connections keep prepared.
//!
//! Knows nothing of connections, and of who asks no more than what they ask for in the end: rule and filter in one.

use super::predicate::{Writing, name};
use super::scan_limit::{self, Asked, Way};
use super::tables::Table;
use crate::rules::Predicate;
use crate::schema::Value;
use crate::store::{Column, Condition, Count, Direction, MOST_GROUPS, Query, StoreError, Test};

/// A statement and what it binds.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

/// The order of a list, with an end: id, after which no two records are equal.
type Order = Vec<(Column, Direction)>;

/// The statements of a list. Each yields `Table::columns`, or where rows must be sorted first the id alone, and takes the limit as its last value, which the caller adds:
/// one row more than the statements before left of the query's, which tells whether any follow. All rows of one come before all rows of the next.
pub(super) fn list(
    table: &Table,
    query: &Query,
    asked: &Asked<'_>,
    (way, most): (Way, u64),
) -> Result<Vec<Listing>, StoreError> {
    if asked.predicate.is_false() {
        return Ok(Vec::new());
    }
    let order = order(query);
    let in_order = way == Way::Newest || scan_limit::in_order(&table.entity, query, asked);
    let columns = if in_order { &table.columns } else { r#""id""# };
    let source = match way {
        Way::Planned => table.name.clone(),
        Way::Newest => format!("{} INDEXED BY {}", table.name, table.newest),
    };
    stretches(query, &order)?
        .into_iter()
        .map(|stretch| {
            let mut listing = Listing::start((table, &source), columns, &query.search, most)?;
            listing.predicate(table, asked.predicate)?;
            for condition in &stretch.conditions {
                listing.condition(table, condition)?;
            }
            listing.order(table, &order[stretch.fixed..])?;
            listing.sql += &format!(" LIMIT ?{}", listing.values.len() + 1);
            Ok(listing)
        })
        .collect()
}

/// One row with the number of records; with a group one row for each value and its number, and at most one row too many.
pub(super) fn count(
    table: &Table,
    count: &Count,
    asked: &Asked<'_>,
    scan_rows: u64,
) -> Result<Listing, StoreError> {
    let group = count.group.map(|column| name(table, column)).transpose()?;
    let columns = group.as_ref().map_or_else(|| "count(*)".to_owned(), |group| format!("{group}, count(*)"));
    let mut listing = Listing::start((table, &table.name), &columns, &count.search, scan_rows)?;
    listing.predicate(table, asked.predicate)?;
    if let Some(group) = group {
        listing.sql += &format!(" GROUP BY {group} ORDER BY 2 DESC, 1 LIMIT {}", MOST_GROUPS + 1);
    }
    Ok(listing)
}

/// The sort columns, then the id, in the direction of the last of them: an index over the columns ends with the id
/// and can be walked in that order. What follows an id decides nothing.
fn order(query: &Query) -> Order {
    let last = query.sort.last().map_or(Direction::Ascending, |(_, direction)| *direction);
    let mut order: Order = query.sort.iter().copied().chain([(Column::Id, last)]).collect();
    let end = order.iter().position(|(column, _)| *column == Column::Id).map_or(order.len(), |at| at + 1);
    order.truncate(end);
    order
}

/// A part of the order in which the first `fixed` columns have one value each.
struct Stretch {
    conditions: Vec<Condition>,
    fixed: usize,
}

/// The stretches behind the mark, nearest first: those equal to it in all columns but the last and behind it there, then
/// in all but the last two, and so on. Each is one range of an index that fits the order, so a page costs the same
/// wherever it lies, among many equal values too; one condition with alternatives would read the list from its beginning.
fn stretches(query: &Query, order: &Order) -> Result<Vec<Stretch>, StoreError> {
    let Some((values, id)) = &query.after else {
        return Ok(vec![Stretch { conditions: Vec::new(), fixed: 0 }]);
    };
    if values.len() != query.sort.len() {
        return Err(StoreError::Storage("a cursor has one value for each sort column".to_owned()));
    }
    let id = Value::Text(id.as_str().to_owned());
    let marks: Vec<&Value> = values.iter().chain([&id]).take(order.len()).collect();
    let mut stretches = Vec::new();
    for (fixed, ((column, direction), mark)) in order.iter().zip(&marks).enumerate().rev() {
        let equal = order.iter().zip(&marks).take(fixed);
        let equal: Vec<Condition> =
            equal.map(|((column, _), mark)| Condition::new(*column, equal_to(mark))).collect();
        for test in behind(*column, *direction, mark) {
            // Where the column itself is one value, it takes no part in the order any more.
            let fixed = if test == Test::Null(true) { fixed + 1 } else { fixed };
            let conditions = equal.iter().cloned().chain([Condition::new(*column, test)]).collect();
            stretches.push(Stretch { conditions, fixed });
        }
    }
    Ok(stretches)
}

fn equal_to(mark: &Value) -> Test {
    if mark.is_null() { Test::Null(true) } else { Test::Eq(mark.clone()) }
}

/// What lies behind the mark in one column, nearest first. Null is less than every value, so it is first in ascending
/// order and last in descending.
fn behind(column: Column, direction: Direction, mark: &Value) -> Vec<Test> {
    let nullable = matches!(column, Column::Field(_));
    match (direction, mark.is_null()) {
        (Direction::Ascending, true) => vec![Test::Null(false)],
        (Direction::Ascending, false) => vec![Test::Gt(mark.clone())],
        (Direction::Descending, true) => Vec::new(),
        (Direction::Descending, false) if nullable => vec![Test::Lt(mark.clone()), Test::Null(true)],
        (Direction::Descending, false) => vec![Test::Lt(mark.clone())],
    }
}

impl Listing {
    /// Up to the first condition. `scanned` counts every row that is stepped over and comes first, since SQLite judges
    /// conditions in the order in which they are written. A search is always where the reading begins: SQLite cannot
    /// know how few records hold a word.
    fn start(
        (table, source): (&Table, &str),
        columns: &str,
        search: &[String],
        scan_rows: u64,
    ) -> Result<Listing, StoreError> {
        let mut listing = Listing { sql: format!("SELECT {columns} FROM "), values: Vec::new() };
        let rows = listing.bind(Value::Int(i64::try_from(scan_rows).unwrap_or(i64::MAX)));
        let run = listing.bind(Value::Int(scan_limit::run()));
        if search.is_empty() {
            listing.sql += &format!("{source} WHERE scanned({rows}, {run})");
            return Ok(listing);
        }
        let Some(found) = &table.search else {
            return Err(StoreError::Storage(format!("{} has no searched field", table.entity.name)));
        };
        let words = listing.bind(Value::Text(found.expression(search)));
        listing.sql += &format!(
            r#"({} MATCH {words} AND scanned({rows}, {run})) CROSS JOIN {} WHERE "id" = "_record""#,
            found.select, table.name
        );
        Ok(listing)
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    /// The terms that must all hold stand side by side, each for the planner to choose.
    fn predicate(&mut self, table: &Table, predicate: &Predicate) -> Result<(), StoreError> {
        let terms = match predicate {
            Predicate::All(terms) => terms.as_slice(),
            Predicate::Constant(true) => &[],
            Predicate::Constant(false)
            | Predicate::Test(_)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Contains(..)
            | Predicate::Member(..)
            | Predicate::Not(_)
            | Predicate::Any(_) => std::slice::from_ref(predicate),
        };
        for term in terms {
            let term = Writing { table, values: &mut self.values }.predicate(term)?;
            self.sql += &format!(" AND {term}");
        }
        Ok(())
    }

    fn condition(&mut self, table: &Table, condition: &Condition) -> Result<(), StoreError> {
        let term = Writing { table, values: &mut self.values }.condition(condition)?;
        self.sql += &format!(" AND {term}");
        Ok(())
    }

    fn order(&mut self, table: &Table, order: &[(Column, Direction)]) -> Result<(), StoreError> {
        for (place, (column, direction)) in order.iter().enumerate() {
            let before = if place == 0 { " ORDER BY" } else { "," };
            let word = match direction {
                Direction::Ascending => "ASC",
                Direction::Descending => "DESC",
            };
            self.sql += &format!("{before} {} {word}", name(table, *column)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params_from_iter};

    use super::*;
    use crate::rules::{Principal, ReadScope};
    use crate::schema::{Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Generation};
    use crate::schema::{OnDelete, Rule, Schema, Term};
    use crate::store::sqlite::rows::Sql;
    use crate::store::sqlite::tables::{Catalog, create_table, indexes};

    const STATUS: Column = Column::Field(FieldIndex(0));
    const DUE: Column = Column::Field(FieldIndex(1));
    const RANK: Column = Column::Field(FieldIndex(2));

    const OWNER: Column = Column::Field(FieldIndex(3));
    const PROJECT: Column = Column::Field(FieldIndex(4));

    /// `tasks` with an index over status and due, and the catalog.
    fn database() -> (Connection, Catalog) {
        database_under(Expr::Constant(true))
    }

    /// Read under this rule.
    fn database_under(meaning: Expr) -> (Connection, Catalog) {
        let text = || FieldKind::Text { min: None, max: None, pattern: None };
        let refers = |name, entity: &str| {
            Field::new(name, FieldKind::Ref { entity: entity.into(), on_delete: OnDelete::Cascade })
        };
        let rank = Field::new("rank", FieldKind::Int { min: None, max: None });
        let (status, due) = (Field::new("status", text()), Field::new("due", FieldKind::Date));
        let fields = vec![status, due, rank, refers("owner", "User"), refers("project", "Project")];
        let mut task = Entity { indexes: vec![vec![STATUS, DUE]], ..Entity::new("Task", "tasks", fields) };
        task.access.read = Some(Rule { source: "".into(), meaning });
        let schema = Schema::new([task]);
        let conn = Connection::open_in_memory().unwrap();
        scan_limit::prepare(&conn).unwrap();
        let task = schema.entity("Task").unwrap();
        conn.execute_batch(&create_table(task)).unwrap();
        indexes(task).iter().for_each(|index| conn.execute_batch(&index.create).unwrap());
        let catalog = Catalog::of(&schema);
        (conn, catalog)
    }

    /// As anybody asks.
    fn statements(catalog: &Catalog, query: &Query) -> Vec<Listing> {
        let table = catalog.table("Task").unwrap();
        let read_scope = ReadScope::bind(&table.entity, Generation(1), &Principal::nobody()).unwrap();
        let read_scope = read_scope.through(query.filter.clone());
        list(table, query, &Asked::of(&read_scope, &query.filter), (Way::Planned, 100)).unwrap()
    }

    /// How SQLite means to run each statement of a list.
    fn plans(conn: &Connection, catalog: &Catalog, query: &Query) -> Vec<String> {
        let listings = statements(catalog, query);
        let plan = |mut listing: Listing| {
            listing.values.push(Value::Int(10));
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", listing.sql)).unwrap();
            let values = params_from_iter(listing.values.iter().map(Sql));
            let steps = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
            steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        listings.into_iter().map(plan).collect()
    }

    fn open_by_due(direction: Direction) -> Query {
        let open = Condition::new(STATUS, Test::Eq(Value::Text("open".to_owned())));
        Query { filter: vec![open], sort: vec![(DUE, direction)], ..Query::all("Task", Generation(1), 10) }
    }

    #[test]
    fn equality_and_sort_use_the_index_and_nothing_is_sorted() {
        let (conn, catalog) = database();
        for direction in [Direction::Ascending, Direction::Descending] {
            let plans = plans(&conn, &catalog, &open_by_due(direction));
            assert_eq!(plans, ["SEARCH tasks USING INDEX tasks:status,due (status=?)"]);
        }
    }

    #[test]
    fn a_later_page_begins_at_its_place_in_the_index() {
        let (conn, catalog) = database();
        let mark = |value: Value| Some((vec![value], crate::ids::RecordId::stored("a")));
        let index = "SEARCH tasks USING INDEX tasks:status,due";
        let day = Value::Text("2026-11-21".to_owned());

        let query = Query { after: mark(day.clone()), ..open_by_due(Direction::Ascending) };
        let expected =
            [format!("{index} (status=? AND due=? AND id>?)"), format!("{index} (status=? AND due>?)")];
        assert_eq!(plans(&conn, &catalog, &query), expected);

        let query = Query { after: mark(day), ..open_by_due(Direction::Descending) };
        let expected = [
            format!("{index} (status=? AND due=? AND id<?)"),
            format!("{index} (status=? AND due<?)"),
            format!("{index} (status=? AND due=?)"),
        ];
        assert_eq!(plans(&conn, &catalog, &query), expected);

        let query = Query { after: mark(Value::Null), ..open_by_due(Direction::Ascending) };
        let expected =
            [format!("{index} (status=? AND due=? AND id>?)"), format!("{index} (status=? AND due>?)")];
        assert_eq!(plans(&conn, &catalog, &query), expected);

        let by_id = Query {
            after: Some((vec![], crate::ids::RecordId::stored("a"))),
            ..Query::all("Task", Generation(1), 10)
        };
        assert_eq!(plans(&conn, &catalog, &by_id), ["SEARCH tasks USING PRIMARY KEY (id>?)"]);
    }

    #[test]
    fn newest_first_walks_an_index_and_nothing_is_sorted() {
        let (conn, catalog) = database();
        let index = "tasks:created_at";
        for direction in [Direction::Ascending, Direction::Descending] {
            let query =
                Query { sort: vec![(Column::CreatedAt, direction)], ..Query::all("Task", Generation(1), 10) };
            assert_eq!(plans(&conn, &catalog, &query), [format!("SCAN tasks USING INDEX {index}")]);
            let after = Some((vec![Value::Int(5)], crate::ids::RecordId::stored("a")));
            let sign = if direction == Direction::Ascending { '>' } else { '<' };
            let later = [
                format!("SEARCH tasks USING INDEX {index} (created_at=? AND id{sign}?)"),
                format!("SEARCH tasks USING INDEX {index} (created_at{sign}?)"),
            ];
            assert_eq!(plans(&conn, &catalog, &Query { after, ..query }), later);
        }
    }

    #[test]
    fn rules_of_owners_and_members_are_found_by_the_indexes_of_their_references() {
        let value = |text: &str| Term::Value(Value::Text(text.to_owned()));
        let owned = || Expr::Compare(Term::Record(OWNER), Comparison::Eq, value("ada"));
        let member = |count: usize| {
            let projects = (0..count).map(|number| value(&format!("p{number:04}")));
            Expr::OneOf(Term::Record(PROJECT), projects.collect())
        };
        let open = || Expr::Compare(Term::Record(STATUS), Comparison::Ne, value("gone"));
        let all = || Query::all("Task", Generation(1), 10);
        let after = || Some((vec![], crate::ids::RecordId::stored("a")));
        let filtered = |test: Test| Query { filter: vec![Condition::new(RANK, test)], ..all() };
        let by_owner = "SEARCH tasks USING INDEX tasks:owner (owner=?)";
        let by_project = "tasks:project (project=?)";
        let (or, sorted) = ("MULTI-INDEX OR; INDEX 1; ", "; USE TEMP B-TREE FOR ORDER BY");
        let of_two = format!(
            "{or}SEARCH tasks USING INDEX tasks:owner (owner=?); INDEX 2; SEARCH tasks USING INDEX {by_project}{sorted}"
        );
        for (rule, query, expected) in [
            (owned(), all(), by_owner.to_owned()),
            (owned(), Query { after: after(), ..all() }, by_owner.replace("=?)", "=? AND id>?)")),
            (Expr::All(vec![owned(), open()]), all(), by_owner.to_owned()),
            (owned(), filtered(Test::Gt(Value::Int(3))), by_owner.to_owned()),
            (member(1), all(), format!("SEARCH tasks USING INDEX {by_project}")),
            (member(3), all(), format!("SEARCH tasks USING COVERING INDEX {by_project}{sorted}")),
            (member(1_000), all(), format!("SEARCH tasks USING COVERING INDEX {by_project}{sorted}")),
            (Expr::Any(vec![member(3), owned()]), all(), of_two.clone()),
            (Expr::Any(vec![member(1_000), owned()]), filtered(Test::Null(false)), of_two),
        ] {
            let (conn, catalog) = database_under(rule);
            assert_eq!(plans(&conn, &catalog, &query), [expected]);
        }
    }

    #[test]
    fn a_rule_of_a_thousand_alternatives_is_no_deeper_than_sqlite_allows() {
        let is = |column, text: String| {
            Expr::Compare(Term::Record(column), Comparison::Eq, Term::Value(Value::Text(text)))
        };
        let each = (0..1_000).map(|number| {
            Expr::All(vec![is(PROJECT, format!("p{number}")), is(STATUS, format!("s{number}"))])
        });
        let (conn, catalog) = database_under(Expr::Any(each.collect()));
        let plans = plans(&conn, &catalog, &Query::all("Task", Generation(1), 10));
        assert!(plans[0].starts_with("MULTI-INDEX OR; INDEX 1; SEARCH tasks USING INDEX"), "{plans:?}");
    }

    #[test]
    fn a_prefix_is_a_range_of_the_index() {
        let (conn, catalog) = database();
        let filter = vec![Condition::new(STATUS, Test::Starts("op".to_owned()))];
        let plans = plans(
            &conn,
            &catalog,
            &Query {
                filter,
                sort: vec![(RANK, Direction::Ascending)],
                ..Query::all("Task", Generation(1), 10)
            },
        );
        assert!(
            plans[0].starts_with("SEARCH tasks USING INDEX tasks:status,due (status>? AND status<?)"),
            "{plans:?}"
        );
    }

    #[test]
    fn a_sort_in_memory_holds_ids_and_no_records() {
        let (conn, catalog) = database();
        let all = || Query::all("Task", Generation(1), 10);
        let open = |test: Test| vec![Condition::new(STATUS, test)];
        let values = || vec![Value::Text("a".to_owned()), Value::Text("b".to_owned())];
        let by = |sort: &[(Column, Direction)]| Query { sort: sort.to_vec(), ..all() };
        let (up, down) = (Direction::Ascending, Direction::Descending);
        for query in [
            by(&[(RANK, up)]),
            by(&[(STATUS, up), (DUE, down)]),
            by(&[(Column::UpdatedAt, down)]),
            Query { filter: open(Test::In(values())), ..by(&[(DUE, up)]) },
            Query { filter: open(Test::Starts("o".to_owned())), ..all() },
            Query { filter: open(Test::Eq(Value::Text("a".to_owned()))), ..all() },
            all(),
            by(&[(STATUS, up), (DUE, up)]),
            open_by_due(down),
        ] {
            let plans = plans(&conn, &catalog, &query);
            let sorts = plans.iter().any(|plan| plan.contains("TEMP B-TREE"));
            let listings = statements(&catalog, &query);
            let whole = listings.iter().any(|listing| !listing.sql.starts_with("SELECT \"id\" FROM"));
            assert!(!(sorts && whole), "{query:?}: {plans:?}");
        }
    }

    #[test]
    fn the_shape_depends_on_no_value() {
        let (_, catalog) = database();
        let shape = |texts: &[&str]| {
            let values = texts.iter().map(|text| Value::Text((*text).to_owned())).collect();
            let query = Query {
                filter: vec![Condition::new(STATUS, Test::In(values))],
                ..Query::all("Task", Generation(1), 10)
            };
            statements(&catalog, &query).remove(0).sql
        };
        assert_eq!(shape(&["a", "b", "' OR 1 --"]), shape(&["a", "b", "c", "d"]));
        assert!(!shape(&["' OR 1 --"]).contains("OR 1"));
    }
}
