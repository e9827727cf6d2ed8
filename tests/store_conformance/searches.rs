//! Searches: words by their beginnings, whatever their case and accents.

use tidewire::config::StoreConfig;
use tidewire::schema::{Generation, Value};
use tidewire::store::{CommitError, Query};

use super::lists::paged;
use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn searches_find_words_by_their_beginnings<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let titles = [
        "Caf\u{e9} au lait",
        "cafeteria, LAIT!",
        "e-mail \u{1f30a} wave",
        "mail e",
        "\"quoted\" OR lait*",
        "",
    ];
    for (n, title) in (1..).zip(titles) {
        studio.commit([task(n, [(TITLE, words(title))])]).await.unwrap();
    }
    studio.commit([task(7, [])]).await.unwrap();
    let found = |search: &[&str]| {
        let search = search.iter().map(|word| (*word).to_owned()).collect();
        paged(&studio, &Query { search, ..Query::all("Task", Generation(1), 100) })
    };
    assert_eq!(found(&["cafe"]), [1, 2]);
    assert_eq!(found(&["CAF\u{c9}"]), [1, 2]);
    assert_eq!(found(&["lait", "caf"]), [1, 2]);
    assert_eq!(found(&["lait", "au"]), [1]);
    assert_eq!(found(&["e-mail"]), [3], "the parts of a word stand together");
    assert_eq!(found(&["ma"]), [3, 4]);
    assert_eq!(found(&["wave"]), [3]);
    assert_eq!(found(&["ave"]), Vec::<u128>::new(), "not in the middle of a word");
    assert_eq!(found(&["\"quoted"]), [5]);
    assert_eq!(found(&["or"]), [5]);
    for syntax in
        ["title:lait", "lait*", "NOT lait", "lait AND cafe", "^lait", "(lait", "{title_} : lait", "\"\"lait"]
    {
        found(&[syntax]);
    }
    // A change of the text, of something else, and a delete that takes children with it.
    studio
        .commit([update("Task", 1, [(TITLE, words("tea"))]), update("Task", 2, [(PRIORITY, Value::Int(1))])])
        .await
        .unwrap();
    studio.commit([update("Task", 4, [(PARENT, link(3))])]).await.unwrap();
    studio.commit([delete("Task", 3)]).await.unwrap();
    assert_eq!((found(&["cafe"]), found(&["tea"]), found(&["mail"])), (vec![2], vec![1], vec![]));
    studio.commit([task(3, [(TITLE, words("mail again"))])]).await.unwrap();
    assert_eq!(found(&["mail"]), [3]);
    let refused = studio.commit([task(8, [(TITLE, words("tea"))]), delete("Task", 9)]).await;
    assert_eq!(refused, Err(CommitError::NotFound { op: 1 }));
    assert_eq!(found(&["tea"]), [1], "a refused unit leaves no words behind");
}
