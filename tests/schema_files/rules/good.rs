//! Correct rules, each with the tree that it means.

use tidewire::schema::{Column, Comparison, Expr, FieldIndex, RelatedSet, Term, UserTerm, Value};

use super::*;

fn record(field: usize) -> Term {
    Term::Record(Column::Field(FieldIndex(field)))
}

fn element(field: usize) -> Term {
    Term::Element(Column::Field(FieldIndex(field)))
}

fn text(text: &str) -> Term {
    Term::Value(Value::Text(text.to_owned()))
}

fn int(number: i64) -> Term {
    Term::Value(Value::Int(number))
}

fn user_id() -> Term {
    Term::User(UserTerm::Id)
}

fn claim(path: &[&str]) -> Term {
    Term::User(UserTerm::Claim(path.iter().map(|name| (*name).into()).collect()))
}

fn eq(left: Term, right: Term) -> Expr {
    Expr::Compare(left, Comparison::Eq, right)
}

fn compare(left: Term, comparison: Comparison, right: Term) -> Expr {
    Expr::Compare(left, comparison, right)
}

fn not(inner: Expr) -> Expr {
    Expr::Not(Box::new(inner))
}

fn null(term: Term) -> Expr {
    Expr::IsNull(term)
}

fn related(item: Term, column: Column) -> Expr {
    Expr::Related(item, RelatedSet { entity: "Membership".into(), column })
}

fn exists(condition: Expr) -> Expr {
    Expr::Exists("Membership".into(), "m".into(), Box::new(condition))
}

fn size(term: Term) -> Term {
    Term::Size(Box::new(term))
}

fn field(at: usize) -> Column {
    Column::Field(FieldIndex(at))
}

const UUID: &str = "0190a000-0000-7000-8000-00000000000a";

