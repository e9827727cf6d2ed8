//! The command line: subcommands and their flags. Parsing only.
//!
//! `arguments/accounts.rs` has those of users and tokens, `arguments/settings.rs` the flags of settings.

mod accounts;
mod settings;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

pub use accounts::{
    LinkArguments, NamedUser, PasswordArguments, TokenArguments, TokenCommand, UserArguments, UserCommand,
};
pub use settings::{EveryFlag, FolderFlags, SchemaFlags, ServedFlags, SettingArguments};

use super::examples::Example;
use super::formats::RowFormat;

/// A database server for web apps. From schema files it serves a database, an HTTP API, live updates and pages.
///
/// Without a subcommand this is `tidewire dev`.
#[derive(Debug, Parser)]
#[command(name = "tidewire", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<CliCommand>,
    /// Those of `dev`, for when no subcommand is named.
    #[command(flatten)]
    pub dev: DevArguments,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Serve the schema files on this machine only: no logins, `?as=NAME` makes the caller any user, and entities without rules are open.
    Dev(DevArguments),
    /// Serve the schema files to other people: users log in, and entities without rules are closed.
    Serve(ServeArguments),
    /// Check the schema files and print every error of every file; exit code 1 if there is one.
    Check(CheckArguments),
    /// Print descriptions of the schema files for tools and editors.
    Schema(SchemaArguments),
    /// Print the effective settings and where each comes from.
    Config(ConfigArguments),
    /// Check this machine and project; with --url, check a running server through its proxy.
    Doctor(DoctorArguments),
    /// Explain an error code, such as E0130, NOT_FOUND or 4013; without one, list them all.
    Explain(ExplainArguments),
    /// Make a new project folder: schema files, a live page, and a settings file with every setting as a comment.
    New(NewArguments),
    /// Write every record of an entity to a file. Works beside a running server.
    Export(ExportArguments),
    /// Import the records of a file into a data folder, or into a running server: all or nothing.
    Import(ImportArguments),
    /// Show or apply the changes that the schema files need in the database.
    Migrate(MigrateArguments),
    /// Change or delete all records that meet conditions, through a running server.
    Records(RecordsGroup),
    /// Make and manage users: accounts, invitations, passwords, roles. Works beside a running server.
    User(UserArguments),
    /// Make and manage tokens of machines, and tokens that guests share. Works beside a running server.
    Token(TokenArguments),
    /// Test the access rules, or explain why a user is allowed something or not.
    Rules(RulesArguments),
    /// Ask a running server why a request was refused, a record is missing in a list, or an event came or did not.
    Why(WhyArguments),
}

#[derive(Debug, Args)]
pub struct WhyArguments {
    /// `REQUEST` of an error, `REQUEST@CONNECTION` of a frame, `REQUEST:RECORD` of a list, or `CONNECTION:SEQ` of an event.
    pub id: String,
    /// Address of the server, as it prints it at its start.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// The administrator who asks, of a server in `dev`: `root:admin`. Other servers take the token in TIDEWIRE_TOKEN.
    #[arg(long = "as", value_name = "NAME[:ROLE]")]
    pub name: Option<String>,
    /// Ask about this user by the rights of now, if nothing is kept of the id.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// With --record: name of the entity, such as Task.
    #[arg(long, value_name = "NAME", requires = "record")]
    pub entity: Option<String>,
    /// With --entity: id of the record.
    #[arg(long, value_name = "ID", requires = "entity")]
    pub record: Option<String>,
    /// What the user would do: read, list, update, delete or lease [default: read]
    #[arg(long, value_name = "WHAT", requires = "entity")]
    pub operation: Option<String>,
    /// Of an event: the channel that is meant, such as entity:Task.
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Print the server's JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Print a JSON array of diagnostics instead of text.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub settings: SettingArguments<SchemaFlags>,
}

