//! What subcommands begin with: the schema files, one entity of them, and the person of `--as`; and how a subcommand says that it cannot continue.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::USAGE;
use crate::auth::{AuthError, Credentials, identify};
use crate::ids::shown;
use crate::repository::suggestion;
use crate::rules::Person;
use crate::schema::{self, Color, Entity, Schema};

/// Why a subcommand ended without doing what it was asked.
#[derive(Debug)]
pub(super) struct Refused {
    message: String,
    code: u8,
}

impl Refused {
    pub(super) fn failed(message: impl Into<String>) -> Refused {
        Refused { message: format!("error: {}", message.into()), code: 1 }
    }

    pub(super) fn usage(message: impl Into<String>) -> Refused {
        Refused { message: format!("error: {}", message.into()), code: USAGE }
    }

    /// What was rendered already.
    pub(super) fn said(message: String) -> Refused {
        Refused { message, code: 1 }
    }

    /// Prints why, and answers with the exit code.
    pub(super) fn tell(self) -> ExitCode {
        let _ = writeln!(std::io::stderr(), "{}", self.message.trim_end());
        ExitCode::from(self.code)
    }
}

/// The schema of a folder, and the entity of it that a subcommand names.
pub(super) struct NamedEntity {
    pub(super) schema: Arc<Schema>,
    pub(super) entity: Arc<Entity>,
}

/// Reads the schema of a folder, and finds the entity of that name.
pub(super) fn entity(schemas: &Path, name: &str) -> Result<NamedEntity, Refused> {
    let color = if std::io::stderr().is_terminal() { Color::Always } else { Color::Never };
    let loaded = schema::load(schemas).map_err(|errors| Refused::said(errors.render(color)))?;
    let schema = Arc::new(loaded.schema);
    match schema.entity(name).cloned() {
        Some(entity) => Ok(NamedEntity { schema, entity }),
        None => Err(Refused::usage(unknown(&schema, name))),
    }
}

pub(super) fn unknown(schema: &Schema, name: &str) -> String {
    let names: Vec<&str> = schema.entities().map(|entity| &*entity.name).collect();
    let meant = match schema.by_plural(name) {
        Some(entity) => Some(&*entity.name),
        None => suggestion(name, names.iter().copied()),
    };
    let mut message = format!("there is no entity `{}`", shown(name));
    if let Some(meant) = meant {
        message.push_str(&format!("; did you mean `{meant}`?"));
    }
    format!("{message}\nThe schema files have: {}", names.join(", "))
}

/// `ada`, `ada:admin`, as `?as=` takes them.
pub(super) fn person(name: Option<&str>) -> Result<Arc<Person>, Refused> {
    person_with(name, None)
}

/// The same with claims, a JSON object.
pub(super) fn person_with(name: Option<&str>, claims: Option<&str>) -> Result<Arc<Person>, Refused> {
    let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let identity = identify(&Credentials { name, claims, address });
    let bad = |error: AuthError| {
        let words = error.to_string().replace("?as=", "--as ").replace("`as`", "--as");
        Refused::usage(words.replace("`claims`", "--claims").replace(", percent-encoded", ""))
    };
    identity.map(|identity| identity.person()).map_err(bad)
}
