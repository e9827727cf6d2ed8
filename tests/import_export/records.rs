//! `tidewire records`: changes of many records from the command line, against a server that serves others meanwhile.

use serde_json::json;

use super::{Place, Said};
use crate::support::app::Client;
use crate::support::process::Process;

async fn records(place: &Place, server: &Process, arguments: &[&str]) -> Said {
    let url = format!("http://{}", server.address);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.arg("records").args(arguments).args(["--url", &url, "--schemas"]).arg(place.path("schemas"));
    tokio::task::spawn_blocking(move || Said::of(command.output().unwrap())).await.unwrap()
}

#[tokio::test]
async fn records_are_changed_and_deleted_by_conditions() {
    let place = Place::new();
    let server = place.serve("data").await;
    let api = Client::new(server.address);
    for n in 0..3 {
        api.create("samples", json!({"name": format!("a & {n}"), "count": n})).await;
    }
    let said = records(
        &place,
        &server,
        &["update", "Sample", "count[gte]=1", "--change", "name=x=y", "--change", "active=true"],
    )
    .await;
    assert_eq!(said.ok().stdout, "2 records of Sample changed, 0 refused\n");
    let said =
        records(&place, &server, &["delete", "Sample", "name=x=y", "active=true", "--as", "ada"]).await;
    assert_eq!(said.ok().stdout, "2 records of Sample deleted, 0 refused\n");
    let said = records(&place, &server, &["delete", "Sample", "name=a & 0"]).await;
    assert_eq!(said.ok().stdout, "1 record of Sample deleted, 0 refused\n");

    for (arguments, code, words) in [
        (&["update", "Sample", "count=1"][..], 2, "--change"),
        (&["update", "Sample", "count=1", "--change", "nam=x"], 2, "did you mean `name`"),
        (&["update", "Sample", "count=1", "--change", "name"], 2, "write FIELD=VALUE"),
        (&["update", "Sample", "count=1", "--change", "count=x"], 2, "`count` must be"),
        (&["delete", "Sample"], 2, "CONDITION"),
        (&["delete", "Sample", "count"], 2, "is no condition"),
        (&["delete", "Sample", "as=ada"], 2, "--as NAME"),
        (&["delete", "Smaple", "count=1"], 2, "did you mean `Sample`"),
        (&["delete", "Sample", "cuont=1"], 1, "did you mean `count`"),
        (&["delete", "Sample", "count=x"], 1, "`count`"),
    ] {
        records(&place, &server, arguments).await.refused(code, words);
    }
    records(&place, &server, &["delete", "Sample", "count=1", "--data", "data"])
        .await
        .refused(2, "remove --data");
}

/// Only a server judges the rules and tells who watches, so a folder by itself is not written to.
#[test]
fn a_folder_without_a_server_is_refused_with_what_to_do() {
    let place = Place::new();
    for (arguments, words) in [
        (&["delete", "Sample", "count=1"][..], "--url is missing"),
        (
            &["update", "Sample", "count=1", "--change", "count=2", "--data", "data"],
            "data is not written to directly",
        ),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidewire"));
        command.arg("records").args(arguments).arg("--schemas").arg(place.path("schemas"));
        let said = Said::of(command.output().unwrap());
        assert!(said.stderr.contains("start `tidewire dev`"), "{}", said.stderr);
        said.refused(2, words);
    }
}