#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Name of the entity, such as Task.
    pub entity: String,
    /// Export only what this user may read: an id, or with a role `ada:admin` [default: everything]
    #[arg(long = "as", value_name = "NAME[:ROLE]")]
    pub name: Option<String>,
    /// Format of the file [default: csv for a name that ends in .csv, or else jsonl]
    #[arg(long, value_name = "FORM")]
    pub format: Option<RowFormat>,
    /// File to write; `-` is stdout.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    #[command(flatten)]
    pub settings: SettingArguments<FolderFlags>,
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Name of the entity, such as Task.
    pub entity: String,
    /// File to read; `-` is stdin.
    pub file: PathBuf,
    /// Format of the file [default: csv for a name that ends in .csv, or else jsonl]
    #[arg(long, value_name = "FORM")]
    pub format: Option<RowFormat>,
    /// What to do with a record whose id already exists.
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub on_conflict: OnConflict,
    /// Largest number of records in one change. Live clients see each change as a whole.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub batch: u16,
    /// Import the records that can be imported and skip the others. Commits as it goes.
    #[arg(long)]
    pub partial: bool,
    /// Check everything and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Import through a running server instead of into its folder, such as http://127.0.0.1:8080. More than 500
    /// records need --partial.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// With --url, the user who imports: an id, or with a role `ada:admin` [default: an anonymous caller]
    #[arg(long = "as", value_name = "NAME[:ROLE]", requires = "url")]
    pub name: Option<String>,
    /// Import the file even if it was imported before.
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub settings: SettingArguments<FolderFlags>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnConflict {
    /// Refuse the record, and with it the whole file.
    Fail,
    /// Leave the stored record as it is.
    Skip,
    /// Set the fields that the file has.
    Update,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    #[command(subcommand)]
    pub form: SchemaForm,
}

/// What to print.
#[derive(Debug, Subcommand)]
pub enum SchemaForm {
    /// Print the JSON Schema of schema files, for completion in editors.
    JsonSchema,
    /// Print the OpenAPI document that a server has at /api/openapi.json.
    Openapi(SchemaFormArguments),
    /// Print the TypeScript declarations that a server has at /api/types.d.ts.
    Types(SchemaFormArguments),
}

#[derive(Debug, Args)]
pub struct SchemaFormArguments {
    #[command(flatten)]
    pub settings: SettingArguments<SchemaFlags>,
}

#[derive(Debug, Args)]
pub struct MigrateArguments {
    #[command(subcommand)]
    pub command: Migrate,
}

