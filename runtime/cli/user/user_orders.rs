//! What a command asks of the records of users. The server that has the database open carries it out; without one the command does.

use std::sync::Arc;
use std::time::Duration;

use super::super::loading::Refused;
use super::users::Users;
use super::users::refused;
use crate::identity::Account;
use crate::identity::Order;
use crate::identity::OrderOutcome;
use crate::identity::outcome_of;
use crate::identity::perform;
use crate::ids::Timestamp;
use crate::metrics::StoreMetrics;
use crate::repository::Current;
use crate::repository::Repository;
use crate::schema::Schema;
use crate::store::LiveStore;
use crate::store::OpenError;
use crate::store::Opened;
use crate::store::vault::VaultEdit;
use crate::store::vault::VaultEntry;
use crate::store::vault::VaultKind;

/// How long a running server may take over an order, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(100);
/// More, for each order beside the first.
const FOR_EACH: Duration = Duration::from_millis(50);

/// What is asked of the records of one user.
pub(super) struct UserOrder {
    pub(super) user: String,
    pub(super) order: Order,
}

impl Users {
    pub(super) async fn order(&self, user: &str, order: Order) -> Result<(), Refused> {
        self.orders(vec![UserOrder { user: user.to_owned(), order }]).await
    }

    /// By the server that runs over the folder, or here where none does.
    pub(super) async fn orders(&self, orders: Vec<UserOrder>) -> Result<(), Refused> {
        let schema = self.schema()?;
        match self.backend.open(&schema, self.env.clone(), StoreMetrics::default()) {
            Ok(opened) => {
                let repository = self.repository(schema, &opened);
                drop(opened.batches);
                let done = self.perform_all(&repository, &orders).await;
                opened.store.close().await;
                done
            }
            Err(OpenError::InUse { .. }) => self.leave(&orders).await,
            Err(error) => Err(refused(error)),
        }
    }

    pub(super) fn repository(&self, schema: Arc<Schema>, opened: &Opened<dyn LiveStore>) -> Repository {
        let current = Current { schema, generation: opened.generation };
        Repository::new(opened.store.clone(), current, self.env.clone())
    }

    async fn perform_all(&self, repository: &Repository, orders: &[UserOrder]) -> Result<(), Refused> {
        for UserOrder { user, order } in orders {
            perform(repository, user, order).await.map_err(refused)?;
            if let Order::Record { .. } = order {
                self.recorded(user).await?;
            }
        }
        Ok(())
    }

    /// The account has its record now.
    pub(super) async fn recorded(&self, user: &str) -> Result<(), Refused> {
        for entry in self.vault.list(VaultKind::Account, Some(user)).await.map_err(refused)? {
            let account = Account::of(&entry).map_err(refused)?;
            let recorded = Account { recorded: true, ..account };
            let edit = VaultEdit::Replace { was: entry.body, entry: recorded.entry() };
            self.vault.change(vec![edit]).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn leave(&self, orders: &[UserOrder]) -> Result<(), Refused> {
        let expires = Some(Timestamp(self.env.now().0 + 3_600_000));
        let (mut keys, mut edits) = (Vec::new(), Vec::new());
        for UserOrder { user, order } in orders {
            let (kind, key, owner) = (VaultKind::Order, self.env.uuid_v7().to_string(), Some(user.clone()));
            let body = serde_json::to_string(order).map_err(|error| Refused::failed(error.to_string()))?;
            keys.push(key.clone());
            edits.push(VaultEdit::Insert(VaultEntry { kind, key, owner, expires, body }));
        }
        self.vault.change(edits).await.map_err(refused)?;
        let waiting = async {
            for key in &keys {
                loop {
                    let entry = self.vault.find(VaultKind::Order, key).await.map_err(refused)?;
                    match entry.as_ref().and_then(outcome_of) {
                        Some(OrderOutcome::Done) => break,
                        Some(OrderOutcome::Failed { why }) => return Err(Refused::failed(why)),
                        None => tokio::time::sleep(GLANCE).await,
                    }
                }
            }
            Ok(())
        };
        let patience = PATIENCE + FOR_EACH * u32::try_from(orders.len()).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| {
            Err(Refused::failed(
                "the process that has the database open did not answer; it does this within an hour if it is a Tidewire server",
            ))
        })
    }
}
