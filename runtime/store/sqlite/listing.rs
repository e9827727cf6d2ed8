//! A list, a count or a selection as SQLite's statements: where the reading begins, and what bounds it.
//!
//! What is asked comes from `store/sql`, the same for every dialect. Does not know connections, and of who asks no more than
//! what they ask for in the end: rule and filter in one.

use super::dialect::SqliteDialect;
use super::scan_limit;
use super::tables::Table;
use crate::schema::{Entity, Value};
use crate::store::reading::advice::in_order;
use crate::store::reading::snapshot::{CountAsked, ListAsked, Selection};
use crate::store::sql::{Statement, Stretch, order, stretches};
use crate::store::{Column, Condition, Test};

/// The first look at the newest records goes past so many for each that is asked for.
const LOOK: u64 = 20;

/// Where a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Where SQLite thinks best, which does not know how many rows there are.
    Planned,
    /// At the end of the index over `created_at`, where a page is near for everybody who sees many of the records.
    Newest,
}

/// A way in which to try a list, and the rows that it may step over.
pub(super) struct BoundedWay {
    way: Way,
    most: u64,
}

/// The ways in which to try a list, one after the other until one is not stopped.
/// In order of creation only a look shows whether the conditions leave many rows, so that the index over `created_at` leads to
/// a page soon, or few, so that those are found by other indexes and sorted.
pub(super) fn attempts(entity: &Entity, list: &ListAsked<'_>) -> Vec<BoundedWay> {
    let ListAsked { query, asked, scan_rows } = *list;
    let by_creation = query.sort.first().is_some_and(|by| by.column == Column::CreatedAt)
        && query.sort[1..].iter().all(|by| by.column == Column::Id);
    let straight = query.sort.iter().all(|by| by.direction == query.sort[0].direction);
    if !by_creation || !straight || !query.search.is_empty() || in_order(entity, query, asked) {
        return vec![BoundedWay { way: Way::Planned, most: scan_rows }];
    }
    let look = (query.limit as u64).saturating_mul(LOOK).min(scan_rows);
    [(Way::Newest, look), (Way::Planned, scan_rows), (Way::Newest, scan_rows)]
        .map(|(way, most)| BoundedWay { way, most })
        .into()
}

/// The statements of a list. Each yields `Table::columns`, or where rows must be sorted first the id alone, and takes the rows that are
/// still wanted as its last value, which the caller adds. All rows of one come before all rows of the next.
pub(super) fn list<'a>(table: &'a Table, list: &ListAsked<'_>, attempt: &BoundedWay) -> Vec<Statement<'a>> {
    let ListAsked { query, asked, .. } = list;
    let order = order(query);
    let in_order = attempt.way == Way::Newest || in_order(&table.entity, query, asked);
    let columns = if in_order { &table.columns } else { r#""id""# };
    let source = match attempt.way {
        Way::Planned => table.name.clone(),
        Way::Newest => format!("{} INDEXED BY {}", table.name, table.newest),
    };
    let statement = |stretch: Stretch| {
        let mut statement =
            start(table, &FromClause { columns, source: &source, search: &query.search }, attempt.most);
        statement.and_predicate(asked.predicate);
        stretch.conditions.iter().for_each(|condition| statement.and_condition(condition));
        statement.order_by(&order[stretch.fixed..]);
        statement.sql += &format!(" LIMIT ?{}", statement.values.len() + 1);
        statement
    };
    stretches(query, &order).into_iter().map(statement).collect()
}

/// One row with the number of records; with a group one row for each value and its number, and at most one row too many.
pub(super) fn count<'a>(table: &'a Table, counting: &CountAsked<'_>) -> Statement<'a> {
    let CountAsked { count, asked, scan_rows } = counting;
    let columns = Statement::over(&SqliteDialect, &table.entity).counted(count.group);
    let from = FromClause { columns: &columns, source: &table.name, search: &count.search };
    let mut statement = start(table, &from, *scan_rows);
    statement.and_predicate(asked.predicate);
    if let Some(group) = count.group {
        statement.group_by(group);
    }
    statement
}

/// Yields `Table::columns`, in any order.
pub(super) fn select<'a>(table: &'a Table, selection: &Selection<'_>) -> Statement<'a> {
    let from = FromClause { columns: &table.columns, source: &table.name, search: &[] };
    let mut statement = start(table, &from, selection.scan_rows);
    if let Some(id) = selection.id {
        let id = Value::Text(id.as_str().to_owned());
        statement.and_condition(&Condition::new(Column::Id, Test::Eq(id)));
    }
    statement.and_predicate(selection.wanted);
    statement.and_apart(selection.apart);
    statement.limit(selection.most);
    statement
}

/// What a statement reads.
struct FromClause<'a> {
    columns: &'a str,
    source: &'a str,
    search: &'a [String],
}

