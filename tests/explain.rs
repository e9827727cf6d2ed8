//! `tidewire explain` and its pages: none is missing, none is left over, and every example is what the program does.
//!
//! A page is a story. Its blocks are taken in order: `toml` that begins with `# schemas/NAME` or `# tidewire.toml` is a file, `console`
//! a command with its output, `http` a request, `ws` frames of a new socket (a path on the first line, if not `/ws`), `json` the answer of
//! the last request or a frame of the last socket, `text` that begins with `closed with` how that socket ends. Other blocks are not looked at.
//! With `UPDATE_PAGES=1` what the program says is written into the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidewire::cli::explain;
use tidewire::cli::settings::{self, Given};

use crate::support::app::{Client, TestApp};
use crate::support::process::{ended, plain_schemas, tidewire};
use crate::support::socket::{Came, Socket};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors")
}

/// From the folder itself, not from the program.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name =
            path.file_name().unwrap().to_str().unwrap().strip_suffix(".md").expect("pages are Markdown");
        pages.insert(name.to_owned(), std::fs::read_to_string(&path).unwrap());
    }
    pages
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<String> = explain::codes().into_iter().flat_map(|of| of.codes).collect();
    let pages: BTreeSet<String> = pages().into_keys().collect();
    let missing: Vec<_> = codes.difference(&pages).collect();
    let left_over: Vec<_> = pages.difference(&codes).collect();
    assert!(missing.is_empty(), "write docs/errors/CODE.md for {missing:?}");
    assert!(left_over.is_empty(), "no code has these pages in docs/errors: {left_over:?}");
    assert_eq!(explain::pages().collect::<BTreeSet<_>>(), pages, "the program holds the same pages");
}

#[test]
fn every_page_says_what_it_means_shows_it_and_says_what_to_do() {
    for (code, page) in pages() {
        let first = page.lines().next().unwrap();
        assert!(first.starts_with(&format!("# {code}: ")), "{code}: {first}");
        for part in ["\n## Example\n", "\n```", "\n## What to do\n"] {
            assert!(page.contains(part), "{code} has no {part:?}");
        }
        let words = page.split_whitespace().count();
        assert!((40..500).contains(&words), "{code} has {words} words");
    }
}

#[test]
fn titles_of_schema_and_close_codes_are_those_of_the_tables() {
    let pages = pages();
    let schema =
        tidewire::schema::DiagnosticCode::ALL.iter().map(|code| (code.as_str().to_owned(), code.meaning()));
    let close =
        tidewire::protocol::CloseCode::ALL.iter().map(|code| (code.number().to_string(), code.reason()));
    for (code, title) in schema.chain(close) {
        assert_eq!(pages[&code].lines().next().unwrap(), format!("# {code}: {title}"));
    }
}

#[tokio::test]
async fn a_code_is_explained_in_any_case_and_a_misspelt_one_is_guessed() {
    let run = async |arguments: &[&str]| ended(tidewire(Path::new(".")).arg("explain").args(arguments)).await;
    for (asked, code) in
        [("E0130", "E0130"), ("e0130", "E0130"), ("not_found", "NOT_FOUND"), ("4013", "4013")]
    {
        let told = run(&[asked]).await;
        assert_eq!((told.code, told.stdout.as_str()), (0, pages()[code].as_str()), "{asked}");
    }
    for (asked, words) in [
        ("E01300", "did you mean `E0130`?"),
        ("NOT_FUOND", "did you mean `NOT_FOUND`?"),
        ("nonsense", "`tidewire explain` lists them all"),
        ("\u{1b}[2J", "there is no code `\\u{1b}[2J`"),
        ("../configuration", "there is no code"),
    ] {
        let told = run(&[asked]).await;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{asked}");
        assert!(told.stderr.contains(words), "{asked}: {}", told.stderr);
    }
    let list = run(&[]).await;
    for (code, page) in pages() {
        let title = page.lines().next().unwrap().split_once(": ").unwrap().1;
        let line = list.stdout.lines().find(|line| line.split_whitespace().next() == Some(&*code));
        assert!(line.is_some_and(|line| line.ends_with(title)), "{code} in\n{}", list.stdout);
    }
}

