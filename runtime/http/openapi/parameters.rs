//! Parameters: filters and operators of each field, the pieces of a list, and headers of writes.

use serde_json::{Value as Json, json};

use super::columns::{
    Filterable, MOST_LISTED, filterable, group, meaning, operators_of, parameters_of, paths, shown, sort,
};
use super::describer::{Describer, joined, query};
use crate::repository::FilterClass;
use crate::schema::record_schema::{ObjectSchema, id, stored_type};
use crate::schema::{Entity, Field};

/// Most paths of `expand`.
const MOST_PATHS: usize = 10;

/// Most channels of one poll, as long as no setting says otherwise.
pub(super) const MOST_CHANNELS: usize = 50;
/// Most entities of one page of the activity.
const MOST_ENTITIES: usize = 200;
/// `<epoch>:<seq>`
pub(super) const POSITION: &str = "^[0-9a-f]{32}:[0-9]{1,19}$";

/// What `as` means.
const WHO: &str = "The caller is this user; the server does not check it. A role after the last colon, as in `ada:admin`, replaces \
                   that of the `User` record.";

/// What `claims` means.
const CLAIMS: &str = "With `as`: a JSON object, which rules know as `user.claims`.";

/// What `as` may hold: a name of up to 128 characters without a colon, or any name, a colon and a role of up to 64.
fn caller() -> Json {
    let control = "\\u0000-\\u001f\\u007f-\\u009f";
    let pattern = format!("^([^{control}:]{{1,128}}|[^{control}]{{1,128}}:[^{control}\\s:]{{1,64}})$");
    json!({"type": "string", "minLength": 1, "maxLength": 193, "pattern": pattern})
}

