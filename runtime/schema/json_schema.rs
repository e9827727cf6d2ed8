//! The JSON Schema of schema files, by which editors complete and underline them: `tidewire schema json-schema`.
//!
//! Draft 7, which editors know best. It says what one file may look like; what only all files together tell (unknown
//! entities, labels that are no fields, patterns that do not compile) stays with `tidewire check`.

use serde_json::{Map, Value as Json, json};

use super::builtin;
use super::check::{MOST_FIELDS, MOST_INDEXES, MOST_RATE, words};
use super::model::OnDelete;
use super::text_step::TextStep;
use crate::env::RANDOM_TEXT;

/// The whole schema.
pub fn json_schema() -> Json {
    let mut root = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tidewire schema file",
        "description": "One file describes one entity (docs/schema.md).",
        "type": "object",
        "required": ["entity"],
        "additionalProperties": false,
        "if": {"properties": {"entity": {"const": "User"}}, "required": ["entity"]},
        "then": user(),
        "else": {"required": ["fields"], "properties": {"fields": {"minProperties": 1}}},
        "definitions": {"field": field()},
    });
    root["properties"] = entity_keys();
    root
}

fn entity_keys() -> Json {
    let pascal = format!("^[A-Z][A-Za-z0-9]{{0,{}}}$", words::LONGEST - 1);
    json!({
        "$schema": text("Where this file's JSON Schema is, for editors."),
        "entity": {
            "description": "The entity's name in PascalCase. A file for `User` adds fields to the built-in entity.",
            "type": "string",
            "pattern": pascal,
        },
        "plural": {
            "description": "Segment of the address, /api/tasks. Default: the name in snake_case and an s.",
            "type": "string",
            "pattern": snake(),
            "not": {"anyOf": [{"enum": words::API_WORDS}, {"pattern": "^sqlite_"}]},
        },
        "label": text("The field that names a record to people: a text, enum, date, datetime or uuid."),
        "fields": {
            "description": "The fields of a record, in order.",
            "type": "object",
            "maxProperties": MOST_FIELDS,
            "propertyNames": field_name(),
            "additionalProperties": {"$ref": "#/definitions/field"},
        },
        "history": {
            "description": "How long changes are kept for the history of a record: 90d, 12h or forever.",
            "type": "string",
            "pattern": "^(forever|0*[1-9][0-9]{0,5}[dh])$",
        },
        "activity": {
            "description": "Whether GET /api/activity tells of changes to these records. Default: true.",
            "type": "boolean",
        },
        "rate": {
            "description": "Events go out to each channel in at most so many batches a second. Default: at once.",
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_RATE,
        },
        "lease": {
            "description": "required: a client changes and deletes these records only while it holds their leases.",
            "enum": ["required"],
        },
        "was": {
            "description": "The name that the entity had before it was renamed.",
            "type": "string",
            "pattern": pascal,
        },
        "expires": text("The datetime field after whose moment the server deletes a record."),
        "access": access(),
        "on": {
            "description": "What the server does with other records after an operation on one of these.",
            "type": "array",
            "maxItems": words::MOST_TRIGGERS,
            "items": on(),
        },
        "unique": {
            "description": "Fields of which no two records have the same values. A record in which one of them is empty is not compared.",
            "type": "array",
            "maxItems": words::MOST_UNIQUE,
            "uniqueItems": true,
            "items": {
                "type": "object",
                "required": ["fields"],
                "additionalProperties": false,
                "properties": {
                    "fields": {
                        "type": "array",
                        "minItems": 2,
                        "uniqueItems": true,
                        "items": {"type": "string", "not": {"enum": words::RECORD_FIELDS}},
                    },
                    "ignore_case": {
                        "description": "Texts among them are the same if only the case of their letters differs.",
                        "type": "boolean",
                        "default": false,
                    },
                },
            },
        },
        "index": {
            "description": "Indexes for lists that filter by the first fields and sort by the next.",
            "type": "array",
            "maxItems": MOST_INDEXES,
            "uniqueItems": true,
            "items": {
                "type": "object",
                "required": ["fields"],
                "additionalProperties": false,
                "properties": {
                    "fields": {
                        "type": "array",
                        "minItems": 1,
                        "uniqueItems": true,
                        "items": {"type": "string", "not": {"enum": ["id", "version"]}},
                    },
                },
            },
        },
    })
}

/// `tidewire check` reports which other keys an action takes.
fn on() -> Json {
    let event = json!({"description": "After what.", "type": "string", "enum": words::EVENTS});
    let value = json!({"description": "A field, old.field, user.id, now, a constant in quotes, or texts joined by +.", "type": ["string", "number", "boolean", "null"]});
    json!({
        "type": "object",
        "required": ["event"],
        "additionalProperties": false,
        "properties": {
            "event": event,
            "when": rule("Only where this holds: an expression such as changed(status) && status == 'done'."),
            "create": text("The entity of which a record is created."),
            "update": text("The entity of which records are changed."),
            "delete": text("The entity of which records are deleted."),
            "where": rule("By what they are found, as in target.id == task."),
            "set": {
                "description": "The fields of the record and their values.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": value,
            },
            "exists": {
                "description": "Create nothing where a record with the same unique values is there.",
                "type": "string",
                "enum": ["skip"],
            },
        },
        "oneOf": words::EVENTS.iter().map(|act| json!({"required": [act]})).collect::<Vec<_>>(),
    })
}

