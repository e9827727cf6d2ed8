//! `tidewire rules test`: what it says of cases that fail, and of files that cannot be understood.

use std::path::Path;

use super::page::files;
use crate::support::process::{Ended, ended, tidewire};

const NOTE: &str = r#"
entity = "Note"
[fields]
text   = { type = "text", required = true }
stars  = { type = "int", max = 5 }
secret = { type = "text", read = "owner == user.id" }
owner  = { type = "ref", entity = "User", default = "user.id" }
writer = { type = "ref", entity = "User", default = "user.id", readonly = true }
parent = { type = "ref", entity = "Note" }
top    = { type = "ref", entity = "User", from = "parent.owner" }
[access]
read   = "owner == user.id || top == user.id"
create = "user != null"
update = "owner == user.id && !has(change.owner)"
"#;

const SCENE: &str = r#"
[persons.ada]
[persons.ben]
[records.Note.mine]
text  = "Paint"
owner = "ada"
[records.Note.below]
text   = "Brush"
parent = "mine"
owner  = "ben"
"#;

async fn run(schema: &str, cases: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "schemas/note.toml", schema);
    write(folder.path(), "schemas/tests/cases.toml", cases);
    ended(tidewire(folder.path()).args(["rules", "test"])).await
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn the_example_of_the_page_runs() {
    let cases = files("## Testing rules").remove(0).1;
    let schema = files("### Owner").remove(0).1;
    let told = run(&schema, &cases).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{}", told.stdout);
    assert!(told.stdout.ends_with("3 cases, all as expected\n"), "{}", told.stdout);
}

#[tokio::test]
async fn cases_ask_as_the_server_does() {
    let cases = r#"
[[case]]
about  = "a lookup brings it into read_scope"
who    = "ada"
may    = "read"
record = "Note.below"
[[case]]
about   = "what one may not read one may not write, whatever the rule says"
who     = "nobody"
may_not = ["read", "update", "delete"]
record  = "Note.mine"
[[case]]
about   = "a missing rule denies"
who     = "ada"
may_not = "delete"
record  = "Note.mine"
[[case]]
about  = "a default is the writer"
who    = ["ada", "ben"]
may    = "create"
entity = "Note"
set    = { text = "New" }
[[case]]
about   = "a reference to what one may not read"
who     = "ben"
may_not = "create"
entity  = "Note"
set     = { text = "New", parent = "mine" }
[[case]]
who      = "ada"
sees     = "secret"
record   = "Note.mine"
[[case]]
who      = "ada"
sees     = "text"
sees_not = "secret"
record   = "Note.below"
[[case]]
who    = "ada"
may    = "update"
record = "Note.mine"
set    = { stars = 3 }
[[case]]
who     = "ada"
may_not = "update"
record  = "Note.mine"
set     = { owner = "ada" }
"#;
    let told = run(NOTE, &format!("{SCENE}{cases}")).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{}", told.stdout);
    assert!(told.stdout.contains("9 cases, all as expected"), "{}", told.stdout);
}

