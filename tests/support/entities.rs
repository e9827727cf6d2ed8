//! The entities of the stories: the plain ones in small, and `Sample` with a field for every type and constraint.

use std::sync::Arc;

use tidewire::schema::{
    Delay, Entity, Field, FieldDefault, FieldKind, IdKind, OnDelete, Pattern, Schema, Value,
};

fn text(max: u64) -> FieldKind {
    FieldKind::Text { min: None, max: Some(max), pattern: None }
}

fn one_of(values: &[&str]) -> FieldKind {
    FieldKind::Enum { values: values.iter().map(|value| (*value).into()).collect() }
}

fn reference(entity: &str, on_delete: OnDelete) -> FieldKind {
    FieldKind::Ref { entity: entity.into(), on_delete }
}

fn field(name: &str, kind: FieldKind) -> Field {
    Field::new(name, kind)
}

fn required(name: &str, kind: FieldKind) -> Field {
    Field { required: true, ..field(name, kind) }
}

fn with_default(name: &str, kind: FieldKind, default: FieldDefault) -> Field {
    Field { default: Some(default), ..field(name, kind) }
}

fn value(text: &str) -> FieldDefault {
    FieldDefault::Value(Value::Text(text.to_owned()))
}

fn entity(name: &str, plural: &str, fields: Vec<Field>) -> Entity {
    Entity::new(name, plural, fields)
}

pub fn schema() -> Arc<Schema> {
    let user = Entity {
        id_kind: IdKind::Text,
        ..entity(
            "User",
            "users",
            vec![
                field("name", text(128)),
                field("role", text(64)),
                with_default("disabled", FieldKind::Bool, FieldDefault::Value(Value::Bool(false))),
            ],
        )
    };
    let project = entity("Project", "projects", vec![required("name", text(200))]);
    let comment = entity(
        "Comment",
        "comments",
        vec![
            required("body", text(2000)),
            required("task", reference("Task", OnDelete::Cascade)),
            with_default("author", reference("User", OnDelete::SetNull), FieldDefault::UserId),
        ],
    );
    Arc::new(Schema::new([user, project, task(), comment, sample()]))
}

fn task() -> Entity {
    let priority = FieldKind::Int { min: Some(1), max: Some(5) };
    entity(
        "Task",
        "tasks",
        vec![
            required("title", text(200)),
            with_default("status", one_of(&["open", "doing", "done"]), value("open")),
            with_default("priority", priority, FieldDefault::Value(Value::Int(3))),
            field("due", FieldKind::Date),
            field("project", reference("Project", OnDelete::Cascade)),
            with_default("owner", reference("User", OnDelete::SetNull), FieldDefault::UserId),
            field("tags", FieldKind::Json),
        ],
    )
}

fn sample() -> Entity {
    let code = Some(Pattern(regex::Regex::new("^[a-z]{2,4}$").unwrap()));
    let stamped =
        |name, kind| Field { readonly: true, ..with_default(name, kind, FieldDefault::Now(Delay::NONE)) };
    entity(
        "Sample",
        "samples",
        vec![
            Field {
                unique: true,
                ..field("code", FieldKind::Text { min: Some(2), max: Some(4), pattern: code })
            },
            field("count", FieldKind::Int { min: Some(0), max: Some(10) }),
            field("ratio", FieldKind::Float { min: Some(0.0), max: Some(1.0) }),
            field("on", FieldKind::Bool),
            field("day", FieldKind::Date),
            field("at", FieldKind::Datetime),
            field("token", FieldKind::Uuid),
            field("extra", FieldKind::Json),
            field("keeper", reference("Project", OnDelete::Restrict)),
            stamped("stamp", FieldKind::Datetime),
            stamped("stamp_day", FieldKind::Date),
        ],
    )
}
