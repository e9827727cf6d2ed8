//! The steps. In `Flags` and `Never` the last record of the watched entity is deleted on the way, to see that everything continues.

use super::{How, Step, take};

const TASK: &str = "Task";

/// Each step is a test of its own.
macro_rules! steps {
    ($($name:ident { $($key:ident: $value:expr),* $(,)? })*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            take(Step { $($key: $value,)* ..BLANK }).await;
        })*
    };
}

const BLANK: Step = Step { before: &[], after: &[], rows: &[], how: How::Live, entity: TASK, then: "[]" };

macro_rules! task {
    ($($line:literal)*) => { concat!("entity = 'Task'\n[fields]\n", $($line, "\n"),*) };
}

const TITLE: &str = task!("title = { type = 'text' }");
const USERS: &str = "entity = 'User'\n";
const PROJECT: &str = "entity = 'Project'\n[fields]\nname = { type = 'text' }\n";
const TEAM: &str = "entity = 'Team'\n[fields]\nname = { type = 'text' }\n";

steps! {
    // What loses nothing.
    an_optional_field_is_added {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "due = { type = 'date' }")],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a", "due": null}]"#,
    }
    a_field_with_a_default_is_added_and_filled {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "n = { type = 'int', required = true, default = 3 }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#)],
        then: r#"[{"title": "a", "n": 3}, {"title": "b", "n": 3}]"#,
    }
    values_that_are_normal_stay_as_they_are {
        before: &[task!("title = { type = 'text' }")],
        after: &[task!("title = { type = 'text', normalize = ['trim', 'nfc', 'lower'] }")],
        rows: &[("tasks", r#"{"title": "ada"}"#), ("tasks", r#"{}"#)],
        then: r#"[{"title": "ada"}, {"title": null}]"#,
    }
    a_unique_text_comes_to_ignore_case_where_no_two_are_alike {
        before: &[task!("title = { type = 'text', unique = true }")],
        after: &[task!("title = { type = 'text', unique = true, ignore_case = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "B"}"#)],
        then: r#"[{"title": "a"}, {"title": "B"}]"#,
    }
    a_text_that_ignored_case_no_longer_does_and_has_another_name {
        before: &[task!("title = { type = 'text', unique = true, ignore_case = true }")],
        after: &[task!("name = { type = 'text', unique = true, was = 'title' }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "B"}"#)],
        then: r#"[{"name": "a"}, {"name": "B"}]"#,
    }
    a_text_that_ignores_case_gets_another_name {
        before: &[task!("title = { type = 'text', unique = true, ignore_case = true }")],
        after: &[task!("name = { type = 'text', unique = true, ignore_case = true, was = 'title' }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "B"}"#)],
        then: r#"[{"name": "a"}, {"name": "B"}]"#,
    }
    a_unique_field_without_values_is_added {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "code = { type = 'text', unique = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#)],
        then: r#"[{"title": "a", "code": null}, {"title": "b", "code": null}]"#,
    }
    a_required_field_is_added_to_an_entity_without_records {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "n = { type = 'int', required = true }")],
    }
    an_entity_is_added {
        before: &[TITLE],
        after: &[TITLE, PROJECT],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_reference_to_a_new_entity_is_added {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "project = { type = 'ref', entity = 'Project' }"), PROJECT],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a", "project": null}]"#,
    }
    records_are_numbered_in_the_order_in_which_they_were_made {
        before: &[task!("title = { type = 'text' }" "kind = { type = 'text' }")],
        after: &[task!("title = { type = 'text' }" "kind = { type = 'text' }" "n = { type = 'int', sequence = 'kind' }" "all = { type = 'int', sequence = true }")],
        rows: &[("tasks", r#"{"title": "a", "kind": "x"}"#), ("tasks", r#"{"title": "b", "kind": "y"}"#), ("tasks", r#"{"title": "c", "kind": "x"}"#), ("tasks", r#"{"title": "d"}"#)],
        then: r#"[{"title": "a", "kind": "x", "n": 1, "all": 1}, {"title": "b", "kind": "y", "n": 1, "all": 2}, {"title": "c", "kind": "x", "n": 2, "all": 3}, {"title": "d", "kind": null, "n": null, "all": 4}]"#,
    }
    numbers_that_are_there_stay_and_others_follow {
        before: &[task!("kind = { type = 'text' }" "n = { type = 'int' }" "last = { type = 'int' }")],
        after: &[task!("kind = { type = 'text' }" "n = { type = 'int', sequence = 'kind' }" "last = { type = 'int' }")],
        rows: &[("tasks", r#"{"kind": "x"}"#), ("tasks", r#"{"kind": "x", "n": 7}"#), ("tasks", r#"{"kind": "x", "n": 7}"#), ("tasks", r#"{"kind": "x"}"#), ("tasks", r#"{"n": 5}"#)],
        then: r#"[{"kind": "x", "n": 8, "last": null}, {"kind": "x", "n": 7, "last": null}, {"kind": "x", "n": 7, "last": null}, {"kind": "x", "n": 9, "last": null}, {"kind": null, "n": 5, "last": null}]"#,
    }
    a_copy_of_a_number_is_filled_after_it {
        before: &["entity = 'Task'\n[fields]\ntitle = { type = 'text' }\nabove = { type = 'ref', entity = 'Task' }\n"],
        after: &["entity = 'Task'\n[fields]\ntitle = { type = 'text' }\nabove = { type = 'ref', entity = 'Task' }\nn = { type = 'int', sequence = true }\nm = { type = 'int', from = 'above.n' }\n"],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b", "above": "@1"}"#)],
        then: r#"[{"title": "a", "above": null, "n": 1, "m": null}, {"title": "b", "above": "@1", "n": 2, "m": 1}]"#,
    }
    an_index_is_added {
        before: &[TITLE],
        after: &[concat!("entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n", "[[index]]\nfields = ['title']\n")],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    an_index_is_dropped {
        before: &[concat!("entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n", "[[index]]\nfields = ['title']\n")],
        after: &[TITLE],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_rule_is_changed {
        before: &[TITLE],
        after: &[concat!("entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n", "[access]\nread = 'true'\ncreate = 'true'\nupdate = 'true'\ndelete = 'true'\n")],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_limit_is_tightened_for_later_writes {
        before: &[TITLE],
        after: &[task!("title = { type = 'text', max = 2 }")],
        rows: &[("tasks", r#"{"title": "long"}"#)],
        then: r#"[{"title": "long"}]"#,
    }
    an_enum_value_is_added {
        before: &[task!("s = { type = 'enum', values = ['a'] }")],
        after: &[task!("s = { type = 'enum', values = ['b', 'a'] }")],
        rows: &[("tasks", r#"{"s": "a"}"#)],
        then: r#"[{"s": "a"}]"#,
    }
    an_unused_enum_value_is_taken_out {
        before: &[task!("s = { type = 'enum', values = ['a', 'b'] }")],
        after: &[task!("s = { type = 'enum', values = ['a'] }")],
        rows: &[("tasks", r#"{"s": "a"}"#)],
        then: r#"[{"s": "a"}]"#,
    }
    a_required_field_becomes_optional {
        before: &[task!("title = { type = 'text', required = true }")],
        after: &[TITLE],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_field_that_every_record_has_becomes_required {
        before: &[TITLE],
        after: &[task!("title = { type = 'text', required = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_field_without_doubles_becomes_unique {
        before: &[TITLE],
        after: &[task!("title = { type = 'text', unique = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": null}"#), ("tasks", r#"{"title": null}"#)],
        then: r#"[{"title": "a"}, {"title": null}, {"title": null}]"#,
    }
    fields_without_doubles_become_unique_together {
        before: &["entity = 'Task'\n[fields]\nr = { type = 'text' }\nnumber = { type = 'int' }\n"],
        after: &["entity = 'Task'\n[fields]\nrow = { type = 'text', was = 'r' }\nnumber = { type = 'int' }\n[[unique]]\nfields = ['row', 'number']\n"],
        rows: &[("tasks", r#"{"r": "a", "number": 1}"#), ("tasks", r#"{"r": "a", "number": 2}"#), ("tasks", r#"{"r": null, "number": 1}"#), ("tasks", r#"{"r": null, "number": 1}"#)],
        then: r#"[{"row": "a", "number": 1}, {"row": "a", "number": 2}, {"row": null, "number": 1}, {"row": null, "number": 1}]"#,
    }
    a_unique_field_becomes_common {
        before: &[task!("title = { type = 'text', unique = true }")],
        after: &[TITLE],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    fields_change_places {
        before: &[task!("a = { type = 'int' }" "b = { type = 'int' }")],
        after: &[task!("b = { type = 'int' }" "a = { type = 'int' }")],
        rows: &[("tasks", r#"{"a": 1, "b": 2}"#)],
        then: r#"[{"b": 2, "a": 1}]"#,
    }
    a_field_is_renamed {
        before: &[TITLE],
        after: &[task!("name = { type = 'text', was = 'title' }")],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"name": "a"}]"#,
    }
    a_unique_and_indexed_field_is_renamed {
        before: &[concat!("entity = 'Task'\n[fields]\nt = { type = 'text', unique = true }\n", "[[index]]\nfields = ['t']\n")],
        after: &[concat!("entity = 'Task'\n[fields]\nu = { type = 'text', unique = true, was = 't' }\n", "[[index]]\nfields = ['u']\n")],
        rows: &[("tasks", r#"{"t": "a"}"#)],
        then: r#"[{"u": "a"}]"#,
    }
    an_entity_is_renamed_and_references_follow {
        before: &[task!("p = { type = 'ref', entity = 'Project' }"), PROJECT],
        after: &[
            task!("p = { type = 'ref', entity = 'Board' }"),
            "entity = 'Board'\nwas = 'Project'\n[fields]\nname = { type = 'text' }\n",
        ],
        rows: &[("projects", r#"{"name": "x"}"#), ("tasks", r#"{"p": "@1"}"#)],
        then: r#"[{"p": "@1"}]"#,
    }
    an_entity_is_renamed_under_a_client_that_watches_it {
        before: &[PROJECT],
        after: &["entity = 'Board'\nwas = 'Project'\n[fields]\nname = { type = 'text' }\n"],
        rows: &[("projects", r#"{"name": "x"}"#)],
        entity: "Board",
        then: r#"[{"name": "x"}]"#,
    }
    a_plural_is_changed {
        before: &[TITLE],
        after: &["entity = 'Task'\nplural = 'todos'\n[fields]\ntitle = { type = 'text' }\n"],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    two_entities_exchange_their_plurals {
        before: &[TITLE, PROJECT],
        after: &[
            "entity = 'Task'\nplural = 'projects'\n[fields]\ntitle = { type = 'text' }\n",
            "entity = 'Project'\nplural = 'tasks'\n[fields]\nname = { type = 'text' }\n",
        ],
        rows: &[("tasks", r#"{"title": "a"}"#), ("projects", r#"{"name": "x"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    an_int_becomes_a_float {
        before: &[task!("n = { type = 'int' }")],
        after: &[task!("n = { type = 'float' }")],
        rows: &[("tasks", r#"{"n": 3}"#)],
        then: r#"[{"n": 3.0}]"#,
    }
    a_date_becomes_a_datetime {
        before: &[task!("d = { type = 'date' }")],
        after: &[task!("d = { type = 'datetime' }")],
        rows: &[("tasks", r#"{"d": "2026-11-21"}"#), ("tasks", r#"{"d": null}"#)],
        then: r#"[{"d": "2026-11-21T00:00:00.000Z"}, {"d": null}]"#,
    }
    everything_but_json_becomes_text_by_itself {
        before: &[task!(
            "a = { type = 'int' }" "b = { type = 'bool' }" "c = { type = 'float' }" "d = { type = 'enum', values = ['x'] }"
        )],
        after: &[task!("a = { type = 'text' }" "b = { type = 'text' }" "c = { type = 'text' }" "d = { type = 'text' }")],
        rows: &[("tasks", r#"{"a": -7, "b": true, "c": 1.5, "d": "x"}"#)],
        then: r#"[{"a": "-7", "b": "true", "c": "1.5", "d": "x"}]"#,
    }
    a_field_without_values_takes_any_type {
        before: &[task!("a = { type = 'json' }" "b = { type = 'int' }")],
        after: &[task!("a = { type = 'date' }" "b = { type = 'int' }")],
        rows: &[("tasks", r#"{"b": 1}"#)],
        then: r#"[{"a": null, "b": 1}]"#,
    }
    a_field_without_values_is_dropped {
        before: &[task!("a = { type = 'text' }" "b = { type = 'int' }")],
        after: &[task!("b = { type = 'int' }")],
        rows: &[("tasks", r#"{"b": 1}"#)],
        then: r#"[{"b": 1}]"#,
    }
    an_entity_without_records_is_dropped_under_a_client_that_watches_it {
        before: &[TITLE, PROJECT],
        after: &[TITLE],
        rows: &[("tasks", r#"{"title": "a"}"#)],
        then: r#"[{"title": "a"}]"#,
    }
    a_field_is_added_to_the_users {
        before: &[TITLE, USERS],
        after: &[TITLE, "entity = 'User'\n[fields]\nteam = { type = 'text', default = 'x' }\n"],
        rows: &[("users", r#"{"id": "ada", "name": "Ada"}"#)],
        entity: "User",
        then: r#"[{"name": "Ada", "role": null, "disabled": false, "team": "x"}]"#,
    }

    // What the operator must allow.
    a_field_with_values_is_dropped {
        before: &[task!("a = { type = 'text' }" "b = { type = 'int' }")],
        after: &[task!("b = { type = 'int' }")],
        rows: &[("tasks", r#"{"a": "x", "b": 1}"#), ("tasks", r#"{"b": 2}"#)],
        how: How::Flags { told: &["--allow-drop Task.a"], given: &["--allow-drop Task.a"] },
        then: r#"[{"b": 1}]"#,
    }
    an_indexed_and_unique_field_with_values_is_dropped {
        before: &[concat!(
            "entity = 'Task'\n[fields]\na = { type = 'text', unique = true }\nb = { type = 'int' }\n",
            "[[index]]\nfields = ['a', 'b']\n"
        )],
        after: &[task!("b = { type = 'int' }")],
        rows: &[("tasks", r#"{"a": "x", "b": 1}"#), ("tasks", r#"{"b": 2}"#)],
        how: How::Flags { told: &["--allow-drop Task.a"], given: &["--allow-drop Task.a"] },
        then: r#"[{"b": 1}]"#,
    }
    an_entity_with_records_is_dropped {
        before: &[TITLE, PROJECT],
        after: &[PROJECT],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#), ("projects", r#"{"name": "x"}"#)],
        how: How::Flags { told: &["--allow-drop Task"], given: &["--allow-drop Task"] },
    }
    a_text_becomes_an_int_where_all_values_convert {
        before: &[task!("n = { type = 'text' }")],
        after: &[task!("n = { type = 'int' }")],
        rows: &[("tasks", r#"{"n": "42"}"#), ("tasks", r#"{"n": "-1"}"#), ("tasks", r#"{"n": "9"}"#)],
        how: How::Flags { told: &["--allow-retype Task.n"], given: &["--allow-retype Task.n"] },
        then: r#"[{"n": 42}, {"n": -1}]"#,
    }
    a_text_becomes_an_int_where_some_values_do_not_convert {
        before: &[task!("n = { type = 'text' }")],
        after: &[task!("n = { type = 'int' }")],
        rows: &[("tasks", r#"{"n": "42"}"#), ("tasks", r#"{"n": "many"}"#), ("tasks", r#"{"n": "9"}"#)],
        how: How::Flags { told: &["--allow-clear Task.n"], given: &["--allow-clear Task.n"] },
        then: r#"[{"n": 42}, {"n": null}]"#,
    }
    what_does_not_convert_gets_the_default {
        before: &[task!("n = { type = 'text' }")],
        after: &[task!("n = { type = 'int', required = true, default = 5 }")],
        rows: &[("tasks", r#"{"n": "42"}"#), ("tasks", r#"{"n": "many"}"#), ("tasks", r#"{"n": "9"}"#)],
        how: How::Flags { told: &["--allow-clear Task.n"], given: &["--allow-clear Task.n"] },
        then: r#"[{"n": 42}, {"n": 5}]"#,
    }
    a_used_enum_value_is_taken_out {
        before: &[task!("s = { type = 'enum', values = ['a', 'b'] }")],
        after: &[task!("s = { type = 'enum', values = ['a'], default = 'a' }")],
        rows: &[("tasks", r#"{"s": "a"}"#), ("tasks", r#"{"s": "b"}"#), ("tasks", r#"{"s": "b"}"#)],
        how: How::Flags { told: &["--allow-clear Task.s"], given: &["--allow-clear Task.s"] },
        then: r#"[{"s": "a"}, {"s": "a"}]"#,
    }
    a_renamed_field_is_retyped_as_well {
        before: &[task!("n = { type = 'text' }")],
        after: &[task!("m = { type = 'bool', was = 'n' }")],
        rows: &[("tasks", r#"{"n": "true"}"#), ("tasks", r#"{"n": "0"}"#), ("tasks", r#"{"n": "1"}"#)],
        how: How::Flags { told: &["--allow-retype Task.m"], given: &["--allow-clear Task.m"] },
        then: r#"[{"m": true}, {"m": false}]"#,
    }
    a_text_becomes_a_reference_where_it_leads_somewhere {
        before: &[task!("p = { type = 'text' }"), PROJECT],
        after: &[task!("p = { type = 'ref', entity = 'Project' }"), PROJECT],
        rows: &[
            ("projects", r#"{"name": "x"}"#),
            ("tasks", r#"{"p": "@1"}"#),
            ("tasks", r#"{"p": "01900000-0000-7000-8000-000000000000"}"#),
            ("tasks", r#"{"p": null}"#),
        ],
        how: How::Flags { told: &["--allow-clear Task.p"], given: &["--allow-clear Task.p"] },
        then: r#"[{"p": "@1"}, {"p": null}]"#,
    }
    a_reference_leads_to_another_entity {
        before: &[task!("p = { type = 'ref', entity = 'Project' }"), PROJECT, TEAM],
        after: &[task!("p = { type = 'ref', entity = 'Team' }"), PROJECT, TEAM],
        rows: &[
            ("projects", r#"{"name": "x"}"#),
            ("teams", r#"{"id": "01900000-0000-7000-8000-000000000001", "name": "y"}"#),
            ("projects", r#"{"id": "01900000-0000-7000-8000-000000000001", "name": "z"}"#),
            ("tasks", r#"{"p": "@1"}"#),
            ("tasks", r#"{"p": "@3"}"#),
            ("tasks", r#"{"p": "@1"}"#),
        ],
        how: How::Flags { told: &["--allow-clear Task.p"], given: &["--allow-clear Task.p"] },
        then: r#"[{"p": null}, {"p": "01900000-0000-7000-8000-000000000001"}]"#,
    }
    a_required_field_is_added_with_a_backfill {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "due = { type = 'date', required = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#)],
        how: How::Flags { told: &["--backfill Task.due=VALUE"], given: &["--backfill Task.due=2026-01-01"] },
        then: r#"[{"title": "a", "due": "2026-01-01"}]"#,
    }
    an_optional_field_becomes_required_with_a_backfill {
        before: &[TITLE],
        after: &[task!("title = { type = 'text', required = true, default = \"it's\" }")],
        rows: &[("tasks", r#"{"title": null}"#), ("tasks", r#"{"title": "b"}"#), ("tasks", r#"{"title": "c"}"#)],
        how: How::Flags { told: &[r"--backfill Task.title='it'\''s'"], given: &["--backfill Task.title=it's"] },
        then: r#"[{"title": "it's"}, {"title": "b"}]"#,
    }
    several_steps_are_allowed_together {
        before: &[task!("a = { type = 'text' }" "b = { type = 'text' }" "c = { type = 'int' }")],
        after: &[task!("b = { type = 'int' }" "d = { type = 'int', was = 'c' }" "e = { type = 'bool', required = true }")],
        rows: &[("tasks", r#"{"a": "x", "b": "1", "c": 7}"#), ("tasks", r#"{"a": "y"}"#)],
        how: How::Flags {
            told: &["--allow-drop Task.a", "--allow-retype Task.b", "--backfill Task.e=VALUE"],
            given: &["--allow-drop Task.a", "--allow-retype Task.b", "--backfill Task.e=false"],
        },
        then: r#"[{"b": 1, "d": 7, "e": false}]"#,
    }

    a_field_without_values_becomes_a_lookup {
        before: &[task!("p = { type = 'ref', entity = 'Project' }" "name = { type = 'text' }"), PROJECT],
        after: &[task!("p = { type = 'ref', entity = 'Project' }" "name = { type = 'text', from = 'p.name' }"), PROJECT],
        rows: &[("projects", r#"{"name": "x"}"#), ("tasks", r#"{"p": "@1"}"#), ("tasks", r#"{"p": null}"#)],
        then: r#"[{"p": "@1", "name": "x"}, {"p": null, "name": null}]"#,
    }
    a_field_with_values_becomes_a_lookup {
        before: &[task!("p = { type = 'ref', entity = 'Project' }" "name = { type = 'text' }"), PROJECT],
        after: &[task!("p = { type = 'ref', entity = 'Project' }" "name = { type = 'text', from = 'p.name' }"), PROJECT],
        rows: &[("projects", r#"{"name": "x"}"#), ("tasks", r#"{"p": "@1", "name": "y"}"#), ("tasks", r#"{"p": null}"#)],
        how: How::Flags { told: &["--allow-clear Task.name"], given: &["--allow-clear Task.name"] },
        then: r#"[{"p": "@1", "name": "x"}]"#,
    }
    what_a_lookup_copies_changes_its_type {
        before: &[
            task!("p = { type = 'ref', entity = 'Project' }" "size = { type = 'text', from = 'p.size' }"),
            "entity = 'Project'\n[fields]\nsize = { type = 'text' }\n",
        ],
        after: &[
            task!("p = { type = 'ref', entity = 'Project' }" "size = { type = 'int', from = 'p.size' }"),
            "entity = 'Project'\n[fields]\nsize = { type = 'int' }\n",
        ],
        rows: &[("projects", r#"{"size": "3"}"#), ("tasks", r#"{"p": "@1"}"#), ("tasks", r#"{"p": null}"#)],
        how: How::Flags { told: &["--allow-retype Project.size"], given: &["--allow-retype Project.size"] },
        then: r#"[{"p": "@1", "size": 3}]"#,
    }

    a_rename_takes_the_place_of_a_field_that_goes {
        before: &[task!("a = { type = 'int' }" "b = { type = 'int' }")],
        after: &[task!("b = { type = 'int', was = 'a' }")],
        rows: &[("tasks", r#"{"a": 1}"#), ("tasks", r#"{"a": 2}"#)],
        then: r#"[{"b": 1}, {"b": 2}]"#,
    }
    a_rename_takes_the_place_of_a_field_with_values {
        before: &[task!("a = { type = 'int' }" "b = { type = 'int' }")],
        after: &[task!("b = { type = 'int', was = 'a' }")],
        rows: &[("tasks", r#"{"a": 1, "b": 7}"#), ("tasks", r#"{"a": 2}"#)],
        how: How::Flags { told: &["--allow-drop Task.b"], given: &["--allow-drop Task.b"] },
        then: r#"[{"b": 1}]"#,
    }
    a_rename_takes_the_place_of_an_entity_that_goes {
        before: &[TITLE, PROJECT],
        after: &["entity = 'Task'\nwas = 'Project'\n[fields]\nname = { type = 'text' }\n"],
        rows: &[("projects", r#"{"name": "x"}"#)],
        then: r#"[{"name": "x"}]"#,
    }
    a_lookup_is_taken_out {
        before: &[task!("p = { type = 'ref', entity = 'Project' }" "name = { type = 'text', from = 'p.name' }"), PROJECT],
        after: &[task!("p = { type = 'ref', entity = 'Project' }"), PROJECT],
        rows: &[("projects", r#"{"name": "x"}"#), ("tasks", r#"{"p": "@1"}"#)],
        then: r#"[{"p": "@1"}]"#,
    }
    what_does_not_convert_and_has_no_default_needs_two_words {
        before: &[task!("n = { type = 'text' }")],
        after: &[task!("n = { type = 'int', required = true }")],
        rows: &[("tasks", r#"{"n": "1"}"#), ("tasks", r#"{"n": "many"}"#), ("tasks", r#"{"n": "2"}"#)],
        how: How::Flags { told: &["--allow-clear Task.n"], given: &["--allow-clear Task.n", "--backfill Task.n=9"] },
        then: r#"[{"n": 1}, {"n": 9}]"#,
    }

    // What no flag allows.
    a_field_with_doubles_does_not_become_unique {
        before: &[TITLE],
        after: &[task!("title = { type = 'text', unique = true }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#)],
        how: How::Never(&["Task.title: make the field unique", "2 records have `a`", "leave `unique` out"]),
    }
    values_are_normalised_by_a_command {
        before: &[task!("title = { type = 'text' }")],
        after: &[task!("title = { type = 'text', normalize = ['trim', 'lower'] }")],
        rows: &[("tasks", r#"{"title": " Ada"}"#), ("tasks", r#"{"title": "ben"}"#), ("tasks", r#"{"title": "X"}"#)],
        how: How::Flags { told: &["--allow-retype Task.title"], given: &["--allow-retype Task.title"] },
        then: r#"[{"title": "ada"}, {"title": "ben"}]"#,
    }
    values_that_become_the_same_are_not_normalised {
        before: &[task!("title = { type = 'text', unique = true }")],
        after: &[task!("title = { type = 'text', unique = true, normalize = ['lower'] }")],
        rows: &[("tasks", r#"{"title": "Ada"}"#), ("tasks", r#"{"title": "ADA"}"#), ("tasks", r#"{"title": "x"}"#)],
        how: How::Never(&["Task.title: normalize its values: lower", "two records would have `ada`", "leave `normalize` out"]),
    }
    doubles_in_another_case_do_not_become_unique {
        before: &[task!("title = { type = 'text', unique = true }")],
        after: &[task!("title = { type = 'text', unique = true, ignore_case = true }")],
        rows: &[("tasks", r#"{"title": "Straße"}"#), ("tasks", r#"{"title": "STRASSE"}"#), ("tasks", r#"{"title": "b"}"#), ("tasks", r#"{"title": "x"}"#)],
        how: How::Never(&["Task.title: make the field unique, whatever the case of its letters", "2 records have `STRASSE`, `Straße` or the like", "leave `ignore_case` out"]),
    }
    doubles_in_another_case_do_not_become_unique_together {
        before: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int' }\n[[unique]]\nfields = ['row', 'number']\n"],
        after: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int' }\n[[unique]]\nfields = ['number', 'row']\nignore_case = true\n"],
        rows: &[("tasks", r#"{"row": "a", "number": 1}"#), ("tasks", r#"{"row": "A", "number": 1}"#), ("tasks", r#"{"row": "a", "number": 2}"#), ("tasks", r#"{"row": "x"}"#)],
        how: How::Never(&["make `number`, `row` unique together, whatever the case of their letters", "2 records have `1`, `A`, in any case"]),
    }
    fields_with_doubles_do_not_become_unique_together {
        before: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int' }\n"],
        after: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int' }\n[[unique]]\nfields = ['row', 'number']\n"],
        rows: &[("tasks", r#"{"row": "a", "number": 1}"#), ("tasks", r#"{"row": "a", "number": 1}"#), ("tasks", r#"{"row": "a", "number": 2}"#)],
        how: How::Never(&["Task: make `row`, `number` unique together", "2 records have `a`, `1`", "leave `[[unique]]` out"]),
    }
    a_new_field_with_a_default_makes_doubles_together {
        before: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\n"],
        after: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int', default = 1 }\n[[unique]]\nfields = ['row', 'number']\n"],
        rows: &[("tasks", r#"{"row": "a"}"#), ("tasks", r#"{"row": "a"}"#), ("tasks", r#"{"row": "b"}"#)],
        how: How::Never(&["make `row`, `number` unique together", "2 records have `a`"]),
    }
    values_that_are_converted_are_not_made_unique_together_at_once {
        before: &["entity = 'Task'\n[fields]\nrow = { type = 'text' }\nnumber = { type = 'int' }\n"],
        after: &["entity = 'Task'\n[fields]\nrow = { type = 'int' }\nnumber = { type = 'int' }\n[[unique]]\nfields = ['row', 'number']\n"],
        rows: &[("tasks", r#"{"row": "1", "number": 1}"#), ("tasks", r#"{"row": "01", "number": 1}"#)],
        how: How::Never(&["the values of `row` change in the same step", "leave this `[[unique]]` out, start once"]),
    }
    there_must_be_numbers_left {
        before: &[task!("title = { type = 'text' }" "n = { type = 'int' }")],
        after: &[task!("title = { type = 'text' }" "n = { type = 'int', sequence = true }")],
        rows: &[("tasks", r#"{"n": 9007199254740991}"#), ("tasks", "{}")],
        how: How::Never(&["Task.n: number the records", "there are no numbers left after 9007199254740991", "smaller numbers"]),
    }
    values_that_become_equal_do_not_become_unique {
        before: &[TITLE],
        after: &[task!("title = { type = 'int', unique = true }")],
        rows: &[("tasks", r#"{"title": "1"}"#), ("tasks", r#"{"title": "01"}"#), ("tasks", r#"{"title": "2"}"#)],
        how: How::Never(&["values occur more than once", "two records would have `1`"]),
    }
    one_default_does_not_fill_a_unique_field {
        before: &[TITLE],
        after: &[task!("title = { type = 'text' }" "n = { type = 'int', unique = true, default = 1 }")],
        rows: &[("tasks", r#"{"title": "a"}"#), ("tasks", r#"{"title": "b"}"#)],
        how: How::Never(&["2 records would get the same value", "without `unique` and without a default"]),
    }
}
