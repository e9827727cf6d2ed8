//! A store that stops and starts again continues where it ended, as far as it leaves anything behind.

use tidewire::config::StoreConfig;
use tidewire::ids::{Position, Seq};
use tidewire::store::{CommitError, OpStatus, Scope, Survey};

use crate::support::at_once::Now;
use crate::support::club::{self, club, member, task};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, create, delete, id, named, words};

fn survey(studio: &Studio, since: &Position) -> Survey {
    studio.store.survey(Some(&Scope::Entity("Task".into())), since).now().unwrap().value
}

pub(super) async fn a_store_goes_on_where_it_ended<F: Fixture>() {
    let studio = club::<F>().await;
    let keyed = || named("m", 1, [task(21, 1, Some("ada"))]);
    let first = studio.store.commit(keyed()).await.unwrap();
    studio.commit([create("Bill", 61, vec![words(id(21).as_str())]), task(22, 1, None)]).await.unwrap();
    studio.commit([delete("Task", 22), member(51, "cy", 2, "viewer")]).await.unwrap();
    let (log, record) = (studio.log(0), studio.json("Task", &id(21)));
    let ada = studio.store.principal(&club::person("ada")).now().unwrap().value;
    let rights = |studio: &Studio| {
        ["ada", "cy"].map(|name| {
            studio.store.rights_changed(name, &["Membership".into(), "User".into()]).now().unwrap()
        })
    };
    let noted = rights(&studio);
    let head = Position { epoch: first.epoch.clone(), seq: Seq(studio.head()) };
    let Some(studio) = F::reopen(studio, club::schema(), &StoreConfig::default()).await else { return };

    assert_eq!((studio.log(0), studio.json("Task", &id(21))), (log, record));
    assert_eq!(studio.store.principal(&club::person("ada")).now().unwrap().value, ada);
    assert_eq!(rights(&studio), noted);
    assert!(survey(&studio, &head).known, "a position of the former epoch, up to its end");
    let beyond = Position { seq: Seq(head.seq.0 + 1), ..head };
    let again = studio.store.commit(keyed()).await.unwrap();
    assert!(again.replayed && again.results[0].record == first.results[0].record);
    let reborn = studio.commit([task(22, 1, None)]).await.unwrap();
    assert_ne!(reborn.epoch, first.epoch);
    assert_eq!((reborn.seq, reborn.results[0].status), (beyond.seq, OpStatus::Created));
    assert_eq!(reborn.results[0].record.as_ref().unwrap().version, 2, "a deleted id continues its version");
    assert!(!survey(&studio, &beyond).known, "the former epoch ended before");
    let restricted = Err(CommitError::Restricted { op: 0, entity: Some("Bill".into()) });
    assert_eq!(studio.commit([delete("Task", 21)]).await, restricted);
}