#[tokio::test]
async fn a_failing_case_shows_the_rule_and_the_value_of_each_part() {
    let cases = "[[case]]\nwho = [\"ada\", \"ben\"]\nmay = \"read\"\nrecord = \"Note.mine\"\n";
    let told = run(NOTE, &format!("{SCENE}{cases}")).await;
    assert_eq!((told.code, told.stderr.as_str()), (1, ""), "{}", told.stdout);
    for words in [
        "FAILED    12  ada, ben may read Note.mine",
        "ben may not read:",
        "read = owner == user.id || top == user.id",
        "false    owner == user.id    [owner = \"ada\", user.id = \"ben\"]",
        "unknown  top == user.id    [top = null, user.id = \"ben\"]",
        "for this person: owner == \"ben\" || top == \"ben\"",
        "1 case, 1 failed",
    ] {
        assert!(told.stdout.contains(words), "{words}\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("ada may not read"), "{}", told.stdout);
}

#[tokio::test]
async fn a_failing_case_uses_the_names_of_records() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files("### Team") {
        write(folder.path(), &name, &text);
    }
    let cases = r#"
[persons.ada]
[persons.ben]
[records.Project.harbour]
name  = "Harbour"
owner = "ada"
[records.Project.bridge]
name  = "Bridge"
owner = "ada"
[records.Membership.seat]
person  = "ben"
project = "harbour"
[records.Task.paint]
title   = "Paint"
project = "harbour"
[records.Task.span]
title   = "Span"
project = "bridge"
[[case]]
who     = "ben"
may_not = "read"
record  = "Task.paint"
[[case]]
who    = "ben"
may    = "read"
record = "Task.span"
[[case]]
who    = "ben"
may    = ["create"]
entity = "Task"
set    = { title = "New", project = "harbour" }
"#;
    write(folder.path(), "schemas/tests/cases.toml", cases);
    let told = ended(tidewire(folder.path()).args(["rules", "test"])).await;
    assert_eq!((told.code, told.stderr.as_str()), (1, ""), "{}", told.stdout);
    for words in [
        "project in user.memberships.project    [project = \"harbour\", user.memberships.project = [\"harbour\"]]",
        "[project = \"bridge\", user.memberships.project = [\"harbour\"]]",
        "for this person: project == \"harbour\"",
        "m = Membership seat: ",
        "m.project = \"harbour\"",
    ] {
        assert!(told.stdout.contains(words), "{words}\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("-0000"), "an id is shown:\n{}", told.stdout);
}

#[tokio::test]
async fn why_notes_the_required_fields_that_a_create_lacks() {
    let case = |keys: &str| format!("{SCENE}[[case]]\nwho = \"ada\"\nentity = \"Note\"\n{keys}\n");
    const NOTE_WORDS: &str = "note: besides rights, a create must set the required fields: text";
    for (keys, noted) in [
        ("may = \"create\"", true),
        ("may = \"create\"\nset = { stars = 3 }", true),
        ("may = \"create\"\nset = { text = \"New\" }", false),
    ] {
        let told = run(NOTE, &case(keys)).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{}", told.stdout);
        assert_eq!(told.stdout.contains(NOTE_WORDS), noted, "{keys}\n{}", told.stdout);
    }
}

#[tokio::test]
async fn errors_in_a_file_are_reported_with_their_place() {
    let case = |keys: &str| format!("{SCENE}[[case]]\n{keys}\n");
    for (file, place, words) in [
        ("[[case]\n".to_owned(), "cases.toml:1", "this is not TOML"),
        ("[person.ada]\n".to_owned(), "cases.toml:1:2", "did you mean `persons`?"),
        ("persons = 3\n".to_owned(), "cases.toml:1:11", "`persons` must be a table, found a number"),
        ("case = 3\n".to_owned(), "cases.toml:1:8", "write `[[case]]`"),
        ("case = [3]\n".to_owned(), "cases.toml:1:9", "a case must be a table"),
        ("[persons.nobody]\n".to_owned(), "cases.toml:1:10", "is the anonymous caller"),
        ("[persons.\"\"]\n".to_owned(), "cases.toml:1:10", "a person's name is the id"),
        ("[persons.ada]\nroel = \"x\"\n".to_owned(), "cases.toml:2:1", "did you mean `role`?"),
        ("[persons.ada]\nrole = 3\n".to_owned(), "cases.toml:2:8", "`role` must be a string"),
        ("[persons.ada]\nclaims = 3\n".to_owned(), "cases.toml:2:10", "`claims` must be a table"),
        (
            "[persons.ada]\nuser = { emial = 3 }\n".to_owned(),
            "cases.toml:2:10",
            "`emial` is not a field of User",
        ),
        ("[persons.ada]\nuser = { disabled = 3 }\n".to_owned(), "cases.toml:2:21", "must be true or false"),
        ("[records.Nte.mine]\n".to_owned(), "cases.toml:1:10", "did you mean `Note`?"),
        ("[records.User.ada]\n".to_owned(), "cases.toml:1:10", "a User is a person"),
        ("[records.Note]\nmine = 3\n".to_owned(), "cases.toml:2:8", "`mine` must be a table"),
        ("[records.Note.a]\ntxt = \"x\"\n".to_owned(), "cases.toml:2:1", "did you mean `text`?"),
        ("[records.Note.a]\nstars = 9\n".to_owned(), "cases.toml:2:9", "`stars`"),
        ("[records.Note.a]\nstars = \"x\"\n".to_owned(), "cases.toml:2:9", "`stars` must be"),
        ("[records.Note.a]\ntop = \"x\"\n".to_owned(), "cases.toml:2:1", "is copied from `parent.owner`"),
        ("[records.Note.a]\nowner = \"zed\"\n".to_owned(), "cases.toml:2:9", "refers to no person: `zed`"),
        (
            "[records.Note.a]\nparent = \"b\"\n".to_owned(),
            "cases.toml:2:10",
            "refers to no Note of this file",
        ),
        (case("may = \"read\"\nrecord = \"Note.mine\""), "cases.toml:12", "does not say who asks"),
        (
            case("who = \"adda\"\nmay = \"read\"\nrecord = \"Note.mine\""),
            "cases.toml:12:7",
            "did you mean `ada`?",
        ),
        (
            case("who = []\nmay = \"read\"\nrecord = \"Note.mine\""),
            "cases.toml:12:7",
            "a list of strings that is not empty",
        ),
        (case("who = 3\nmay = \"read\"\nrecord = \"Note.mine\""), "cases.toml:12:7", "found a number"),
        (
            case("who = \"ada\"\nrecord = \"Note.mine\""),
            "cases.toml:12",
            "this case of `Note.mine` expects nothing",
        ),
        (
            case("about = \"a guest\"\nwho = \"ada\"\nrecord = \"Note.mine\""),
            "cases.toml:12",
            "the case `a guest` expects nothing",
        ),
        (case("who = \"ada\""), "cases.toml:12", "this case expects nothing"),
        (
            case("who = \"ada\"\nmay = [\"read\", \"update\"]\nmay_not = \"update\"\nrecord = \"Note.mine\""),
            "cases.toml:14:11",
            "this case of `Note.mine` names `update` in both `may` and `may_not`",
        ),
        (
            case(
                "about = \"a guest\"\nwho = \"ada\"\nsees = \"text\"\nsees_not = [\"text\"]\nrecord = \"Note.mine\"",
            ),
            "cases.toml:15:13",
            "the case `a guest` names `text` in both `sees` and `sees_not`",
        ),
        (
            case("who = \"ada\"\nmay = \"raed\"\nrecord = \"Note.mine\""),
            "cases.toml:13:7",
            "did you mean `read`?",
        ),
        (case("who = \"ada\"\nmay = \"read\""), "cases.toml:12", "names neither a record nor an entity"),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = [\"Note.mine\"]"),
            "cases.toml:14:10",
            "`record` must be a string, found a list",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = \"mine\""),
            "cases.toml:14:10",
            "`mine` names no record",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = \"Note.mien\""),
            "cases.toml:14:10",
            "did you mean `mine`?",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = \"Not.mine\""),
            "cases.toml:14:10",
            "did you mean `Note`?",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nentity = \"Note\""),
            "cases.toml:12",
            "only a create is about an entity alone",
        ),
        (
            case("who = \"ada\"\nmay = \"create\"\nrecord = \"Note.mine\""),
            "cases.toml:12",
            "a create is about an entity",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = \"Note.mine\"\nentity = \"Note\""),
            "cases.toml:15:10",
            "an entity or about a record",
        ),
        (
            case("who = \"ada\"\nmay = \"read\"\nrecord = \"Note.mine\"\nset = { stars = 1 }"),
            "cases.toml:15:7",
            "`set` goes with create and update",
        ),
        (
            case("who = \"ada\"\nmay = \"update\"\nrecord = \"Note.mine\"\nset = { sars = 1 }"),
            "cases.toml:15:9",
            "did you mean `stars`?",
        ),
        (
            case("who = \"ada\"\nmay = \"update\"\nrecord = \"Note.mine\"\nset = { writer = \"ben\" }"),
            "cases.toml:15:9",
            "`writer` is readonly: no request can set it",
        ),
        (
            case("who = \"ada\"\nsees = \"txt\"\nrecord = \"Note.mine\""),
            "cases.toml:13:8",
            "`txt` is not a field of Note",
        ),
        (
            case("who = \"ada\"\nmaynot = \"read\"\nrecord = \"Note.mine\""),
            "cases.toml:13:1",
            "did you mean `may_not`?",
        ),
        ("[persons.ada]\n".to_owned(), "", "the files have no case"),
        (String::new(), "", "the files have no case"),
    ] {
        let told = run(NOTE, &file).await;
        assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{file}\n{}", told.stderr);
        assert!(
            told.stderr.contains(place) && told.stderr.contains(words),
            "{file}\n{words}\n{}",
            told.stderr
        );
    }
}

#[tokio::test]
async fn files_that_cannot_be_read_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "schemas/note.toml", NOTE);
    let run = async |arguments: &[&str]| ended(tidewire(folder.path()).args(["rules"]).args(arguments)).await;
    let none = run(&["test"]).await;
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("write a file schemas/tests/NAME.toml"), "{}", none.stderr);
    let missing = run(&["test", "cases.toml"]).await;
    assert!(missing.code == 1 && missing.stderr.contains("cases.toml cannot be read"), "{}", missing.stderr);
    std::fs::write(folder.path().join("bytes.toml"), [0xff, 0xfe]).unwrap();
    let bytes = run(&["test", "bytes.toml"]).await;
    assert!(bytes.code == 1 && bytes.stderr.contains("is not UTF-8"), "{}", bytes.stderr);
    write(folder.path(), "schemas/note.toml", "entity = \"Note\"");
    let schema = run(&["test"]).await;
    assert!(schema.code == 1 && schema.stderr.contains("schemas/note.toml"), "{}", schema.stderr);
    for wrong in [&["tset"][..], &[], &["test", "--data", "x"]] {
        assert_eq!(run(wrong).await.code, 2, "{wrong:?}");
    }
}
