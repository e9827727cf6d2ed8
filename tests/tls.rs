//! TLS: requests and sockets over it, a certificate that is renewed, clients that do not finish, and files that are no good.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use tidewire::config::TlsConfig;
use tidewire::http::tls::Tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::app::TestApp;
use crate::support::encrypted::{ask, connect, tls_file as file};
use crate::support::process::{ended, plain_schemas, tidewire};
use crate::support::socket::PATIENCE;

fn files(certificate: &str, key: &str) -> TlsConfig {
    TlsConfig { certificate: Some(file(certificate)), key: Some(file(key)) }
}

async fn encrypted() -> TestApp {
    TestApp::with(|config| {
        config.tls = files("first.pem", "first.key");
        config.http.header_timeout = Duration::from_millis(300);
    })
    .await
}

fn certificate_of(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path}"), "", "").await
}

#[tokio::test]
async fn requests_are_answered_over_tls_and_browsers_stay_with_it() {
    let app = encrypted().await;
    let answer = get(app.address, "/health").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000"), "{answer}");
}

#[tokio::test]
async fn a_socket_over_tls_gets_its_frames_and_its_close() {
    let app = encrypted().await;
    let request = format!("wss://localhost:{}/ws", app.address.port());
    let (mut socket, _) = tokio_tungstenite::client_async(request, connect(app.address).await).await.unwrap();
    let mut next =
        async || tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
    assert!(next().await.to_text().unwrap().contains("connected"));
    drop(app.stop());
    loop {
        if let Message::Close(frame) = next().await {
            assert_eq!(u16::from(frame.unwrap().code), 1012);
            break;
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tide.pem"), folder.path().join("tide.key"));
    let put = |name: &str| {
        std::fs::copy(file(&format!("{name}.pem")), &certificate).unwrap();
        std::fs::copy(file(&format!("{name}.key")), &key).unwrap();
    };
    put("first");
    let config = TlsConfig { certificate: Some(certificate.clone()), key: Some(key.clone()) };
    let app = TestApp::with(|settings| settings.tls = config).await;
    let first = certificate_of(&connect(app.address).await);
    put("second");
    let renewed = async {
        while certificate_of(&connect(app.address).await) == first {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("the new certificate is used");
    std::fs::write(&certificate, "half a cert").unwrap();
    let still = async {
        // Longer than the pause between two looks at the files.
        let until = tokio::time::Instant::now() + Duration::from_millis(1_500);
        while tokio::time::Instant::now() < until {
            assert!(get(app.address, "/health").await.starts_with("HTTP/1.1 200"));
        }
    };
    tokio::time::timeout(PATIENCE, still).await.unwrap();
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_given_up() {
    let app = encrypted().await;
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    let mut plain = TcpStream::connect(app.address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut plain] {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && !String::from_utf8_lossy(&answer).contains("200"), "{answer:?}");
    }
    assert!(get(app.address, "/health").await.starts_with("HTTP/1.1 200"), "others are served");
}

#[test]
fn files_that_are_no_good_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let half = "-----BEGIN CERTIFICATE-----\nnot base64 ***\n-----END CERTIFICATE-----\n";
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, told) in [
        (file("nowhere.pem"), file("first.key"), &["tls.certificate", "nowhere.pem", "cannot be read"][..]),
        (file("first.pem"), file("nowhere.key"), &["tls.key", "nowhere.key", "cannot be read"]),
        (folder.path().to_owned(), file("first.key"), &["tls.certificate", "cannot be read"]),
        (
            written("empty.pem", ""),
            file("first.key"),
            &["empty.pem", "has no certificate", "BEGIN CERTIFICATE"],
        ),
        (file("first.key"), file("first.key"), &["has no certificate"]),
        (written("half.pem", half), file("first.key"), &["tls.certificate", "damaged"]),
        (file("first.pem"), file("first.pem"), &["tls.key", "has no private key"]),
        (file("first.pem"), written("locked.key", locked), &["tls.key", "without a password"]),
        (file("first.pem"), file("second.key"), &["first.pem", "second.key", "do not fit together"]),
    ] {
        let config = TlsConfig { certificate: Some(certificate.clone()), key: Some(key) };
        let error = Tls::load(&config).err().unwrap_or_else(|| panic!("{} is taken", certificate.display()));
        for words in told {
            assert!(error.to_string().contains(words), "{error} does not say {words}");
        }
    }
    assert!(Tls::load(&TlsConfig::default()).unwrap().is_none());
}

#[tokio::test]
async fn a_certificate_is_a_reason_to_listen_beyond_loopback_and_a_bad_one_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |listen: &str, key: &str| {
        let mut command = tidewire(folder.path());
        let certificate = format!("tls.certificate={}", file("first.pem").display());
        let key = format!("tls.key={}", file(key).display());
        command.args(["serve", "--listen", listen, "--set", &certificate, "--set", &key, "--schemas"]);
        ended(command.arg(plain_schemas())).await
    };
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let told = start(listen, "second.key").await;
        // 1 and not 2: the address was no longer the fault.
        assert_eq!(told.code, 1, "{listen}: {}", told.stderr);
        assert!(told.stderr.contains("do not fit together"), "{listen}: {}", told.stderr);
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}
