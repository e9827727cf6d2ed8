//! Sixty bad tokens of other issuers and more: each is refused with the same status and code, by every way, and nothing of it is repeated.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::issuer::{key_set, merged, now, signed};
use crate::support::socket::Socket;

const SECRET: &str = "k9Jx2mQ7vR4tW8yB3nL6pF1sD5gH0zCa-X";
const ISSUER: &str = "https://rsa.example";
const OTHER: &str = "https://secret.example";

/// One issuer with a set of RSA keys in a file, and one with a secret.
async fn started() -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, keys) = (folder.path().join("tokens.toml"), folder.path().join("keys.json"));
    let mut set = key_set(&[("rsa", "k1"), ("ec", "k2")]);
    set["keys"]
        .as_array_mut()
        .unwrap()
        .push(json!({"kty": "oct", "kid": "k3", "k": URL_SAFE_NO_PAD.encode(SECRET)}));
    std::fs::write(keys, set.to_string()).unwrap();
    let file = format!(
        "[issuers.rsa]\nissuer = \"{ISSUER}\"\naudience = [\"tide\"]\njwks_file = \"keys.json\"\n\
         [issuers.hs]\nissuer = \"{OTHER}\"\naudience = [\"tide\"]\nsecrets = [\"{SECRET}\"]\n"
    );
    std::fs::write(&tokens, file).unwrap();
    let loaded = tidewire::schema::load(&crate::support::process::plain_schemas()).unwrap();
    TestApp::again(folder, loaded.schema.into(), |config| config.auth.tokens = Some(tokens)).await
}

fn claims(over: &Value) -> Value {
    merged(json!({"iss": ISSUER, "aud": "tide", "sub": "ada", "exp": now() + 600}), over)
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Signed by HMAC with any bytes, and any header.
fn by_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(secret);
    format!("{message}.{}", jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap())
}

