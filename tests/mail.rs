//! Links by mail: a user who lost the password asks for one, and a stranger learns nothing by asking. The mail server is a few lines
//! here.

use serde_json::json;
use tidewire::identity::{MailError, Mailer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::account::{Account, log_in, open};
use crate::support::app::TestApp;
use crate::support::process::{ended, plain_schemas, tidewire};
use crate::support::socket::PATIENCE;

/// The mail server takes nothing for this address.
const REFUSED: &str = "refused@example.org";

/// A mail server of this machine, and what it took.
struct MailServer {
    port: u16,
    mails: mpsc::UnboundedReceiver<Mail>,
}

#[derive(Debug)]
struct Mail {
    to: String,
    text: String,
}

impl MailServer {
    async fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, mails) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, taken.clone()));
            }
        });
        MailServer { port, mails }
    }

    async fn mail(&mut self) -> Mail {
        tokio::time::timeout(PATIENCE, self.mails.recv()).await.expect("a mail comes").unwrap()
    }

    /// The file of `auth.mail`.
    fn file(&self, folder: &std::path::Path) -> std::path::PathBuf {
        let path = folder.join("mail.toml");
        let text = format!(
            "server = \"smtp://127.0.0.1:{}\"\nfrom = \"Tide <tide@example.org>\"\nurl = \"https://tide.example/\"\nuser = \"tide\"\npassword = \"of the mail server\"\n",
            self.port
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// One connection: as much of SMTP as a mail needs.
async fn serve(stream: tokio::net::TcpStream, taken: mpsc::UnboundedSender<Mail>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut to = String::new();
    let _ = write.write_all(b"220 here\r\n").await;
    while let Ok(Some(line)) = lines.next_line().await {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" => "250-here\r\n250 AUTH PLAIN LOGIN\r\n",
            "RCPT" if line.contains(REFUSED) => "550 there is no such user secret@example.org\r\n",
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 ok\r\n"
            }
            "AUTH" => "235 ok\r\n",
            "MAIL" | "RSET" | "NOOP" => "250 ok\r\n",
            "DATA" => {
                let _ = write.write_all(b"354 go on\r\n").await;
                let mut text = String::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == "." {
                        break;
                    }
                    text += &(line + "\n");
                }
                // Long lines are broken for the way.
                let text = text.replace("=\n", "").replace("=3D", "=");
                let _ = taken.send(Mail { to: to.clone(), text });
                "250 ok\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "500 what\r\n",
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn app(server: &MailServer) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let path = server.file(folder.path());
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    TestApp::again(folder, schema.into(), |config| {
        open(config);
        config.auth.mail = Some(path);
    })
    .await
}

async fn ask(app: &TestApp, name: &str) -> (u16, String) {
    let answer = app.client().call("POST", "/api/auth/reset", json!({"name": name})).await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn a_user_who_lost_the_password_gets_a_link_by_mail() {
    let mut server = MailServer::start().await;
    let app = app(&server).await;
    Account::register(&app, "ada@example.org").await;
    assert_eq!(ask(&app, "Ada@Example.org").await, (202, "{}".to_owned()));
    let mail = server.mail().await;
    assert_eq!(mail.to, "ada@example.org", "{}", mail.text);
    let link = mail.text.lines().find_map(|line| line.strip_prefix("https://tide.example/_/account#"));
    let link = link.unwrap_or_else(|| panic!("no link: {}", mail.text)).trim();
    let set = json!({"link": link, "password": "another horse"});
    assert_eq!(app.client().call("POST", "/api/auth/password", set.clone()).await.status, 200);
    assert_eq!(log_in(&app, "ada@example.org", "another horse").await.status, 200);
    assert_eq!(app.client().call("POST", "/api/auth/password", set).await.json["code"], "BAD_LINK");
}

#[tokio::test]
async fn a_stranger_who_asks_for_a_mail_learns_nothing() {
    let mut server = MailServer::start().await;
    let app = app(&server).await;
    Account::register(&app, "ada@example.org").await;
    Account::register(&app, "ben").await;
    // No such user, a user without an address, and one whose mail is refused.
    let told = ask(&app, "eve@example.org").await;
    assert_eq!(told, (202, "{}".to_owned()));
    for name in ["ben", "", "guest:7"] {
        assert_eq!(ask(&app, name).await, told, "{name}");
    }
    Account::register(&app, REFUSED).await;
    assert_eq!(ask(&app, REFUSED).await, told);
    // They are sent one after the other: when this one comes, no other did.
    Account::register(&app, "zoe@example.org").await;
    assert_eq!(ask(&app, "zoe@example.org").await, told);
    assert_eq!(server.mail().await.to, "zoe@example.org");
    for _ in 0..3 {
        ask(&app, "eve@example.org").await;
    }
    let (status, text) = ask(&app, "eve@example.org").await;
    assert!(status == 202 || text.contains("TOO_MANY_LOGINS"), "{text}");
    while ask(&app, "eve@example.org").await.0 == 202 {}
    assert_eq!(ask(&app, "eve@example.org").await.0, 429, "asking is slowed down as guessing is");
    assert!(server.mails.try_recv().is_err());
}

#[tokio::test]
async fn without_a_mail_server_there_is_nothing_to_ask_for() {
    let app = TestApp::with(open).await;
    let (status, text) = ask(&app, "ada").await;
    assert!(status == 404 && text.contains("NOT_FOUND"), "{status} {text}");
    let answer = app.client().call("POST", "/api/auth/reset", json!({"nom": "ada"})).await;
    assert_eq!(answer.json["code"], "VALIDATION_FAILED", "{}", answer.text);
}

#[tokio::test]
async fn commands_send_links_and_say_when_they_could_not() {
    let mut server = MailServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = server.file(folder.path());
    let user = async |arguments: &[&str]| {
        let mut command = tidewire(folder.path());
        command.arg("user").args(arguments).arg("--schemas").arg(plain_schemas());
        command
            .arg("--set")
            .arg(format!("auth.mail={}", file.display()))
            .args(["--set", "auth.register=invitation"]);
        ended(&mut command).await
    };
    let added = user(&["add", "ada", "--send", "ada@example.org"]).await;
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert!(!added.stdout.contains('#'), "the link is in the mail alone: {}", added.stdout);
    assert_eq!(server.mail().await.to, "ada@example.org");
    let invited = user(&["invite", "--send", "ben@example.org"]).await;
    assert_eq!(invited.code, 0, "{}", invited.stderr);
    let mail = server.mail().await;
    assert!(
        mail.to == "ben@example.org" && mail.text.contains("https://tide.example/_/register#twl_"),
        "{}",
        mail.text
    );
    let refused = user(&["passwd", "ada", "--send", REFUSED]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("did not take the mail"), "{}", refused.stderr);
    for told in [&refused.stderr, &refused.stdout] {
        assert!(!told.contains("secret@example.org") && !told.contains("twl_"), "{told}");
    }
}

#[test]
fn a_wrong_file_is_told_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.toml");
    let good =
        "server = \"smtps://mail.example\"\nfrom = \"tide@example.org\"\nurl = \"https://tide.example\"\n";
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Mailer::read(&path).map(drop)
    };
    for (text, words) in [
        (good.replace("smtps://mail.example", "mail.example"), "smtps://HOST"),
        (good.replace("smtps://mail.example", "smtp://mail.example:x"), "port"),
        (good.replace("smtps://mail.example", "smtp://"), "no host"),
        (good.replace("tide@example.org", "tide"), "mail address"),
        (good.replace("https://tide.example", "tide.example"), "`url`"),
        (format!("{good}password = \"s3cret\"\n"), "come together"),
        (format!("{good}pasword = \"s3cret\"\n"), "unknown field"),
        (format!("{good}password = s3cret\n"), "mail.toml"),
        (String::new(), "server"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains("s3cret"), "{text}: {error}");
    }
    let missing = Mailer::read(&folder.path().join("none.toml")).unwrap_err();
    assert!(matches!(missing, MailError::Unreadable { .. }), "{missing}");
    assert!(read(good).is_ok());
}
