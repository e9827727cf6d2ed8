//! `tidewire user list`: the accounts with what their records say of them.

use std::fmt::Write as _;

use serde_json::json;

use super::super::loading::Refused;
use super::users::Users;
use super::users::refused;
use crate::identity::Account;
use crate::identity::StoredSession;
use crate::ids::Timestamp;
use crate::schema::Value;
use crate::store::OpenError;
use crate::store::vault::VaultKind;

impl Users {
    pub(super) async fn list(&self, as_json: bool) -> Result<String, Refused> {
        let schema = self.schema()?;
        let glance = match self.backend.glance(&schema) {
            Ok(glance) => Some(glance),
            // No server ran here yet.
            Err(OpenError::NoDatabase { .. }) => None,
            Err(error) => return Err(refused(error)),
        };
        let mut rows = Vec::new();
        for entry in self.vault.list(VaultKind::Account, None).await.map_err(refused)? {
            let account = Account::of(&entry).map_err(refused)?;
            let record = match &glance {
                Some(glance) => glance.records.record("User", &account.user).map_err(refused)?,
                None => None,
            };
            let value = |place: usize| record.as_ref().and_then(|record| record.values.get(place)).cloned();
            let role = match value(1) {
                Some(Value::Text(role)) => Some(role),
                None => account.role.clone(),
                Some(_) => None,
            };
            let state = match (value(2), &record) {
                (Some(Value::Bool(true)), _) => "disabled",
                (_, None) if account.recorded => "deleted",
                _ if account.password.is_none() => "no password",
                _ => "active",
            };
            let seen = self.last_seen(&account.user).await?;
            rows.push(AccountRow { name: account.name, id: account.user, role, state, seen });
        }
        Ok(if as_json { json_of(&rows) } else { text_of(&rows) })
    }

    async fn last_seen(&self, user: &str) -> Result<Option<Timestamp>, Refused> {
        let sessions = self.vault.list(VaultKind::Session, Some(user)).await.map_err(refused)?;
        let mut seen = None;
        for entry in &sessions {
            seen = seen.max(Some(StoredSession::of(entry).map_err(refused)?.seen));
        }
        Ok(seen.map(Timestamp))
    }
}

/// One line of the list.
struct AccountRow {
    name: String,
    id: String,
    role: Option<String>,
    state: &'static str,
    seen: Option<Timestamp>,
}

fn json_of(rows: &[AccountRow]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let seen = row.seen.map(Timestamp::rfc3339);
            json!({ "name": row.name, "id": row.id, "role": row.role, "state": row.state, "seenAt": seen })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(rows))
}

fn text_of(rows: &[AccountRow]) -> String {
    if rows.is_empty() {
        return "There are no accounts; `tidewire user add NAME` makes one\n".to_owned();
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let role = row.role.as_deref().unwrap_or("-");
        let seen = row.seen.map_or_else(|| "never".to_owned(), Timestamp::rfc3339);
        let _ = writeln!(text, "{:width$}  {}  {role:10}  {:11}  seen {seen}", row.name, row.id, row.state);
    }
    text
}
