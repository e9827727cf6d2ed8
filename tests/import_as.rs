//! `tidewire import --url --as`: records that are written by a user, under the rules.

use std::path::Path;

use serde_json::json;

use crate::support::app::Client;
use crate::support::process::{Ended, Process, ended, tidewire};

const NOTE: &str = r#"
entity = "Note"
[fields]
text  = { type = "text", required = true }
owner = { type = "text", default = "user.id", readonly = true }
[access]
read   = "owner == user.id || user.role == 'reader'"
create = "user != null && text != 'forbidden'"
"#;

async fn import(folder: &Path, server: &Process, address: &str, more: &[&str]) -> Ended {
    let mut command = tidewire(folder);
    let url = format!("http://{}{address}", server.address);
    command.args(["import", "Note", "notes.jsonl", "--url", &url]).args(more);
    ended(&mut command).await
}

#[tokio::test]
async fn an_import_writes_as_the_user_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, schemas) = (folder.path(), folder.path().join("schemas"));
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("note.toml"), NOTE).unwrap();
    let notes = |texts: &[&str]| {
        let lines: String = texts.iter().map(|text| format!("{}\n", json!({"text": text}))).collect();
        std::fs::write(folder.join("notes.jsonl"), lines).unwrap();
    };
    let server = Process::over(&schemas, &folder.join("elsewhere"), 0).await;
    notes(&["one", "two"]);

    let nobody = import(folder, &server, "", &[]).await;
    assert_eq!(nobody.code, 1, "{}", nobody.stdout);
    assert!(nobody.stderr.contains("there is no entity `Note`"), "{}", nobody.stderr);

    for (name, created) in [
        ("ada", "2 created"),
        ("ada", "0 created"),
        ("löwe & sons", "2 created"),
        ("ada:reader", "2 created"),
    ] {
        let done = import(folder, &server, "", &["--as", name]).await;
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        assert!(done.stdout.contains(created), "{name}: {}", done.stdout);
    }
    let rows = Client::named(server.address, "eve:reader").rows("notes").await;
    let of = |owner: &str| rows.values().filter(|row| row["owner"] == owner).count();
    assert_eq!((of("ada"), of("löwe & sons"), rows.len()), (4, 2, 6));

    // The rules are asked for each record.
    notes(&["three", "forbidden", "four"]);
    let partly = import(folder, &server, "", &["--as", "ben", "--partial"]).await;
    assert_eq!(partly.code, 1, "{}", partly.stdout);
    assert!(partly.stderr.contains("2 created") && partly.stderr.contains("notes.jsonl:2"), "{partly:?}");

    for (address, more, words) in [
        ("/?as=ada", &[][..], "who asks is said by --as NAME"),
        ("?as=ada", &[], "says more than an address"),
        ("/?x=1", &[], "says more than an address"),
        ("/#ada", &[], "says more than an address"),
        ("", &["--as", ""], ""),
        ("", &["--as", ":reader"], "no name before the colon"),
        ("", &["--as", "ada:two words"], "no role"),
    ] {
        let refused = import(folder, &server, address, more).await;
        assert_eq!(refused.code, 2, "{address} {more:?}: {refused:?}");
        assert!(refused.stderr.contains(words), "{address} {more:?}: {}", refused.stderr);
    }
    let mut into_folder = tidewire(folder);
    into_folder.args(["import", "Note", "notes.jsonl", "--as", "ada"]);
    let refused = ended(&mut into_folder).await;
    assert!(refused.code == 2 && refused.stderr.contains("--url"), "{refused:?}");
    server.stop().await;
}
