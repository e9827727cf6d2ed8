//! The lines of a session in a page, as steps.
//!
//! Before `>` stands what the client sends, before `<` what the server sends: a frame of a socket, or the lines of a block of a
//! stream, of which the last one is empty. A line with a method is a request over HTTP as ada, and the line with a status below
//! it is the answer. A line in round brackets is something that happens.

/// One step.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    Says(&'a str),
    Hears(Vec<&'a str>),
    Request(Request<'a>),
    Happens(&'a str),
}

/// A request as the page has it.
#[derive(Debug, PartialEq)]
pub(super) struct Request<'a> {
    /// The whole line.
    pub(super) text: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) body: Option<&'a str>,
    pub(super) header: Option<(&'a str, &'a str)>,
    pub(super) answer: Option<&'a str>,
}

/// Headers that a line may end with.
const HEADERS: [&str; 2] = ["Last-Event-ID", "Idempotency-Key"];

pub(super) fn steps(text: &str) -> Vec<Step<'_>> {
    let mut lines = text.lines().peekable();
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let step = if let Some(frame) = line.strip_prefix("> ") {
            Step::Says(frame)
        } else if line.starts_with("< {") {
            Step::Hears(vec![&line[2..]])
        } else if let Some(first) = line.strip_prefix("< ") {
            let mut block = vec![first];
            block.extend(
                lines.by_ref().map(|line| line[1..].trim_start()).take_while(|line| !line.is_empty()),
            );
            Step::Hears(block)
        } else if line.starts_with('(') {
            Step::Happens(line)
        } else {
            let is_answer = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
            Step::Request(request(line, lines.next_if(is_answer)))
        };
        steps.push(step);
    }
    steps
}

fn request<'a>(text: &'a str, answer: Option<&'a str>) -> Request<'a> {
    let header = HEADERS.into_iter().find_map(|name| {
        let (before, value) = text.rsplit_once(&format!(" {name}: "))?;
        Some((before, (name, value)))
    });
    let (line, header) = header.map_or((text, None), |(before, header)| (before, Some(header)));
    let (method, rest) = line.split_once(' ').unwrap_or_else(|| panic!("a line of no kind: {text}"));
    assert!(["GET", "POST", "PATCH", "DELETE"].contains(&method), "a line of no kind: {text}");
    let (path, body) = rest.split_once(' ').map_or((rest, None), |(path, body)| (path, Some(body)));
    Request { text, method, path, body, header, answer }
}

#[test]
fn the_lines_of_a_page_are_its_steps() {
    let text = "(the client connects)\n< {\"a\":1}\n> {\"b\":2}\nPOST /api/tasks {\"c\": 3} Idempotency-Key: m\n201 {}\n\
                GET /sse?x Last-Event-ID: e:1:h\n< event: pong\n< data: {}\n<\nDELETE /api/tasks/1\n";
    let request = |text, method, path| Request { text, method, path, body: None, header: None, answer: None };
    let post = Request {
        body: Some("{\"c\": 3}"),
        header: Some(("Idempotency-Key", "m")),
        answer: Some("201 {}"),
        ..request("POST /api/tasks {\"c\": 3} Idempotency-Key: m", "POST", "/api/tasks")
    };
    let stream = Request {
        header: Some(("Last-Event-ID", "e:1:h")),
        ..request("GET /sse?x Last-Event-ID: e:1:h", "GET", "/sse?x")
    };
    assert_eq!(
        steps(text),
        [
            Step::Happens("(the client connects)"),
            Step::Hears(vec!["{\"a\":1}"]),
            Step::Says("{\"b\":2}"),
            Step::Request(post),
            Step::Request(stream),
            Step::Hears(vec!["event: pong", "data: {}"]),
            Step::Request(request("DELETE /api/tasks/1", "DELETE", "/api/tasks/1")),
        ]
    );
}
