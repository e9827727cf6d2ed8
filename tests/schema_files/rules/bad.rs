//! One table of wrong rules of `Task`, each with its code, the column of the caret in the rule, and words of its error.

use super::*;

/// Operation, rule, code, column in the rule from 1, words of message or help.
const BAD: &[(&str, &str, &str, u64, &str)] = &[
    // No expression.
    ("read", "owner ==", "E0171", 9, "a value is missing before the end"),
    ("read", "== owner", "E0171", 1, "a value is missing before `==`"),
    ("read", "owner = user.id", "E0171", 7, "write `==`"),
    ("read", "owner == user.id)", "E0171", 17, "the rule ends before `)`"),
    ("read", "(owner == user.id", "E0171", 18, "`)` is missing before the end"),
    ("read", "status in ['open'", "E0171", 18, "`]` is missing before the end"),
    ("read", "owner user.id", "E0171", 7, "the rule ends before `user`"),
    ("read", "public & public", "E0171", 8, "&&"),
    // As other languages have it.
    ("read", "public and public", "E0171", 8, "rules have no `and`: write `&&`"),
    ("read", "public AND public", "E0171", 8, "rules have no `AND`: write `&&`"),
    ("read", "owner == user.id or public", "E0171", 18, "rules have no `or`: write `||`"),
    ("read", "has(due) or public", "E0171", 10, "write `||`"),
    ("read", "not public", "E0171", 1, "rules have no `not`: write `!(…)`"),
    ("read", "public && not (title == 'a')", "E0171", 11, "write `!(…)`"),
    ("read", "status not in ['open']", "E0171", 8, "write `!(x in list)`"),
    ("read", "owner is null", "E0171", 7, "write `==`"),
    ("read", "title matches 'x'", "E0171", 7, "rules have no `matches`: write `text.startsWith('a')`"),
    ("read", "title LIKE 'x%'", "E0171", 7, "text.contains('a')"),
    ("read", "title contains 'x'", "E0171", 7, "write `text.contains('a')`"),
    ("read", "title startsWith 'x'", "E0171", 7, "write `text.startsWith('a')`"),
    ("read", "status <> 'open'", "E0171", 8, "rules have no `<>`: write `!=`"),
    ("read", "status === 'open'", "E0171", 10, "there is no `===`: write `==`"),
    ("read", "status !== 'open'", "E0171", 10, "there is no `!==`: write `!=`"),
    ("read", "user.role = 'admin'", "E0171", 11, "write `==`"),
    ("read", "public == True", "E0172", 11, "write `true`"),
    ("read", "False", "E0172", 1, "write `false`"),
    ("read", "owner != None", "E0172", 10, "write `null`"),
    ("read", "owner == nil", "E0172", 10, "write `null`"),
    ("read", "owner == undefined", "E0172", 10, "write `null`"),
    ("read", "due == NULL", "E0172", 8, "write `null`"),
    ("read", "user != NULL", "E0172", 9, "write `null`"),
    ("read", "user.role == admin", "E0172", 14, "if it is a text, write it in quotes: 'admin'; there are"),
    ("read", "status == open", "E0172", 11, "write it in quotes: 'open'"),
    ("read", "user.role in [admin, 'boss']", "E0172", 15, "write it in quotes: 'admin'"),
    ("read", "user.role == titel", "E0172", 14, "did you mean `title`?"),
    ("read", "title.contains(abc)", "E0172", 16, "write it in quotes: 'abc'"),
    ("read", "tags.length > 3", "E0172", 6, "write `size(x)`"),
    ("read", "title.length > 3", "E0172", 7, "write `size(x)`"),
    ("read", "user.role.length > 3", "E0172", 11, "write `size(x)`"),
    ("read", "title.length() > 3", "E0174", 7, "write `size(x)`"),
    ("read", "len(title) > 3", "E0174", 1, "write `size(x)`"),
    ("read", "title == 'abc", "E0171", 10, "the closing quote of this text is missing"),
    ("read", "title == \"\"\"abc", "E0171", 10, "the closing quote"),
    ("read", "title == r'abc\\\\", "E0171", 10, "the closing quote"),
    ("read", "title == '\\\\u12'", "E0171", 10, "an escape that CEL does not have"),
    ("read", "title == '\\\\ud800'", "E0171", 10, "an escape that CEL does not have"),
    ("read", "public | public", "E0171", 8, "write `||`"),
    ("read", "priority == 3x", "E0171", 13, "`3x` is not a number"),
    ("read", "priority == 0x", "E0171", 13, "`0x` is not a number"),
    ("read", "share == 1e", "E0171", 10, "`1e` is not a number"),
    ("read", "size(tags,)", "E0171", 11, "a value is missing before `)`"),
    ("read", "public == .title", "E0171", 11, "a value is missing before `.`"),
    ("read", "title == in", "E0171", 10, "a value is missing before `in`"),
    ("read", "title == #", "E0171", 10, "`#` is not possible here"),
    ("read", "title == é", "E0171", 10, "`é` is not possible here"),
    ("read", "'é🙂' == title && ß", "E0171", 18, "`ß` is not possible here"),
    ("read", "user.", "E0171", 6, "a name is missing before the end"),
    ("read", "package == 'a'", "E0171", 1, "record.package"),
    ("read", "title == '\\\\q'", "E0171", 10, "has an escape that CEL does not have"),
    ("read", "priority == 99999999999999999999", "E0171", 13, "is out of range"),
    ("read", "/* all */ true", "E0171", 1, "a value is missing"),
    // Names.
    ("read", "ownr == user.id", "E0172", 1, "did you mean `owner`?"),
    ("read", "'é🙂' == title && ownr == user.id", "E0172", 18, "did you mean `owner`?"),
    ("read", "usr.id == owner", "E0172", 1, "did you mean `user`?"),
    ("read", "nothing_like_it", "E0172", 1, "there are: `title`, `owner`"),
    ("read", "owner == user.ident", "E0172", 15, "`user` has no `ident`"),
    ("read", "user.rol == 'a'", "E0172", 6, "did you mean `role`?"),
    ("read", "user.version == 1", "E0172", 6, "`user` has no `version`"),
    ("read", "project in user.membership.project", "E0172", 17, "did you mean `memberships`?"),
    ("read", "project in user.memberships.projct", "E0172", 29, "did you mean `project`?"),
    ("read", "user.claims == 'a'", "E0172", 1, "name a claim"),
    ("read", "record == user.id", "E0172", 1, "name one of its fields"),
    ("read", "record.ownr == user.id", "E0172", 8, "did you mean `owner`?"),
    ("read", "project.name == 'a'", "E0200", 9, "from = \\\"project.name\\\""),
    ("read", "tags.a == 'a'", "E0172", 6, "the parts of a json field"),
    ("read", "title.a == 'a'", "E0172", 7, "`title` has no parts"),
    ("read", "user.role.a == 'a'", "E0172", 11, "`role` has no `a`"),
    ("read", "user.users.exists(u, u.role == 'a')", "E0172", 6, "the user's own `User` record is `user`"),
    ("read", "user.memberships.exists(m, m.rol == 'owner')", "E0172", 30, "did you mean `role`?"),
    ("read", "user.memberships.exists(m, m == project)", "E0172", 28, "name one of its fields"),
    ("read", "user.memberships.exists(title, title.role == 'owner')", "E0172", 25, "has a meaning already"),
    ("read", "user.memberships.exists(m, n.role == 'owner')", "E0172", 28, "`Task` has no field `n`"),
    ("update", "change == null", "E0172", 1, "name one field"),
    ("update", "change.version == 2", "E0172", 8, "no request changes `version`"),
    ("update", "change.ownr == owner", "E0172", 8, "did you mean `owner`?"),
    ("update", "change.tags.a == 'a'", "E0172", 13, "`tags` has no `a`"),
    // What only write rules may ask, in a read rule.
    ("read", "due > now", "E0200", 7, "rights change only with a write"),
    ("read", "at < now || public", "E0200", 6, "a read rule has no `now`"),
    (
        "read",
        "exists(Membership, m, m.project == project)",
        "E0200",
        1,
        "write `user.memberships.exists(m, …)`",
    ),
    ("read", "public || exists(Project, p, p.id == project)", "E0200", 11, "in a lookup field"),
    ("read", "record.project.name == 'a'", "E0200", 16, "from = \\\"project.name\\\""),
    // References in write rules.
    ("create", "project.nam == 'a'", "E0172", 9, "did you mean `name`?"),
    ("create", "title.a == 'a'", "E0172", 7, "`title` has no parts"),
    ("create", "project.name.a == 'a'", "E0172", 14, "`name` has no `a`"),
    ("create", "tags.a == 'a'", "E0172", 6, "the parts of a json field"),
    ("create", "projekt.name == 'a'", "E0172", 1, "did you mean `project`?"),
    ("create", "id.name == 'a'", "E0172", 4, "`id` has no `name`"),
    ("create", "project.name == 3", "E0173", 17, "a number does not fit a text"),
    ("create", "project.id == owner", "E0173", 1, "the id of a Project is never equal to the id of a User"),
    ("create", "project.name", "E0173", 1, "a text is not a condition"),
    ("update", "change.project.nam == 'a'", "E0172", 16, "did you mean `name`?"),
    ("update", "change.title.a == 'a'", "E0172", 14, "`title` has no `a`"),
    ("update", "project.name > change.due", "E0173", 1, "a text is never equal to a date"),
    ("delete", "change.project.name == 'a'", "E0176", 1, "`change` is only possible"),
    // The time.
    ("create", "title > now", "E0173", 1, "a text is never equal to the time of a write"),
    ("create", "now == null", "E0173", 1, "`now` is never null"),
    ("create", "now", "E0173", 1, "the time of a write is not a condition"),
    ("create", "now == now", "E0173", 1, "compared with itself"),
    ("create", "now in [at]", "E0173", 1, "compare `now` with `<` and `>`"),
    ("create", "at > now()", "E0174", 6, "write `now` without brackets"),
    ("create", "now > 'monday'", "E0173", 7, "is not a datetime"),
    ("create", "now > 5", "E0173", 7, "does not fit the time of a write"),
    ("create", "size(now) > 5", "E0173", 6, "has no size"),
    ("create", "now in tags", "E0173", 1, "cannot be an element of a list"),
    ("create", "has(now)", "E0173", 5, "`now` is never null"),
    ("create", "now.year == 2026", "E0172", 1, "has no field `now`"),
    // `exists` over an entity.
    ("create", "exists(Membership, m)", "E0174", 1, "is written in another way"),
    ("create", "exists(m.project == project)", "E0174", 1, "write `exists(Membership, m,"),
    ("create", "exists('Membership', m, m.project == project)", "E0174", 1, "write `exists(Membership, m,"),
    ("create", "exists(Membershp, m, m.project == project)", "E0172", 8, "did you mean `Membership`?"),
    ("create", "exists(Membership, title, title.project == project)", "E0172", 20, "has a meaning already"),
    ("create", "exists(Membership, now, now.project == project)", "E0172", 20, "has a meaning already"),
    ("create", "exists(Membership, m, m.projct == project)", "E0172", 25, "did you mean `project`?"),
    ("create", "exists(Membership, m, m == project)", "E0172", 23, "name one of its fields"),
    ("create", "exists(Membership, m, m.role == 'boss')", "E0173", 33, "the values are"),
    (
        "create",
        "exists(Membership, m, m.role != 'owner')",
        "E0201",
        1,
        "would look through all records of `Membership`",
    ),
    ("create", "exists(Membership, m, true)", "E0201", 1, "`m.id == id`"),
    (
        "create",
        "exists(Membership, m, m.role == 'owner')",
        "E0201",
        1,
        "[[index]] with fields = [\\\"role\\\"]",
    ),
    ("create", "exists(Membership, m, m.project == project || m.role == 'owner')", "E0201", 1, "no equality"),
    ("create", "exists(Membership, m, !(m.project == project))", "E0201", 1, "join with `&&` an equality"),
    (
        "create",
        "exists(Membership, m, m.project != project)",
        "E0201",
        1,
        "has indexes for `id`, `user` and `project`",
    ),
    ("create", "exists(Membership, m, m.id == m.project)", "E0173", 23, "is never equal"),
    ("create", "exists(Project, p, p.name == title)", "E0201", 1, "add to the file of Project"),
    (
        "create",
        "exists(Membership, m, m.project == project && exists(Project, p, p.id == m.project))",
        "E0174",
        47,
        "follow a reference",
    ),
    ("create", "exists(Membership, m, m.project == project) == true", "E0174", 1, "a condition is compared"),
    ("create", "title.exists(m, m == 'a')", "E0174", 1, "`exists(Membership, m, …)`"),
    // Types.
    ("read", "status == 'opne'", "E0173", 11, "did you mean `open`?"),
    ("read", "status in ['open', 'dnoe']", "E0173", 20, "did you mean `done`?"),
    ("read", "status == 3", "E0173", 11, "a number does not fit an enum"),
    ("read", "status > 'open'", "E0173", 1, "an enum has no order"),
    ("read", "owner < user.id", "E0173", 1, "the id of a User has no order"),
    ("read", "public > false", "E0173", 1, "has no order"),
    ("read", "title", "E0173", 1, "a text is not a condition"),
    ("read", "user", "E0173", 1, "write `user != null`"),
    ("read", "'abc'", "E0173", 1, "a constant is not a condition"),
    ("read", "1", "E0173", 1, "a constant is not a condition"),
    ("read", "size(tags)", "E0173", 1, "size(x) > 0"),
    ("read", "priority == '3'", "E0173", 13, "write it without quotes"),
    ("read", "priority == 9007199254740992", "E0173", 13, "integers lie within"),
    ("read", "share == 1e999", "E0171", 10, "is out of range"),
    ("read", "title == 3", "E0173", 10, "a number does not fit a text"),
    ("read", "due == '2026-02-30'", "E0173", 8, "write it as '2026-11-21'"),
    ("read", "due < '2026-11-21T08:00:00Z'", "E0173", 7, "is not a date"),
    ("read", "at > '2026-11-21'", "E0173", 6, "a time and an offset"),
    ("read", "created_at > 5", "E0173", 14, "does not fit the time of a write"),
    ("read", "created_at > 'monday'", "E0173", 14, "is not a datetime"),
    ("read", "created_at == at", "E0173", 1, "the time of a write is never equal to a datetime"),
    ("read", "due == at", "E0173", 1, "a date is never equal to a datetime"),
    ("read", "project == 'a'", "E0173", 12, "is not an id of Project"),
    ("read", "key == 'a'", "E0173", 8, "is not a uuid"),
    ("read", "owner == ''", "E0173", 10, "is not an id of User"),
    ("read", "owner == project", "E0173", 1, "the id of a User is never equal to the id of a Project"),
    ("read", "id == owner", "E0173", 1, "the id of a Task is never equal"),
    ("read", "tags == 'a'", "E0173", 9, "x in field"),
    ("read", "tags == tags", "E0173", 1, "a json value cannot be compared"),
    ("read", "tags in [title]", "E0173", 1, "a json value cannot be compared"),
    ("read", "user == owner", "E0173", 1, "compare `user.id`"),
    ("read", "1 == 1", "E0173", 1, "constants are compared"),
    ("read", "null == null", "E0173", 1, "constants are compared"),
    ("read", "due > null", "E0173", 1, "`null` has no order"),
    ("read", "due in [null]", "E0173", 9, "is in no list"),
    ("read", "null in tags", "E0173", 1, "is in no list"),
    ("read", "status in []", "E0173", 11, "nothing is in an empty list"),
    ("read", "'a' in title", "E0173", 8, "text.contains('a')"),
    ("read", "'a' in 'abc'", "E0173", 8, "a constant is not a list"),
    ("read", "title == ['a']", "E0173", 10, "a list is only possible after `in`"),
    ("read", "project in user.memberships", "E0173", 12, "… in user.memberships.id"),
    ("read", "project == user.memberships.project", "E0173", 12, "a set of values"),
    ("read", "owner in user.memberships.project", "E0173", 1, "is never equal to the id of a Project"),
    ("read", "'boss' in user.memberships.role", "E0173", 1, "the values are: `owner` and `editor`"),
    ("read", "'a' in user.memberships.notes", "E0173", 8, "a json value cannot be compared"),
    ("read", "user.memberships", "E0173", 1, "a set of values"),
    ("read", "priority.startsWith('a')", "E0173", 1, "a number is not a text"),
    ("read", "title.startsWith(3)", "E0173", 18, "a number does not fit a text"),
    ("read", "size(priority) > 1", "E0173", 6, "a number has no size"),
    ("read", "size(title) == null", "E0173", 1, "is never null"),
    ("read", "size('abc') == 3", "E0173", 6, "constants are compared"),
    ("read", "has('a')", "E0173", 5, "`has` asks for a field or a claim"),
    ("read", "title == '\\\\u0000'", "E0173", 10, "U+0000"),
    // Left out of CEL.
    ("read", "priority + 1 > 3", "E0174", 1, "rules have no arithmetic"),
    ("read", "priority == -priority", "E0174", 13, "rules have no arithmetic"),
    ("read", "public ? true : false", "E0174", 1, "(a && b) || (!a && c)"),
    ("read", "tags[0] == 'a'", "E0174", 1, "x in list"),
    ("read", "{'a': 1} == tags", "E0174", 1, "rules have no maps"),
    ("read", "A{b: 1} == tags", "E0174", 1, "rules have no structures"),
    ("read", "title == b'a'", "E0174", 10, "rules have no bytes"),
    ("read", "priority == 3u", "E0174", 13, "rules have no unsigned numbers"),
    ("read", "title.matches('a')", "E0174", 7, "text.contains('a')"),
    ("read", "title.endswith('a')", "E0174", 7, "did you mean `endsWith`?"),
    ("read", "title.endsWith('a', 'b')", "E0174", 7, "write `text.endsWith('a')`"),
    ("read", "title.endsWith(3)", "E0173", 16, "a number does not fit a text"),
    ("read", "priority.endsWith('a')", "E0173", 1, "a number is not a text"),
    ("read", "title endsWith 'x'", "E0171", 7, "write `text.endsWith('a')`"),
    ("read", "title.startswith('a')", "E0174", 7, "did you mean `startsWith`?"),
    ("read", "created_at < now()", "E0174", 14, "write `now` without brackets"),
    ("read", "created_at < timestamp('2026-11-21T08:00:00Z')", "E0174", 14, "compare with a text"),
    ("read", "string(priority) == '3'", "E0174", 1, "values are not converted"),
    ("read", "tags.all(t, t == 'a')", "E0174", 6, "for an element of a json list write `x in list`"),
    ("read", "tags.map(t, t) == tags", "E0174", 6, "for an element of a json list write `x in list`"),
    ("read", "tags.exists(t, t == 'a')", "E0174", 1, "x in list"),
    ("read", "_as(title)", "E0174", 1, "rules have no `_as(…)`"),
    ("read", "title.startsWith('a', 'b')", "E0174", 7, "write `text.startsWith('a')`"),
    ("read", "has(title, due)", "E0174", 1, "write `has(x)`"),
    ("read", "(owner == user.id) == true", "E0174", 2, "a condition is compared"),
    ("read", "public == !public", "E0174", 11, "a condition is compared"),
    (
        "read",
        "user.memberships.exists(m, user.tasks.exists(t, t.project == m.project))",
        "E0174",
        39,
        "inside another",
    ),
    ("read", "user.memberships.exists(m, project == project)", "E0173", 28, "compared with itself"),
    ("read", "updated_at > created_at", "E0174", 1, "cannot use `updated_at`"),
    ("read", "user.memberships.exists(m, m.version > 1)", "E0174", 30, "cannot be used"),
    ("read", "user.memberships.exists(m, m.updated_at == created_at)", "E0174", 30, "cannot be used"),
    ("read", "priority in user.memberships.version", "E0174", 30, "cannot be used"),
    ("read", "user.memberships.exists(m)", "E0174", 18, "write `user.memberships.exists(m, "),
    // Records of a person, changes.
    ("read", "project in user.projects.id", "E0175", 17, "`Project` has no ref to `User`"),
    ("read", "user.reviews.exists(r, true)", "E0175", 6, "`author` and `reader`"),
    ("read", "change.owner == user.id", "E0176", 1, "elsewhere the stored one"),
    (
        "create",
        "title == 'a' && change.owner == user.id",
        "E0176",
        17,
        "in `create` it is the proposed value",
    ),
    ("delete", "has(change.owner)", "E0176", 5, "only possible in the rule `update`"),
];

