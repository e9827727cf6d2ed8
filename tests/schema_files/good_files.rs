//! Files that are right, what they mean, and folders.

use std::fs;
use std::time::Duration;

use tidewire::cli::check::{Form, judge};
use tidewire::schema::{
    Color, Delay, FieldDefault, FieldIndex, FieldKind, History, IdKind, Lookup, OnDelete, Value, check, load,
};

use super::{good, shipped, source};

pub(super) const EVERYTHING_TOML: &str = r##"
entity = "Thing"
plural = "stuff"
label = "name"

[fields]
name = { type = "text", required = true, unique = true, min = 1, max = 20, pattern = "^[a-z]", default = "now" }
count = { type = "int", min = -5, max = 5, default = -3 }
share = { type = "float", min = 0, max = 1.5, default = 1 }
on = { type = "bool", default = true, readonly = true }
kind = { type = "enum", values = ["a", "b", "user.id"], default = "user.id" }
data = { type = "json", default = { z = [1, 2.5, "x"], a = true } }
day = { type = "date", default = "now" }
at = { type = "datetime", default = "2026-11-21T09:00:00+01:00" }
key = { type = "uuid", default = "01900000-0000-7000-8000-00000000000A" }
next = { type = "ref", entity = "Thing", on_delete = "set_null" }
by = { type = "ref", entity = "User", default = "user.id", on_delete = "cascade" }
via = { type = "text", default = "user.id" }

[access]
read = "true"
update = "by == user.id"

[[index]]
fields = ["kind", "day"]
[[index]]
fields = ["day"]
"##;

pub(super) const EVERYTHING_JSON: &str = r##"{
  "entity": "Thing", "plural": "stuff", "label": "name",
  "fields": {
    "name": {"type": "text", "required": true, "unique": true, "min": 1, "max": 20, "pattern": "^[a-z]", "default": "now"},
    "count": {"type": "int", "min": -5, "max": 5, "default": -3},
    "share": {"type": "float", "min": 0, "max": 1.5, "default": 1},
    "on": {"type": "bool", "default": true, "readonly": true},
    "kind": {"type": "enum", "values": ["a", "b", "user.id"], "default": "user.id"},
    "data": {"type": "json", "default": {"z": [1, 2.5, "x"], "a": true}},
    "day": {"type": "date", "default": "now"},
    "at": {"type": "datetime", "default": "2026-11-21T08:00:00Z"},
    "key": {"type": "uuid", "default": "0190000000007000800000000000000a"},
    "next": {"type": "ref", "entity": "Thing", "on_delete": "set_null"},
    "by": {"type": "ref", "entity": "User", "default": "user.id", "on_delete": "cascade"},
    "via": {"type": "text", "default": "user.id"}
  },
  "access": {"read": "true", "update": "by == user.id"},
  "index": [{"fields": ["kind", "day"]}, {"fields": ["day"]}]
}"##;