#[derive(Debug, Subcommand)]
pub enum Migrate {
    /// Print the steps and what prevents them. Changes nothing, and works beside a running server.
    Plan {
        #[command(flatten)]
        allow: AllowArguments,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
    /// Apply the steps, in one transaction. Before values are lost, the database is copied to `backups/` beside it.
    Apply {
        #[command(flatten)]
        allow: AllowArguments,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
    /// Print the state of the database, and whether the schema files fit it.
    Status {
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
}

#[derive(Debug, Args)]
pub struct RecordsGroup {
    #[command(subcommand)]
    pub command: RecordsCommand,
}

#[derive(Debug, Subcommand)]
pub enum RecordsCommand {
    /// Set fields of every record that meets the conditions. Exit code 1 if the rules do not allow it for some of them.
    Update {
        #[command(flatten)]
        arguments: RecordsArguments,
        /// A field to set; may be given several times. A json field takes JSON, an empty value is null.
        #[arg(long, value_name = "FIELD=VALUE", required = true)]
        change: Vec<String>,
    },
    /// Delete every record that meets the conditions. Exit code 1 if the rules do not allow it for some of them.
    Delete {
        #[command(flatten)]
        arguments: RecordsArguments,
    },
}

#[derive(Debug, Args)]
pub struct RecordsArguments {
    /// Name of the entity, such as Task.
    pub entity: String,
    /// Conditions as in the address of a list: status=done, 'priority[gte]=3'. All must be met.
    #[arg(value_name = "CONDITION", required = true)]
    pub conditions: Vec<String>,
    /// Address of the running server, such as http://127.0.0.1:8080. Required.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A folder that no server uses: refused with what to do.
    #[arg(long, value_name = "DIR", hide = true)]
    pub data: Option<PathBuf>,
    /// The user who asks: an id, or with a role `ada:admin` [default: an anonymous caller]
    #[arg(long = "as", value_name = "NAME[:ROLE]")]
    pub name: Option<String>,
    #[command(flatten)]
    pub settings: SettingArguments<SchemaFlags>,
}

#[derive(Debug, Args)]
pub struct RulesArguments {
    #[command(subcommand)]
    pub command: Rules,
}

#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Run the test cases in `tests/` of the schema folder: who may do what. Exit code 1 if one fails.
    Test(RulesTestArguments),
    /// Print whether a user may do something with a record, and why. Works beside a running server. Exit code 0
    /// if they may, 1 if not.
    Why(RulesWhyArguments),
}

#[derive(Debug, Args)]
pub struct RulesTestArguments {
    /// Files of cases [default: every tests/*.toml in the schema folder]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub settings: SettingArguments<SchemaFlags>,
}

#[derive(Debug, Args)]
pub struct RulesWhyArguments {
    /// The user who asks: an id, or with a role `ada:admin` [default: an anonymous caller]
    #[arg(long = "as", value_name = "NAME[:ROLE]")]
    pub name: Option<String>,
    /// With --as, the claims of this user: a JSON object, such as '{"team": "red"}'
    #[arg(long, value_name = "JSON")]
    pub claims: Option<String>,
    /// What the user wants to do.
    pub operation: RuleOperation,
    /// Name of the entity, such as Task.
    pub entity: String,
    /// Id of the record; a create has none.
    pub id: Option<String>,
    /// A field that the create or update sets; may be given several times. A json field takes JSON, an empty value is null.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub change: Vec<String>,
    #[command(flatten)]
    pub settings: SettingArguments<FolderFlags>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuleOperation {
    Read,
    List,
    Create,
    Update,
    Delete,
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
    /// Delete the part of this entity's history that is older than its schema file now says.
    #[arg(long, value_name = "ENTITY")]
    pub allow_forget: Vec<String>,
    /// Delete the records of this entity that are due already: the server does it at its next start.
    #[arg(long, value_name = "ENTITY")]
    pub allow_expire: Vec<String>,
    /// Give this value to the records that have none: `Task.due=2026-01-01`.
    #[arg(long, value_name = "ENTITY.FIELD=VALUE")]
    pub backfill: Vec<String>,
}

#[derive(Debug, Args)]
pub struct DevArguments {
    /// Add the example records that are missing.
    #[arg(long)]
    pub demo: bool,
    /// Serve an example app from a new folder, whose name is printed. To keep it, make a project with `tidewire new`.
    #[arg(long, value_name = "NAME", conflicts_with = "demo")]
    pub example: Option<Example>,
    #[command(flatten)]
    pub settings: SettingArguments<EveryFlag>,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub settings: SettingArguments<EveryFlag>,
}

#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// Print a JSON array: name, value, origin, variable.
    #[arg(long, conflicts_with = "docs")]
    pub json: bool,
    /// Print docs/configuration.md.
    #[arg(long)]
    pub docs: bool,
    #[command(flatten)]
    pub settings: SettingArguments<EveryFlag>,
}

#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Also check a running server at this address, as browsers reach it: through the reverse proxy.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Seconds for which a socket, a stream (/sse) and a long poll are kept open; 25 also finds proxies that time out early.
    /// Where the server lets in only callers with a login, TIDEWIRE_TOKEN is a token for these tests.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(1..=60))]
    pub wait: u64,
    #[command(flatten)]
    pub settings: SettingArguments<EveryFlag>,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The code, in upper or lower case.
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct NewArguments {
    /// Name of the new folder in the working directory.
    pub name: String,
    /// What it begins with.
    #[arg(long, value_name = "NAME", default_value = "todo")]
    pub template: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A list of things to do, in under 40 lines.
    Todo,
    /// Cards, a chat, an activity feed and who is here.
    Board,
    /// A text that several users write, one at a time.
    Drafts,
    /// Teams with invitation links, members and tasks.
    Workspaces,
    /// One entity with one field, and an empty page.
    Blank,
}
