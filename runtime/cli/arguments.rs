//! The command line: subcommands and their flags. Parsing only.
//!
//! Flags that set something come from the table of settings; that table decides what their values mean.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, FromArgMatches, Parser, Subcommand, ValueEnum,
    value_parser,
};

use super::examples::Example;
use super::formats::RowFormat;
use super::settings::{FILE_VARIABLE, Flag, Given, SETTINGS, Setting};
use crate::config::Config;

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
pub struct TokenArguments {
    #[command(subcommand)]
    pub command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, once. A name can have two valid tokens, so that one can replace the other.
    Issue {
        /// Name of the machine, or of the page that guests open.
        name: String,
        /// Make a token that guests share: it names no user, and rules see the role `guest`. Without it the token is for a machine.
        #[arg(long, conflicts_with_all = ["role", "publish"])]
        shared: bool,
        /// Role of the machine, as rules know it: `user.role`.
        #[arg(long)]
        role: Option<String>,
        /// Rooms and users that the machine may publish to, such as `room:project/*` or `user:*`. May be given several times.
        #[arg(long, value_name = "PATTERN")]
        publish: Vec<String>,
        /// Days until the token expires [default: it lasts until it is revoked]
        #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=3650))]
        days: Option<u16>,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
    /// List the tokens: name, id, kind, role, patterns, age. Never the secrets, which are stored as hashes only.
    List {
        /// Print a JSON array instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
    /// End the tokens of a name, or one of them. Their connections are closed within a second.
    Revoke {
        name: String,
        /// Id of the token, as `tidewire token list` prints it [default: all of this name]
        id: Option<String>,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
}

#[derive(Debug, Args)]
pub struct UserArguments {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account. Without --password-stdin, print a link by which its user sets the password.
    Add {
        #[command(flatten)]
        named: NamedUser,
        /// Role of the user, such as admin.
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// List the accounts.
    List {
        /// Print a JSON array instead of text.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: SettingArguments<FolderFlags>,
    },
    /// Make the accounts of a CSV file with the columns `name` and `role`, and print a link for each user. If the file has
    /// a mistake, it makes none.
    Import {
        /// The file. `-` is stdin, where the list may have a column `password` too.
        file: PathBuf,
        /// Check the file, and make nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        link: LinkArguments,
        #[command(flatten)]
        settings: SettingArguments<ServedFlags>,
    },
    /// Give accounts to the users that `?as=NAME` made in `tidewire dev`. Each gets a new id, and records that refer to the old id then
    /// refer to the new one. Stop the server first. Without a name, list these users.
    Adopt {
        /// Name of the user in `?as=NAME`.
        id: Option<String>,
        /// Login name that the user gets [default: the name in `?as=NAME`]
        #[arg(long, value_name = "LOGIN", requires = "id")]
        name: Option<String>,
        /// Give an account to each of these users, under their own names.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        link: LinkArguments,
        #[command(flatten)]
        settings: SettingArguments<ServedFlags>,
    },
    /// Give a user another login name. The id, the password and the sessions stay.
    Rename {
        #[command(flatten)]
        named: NamedUser,
        /// The login name from now on.
        login: String,
    },
    /// Print a link by which one user may register. `auth.register` must be `invitation` or `open`.
    Invite {
        /// Role that the new user gets.
        #[arg(long)]
        role: Option<String>,
        /// Days until the link expires.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u16).range(1..=90))]
        days: u16,
        /// Send the link to this mail address instead of printing it. `auth.mail` names the mail server.
        #[arg(long, value_name = "ADDRESS")]
        send: Option<String>,
        #[command(flatten)]
        link: LinkArguments,
        #[command(flatten)]
        settings: SettingArguments<ServedFlags>,
    },
    /// Set the password of a user and end all of their sessions. Without --password-stdin, print a link by which the user sets it.
    Passwd {
        #[command(flatten)]
        named: NamedUser,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Give a user another role.
    Role {
        #[command(flatten)]
        named: NamedUser,
        /// The role; an empty one takes the role away.
        role: String,
    },
    /// Refuse every request of a user and close their connections. Their records stay.
    Disable {
        #[command(flatten)]
        named: NamedUser,
    },
    /// Let a disabled user in again.
    Enable {
        #[command(flatten)]
        named: NamedUser,
    },
    /// Print another link that makes the first administrator. The former one no longer works.
    Link {
        #[command(flatten)]
        link: LinkArguments,
        #[command(flatten)]
        settings: SettingArguments<ServedFlags>,
    },
}

#[derive(Debug, Args)]
pub struct NamedUser {
    /// Login name.
    pub name: String,
    #[command(flatten)]
    pub settings: SettingArguments<ServedFlags>,
}

#[derive(Debug, Args)]
pub struct PasswordArguments {
    /// Read the password from the first line of stdin.
    #[arg(long)]
    pub password_stdin: bool,
    /// Send the link to this mail address instead of printing it. `auth.mail` names the mail server.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "password_stdin")]
    pub send: Option<String>,
    #[command(flatten)]
    pub link: LinkArguments,
}

#[derive(Debug, Args)]
pub struct LinkArguments {
    /// Address at which users reach the server; the printed link begins with it [default: http:// and the address of `listen`]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
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
    /// Seconds that the tests of a long poll and of a stream (/sse) take; 25 also finds proxies that time out early.
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

/// Which settings have a flag of their own at a subcommand.
pub trait Offer {
    fn offers(setting: &Setting) -> bool;
}

/// All that have one.
#[derive(Debug)]
pub enum EveryFlag {}

/// `--schemas` alone.
#[derive(Debug)]
pub enum SchemaFlags {}

/// `--schemas`, `--data` and `--database`.
#[derive(Debug)]
pub enum FolderFlags {}

/// Those of `FolderFlags` and `--listen`.
#[derive(Debug)]
pub enum ServedFlags {}

impl Offer for ServedFlags {
    fn offers(setting: &Setting) -> bool {
        FolderFlags::offers(setting) || setting.name == "listen"
    }
}

impl Offer for EveryFlag {
    fn offers(_setting: &Setting) -> bool {
        true
    }
}

impl Offer for SchemaFlags {
    fn offers(setting: &Setting) -> bool {
        setting.name == "schemas"
    }
}

impl Offer for FolderFlags {
    fn offers(setting: &Setting) -> bool {
        matches!(setting.name, "schemas" | "data" | "database")
    }
}

/// `--config`, `--set`, and the flags that settings have of their own.
#[derive(Debug)]
pub struct SettingArguments<O> {
    given: Given,
    offer: PhantomData<fn() -> O>,
}

impl<O: Offer> SettingArguments<O> {
    pub fn given(&self) -> &Given {
        &self.given
    }

    /// With the setting's name as its id.
    fn flags() -> impl Iterator<Item = (&'static Setting, &'static str, &'static str)> {
        let offered = SETTINGS.iter().filter(|setting| O::offers(setting));
        offered.filter_map(|setting| setting.flag.map(|(flag, word)| (setting, flag, word)))
    }
}

impl<O: Offer> Args for SettingArguments<O> {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let flags = SettingArguments::<O>::flags().map(|(setting, flag, word)| {
            let default = setting.read(&Config::default()).text();
            let help = format!("{} [env: {}] [default: {default}]", setting.about, setting.variable());
            Arg::new(setting.name).long(flag).value_name(word).allow_negative_numbers(true).help(help)
        });
        command.args(flags).arg(set()).arg(config())
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        SettingArguments::<O>::augment_args(command)
    }
}

fn set() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .value_parser(|text: &str| {
            let split = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            split.filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE, as in http.list_max=500")
        })
        .help("Set any setting, as in `--set http.list_max=500`; `tidewire config` lists them")
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("Settings file [env: {FILE_VARIABLE}] [default: tidewire.toml, where there is one]"))
}

impl<O: Offer> FromArgMatches for SettingArguments<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingArguments<O>, clap::Error> {
        let mut flags = Vec::new();
        for (setting, flag, _) in SettingArguments::<O>::flags() {
            if let Some(value) = matches.get_one::<String>(setting.name) {
                let (written, value) = (format!("--{flag}"), value.clone());
                flags.push(Flag { written, setting: setting.name.to_owned(), value });
            }
        }
        for (name, value) in matches.get_many::<(String, String)>("set").into_iter().flatten() {
            let (written, value) = (format!("--set {name}"), value.clone());
            flags.push(Flag { written, setting: name.clone(), value });
        }
        let given = Given { file: matches.get_one::<PathBuf>("config").cloned(), flags };
        Ok(SettingArguments { given, offer: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingArguments::from_arg_matches(matches)?;
        Ok(())
    }
}
