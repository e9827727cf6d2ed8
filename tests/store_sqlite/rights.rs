//! Rights entries of a database on a disk: those of an import, and of a database from before there were any.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::env::Env;
use tidewire::schema::Value;
use tidewire::store::import::{Applied, Forward, ImportJob};
use tidewire::store::sqlite::{DatabaseFile, Page, SqliteImport};
use tidewire::store::{Store, Unit};

use crate::support::at_once::Now;
use crate::support::club::{member, schema, user_record};
use crate::support::studio::{create, open, unit, words};

#[tokio::test]
async fn an_import_notes_whose_rights_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (schema, config) = (Arc::new(schema()), StoreConfig::default());
    let mut import =
        SqliteImport::open(&DatabaseFile::within(folder.path()), &schema, &config, &Env::system()).unwrap();
    let ops =
        [user_record("ada", Value::Null), create("Project", 1, vec![words("p")]), member(11, "ada", 1, "x")];
    let feed = |page: &mut Page<'_>| {
        ops.iter().for_each(|op| assert!(matches!(page.apply(1, op), Ok(Applied::Done(_)))));
        Ok(())
    };
    import.page("m-1".parse().unwrap(), Forward::Refused, feed).unwrap();
    import.commit("job", &ImportJob::default()).unwrap();
    import.close();
    let store = open(folder.path(), (*schema).clone(), &config).store;
    assert_eq!(store.rights_changed("ada", &["User".into()]).now().unwrap().0, 1);
    assert_eq!(store.rights_changed("ada", &["Membership".into()]).now().unwrap().0, 3);
}

/// A database of format 2 has no table of rights entries; it gets one, and the program of then no longer opens it.
#[tokio::test]
async fn a_database_from_before_rules_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig::default();
    open(folder.path(), schema(), &config).store.close().await;
    let raw = || rusqlite::Connection::open(folder.path().join("tidewire.db")).unwrap();
    raw().execute_batch(r#"DROP TABLE "_rights"; UPDATE "_meta" SET "format" = 2"#).unwrap();
    let opened = open(folder.path(), schema(), &config);
    let unit = Unit { generation: opened.generation, ..unit([user_record("ada", Value::Null)]) };
    let seq = opened.store.commit(unit).await.unwrap().seq;
    assert_eq!(opened.store.rights_changed("ada", &["User".into()]).now().unwrap(), seq);
    opened.store.close().await;
    let format: u32 = raw().query_row(r#"SELECT "format" FROM "_meta""#, [], |row| row.get(0)).unwrap();
    assert_eq!(format, 6);
}
