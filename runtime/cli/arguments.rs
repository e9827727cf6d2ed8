//! The command line: subcommands, flags, and the environment variables behind them. Parsing only.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Config;

/// Entity sync from schema files: a database, a live API, channels and pages in one binary.
///
/// Without a subcommand this is `tidewire dev`.
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Those of `dev`, for when no subcommand is named.
    #[command(flatten)]
    pub dev: DevArguments,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the schemas on this machine: everybody who reaches the port may do everything.
    Dev(DevArguments),
    /// Check the schema files and print every error of every file; exit code 1 if there is one.
    Check(CheckArguments),
    /// Print what the schema files make: descriptions for tools and editors.
    Schema(SchemaArguments),
    /// Show or make the changes that the schema files ask of the records.
    Migrate(MigrateArguments),
}

#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// Folder of the schema files.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_SCHEMAS", default_value = "schemas")]
    pub schemas: PathBuf,
    /// Print a JSON array of diagnostics instead of text.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SchemaArguments {
    #[command(subcommand)]
    pub form: SchemaForm,
}

/// What to print.
#[derive(Debug, Clone, Subcommand)]
pub enum SchemaForm {
    /// The JSON Schema of schema files, by which editors complete them.
    JsonSchema,
    /// The OpenAPI document that the server answers at /api/openapi.json.
    Openapi(SchemasArgument),
    /// The TypeScript declarations that the server answers at /api/types.d.ts.
    Types(SchemasArgument),
}

#[derive(Debug, Clone, Args)]
pub struct SchemasArgument {
    /// Folder of the schema files.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_SCHEMAS", default_value = "schemas")]
    pub schemas: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct MigrateArguments {
    #[command(subcommand)]
    pub command: Migrate,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Migrate {
    /// Print the steps, and what stands in their way; changes nothing, also beside a running server.
    Plan {
        #[command(flatten)]
        folders: Folders,
        #[command(flatten)]
        allow: AllowArguments,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Take the steps, in one transaction; before values are lost, the database is copied to `backups/` in the data folder.
    Apply {
        #[command(flatten)]
        folders: Folders,
        #[command(flatten)]
        allow: AllowArguments,
    },
    /// Print where the database stands and whether the schema files fit it.
    Status {
        #[command(flatten)]
        folders: Folders,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// Where schemas and records are.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Folders {
    /// Folder of the schema files.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_SCHEMAS", default_value = "schemas")]
    pub schemas: PathBuf,
    /// Folder of the database.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_DATA", default_value = "data")]
    pub data: PathBuf,
}

/// What may happen to records. Each may be given several times.
#[derive(Debug, Clone, Default, Args)]
pub struct AllowArguments {
    /// Drop this entity with its records, or this field with its values: `Task` or `Task.notes`.
    #[arg(long, value_name = "NAME")]
    pub allow_drop: Vec<String>,
    /// Convert the values of this field to its new type, when all of them convert.
    #[arg(long, value_name = "ENTITY.FIELD")]
    pub allow_retype: Vec<String>,
    /// Convert the values of this field, and empty those that do not convert, or give them the field's default.
    #[arg(long, value_name = "ENTITY.FIELD")]
    pub allow_clear: Vec<String>,
    /// Give this value to the records that have none: `Task.due=2026-01-01`.
    #[arg(long, value_name = "ENTITY.FIELD=VALUE")]
    pub backfill: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct DevArguments {
    /// Folder of the schema files.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_SCHEMAS", default_value = "schemas")]
    pub schemas: PathBuf,
    /// Folder of the database; made when missing.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_DATA", default_value = "data")]
    pub data: PathBuf,
    /// Folder of your own pages, served at `/` when it exists.
    #[arg(long, value_name = "DIR", env = "TIDEWIRE_PUBLIC", default_value = "public")]
    pub public: PathBuf,
    /// Address to listen on; loopback only. Port 0 takes any free port.
    #[arg(long, value_name = "ADDR", env = "TIDEWIRE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Add the demo rows that are missing.
    #[arg(long)]
    pub demo: bool,
    /// Form of the log on stderr. TIDEWIRE_LOG filters it, as in `TIDEWIRE_LOG=tidewire=debug`.
    #[arg(long, value_name = "FORM", env = "TIDEWIRE_LOG_FORM", default_value = "text")]
    pub log: LogForm,
    /// Most sockets at once. Requests have 1,024 connections of their own beside them.
    #[arg(long, value_name = "N", env = "TIDEWIRE_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_connections: usize,
    /// Most sockets of one user. Anonymous sockets are outside this cap.
    #[arg(long, value_name = "N", env = "TIDEWIRE_MAX_CONNECTIONS_PER_USER", default_value_t = 20, value_parser = at_least_one)]
    pub max_connections_per_user: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    Text,
    Json,
}

impl DevArguments {
    /// The settings that these arguments make, defaults for the rest.
    pub fn config(&self) -> Config {
        let mut config = Config {
            schemas: self.schemas.clone(),
            data: self.data.clone(),
            public: self.public.clone(),
            listen: self.listen,
            ..Config::default()
        };
        config.realtime.connections = self.max_connections;
        config.realtime.connections_per_user = self.max_connections_per_user;
        config
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "write a whole number from 1 on".to_owned())
}