#[test]
fn toml_and_json_of_the_same_meaning_give_the_same_schema() {
    let json = check(&[source("thing.json", EVERYTHING_JSON)]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(good(EVERYTHING_TOML), json);
}

#[test]
fn every_type_and_constraint_arrives() {
    let schema = good(EVERYTHING_TOML);
    let thing = schema.by_plural("stuff").expect("found by its plural");
    let default = |name: &str| thing.field(name).and_then(|(_, field)| field.default.clone());
    let text = |text: &str| Some(FieldDefault::Value(Value::Text(text.to_owned())));
    assert_eq!((&*thing.name, thing.label, thing.id_kind), ("Thing", Some(FieldIndex(0)), IdKind::Uuid));
    assert_eq!(default("name"), text("now"));
    assert_eq!(default("count"), Some(FieldDefault::Value(Value::Int(-3))));
    assert_eq!(default("share"), Some(FieldDefault::Value(Value::Float(1.0))));
    assert_eq!(default("kind"), text("user.id"));
    assert_eq!(
        default("data"),
        Some(FieldDefault::Value(Value::Json(r#"{"a":true,"z":[1,2.5,"x"]}"#.to_owned())))
    );
    assert_eq!(default("day"), Some(FieldDefault::Now(Delay::NONE)));
    assert_eq!(default("at"), text("2026-11-21T08:00:00.000Z"));
    assert_eq!(default("key"), text("01900000-0000-7000-8000-00000000000a"));
    assert_eq!((default("by"), default("via")), (Some(FieldDefault::UserId), Some(FieldDefault::UserId)));
    let kind = &thing.field("next").expect("a field").1.kind;
    assert_eq!(*kind, FieldKind::Ref { entity: "Thing".into(), on_delete: OnDelete::SetNull });
    let at = |field| tidewire::schema::Column::Field(FieldIndex(field));
    assert_eq!(thing.indexes, [vec![at(4), at(6)], vec![at(6)]]);
    assert_eq!(thing.access.update.as_ref().map(|rule| &*rule.source), Some("by == user.id"));
    assert_eq!(thing.access.delete, None);
}

#[test]
fn toml_dates_need_no_quotes() {
    let quoted = "entity = \"A\"\n[fields]\nd = { type = \"date\", default = \"2026-11-21\" }";
    assert_eq!(good(quoted), good(&quoted.replace("\"2026-11-21\"", "2026-11-21")));
    let quoted = "entity = \"A\"\n[fields]\nd = { type = \"datetime\", default = \"2026-11-21T08:00:00Z\" }";
    assert_eq!(good(quoted), good(&quoted.replace("\"2026-11-21T08:00:00Z\"", "2026-11-21 08:00:00Z")));
}

#[test]
fn the_plural_comes_from_the_name() {
    for (name, plural) in [("Task", "tasks"), ("TimeEntry", "time_entrys"), ("HTTPLog", "http_logs")] {
        let schema = good(&format!("entity = \"{name}\"\n[fields]\nf = {{ type = \"int\" }}"));
        assert_eq!(schema.by_plural(plural).map(|entity| &*entity.name), Some(name));
    }
}

#[test]
fn user_is_there_without_a_file_and_grows_by_one() {
    let schema = check(&[]).expect("no file is no error");
    let user = schema.entity("User").expect("User is built in");
    let names = |entity: &tidewire::schema::Entity| {
        entity.fields.iter().map(|f| f.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((user.id_kind, &*user.plural, user.label), (IdKind::Text, "users", Some(FieldIndex(0))));
    assert_eq!(names(user), ["name", "role", "disabled"]);

    let schema = good(
        "entity = \"User\"\n[fields]\nteam = { type = \"text\" }\n[access]\nread = \"true\"\n[[index]]\nfields = [\"role\", \"team\"]",
    );
    let user = schema.entity("User").expect("User is built in");
    assert_eq!(names(user), ["name", "role", "disabled", "team"]);
    let at = |field| tidewire::schema::Column::Field(FieldIndex(field));
    assert_eq!(user.indexes, [vec![at(1), at(3)]]);
    assert_eq!(
        (user.id_kind, user.access.read.as_ref().map(|rule| &*rule.source)),
        (IdKind::Text, Some("true"))
    );
    assert_eq!(schema.entities().count(), 1);
}

#[test]
fn the_shipped_schemas_check_clean() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let verdict = judge(&dir, Form::Text(Color::Never));
    assert!(verdict.clean && verdict.stderr.is_empty(), "{}", verdict.stderr);
    let (first, rest) = verdict.stdout.split_once('\n').expect("several lines");
    assert!(first.ends_with("schemas: 5 files"), "{first}");
    let expected = "  Comment     /api/comments     4 fields\n  Membership  /api/memberships  3 fields\n  Project     /api/projects     4 fields\n  Task        /api/tasks        7 fields\n  User        /api/users        4 fields\n5 entities, no errors\n";
    assert_eq!(rest, expected);
    let task = check(&shipped()).expect("checked above").entity("Task").cloned().expect("shipped");
    let names: Vec<&str> = task.fields.iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["title", "status", "priority", "due", "project", "owner", "tags"]);
}

#[test]
fn a_folder_lists_its_own_toml_and_json_files_by_name() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let entity = |name: &str| format!("entity = \"{name}\"\n[fields]\nf = {{ type = \"int\" }}");
    fs::write(dir.path().join("b.toml"), entity("B")).unwrap();
    fs::write(dir.path().join("a.json"), r#"{"entity": "A", "fields": {"f": {"type": "int"}}}"#).unwrap();
    for ignored in ["c.md", "task.toml~", ".hidden.toml", "d.toml.orig"] {
        fs::write(dir.path().join(ignored), "no schema").unwrap();
    }
    fs::create_dir(dir.path().join("deeper.toml")).unwrap();
    fs::write(dir.path().join("deeper.toml/e.toml"), "no schema").unwrap();
    let loaded = load(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<String> = loaded.schema.entities().map(|entity| entity.name.to_string()).collect();
    assert_eq!(names, ["A", "B", "User"]);
    assert_eq!((loaded.files.len(), loaded.warnings.len()), (2, 0));
}

#[test]
fn a_missing_folder_is_an_error_and_an_empty_one_a_warning() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let missing = judge(&dir.path().join("nowhere"), Form::Text(Color::Never));
    assert!(!missing.clean && missing.stdout.is_empty());
    assert!(missing.stderr.contains("error[E0101]: there is no schema folder"), "{}", missing.stderr);
    assert!(missing.stderr.contains("`tidewire new NAME` makes a new folder"), "{}", missing.stderr);
    assert!(
        missing.stderr.contains("--schemas DIR")
            && missing.stderr.ends_with("1 error; `tidewire explain E0101` says more\n"),
        "{}",
        missing.stderr
    );

    let empty = judge(dir.path(), Form::Text(Color::Never));
    assert!(empty.clean && empty.stdout.ends_with("1 entity, no errors\n"), "{}", empty.stdout);
    assert!(empty.stderr.contains("warning[W0101]"), "{}", empty.stderr);
    assert!(judge(dir.path(), Form::Json).stdout.contains("\"severity\": \"warning\""));
}

#[test]
fn files_that_are_not_text_are_reported_beside_the_errors_of_the_others() {
    let dir = tempfile::tempdir().expect("a temp folder");
    fs::write(dir.path().join("a.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    fs::write(dir.path().join("b.toml"), b"entity = \"B\"\n\xff").unwrap();
    fs::write(
        dir.path().join("c.toml"),
        "entity = \"C\"\n[fields]\nf = { type = \"ref\", entity = \"A\" }\ng = 1",
    )
    .unwrap();
    let errors = load(dir.path()).expect_err("three bad files");
    let codes: Vec<&str> = errors.codes().map(|code| code.as_str()).collect();
    assert_eq!(codes, ["E0103", "E0104", "E0111"], "{errors}");
    assert!(errors.to_string().contains("line 2 of this file is not UTF-8"), "{errors}");
    let json = judge(dir.path(), Form::Json);
    let parsed: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON on stdout");
    assert_eq!((parsed.as_array().map(Vec::len), json.stderr.as_str(), json.clean), (Some(3), "", false));
}

#[test]
fn files_of_windows_editors_are_read_and_shown_like_others() {
    let dir = tempfile::tempdir().expect("a temp folder");
    let (toml, json) = (dir.path().join("a.toml"), dir.path().join("b.json"));
    fs::write(&toml, "\u{feff}entity = \"A\"\r\n[fields]\r\nf = { type = \"int\" }\r\n").unwrap();
    fs::write(&json, "\u{feff}{\"entity\": \"B\",\r\n\"fields\": {\"f\": {\"type\": \"int\"}}}\r\n").unwrap();
    load(dir.path()).unwrap_or_else(|errors| panic!("{errors}"));
    fs::write(&toml, "entity = \"A\"\r\n[fields]\r\nf = { type = \"itn\" }\r\n").unwrap();
    let errors = load(dir.path()).expect_err("a wrong type").to_string();
    assert!(errors.contains("3 | f = { type = \"itn\" }\n"), "{errors}");
}

#[test]
fn a_clean_check_as_json_is_an_empty_array() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    assert_eq!(judge(&dir, Form::Json).stdout, "[]\n");
}

#[test]
fn lookups_searches_histories_and_former_names_are_read() {
    let project = "entity = \"Project\"\nwas = \"Board\"\n[fields]\nname = { type = \"text\", search = true, was = \"title\" }\n";
    let task = "entity = \"Task\"\nhistory = \"36h\"\n[fields]\nproject = { type = \"ref\", entity = \"Project\" }\nboss = { type = \"text\", from = \"project.name\" }\n";
    let comment = "entity = \"Comment\"\nhistory = \"forever\"\n[fields]\ntask = { type = \"ref\", entity = \"Task\" }\nproject = { type = \"ref\", entity = \"Project\", from = \"task.project\" }\nboss = { type = \"text\", from = \"project.name\" }\n";
    let sources =
        [source("comment.toml", comment), source("project.toml", project), source("task.toml", task)];
    let schema = check(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let entity = |name: &str| schema.entity(name).unwrap().clone();
    assert_eq!(entity("Project").was.as_deref(), Some("Board"));
    let name = &entity("Project").fields[0];
    assert_eq!((name.search, name.was.as_deref(), name.readonly), (true, Some("title"), false));
    assert_eq!(entity("Task").history, Some(History::For(Duration::from_secs(36 * 3600))));
    assert_eq!(entity("Comment").history, Some(History::Forever));
    let comment = entity("Comment");
    let lookups: Vec<_> = comment.fields.iter().map(|field| (field.readonly, field.lookup)).collect();
    let lookup = |via, field| Some(Lookup { via: FieldIndex(via), field: FieldIndex(field) });
    assert_eq!(lookups, [(false, None), (true, lookup(0, 0)), (true, lookup(1, 0))]);
    assert_eq!(schema.lookup_path(&comment, &comment.fields[1]).as_deref(), Some("task.project"));
}
