//! `tidewire why` beside a running server.

use serde_json::{Value, json};

use super::team::{Team, id, text};
use crate::support::process::{ended, tidewire};

#[tokio::test]
async fn the_command_asks_the_server_and_prints_the_clause() {
    let team = Team::start().await;
    let (answer, _) =
        team.refused("ben", &format!("PATCH /api/tickets/{}", id(31)), json!({"title": "new"})).await;
    let refused = text(&answer.json["requestId"]).to_owned();
    let url = team.root.base.clone();
    let folder = tempfile::tempdir().unwrap();
    let ask = async |arguments: &[&str]| {
        ended(tidewire(folder.path()).args(["why", "--url", &url]).args(arguments)).await
    };
    let told = ask(&[&refused, "--as", "root:admin"]).await;
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
    let lines: Vec<&str> = told.stdout.lines().collect();
    let first =
        format!("`ben` may not update Ticket `{}`, because `project.lead == user.id` is false", id(31));
    assert_eq!(lines[0], first, "{}", told.stdout);
    for line in
        ["  caller: ben", "  code: FORBIDDEN", "  judged: then", "  Ticket update = project.lead == user.id"]
    {
        assert!(lines.contains(&line), "{line} is missing: {}", told.stdout);
    }
    let clause = "    false    project.lead == user.id    [project.lead = \"ada\", user.id = \"ben\"]";
    assert_eq!(lines.last(), Some(&clause), "{}", told.stdout);

    let json = ask(&[&refused, "--as", "root:admin", "--json"]).await;
    let parsed: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&parsed["id"], &parsed["finding"]), (&json!(refused), &json!("denied")), "{parsed}");

    let stranger = ask(&[&refused, "--as", "ben"]).await;
    assert_eq!(stranger.code, 1, "{}", stranger.stderr);
    assert!(
        stranger.stderr.contains("TIDEWIRE_TOKEN") && stranger.stderr.contains("--as root:admin"),
        "{}",
        stranger.stderr
    );
    let forgotten = ask(&["0000", "--as", "root:admin"]).await;
    assert_eq!(forgotten.code, 1, "{}", forgotten.stderr);
    assert!(forgotten.stderr.contains("nothing is known of `0000`"), "{}", forgotten.stderr);
    let record = id(31);
    let now = [
        "0000",
        "--as",
        "root:admin",
        "--user",
        "ada",
        "--entity",
        "Ticket",
        "--record",
        &record,
        "--operation",
        "update",
    ];
    let now = ask(&now).await;
    assert!(
        now.stdout.starts_with("by the rights of now, `ada` may update Ticket"),
        "{}{}",
        now.stdout,
        now.stderr
    );
}
