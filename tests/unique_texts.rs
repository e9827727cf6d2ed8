//! What descriptions of an API say of values that must be unique: in OpenAPI, in TypeScript, alone and together with others.

use std::sync::Arc;

use serde_json::Value;
use tidewire::schema::Schema;

use crate::support::app::TestApp;
use crate::support::ruled;

const SEAT: &str = r#"
entity = "Seat"
[fields]
room = { type = "text", required = true }
row = { type = "int" }
place = { type = "int" }
code = { type = "text", unique = true }
note = { type = "text" }
[[unique]]
fields = ["room", "row", "place"]
[[unique]]
fields = ["room", "note"]
[access]
read = "true"
create = "true"
"#;

fn schema() -> Arc<Schema> {
    ruled::schema_with(&[("seat.toml", SEAT)])
}

/// By field, what must be said of it.
const SAID: [(&str, &str); 5] = [
    ("room", "Unique together with row, place. Unique together with note."),
    ("row", "Unique together with room, place."),
    ("place", "Unique together with room, row."),
    ("code", "Unique."),
    ("note", "Unique together with room."),
];

#[tokio::test]
async fn descriptions_say_which_fields_are_unique_together() {
    let app = TestApp::over(schema(), |_| {}).await;
    let openapi = app.client().get("/api/openapi.json").await;
    for component in ["Seat", "SeatCreate", "SeatReplace", "SeatUpdate"] {
        let properties = &openapi["components"]["schemas"][component]["properties"];
        for (field, said) in SAID {
            let description = properties[field]["description"].as_str().unwrap_or_default();
            assert!(description.contains(said), "{component}.{field}: {description}");
        }
        assert_eq!(
            openapi["components"]["schemas"]["Board"]["properties"]["title"]["description"],
            Value::Null
        );
    }
    let answer = app.client().call("GET", "/api/types.d.ts", Value::Null).await;
    let lines: Vec<&str> = answer.text.lines().collect();
    for (field, said) in SAID {
        let declared = |line: &&str| {
            let name = line.trim().trim_start_matches("readonly ").split([':', '?']).next();
            name == Some(field)
        };
        let places: Vec<usize> = (0..lines.len()).filter(|at| declared(&lines[*at])).collect();
        assert_eq!(places.len(), 3, "{field} is in a record, a create and an update");
        for at in places {
            assert!(lines[at - 1].contains(said), "{field}: {}", lines[at - 1]);
        }
    }
}
