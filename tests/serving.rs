//! `tidewire serve`: the first link, what is closed until then, and what it refuses.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::account::PASSWORD;
use crate::support::app::{Answer, Client};
use crate::support::process::{Process, ended, plain_schemas, tidewire};
use crate::support::socket::Socket;

async fn serve(folder: &Path, arguments: &[&str]) -> Process {
    let mut command = tidewire(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--schemas"]).arg(plain_schemas()).args(arguments);
    command.env("TIDEWIRE_LOG", "debug");
    Process::logged(&mut command, &folder.join("log")).await
}

async fn register(client: &Client, name: &str, link: &str) -> Answer {
    let body = json!({"name": name, "password": PASSWORD, "link": link});
    client.call("POST", "/api/auth/register", body).await
}

#[tokio::test]
async fn the_first_link_makes_an_administrator_and_opens_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), &["--url", "https://tide.example/"]).await;
    let client = Client::new(server.address);
    let told = server.printed("Stop with").await;
    let (_, link) = told.split_once("https://tide.example/_/register#").expect(&told);
    let link = link.lines().next().unwrap().trim().to_owned();

    for path in ["/health", "/healthz", "/readyz", "/_/register", "/static/auth.js", "/static/pages/user.js"]
    {
        assert_eq!(client.call("GET", path, Value::Null).await.status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/_/"),
        ("GET", "/_/login"),
        ("GET", "/metrics"),
        ("GET", "/api/schema"),
        ("GET", "/api/tasks"),
        ("POST", "/api/tasks"),
        ("POST", "/api/auth/login"),
        ("GET", "/api/auth/me"),
        ("GET", "/ws"),
        ("GET", "/_/register/x"),
    ] {
        let answer = client.call(method, path, Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("SETUP_REQUIRED")), "{method} {path}");
    }
    let guessed = register(&client, "eve", &format!("twl_{}", "a".repeat(43))).await;
    assert_eq!(guessed.json["code"], "BAD_LINK");
    let admin = register(&client, "root", &link).await;
    assert_eq!((admin.status, &admin.json["user"]["role"]), (201, &json!("admin")), "{}", admin.text);
    let bearer = format!("Bearer {}", admin.json["token"].as_str().unwrap());
    let get =
        async |path: &str| client.call_with("GET", path, Value::Null, &[("authorization", &bearer)]).await;
    assert_eq!(get("/api/admin/websocket/stats").await.status, 200);
    assert_eq!(get("/api/tasks").await.json["code"], "UNKNOWN_ENTITY", "what has no rule is closed");
    assert_eq!(register(&client, "eve", &link).await.json["code"], "BAD_LINK", "it works once");
    assert_eq!(client.call("GET", "/api/auth/me", Value::Null).await.json["user"], Value::Null);
    let token = ("authorization", &*bearer);
    for (path, headers) in [
        ("/api/schema?as=root:admin", &[][..]),
        ("/api/schema", &[("x-user-id", "root")]),
        ("/api/schema?as=root&claims=%7B%22team%22:%22red%22%7D", &[]),
        ("/api/schema?claims=%7B%22team%22:%22red%22%7D", &[]),
        ("/api/schema?claims=%7B%22team%22:%22red%22%7D", &[token]),
    ] {
        let answer = client.call_with("GET", path, Value::Null, headers).await;
        assert_eq!((answer.status, &answer.json["code"]), (401, &json!("UNAUTHENTICATED")), "{path}");
    }
    let mut named = Socket::open_at(server.address, "/ws?as=root").await;
    assert_eq!(named.expect("error").await["payload"]["code"], "UNAUTHENTICATED");
    assert_eq!(named.closed().await, Some(4401));
    server.stop().await;

    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(
        log.contains("SETUP_REQUIRED") && !log.contains("ERROR"),
        "it waited, and nothing failed:\n{log}"
    );
    for secret in [&link, &bearer[7..], PASSWORD] {
        assert!(!log.contains(secret), "the log has a secret");
    }
    let mut again = serve(folder.path(), &["--set", "auth.anonymous=false"]).await;
    let told = again.greeting.clone() + &again.printed("Stop with").await;
    assert!(!told.contains("register#"), "{told}");
    assert!(told.contains("no [access]") && told.contains("Task"), "{told}");
    let client = Client::new(again.address);
    assert_eq!(client.call("GET", "/api/schema", Value::Null).await.status, 401, "a caller needs a token");
    let mut anonymous = Socket::open_at(again.address, "/ws").await;
    assert_eq!(anonymous.expect("error").await["payload"]["code"], "UNAUTHENTICATED");
    assert_eq!(anonymous.closed().await, Some(4401));
    let get = client.call_with("GET", "/api/schema", Value::Null, &[("authorization", &bearer)]).await;
    assert_eq!(get.status, 200, "a session outlives a restart");
    again.stop().await;
}