/// A fenced block: its language and its text.
#[derive(Debug, Clone)]
struct Block {
    language: String,
    text: String,
}

/// The page cut at its blocks: prose, block, prose, block, ..., prose.
fn cut(page: &str) -> (Vec<String>, Vec<Block>) {
    let (mut prose, mut blocks, mut block) = (vec![String::new()], Vec::new(), None::<Block>);
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => {
                block = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => {
                blocks.extend(block.take());
                prose.push(String::new());
            }
            (Some(block), None) => writeln!(block.text, "{line}").unwrap(),
            (None, None) => writeln!(prose.last_mut().unwrap(), "{line}").unwrap(),
        }
    }
    assert!(block.is_none(), "a block has no end");
    (prose, blocks)
}

fn join(prose: &[String], blocks: &[Block]) -> String {
    let mut page = prose[0].clone();
    for (block, prose) in blocks.iter().zip(&prose[1..]) {
        write!(page, "```{}\n{}```\n{prose}", block.language, block.text).unwrap();
    }
    page
}

/// What the blocks of one page have made so far.
struct Stage {
    code: String,
    folder: tempfile::TempDir,
    app: Option<TestApp>,
    answer: Option<Value>,
    sockets: Vec<Socket>,
    /// Nothing of what came on the last socket was looked at yet.
    unheard: bool,
}

impl Stage {
    /// Performs a block; what the program says instead of a block that shows its answer.
    async fn perform(&mut self, block: &Block) -> Option<String> {
        match block.language.as_str() {
            "toml" => self.file(&block.text),
            "console" => return Some(self.command(&block.text).await),
            "http" => self.request(&block.text).await,
            "ws" => self.frames(&block.text).await,
            "json" => return Some(self.shown(&block.text).await),
            "text" if block.text.starts_with("closed with ") => return Some(self.closed().await),
            _ => {}
        }
        None
    }

