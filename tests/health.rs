//! What load balancers and people open first: health, pages, modules, the public folder.

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_server_says_that_it_is_well() {
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
    for (path, status) in [("/_/", 200), ("/_/e/tasks", 200), ("/_/e/users", 200), ("/_/e/nope", 404)] {
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
async fn the_schema_is_told_to_whoever_asks() {
    let app = TestApp::start().await;
    let schema = app.client().get("/api/schema").await;
    let text = schema.to_string();
    for word in ["Task", "tasks", "priority", "doing", "User"] {
        assert!(text.contains(word), "{word} is missing in {text}");
    }
}