/// Up to the first condition. `scanned` counts every row that is stepped over and comes first, since SQLite judges
/// conditions in the order in which they are written. A search is always where the reading begins: SQLite cannot
/// know how few records hold a word.
fn start<'a>(table: &'a Table, from: &FromClause<'_>, scan_rows: u64) -> Statement<'a> {
    let FromClause { columns, source, search } = from;
    let mut statement = Statement::over(&SqliteDialect, &table.entity);
    statement.sql = format!("SELECT {columns} FROM ");
    let rows = statement.bind(Value::Int(i64::try_from(scan_rows).unwrap_or(i64::MAX)));
    let run = statement.bind(Value::Int(scan_limit::run()));
    match table.search.as_ref().filter(|_| !search.is_empty()) {
        None => statement.sql += &format!("{source} WHERE scanned({rows}, {run})"),
        Some(found) => {
            let words = statement.bind(Value::Text(found.expression(search)));
            statement.sql += &format!(
                r#"({} MATCH {words} AND scanned({rows}, {run})) CROSS JOIN {} WHERE "id" = "_record""#,
                found.select, table.name
            );
        }
    }
    statement
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, StatementStatus, params_from_iter};

    use super::*;
    use crate::ids::RecordId;
    use crate::rules::{Principal, ReadScope};
    use crate::schema::{Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Generation};
    use crate::schema::{OnDelete, Record, Rule, Schema, Term};
    use crate::store::Query;
    use crate::store::reading::asked::Asked;
    use crate::store::reading::snapshot::{RecordSink, Snapshot};
    use crate::store::sqlite::open::plan_by_text;
    use crate::store::sqlite::rows::Sql;
    use crate::store::sqlite::source::{SqliteSource, ready};
    use crate::store::sqlite::tables::{Catalog, create_table, indexes};
    use crate::store::{Direction, ListCursor, SortBy};

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
        plan_by_text(&conn).unwrap();
        scan_limit::prepare(&conn).unwrap();
        let task = schema.entity("Task").unwrap();
        conn.execute_batch(&create_table(task)).unwrap();
        indexes(task).iter().for_each(|index| conn.execute_batch(&index.create).unwrap());
        let catalog = Catalog::of(&schema);
        (conn, catalog)
    }

    /// As any user asks.
    fn statements<'a>(catalog: &'a Catalog, query: &Query) -> Vec<Statement<'a>> {
        let table = catalog.table("Task").unwrap();
        let read_scope = ReadScope::bind(&table.entity, Generation(1), &Principal::nobody()).unwrap();
        let read_scope = read_scope.through(query.filter.clone());
        let asked = Asked::of(&read_scope, &query.filter);
        let attempt = BoundedWay { way: Way::Planned, most: 100 };
        list(table, &ListAsked { query, asked: &asked, scan_rows: 100 }, &attempt)
    }

    /// How SQLite means to run each statement of a list.
    fn plans(conn: &Connection, catalog: &Catalog, query: &Query) -> Vec<String> {
        let listings = statements(catalog, query);
        let plan = |mut listing: Statement<'_>| {
            listing.values.push(Value::Int(10));
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", listing.sql)).unwrap();
            let values = params_from_iter(listing.values.iter().map(Sql));
            let steps = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
            steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        listings.into_iter().map(plan).collect()
    }

    /// Counts what a list yields.
    #[derive(Default)]
    struct CountedRows(usize);

    impl RecordSink for CountedRows {
        fn begin(&mut self) {
            self.0 = 0;
        }

        fn has_room(&mut self) -> bool {
            true
        }

        fn add(&mut self, _: Record) {
            self.0 += 1;
        }
    }

    /// To compile a statement takes longer than to run it for a page.
    #[test]
    fn the_statements_of_a_page_are_compiled_once_whatever_is_asked_with_them() {
        let (conn, catalog) = database();
        conn.set_prepared_statement_cache_capacity(16);
        let of = catalog.relations.get("Task").unwrap();
        let newest = vec![SortBy { column: Column::CreatedAt, direction: Direction::Descending }];
        let pages = |status: &str, limit| {
            let open = Condition::new(STATUS, Test::Eq(Value::Text(status.to_owned())));
            let after = Some(ListCursor { values: vec![], id: RecordId::stored(status) });
            let all = || Query::all("Task", Generation(1), limit);
            [
                all(),
                Query { after, ..all() },
                Query { sort: newest.clone(), ..all() },
                Query {
                    filter: vec![open],
                    sort: vec![SortBy { column: DUE, direction: Direction::Ascending }],
                    ..all()
                },
            ]
        };
        for (status, limit) in [("open", 10), ("done", 20), ("waiting", 5)] {
            for query in pages(status, limit) {
                let table = catalog.table("Task").unwrap();
                let read_scope = ReadScope::bind(&table.entity, Generation(1), &Principal::nobody()).unwrap();
                let read_scope = read_scope.through(query.filter.clone());
                let asked = Asked::of(&read_scope, &query.filter);
                let list = ListAsked { query: &query, asked: &asked, scan_rows: 100 };
                let mut rows = CountedRows::default();
                ready(SqliteSource::reading(&conn, &catalog).list(of, &list, &mut rows)).unwrap();
                assert_eq!(rows.0, 0, "the table is empty");
            }
        }
        for sql in pages("open", 1).iter().flat_map(|query| statements(&catalog, query)).map(|one| one.sql) {
            let statement = conn.prepare_cached(&sql).unwrap();
            assert!(statement.get_status(StatementStatus::Run) >= 3, "not kept: {sql}");
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "compiled again: {sql}");
        }
    }

    fn open_by_due(direction: Direction) -> Query {
        let open = Condition::new(STATUS, Test::Eq(Value::Text("open".to_owned())));
        Query {
            filter: vec![open],
            sort: vec![SortBy { column: DUE, direction }],
            ..Query::all("Task", Generation(1), 10)
        }
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
        let mark = |value: Value| Some(ListCursor { values: vec![value], id: RecordId::stored("a") });
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
            after: Some(ListCursor { values: vec![], id: RecordId::stored("a") }),
            ..Query::all("Task", Generation(1), 10)
        };
        assert_eq!(plans(&conn, &catalog, &by_id), ["SEARCH tasks USING PRIMARY KEY (id>?)"]);
    }

    #[test]
    fn newest_first_walks_an_index_and_nothing_is_sorted() {
        let (conn, catalog) = database();
        let index = "tasks:created_at";
        for direction in [Direction::Ascending, Direction::Descending] {
            let query = Query {
                sort: vec![SortBy { column: Column::CreatedAt, direction }],
                ..Query::all("Task", Generation(1), 10)
            };
            assert_eq!(plans(&conn, &catalog, &query), [format!("SCAN tasks USING INDEX {index}")]);
            let after = Some(ListCursor { values: vec![Value::Int(5)], id: RecordId::stored("a") });
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
        let after = || Some(ListCursor { values: vec![], id: RecordId::stored("a") });
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
                sort: vec![SortBy { column: RANK, direction: Direction::Ascending }],
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
        let by = |sort: &[(Column, Direction)]| Query {
            sort: sort.iter().map(|&(column, direction)| SortBy { column, direction }).collect(),
            ..all()
        };
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