    fn file(&self, text: &str) {
        let first = text.lines().next().unwrap_or_default();
        let name = first.strip_prefix("# ").and_then(|line| line.split(':').next());
        if let Some(name) = name.filter(|name| name.starts_with("schemas/") || *name == "tidewire.toml") {
            let path = self.folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// `$ tidewire check`, then what it says.
    async fn command(&self, text: &str) -> String {
        let line = text.lines().next().unwrap();
        let arguments = line.strip_prefix("$ tidewire ").expect("a console shows a command of ours");
        let told = ended(tidewire(self.folder.path()).args(arguments.split(' '))).await;
        let said = told.stderr + &told.stdout;
        format!("{line}\n{}\n", said.trim_end())
    }

    async fn app(&mut self) -> &TestApp {
        if self.app.is_none() {
            let own = self.folder.path().join("schemas");
            let schemas = if own.exists() { own } else { plain_schemas() };
            let schema = tidewire::schema::load(&schemas).expect("the example's schema is good").schema;
            let file = self.folder.path().join("tidewire.toml");
            let given = Given { file: file.exists().then_some(file), ..Given::default() };
            let config = settings::load(&given, []).expect("the example's settings are good").config;
            let change = |ours: &mut tidewire::config::Config| {
                (ours.http, ours.realtime, ours.store) = (config.http, config.realtime, config.store);
                (ours.presence, ours.rooms) = (config.presence, config.rooms);
            };
            self.app = Some(TestApp::over(schema.into(), change).await);
        }
        self.app.as_ref().unwrap()
    }

    /// A request line, headers, an empty line, a body.
    async fn request(&mut self, text: &str) {
        let client: Client = self.app().await.client();
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut lines = head.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let mut request = client.request(method, path);
        for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.body(body.trim_end().to_owned());
        }
        self.answer = Some(client.send(request).await.json);
    }

    async fn frames(&mut self, text: &str) {
        // The server has greeted the last socket before another one asks for its place.
        if let Some(last) = self.sockets.last_mut().filter(|_| self.unheard) {
            last.frame().await;
        }
        let address = self.app().await.address;
        let mut lines = text.lines().peekable();
        let path = lines.next_if(|line| line.starts_with('/')).unwrap_or("/ws");
        let mut socket = Socket::open_at(address, path).await;
        for line in lines {
            socket.send_text(line).await;
        }
        self.sockets.push(socket);
        (self.answer, self.unheard) = (None, true);
    }

    /// What a `json` block shows, with the values that the program has for them.
    async fn shown(&mut self, text: &str) -> String {
        let shown: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let found = match self.answer.take() {
            Some(answer) => answer,
            None => self.frame(shown["type"].as_str().unwrap_or("error")).await,
        };
        if covers(&found, &shown) && text.contains(&self.code) {
            return text.to_owned();
        }
        format!("{:#}\n", lasting(found))
    }

    async fn frame(&mut self, kind: &str) -> Value {
        self.unheard = false;
        let socket = self.sockets.last_mut().expect("a socket was opened");
        loop {
            let frame = socket.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    async fn closed(&mut self) -> String {
        self.unheard = false;
        let socket = self.sockets.last_mut().expect("a socket was opened");
        let code = loop {
            if let Came::Closed(code) = socket.came().await {
                break code.expect("the socket is closed with a code");
            }
        };
        let reason = tidewire::protocol::CloseCode::ALL.iter().find(|known| known.number() == code);
        format!("closed with {code}: {}\n", reason.map_or("", |code| code.reason()))
    }
}

/// Whether every member that is shown has the value that is there.
fn covers(found: &Value, shown: &Value) -> bool {
    match (found, shown) {
        (Value::Object(found), Value::Object(shown)) => {
            shown.iter().all(|(name, value)| found.get(name).is_some_and(|found| covers(found, value)))
        }
        _ => found == shown,
    }
}

/// Without the members that differ from one run to the next, and the hint, which the pages say better.
fn lasting(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let fleeting = ["created_at", "updated_at", "timestamp", "hint"];
    let kept = members.into_iter().filter(|(name, value)| {
        // A client's own request id is a word of the example, the server's is not.
        let servers = name == "requestId" && value.as_str().is_some_and(|id| id.len() > 20);
        !servers && !fleeting.contains(&name.as_str())
    });
    kept.map(|(name, value)| (name, lasting(value))).collect()
}

#[tokio::test]
async fn every_example_is_what_the_program_does() {
    let update = std::env::var_os("UPDATE_PAGES").is_some();
    let mut wrong = String::new();
    for (code, page) in pages() {
        let (prose, mut blocks) = cut(&page);
        let mut stage = Stage {
            code: code.clone(),
            folder: tempfile::tempdir().unwrap(),
            app: None,
            answer: None,
            sockets: Vec::new(),
            unheard: false,
        };
        for block in &mut blocks {
            if let Some(said) = stage.perform(block).await {
                block.text = said;
            }
        }
        let as_it_is = join(&prose, &blocks);
        if as_it_is != page && update {
            std::fs::write(folder().join(format!("{code}.md")), &as_it_is).unwrap();
        } else if as_it_is != page {
            write!(wrong, "\n--- docs/errors/{code}.md should be ---\n{as_it_is}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "run this test with UPDATE_PAGES=1 and read what it wrote{wrong}");
}

#[test]
fn the_example_of_a_code_shows_that_code() {
    for (code, page) in pages() {
        let (_, blocks) = cut(&page);
        let shown = blocks.iter().any(|block| block.text.contains(&code));
        assert!(shown, "no block of {code} shows it");
    }
}

#[test]
fn every_code_beside_a_field_is_on_the_page_that_explains_it() {
    let page = &pages()["VALIDATION_FAILED"];
    let mut found = BTreeSet::new();
    for file in ["validate.rs", "values.rs", "error.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/repository").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        for piece in text.split("Fault::new(").skip(1) {
            if let Some(literal) = piece.trim_start().strip_prefix('"') {
                found.insert(literal.split('"').next().unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    for code in found {
        assert!(
            page.contains(&format!("`{code}`")),
            "docs/errors/VALIDATION_FAILED.md does not have `{code}`"
        );
        assert_eq!(explain::explain(&code).as_ref(), Ok(page));
    }
}
