//! `tidewire token`: tokens of machines and tokens that guests share, of a data folder.
//!
//! Works beside a running server, which notices a change of the vault within half a second. A secret is printed once, on stdout alone:
//! `TOKEN=$(tidewire token issue worker)` has it and nothing else.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::arguments::TokenCommand;
use super::check::count;
use super::config::effective;
use super::loading::Refused;
use crate::env::Env;
use crate::identity::{TokenError, TokenGrant, TokenRow, issue_token, revoke_tokens, tokens_of};
use crate::ids::Timestamp;
use crate::store::choice;
use crate::store::vault::Vault;

const DAY: i64 = 24 * 3600 * 1000;

/// Exit code 0 when it was done, 1 when not, 2 for wrong arguments or settings.
pub fn run(command: &TokenCommand) -> ExitCode {
    let given = match command {
        TokenCommand::Issue { settings, .. } | TokenCommand::Revoke { settings, .. } => settings.given(),
        TokenCommand::List { settings, .. } => settings.given(),
    };
    let config = match effective(given) {
        Ok(settings) => settings.config,
        Err(code) => return code,
    };
    let opened = choice::backend(&config).and_then(|backend| backend.vault());
    let vault = match opened {
        Ok(vault) => vault,
        Err(error) => return Refused::failed(error.to_string()).tell(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Refused::failed(format!("the runtime cannot start: {error}")).tell(),
    };
    match runtime.block_on(perform(&vault, &Env::system(), command)) {
        Ok(TokenOutput { out, note }) => {
            let _ = std::io::stderr().write_all(note.as_bytes());
            let _ = std::io::stdout().write_all(out.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refused) => refused.tell(),
    }
}

/// What the command prints.
struct TokenOutput {
    out: String,
    /// For the person, on stderr, so that stdout is the secret alone.
    note: String,
}

async fn perform(vault: &Arc<dyn Vault>, env: &Env, command: &TokenCommand) -> Result<TokenOutput, Refused> {
    match command {
        TokenCommand::Issue { name, shared, role, publish, days, .. } => {
            let grant = match shared {
                true => TokenGrant::Shared,
                false => TokenGrant::Service { role: role.clone(), publish: publish.clone() },
            };
            let expires = days.map(|days| Timestamp(env.now().0 + i64::from(days) * DAY));
            let issued = issue_token(&**vault, env, name, grant, expires).await.map_err(refused)?;
            let until = expires.map_or_else(
                || "until it is revoked".to_owned(),
                |expires| format!("until {}", expires.rfc3339()),
            );
            let note = format!(
                "The token {} of {name} is good {until}. It is shown only now: the server keeps its hash.\n",
                issued.stored.id
            );
            Ok(TokenOutput { out: format!("{}\n", issued.secret.text()), note })
        }
        TokenCommand::List { json, .. } => {
            let rows = tokens_of(&**vault, env, None).await.map_err(refused)?;
            let out = if *json { json_of(&rows) } else { text_of(&rows) };
            Ok(TokenOutput { out, note: String::new() })
        }
        TokenCommand::Revoke { name, id, .. } => {
            let ended = revoke_tokens(&**vault, name, id.as_deref()).await.map_err(refused)?;
            let tokens = count(ended, "token", "tokens");
            Ok(TokenOutput { out: format!("{tokens} of {name} revoked\n"), note: String::new() })
        }
    }
}

/// The kind, the role and the patterns.
fn grant_of(row: &TokenRow) -> (&'static str, Option<&str>, &[String]) {
    match &row.stored.grant {
        TokenGrant::Shared => ("shared", None, &[]),
        TokenGrant::Service { role, publish } => ("service", role.as_deref(), publish),
    }
}

fn json_of(rows: &[TokenRow]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let (kind, role, publish) = grant_of(row);
            json!({
                "name": row.name,
                "id": row.stored.id,
                "kind": kind,
                "role": role,
                "publish": publish,
                "createdAt": Timestamp(row.stored.created).rfc3339(),
                "expiresAt": row.expires.map(Timestamp::rfc3339),
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(rows))
}

fn text_of(rows: &[TokenRow]) -> String {
    if rows.is_empty() {
        return "There are no tokens; `tidewire token issue NAME` makes one\n".to_owned();
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let (kind, role, publish) = grant_of(row);
        let created = Timestamp(row.stored.created).rfc3339();
        let expires = row.expires.map_or_else(|| "no end".to_owned(), |at| format!("until {}", at.rfc3339()));
        let role = role.unwrap_or("-");
        let publish = if publish.is_empty() { "-".to_owned() } else { publish.join(" ") };
        let _ = writeln!(
            text,
            "{:width$}  {}  {kind:7}  {role:10}  {publish}  made {created}  {expires}",
            row.name, row.stored.id
        );
    }
    text
}

fn refused(error: TokenError) -> Refused {
    match error {
        TokenError::BadName(_) | TokenError::BadPattern { .. } | TokenError::BadRole => {
            Refused::usage(error.to_string())
        }
        TokenError::OtherKind { .. }
        | TokenError::TwoAlready(_)
        | TokenError::Unknown(_)
        | TokenError::Raced
        | TokenError::Vault(_) => Refused::failed(error.to_string()),
    }
}
