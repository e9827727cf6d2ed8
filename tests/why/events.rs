//! Events that a connection got, or did not get.

use serde_json::{Value, json};
use tidewire::repository::Mutation;

use super::team::{Team, clauses, id, text};

/// What is expected of one connection and one change.
struct Case<'a> {
    connection: &'a str,
    seq: u64,
    finding: &'a str,
    judged: &'a str,
    event: Value,
    clauses: &'a [&'a str],
}

impl Case<'_> {
    async fn check(&self, team: &Team) -> Value {
        let why = team.why(&format!("{}:{}", self.connection, self.seq)).await;
        assert_eq!((&why["about"], &why["finding"]), (&json!("event"), &json!(self.finding)), "{why}");
        assert_eq!((&why["judged"], &why["event"]), (&json!(self.judged), &self.event), "{why}");
        assert_eq!(why["seq"], self.seq, "{why}");
        let decided = if self.finding == "filtered" { &why["filter"] } else { &why["rule"]["clauses"] };
        assert_eq!(clauses(decided), self.clauses, "{why}");
        why
    }
}

const HIDDEN: &str =
    "project in user.memberships.project: false (project = \"p2\", user.memberships.project = [\"p1\"])";

#[tokio::test]
async fn an_event_that_came_and_one_that_did_not_name_subscription_position_and_clause() {
    let team = Team::start().await;
    let early = team.set("Task", 11, "status", json!("open again")).await;
    let (mut ada, connection) = team.socket("ada").await;
    ada.subscribe("entity:Task?status=open", json!({})).await;
    let of = |seq, finding, event: Value, clauses| Case {
        connection: &connection,
        seq,
        finding,
        judged: "then",
        event,
        clauses,
    };
    of(early, "before", Value::Null, &[]).check(&team).await;
    let entered = team.set("Task", 11, "status", json!("open")).await;
    assert_eq!(ada.expect("entity:created").await["seq"], entered);
    let why = of(entered, "delivered", json!("entity:created"), &[]).check(&team).await;
    assert_eq!((&why["cause"], &why["hidden"]), (&json!("entered"), &json!(["wage"])), "{why}");
    assert_eq!(why["channel"], "entity:Task?status=open", "{why}");
    let updated = team.set("Task", 11, "title", json!("another")).await;
    ada.expect("entity:updated").await;
    of(updated, "delivered", json!("entity:updated"), &[]).check(&team).await;
    let other = team.set("Task", 13, "status", json!("new")).await;
    of(other, "hidden", Value::Null, &[HIDDEN]).check(&team).await;
    let filtered = team.set("Task", 12, "title", json!("another")).await;
    of(filtered, "filtered", Value::Null, &["status == \"open\": false (status = \"done\")"])
        .check(&team)
        .await;
    let left = team.set("Task", 11, "status", json!("done")).await;
    ada.expect("entity:deleted").await;
    let why = of(left, "delivered", json!("entity:deleted"), &[]).check(&team).await;
    assert_eq!(why["cause"], "left", "{why}");
    let archived = team.set("Task", 14, "title", json!("another")).await;
    of(archived, "hidden", Value::Null, &["status != \"archived\": false (status = \"archived\")"])
        .check(&team)
        .await;
    let elsewhere = team.set("Project", 21, "name", json!("another")).await;
    of(elsewhere, "not_subscribed", Value::Null, &[]).judged("now").check(&team).await;
    of(elsewhere + 50, "not_written", Value::Null, &[]).judged("now").check(&team).await;
    team.task(16, "p1", "open", "ben").await;
    ada.expect("entity:created").await;
    let created = team.app.head();
    of(created, "delivered", json!("entity:created"), &[]).check(&team).await;
    let gone = team.write(Mutation::delete("Task", &id(16))).await;
    ada.expect("entity:deleted").await;
    let why = of(gone, "delivered", json!("entity:deleted"), &[]).check(&team).await;
    assert_eq!(why["cause"], Value::Null, "{why}");
    ada.nothing_else().await;
}

