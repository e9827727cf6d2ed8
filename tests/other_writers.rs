//! Write rules that ask the whole database, while other writers are at work between a rule's question and the commit: memberships
//! end, a role is passed on, places are taken, owners leave, all at the same time. Afterwards every change of the log is judged
//! once more, by hand-written rights, on the records as the changes before it left them: none got through.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidewire::schema::{Format, SourceFile, check};

use crate::support::app::Client;
use crate::support::random::Random;
use crate::support::story::{Logged, Story};

const PEOPLE: [&str; 6] = ["ada", "ben", "cy", "dee", "eve", "fay"];
const GROUPS: u64 = 3;
const PLACES: u64 = 8;

const USER: &str = "entity = \"User\"\n[access]\nread = \"true\"\ncreate = \"true\"\n";

/// Passed on by its holder to a member.
const GROUP: &str = r#"
entity = "Group"
[fields]
holder = { type = "ref", entity = "User", required = true }
[access]
read   = "true"
create = "user.role == 'admin'"
update = "holder == user.id && exists(Member, m, m.club == id && m.person == change.holder)"
"#;

/// An owner takes people in; one owner stays.
const MEMBER: &str = r#"
entity = "Member"
[fields]
club   = { type = "ref", entity = "Group", required = true }
person = { type = "ref", entity = "User", required = true }
owner  = { type = "bool", required = true, default = false }
[access]
read   = "true"
create = """
user.role == 'admin'
  || exists(Member, m, m.club == club && m.person == user.id && m.owner == true)
    && !exists(Member, m, m.club == club && m.person == person)
"""
delete = """
(person == user.id || exists(Member, m, m.club == club && m.person == user.id && m.owner == true))
  && (owner == false || exists(Member, m, m.club == club && m.owner == true && m.id != id))
"""
"#;

/// Written by the holder of the group, or by a member that another caller answers.
const TEXT: &str = r#"
entity = "Text"
[fields]
club   = { type = "ref", entity = "Group", required = true }
author = { type = "ref", entity = "User", required = true, default = "user.id", readonly = true }
[access]
read   = "true"
create = "club.holder == user.id"
delete = "club.holder == user.id && exists(Member, m, m.club == club && m.person == author)"
"#;

/// A place that is free, for a member of its group, with a moment from which on it is of no use.
const SEAT: &str = r#"
entity = "Seat"
[fields]
club  = { type = "ref", entity = "Group", required = true }
place = { type = "enum", values = ["0", "1", "2", "3", "4", "5", "6", "7"], required = true }
until = { type = "datetime", required = true }
[[index]]
fields = ["place"]
[access]
read   = "true"
create = """
until > now && !exists(Seat, s, s.place == place && s.club == club)
  && exists(Member, m, m.club == club && m.person == user.id)
"""
delete = "exists(Member, m, m.club == club && m.person == user.id)"
"#;

async fn story() -> Story {
    let files = [("user", USER), ("group", GROUP), ("member", MEMBER), ("text", TEXT), ("seat", SEAT)];
    let source = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    Story::over(check(&files.map(source)).unwrap_or_else(|errors| panic!("{errors}"))).await
}

fn id(family: &str, n: u64) -> String {
    format!("01890000-0000-7000-8000-{family}0000000{n:04}")
}

fn group(n: u64) -> String {
    id("a", n)
}

