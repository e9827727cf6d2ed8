//! The OpenAPI 3.1 document of this server: every operation, for every entity of the schema.
//!
//! `operations.rs` is the one list of operations; here they become paths, and what they share becomes components. Says
//! what the routes do and does nothing itself.

mod admin;
mod answers;
mod auth;
mod bodies;
mod columns;
mod describer;
mod inspect;
mod messages;
mod operations;
mod parameters;
mod sessions;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::config::HttpConfig;
use crate::schema::{Schema, own_name};
use describer::{Components, Describer};
use operations::OperationObject;

/// The document. Members keep the order in which people read them.
#[derive(Debug, Serialize)]
pub struct OpenApi {
    openapi: &'static str,
    info: Json,
    tags: Vec<Json>,
    paths: IndexMap<String, IndexMap<&'static str, OperationObject>>,
    components: Components,
}

/// Why the document can always be written.
const KEYS: &str = "the keys of the document are texts";

/// Describes a server with this schema and these limits.
pub fn openapi(schema: &Schema, limits: &HttpConfig) -> OpenApi {
    let mut describer = Describer { schema, limits, components: Components::default() };
    describer.shared_parts();
    let mut paths: IndexMap<String, IndexMap<&'static str, OperationObject>> = IndexMap::new();
    for (method, path, operation) in describer.operations() {
        paths.entry(path).or_default().insert(method, operation);
    }
    OpenApi {
        openapi: "3.1.0",
        info: json!({
            "title": "Tidewire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records of the entities in this server's schema files. Everything is JSON; errors are \
                            application/problem+json. No token is accepted yet: a request that brings one is refused.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        }),
        tags: tags(schema),
        paths,
        components: describer.components,
    }
}

impl OpenApi {
    /// As it is served.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect(KEYS)
    }

    /// As it is printed for people.
    pub fn to_pretty_text(&self) -> String {
        serde_json::to_string_pretty(self).expect(KEYS) + "\n"
    }
}

impl Describer<'_> {
    /// Everything that operations refer to and that is not made on the way.
    fn shared_parts(&mut self) {
        self.answer_parts();
        let entities: Vec<_> = self.schema.entities().cloned().collect();
        for entity in &entities {
            self.entity_bodies(entity);
            self.filter_parameters(entity);
        }
        self.shared_bodies(&entities);
        self.auth_bodies();
        self.admin_bodies();
        self.inspect_bodies();
        self.message_bodies();
        self.session_bodies();
        self.shared_parameters();
    }
}

fn tags(schema: &Schema) -> Vec<Json> {
    let entities = schema.entities().map(|entity| {
        json!({"name": entity.name, "description": format!("The records at /api/{}.", entity.plural)})
    });
    let rest = [
        ("Several", "Writes of several records and entities in one request."),
        ("Changes", "The change log, by polling."),
        ("Messages", "What reaches live connections and is stored nowhere."),
        ("About", "What this server is and how it is."),
    ];
    let rest =
        rest.map(|(name, description)| json!({"name": own_name(schema, name), "description": description}));
    entities.chain(rest).collect()
}
