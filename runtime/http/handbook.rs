//! The documents, as part of the program: each page below `/_/docs/`, a list of them at `/_/llms.txt` (llmstxt.org) and all of them in
//! one text at `/_/llms-full.txt`, for coding assistants. Does not know what the pages say.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use rust_embed::RustEmbed;

use super::state::AppState;

const README: &str = include_str!("../../README.md");

/// In debug builds read from the folder at each request, in release builds part of the program.
#[derive(RustEmbed)]
#[folder = "docs/"]
struct Docs;

/// What a user who writes an application needs first. The other pages follow by name.
const FIRST: [&str; 6] =
    ["schema.md", "permissions.md", "client.md", "http.md", "protocol.md", "semantics.md"];

/// How an assistant begins, and how it finds its own mistakes.
const ADVICE: &str = "An application is a folder: schema files in `schemas/`, with the access rules, and pages in `public/`. \
                      `tidewire new NAME` makes one. `tidewire check` prints every mistake in the schema files with advice, \
                      `tidewire rules test` runs test cases of the rules, and `tidewire explain CODE` explains an error.";

pub(super) fn routes() -> Router<AppState> {
    static LIST: LazyLock<Bytes> = LazyLock::new(|| list().into());
    static ALL: LazyLock<Bytes> = LazyLock::new(|| all().into());
    Router::new()
        .route("/_/llms.txt", get(|| async { text("text/plain; charset=utf-8", LIST.clone()) }))
        .route("/_/llms-full.txt", get(|| async { text("text/plain; charset=utf-8", ALL.clone()) }))
        .route("/_/docs/{*path}", get(document))
}

fn text(media_type: &'static str, text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn document(Path(path): Path<String>) -> Response {
    match page(&path) {
        Some(page) => text("text/markdown; charset=utf-8", page.into()),
        None => (StatusCode::NOT_FOUND, "there is no such page; /_/llms.txt lists them\n").into_response(),
    }
}

fn page(path: &str) -> Option<String> {
    let file = Docs::get(path).filter(|_| path.ends_with(".md"))?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// The names of the pages in reading order, those about single errors last.
fn names() -> Vec<String> {
    let mut names: Vec<String> =
        Docs::iter().map(|name| name.into_owned()).filter(|name| name.ends_with(".md")).collect();
    names.sort_by_cached_key(|name| {
        let place = FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
        (name.starts_with("errors/"), place, name.clone())
    });
    names
}

fn list() -> String {
    let (name, sentence) = title_and_first_sentence(README);
    let mut list = format!("# {name}\n\n> {sentence}\n\n{ADVICE}\n\n");
    list += "- [All of this in one text](/_/llms-full.txt)\n\n## Documents\n\n";
    let mut errors = false;
    for name in names() {
        let Some(page) = page(&name) else { continue };
        if !errors && name.starts_with("errors/") {
            list += "\n## Optional\n\n";
            errors = true;
        }
        let (title, sentence) = title_and_first_sentence(&page);
        list += &format!("- [{title}](/_/docs/{name}): {sentence}\n");
    }
    list
}

fn all() -> String {
    let pages = names().into_iter().filter_map(|name| page(&name));
    std::iter::once(README.to_owned()).chain(pages).collect::<Vec<_>>().join("\n\n")
}

/// Of a page that begins with a heading and a paragraph.
fn title_and_first_sentence(page: &str) -> (String, String) {
    let (heading, rest) = page.split_once('\n').unwrap_or((page, ""));
    let paragraph = rest.trim_start().split("\n\n").next().unwrap_or_default().replace('\n', " ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    (heading.trim_start_matches("# ").to_owned(), paragraph[..end].to_owned())
}
