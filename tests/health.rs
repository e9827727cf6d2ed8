//! What load balancers and people open first: health, pages, modules, the public folder.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{Answer, TestApp};
use crate::support::socket::PATIENCE;

#[tokio::test]
async fn health_answers_ok() {
    let app = TestApp::start().await;
    let api = app.client();
    let health = api.call("GET", "/health", json!(null)).await;
    assert_eq!((health.status, health.text.as_str()), (200, r#"{"status":"healthy"}"#));
    assert_eq!(api.get("/healthz").await, json!({"status": "healthy"}));
    assert_eq!(api.get("/readyz").await, json!({"status": "ready"}));
    let head = api.call("HEAD", "/health", json!(null)).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn every_entity_has_a_page_without_room_for_foreign_scripts() {
    let app = TestApp::start().await;
    let api = app.client();
    for (path, status) in [
        ("/_/", 200),
        ("/_/schema", 200),
        ("/_/api", 200),
        ("/_/inspect", 200),
        ("/_/e/tasks", 200),
        ("/_/e/users", 200),
        ("/_/e/nope", 404),
        // Whether there is such a record is for the API to say.
        ("/_/e/tasks/0190", 200),
        ("/_/e/nope/0190", 404),
        ("/_/e/tasks/0190/x", 404),
    ] {
        let page = api.call("GET", path, json!(null)).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
    }
}

#[tokio::test]
async fn a_server_without_pages_has_those_of_logins_alone() {
    let app = TestApp::with(|config| config.http.pages = false).await;
    for (path, status) in [
        ("/_/", 404),
        ("/_/schema", 404),
        ("/_/api", 404),
        ("/_/inspect", 404),
        ("/_/e/tasks", 404),
        ("/_/e/tasks/0190", 404),
        ("/_/login", 200),
        ("/_/register", 200),
        ("/_/account", 200),
        ("/static/realtime.js", 200),
        ("/api/tasks", 200),
    ] {
        assert_eq!(app.client().call("GET", path, json!(null)).await.status, status, "{path}");
    }
}

/// A rule can name a field, a role or a record that others are not to know of.
#[tokio::test]
async fn the_rules_of_the_schema_are_told_to_administrators_alone() {
    let app = TestApp::start().await;
    let ask = async |query: &str| app.client().get(&format!("/api/schema{query}")).await;
    for query in ["", "?as=ben"] {
        let told = ask(query).await["entities"].clone();
        assert!(told.as_array().unwrap().iter().all(|entity| entity.get("access").is_none()), "{told}");
    }
    let told = ask("?as=ada:admin").await["entities"].clone();
    for entity in told.as_array().unwrap() {
        for operation in ["read", "create", "update", "delete"] {
            assert!(entity["access"].get(operation).is_some(), "{operation} of {entity}");
        }
    }
}

#[tokio::test]
async fn modules_are_served_with_their_type_and_an_etag() {
    let app = TestApp::start().await;
    let api = app.client();
    let module = api.call("GET", "/static/signal.js", json!(null)).await;
    assert_eq!(module.status, 200);
    assert!(module.header("content-type").starts_with("text/javascript"), "{:?}", module.headers);
    let known = [("If-None-Match", module.header("etag"))];
    let again = api.call_with("GET", "/static/signal.js", json!(null), &known).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    for path in ["/static/nope.js", "/static/../Cargo.toml", "/static/%2e%2e/Cargo.toml"] {
        assert_eq!(api.call("GET", path, json!(null)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_root_leads_to_the_entities_until_there_is_a_public_folder() {
    let app = TestApp::start().await;
    let api = app.client();
    let root = api.call("GET", "/", json!(null)).await;
    assert_eq!((root.status, root.header("location")), (307, "/_/"));

    let public = app.folder.path().join("public");
    std::fs::create_dir_all(public.join(".git")).unwrap();
    std::fs::write(public.join("index.html"), "<h1>mine</h1>").unwrap();
    std::fs::write(public.join(".git/config"), "secret").unwrap();
    std::fs::write(app.folder.path().join("outside.txt"), "secret").unwrap();
    let root = api.call("GET", "/", json!(null)).await;
    assert_eq!((root.status, root.text.as_str()), (200, "<h1>mine</h1>"));
    for path in ["/.git/config", "/%2egit/config", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/nope"] {
        let answer = api.call("GET", path, json!(null)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text.contains("secret"), "{path}");
    }
}

#[tokio::test]
async fn a_text_of_the_public_folder_says_that_it_is_utf_8() {
    let app = TestApp::start().await;
    let public = app.folder.path().join("public");
    std::fs::create_dir_all(&public).unwrap();
    for (name, media) in [
        ("index.html", "text/html; charset=utf-8"),
        ("page.htm", "text/html; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.mjs", "application/javascript; charset=utf-8"),
        ("read.txt", "text/plain; charset=utf-8"),
        ("notes.md", "text/markdown; charset=utf-8"),
        ("rows.csv", "text/csv; charset=utf-8"),
        // These name their encoding themselves, have only one, or are no texts.
        ("feed.xml", "text/xml"),
        ("icon.svg", "image/svg+xml"),
        ("data.json", "application/json"),
        ("photo.png", "image/png"),
        ("module.wasm", "application/wasm"),
    ] {
        std::fs::write(public.join(name), "é").unwrap();
        for method in ["GET", "HEAD"] {
            let answer = app.client().call(method, &format!("/{name}"), json!(null)).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, media), "{method} {name}");
        }
    }
    let root = app.client().call("GET", "/", json!(null)).await;
    assert_eq!(root.header("content-type"), "text/html; charset=utf-8");
    for (path, media) in [
        ("/_/", "text/html; charset=utf-8"),
        ("/_/e/tasks", "text/html; charset=utf-8"),
        ("/static/codes.js", "text/javascript; charset=utf-8"),
        ("/nope", "text/html; charset=utf-8"),
    ] {
        let answer = app.client().call("GET", path, json!(null)).await;
        assert_eq!(answer.header("content-type"), media, "{path}");
    }
}

/// What the program itself serves is the same for every caller, so its length tells nothing.
#[tokio::test]
async fn a_module_is_sent_in_gzip_to_a_browser_that_takes_it_and_plainly_to_others() {
    let app = TestApp::start().await;
    let client = app.client();
    for path in ["/static/realtime.js", "/static/pages/pages.css", "/_/"] {
        let plain = client.call("GET", path, json!(null)).await;
        let small = client.call_with("GET", path, json!(null), &[("accept-encoding", "br, gzip")]).await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, ""), "{path}");
        assert_eq!((small.status, small.header("content-encoding")), (200, "gzip"), "{path}");
        assert_eq!((plain.header("vary"), small.header("vary")), ("accept-encoding", "accept-encoding"));
        assert_ne!(plain.header("etag"), small.header("etag"), "two texts, two tags: {path}");
        let length = |answer: &Answer| answer.header("content-length").parse::<usize>().unwrap();
        assert!(length(&small) < length(&plain), "{path}");
        let known = [("accept-encoding", "gzip"), ("if-none-match", small.header("etag"))];
        assert_eq!(client.call_with("GET", path, json!(null), &known).await.status, 304, "{path}");
    }
    let record = client.call_with("GET", "/api/schema", json!(null), &[("accept-encoding", "gzip")]).await;
    assert_eq!(record.header("content-encoding"), "", "answers of the API differ from caller to caller");
}

/// A slow reader of a file holds a descriptor of the server.
#[tokio::test]
async fn no_more_files_are_sent_at_once_than_there_are_connections_for_requests() {
    let app = TestApp::with(|config| config.http.connections = 2).await;
    let public = app.folder.path().join("public");
    std::fs::create_dir_all(&public).unwrap();
    // More than the kernel holds for a reader that does not read.
    std::fs::write(public.join("large.bin"), vec![b'x'; 16 << 20]).unwrap();
    std::fs::write(public.join("small.txt"), "small").unwrap();
    let ask = format!("GET /large.bin HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    let mut readers = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).await.unwrap();
        assert_eq!(&beginning, b"HTTP/1.1 200");
        readers.push(stream);
    }
    let api = app.client();
    let refused = api.call("GET", "/small.txt", json!(null)).await;
    assert_eq!((refused.status, &refused.json["code"]), (503, &json!("OVERLOADED")), "{}", refused.text);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(api.call("GET", "/_/", json!(null)).await.status, 200, "pages of the program are no files");
    readers.pop();
    let served = async { while api.call("GET", "/small.txt", json!(null)).await.text != "small" {} };
    tokio::time::timeout(PATIENCE, served).await.expect("a turn that ended is another's");
}

#[tokio::test]
async fn every_caller_may_read_the_schema() {
    let app = TestApp::start().await;
    let schema = app.client().get("/api/schema").await;
    let text = schema.to_string();
    for word in ["Task", "tasks", "priority", "doing", "User"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}
