//! What a create costs whose rule follows a reference, and one whose `[[on]]` table makes a second record: each beside the same
//! create without it, in turns.

use std::rc::Rc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Aim, Report, Row};
use crate::rounds::Rounds;
use crate::server::Server;
use crate::tasks_api::post;

const CLIENTS: usize = 64;

/// What a create may cost, beside one whose rule asks for its own record only, and beside one that causes nothing.
const FOLLOWED: f64 = 1.15;
const CAUSED: f64 = 1.7;

/// The writer, who is known before anything is measured.
const AS: &str = "?as=ada";
const DRAFT: &str = "0190a000-0000-7000-8000-000000000001";

const FILES: [(&str, &str); 3] = [
    ("user.toml", "entity = 'User'\n[access]\nread = 'true'\n"),
    (
        "draft.toml",
        "entity = 'Draft'\n[fields]\ntitle = { type = 'text' }\n\
         holder = { type = 'ref', entity = 'User', default = 'user.id' }\n\
         [access]\nread = 'true'\ncreate = 'true'\n",
    ),
    (
        "notification.toml",
        "entity = 'Notification'\n[fields]\nperson = { type = 'ref', entity = 'User' }\n\
         about = { type = 'uuid' }\ntext = { type = 'text', max = 200 }\n[access]\nread = 'person == user.id'\n",
    ),
];

const SEGMENT: &str = "entity = 'Segment'\n[fields]\ndraft = { type = 'ref', entity = 'Draft', required = true }\n\
                       text = { type = 'text', max = 100 }\n\
                       owner = { type = 'ref', entity = 'User', default = 'user.id' }\n";

const OWN: &str = "[access]\nread = 'true'\ncreate = 'owner == user.id'\n";
const BEHIND: &str = "[access]\nread = 'true'\ncreate = 'draft.holder == user.id'\n";
const NOTIFIED: &str = "[[on]]\nevent = 'create'\ncreate = 'Notification'\n\
                        set = { person = 'owner', about = 'id', text = \"'New: ' + text\" }\n";

/// One server and the creates that it is sent.
struct Side {
    label: &'static str,
    server: Server,
    job: Job,
    rounds: Rounds,
    _schemas: TempDir,
}

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let mut sides = [
        Side::open(lab, "owner == user.id", &[OWN]).await?,
        Side::open(lab, "draft.holder == user.id", &[BEHIND]).await?,
        Side::open(lab, "with a notification", &[OWN, NOTIFIED]).await?,
    ];
    for _ in 0..lab.scale.rounds {
        for side in &mut sides {
            side.rounds.add(measure(&side.server, &side.job, &lab.scale).await?);
        }
    }
    for side in &sides {
        side.rounds.judge_load(&format!("write-rules, {}", side.label), report);
    }
    let [own, behind, notified] = &sides;
    let followed = behind.rounds.multiple_of(&own.rounds);
    report.judge(
        "write-rules: server CPU of a rule that follows a reference",
        followed,
        Aim::AtMost(FOLLOWED),
    );
    let caused = notified.rounds.multiple_of(&own.rounds);
    report.judge("write-rules: server CPU of a create with a notification", caused, Aim::AtMost(CAUSED));
    let row = |mut side: Side| Row { label: side.label.to_owned(), values: side.rounds.columns() };
    report.table("write-rules", sides.map(row).into());
    Ok(())
}

impl Side {
    async fn open(lab: &Lab, label: &'static str, tables: &[&str]) -> Outcome<Side> {
        let schemas = schemas(lab, tables)?;
        let server = Server::over(lab, schemas.path()).await?;
        let mut client = HttpClient::connect(server.addr).await?;
        let path = |plural: &str| format!("/api/{plural}{AS}");
        let draft = json!({ "id": DRAFT, "title": "Tides" }).to_string();
        client.ask(&post(server.addr, &path("drafts"), &draft)).await?.expect(201)?;
        server.settle().await?;
        let segment: Value = json!({ "draft": DRAFT, "text": "The sea was calm, and it was evening." });
        let request = post(server.addr, &path("segments"), &segment.to_string());
        let job = Job { addr: server.addr, clients: CLIENTS, requests: Rc::new(vec![request]), status: 201 };
        Ok(Side { label, server, job, rounds: Rounds::default(), _schemas: schemas })
    }
}

fn schemas(lab: &Lab, tables: &[&str]) -> Outcome<TempDir> {
    let failed = |source| BenchError::io("write schema files", source);
    let folder = tempfile::Builder::new().prefix("schemas-").tempdir_in(&lab.folder).map_err(failed)?;
    for (name, text) in FILES {
        std::fs::write(folder.path().join(name), text).map_err(failed)?;
    }
    let segment = [&[SEGMENT], tables].concat().concat();
    std::fs::write(folder.path().join("segment.toml"), segment).map_err(failed)?;
    Ok(folder)
}
