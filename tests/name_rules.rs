//! Rules for names: patterns of the settings against a schema, and what they allow one person (SEMANTICS Y5).

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire::config::{NameRuleText, NameRuleTexts, WordRuleText};
use tidewire::ids::{RecordId, Timestamp};
use tidewire::rules::{Person, Principal, RelatedRecords, may_use_name};
use tidewire::schema::{Color, Format, Record, Schema, SourceFile, Value, check, with_names};

const PROJECT: &str = "00000000-0000-7000-8000-000000000007";
const OTHER: &str = "00000000-0000-7000-8000-000000000008";

fn schema() -> Schema {
    let file = |name: &str, text: &str| SourceFile {
        name: name.to_owned(),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let project = file("project.toml", "entity = \"Project\"\n[fields]\nname = { type = \"text\" }\n");
    let membership = file(
        "membership.toml",
        "entity = \"Membership\"\n[fields]\n\
         person = { type = \"ref\", entity = \"User\" }\nproject = { type = \"ref\", entity = \"Project\" }\n",
    );
    check(&[membership, project]).unwrap()
}

fn texts(patterns: &[(&str, &[(&str, &str)])]) -> NameRuleTexts {
    let word =
        |(word, source): &(&str, &str)| WordRuleText { word: (*word).into(), source: (*source).into() };
    let pattern = |(pattern, rules): &(&str, &[(&str, &str)])| NameRuleText {
        pattern: (*pattern).into(),
        rules: rules.iter().map(word).collect(),
    };
    NameRuleTexts(patterns.iter().map(pattern).collect())
}

fn presence(patterns: &[(&str, &[(&str, &str)])]) -> Schema {
    with_names(schema(), &texts(patterns), &NameRuleTexts::default()).unwrap()
}

/// Ada is a member of `PROJECT`.
fn ada() -> Principal {
    let person = Arc::new(Person { id: Some("ada".into()), ..Person::default() });
    let (id, at) = (RecordId::parse_uuid(OTHER).unwrap(), Timestamp(0));
    let values = vec![Value::Text("ada".into()), Value::Text(PROJECT.into())];
    let membership = Record { id, version: 1, created_at: at, updated_at: at, values };
    let related = BTreeMap::from([("Membership".into(), RelatedRecords::Records(vec![membership]))]);
    Principal::new(person, None, related)
}

fn may(schema: &Schema, name: &str, words: &[&str], who: &Principal) -> bool {
    let name: Vec<&str> = name.split('/').collect();
    may_use_name(&schema.names().presence, schema.names().open, &name, words, who)
}

#[test]
fn the_first_pattern_that_fits_decides_and_its_captures_are_fields_of_its_rules() {
    let schema = presence(&[
        ("project/{project:Project}", &[("watch", "project in user.memberships.project")]),
        ("desk/{person:User}", &[("watch", "true"), ("join", "person == user.id")]),
        ("desk/{anything}", &[("watch", "false")]),
        ("hall/{name}", &[("watch", "name.startsWith('open-') || user.role == 'admin'")]),
    ]);
    let nobody = Principal::nobody();
    for (name, words, who, allowed) in [
        (format!("project/{PROJECT}"), &["watch"][..], &ada(), true),
        (format!("project/{}", PROJECT.to_uppercase()), &["watch"], &ada(), true),
        (format!("project/{OTHER}"), &["watch"], &ada(), false),
        (format!("project/{PROJECT}"), &["watch"], &nobody, false),
        ("project/7".into(), &["watch"], &ada(), false),
        ("project".into(), &["watch"], &ada(), false),
        ("desk/ada".into(), &["join"], &ada(), true),
        ("desk/ben".into(), &["join"], &ada(), false),
        ("desk/ben".into(), &["watch"], &nobody, true),
        ("hall/open-1".into(), &["watch"], &nobody, true),
        ("hall/shut".into(), &["watch"], &nobody, false),
        // The pattern has no rule for this: another word stands for it, if the caller says so.
        ("hall/open-1".into(), &["join"], &ada(), false),
        ("hall/open-1".into(), &["join", "watch"], &ada(), true),
        ("nowhere".into(), &["watch"], &ada(), false),
    ] {
        assert_eq!(may(&schema, &name, words, who), allowed, "{name} {words:?} {:?}", who.person.id);
    }
}

#[test]
fn in_dev_a_name_without_a_pattern_is_open_and_one_with_a_pattern_is_not() {
    let schema = presence(&[("closed", &[("watch", "false")])]).opened();
    assert!(may(&schema, "anything", &["watch"], &Principal::nobody()));
    assert!(!may(&schema, "closed", &["watch"], &ada()));
    let again = with_names(schema, &texts(&[("other", &[("watch", "false")])]), &NameRuleTexts::default());
    assert!(may(&again.unwrap(), "closed", &["watch"], &ada()), "another table leaves dev open");
}

#[test]
fn rules_that_do_not_fit_the_schema_say_where_and_what_to_do() {
    for (pattern, word, rule, code, words) in [
        ("a/{x:Projekt}", "watch", "true", "E0350", "there is no entity `Projekt`"),
        ("Project/{x:Project}", "watch", "true", "E0350", "`Project` is an entity"),
        ("a//b", "watch", "true", "E0350", "part of the pattern is empty"),
        ("a/{x}", "watch", "y == user.id", "E0172", "has no field `y`"),
        ("a/{x}", "watch", "id == 'lobby'", "E0172", "a name has captures and no other fields"),
        ("a/{x}", "join", "version > 5", "E0172", "a name has captures and no other fields"),
        ("a/{x}", "watch", "x ==", "E0171", "this is not a rule"),
        ("a/{x}", "watch", "", "E0170", "1 to 4096 bytes"),
        ("a/{x}", "watch", "now > '2020-01-01'", "E0200", "let a record of the user give the right"),
        ("a/{x:Project}", "watch", "x.name == 'a'", "E0200", "cannot follow the reference `x`"),
        (
            "a/{x:Project}",
            "watch",
            "x.name == 'a'",
            "E0200",
            "own records instead: `x in user.memberships.project`",
        ),
        ("a/{x:Membership}", "watch", "x.project == 'a'", "E0200", "give the right by one of these records"),
        ("a/{x}", "watch", "exists(Project, p, p.id == x)", "E0200", "knows the captures of its pattern"),
        ("a/{x}", "watch", "Project == x", "E0172", "knows the captures of its pattern"),
    ] {
        let given = texts(&[(pattern, &[(word, rule)])]);
        let faults = with_names(schema(), &given, &NameRuleTexts::default()).unwrap_err();
        let shown = faults.render(Color::Never);
        assert!(
            shown.contains(&format!("error[{code}]")) && shown.contains(words),
            "{pattern} {rule}\n{shown}"
        );
        assert!(shown.contains("[presence]"), "the place is missing: {shown}");
        assert!(!shown.contains("from = ") && !shown.contains("create, update"), "of schema files: {shown}");
    }
    // A room may be called like an entity: only presence follows it.
    let room = texts(&[("Project/{x:Project}", &[("publish", "true")])]);
    assert!(with_names(schema(), &NameRuleTexts::default(), &room).is_ok());
}