/// Every bad token, with its fault.
fn bad() -> Vec<(String, String)> {
    let good = signed("rsa", Some("k1"), &claims(&json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let public =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/rsa.pub.pem")).unwrap();
    let set = key_set(&[("rsa", "k1")]);
    let modulus = set["keys"][0]["n"].as_str().unwrap();
    let raw_modulus = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    let hs =
        |over: Value| merged(json!({"iss": OTHER, "aud": "tide", "sub": "ada", "exp": now() + 600}), &over);
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let mut bad: Vec<(&str, String)> = Vec::new();
    // What the token says of its own algorithm.
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS256", "HS384", "RS384", "RS512", "PS256", "ES256", "EdDSA",
        "rs256",
    ] {
        let other = part(&json!({"alg": alg, "kid": "k1"}));
        bad.push(("another algorithm", format!("{other}.{payload}.{signature}")));
        bad.push(("another algorithm and no signature", format!("{other}.{payload}.")));
    }
    for header in [
        json!({"kid": "k1"}),
        json!({"alg": null, "kid": "k1"}),
        json!({"alg": ["RS256"], "kid": "k1"}),
        json!([]),
        json!("RS256"),
    ] {
        bad.push(("no algorithm", format!("{}.{payload}.{signature}", part(&header))));
    }
    for secret in
        [&public[..], public.trim_ascii_end(), modulus.as_bytes(), &raw_modulus, b"", SECRET.as_bytes()]
    {
        for kid in [json!("k1"), json!("k3"), json!(null)] {
            let header = json!({"alg": "HS256", "kid": kid});
            bad.push(("the public key as a secret", by_secret(secret, &header, &claims(&json!({})))));
        }
    }
    bad.push(("a secret of another issuer", by_secret(SECRET.as_bytes(), &hs256, &claims(&json!({})))));
    bad.push(("keys of another issuer", signed("rsa", Some("k1"), &hs(json!({})))));
    for key in [json!({"kty": "oct", "k": "AAAA"}), set["keys"][0].clone()] {
        let header = json!({"alg": "RS256", "kid": "k1", "jwk": key, "jku": "https://evil.example/keys"});
        bad.push(("a key of its own", by_secret(b"x", &header, &claims(&json!({})))));
    }
    // Keys.
    bad.push(("another key with this id", signed("other-rsa", Some("k1"), &claims(&json!({})))));
    bad.push(("another key without an id", signed("other-rsa", None, &claims(&json!({})))));
    bad.push(("an unknown id", signed("rsa", Some("k9"), &claims(&json!({})))));
    bad.push(("an id that is a path", signed("rsa", Some("../../k1"), &claims(&json!({})))));
    bad.push(("a key for another algorithm", signed("ec", Some("k2"), &claims(&json!({})))));
    bad.push((
        "an extension",
        by_secret(SECRET.as_bytes(), &json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &hs(json!({}))),
    ));
    // Claims.
    for over in [
        json!({"iss": null}),
        json!({"iss": "https://rsa.example/"}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": [ISSUER]}),
        json!({"aud": null}),
        json!({"aud": ""}),
        json!({"aud": "Tide"}),
        json!({"aud": ["other"]}),
        json!({"aud": []}),
        json!({"aud": {"tide": 1}}),
        json!({"exp": null}),
        json!({"exp": 0}),
        json!({"exp": now() - 31}),
        json!({"exp": "never"}),
        json!({"exp": true}),
        json!({"nbf": now() + 120}),
        json!({"nbf": "soon"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 1}),
        json!({"sub": "a".repeat(200)}),
        json!({"sub": "a\u{0}b"}),
        json!({"sub": "e\u{301}"}),
    ] {
        bad.push(("a claim", signed("rsa", Some("k1"), &claims(&over))));
    }
    bad.push(("claims that are no object", by_secret(SECRET.as_bytes(), &hs256, &json!([OTHER]))));
    // The form.
    for (fault, token) in [
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("only dots", "..".to_owned()),
        ("a longer signature", format!("{good}A")),
        ("a shorter signature", good[..good.len() - 4].to_owned()),
        ("padding", format!("{header}=.{payload}.{signature}")),
        ("a payload of another", format!("{header}.{}.{signature}", part(&claims(&json!({"sub": "root"}))))),
        (
            "a header of another",
            format!("{}.{payload}.{signature}", part(&json!({"alg": "RS256", "kid": "k1", "x": 1}))),
        ),
        (
            "the alphabet of plain base64",
            format!("{header}.{}.{signature}", STANDARD_NO_PAD.encode(b"{\"a\":\"\xc3\xbf\xc3\xbe>?\"}")),
        ),
        ("padded parts", format!("{}.{payload}.{signature}", URL_SAFE.encode("{\"alg\":\"RS256\" }"))),
        ("upper case", good.to_uppercase()),
        ("too long", signed("rsa", Some("k1"), &claims(&json!({"x": "x".repeat(6300)})))),
    ] {
        bad.push((fault, token));
    }
    bad.into_iter().map(|(fault, token)| (fault.to_owned(), token)).collect()
}

#[tokio::test]
async fn a_bad_token_lets_no_caller_in() {
    let app = started().await;
    let good = signed("rsa", Some("k1"), &claims(&json!({})));
    let also = jsonwebtoken::encode(
        &Header::default(),
        &json!({"iss": OTHER, "aud": "tide", "sub": "ada", "exp": now() + 600}),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap();
    for token in [&good, &also] {
        let header = format!("Bearer {token}");
        let answer =
            app.client().call_with("GET", "/api/tasks", Value::Null, &[("authorization", &header)]).await;
        assert_eq!(answer.status, 200, "the table proves nothing without a good token: {}", answer.text);
    }
    let bad = bad();
    assert!(bad.len() >= 60, "{}", bad.len());
    for (fault, token) in &bad {
        let header = format!("Bearer {token}");
        for (method, path) in [("GET", "/api/tasks"), ("GET", "/api/auth/me")] {
            let answer =
                app.client().call_with(method, path, Value::Null, &[("authorization", &header)]).await;
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (401, &json!("UNAUTHENTICATED")),
                "{fault}: {token}: {}",
                answer.text
            );
            for piece in token.split('.').filter(|piece| piece.len() > 12) {
                assert!(!answer.text.contains(piece), "{fault}: the answer repeats the token");
            }
            for secret in [SECRET, "evil.example", "root"] {
                assert!(!answer.text.contains(secret), "{fault}: the answer tells {secret}");
            }
        }
    }
    assert_eq!(app.rows("users").await.keys().collect::<Vec<_>>(), ["hs:ada", "rsa:ada"], "no user was made");
}

#[tokio::test]
async fn bad_tokens_are_refused_by_every_way() {
    let app = started().await;
    let bad = bad();
    for (fault, token) in bad.iter().filter(|(_, token)| token.len() < 4000).step_by(7) {
        let escaped =
            percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC).to_string();
        let (bearer, protocols) = (format!("Bearer {token}"), format!("tidewire.v1, bearer.{token}"));
        let (cookie, own) = (format!("tidewire={token}"), format!("http://{}", app.address));
        let ways: [(String, Vec<(&str, &str)>); 4] = [
            (format!("/ws?token={escaped}"), vec![]),
            ("/ws".to_owned(), vec![("authorization", &bearer)]),
            ("/ws".to_owned(), vec![("sec-websocket-protocol", &protocols)]),
            ("/ws".to_owned(), vec![("cookie", &cookie), ("origin", &own)]),
        ];
        for (path, headers) in ways {
            let mut socket = Socket::try_open(app.address, &path, &headers, None).await.unwrap();
            let error = socket.expect("error").await;
            assert_eq!(error["payload"]["code"], "UNAUTHENTICATED", "{fault}: {error}");
            assert_eq!(socket.closed().await, Some(4401), "{fault}");
        }
        let mut socket = Socket::open(app.address).await;
        socket.send(&json!({"type": "auth", "payload": {"token": token}})).await;
        assert_eq!(socket.expect("error").await["payload"]["code"], "UNAUTHENTICATED", "{fault}");
        assert_eq!(socket.closed().await, Some(4401), "{fault}");
        let ticket = app
            .client()
            .call_with("POST", "/api/auth/ticket", Value::Null, &[("authorization", &bearer)])
            .await;
        assert_eq!(ticket.status, 401, "{fault}");
        let asked = app.client().call("GET", &format!("/api/tasks?token={escaped}"), Value::Null).await;
        assert_eq!(asked.status, 401, "{fault}");
    }
}