fn snake() -> String {
    format!("^[a-z][a-z0-9_]{{0,{}}}$", words::LONGEST - 1)
}

fn field_name() -> Json {
    let reserved = [words::RECORD_FIELDS, words::ANSWER_WORDS, words::JS_WORDS].concat();
    json!({"type": "string", "pattern": snake(), "not": {"enum": reserved}})
}

/// What a file may not do with the built-in entity. Its records are made when a user is first seen, so no field may
/// wait for a value.
fn user() -> Json {
    let mut built_in: Vec<String> =
        builtin::user().fields.iter().map(|field| field.name.to_string()).collect();
    built_in.extend(words::USER_WORDS.iter().map(|word| (*word).to_owned()));
    json!({
        "properties": {
            "plural": false,
            "label": false,
            "was": false,
            "fields": {
                "propertyNames": {"not": {"enum": built_in}},
                "additionalProperties": {
                    "allOf": [when("required", true, json!({"required": ["default"]}))],
                    "properties": {"identity": {"const": false}},
                },
            },
        },
    })
}

/// A rule for objects in which a key has a value.
fn when(key: &str, value: impl Into<Json>, then: Json) -> Json {
    let value: Json = value.into();
    json!({"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then})
}

fn access() -> Json {
    let rules: Map<String, Json> = words::OPERATIONS
        .iter()
        .map(|operation| {
            let description = format!("Who may {operation}: an expression such as user != null.");
            ((*operation).to_owned(), rule(&description))
        })
        .collect();
    json!({
        "description": "The rule of each operation; without a rule it is denied (docs/schema.md).",
        "type": "object",
        "additionalProperties": false,
        "properties": rules,
    })
}

fn rule(description: &str) -> Json {
    let mut rule = text(description);
    rule["pattern"] = json!("\\S");
    rule["maxLength"] = json!(words::LONGEST_RULE);
    rule
}

/// One entry of `[fields]`: every key with its words, then what goes with which type.
fn field() -> Json {
    let mut rules: Vec<Json> = words::TYPES.iter().map(|word| of_type(word)).collect();
    rules.push(json!({
        "if": {
            "properties": {"required": {"const": true}, "readonly": {"const": true}},
            "required": ["required", "readonly"],
        },
        "then": {"required": ["default"]},
    }));
    let unique = json!({"required": ["unique"], "properties": {"unique": {"const": true}}});
    rules.push(when("find", true, unique.clone()));
    rules.push(when("ignore_case", true, unique));
    let no_null = json!({"properties": {"on_delete": {"not": {"const": OnDelete::SetNull.word()}}}});
    rules.push(when("required", true, no_null));
    let not_for_lookups: Map<String, Json> =
        words::NOT_FOR_LOOKUPS.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
    rules.push(json!({"if": {"required": ["from"]}, "then": {"properties": not_for_lookups}}));
    let not_for_sequences: Map<String, Json> =
        words::NOT_FOR_SEQUENCES.iter().map(|key| ((*key).to_owned(), json!(false))).collect();
    rules.push(json!({
        "if": {"required": ["sequence"], "properties": {"sequence": {"not": {"const": false}}}},
        "then": {"properties": not_for_sequences},
    }));
    rules.push(when("hidden", true, json!({"properties": {"search": {"const": false}, "read": false}})));
    rules.push(json!({"if": {"required": ["read"]}, "then": {"properties": {"search": {"const": false}}}}));
    // A random text has 32 letters, and which they are no pattern can say.
    let random = json!({"properties": {"pattern": false, "min": {"maximum": RANDOM_TEXT}, "max": {"minimum": RANDOM_TEXT}}});
    rules.push(when("default", "random", random));
    rules.push(when("identity", true, json!({"properties": {"entity": {"const": builtin::USER}}})));
    // Ids are UUIDs, but for those of users.
    rules.push(json!({
        "if": {
            "properties": {"type": {"const": "ref"}, "entity": {"not": {"const": builtin::USER}}},
            "required": ["type"],
        },
        "then": {"properties": {"default": default_of("uuid")}},
    }));
    json!({
        "type": "object",
        "required": ["type"],
        "additionalProperties": false,
        "properties": field_keys(),
        "allOf": rules,
    })
}

fn field_keys() -> Json {
    let flag = |description: &str| json!({"description": description, "type": "boolean", "default": false});
    json!({
        "type": {"description": "The type of the values.", "type": "string", "enum": words::TYPES},
        "required": flag("Never null."),
        "unique": flag("No two records have the same value; nulls are not compared."),
        "normalize": {
            "description": "What is done to a text before it is stored. The order makes no difference.",
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "items": {"type": "string", "enum": TextStep::ALL.map(TextStep::word)},
        },
        "ignore_case": flag("With `unique`: texts are the same if only the case of their letters differs."),
        "find": flag("GET /api/{plural}/by/{field}/{value} finds the record; needs `unique`."),
        "readonly": flag("Clients may not set it. With `required` it needs a default."),
        "default": {"description": "The value of a field that a create leaves out."},
        "min": {"description": "Smallest value; for text the fewest characters.", "type": "number"},
        "max": {"description": "Largest value; for text the most characters.", "type": "number"},
        "pattern": text("A regular expression that must be found somewhere in the value; ^…$ for the whole value."),
        "values": {
            "description": "The values of an enum.",
            "type": "array",
            "minItems": 1,
            "maxItems": words::MOST_VALUES,
            "uniqueItems": true,
            "items": {
                "type": "string",
                "minLength": 1,
                "maxLength": words::LONGEST_VALUE,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
            },
        },
        "from": {
            "description": "A lookup: the value of that field of the record that a ref names, as in task.project.",
            "type": "string",
            "pattern": "^[^.]+[.][^.]+$",
        },
        "was": {"description": "The name that the field had before it was renamed.", "allOf": [field_name()]},
        "search": flag("?search= looks into it."),
        "sequence": {
            "description": "The server numbers the records 1, 2, 3...: those with the same value in the named field, or with true all of the entity.",
            "anyOf": [{"type": "boolean"}, field_name()],
        },
        "read": rule("Who may see this field, if they may see the record: an expression such as owner == user.id."),
        "hidden": flag("Hidden from every user."),
        "identity": flag("Of several refs to `User`, the one that says which user a record belongs to."),
        "entity": text("The entity referred to, its own among them."),
        "on_delete": {
            "description": "What a delete of the record referred to does to this one.",
            "type": "string",
            "enum": OnDelete::ALL.map(OnDelete::word),
            "default": OnDelete::Restrict.word(),
        },
    })
}

/// Which keys go with a type, and what its bounds and default may be.
fn of_type(word: &str) -> Json {
    let mut properties = Map::new();
    for (key, types) in words::KEYS_OF_TYPES {
        if !types.contains(&word) {
            properties.insert((*key).to_owned(), json!(false));
        }
    }
    let bound = match word {
        "text" => Some(json!({"type": "integer", "minimum": 0})),
        "int" => Some(whole()),
        _ => None,
    };
    if let Some(bound) = bound {
        properties.insert("min".to_owned(), bound.clone());
        properties.insert("max".to_owned(), bound);
    }
    if word == "json" {
        properties.insert("unique".to_owned(), json!({"const": false}));
        properties.insert("from".to_owned(), json!(false));
    }
    properties.insert("default".to_owned(), default_of(word));
    let required = match word {
        "enum" => json!(["values"]),
        "ref" => json!(["entity"]),
        _ => json!([]),
    };
    when("type", word, json!({"properties": properties, "required": required}))
}

fn default_of(word: &str) -> Json {
    match word {
        "int" => whole(),
        "float" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "json" => json!({"not": {"type": "null"}}),
        "uuid" => {
            let uuid = "[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}";
            json!({"type": "string", "pattern": format!("^(urn:uuid:|[{{])?{uuid}[}}]?$")})
        }
        "date" => {
            json!({"type": "string", "pattern": "^(now( *[+] *0*[1-9][0-9]{0,9}[smhdw])?|[0-9]{4}-[0-9]{2}-[0-9]{2})$"})
        }
        "datetime" => {
            let moment = "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?";
            json!({"type": "string", "pattern": format!("^(now( *[+] *0*[1-9][0-9]{{0,9}}[smhdw])?|{moment}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}}))$")})
        }
        _ => json!({"type": "string", "pattern": "^[^\\u0000]*$"}),
    }
}

fn whole() -> Json {
    json!({"type": "integer", "minimum": words::SMALLEST_INT, "maximum": words::LARGEST_INT})
}

fn text(description: &str) -> Json {
    json!({"description": description, "type": "string"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &Json) -> Vec<&str> {
        json.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    fn sorted<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut words: Vec<&str> = words.into_iter().collect();
        words.sort_unstable();
        words
    }

    #[test]
    fn an_editor_knows_every_key_that_the_checker_knows() {
        let schema = json_schema();
        assert_eq!(sorted(names(&schema["properties"])), sorted(words::ENTITY_KEYS.iter().copied()));
        let of_types = words::KEYS_OF_TYPES.iter().map(|(key, _)| *key);
        let of_fields = sorted(words::COMMON_KEYS.iter().copied().chain(of_types));
        assert_eq!(sorted(names(&schema["definitions"]["field"]["properties"])), of_fields);
        let on = &schema["properties"]["on"]["items"]["properties"];
        assert_eq!(sorted(names(on)), sorted(words::ON_KEYS.iter().copied()));
    }
}
