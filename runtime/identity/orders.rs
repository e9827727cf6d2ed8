//! What the command line asks of records: make one, change a role, disable. Done by the server that runs over the folder, or by the
//! command itself where none does.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::entries::Order;
use super::error::IdentityError;
use crate::auth::Identity;
use crate::repository::Repository;
use crate::store::vault::VaultEntry;

/// What became of an order; it takes the order's place in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum OrderOutcome {
    Done,
    Failed { why: String },
}

/// Does what an order says of this user.
pub async fn perform(repository: &Repository, user: &str, order: &Order) -> Result<(), IdentityError> {
    let owner = Identity::nobody(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let done = match order {
        Order::Record { name, role } => repository.add_person(&owner, user, name, role.as_deref()).await,
        Order::Role { role } => repository.change_person(&owner, user, "role", role.clone().into()).await,
        Order::Disable { disabled } => {
            repository.change_person(&owner, user, "disabled", (*disabled).into()).await
        }
    };
    done.map_err(IdentityError::Repository)
}

/// None as long as nobody has taken the order.
pub fn outcome_of(entry: &VaultEntry) -> Option<OrderOutcome> {
    serde_json::from_str(&entry.body).ok()
}
