//! The subcommands about users and tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};

use super::settings::{FolderFlags, ServedFlags, SettingArguments};

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