#[tokio::test]
async fn an_administrator_made_by_a_command_opens_a_server_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), &[]).await;
    let client = Client::new(server.address);
    let mut command = tidewire(folder.path());
    command.args(["user", "add", "root", "--role", "admin", "--schemas"]).arg(plain_schemas());
    let added = ended(&mut command).await;
    assert_eq!(added.code, 0, "{}", added.stderr);
    let secret = added.stdout.trim().rsplit_once('#').unwrap().1.to_owned();
    assert_eq!(client.call("GET", "/api/schema", Value::Null).await.status, 503, "there is no account yet");
    let mut link = tidewire(folder.path());
    link.args(["user", "link", "--schemas"]).arg(plain_schemas());
    let latest = ended(&mut link).await.stdout.trim().rsplit_once('#').unwrap().1.to_owned();
    assert_eq!(register(&client, "admin", &latest).await.status, 201);
    let set = json!({"link": secret, "password": PASSWORD});
    assert_eq!(client.call("POST", "/api/auth/password", set).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn another_link_takes_the_place_of_the_first_and_is_printed_on_stdout_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(folder.path(), &[]).await;
    let client = Client::new(server.address);
    let told = server.printed("Stop with").await;
    let first = told.split_once("/_/register#").expect(&told).1.lines().next().unwrap().trim().to_owned();
    let mut command = tidewire(folder.path());
    command.args(["user", "link", "--url", "https://tide.example", "--schemas"]).arg(plain_schemas());
    let printed = ended(&mut command).await;
    let (_, second) = printed.stdout.trim().split_once("https://tide.example/_/register#").unwrap();
    assert_eq!((printed.code, &*printed.stderr), (0, ""), "the link is on stdout alone");
    assert_ne!(second, first);
    assert_eq!(register(&client, "eve", &first).await.json["code"], "BAD_LINK", "the former works no longer");
    assert_eq!(register(&client, "root", second).await.status, 201);
    server.stop().await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(!log.contains(&first) && !log.contains(second), "the log has a link");
}

#[tokio::test]
async fn where_tokens_are_configured_no_link_is_asked_for() {
    const SECRET: &str = "k9Jx2mQ7vR4tW8yB3nL6pF1sD5gH0zCa-X";
    let kinds = [
        format!("[services.worker]\nrole = \"admin\"\nsecrets = [\"{SECRET}\"]\n"),
        format!("[shared.page]\nsecrets = [\"{SECRET}\"]\n"),
        format!(
            "[issuers.a]\nissuer = \"https://a.example\"\naudience = [\"tide\"]\nalgorithm = \"HS256\"\nsecrets = [\"{SECRET}\"]\n"
        ),
    ];
    for tokens in kinds {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokens.toml"), &tokens).unwrap();
        let mut server = serve(folder.path(), &["--set", "auth.tokens=tokens.toml"]).await;
        let told = server.greeting.clone() + &server.printed("Stop with").await;
        assert!(!told.contains("register#"), "{tokens}: {told}");
        let asked = Client::new(server.address).call("GET", "/api/schema", Value::Null).await;
        assert_eq!(asked.status, 200, "{tokens}: {}", asked.text);
        server.stop().await;
    }
}

#[tokio::test]
async fn it_refuses_to_listen_beyond_loopback_without_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let mut command = tidewire(folder.path());
        command.args(["serve", "--listen", listen, "--schemas"]).arg(plain_schemas());
        let told = ended(&mut command).await;
        assert_eq!(told.code, 2, "{listen}: {}", told.stderr);
        assert!(told.stderr.contains("listen_beyond"), "{listen}: {}", told.stderr);
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
    for reason in ["yes", "", "tls"] {
        let mut command = tidewire(folder.path());
        command
            .args(["serve", "--set", &format!("listen_beyond={reason}"), "--schemas"])
            .arg(plain_schemas());
        assert_eq!(ended(&mut command).await.code, 2, "{reason}");
    }
    let server = serve(folder.path(), &["--set", "listen_beyond=private-network"]).await;
    drop(server);
}
