//! A team with rules of every kind, and those who ask. Knows no case.
//!
//! Ada is editor of p1, Ben may look at it, Cy is member of nothing, Dan is editor of p2, Eve's account is disabled.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use tidewire::auth::Identity;
use tidewire::config::Config;
use tidewire::repository::{Body, Mutation};
use tidewire::schema::load;

use crate::support::app::{Answer, Client, TestApp};
use crate::support::socket::Socket;

pub(super) const TEXTS: [(&str, &str); 9] = [
    ("user.toml", "entity = \"User\"\n[access]\nread = \"true\"\nupdate = \"user.role == 'admin'\"\n"),
    (
        "membership.toml",
        "entity = \"Membership\"\n[fields]\n\
         person = { type = \"ref\", entity = \"User\", on_delete = \"cascade\" }\n\
         project = { type = \"text\" }\nrole = { type = \"text\" }\n\
         [access]\nread = \"true\"\ncreate = \"user.role == 'admin'\"\ndelete = \"user.role == 'admin'\"\n",
    ),
    (
        "task.toml",
        "entity = \"Task\"\n[fields]\n\
         title = { type = \"text\", required = true, max = 20, search = true }\nproject = { type = \"text\" }\n\
         status = { type = \"text\" }\nowner = { type = \"ref\", entity = \"User\", on_delete = \"set_null\" }\n\
         wage = { type = \"int\", read = \"user.role == 'admin'\" }\n\
         code = { type = \"text\", unique = true }\n\
         [access]\nread = \"project in user.memberships.project\"\nlist = \"status != 'archived'\"\n\
         create = \"owner == user.id\"\n\
         update = \"owner == user.id || user.memberships.exists(own, own.project == project && own.role == 'editor')\"\n\
         delete = \"owner == user.id && status == 'done'\"\n\
         lease = \"owner == user.id\"\n",
    ),
    (
        "project.toml",
        "entity = \"Project\"\n[fields]\nname = { type = \"text\" }\n\
         lead = { type = \"ref\", entity = \"User\", on_delete = \"set_null\" }\n\
         [access]\nread = \"true\"\ndelete = \"true\"\n",
    ),
    (
        "ticket.toml",
        "entity = \"Ticket\"\n[fields]\ntitle = { type = \"text\" }\n\
         project = { type = \"ref\", entity = \"Project\" }\n\
         task = { type = \"ref\", entity = \"Task\", on_delete = \"set_null\" }\n\
         [access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"project.lead == user.id\"\n\
         delete = \"exists(Membership, seat, seat.person == user.id && seat.role == 'editor')\"\n",
    ),
    (
        "article.toml",
        "entity = \"Article\"\n[fields]\ntitle = { type = \"text\" }\n[access]\nread = \"true\"\n",
    ),
    ("diary.toml", "entity = \"Diary\"\nplural = \"diaries\"\n[fields]\ntitle = { type = \"text\" }\n"),
    (
        "vault.toml",
        "entity = \"Vault\"\n[fields]\ntitle = { type = \"text\" }\n\
         [access]\nread = \"user.role == 'admin'\"\nupdate = \"true\"\n",
    ),
    (
        "form.toml",
        "entity = \"Form\"\nlease = \"required\"\n[fields]\ntitle = { type = \"text\" }\n\
         [access]\nread = \"true\"\nupdate = \"true\"\nlease = \"true\"\n",
    ),
];

/// The id with this number.
pub(super) fn id(n: u32) -> String {
    format!("0190a000-0000-7000-8000-{n:012x}")
}

pub(super) struct Team {
    pub(super) app: TestApp,
    pub(super) root: Client,
}