impl<'a> Case<'a> {
    fn judged(self, judged: &'a str) -> Case<'a> {
        Case { judged, ..self }
    }
}

#[tokio::test]
async fn a_record_channel_and_the_activity_are_explained_by_their_own_rules() {
    let team = Team::start().await;
    let (mut ada, connection) = team.socket("ada").await;
    // The list rule is not asked of one record.
    ada.subscribe(&format!("entity:Task:{}", id(14)), json!({})).await;
    let archived = team.set("Task", 14, "title", json!("another")).await;
    ada.expect("entity:updated").await;
    let (seq, connection) = (archived, &*connection);
    let event = json!("entity:updated");
    Case { connection, seq, finding: "delivered", judged: "then", event, clauses: &[] }.check(&team).await;
    let seq = team.set("Task", 11, "title", json!("another")).await;
    Case { connection, seq, finding: "not_subscribed", judged: "now", event: Value::Null, clauses: &[] }
        .check(&team)
        .await;

    let (mut cy, of_cy) = team.socket("ben").await;
    cy.subscribe("activity", json!({})).await;
    let seq = team.set("Task", 11, "title", json!("once more")).await;
    cy.expect("activity").await;
    let why = Case {
        connection: &of_cy,
        seq,
        finding: "delivered",
        judged: "then",
        event: json!("activity"),
        clauses: &[],
    };
    why.check(&team).await;
    let seq = team.set("Task", 13, "title", json!("once more")).await;
    Case {
        connection: &of_cy,
        seq,
        finding: "hidden",
        judged: "then",
        event: Value::Null,
        clauses: &[HIDDEN],
    }
    .check(&team)
    .await;
}

#[tokio::test]
async fn a_right_that_was_lost_is_told_with_its_position() {
    let team = Team::start().await;
    let (mut ben, connection) = team.socket("ben").await;
    ben.subscribe("entity:Task", json!({})).await;
    let seen = team.set("Task", 11, "title", json!("another")).await;
    ben.expect("entity:updated").await;
    let lost = team.write(Mutation::delete("Membership", &id(2))).await;
    // Three tasks of p1 are in his list.
    for _ in 0..2 {
        ben.expect("entity:deleted").await;
    }
    ben.expect("pong").await;
    let unseen = team.set("Task", 11, "title", json!("once more")).await;
    const GONE: &[&str] =
        &["project in user.memberships.project: false (project = \"p1\", user.memberships.project = [])"];
    let connection = &*connection;
    let after = Case {
        connection,
        seq: unseen,
        finding: "hidden",
        judged: "then",
        event: Value::Null,
        clauses: GONE,
    };
    after.check(&team).await;
    // It was seen then; the rights of now say otherwise, and the answer names both.
    let before =
        Case { connection, seq: seen, finding: "hidden", judged: "now", event: Value::Null, clauses: GONE };
    let why = before.check(&team).await;
    assert_eq!(why["rightsChanged"], lost, "{why}");
    ben.nothing_else().await;
}

#[tokio::test]
async fn a_connection_that_is_gone_or_has_no_such_channel_is_answered_by_what_would_come() {
    let team = Team::start().await;
    let seq = team.set("Task", 13, "title", json!("another")).await;
    let gone = "0190a000-0000-7000-8000-00000000ffff";
    let unknown = team.root.call("GET", &format!("/api/admin/why/{gone}:{seq}"), Value::Null).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    let ask = async |query: &str| team.root.get(&format!("/api/admin/why/{gone}:{seq}?{query}")).await;
    let would = ask("user=dan").await;
    assert_eq!((&would["finding"], &would["judged"]), (&json!("would"), &json!("now")), "{would}");
    assert_eq!(
        (&would["event"], &would["channel"]),
        (&json!("entity:updated"), &json!("entity:Task")),
        "{would}"
    );
    let hidden = ask("user=ada").await;
    assert_eq!(
        (&hidden["finding"], &clauses(&hidden["rule"]["clauses"])[..]),
        (&json!("hidden"), &[HIDDEN.to_owned()][..])
    );
    let filtered = ask("user=dan&channel=entity%3ATask%3Fstatus%3Ddone").await;
    assert_eq!(filtered["finding"], "filtered", "{filtered}");
    assert_eq!(clauses(&filtered["filter"]), ["status == \"done\": false (status = \"open\")"]);
    let about = ask("user=dan&channel=entity%3AProject").await;
    assert_eq!(about["finding"], "not_about", "{about}");
    let refused = ask("user=dan&channel=entity%3AVault").await;
    assert_eq!(refused["finding"], "refused", "{refused}");
    assert!(text(&refused["answer"]).contains("UNKNOWN_ENTITY"), "{refused}");

    let (mut dan, connection) = team.socket("dan").await;
    dan.subscribe("entity:Project", json!({})).await;
    let path = format!("/api/admin/why/{connection}:{seq}?channel=entity%3ATask");
    let would = team.root.get(&path).await;
    assert_eq!((&would["finding"], &would["user"]), (&json!("would"), &json!("dan")), "{would}");
}