/// `WRITERS_ROUNDS=50 cargo test other_writers` continues for longer; once is what every change must pass.
fn rounds() -> u64 {
    std::env::var("WRITERS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_gets_past_a_rule_that_others_are_just_making_false() {
    for seed in 1..=rounds() {
        let story = story().await;
        settle(&story).await;
        let writers: Vec<_> = (0..12)
            .map(|n| {
                let who = PEOPLE[n as usize % PEOPLE.len()];
                tokio::spawn(writer(story.client(who), who, Random::new(seed * 1_000 + n), 120))
            })
            .collect();
        let mut told = [0, 0];
        for writer in writers {
            let [done, refused] = writer.await.unwrap();
            told = [told[0] + done, told[1] + refused];
        }
        assert!(told[0] > 150 && told[1] > 150, "seed {seed}: {told:?} were done and refused");
        let judged = judge_all(&story.log().await, seed);
        assert!(judged.values().all(|count| *count > 2) && judged.len() == 6, "seed {seed}: {judged:?}");
    }
}

/// Three groups, each with two owners, one of whom holds it.
async fn settle(story: &Story) {
    for who in PEOPLE {
        story.client(who).get("/api/groups").await;
    }
    for n in 0..GROUPS {
        let [holder, second] = [0, 1].map(|at| PEOPLE[(n * 2 + at) as usize]);
        story.may("root:admin", "POST", "/api/groups", json!({"id": group(n), "holder": holder})).await;
        for person in [holder, second] {
            let member = json!({"club": group(n), "person": person, "owner": true});
            story.may("root:admin", "POST", "/api/members", member).await;
        }
    }
}

/// Writes what may well be refused, alone or several in one unit; how many were done and refused.
async fn writer(client: Client, who: &'static str, mut random: Random, writes: usize) -> [usize; 2] {
    let mut told = [0, 0];
    for _ in 0..writes {
        let ops = match random.below(5) {
            0 => vec![op(&client, who, &mut random).await, op(&client, who, &mut random).await],
            _ => vec![op(&client, who, &mut random).await],
        };
        let (status, answer) = client.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        match status {
            200 => told[0] += 1,
            403 | 404 | 409 | 422 => told[1] += 1,
            _ => panic!("{status} {answer}"),
        }
    }
    told
}

async fn op(client: &Client, who: &str, random: &mut Random) -> Value {
    let (club, other) = (group(random.below(GROUPS)), PEOPLE[random.below(PEOPLE.len() as u64) as usize]);
    let create = |entity: &str, data: Value| json!({"op": "create", "entity": entity, "data": data});
    let delete = |entity: &str, of: &Value| json!({"op": "delete", "entity": entity, "id": of["id"]});
    // A record that is there at this moment, and may be gone when it is written.
    let any = async |plural: &str, random: &mut Random| {
        let page = client.get(&format!("/api/{plural}?club={club}&limit=50")).await;
        let items = page["items"].as_array().unwrap();
        items.get(random.below(items.len().max(1) as u64) as usize).cloned()
    };
    let text = |club: &str| create("Text", json!({ "club": club }));
    match random.below(16) {
        0..=2 => text(&club),
        3 | 4 => {
            let to = any("members", random).await.map_or(json!(other), |member| member["person"].clone());
            json!({"op": "update", "entity": "Group", "id": club, "data": {"holder": to}})
        }
        5..=8 => create("Member", json!({"club": club, "person": other, "owner": random.below(2) == 0})),
        9 => match any("members", random).await {
            Some(member) => delete("Member", &member),
            None => create("Member", json!({"club": club, "person": who})),
        },
        10 => any("texts", random).await.map_or_else(|| text(&club), |of| delete("Text", &of)),
        11 | 12 => any("seats", random).await.map_or_else(|| text(&club), |of| delete("Seat", &of)),
        at => {
            let until = if at == 15 { "2000-01-01T00:00:00Z" } else { "2999-01-01T00:00:00Z" };
            let place = random.below(PLACES).to_string();
            create("Seat", json!({"club": club, "place": place, "until": until}))
        }
    }
}

/// The records of one moment, by entity and id.
#[derive(Default)]
struct State(BTreeMap<(String, String), Value>);

impl State {
    fn record(&self, entity: &str, id: &str) -> Option<&Value> {
        self.0.get(&(entity.to_owned(), id.to_owned()))
    }

    fn any(&self, entity: &str, meets: impl Fn(&str, &Value) -> bool) -> bool {
        self.0.iter().any(|((of, id), record)| of == entity && meets(id, record))
    }

    fn is_member(&self, club: &Value, person: &str) -> bool {
        self.any("Member", |_, member| member["club"] == *club && member["person"] == person)
    }

    fn is_owner(&self, club: &Value, person: &str) -> bool {
        self.any("Member", |_, member| {
            member["club"] == *club && member["person"] == person && member["owner"] == true
        })
    }

    fn holds(&self, club: &Value, person: &str) -> bool {
        let group = self.record("Group", club.as_str().unwrap());
        group.is_some_and(|group| group["holder"] == person)
    }

    /// Whether the author of the change was allowed to make it, as things were; and what it was.
    fn allows(&self, change: &Logged) -> (&'static str, bool) {
        let who = change.actor.as_deref().unwrap_or_default();
        let new = &change.after;
        match (&*change.entity, self.record(&change.entity, &change.id)) {
            ("Text", None) => ("text", self.holds(&new["club"], who)),
            ("Text", Some(old)) => {
                let author = old["author"].as_str().unwrap();
                ("text goes", self.holds(&old["club"], who) && self.is_member(&old["club"], author))
            }
            ("Group", Some(old)) => {
                let to_a_member = self.is_member(&json!(change.id), new["holder"].as_str().unwrap());
                ("ring", old["holder"] == who && to_a_member)
            }
            ("Member", None) => {
                let (club, person) = (&new["club"], new["person"].as_str().unwrap());
                ("member", self.is_owner(club, who) && !self.is_member(club, person))
            }
            ("Member", Some(old)) => {
                let club = &old["club"];
                let another = self.any("Member", |id, member| {
                    member["club"] == *club && member["owner"] == true && id != change.id
                });
                let may = old["person"] == who || self.is_owner(club, who);
                ("member goes", may && (old["owner"] == false || another))
            }
            ("Seat", None) => {
                let taken =
                    self.any("Seat", |_, seat| seat["club"] == new["club"] && seat["place"] == new["place"]);
                let lasts = new["until"].as_str().unwrap().starts_with("2999");
                ("seat", lasts && !taken && self.is_member(&new["club"], who))
            }
            ("Seat", Some(old)) => ("seat", self.is_member(&old["club"], who)),
            other => panic!("{other:?} at {}", change.seq),
        }
    }
}

/// Judges every change after the first records; how often each kind occurred.
fn judge_all(log: &[Logged], seed: u64) -> BTreeMap<&'static str, usize> {
    let (mut state, mut judged) = (State::default(), BTreeMap::new());
    for change in log {
        if change.entity != "User" && change.actor.as_deref() != Some("root") {
            let (kind, allowed) = state.allows(change);
            assert!(allowed, "seed {seed}: {kind} at {}: {change:?}", change.seq);
            *judged.entry(kind).or_default() += 1;
        }
        let key = (change.entity.clone(), change.id.clone());
        match change.after.is_null() {
            true => drop(state.0.remove(&key)),
            false => drop(state.0.insert(key, change.after.clone())),
        }
    }
    judged
}

/// The same with one pair of writes each time, so close that either may come first: the later one finds what the earlier one left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writes_at_the_same_moment_the_later_one_sees_the_earlier() {
    let story = story().await;
    settle(&story).await;
    let club = group(0);
    for turn in 0..40 {
        // Ada holds the group and writes while she passes it on to ben, and takes it back by ben's hand.
        let (ada, pass) = (story.client("ada"), json!({"holder": "ben"}));
        let path = format!("/api/groups/{club}");
        let write = ada.any("POST", "/api/texts", json!({ "club": club }));
        let pass = ada.any("PATCH", &path, pass);
        let (written, passed) = if turn % 2 == 0 {
            tokio::join!(write, pass)
        } else {
            let (passed, written) = tokio::join!(pass, write);
            (written, passed)
        };
        assert_eq!(passed.0, 200, "{}", passed.1);
        assert!([201, 403].contains(&written.0), "{}", written.1);
        story.may("ben", "PATCH", &path, json!({"holder": "ada"})).await;
    }
    judge_all(&story.log().await, 0);
}