fn conditions() -> Vec<(&'static str, Expr)> {
    let person = || Term::User(UserTerm::Itself);
    let role = || Term::User(UserTerm::Role);
    vec![
        ("true", Expr::Constant(true)),
        ("false", Expr::Constant(false)),
        ("!true", not(Expr::Constant(true))),
        ("(((true)))", Expr::Constant(true)),
        ("  true // a comment", Expr::Constant(true)),
        ("owner == user.id", eq(record(OWNER), user_id())),
        ("user.id == owner", eq(user_id(), record(OWNER))),
        ("record.owner == user.id", eq(record(OWNER), user_id())),
        ("record.user == user.id", eq(record(USER), user_id())),
        ("owner == record.user", eq(record(OWNER), record(USER))),
        ("owner == 'Ada Ü.'", eq(record(OWNER), text("Ada Ü."))),
        ("user == null", null(person())),
        ("null == user", null(person())),
        ("user != null", not(null(person()))),
        ("has(user.id)", not(null(user_id()))),
        ("user.role == 'admin'", eq(role(), text("admin"))),
        ("user.role in ['admin', 'lead']", Expr::OneOf(role(), vec![text("admin"), text("lead")])),
        (
            "user.name != title",
            compare(Term::User(UserTerm::Field(FieldIndex(0))), Comparison::Ne, record(TITLE)),
        ),
        ("user.disabled", Expr::Holds(Term::User(UserTerm::Field(FieldIndex(2))))),
        ("user.team == title", eq(Term::User(UserTerm::Field(FieldIndex(3))), record(TITLE))),
        ("user.claims.admin", Expr::Holds(claim(&["admin"]))),
        ("user.claims.org.team == title", eq(claim(&["org", "team"]), record(TITLE))),
        ("user.claims.level >= 3", compare(claim(&["level"]), Comparison::Gte, int(3))),
        ("has(user.claims.team)", not(null(claim(&["team"])))),
        ("project in user.claims.projects", Expr::Member(record(PROJECT), claim(&["projects"]))),
        ("public", Expr::Holds(record(PUBLIC))),
        ("!public", not(Expr::Holds(record(PUBLIC)))),
        ("!!public", Expr::Holds(record(PUBLIC))),
        ("public == true", eq(record(PUBLIC), Term::Value(Value::Bool(true)))),
        ("status == 'open'", eq(record(STATUS), text("open"))),
        ("'open' == status", eq(text("open"), record(STATUS))),
        ("status != 'done'", compare(record(STATUS), Comparison::Ne, text("done"))),
        ("status in ['open', title]", Expr::OneOf(record(STATUS), vec![text("open"), record(TITLE)])),
        ("user.id in [owner, record.user]", Expr::OneOf(user_id(), vec![record(OWNER), record(USER)])),
        (
            "'ada' in [owner, title]",
            Expr::Any(vec![eq(text("ada"), record(OWNER)), eq(text("ada"), record(TITLE))]),
        ),
        ("'ada' in [owner]", eq(text("ada"), record(OWNER))),
        ("priority > -3", compare(record(PRIORITY), Comparison::Gt, int(-3))),
        ("priority < 1.5", compare(record(PRIORITY), Comparison::Lt, Term::Value(Value::Float(1.5)))),
        ("priority <= share", compare(record(PRIORITY), Comparison::Lte, record(SHARE))),
        ("priority == 0x10", eq(record(PRIORITY), int(16))),
        ("share == 9007199254740991", eq(record(SHARE), int(9_007_199_254_740_991))),
        ("share == -9007199254740991", eq(record(SHARE), int(-9_007_199_254_740_991))),
        ("version > 1", compare(Term::Record(Column::Version), Comparison::Gt, int(1))),
        ("id == '0190A000-0000-7000-8000-00000000000A'", eq(Term::Record(Column::Id), text(UUID))),
        ("key == '0190a00000007000800000000000000a'", eq(record(KEY), text(UUID))),
        ("project == '0190A000-0000-7000-8000-00000000000A'", eq(record(PROJECT), text(UUID))),
        ("key == project", eq(record(KEY), record(PROJECT))),
        ("due >= '2026-11-21'", compare(record(DUE), Comparison::Gte, text("2026-11-21"))),
        (
            "at < '2026-11-21T09:00:00+01:00'",
            compare(record(AT), Comparison::Lt, text("2026-11-21T08:00:00.000Z")),
        ),
        (
            "created_at > '1970-01-01T00:00:01.500Z'",
            compare(Term::Record(Column::CreatedAt), Comparison::Gt, int(1500)),
        ),
        (
            "'1969-12-31T23:59:59Z' != created_at",
            compare(int(-1000), Comparison::Ne, Term::Record(Column::CreatedAt)),
        ),
        ("version == priority", eq(Term::Record(Column::Version), record(PRIORITY))),
        ("due == null", null(record(DUE))),
        ("null != due", not(null(record(DUE)))),
        ("has(due)", not(null(record(DUE)))),
        ("!has(due)", not(not(null(record(DUE))))),
        ("tags == null", null(record(TAGS))),
        ("'a' in tags", Expr::Member(text("a"), record(TAGS))),
        ("3 in tags", Expr::Member(int(3), record(TAGS))),
        ("user.id in tags", Expr::Member(user_id(), record(TAGS))),
        ("size(tags) > 0", compare(size(record(TAGS)), Comparison::Gt, int(0))),
        ("tags.size() == size(title)", eq(size(record(TAGS)), size(record(TITLE)))),
        ("size(user.claims.teams) < 3", compare(size(claim(&["teams"])), Comparison::Lt, int(3))),
        ("title.startsWith('pub')", Expr::Starts(record(TITLE), text("pub"))),
        ("title.startsWith(user.role)", Expr::Starts(record(TITLE), role())),
        ("title.endsWith('lic')", Expr::Ends(record(TITLE), text("lic"))),
        ("!title.endsWith(user.role)", Expr::Not(Box::new(Expr::Ends(record(TITLE), role())))),
        ("'abc'.contains(title)", Expr::Contains(text("abc"), record(TITLE))),
        ("title == r'\\\\d'", eq(record(TITLE), text("\\d"))),
        ("title == '\\\\x41\\\\u00e9\\\\U0001F642\\\\101\\\\n'", eq(record(TITLE), text("Aé🙂A\n"))),
        ("title == '\\\\\\\\ \\\\' `'", eq(record(TITLE), text("\\ ' `"))),
        ("title == '''it\\\\'s'''", eq(record(TITLE), text("it's"))),
        ("priority > - 3", compare(record(PRIORITY), Comparison::Gt, int(-3))),
        ("share > -.5e1", compare(record(SHARE), Comparison::Gt, Term::Value(Value::Float(-5.0)))),
        ("!!!public", not(Expr::Holds(record(PUBLIC)))),
        ("user.role in ['admin', 'lead',]", Expr::OneOf(role(), vec![text("admin"), text("lead")])),
        ("title == 'é🙂'", eq(record(TITLE), text("é🙂"))),
        (
            "owner == user.id && status == 'open' && public",
            Expr::All(vec![
                eq(record(OWNER), user_id()),
                eq(record(STATUS), text("open")),
                Expr::Holds(record(PUBLIC)),
            ]),
        ),
        (
            "public || owner == user.id && !public || true",
            Expr::Any(vec![
                Expr::Holds(record(PUBLIC)),
                Expr::All(vec![eq(record(OWNER), user_id()), not(Expr::Holds(record(PUBLIC)))]),
                Expr::Constant(true),
            ]),
        ),
        ("!(public || user == null)", not(Expr::Any(vec![Expr::Holds(record(PUBLIC)), null(person())]))),
        ("project in user.memberships.project", related(record(PROJECT), field(1))),
        ("!(project in user.memberships.project)", not(related(record(PROJECT), field(1)))),
        ("'owner' in user.memberships.role", related(text("owner"), field(2))),
        ("key in user.memberships.id", related(record(KEY), Column::Id)),
        ("owner in user.memberships.user", related(record(OWNER), field(0))),
        (
            "user.memberships.exists(m, m.project == project && m.role in ['owner', 'editor'])",
            exists(Expr::All(vec![
                eq(element(1), record(PROJECT)),
                Expr::OneOf(element(2), vec![text("owner"), text("editor")]),
            ])),
        ),
        ("user.memberships.exists(m, true)", exists(Expr::Constant(true))),
        (
            "user.memberships.exists(x, 'a' in x.notes && has(x.project) && x.created_at > '1970-01-01T00:00:00Z')",
            exists(Expr::All(vec![
                Expr::Member(text("a"), element(3)),
                not(null(element(1))),
                compare(Term::Element(Column::CreatedAt), Comparison::Gt, int(0)),
            ])),
        ),
        (
            "user.memberships.exists(m, m.project in user.memberships.project)",
            exists(related(element(1), field(1))),
        ),
        (
            "user.tasks.exists(t, t.owner == owner)",
            Expr::Exists("Task".into(), "m".into(), Box::new(eq(element(OWNER), record(OWNER)))),
        ),
    ]
}

#[test]
fn a_rule_means_the_tree_that_is_written_by_hand() {
    for (rule, expected) in conditions() {
        for operation in ["read", "create", "update", "delete"] {
            assert_eq!(meaning(operation, rule), expected, "{operation}: {rule}");
        }
    }
}

#[test]
fn an_update_rule_knows_the_change() {
    let change = |at: usize| Term::Change(FieldIndex(at));
    for (rule, expected) in [
        ("change.owner == owner", eq(change(OWNER), record(OWNER))),
        ("has(change.owner)", Expr::Named(FieldIndex(OWNER))),
        ("!has(change.user)", not(Expr::Named(FieldIndex(USER)))),
        ("change.due == null", null(change(DUE))),
        ("change.public", Expr::Holds(change(PUBLIC))),
        ("change.status in ['open']", Expr::OneOf(change(STATUS), vec![text("open")])),
        ("change.project in user.memberships.project", related(change(PROJECT), field(1))),
        ("'a' in change.tags", Expr::Member(text("a"), change(TAGS))),
        ("user.memberships.exists(m, m.project == change.project)", exists(eq(element(1), change(PROJECT)))),
    ] {
        assert_eq!(meaning("update", rule), expected, "{rule}");
    }
}
