//! An issuer of tokens, as a company has one: a small web server with its keys, a description of itself, and a login without a form.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// A key of the fixtures, with what it signs by.
pub(crate) fn signing_key(name: &str) -> (EncodingKey, Algorithm) {
    let pem =
        std::fs::read(format!("{}/tests/fixtures/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    match name {
        "ec" => (EncodingKey::from_ec_pem(&pem).unwrap(), Algorithm::ES256),
        "ed" => (EncodingKey::from_ed_pem(&pem).unwrap(), Algorithm::EdDSA),
        _ => (EncodingKey::from_rsa_pem(&pem).unwrap(), Algorithm::RS256),
    }
}

/// A token over these claims, signed by a key of the fixtures.
pub(crate) fn signed(key: &str, id: Option<&str>, claims: &Value) -> String {
    let (encoding, algorithm) = signing_key(key);
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, &encoding).unwrap()
}

/// A set with these keys: each a file of the fixtures, and its id.
pub(crate) fn key_set(keys: &[(&str, &str)]) -> Value {
    let of = |(name, id): &(&str, &str)| {
        let (key, algorithm) = signing_key(name);
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some((*id).to_owned());
        serde_json::to_value(jwk).unwrap()
    };
    json!({"keys": keys.iter().map(of).collect::<Vec<_>>()})
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    tidewire::env::Env::system().now().0 / 1000
}

/// See the module's text.
#[derive(Clone)]
pub(crate) struct TestIssuer(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    keys: Mutex<Value>,
    fetches: AtomicU64,
    /// By code: the challenge, the address of the login, and the claims of its id token.
    codes: Mutex<HashMap<String, (String, String, Value)>>,
    /// What the next id token says beside.
    claims: Mutex<Value>,
    /// Answers nothing but errors.
    broken: Mutex<bool>,
}

impl TestIssuer {
    pub(crate) async fn start(keys: &[(&str, &str)]) -> TestIssuer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            address: listener.local_addr().unwrap(),
            keys: Mutex::new(key_set(keys)),
            fetches: AtomicU64::new(0),
            codes: Mutex::default(),
            claims: Mutex::new(json!({})),
            broken: Mutex::new(false),
        };
        let issuer = TestIssuer(Arc::new(inner));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys_of))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    /// `iss` of its tokens.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.0.address)
    }

    pub(crate) fn rotate(&self, keys: &[(&str, &str)]) {
        *self.0.keys.lock() = key_set(keys);
    }

    pub(crate) fn break_down(&self, broken: bool) {
        *self.0.broken.lock() = broken;
    }

    /// How often its keys were read.
    pub(crate) fn fetches(&self) -> u64 {
        self.0.fetches.load(Ordering::Relaxed)
    }

    /// What the id tokens of logins say beside of the usual.
    pub(crate) fn say(&self, claims: Value) {
        *self.0.claims.lock() = claims;
    }

    /// A token for `tide`, with these claims beside.
    pub(crate) fn token(&self, key: &str, id: Option<&str>, beside: &Value) -> String {
        let claims = json!({"iss": self.name(), "aud": "tide", "sub": "ada", "exp": now() + 600});
        signed(key, id, &merged(claims, beside))
    }
}

/// The second over the first; null takes a claim away.
pub(crate) fn merged(mut claims: Value, over: &Value) -> Value {
    for (name, value) in over.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

async fn describe(State(issuer): State<TestIssuer>) -> Json<Value> {
    let name = issuer.name();
    Json(json!({
        "issuer": name,
        "authorization_endpoint": format!("{name}/authorize"),
        "token_endpoint": format!("{name}/token"),
        "jwks_uri": format!("{name}/keys"),
    }))
}

async fn keys_of(State(issuer): State<TestIssuer>) -> Response {
    issuer.0.fetches.fetch_add(1, Ordering::Relaxed);
    if *issuer.0.broken.lock() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    Json(issuer.0.keys.lock().clone()).into_response()
}

/// Every browser that comes is ada.
async fn authorize(
    State(issuer): State<TestIssuer>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
    let code = format!("code-{}", issuer.0.codes.lock().len());
    let claims = json!({
        "iss": issuer.name(),
        "aud": asked["client_id"],
        "sub": "ada",
        "exp": now() + 60,
        "nonce": asked["nonce"],
        "name": "Ada Lovelace",
    });
    let claims = merged(claims, &issuer.0.claims.lock());
    let kept = (asked["code_challenge"].clone(), asked["redirect_uri"].clone(), claims);
    issuer.0.codes.lock().insert(code.clone(), kept);
    Redirect::to(&format!("{}?code={code}&state={}", asked["redirect_uri"], asked["state"]))
}

async fn token(State(issuer): State<TestIssuer>, headers: HeaderMap, body: String) -> Response {
    let fields: HashMap<&str, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            (name, percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
        })
        .collect();
    let basic = format!("Basic {}", STANDARD.encode("tide:the-secret-of-this-client"));
    let known = headers.get("authorization").is_some_and(|given| *given == *basic);
    let kept = issuer.0.codes.lock().remove(&fields["code"]);
    let Some((challenge, redirect, claims)) = kept.filter(|_| known) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(&fields["code_verifier"]));
    if proof != challenge || redirect != fields["redirect_uri"] {
        return StatusCode::BAD_REQUEST.into_response();
    }
    Json(json!({"token_type": "Bearer", "access_token": "x", "id_token": signed("rsa", Some("k1"), &claims)}))
        .into_response()
}