#[test]
fn every_wrong_rule_is_reported_with_code_column_and_text() {
    assert!(BAD.len() >= 60);
    let mut wrong = Vec::new();
    for (operation, rule, code, column, words) in BAD {
        // The rule begins after `read = "`.
        let before = operation.len() as u64 + 4;
        let told = check(&files(operation, rule)).expect_err(rule);
        let json = told.to_json();
        let errors = json.as_array().unwrap();
        let [error] = errors.as_slice() else {
            wrong.push(format!("{rule}: not one error: {told}"));
            continue;
        };
        let expected = before + column;
        let line = TASK.lines().count() as u64 + 2;
        let place = (error["line"].as_u64(), error["column"].as_u64());
        let said = format!("{json} {told}");
        if error["code"] != *code || place != (Some(line), Some(expected)) || !said.contains(words) {
            wrong.push(format!("{rule}: {place:?}, not {line}:{expected}, {words:?}\n{told}"));
        }
        assert_ne!(error["help"], "", "an error says what to do: {rule}");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), BAD.len(), wrong.join("\n"));
}

#[test]
fn every_error_of_every_rule_of_every_file_comes_at_once() {
    let task = format!(
        "{TASK}[access]\nread = \"ownr == user.id && statu == 'open' && public\"\nupdate = \"1 +\"\n"
    );
    let mut sources = with_task(&task);
    sources[0].text += "[access]\nread = \"user.memberships.exists(m, m.rol == 'a' || m.role == 'boss')\"\n";
    let codes: Vec<String> = told(&sources)
        .iter()
        .map(|error| format!("{} {}", error["file"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    let expected = [
        "schemas/membership.toml E0172",
        "schemas/membership.toml E0173",
        "schemas/task.toml E0172",
        "schemas/task.toml E0172",
        "schemas/task.toml E0171",
    ];
    assert_eq!(codes, expected);
}

/// How many errors there are, and their words.
fn count(sources: &[SourceFile]) -> (usize, String) {
    check(sources).map_or_else(
        |told| (told.to_json().as_array().unwrap().len(), told.to_string()),
        |_| (0, String::new()),
    )
}

#[test]
fn other_errors_do_not_suppress_the_errors_of_rules() {
    let rules = "[access]\nread = \"nope == nothing || user.nowhere == 'x'\"\nupdate = \"id == 'no id'\"\n";
    let other = source("z.toml", &format!("entity = \"Z\"\n[fields]\nz = {{ type = \"int\" }}\n{rules}"));
    for (line, code, _) in crate::schema_files::bad_files::cases::FIELD {
        let text = format!("entity = \"A\"\n[fields]\n{line}\n");
        let (alone, _) = count(&[source("a.toml", &text)]);
        let (both, told) = count(&[source("a.toml", &format!("{text}{rules}")), other.clone()]);
        assert_eq!(both, alone + 8, "{code}: {text}\n{told}");
    }
    let mut unsure = 0;
    for (name, text, code, ..) in crate::schema_files::bad_files::cases::FILE {
        let (alone, _) = count(&[source(name, text)]);
        let (both, told) = count(&[source(name, text), other.clone()]);
        // Where a file does not have its plural, it is unknown what `user.nowhere` might be.
        let known = told.contains("`user` has no `nowhere`");
        unsure += usize::from(!known);
        assert_eq!(both, alone + if known { 4 } else { 3 }, "{code}: {text}\n{told}");
    }
    let files = crate::schema_files::bad_files::cases::FILE.len();
    assert!(unsure * 4 < files, "{unsure} of {files}");
}

#[test]
fn a_consequence_of_another_error_is_not_reported() {
    const MEMBERS: &str = "entity = \"Member\"\n[fields]\nwho = { type = \"ref\", entity = \"User\" }\nof = { type = \"ref\", entity = \"A\" }\n";
    let on = |fields: &str, rule: &str| format!("entity = \"A\"\n{fields}\n[access]\nread = \"{rule}\"\n");
    let whole = "f == 'x' || f > 3 || f in user.members.of || f.contains('a') || size(f) == 2 || user.members.exists(m, m.of == f)";
    let good = "[fields]\nt = { type = \"text\" }";
    for (fields, rule, members, errors) in [
        ("[fields]\nf = { type = \"txet\" }", whole, MEMBERS, 1),
        ("[fields]\nf = { }", whole, MEMBERS, 1),
        ("[fields]\nf = 3", whole, MEMBERS, 1),
        ("[fields]\nf = { type = \"enum\" }", whole, MEMBERS, 1),
        ("[fields]\nf = { type = \"ref\", entity = \"Nope\" }", whole, MEMBERS, 1),
        ("fields = 3", whole, MEMBERS, 1),
        ("", whole, MEMBERS, 1),
        // A lookup through a broken ref, and of a broken field.
        ("[fields]\nr = { type = \"reff\" }\nf = { type = \"text\", from = \"r.x\" }", "true", MEMBERS, 1),
        (
            "[fields]\nr = { type = \"ref\", entity = \"A\" }\ng = { type = \"nit\" }\nf = { type = \"int\", from = \"r.g\" }",
            "true",
            MEMBERS,
            1,
        ),
        // Whose the members are is not certain.
        (good, "t in user.members.of", &MEMBERS.replace("\"User\"", "\"Usr\""), 1),
        (
            good,
            "user.members.exists(m, m.who == user.id)",
            &MEMBERS.replace("\"ref\", entity = \"User\"", "\"rf\""),
            1,
        ),
        (good, "id in user.members.of", &format!("{MEMBERS}of = 3\n"), 1),
        (good, "id in user.members.of", "entity = \"Member\"\n[fields", 1),
        (good, "id in user.members.of", "[fields]\nwho = { type = \"ref\", entity = \"User\" }\n", 1),
        // Errors that do not depend on it are reported.
        ("[fields]\nf = { type = \"txet\", read = \"nope\" }", whole, MEMBERS, 2),
        ("[fields]\nf = { type = \"txet\" }", "f == 3 && nope", MEMBERS, 2),
        ("[fields]\nf = { type = \"int\", default = \"x\" }", "f == 'x'", MEMBERS, 2),
        ("[fields]\nf = { type = \"txet\" }", "1 +", MEMBERS, 2),
        ("[fields]\nf = { type = \"int\" }", "x == y && x in [y, z] && x.contains(y)", MEMBERS, 7),
        ("[fields]\nf = { type = \"int\" }", "x in user.y || f in ['a', true]", MEMBERS, 4),
    ] {
        let (count, told) = count(&[source("a.toml", &on(fields, rule)), source("member.toml", members)]);
        assert_eq!(count, errors, "{fields}\n{rule}\n{members}\n{told}");
    }
}

/// The wrong name is at the same place of the rule, and elsewhere in the file.
#[test]
fn the_caret_stands_under_the_name_however_the_string_is_written() {
    for (written, line, column) in [
        ("\"true && ownr == user.id\"", 0, 17),
        ("'true && ownr == user.id'", 0, 17),
        ("\"title == \\\"é\\\" && ownr == user.id\"", 0, 27),
        ("\"title == \\\"\\u00e9\\U0001F642\\\" && ownr == user.id\"", 0, 42),
        ("\"\"\"\ntrue &&\nownr == user.id\"\"\"", 2, 1),
        ("'''\r\ntrue &&\r\n  ownr == user.id'''", 2, 3),
        ("\"\"\"true && \\\n     ownr == user.id\"\"\"", 1, 6),
        ("\"true\\t&& ownr == user.id\"", 0, 18),
    ] {
        let told = told(&with_task(&format!("{TASK}[access]\nread = {written}\n")));
        let first = TASK.lines().count() as u64 + 2;
        let place = (told[0]["line"].as_u64().unwrap(), told[0]["column"].as_u64().unwrap());
        assert_eq!((told[0]["code"].as_str(), place), (Some("E0172"), (first + line, column)), "{written}");
        assert_eq!(told[0]["endColumn"].as_u64(), Some(column + 4), "{written}");
    }
    let json = r#"{"entity": "Note", "fields": {"f": {"type": "text"}}, "access": {"read": "f == \"\ud83d\ude42\u00e9\" && g == 'a'"}}"#;
    let told = told(&[source("note.json", json)]);
    let column = json.find("g == 'a'").unwrap() as u64 + 1;
    assert_eq!((told[0]["column"].as_u64(), told[0]["endColumn"].as_u64()), (Some(column), Some(column + 1)));
}
