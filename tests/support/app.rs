//! `TestApp`: the whole server on port 0 over a folder of its own, and `Client`, which speaks to it over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewire::app::App;
use tidewire::auth::Identity;
use tidewire::config::Config;
use tidewire::env::Env;
use tidewire::realtime::WebSocketManager;
use tidewire::repository::{Body, Mutation, Repository};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::entities;
use super::socket::PATIENCE;

pub struct TestApp {
    pub address: SocketAddr,
    pub repository: Arc<Repository>,
    pub websockets: Arc<WebSocketManager>,
    pub folder: TempDir,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
}

impl TestApp {
    pub async fn start() -> TestApp {
        TestApp::with(|_| {}).await
    }

    /// Starts with other settings than the defaults.
    pub async fn with(change: impl FnOnce(&mut Config)) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            data: folder.path().join("data"),
            public: folder.path().join("public"),
            ..Config::default()
        };
        change(&mut config);
        let app = App::open(config, entities::schema(), Env::system()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (repository, websockets) = (app.repository().clone(), app.websockets().clone());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(listener, async {
            let _ = stopped.await;
        }));
        TestApp { address, repository, websockets, folder, stop, running }
    }

    pub fn client(&self) -> Client {
        Client { repository: Some(self.repository.clone()), ..Client::new(self.address) }
    }

    /// A client that says `?as=name` with every request.
    pub fn client_as(&self, name: &str) -> Client {
        Client { name: Some(name.to_owned()), ..self.client() }
    }

    /// Tells the server to stop; await the answer for the end.
    pub fn stop(self) -> impl Future<Output = ()> {
        let TestApp { folder, stop, running, .. } = self;
        stop.send(()).unwrap();
        async move {
            tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
            drop(folder);
        }
    }

    /// The fanned-out position; equals the log's head as soon as nothing is on its way.
    pub fn head(&self) -> u64 {
        self.websockets.stats().position
    }

    pub fn connections(&self) -> usize {
        self.websockets.stats().connections
    }

    /// Waits until ChannelManager has so many groups.
    pub async fn wait_for_groups(&self, groups: u64) {
        let reached = async {
            while self.websockets.stats().groups != groups {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, reached).await;
        found.unwrap_or_else(|_| panic!("{} groups, not {groups}", self.websockets.stats().groups));
    }

    /// Every record of an entity, by id.
    pub async fn rows(&self, plural: &str) -> BTreeMap<String, Value> {
        self.client().rows(plural).await
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
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.json)).to_owned()
    }
}

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    name: Option<String>,
    repository: Option<Arc<Repository>>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Client { http: http.build().unwrap(), address, name: None, repository: None }
    }

    /// A request that is not sent yet. `path` may hold a query.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let mut url = format!("http://{}{path}", self.address);
        if let Some(name) = &self.name {
            url.push_str(if path.contains('?') { "&as=" } else { "?as=" });
            url.push_str(name);
        }
        self.http.request(method.parse().unwrap(), url)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the server answers")
    }

    async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, json, text })
    }

    /// Sends JSON, or nothing for null.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(&self, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_null() { request } else { request.json(&body) };
        self.send(request).await
    }

    /// Whatever the answer is.
    pub async fn any(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let answer = self.call(method, path, body).await;
        (answer.status, answer.json)
    }

    pub async fn get_any(&self, path: &str) -> (u16, Value) {
        self.any("GET", path, Value::Null).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, json) = self.get_any(path).await;
        assert_eq!(status, 200, "GET {path}: {json}");
        json
    }

    pub async fn create(&self, plural: &str, body: Value) -> Value {
        let (status, json) = self.any("POST", &format!("/api/{plural}"), body).await;
        assert_eq!(status, 201, "{json}");
        json
    }

    /// For servers that may die meanwhile: an error unless the answer is 201.
    pub async fn try_create(&self, plural: &str, body: Value) -> Result<Value, String> {
        let request = self.request("POST", &format!("/api/{plural}")).json(&body);
        let answer = self.try_send(request).await.map_err(|error| error.to_string())?;
        if answer.status == 201 { Ok(answer.json) } else { Err(answer.text) }
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        let (status, json) = self.any("PATCH", path, body).await;
        assert_eq!(status, 200, "{json}");
        json
    }

    pub async fn patch_with_mid(&self, path: &str, body: Value, mid: &str) -> Value {
        let answer = self.call_with("PATCH", path, body, &[("Idempotency-Key", mid)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    pub async fn delete(&self, path: &str) {
        let answer = self.call("DELETE", path, Value::Null).await;
        assert_eq!(answer.status, 204, "{}", answer.text);
    }

    /// Every record of an entity, by id, over all pages.
    pub async fn rows(&self, plural: &str) -> BTreeMap<String, Value> {
        let mut rows = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/{plural}?limit=1000{cursor}")).await;
            for row in page["items"].as_array().unwrap() {
                rows.insert(row["id"].as_str().unwrap().to_owned(), row.clone());
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }

    /// One unit of several tasks, through the Repository: batches have no route yet.
    pub async fn batch_of_creates(&self, titles: &[&str]) -> (u16, Value) {
        let repository = self.repository.as_ref().expect("a client of a TestApp");
        let create = |title: &&str| Mutation::create("Task", Body::from_pairs([("title", json!(title))]));
        let mutations: Vec<_> = titles.iter().map(create).collect();
        let caller = Identity { user: None, address: self.address.ip() };
        match repository.batch(&caller, &mutations, None).await {
            Ok(outcome) => (201, json!({ "seq": outcome.seq })),
            Err(error) => (500, json!({ "detail": error.to_string() })),
        }
    }
}
