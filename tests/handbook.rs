//! The documents that the program serves: every page of docs/ is listed, can be read by itself, and is in the one text.

use serde_json::json;

use crate::support::app::TestApp;

/// Every page of docs/, and its text.
fn pages() -> Vec<(String, String)> {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = Vec::new();
    for folder in ["", "errors/"] {
        for entry in std::fs::read_dir(docs.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "md") {
                let name = format!("{folder}{}", path.file_name().unwrap().to_str().unwrap());
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_page_is_listed_with_what_it_is_about_and_can_be_read() {
    let app = TestApp::start().await;
    let client = app.client();
    let list = client.call("GET", "/_/llms.txt", json!(null)).await;
    assert_eq!((list.status, list.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(list.text.starts_with("# Tidewire\n\n> Tidewire is "), "{}", list.text);
    assert!(list.text.contains("`tidewire check`"), "it says how to find mistakes: {}", list.text);
    let pages = pages();
    assert!(pages.len() > 100, "{} pages", pages.len());
    for (name, text) in &pages {
        let line = list.text.lines().find(|line| line.contains(&format!("](/_/docs/{name}): ")));
        let line = line.unwrap_or_else(|| panic!("no line leads to {name}"));
        assert!(line.ends_with(['.', ':']) && line.len() < 500, "it says what the page is about: {line}");
        let page = client.call("GET", &format!("/_/docs/{name}"), json!(null)).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/markdown; charset=utf-8"),
            "{name}"
        );
        assert!(page.text == *text, "{name} is another text");
    }
    assert_eq!(list.text.matches("](/_/docs/").count(), pages.len());
    for path in ["/_/docs/nope.md", "/_/docs/../README.md", "/_/docs/%2e%2e/README.md", "/_/docs/errors"] {
        assert_eq!(client.call("GET", path, json!(null)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_one_text_begins_with_the_readme_and_holds_every_page() {
    let app = TestApp::start().await;
    let client = app.client();
    let all = client.call("GET", "/_/llms-full.txt", json!(null)).await;
    assert_eq!((all.status, all.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(all.text.starts_with("# Tidewire\n"));
    for (name, text) in pages() {
        assert!(all.text.contains(text.trim_end()), "{name} is missing");
    }
    let place = |heading: &str| all.text.find(heading).unwrap_or_else(|| panic!("{heading} is missing"));
    assert!(place("\n# Schema files\n") < place("\n# The JavaScript client\n"));
    assert!(place("\n# The JavaScript client\n") < place("\n# E0101: "), "single errors come last");
}
