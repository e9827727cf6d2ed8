//! What every vault owes, in stories; the vault of the product runs them, and the one of the tests.

use std::sync::Arc;

use tidewire::config::Config;
use tidewire::ids::Timestamp;
use tidewire::store::choice;
use tidewire::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultKind};

use crate::support::vault::MemoryVault;

fn of(folder: &tempfile::TempDir) -> Arc<dyn Vault> {
    let config = Config { data: folder.path().join("data"), ..Config::default() };
    choice::backend(&config).unwrap().vault().unwrap()
}

/// Runs a story over each vault.
async fn over_each(story: impl AsyncFn(&dyn Vault)) {
    let folder = tempfile::tempdir().unwrap();
    story(&*of(&folder)).await;
    story(&MemoryVault::default()).await;
}

fn entry(key: &str, owner: Option<&str>, body: &str) -> VaultEntry {
    let (kind, owner) = (VaultKind::Session, owner.map(str::to_owned));
    VaultEntry { kind, key: key.to_owned(), owner, expires: None, body: body.to_owned() }
}

fn remove(key: &str) -> VaultEdit {
    VaultEdit::Remove { kind: VaultKind::Session, key: key.to_owned() }
}

async fn keys(vault: &dyn Vault, owner: Option<&str>) -> Vec<String> {
    vault.list(VaultKind::Session, owner).await.unwrap().into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn an_entry_is_found_by_kind_and_key_and_listed_by_owner() {
    over_each(async |vault| {
        let (a, b) = (entry("a", Some("ada"), "{\"n\":1}"), entry("b", Some("ben"), "{}"));
        let edits = vec![
            VaultEdit::Insert(b),
            VaultEdit::Insert(a.clone()),
            VaultEdit::Insert(entry("c", None, "{}")),
        ];
        assert_eq!(vault.change(edits).await, Ok(Edited::Done));
        assert_eq!(vault.find(VaultKind::Session, "a").await, Ok(Some(a)));
        for kind in VaultKind::ALL.into_iter().filter(|kind| *kind != VaultKind::Session) {
            assert_eq!(vault.find(kind, "a").await, Ok(None));
            assert_eq!(vault.list(kind, None).await, Ok(Vec::new()));
        }
        assert_eq!(keys(vault, None).await, ["a", "b", "c"]);
        assert_eq!(keys(vault, Some("ada")).await, ["a"]);
        assert_eq!(keys(vault, Some("nobody")).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn edits_are_made_together_or_not_at_all() {
    over_each(async |vault| {
        let insert = |key: &str| VaultEdit::Insert(entry(key, Some("ada"), "1"));
        let replace =
            |key: &str, was: &str| VaultEdit::Replace { was: was.to_owned(), entry: entry(key, None, "2") };
        assert_eq!(vault.change(vec![insert("a")]).await, Ok(Edited::Done));
        for (edits, edit) in [
            (vec![insert("b"), insert("a")], 1),
            (vec![insert("b"), insert("b")], 1),
            (vec![insert("b"), remove("z")], 1),
            (vec![remove("a"), remove("a")], 1),
            (vec![remove("a"), replace("a", "1")], 1),
            (vec![replace("a", "3"), remove("a")], 0),
            (vec![VaultEdit::Clear { kind: VaultKind::Session, owner: "ada".into() }, remove("a")], 1),
        ] {
            assert_eq!(vault.change(edits.clone()).await, Ok(Edited::Refused { edit }), "{edits:?}");
            assert_eq!(
                vault.find(VaultKind::Session, "a").await.unwrap(),
                Some(entry("a", Some("ada"), "1")),
                "{edits:?}"
            );
            assert_eq!(keys(vault, None).await, ["a"], "{edits:?}");
        }
        let edits = vec![
            replace("a", "1"),
            insert("b"),
            VaultEdit::Clear { kind: VaultKind::Session, owner: "ada".into() },
        ];
        assert_eq!(vault.change(edits).await, Ok(Edited::Done));
        assert_eq!(vault.find(VaultKind::Session, "a").await.unwrap(), Some(entry("a", None, "2")));
        assert_eq!(keys(vault, None).await, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn what_has_expired_is_forgotten_and_nothing_else() {
    over_each(async |vault| {
        let until = |key: &str, time| VaultEntry { expires: Some(Timestamp(time)), ..entry(key, None, "{}") };
        let edits = [until("a", 5), until("b", 6), until("c", 7), entry("d", None, "{}")];
        vault.change(edits.map(VaultEdit::Insert).to_vec()).await.unwrap();
        assert_eq!(vault.forget(Timestamp(6)).await, Ok(2));
        assert_eq!(keys(vault, None).await, ["c", "d"]);
    })
    .await;
}

#[tokio::test]
async fn another_process_is_noticed_and_one_self_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (of(&folder), of(&folder));
    let before = own.version().await.unwrap();
    own.change(vec![VaultEdit::Insert(entry("a", None, "{}"))]).await.unwrap();
    assert_eq!(own.version().await.unwrap(), before);
    other.change(vec![VaultEdit::Insert(entry("b", None, "{}"))]).await.unwrap();
    assert_ne!(own.version().await.unwrap(), before);
    assert_eq!(keys(&*own, None).await, ["a", "b"]);
    drop((own, other));
    assert_eq!(keys(&*of(&folder), None).await, ["a", "b"], "it is on the disk");
}
