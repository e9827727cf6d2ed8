//! The product inside the test's process: on port 0, in a folder of its own, with the plain schemas, driven over
//! real sockets only. `Client` is a plain HTTP client for it and for `Process`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tidewire::app::{App, Reshaper};
use tidewire::auth::{Identity, NameTrust};
use tidewire::config::Config;
use tidewire::env::Env;
use tidewire::event_bus::EventBus;
use tidewire::presence::Presence;
use tidewire::realtime::Sessions;
use tidewire::realtime::rooms::Rooms;
use tidewire::repository::{Mutation, Repository};
use tidewire::schema::Schema;
use tidewire::store::{Evolved, OpenError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::at_once::Now;
use super::exposition::Exposition;
use super::log_watch::LogWatch;
use super::process::plain_schemas;
use super::socket::PATIENCE;

pub struct TestApp {
    pub address: SocketAddr,
    sessions: Arc<Sessions>,
    pub repository: Arc<Repository>,
    pub reshaper: Reshaper,
    pub event_bus: EventBus,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    running: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// Holds `data`, and `public` once a story makes it.
    pub folder: tempfile::TempDir,
    _log: LogWatch,
}

impl TestApp {
    pub async fn start() -> TestApp {
        TestApp::with(|_| {}).await
    }

    /// Starts with some settings changed.
    pub async fn with(change: impl FnOnce(&mut Config)) -> TestApp {
        let loaded = tidewire::schema::load(&plain_schemas()).expect("the plain schemas have no errors");
        TestApp::over(loaded.schema.into(), change).await
    }

    /// Starts over another schema than the plain one. As in `dev`, what has no rule is open.
    pub async fn over(schema: Arc<Schema>, change: impl FnOnce(&mut Config)) -> TestApp {
        TestApp::again(tempfile::tempdir().unwrap(), schema, change).await
    }

    /// Starts in the folder of an app that has stopped. As in `dev`, what has no rule is open.
    pub async fn again(
        data: tempfile::TempDir,
        schema: Arc<Schema>,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        TestApp::governed(data, opened(schema), change).await
    }

    /// Starts with the rules of the schema and nothing else: what has none is closed.
    pub async fn governed(
        data: tempfile::TempDir,
        schema: Arc<Schema>,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        TestApp::started(data, schema, Env::system(), change).await
    }

    /// Starts in the folder of an app that has stopped, or in a new one, with clocks of its own.
    pub async fn timed(
        data: tempfile::TempDir,
        schema: Arc<Schema>,
        env: Env,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        TestApp::started(data, opened(schema), env, change).await
    }

    /// Starts as `tidewire serve` does: nobody is believed by name. The plain schemas, open to everyone.
    pub async fn serving(change: impl FnOnce(&mut Config)) -> TestApp {
        let schema =
            tidewire::schema::load(&plain_schemas()).expect("the plain schemas have no errors").schema;
        let folder = tempfile::tempdir().unwrap();
        TestApp::trusting(NameTrust::Refused, folder, opened(schema.into()), Env::system(), change).await
    }

    async fn started(
        data: tempfile::TempDir,
        schema: Arc<Schema>,
        env: Env,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        TestApp::trusting(NameTrust::Believed, data, schema, env, change).await
    }

    async fn trusting(
        names: NameTrust,
        data: tempfile::TempDir,
        schema: Arc<Schema>,
        env: Env,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        let log = LogWatch::here();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config {
            data: data.path().join("data"),
            public: data.path().join("public"),
            listen: address,
            ..Config::default()
        };
        change(&mut config);
        let app = App::open_for(config, schema, env, names).expect("the folder can be opened");
        let (reshaper, event_bus) = (app.reshaper(), app.event_bus().clone());
        let (sessions, repository) = (app.sessions().clone(), app.repository().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            app.run(listener, async { drop(stopped.await) }).await.expect("the server runs");
        });
        TestApp {
            address,
            sessions,
            repository,
            reshaper,
            event_bus,
            stop: std::sync::Mutex::new(Some(stop)),
            running: std::sync::Mutex::new(Some(running)),
            folder: data,
            _log: log,
        }
    }

    pub fn client(&self) -> Client {
        Client { repository: Some(self.repository.clone()), ..Client::new(self.address) }
    }

    pub fn client_as(&self, name: &str) -> Client {
        Client { name: Some(name.to_owned()), ..self.client() }
    }

    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub fn rooms(&self) -> &Rooms {
        self.sessions.rooms()
    }

    pub fn presence(&self) -> &Presence {
        self.sessions.presence().expect("a server has presence")
    }

    /// Changes the schema of the running server. As in `dev`, what has no rule is open.
    pub async fn reshape(&self, schema: Arc<Schema>) -> Result<Evolved, OpenError> {
        self.reshaper.reshape(opened(schema)).await
    }

    /// The head of the log.
    pub fn head(&self) -> u64 {
        self.sessions.reader().head().now().unwrap().seq.0
    }

    /// The floor of the log: 0 while everything can be replayed.
    pub fn floor(&self) -> u64 {
        self.sessions.reader().head().now().unwrap().floor.0
    }

    /// Every record of an entity by its id, as REST lists them.
    pub async fn rows(&self, plural: &str) -> BTreeMap<String, Value> {
        self.client().rows(plural).await
    }

    pub fn connections(&self) -> usize {
        self.sessions.stats().connections
    }

    /// How often an outbox was emptied because its connection fell behind.
    pub fn lags(&self) -> u64 {
        self.sessions.stats().lags
    }

    /// What `/metrics` says now.
    pub async fn metrics(&self) -> Exposition {
        let answer = self.client().call("GET", "/metrics", Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Exposition::parse(&answer.text)
    }

    /// The same without a request, for stories about connections. The log's ends are not in it.
    pub fn counted(&self) -> Exposition {
        Exposition::parse(&self.sessions.metrics().text(&self.sessions.moment()))
    }

    /// Waits until a series has a value.
    pub async fn wait_for_metric(&self, series: &str, value: f64) {
        let reached = async {
            while self.counted().value(series) != value {
                // As below: the story hangs on the value, not on the length of the pause.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{series} is {}, not {value}", self.counted().value(series));
        }
    }

    /// Waits until ChannelManager has so many groups.
    pub async fn wait_for_groups(&self, count: u64) {
        let reached = async {
            while self.sessions.stats().groups != count {
                // A counter cannot be waited for; the story hangs on the count, not on the length of the pause.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let groups = || self.sessions.stats().groups;
        tokio::time::timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{} groups, not {count}", groups()));
    }

    /// Asks the server to stop; the answer completes when it has.
    pub fn stop(&self) -> impl Future<Output = ()> + use<> {
        let stop = self.stop.lock().unwrap().take().expect("stopped once");
        let running = self.running.lock().unwrap().take().expect("stopped once");
        stop.send(()).expect("the server runs");
        async move { running.await.expect("the server ends in order") }
    }
}

/// An HTTP answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when there is no JSON.
    pub json: Value,
    pub text: String,
}

impl Answer {
    /// Empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }
}

/// A path with these parameters, encoded.
pub fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse("http://nowhere/").unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    format!("{path}?{}", url.query().unwrap_or_default())
}

/// HTTP as a client sees it.
#[derive(Clone)]
pub struct Client {
    pub base: String,
    pub http: reqwest::Client,
    name: Option<String>,
    repository: Option<Arc<Repository>>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let http = http.build().unwrap();
        Client { base: format!("http://{address}"), http, name: None, repository: None }
    }

    /// The same as a user: `ada`, or `ada:admin`.
    pub fn named(address: SocketAddr, name: &str) -> Client {
        Client { name: Some(name.to_owned()), ..Client::new(address) }
    }

    /// The same with a token in every request.
    pub fn bearing(address: SocketAddr, token: &str) -> Client {
        let bearer = format!("Bearer {token}").parse().unwrap();
        let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
        let http = reqwest::Client::builder().timeout(PATIENCE).default_headers(headers).build().unwrap();
        Client { http, ..Client::new(address) }
    }

    /// One request; the answer's status and body (null when empty).
    pub async fn any(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_any(method, path, &body, &[])
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub async fn try_any(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<(u16, Value)> {
        let answer = self.try_send(self.with(method, path, body, headers)).await?;
        Ok((answer.status, answer.json))
    }

    /// A request that is not sent yet. `path` may hold a query.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let mut url = format!("{}{path}", self.base);
        if let Some(name) = &self.name {
            url.push_str(if path.contains('?') { "&as=" } else { "?as=" });
            url.push_str(name);
        }
        self.http.request(method.parse().unwrap(), url)
    }

    fn with(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> RequestBuilder {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, json, text })
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    /// One request and everything about its answer. A null body is none.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(&self, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        self.send(self.with(method, path, &body, headers)).await
    }

    async fn expect(&self, method: &str, path: &str, body: Value, expected: u16) -> Value {
        let (status, answer) = self.any(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.expect("GET", path, Value::Null, 200).await
    }

    pub async fn get_any(&self, path: &str) -> (u16, Value) {
        self.any("GET", path, Value::Null).await
    }

    pub async fn create(&self, plural: &str, body: Value) -> Value {
        self.expect("POST", &format!("/api/{plural}"), body, 201).await
    }

    /// A create whose server may be killed meanwhile.
    pub async fn try_create(&self, plural: &str, body: Value) -> reqwest::Result<Value> {
        let (status, answer) = self.try_any("POST", &format!("/api/{plural}"), &body, &[]).await?;
        assert_eq!(status, 201, "{answer}");
        Ok(answer)
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.expect("PATCH", path, body, 200).await
    }

    pub async fn patch_with_mid(&self, path: &str, body: Value, mid: &str) -> Value {
        let answer = self.try_any("PATCH", path, &body, &[("idempotency-key", mid)]).await.unwrap();
        assert_eq!(answer.0, 200, "{}", answer.1);
        answer.1
    }

    pub async fn delete(&self, path: &str) {
        self.expect("DELETE", path, Value::Null, 204).await;
    }

    /// Several creates in one unit, by the repository itself.
    pub async fn batch_of_creates(&self, titles: &[&str]) -> (u16, Value) {
        let repository = self.repository.as_ref().expect("a client of a TestApp");
        let identity = Identity::nobody([127, 0, 0, 1].into());
        let create = |title: &&str| Mutation::create("Task", body(json!({"title": title})));
        let mutations: Vec<Mutation> = titles.iter().map(create).collect();
        let written = repository.batch(&identity, &mutations, None).await;
        (if written.is_ok() { 201 } else { 422 }, Value::Null)
    }

    /// Every record of an entity by its id.
    pub async fn rows(&self, plural: &str) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/{plural}?limit=200{cursor}")).await;
            for row in page["items"].as_array().unwrap() {
                rows.insert(row["id"].as_str().unwrap().to_owned(), row.clone());
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}

fn opened(schema: Arc<Schema>) -> Arc<Schema> {
    Arc::unwrap_or_clone(schema).opened().into()
}

fn body(value: Value) -> tidewire::repository::Body {
    serde_json::to_vec(&value).map(|bytes| tidewire::repository::Body::parse(&bytes).unwrap()).unwrap()
}
