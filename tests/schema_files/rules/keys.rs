//! The keys beside rules: `read` and `hidden` of fields, `identity`, rules in a file of `User`, and where their errors are reported.

use serde_json::json;
use tidewire::schema::record_schema::record;
use tidewire::schema::{
    Column, Comparison, FieldIndex, Generation, Term, UserTerm, canonical, describe, load, typescript,
};

use super::*;

/// A file with these fields; `owner` is the first, a ref to `User`.
fn note(fields: &str) -> String {
    format!("entity = \"Note\"\n[fields]\nowner = {{ type = \"ref\", entity = \"User\" }}\n{fields}\n")
}

fn good(text: &str) -> Schema {
    check(&[source("note.toml", text)]).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

#[test]
fn a_field_has_a_rule_of_its_own() {
    let schema = good(&note(
        "secret = { type = \"text\", read = \"owner == user.id\" }\nkey = { type = \"text\", hidden = true, unique = true }\nopen = { type = \"text\", hidden = false }",
    ));
    let entity = schema.entity("Note").unwrap();
    let rule = |at: usize| entity.fields[at].read.as_ref();
    let own =
        Expr::Compare(Term::Record(Column::Field(FieldIndex(0))), Comparison::Eq, Term::User(UserTerm::Id));
    assert_eq!(rule(1).map(|rule| (&*rule.source, &rule.meaning)), Some(("owner == user.id", &own)));
    assert_eq!(rule(2).map(|rule| (&*rule.source, &rule.meaning)), Some(("false", &Expr::Constant(false))));
    assert_eq!((rule(0), rule(3)), (None, None));
    assert!(entity.access.is_unsaid(), "a rule of a field is none of the entity");
}

#[test]
fn wrong_keys_of_fields_are_reported() {
    for (fields, code, words) in [
        ("f = { type = \"text\", read = \"ownr == user.id\" }", "E0172", "did you mean `owner`?"),
        ("f = { type = \"text\", read = \"has(change.f)\" }", "E0176", "only possible in the rule `update`"),
        ("f = { type = \"text\", read = \"\" }", "E0170", "the rule `read` is empty"),
        ("f = { type = \"text\", read = true }", "E0111", "`read` must be a string"),
        ("f = { type = \"text\", hidden = \"true\" }", "E0111", "`hidden` must be true or false"),
        ("f = { type = \"text\", search = true, hidden = true }", "E0178", "searched"),
        ("f = { type = \"text\", search = true, read = \"true\" }", "E0178", "remove `search`"),
        ("f = { type = \"text\", hidden = true, read = \"true\" }", "E0178", "remove one of the two"),
        ("f = { type = \"text\", identity = true }", "E0113", "it is for `ref`"),
        (
            "f = { type = \"ref\", entity = \"Note\", identity = true }",
            "E0175",
            "`f` does not refer to `User`",
        ),
        (
            "f = { type = \"ref\", entity = \"User\", identity = 1 }",
            "E0111",
            "`identity` must be true or false",
        ),
    ] {
        let told = told(&[source("note.toml", &note(fields))]);
        assert_eq!(
            (told.len(), &told[0]["code"], &told[0]["line"]),
            (1, &json!(code), &json!(4)),
            "{fields}: {told:?}"
        );
        assert!(json!(told).to_string().contains(words), "{fields}: {told:?}");
    }
}

#[test]
fn the_identity_is_the_only_ref_to_user_or_the_one_that_is_marked() {
    let identity = |text: &str| good(text).entity("Note").unwrap().identity;
    let second = |more: &str| note(&format!("by = {{ type = \"ref\", entity = \"User\"{more} }}"));
    assert_eq!(identity(&note("")), Some(FieldIndex(0)));
    assert_eq!(identity(&second("")), None);
    assert_eq!(identity(&second(", identity = true")), Some(FieldIndex(1)));
    assert_eq!(identity("entity = \"Note\"\n[fields]\nf = { type = \"int\" }\n"), None);
    let twice = second(", identity = true").replacen("\"User\" }", "\"User\", identity = true }", 1);
    let twice = told(&[source("note.toml", &twice)]);
    assert_eq!(
        (twice.len(), twice[0]["code"].as_str(), twice[0]["line"].as_u64()),
        (1, Some("E0175"), Some(4))
    );
}

#[test]
fn a_file_of_user_has_a_rule_of_reading_and_rules_of_its_own_fields() {
    let text = "entity = \"User\"\n[fields]\nteam = { type = \"text\", read = \"id == user.id\" }\nboss = { type = \"ref\", entity = \"User\" }\n[access]\nread = \"team == user.team\"\n";
    let schema = good(text);
    let user = schema.entity("User").unwrap();
    let team = || FieldIndex(3);
    let expected = Expr::Compare(
        Term::Record(Column::Field(team())),
        Comparison::Eq,
        Term::User(UserTerm::Field(team())),
    );
    assert_eq!(user.access.read.as_ref().map(|rule| &rule.meaning), Some(&expected));
    let id = Expr::Compare(Term::Record(Column::Id), Comparison::Eq, Term::User(UserTerm::Id));
    assert_eq!(user.fields[3].read.as_ref().map(|rule| &rule.meaning), Some(&id));
    assert_eq!(user.identity, None, "a User belongs to nobody");
    for (more, code, words) in [
        ("update = \"nam == user.id\"", "E0172", "did you mean"),
        ("reed = \"true\"", "E0110", "did you mean `read`?"),
        (
            "[fields]\nx = { type = \"ref\", entity = \"User\", identity = true }",
            "E0175",
            "a `User` record belongs to no other user",
        ),
    ] {
        let head = if more.starts_with('[') { "" } else { "[access]\n" };
        let told = told(&[source("user.toml", &format!("entity = \"User\"\n{head}{more}\n"))]);
        assert_eq!((told.len(), &told[0]["code"]), (1, &json!(code)), "{more}: {told:?}");
        assert!(json!(told).to_string().contains(words), "{more}: {told:?}");
    }
}

#[test]
fn rules_are_part_of_the_canonical_form_and_of_no_description() {
    let with = |rest: &str| {
        good(&note(&format!("f = {{ type = \"text\"{rest} }}\ng = {{ type = \"ref\", entity = \"User\" }}")))
    };
    let base = with("");
    let mut texts = vec![canonical(&base)];
    for rest in [", hidden = true", ", read = \"owner == user.id\"", ", read = \"user.id == owner\""] {
        let schema = with(rest);
        texts.push(canonical(&schema));
        let (plain, ruled) = (describe(&base, Generation(1)), describe(&schema, Generation(1)));
        assert_eq!(plain, ruled, "the description shows no rule");
    }
    let marked = note("f = { type = \"text\" }\ng = { type = \"ref\", entity = \"User\", identity = true }");
    texts.push(canonical(&good(&marked)));
    let different: std::collections::HashSet<&String> = texts.iter().collect();
    assert_eq!(different.len(), texts.len(), "{texts:#?}");
    let implied = canonical(&good(&note("")));
    let said = canonical(&good(&note("").replace("\"User\" }", "\"User\", identity = true }")));
    assert_eq!(implied, said, "what goes without saying is no other schema");
}

#[test]
fn a_field_that_may_be_hidden_is_not_promised_and_one_that_is_hidden_is_written_only() {
    let schema = good(&note(
        "f = { type = \"text\", required = true, default = \"a\", read = \"owner == user.id\" }\n\
         g = { type = \"text\", required = true, default = \"a\" }\n\
         h = { type = \"text\", required = true, hidden = true }\ni = { type = \"text\", read = \"false\" }",
    ));
    let entity = schema.entity("Note").unwrap();
    let described = serde_json::to_value(record(&schema, entity)).unwrap();
    assert_eq!(described["required"], json!(["id", "version", "owner", "g", "created_at", "updated_at"]));
    assert_eq!(described["properties"]["f"], described["properties"]["g"]);
    let properties = described["properties"].as_object().unwrap();
    assert!(!properties.contains_key("h") && !properties.contains_key("i"), "{described}");
    let types = typescript(&schema);
    let members = |name: &str| {
        let rest = types.split(&format!("export interface {name} {{")).nth(1).unwrap();
        rest.split('}').next().unwrap().to_owned()
    };
    let record = members("Note");
    assert!(record.contains("  f?: string;\n") && record.contains("  g: string;\n"), "{record}");
    assert!(!record.contains(" h") && !record.contains(" i?"), "{record}");
    assert!(members("NoteCreate").contains("  h: string;\n  i?: string | null;\n"), "{types}");
    assert!(members("NoteUpdate").contains("  h?: string;\n  i?: string | null;\n"), "{types}");
}

#[test]
fn entities_without_a_rule_are_named_in_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("a.toml", "entity = \"Alpha\"\n[fields]\nf = { type = \"text\", hidden = true }\n"),
        ("b.toml", "entity = \"Beta\"\n[fields]\nf = { type = \"text\" }\n[access]\nread = \"true\"\n"),
        ("c.json", "{\"fields\": {\"f\": {\"type\": \"text\"}},\n \"entity\": \"Gamma\", \"access\": {}}"),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = load(folder.path()).unwrap();
    let warnings = loaded.unsaid().to_json();
    let told: Vec<_> = warnings
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| {
            (
                warning["code"].as_str().unwrap(),
                warning["line"].as_u64(),
                warning["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("W0102", Some(1), "everyone may do everything with `Alpha`"),
            ("W0102", Some(2), "everyone may do everything with `Gamma`"),
        ]
    );
    let opened = loaded.schema.opened();
    let open = |name: &str| opened.entity(name).unwrap().access.open;
    assert_eq!((open("Alpha"), open("Beta"), open("Gamma"), open("User")), (true, false, true, true));
}