impl Team {
    pub(super) async fn start() -> Team {
        Team::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Team {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in TEXTS {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let schema = load(folder.path()).unwrap_or_else(|faults| panic!("{faults}")).schema;
        let app = TestApp::governed(tempfile::tempdir().unwrap(), schema.into(), change).await;
        let root = app.client_as("root:admin");
        let team = Team { app, root };
        for name in ["ada", "ben", "cy", "dan", "eve"] {
            team.put("User", json!({"id": name, "name": name, "disabled": name == "eve"})).await;
        }
        let members = [(1, "ada", "p1", "editor"), (2, "ben", "p1", "viewer"), (3, "dan", "p2", "editor")];
        for (n, person, project, role) in members {
            team.put("Membership", json!({"id": id(n), "person": person, "project": project, "role": role}))
                .await;
        }
        team.task(11, "p1", "open", "ada").await;
        team.task(12, "p1", "done", "ben").await;
        team.task(13, "p2", "open", "dan").await;
        team.task(14, "p1", "archived", "ada").await;
        team.put("Project", json!({"id": id(21), "name": "one", "lead": "ada"})).await;
        team.put("Project", json!({"id": id(22), "name": "two", "lead": null})).await;
        team.put("Ticket", json!({"id": id(31), "title": "t", "project": id(21)})).await;
        team.put("Ticket", json!({"id": id(32), "title": "t", "project": id(22)})).await;
        // Their record comes with their first request.
        team.root.get("/api/tasks").await;
        for (entity, n) in [("Article", 41), ("Diary", 42), ("Vault", 43), ("Form", 44)] {
            team.put(entity, json!({"id": id(n), "title": "x"})).await;
        }
        team
    }

    pub(super) async fn task(&self, n: u32, project: &str, status: &str, owner: &str) {
        let title = format!("task {n}");
        let task = json!({"id": id(n), "title": title, "project": project, "status": status, "owner": owner,
            "wage": 10, "code": format!("c{n}")});
        self.put("Task", task).await;
    }

    /// Writes a record that no rule judges.
    pub(super) async fn put(&self, entity: &str, record: Value) {
        let pairs: Vec<(String, Value)> = record.as_object().unwrap().clone().into_iter().collect();
        let body = Body::from_pairs(pairs.iter().map(|(name, value)| (&**name, value.clone())));
        self.write(Mutation::create(entity, body)).await;
    }

    /// Changes a record that no rule judges; answers the position of the change.
    pub(super) async fn set(&self, entity: &str, n: u32, name: &str, value: Value) -> u64 {
        let body = Body::from_pairs([(name, value)]);
        self.write(Mutation::update(entity, &id(n), body)).await
    }

    pub(super) async fn write(&self, mutation: Mutation) -> u64 {
        let server = Identity::nobody(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.app.repository.write_unjudged(&server, mutation).await.unwrap().seq.0
    }

    pub(super) fn client(&self, who: &str) -> Client {
        if who.is_empty() { self.app.client() } else { self.app.client_as(who) }
    }

    /// The answer to a request that is refused, and what `why` says of it.
    pub(super) async fn refused(&self, who: &str, request: &str, body: Value) -> (Answer, Value) {
        let (method, path) = request.split_once(' ').unwrap();
        let answer = self.client(who).call(method, path, body).await;
        let id = answer.json["requestId"].as_str();
        let id = id.unwrap_or_else(|| panic!("{request} was not refused: {}", answer.text)).to_owned();
        let why = self.root.get(&format!("/api/admin/why/{id}")).await;
        (answer, why)
    }

    pub(super) async fn why(&self, id: &str) -> Value {
        let answer = self.root.call("GET", &format!("/api/admin/why/{id}"), Value::Null).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        answer.json
    }

    /// A socket of a user, with the id of its connection.
    pub(super) async fn socket(&self, who: &str) -> (Socket, String) {
        let path = if who.is_empty() { "/ws".to_owned() } else { format!("/ws?as={who}") };
        let headers = [];
        let mut socket = Socket::try_open(self.app.address, &path, &headers, None).await.unwrap();
        let id = socket.frame().await["payload"]["connectionId"].as_str().unwrap().to_owned();
        (socket, id)
    }
}

/// Each clause as `text: truth (name = value, ...)`, and of an `exists` each record in brackets behind it.
pub(super) fn clauses(clauses: &Value) -> Vec<String> {
    let none = Vec::new();
    clauses.as_array().unwrap_or(&none).iter().map(clause).collect()
}

fn clause(clause: &Value) -> String {
    let values = clause["values"].as_array().unwrap().iter();
    let values: Vec<String> =
        values.map(|value| format!("{} = {}", text(&value["name"]), text(&value["value"]))).collect();
    let mut said = format!("{}: {}", text(&clause["text"]), text(&clause["truth"]));
    if !values.is_empty() {
        said.push_str(&format!(" ({})", values.join(", ")));
    }
    for record in clauses(&clause["records"]) {
        said.push_str(&format!(" [{record}]"));
    }
    said
}

pub(super) fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_else(|| panic!("{json} is no text"))
}