impl Describer<'_> {
    pub(super) fn parameter_ref(&self, name: &str) -> Json {
        json!({"$ref": format!("#/components/parameters/{name}")})
    }

    /// Who asks, where the server believes it.
    pub(super) fn caller_parameters(&self) -> [Json; 2] {
        ["as", "claims"].map(|name| self.parameter_ref(name))
    }

    fn add_parameter(&mut self, key: &str, parameter: Json) {
        self.components.parameters.insert(key.to_owned(), parameter);
    }

    /// `Task.status`, `Task.status.ne`: used by the list and by the count.
    pub(super) fn filter_parameters(&mut self, entity: &Entity) {
        for column in filterable(self.schema, entity) {
            for named in parameters_of(entity, &column) {
                self.add_parameter(&named.key, named.parameter);
            }
        }
    }

    fn filters(&self, entity: &Entity) -> Vec<Json> {
        let columns = filterable(self.schema, entity);
        let keys = columns.iter().flat_map(|column| parameters_of(entity, column));
        keys.map(|named| self.parameter_ref(&named.key)).collect()
    }

    pub(super) fn list_parameters(&self, entity: &Entity) -> Vec<Json> {
        let mut parameters = vec![sort(entity), self.parameter_ref("limit"), self.parameter_ref("cursor")];
        parameters.extend(self.read_shape(entity));
        parameters.extend(self.search(entity));
        parameters.extend(self.caller_parameters());
        parameters.extend(self.filters(entity));
        parameters
    }

    pub(super) fn count_parameters(&self, entity: &Entity) -> Vec<Json> {
        let mut parameters = vec![group(entity)];
        parameters.extend(self.search(entity));
        parameters.extend(self.caller_parameters());
        parameters.extend(self.filters(entity));
        parameters
    }

    /// At least one of the filters must be there, which no description of parameters can say.
    pub(super) fn many_parameters(&self, entity: &Entity) -> Vec<Json> {
        let own = [self.parameter_ref("cursor")].into_iter().chain(self.filters(entity));
        self.write_parameters(&own.collect::<Vec<_>>())
    }

    /// The parameters of a list as the members of a body.
    pub(super) fn query_body(&self, entity: &Entity) -> ObjectSchema {
        let paged = ["limit", "cursor"].map(|name| {
            query(
                name,
                "As the parameter in the address.",
                match name {
                    "limit" => self.limit(),
                    _ => json!({"type": "string"}),
                },
            )
        });
        let words =
            [sort(entity)].into_iter().chain(paged).chain(self.read_shape(entity)).chain(self.search(entity));
        let about = format!("A query of {}: each member is a parameter of the list.", entity.plural);
        self.question(entity, &about, words.collect())
    }

    pub(super) fn count_body(&self, entity: &Entity) -> ObjectSchema {
        let words = [group(entity)].into_iter().chain(self.search(entity));
        let about =
            format!("A query of the number of {}: each member is a parameter of the count.", entity.plural);
        self.question(entity, &about, words.collect())
    }

    /// A column is asked by a value, by null, or by operators.
    fn question(&self, entity: &Entity, about: &str, words: Vec<Json>) -> ObjectSchema {
        let mut question = ObjectSchema::new(about);
        for word in words {
            let mut schema = word["schema"].clone();
            schema["description"] = word["description"].clone();
            question = question.with_optional(word["name"].as_str().unwrap_or_default(), schema);
        }
        for Filterable { name, value, class } in filterable(self.schema, entity) {
            let mut operators = ObjectSchema::new("By operator.");
            for operator in operators_of(class) {
                let mut operand = operator.operand(value.clone());
                operand["description"] =
                    json!(if operator.word == "in" { "One of these." } else { meaning(operator.word) });
                operators = operators.with_optional(operator.word, operand);
            }
            let mut operators = json!(operators);
            operators["minProperties"] = json!(1);
            let asked = match class {
                FilterClass::Opaque => json!({"anyOf": [{"type": "null"}, operators]}),
                FilterClass::Text | FilterClass::Name | FilterClass::Number | FilterClass::Flag => {
                    json!({"anyOf": [value, {"type": "null"}, operators]})
                }
            };
            question = question.with_optional(&name, asked);
        }
        question
    }

    fn limit(&self) -> Json {
        json!({"type": "integer", "minimum": 1, "maximum": self.limits.list_max, "default": self.limits.list_default})
    }

    pub(super) fn read_parameters(&self, entity: &Entity) -> Vec<Json> {
        let mut parameters = vec![self.id_parameter(entity)];
        parameters.extend(self.read_shape(entity));
        parameters.extend(self.caller_parameters());
        parameters
    }

    pub(super) fn find_parameters(&self, entity: &Entity, field: &Field) -> Vec<Json> {
        let description = format!("The value of `{}`, percent-encoded.", field.name);
        let schema = stored_type(self.schema, &field.kind);
        let mut parameters = vec![
            json!({"name": "value", "in": "path", "required": true, "description": description, "schema": schema}),
        ];
        parameters.extend(self.read_shape(entity));
        parameters.extend(self.caller_parameters());
        parameters
    }

    /// Only where there is something to search in.
    fn search(&self, entity: &Entity) -> Option<Json> {
        let fields: Vec<&str> =
            entity.fields.iter().filter(|field| field.search).map(|field| &*field.name).collect();
        let description = format!(
            "Words that all occur, each as a beginning, in {}: at least one with a letter or digit, at most 20.",
            fields.join(", ")
        );
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 256});
        (!fields.is_empty()).then(|| query("search", &description, schema))
    }

    /// `fields` and `expand`.
    fn read_shape(&self, entity: &Entity) -> Vec<Json> {
        let names: Vec<&str> = ["id", "version"]
            .into_iter()
            .chain(shown(entity).map(|field| &*field.name))
            .chain(["created_at", "updated_at"])
            .collect();
        let schema = json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": "string", "enum": names}});
        let mut shape = vec![joined(query("fields", "Only these fields, with id and version.", schema))];
        let paths = paths(self.schema, entity);
        if !paths.is_empty() {
            let item = match paths.len() <= MOST_LISTED {
                true => json!({"type": "string", "enum": paths}),
                false => json!({"type": "string", "pattern": "^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*){0,2}$"}),
            };
            let schema = json!({"type": "array", "minItems": 1, "maxItems": MOST_PATHS, "items": item});
            let description = "Adds the records that these refs name, in `expanded`.";
            shape.push(joined(query("expand", description, schema)));
        }
        shape
    }

    pub(super) fn write_parameters(&self, own: &[Json]) -> Vec<Json> {
        [own, &[self.parameter_ref("Idempotency-Key")], &self.caller_parameters()].concat()
    }

    pub(super) fn activity_parameters(&self) -> Vec<Json> {
        let entity = query(
            "entity",
            "Of these entities alone: `Task,Comment`.",
            json!({"type": "array", "minItems": 1, "maxItems": MOST_ENTITIES, "items": {"type": "string"}}),
        );
        let before = query(
            "before",
            "Begin with the entry before this one: the `next` of the page before, or the `seq` of an entry.",
            json!({"type": "integer", "minimum": 0}),
        );
        vec![self.parameter_ref("limit"), before, joined(entity), self.parameter_ref("as")]
    }

    pub(super) fn presence_parameters(&self) -> Vec<Json> {
        let resource = json!({
            "name": "resource",
            "in": "path",
            "required": true,
            "description": "Its name with its slashes, each part percent-encoded: `Task/<id>`.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 512},
        });
        let after = query(
            "after",
            "Begin behind this user: the `next` of the page before.",
            json!({"type": "string"}),
        );
        let count = query("count", "Only how many are there.", json!({"type": "boolean"}));
        vec![resource, self.parameter_ref("limit"), after, count, self.parameter_ref("as")]
    }

    pub(super) fn presence_tree_parameters(&self) -> Vec<Json> {
        let under = query("under", "Only this resource and those below it.", json!({"type": "string"}));
        vec![self.parameter_ref("limit"), under, self.parameter_ref("as")]
    }

    pub(super) fn poll_parameters(&self) -> Vec<Json> {
        let texts = |most: usize| json!({"type": "array", "minItems": 1, "maxItems": most, "items": {"type": "string"}});
        let since = json!({"type": "string", "pattern": POSITION});
        let channel = query(
            "channel",
            "`entity:Task`, `entity:Task:<id>` or `activity`; once for each channel.",
            texts(MOST_CHANNELS),
        );
        let view = query(
            "view",
            "The view of each channel, in the same order, or none at all.",
            texts(MOST_CHANNELS),
        );
        let wait = query(
            "wait",
            "Seconds to wait for the first event.",
            json!({"type": "integer", "minimum": 0, "maximum": 25, "default": 0}),
        );
        let mut required = channel;
        required["required"] = json!(true);
        vec![
            required,
            view,
            query(
                "since",
                "The client has every change up to this position. Without it the answer says where to begin.",
                since,
            ),
            wait,
            self.parameter_ref("as"),
            self.parameter_ref("claims"),
        ]
    }

    pub(super) fn stream_parameters(&self) -> Vec<Json> {
        let texts =
            json!({"type": "array", "minItems": 1, "maxItems": MOST_CHANNELS, "items": {"type": "string"}});
        let channel =
            query("channel", "`entity:Task` or `entity:Task:<id>`; once for each channel.", texts.clone());
        let of_each = |name, what: &str| {
            query(name, &format!("{what} of each channel, in the same order, or none at all."), texts.clone())
        };
        let since = json!({"type": "string", "pattern": POSITION});
        let id = json!({"name": "Last-Event-ID", "in": "header", "description": "The last `id` of an earlier stream; it outranks `since`.", "schema": {"type": "string"}});
        vec![
            channel,
            query("since", "Resume every channel from this position.", since),
            query("snapshot", "Begin with the records.", json!({"type": "boolean", "default": false})),
            of_each("view", "The view"),
            of_each("sort", "The order of the first records"),
            of_each("limit", "How many first records"),
            id,
            self.parameter_ref("as"),
            self.parameter_ref("claims"),
        ]
    }

    pub(super) fn id_parameter(&self, entity: &Entity) -> Json {
        json!({"name": "id", "in": "path", "required": true, "description": format!("The {}'s id.", entity.name), "schema": id(entity.id_kind)})
    }

    pub(super) fn shared_parameters(&mut self) {
        let header = |name: &str, description: &str, schema: Json| json!({"name": name, "in": "header", "description": description, "schema": schema});
        let limit = self.limit();
        let mid = json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"});
        let tag = json!({"anyOf": [
            {"type": "string", "pattern": "^(W/)?\"(0|[1-9][0-9]{0,17})(--?(gzip|br|zstd|deflate))?\"$"},
            {"type": "string", "enum": ["*"]},
        ]});
        let parameters = [
            ("limit", query("limit", "Most records in a page.", limit)),
            (
                "cursor",
                query(
                    "cursor",
                    "`next` of the page before, of the same list or history: sort, filters and search unchanged.",
                    json!({"type": "string"}),
                ),
            ),
            ("as", query("as", WHO, caller())),
            (
                "claims",
                query("claims", CLAIMS, json!({"type": "string", "pattern": "^\\s*\\{", "maxLength": 4096})),
            ),
            (
                "Idempotency-Key",
                header(
                    "Idempotency-Key",
                    "A request that is sent again with the same key is done only once.",
                    mid,
                ),
            ),
            (
                "If-Lease",
                header(
                    "If-Lease",
                    "The number of the lease under which the caller writes. The request is refused if they do not hold it.",
                    json!({"type": "integer", "minimum": 1}),
                ),
            ),
            (
                "If-Match",
                header(
                    "If-Match",
                    "The record's ETag. The request is refused if the record has another version.",
                    tag,
                ),
            ),
        ];
        for (key, parameter) in parameters {
            self.add_parameter(key, parameter);
        }
    }
}
