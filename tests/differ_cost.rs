//! What finding a difference of rights costs on SQLite: the rows that it steps over.
//!
//! What every backend owes of it is in `store_conformance/differences.rs`.

use tidewire::config::StoreConfig;
use tidewire::rules::Verdict;
use tidewire::schema::Value;
use tidewire::store::Steps;

use crate::support::club::{member, schema, task};
use crate::support::studio::{Studio, create, delete, words};
use crate::support::subscriber::{HIDDEN, Subscriber};

/// Red if rows that do not differ are fetched, or if what two rules have in common is looked through: a table of some
/// thousand rows that all stay seen costs nothing that is bounded by their number.
#[tokio::test]
async fn what_stays_seen_is_not_stepped_over() {
    let config = StoreConfig { scan_rows: 100, ..StoreConfig::default() };
    let schema = schema();
    let studio = Studio::sqlite_over(schema.clone(), &config);
    let user = crate::support::club::user_record("ada", Value::Null);
    let projects = [1, 2].map(|n| create("Project", n, vec![words("p")]));
    studio.commit([user].into_iter().chain(projects).chain([member(11, "ada", 1, "viewer")])).await.unwrap();
    studio.commit((1..=1_000).map(|n| task(n, 1, None))).await.unwrap();
    studio.commit([task(2_000, 2, None), task(2_001, 2, Some("ada"))]).await.unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([member(12, "ada", 2, "viewer")]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(2_000, Verdict::Entered, HIDDEN)]);
    let both = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([delete("Membership", 12)]).await.unwrap();
    assert_eq!(both.steps(&studio), [(2_000, Verdict::Lost, None)]);
    // A difference that takes more steps than a read may is a snapshot.
    studio.commit([delete("Membership", 11)]).await.unwrap();
    assert_eq!(both.asked(&studio).steps, Steps::Many);
}
