//! Bad requests: a table of what clients get wrong and strangers try, each with the status, the code and the words that
//! name the fault. Nothing of it may write, and the server must be well after all of it.
//!
//! A row more is a line more: `post(path, body).is(status, code, words)`. `{task}`, `{sample}`, `{project}` and `{user}`
//! in a path or body stand for the ids of records that exist, `{none}` for one that does not.

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::entities;

/// One request and what must be said about it.
struct Row {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    /// Each is in `detail` or `errors`.
    words: Vec<&'static str>,
}

fn row(method: &'static str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Row {
    let (path, body) = (path.into(), body.into());
    Row { method, path, headers: Vec::new(), body, status: 0, code: "", words: Vec::new() }
}

fn get(path: impl Into<String>) -> Row {
    row("GET", path, "")
}

fn delete(path: impl Into<String>) -> Row {
    row("DELETE", path, "")
}

fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Row {
    row("POST", path, body).with("Content-Type", "application/json")
}

fn patch(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Row {
    row("PATCH", path, body).with("Content-Type", "application/json")
}

fn put(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Row {
    row("PUT", path, body).with("Content-Type", "application/json")
}

/// A create of a task with one more member.
fn task(member: &str) -> Row {
    post("/api/tasks", format!("{{\"title\": \"x\", {member}}}"))
}

/// A create of a sample, which has a field of every type.
fn sample(member: &str) -> Row {
    post("/api/samples", format!("{{{member}}}"))
}

impl Row {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Row {
        self.headers.push((name, value.into()));
        self
    }

    /// Instead of the header that the kind of request brings.
    fn typed(mut self, value: &str) -> Row {
        self.headers.retain(|(name, _)| *name != "Content-Type");
        self.with("Content-Type", value)
    }

    fn untyped(mut self) -> Row {
        self.headers.retain(|(name, _)| *name != "Content-Type");
        self
    }

    fn is(mut self, status: u16, code: &'static str, words: &[&'static str]) -> Row {
        (self.status, self.code, self.words) = (status, code, words.to_vec());
        self
    }

    fn bad_json(self, words: &[&'static str]) -> Row {
        self.is(400, "BAD_JSON", words)
    }

    fn invalid(self, words: &[&'static str]) -> Row {
        self.is(422, "VALIDATION_FAILED", words)
    }

    fn bad_query(self, words: &[&'static str]) -> Row {
        self.is(400, "BAD_QUERY", words)
    }

    fn bad_header(self, words: &[&'static str]) -> Row {
        self.is(400, "BAD_HEADER", words)
    }

    fn not_found(self, words: &[&'static str]) -> Row {
        self.is(404, "NOT_FOUND", words)
    }

    fn no_entity(self, words: &[&'static str]) -> Row {
        self.is(404, "UNKNOWN_ENTITY", words)
    }

    fn wrong_method(self) -> Row {
        let method = self.method;
        self.is(405, "METHOD_NOT_ALLOWED", &[method])
    }

    fn unauthenticated(self, words: &[&'static str]) -> Row {
        self.is(401, "UNAUTHENTICATED", words)
    }

    fn name(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(100).collect();
        let headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(_, value)| value != "application/json")
            .map(|(name, value)| format!("{name}: {}", value.chars().take(60).collect::<String>()))
            .collect();
        let path: String = self.path.chars().take(120).collect();
        format!("{} {path} {body} {}", self.method, headers.join(", "))
    }
}

/// Bodies that are not one JSON object.
fn syntax() -> Vec<Row> {
    let tasks = |body: &str| post("/api/tasks", body);
    vec![
        tasks("").bad_json(&["empty"]),
        tasks(" \n\t").bad_json(&["empty"]),
        tasks("{").bad_json(&["line 1", "column 1"]),
        tasks("{\"title\": \"x\"").bad_json(&["line 1"]),
        tasks("{\"title\": \"x\",}").bad_json(&["trailing comma"]),
        tasks("{\"title\" \"x\"}").bad_json(&["expected `:`"]),
        tasks("{title: \"x\"}").bad_json(&["key must be a string"]),
        tasks("{'title': 'x'}").bad_json(&["key must be a string"]),
        tasks("{\"title\": \"x\"} {\"title\": \"y\"}").bad_json(&["trailing characters"]),
        tasks("{\"title\": \"x\"}\u{0}").bad_json(&["trailing characters"]),
        tasks("// a remark\n{\"title\": \"x\"}").bad_json(&["line 1"]),
        tasks("{\"title\": NaN}").bad_json(&["line 1"]),
        tasks("{\"title\": \"x\", \"priority\": 03}").bad_json(&["invalid number"]),
        tasks("{\"title\": \"x\", \"priority\": 1e999}").invalid(&["`priority` must lie within", "`1e999`"]),
        tasks("{\"title\": \"a\nb\"}").bad_json(&["control character"]),
        tasks("{\"title\": \"\\x41\"}").bad_json(&["invalid escape"]),
        tasks("{\"title\": \"\\ud800\"}").bad_json(&["hex escape"]),
        post("/api/tasks", b"{\"title\": \"\xff\"}".as_slice()).bad_json(&["unicode"]),
        post("/api/tasks", b"\x00".as_slice()).bad_json(&["line 1"]),
        post("/api/tasks", b"\x1f\x8b\x08\x00".as_slice()).bad_json(&["line 1"]),
        tasks("title=x&status=open").bad_json(&["line 1"]),
        tasks("<task><title>x</title></task>").bad_json(&["line 1"]),
        tasks("[]").bad_json(&["an array", "one JSON object"]),
        tasks("[{\"title\": \"x\"}]").bad_json(&["an array"]),
        tasks("null").bad_json(&["null"]),
        tasks("true").bad_json(&["a bool"]),
        tasks("5").bad_json(&["a number"]),
        tasks("\"{}\"").bad_json(&["a text"]),
        tasks("{\"title\": \"x\", \"title\": \"y\"}").bad_json(&["`title` appears twice"]),
        task("\"tags\": {\"a\": 1, \"b\": {\"c\": 1, \"c\": 2}}").bad_json(&["`c` appears twice"]),
        task(&format!("\"tags\": {}{}", "[".repeat(100_000), "]".repeat(100_000))).bad_json(&["recursion"]),
        task(&format!("\"tags\": {}1{}", "{\"a\":".repeat(200), "}".repeat(200))).bad_json(&["recursion"]),
        patch("/api/tasks/{task}", "[]").bad_json(&["an array"]),
        put("/api/tasks/{task}", "").bad_json(&["empty"]),
    ]
}

/// Members that are no fields, not of their type, or out of their bounds.
fn fields() -> Vec<Row> {
    vec![
        post("/api/tasks", "{}").invalid(&["`title` is required"]),
        post("/api/tasks", "{\"title\": null}").invalid(&["`title` is required"]),
        post("/api/tasks", "{\"title\": 5}").invalid(&["`title` must be a text, not a number"]),
        post("/api/tasks", "{\"title\": [\"x\"]}").invalid(&["`title` must be a text, not an array"]),
        post("/api/tasks", "{\"title\": {}}").invalid(&["`title` must be a text, not an object"]),
        post("/api/tasks", "{\"title\": true}").invalid(&["`title` must be a text, not a bool"]),
        post("/api/tasks", "{\"title\": \"a\\u0000b\"}").invalid(&["`title`", "U+0000"]),
        post("/api/tasks", format!("{{\"title\": \"{}\"}}", "x".repeat(201)))
            .invalid(&["201", "at most 200"]),
        post("/api/tasks", format!("{{\"title\": \"{}\"}}", "ä".repeat(201)))
            .invalid(&["201", "at most 200"]),
        task("\"status\": \"opne\"").invalid(&["`status`", "open, doing, done", "did you mean `open`?"]),
        task("\"status\": \"OPEN\"").invalid(&["`status`", "open, doing, done"]),
        task("\"status\": 1").invalid(&["`status`"]),
        task("\"priority\": 0").invalid(&["`priority`", "smallest allowed is 1"]),
        task("\"priority\": 6").invalid(&["`priority`", "largest allowed is 5"]),
        task("\"priority\": 2.5").invalid(&["`priority`", "2.5"]),
        task("\"priority\": \"3\"").invalid(&["`priority` must be an int, not a text"]),
        task("\"priority\": 9007199254740993").invalid(&["`priority`", "9007199254740991"]),
        task("\"priority\": 123456789012345678901234567890").invalid(&["`priority`"]),
        task("\"due\": 20261121").invalid(&["`due` must be a date such as", "not a number"]),
        task("\"due\": \"2026-02-30\"").invalid(&["`due`", "2026-02-30"]),
        task("\"due\": \"2026-1-1\"").invalid(&["`due`", "2026-1-1"]),
        task("\"due\": \"tomorrow\"").invalid(&["`due`", "tomorrow"]),
        task("\"due\": \"2026-11-21T00:00:00Z\"").invalid(&["`due`", "a date such as"]),
        task("\"project\": \"p\"").invalid(&["`project`", "not a UUID"]),
        task("\"project\": 7").invalid(&["`project`", "the id of a record"]),
        task("\"project\": \"{none}\"").is(422, "UNKNOWN_REFERENCE", &["`project`", "does not exist"]),
        task("\"project\": \"{task}\"").is(422, "UNKNOWN_REFERENCE", &["`project`"]),
        task("\"owner\": \"nobody\"").is(422, "UNKNOWN_REFERENCE", &["`owner`"]),
        task("\"titel\": \"x\"").invalid(&["`titel` is not a field of Task", "did you mean `title`?"]),
        task("\"colour\": \"red\"").invalid(&["`colour` is not a field of Task"]),
        task("\"Title\": \"x\"").invalid(&["did you mean `title`?"]),
        task("\"\": 1").invalid(&["`` is not a field"]),
        task("\"__proto__\": {}").invalid(&["`__proto__` is not a field"]),
        task("\"id\": \"1\"").invalid(&["`1` is not a UUID"]),
        task("\"id\": 1").invalid(&["`id` must be a text"]),
        task("\"id\": \"{task}\"").is(409, "ID_TAKEN", &["already a Task"]),
        task("\"version\": 1").invalid(&["`version` is set by the server"]),
        task("\"created_at\": \"2026-11-21T08:00:00Z\"").invalid(&["`created_at` is set by the server"]),
        task("\"updated_at\": null").invalid(&["`updated_at` is set by the server"]),
        sample("\"code\": \"a\"").invalid(&["`code`", "at least 2"]),
        sample("\"code\": \"abcde\"").invalid(&["`code`", "at most 4"]),
        sample("\"code\": \"A1\"").invalid(&["`code`", "[a-z]{2,4}"]),
        sample("\"code\": \"taken\"").invalid(&["`code`"]),
        sample("\"code\": \"abc\"").is(409, "NOT_UNIQUE", &["`code`"]),
        sample("\"count\": -1").invalid(&["`count`", "smallest allowed is 0"]),
        sample("\"count\": 11").invalid(&["`count`", "largest allowed is 10"]),
        sample("\"count\": true").invalid(&["`count` must be an int"]),
        sample("\"ratio\": -0.1").invalid(&["`ratio`", "smallest allowed is 0"]),
        sample("\"ratio\": 1.5").invalid(&["`ratio`", "largest allowed is 1"]),
        sample("\"ratio\": \"0.5\"").invalid(&["`ratio` must be a number, not a text"]),
        sample("\"on\": 1").invalid(&["`on`", "true or false"]),
        sample("\"on\": \"true\"").invalid(&["`on`", "true or false"]),
        sample("\"day\": \"2025-02-29\"").invalid(&["`day`", "2025-02-29"]),
        sample("\"at\": \"2026-11-21T08:00:00\"").invalid(&["`at`", "offset"]),
        sample("\"at\": \"2026-11-21 08:00\"").invalid(&["`at`", "2026-11-21 08:00"]),
        sample("\"at\": \"2026-11-21T25:00:00Z\"").invalid(&["`at`", "T25:00"]),
        sample("\"at\": 1701234567").invalid(&["`at`", "not a number"]),
        sample("\"token\": \"x\"").invalid(&["`token`", "not a UUID"]),
        sample("\"token\": 5").invalid(&["`token`", "not a number"]),
        sample("\"extra\": {\"a\": \"\\u0000\"}").invalid(&["`extra`", "U+0000"]),
        sample("\"stamp\": \"2026-11-21T08:00:00Z\"").invalid(&["`stamp` is readonly"]),
        patch("/api/tasks/{task}", "{\"title\": null}").invalid(&["`title`"]),
        patch("/api/tasks/{task}", "{\"id\": \"{none}\"}").invalid(&["`id`"]),
        patch("/api/tasks/{task}", "{\"version\": 2}").invalid(&["`version` is set by the server"]),
        put("/api/tasks/{task}", "{}").invalid(&["`title` is required"]),
        put("/api/tasks/{task}", "{\"title\": \"x\", \"statsu\": \"open\"}")
            .invalid(&["did you mean `status`?"]),
        post("/api/users", "{\"id\": \"\"}").invalid(&["`id`", "1 to 128"]),
        post("/api/users", "{\"id\": \"a\\u0007b\"}").invalid(&["`id`", "control"]),
        post("/api/users", format!("{{\"id\": \"{}\"}}", "x".repeat(129))).invalid(&["`id`", "128"]),
        post("/api/comments", "{\"body\": \"x\"}").invalid(&["`task` is required"]),
        post("/api/tasks", "{\"title\": 5, \"priority\": 9, \"due\": \"x\", \"nope\": 1}").invalid(&[
            "4 fields of the Task",
            "`title`",
            "`priority`",
            "`due`",
            "`nope`",
        ]),
    ]
}

/// Query strings of lists and polls.
fn queries() -> Vec<Row> {
    let tasks = |query: &str| get(format!("/api/tasks?{query}"));
    let changes = |query: &str| get(format!("/api/changes?{query}"));
    vec![
        tasks("limit=0").bad_query(&["`limit`", "1 to 1000", "`0`"]),
        tasks("limit=1001").bad_query(&["1 to 1000"]),
        tasks("limit=-1").bad_query(&["`-1`"]),
        tasks("limit=1.5").bad_query(&["`1.5`"]),
        tasks("limit=ten").bad_query(&["`ten`"]),
        tasks("limit=").bad_query(&["`limit`"]),
        tasks("limit=+5").bad_query(&["`limit`"]),
        tasks("limit=%D9%A3").bad_query(&["`limit`"]),
        tasks("limit=99999999999999999999999").bad_query(&["`limit`"]),
        tasks("limit=1&limit=2").bad_query(&["`limit` is given twice"]),
        tasks("sort=colour").bad_query(&["`colour` is not a field of Task"]),
        tasks("sort=titel").bad_query(&["did you mean `title`?"]),
        tasks("sort=title,-title").bad_query(&["`title` twice"]),
        tasks("sort=tags").bad_query(&["`tags` is a json field"]),
        tasks("sort=,").bad_query(&["not a field"]),
        tasks("sort=--title").bad_query(&["`-title`"]),
        tasks("sort=title;drop+table+tasks").bad_query(&["is not a field of Task"]),
        tasks("sort=title&sort=due").bad_query(&["`sort` is given twice"]),
        tasks("colour=red").bad_query(&["`colour` is not a field of Task"]),
        tasks("titel=x").bad_query(&["did you mean `title`?"]),
        tasks("Limit=5").bad_query(&["`Limit` is not a field"]),
        tasks("=x").bad_query(&["`` is not a field"]),
        tasks("status=closed").bad_query(&["open, doing, done"]),
        tasks("status=opne").bad_query(&["did you mean `open`?"]),
        tasks("priority=high").bad_query(&["`priority` must be a number"]),
        tasks("priority=1.5").bad_query(&["1.5"]),
        tasks("priority=1%27%20OR%201=1").bad_query(&["`priority`"]),
        tasks("due=today").bad_query(&["`due`", "today"]),
        tasks("project=x").bad_query(&["`project`", "not a UUID"]),
        tasks("id=5").bad_query(&["`id`", "not a UUID"]),
        tasks("version=one").bad_query(&["`version`"]),
        tasks("tags=x").bad_query(&["json"]),
        tasks("status=open&status=done").bad_query(&["twice"]),
        tasks("title=%FF").bad_query(&["not percent-encoded UTF-8"]),
        tasks("title=%C3%28").bad_query(&["not percent-encoded UTF-8"]),
        tasks("%FF=x").bad_query(&["not percent-encoded UTF-8"]),
        tasks("title=%ED%A0%80").bad_query(&["not percent-encoded UTF-8"]),
        tasks("cursor=").is(400, "BAD_CURSOR", &["cursor"]),
        tasks("cursor=abc").is(400, "BAD_CURSOR", &["was not made for this list"]),
        tasks("cursor=%00").is(400, "BAD_CURSOR", &["cursor"]),
        tasks(&format!("cursor={}", "A".repeat(9000))).is(400, "BAD_CURSOR", &["cursor"]),
        tasks("cursor=a&cursor=b").bad_query(&["`cursor` is given twice"]),
        get("/api/samples?on=1").bad_query(&["true or false", "`1`"]),
        get("/api/samples?ratio=half").bad_query(&["`ratio`", "half"]),
        get("/api/samples?token=5").unauthenticated(&["not have the form of a token"]),
        changes("").bad_query(&["at least one channel"]),
        changes("channels=entity:Task").bad_query(&["`channels` is not a parameter here"]),
        changes("channel=entity:Task&wait=-1").bad_query(&["`wait`"]),
        changes("channel=entity:Task&wait=26").bad_query(&["at most 25"]),
        changes("channel=entity:Task&wait=soon").bad_query(&["`wait`"]),
        changes("channel=entity:Task&wait=1&wait=2").bad_query(&["`wait` is given twice"]),
        changes("channel=entity:Task&view=a&view=b")
            .bad_query(&["`view` is given 2 times and `channel` 1 times"]),
        changes("channel=entity:Task&since=5").is(400, "BAD_POSITION", &["`since`", "<epoch>:<seq>"]),
        changes("channel=entity:Task&since=").is(400, "BAD_POSITION", &["`since`"]),
        changes("channel=entity:Task&since=xyz:5").is(400, "BAD_POSITION", &["xyz:5"]),
        changes("channel=entity:Task&since=0123456789abcdef0123456789abcdef:-1").is(
            400,
            "BAD_POSITION",
            &["`since`"],
        ),
    ]
}

/// Paths, methods and ids.
fn addresses() -> Vec<Row> {
    vec![
        get("/api/nope").no_entity(&["/api/nope"]),
        get("/api/taks").no_entity(&["did you mean `tasks`?"]),
        get("/api/Task").no_entity(&["did you mean `tasks`?"]),
        get("/api/task").no_entity(&["did you mean `tasks`?"]),
        get("/api/Tasks").no_entity(&["did you mean `tasks`?"]),
        post("/api/taks", "{\"title\": \"x\"}").no_entity(&["did you mean `tasks`?"]),
        patch("/api/taks/{task}", "{\"title\": \"x\"}").no_entity(&["did you mean `tasks`?"]),
        delete("/api/taks/{task}").no_entity(&["did you mean `tasks`?"]),
        get("/api/%00").no_entity(&["/api/"]),
        get(format!("/api/{}", "x".repeat(2000))).no_entity(&["/api/xxx"]),
        get("/api").not_found(&["nothing at this address"]),
        get("/api/").not_found(&["nothing at this address"]),
        get("/api/tasks/").not_found(&["nothing at this address"]),
        get("/api/tasks/{task}/title").not_found(&["nothing at this address"]),
        get("/api/%FF").not_found(&["not UTF-8"]),
        get("/api/tasks/%FF").not_found(&["not UTF-8"]),
        get("/api/tasks/5").not_found(&["`5`", "its ids are UUIDs"]),
        get("/api/tasks/null").not_found(&["`null`", "its ids are UUIDs"]),
        get("/api/tasks/%27%20OR%201=1").not_found(&["its ids are UUIDs"]),
        get("/api/tasks/..%2fusers").not_found(&["its ids are UUIDs"]),
        get("/api/tasks/{none}").not_found(&["no Task with the id"]),
        get("/api/projects/{task}").not_found(&["no Project with the id"]),
        patch("/api/tasks/5", "{\"title\": \"x\"}").not_found(&["its ids are UUIDs"]),
        patch("/api/tasks/{none}", "{\"title\": \"x\"}").not_found(&["no Task with the id"]),
        put("/api/tasks/{none}", "{\"title\": \"x\"}").not_found(&["no Task with the id"]),
        delete("/api/tasks/5").not_found(&["its ids are UUIDs"]),
        delete("/api/tasks/{none}").not_found(&["no Task with the id"]),
        get("/api/users/nobody").not_found(&["no User with the id `nobody`"]),
        get("/api/users/%00").not_found(&["cannot be the id of a User", "1 to 128 characters"]),
        get(format!("/api/users/{}", "x".repeat(129))).not_found(&["cannot be the id of a User", "1 to 128"]),
        put("/api/tasks", "{}").wrong_method(),
        post("/api/tasks/{task}", "{}").wrong_method(),
        row("OPTIONS", "/api/tasks", "").wrong_method(),
        row("PROPFIND", "/api/tasks", "").wrong_method(),
        put("/api/changes", "{}").wrong_method(),
        post("/api/changes", "{}").bad_json(&["`channels` must be an array"]),
        post("/api/changes", "{\"channels\": [], \"channels\": []}").bad_json(&["appears twice"]),
        post("/api/tasks/query", "{\"status\": {}}").bad_query(&["`status` is an empty object"]),
        post("/api/tasks/query", "[]").bad_json(&["expected one JSON object"]),
        post("/api/tasks/query", "").bad_json(&["the body is empty"]),
        post("/api/tasks/query", "{}").typed("text/plain").is(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            &["a JSON body"],
        ),
        post("/api/tasks/query", "{}").with("Origin", "http://evil.example").is(
            403,
            "FORBIDDEN_ORIGIN",
            &["evil"],
        ),
        get("/api/tasks/query").wrong_method(),
        delete("/api/schema").wrong_method(),
        post("/health", "{}").wrong_method(),
        post("/metrics", "{}").wrong_method(),
        delete("/api/projects/{project}").is(409, "RESTRICTED", &["Sample"]),
        get("/ws").bad_header(&["WebSockets"]),
    ]
}

/// Headers that decide what is done with a request.
fn headers() -> Vec<Row> {
    let create = || post("/api/tasks", "{\"title\": \"x\"}");
    let update = || patch("/api/tasks/{task}", "{\"title\": \"y\"}");
    let mut rows = vec![
        create().untyped().is(415, "UNSUPPORTED_MEDIA_TYPE", &["no Content-Type"]),
        create().with("If-Match", "\"1\"").bad_header(&["`if-match`", "create"]),
        create().with("Idempotency-Key", "").bad_header(&["Idempotency-Key", "1 to 128"]),
        create().with("Idempotency-Key", "a b").bad_header(&["visible ASCII"]),
        create().with("Idempotency-Key", "ü").bad_header(&["idempotency-key", "ASCII"]),
        create().with("Idempotency-Key", "k".repeat(129)).bad_header(&["128"]),
        create()
            .with("Idempotency-Key", "a")
            .with("Idempotency-Key", "b")
            .bad_header(&["`idempotency-key` is given twice"]),
        update()
            .with("If-Match", "\"1\"")
            .with("If-Match", "\"2\"")
            .bad_header(&["`if-match` is given twice"]),
        update().with("If-Match", "\"99\"").is(412, "VERSION_CONFLICT", &["version 1"]),
        update().with("If-Match", "\"0\"").is(412, "VERSION_CONFLICT", &["version 1"]),
        delete("/api/tasks/{task}").with("If-Match", "\"2\"").is(412, "VERSION_CONFLICT", &["version 1"]),
        delete("/api/tasks/{task}").with("If-Match", "2").bad_header(&["If-Match", "`2`"]),
        delete("/api/tasks?title=x")
            .with("If-Match", "\"2\"")
            .bad_header(&["many records", "filter by `version`"]),
        delete("/api/tasks?title=x").with("If-Unmodified-Since", "x").bad_header(&["`if-unmodified-since`"]),
        delete("/api/tasks").bad_query(&["every record of Task", "at least one condition"]),
        patch("/api/tasks", "{\"title\": \"y\"}").bad_query(&["at least one condition"]),
        delete("/api/tasks?title=x&limit=1").bad_query(&["`limit`", "`cursor`"]),
        delete("/api/tasks?title=x&sort=title").bad_query(&["`sort`", "goes by id"]),
        delete("/api/tasks?title=x&search=y").bad_query(&["`search`"]),
        delete("/api/tasks?titel=x").bad_query(&["did you mean `title`"]),
        delete("/api/tasks?title=x&cursor=AAAA").is(400, "BAD_CURSOR", &["not made for this list"]),
        delete("/api/nothings?title=x").is(404, "UNKNOWN_ENTITY", &["nothings"]),
        patch("/api/tasks?title=x", "{\"id\": \"{none}\"}").invalid(&["`id` cannot be set"]),
        patch("/api/tasks?title=x", "{\"priority\": 9, \"version\": 1}")
            .invalid(&["`priority`", "`version`"]),
        patch("/api/tasks?title=x", "[]").is(400, "BAD_JSON", &["object"]),
        patch("/api/tasks?title=x", "{}").untyped().is(415, "UNSUPPORTED_MEDIA_TYPE", &["no Content-Type"]),
        create().with("Authorization", "Bearer x").unauthenticated(&["not have the form of a token"]),
        create().with("X-API-Key", "x").unauthenticated(&["not have the form of a token"]),
        update().with("Origin", "http://evil.example").is(403, "FORBIDDEN_ORIGIN", &["evil.example"]),
        update().with("Origin", "null").is(403, "FORBIDDEN_ORIGIN", &["null"]),
        create().with("Sec-Fetch-Site", "cross-site").is(403, "FORBIDDEN_ORIGIN", &["another site"]),
        get("/api/tasks").with("Host", "evil.example").is(403, "FORBIDDEN_HOST", &["evil.example"]),
        get("/api/tasks?as=").unauthenticated(&["`as` must name a user"]),
        get("/api/tasks?as=a%00b").unauthenticated(&["`as` must name a user"]),
        get(format!("/api/tasks?as={}", "x".repeat(129))).unauthenticated(&["`as` must name a user", "128"]),
        get("/api/tasks?as=:admin").unauthenticated(&["`as` has no name before the colon"]),
        get("/api/tasks?as=:").unauthenticated(&["`as` has no name before the colon"]),
        get("/api/tasks?as=ada:").unauthenticated(&["`as` has a colon and no role", "?as=NAME:role"]),
        get("/api/tasks?as=ada:a+b").unauthenticated(&["no role of 1 to 64 visible characters", "`a b`"]),
        get("/api/tasks?as=ada:a%0ab").unauthenticated(&["visible characters"]),
        get("/api/tasks?as=ada:%E2%80%A8").unauthenticated(&["visible characters"]),
        get(format!("/api/tasks?as=ada:{}", "x".repeat(65))).unauthenticated(&["1 to 64", "…"]),
        get(format!("/api/tasks?as={}:admin", "x".repeat(129)))
            .unauthenticated(&["`as` must name a user", "128"]),
        get("/api/tasks?as=a&as=b").bad_query(&["`as` is given twice"]),
        get("/api/tasks?as=%FF").bad_query(&["not percent-encoded UTF-8"]),
        post("/api/tasks", format!("{{\"title\": \"{}\"}}", "x".repeat(1 << 20))).is(
            413,
            "BODY_TOO_LARGE",
            &["1048576 bytes"],
        ),
    ];
    for tag in ["1", "W/1", "\"1\", \"2\"", "\"x\"", "\"\"", "\"-1\"", "\"99999999999999999999999\"", ""] {
        rows.push(update().with("If-Match", tag).bad_header(&["If-Match must be one ETag"]));
    }
    for media in [
        "text/plain",
        "text/json",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "json",
        "",
        "a/b;json",
        "application/jsonx",
        "xapplication/json",
        "application/xjson",
        "text/application/json",
    ] {
        rows.push(create().typed(media).is(415, "UNSUPPORTED_MEDIA_TYPE", &["a JSON body is expected"]));
    }
    rows
}

/// Ids of records that exist.
struct Ids([(&'static str, String); 5]);

impl Ids {
    async fn make(api: &Client) -> Ids {
        let id = |record: Value| record["id"].as_str().unwrap().to_owned();
        let project = id(api.create("projects", json!({"name": "p"})).await);
        let task = id(api.create("tasks", json!({"title": "t"})).await);
        let sample = id(api.create("samples", json!({"code": "abc", "keeper": project})).await);
        let user = id(api.create("users", json!({"id": "ann", "name": "Ann"})).await);
        let none = "0190a000-0000-7000-8000-0000000000ff".to_owned();
        Ids([
            ("{project}", project),
            ("{task}", task),
            ("{sample}", sample),
            ("{user}", user),
            ("{none}", none),
        ])
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }
}

async fn ask(api: &Client, row: &Row, ids: &Ids) -> Answer {
    let mut request = api.request(row.method, &ids.fill(&row.path));
    for (name, value) in &row.headers {
        request = request.header(*name, value);
    }
    let body = match std::str::from_utf8(&row.body) {
        Ok(text) => ids.fill(text).into_bytes(),
        Err(_) => row.body.clone(),
    };
    api.send(if body.is_empty() { request } else { request.body(body) }).await
}

/// Words of the inside that no client should read.
const LEAKS: [&str; 8] = ["SQL", "sqlite", "panicked", ".rs:", "unwrap", "/home", "/tmp", "tidewire::"];

/// What is wrong with the answer, if anything.
fn fault(row: &Row, answer: &Answer) -> Option<String> {
    let problem = &answer.json;
    let told = format!("{} {}", problem["detail"].as_str().unwrap_or_default(), problem["errors"]);
    let checks = [
        (answer.status == row.status, "the status"),
        (problem["code"] == row.code, "the code"),
        (problem["status"] == answer.status, "the status in the body"),
        (answer.header("content-type") == "application/problem+json", "the media type"),
        (problem["requestId"] == answer.header("x-request-id"), "the request's id"),
        (problem["title"].as_str().is_some_and(|title| title.len() > 5), "the title"),
        (problem["hint"].as_str().is_some_and(|hint| hint.len() > 5), "the hint"),
        (row.words.iter().all(|word| told.contains(word)), "the words"),
        (!LEAKS.iter().any(|leak| answer.text.contains(leak)), "a leak"),
        (answer.text.len() < 4000, "the length"),
    ];
    let (_, what) = checks.into_iter().find(|(holds, _)| !holds)?;
    let text: String = answer.text.chars().take(600).collect();
    let (status, code, words) = (row.status, row.code, &row.words);
    Some(format!(
        "{}\n  {what}; wanted {status} {code} {words:?}\n  got {} {text}",
        row.name(),
        answer.status
    ))
}

#[tokio::test]
async fn every_bad_request_gets_an_error_and_changes_nothing() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let ids = Ids::make(&api).await;
    let tables = [syntax(), fields(), queries(), addresses(), headers()];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 100, "{} rows", rows.len());
    let head = app.head();
    let mut faults = Vec::new();
    for row in &rows {
        let answer = ask(&api, row, &ids).await;
        faults.extend(fault(row, &answer));
        if app.head() != head {
            panic!("{} was written:\n{}", row.name(), answer.text);
        }
    }
    assert!(faults.is_empty(), "{} of {} rows:\n{}", faults.len(), rows.len(), faults.join("\n"));

    assert_eq!(app.head(), head, "nothing was written");
    let task = ids.fill("{task}");
    assert_eq!(api.get(&format!("/api/tasks/{task}")).await["version"], 1);
    api.create("tasks", json!({"title": "the server is well"})).await;
    assert_eq!(app.head(), head + 1);
    assert_eq!(api.get("/readyz").await, json!({"status": "ready"}));
    let failed = app.metrics().await;
    assert_eq!(failed.value("tidewire_errors_total{transport=\"http\",code=\"INTERNAL\"}"), 0.0);
}
