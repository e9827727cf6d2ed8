//! README and docs: every command works as it is pasted, and every sample is what the server takes or answers.
//!
//! A new command is pasted without being named here: beside a running server, and it must succeed. One that cannot be pasted fails until
//! it is listed below with the reason.

mod layout;
mod line;
mod names;
mod page;
mod promises;
mod samples;
mod session;
mod stage;
mod transcript;

use std::collections::BTreeSet;

use serde_json::json;

use page::{Command, commands, pages};
use stage::{Project, Stage, Told};

/// Commands that no test pastes, and why.
const NOT_PASTED: &[(&str, &str)] = &[
    ("cargo install --path .", "builds another profile and writes into the home folder"),
    ("cargo bench --bench spine", "takes minutes and needs two idle cores"),
    ("cargo bench --bench spine -- creates fanout-saturated", "the same"),
    ("cargo bench --bench spine -- --short", "the same"),
    ("cargo bench --bench spine -- --help", "builds the benches"),
    ("cargo bench --bench spine -- fanout-rules", "takes minutes and needs two idle cores"),
    ("TIDEWIRE_BIN=/path/to/tidewire cargo bench --bench spine", "the same"),
    ("npm pack", "writes a package into `static/`; tests/js/package.test.js packs and loads it"),
    ("tidewire why ID", "ID is a word for an id; why::command asks with real ones"),
];

/// Commands that serve until they are stopped: each in a folder of its own.
const SERVES: [&str; 4] =
    ["tidewire dev", "tidewire dev --demo", "tidewire dev --example board", "tidewire serve"];

/// What the reader has done before, where the page does not say it.
const BEFORE: [(&str, &str); 1] = [("tidewire user passwd NAME", "tidewire user add NAME")];

/// Names of commands whose arguments stand elsewhere: their help is asked for.
const NAMES: [&str; 9] = [
    "tidewire why",
    "tidewire user import",
    "tidewire user",
    "tidewire user passwd",
    "tidewire import",
    "tidewire migrate",
    "tidewire new",
    "tidewire records",
    "tidewire rules why",
];

/// Commands that need the folder for themselves.
const ALONE: [&str; 2] = ["tidewire import", "tidewire migrate apply"];

fn not_pasted(command: &Command) -> bool {
    NOT_PASTED.iter().any(|(text, _)| command.bare() == *text)
}

/// A pattern of a command: brackets, or dots for what is left out.
fn is_form(command: &Command) -> bool {
    command.text.starts_with("tidewire ") && (command.text.contains('[') || command.text.contains("..."))
}

/// What the page says that the reader has.
fn project(command: &Command) -> Project {
    match (command.page.as_str(), command.heading.as_str()) {
        ("docs/permissions.md", "Team") => Project::Team,
        _ => Project::Shipped,
    }
}

async fn pasted(stage: &mut Stage, command: &Command) -> Told {
    let bare = command.bare();
    if SERVES.contains(&bare) {
        return Stage::new(project(command)).paste_server(command).await;
    }
    // Where nobody has an account yet.
    if bare.starts_with("tidewire user adopt") {
        return Stage::new(project(command)).paste_alone(command).await;
    }
    if let Some((_, before)) = BEFORE.iter().find(|(text, _)| *text == bare) {
        stage.paste(&Command { text: (*before).to_owned(), ..command.clone() }).await;
    }
    let alone = ALONE.iter().any(|start| bare.starts_with(start)) && !bare.contains("--url");
    if alone { stage.paste_alone(command).await } else { stage.paste(command).await }
}

/// Pastes the commands in the order of the page; those of one project share a folder.
async fn paste(commands: Vec<Command>) -> Vec<(Command, Told)> {
    let mut stages: Vec<(Project, Stage)> = Vec::new();
    let mut all = Vec::new();
    for mut command in commands {
        if NAMES.contains(&command.bare()) {
            command.text = format!("{} --help", command.bare());
        }
        // A target of the Makefile may take an hour: it is only looked whether there is one.
        if let Some(target) = command.bare().strip_prefix("make ") {
            let look = if target == "help" { "" } else { "-n " };
            command.text = format!("make -C {} {look}{target}", page::root().display());
        }
        let project = project(&command);
        if !stages.iter().any(|(known, _)| *known == project) {
            stages.push((project, Stage::new(project)));
        }
        let (_, stage) = stages.iter_mut().find(|(known, _)| *known == project).unwrap();
        let told = pasted(stage, &command).await;
        all.push((command, told));
    }
    all
}

#[tokio::test]
async fn every_command_of_every_page_works_as_it_is_pasted() {
    let mut wrong = String::new();
    let mut count = 0;
    // Every page names `tidewire dev`: each of these once.
    let mut served = BTreeSet::new();
    for page in pages() {
        let mut commands = commands(&page);
        commands.retain(|command| !not_pasted(command) && !is_form(command));
        commands
            .retain(|command| !SERVES.contains(&command.bare()) || served.insert(command.bare().to_owned()));
        for (command, told) in paste(commands).await {
            count += 1;
            let answered = !command.text.starts_with("curl") || (200..300).contains(&told.status);
            if told.code != 0 || !answered {
                let Command { page, line, text, .. } = command;
                wrong += &format!("\n{page}:{line}: {text}\n{told:?}\n");
            }
        }
    }
    assert!(wrong.is_empty(), "these commands do not work as they are written:{wrong}");
    assert!(count > 40, "{count} commands were found");
}

#[tokio::test]
async fn every_flag_of_a_pattern_of_a_command_exists() {
    let forms: Vec<Command> = pages().iter().flat_map(|page| commands(page)).filter(is_form).collect();
    assert!(forms.len() >= 3, "{forms:?}");
    for command in forms {
        let names = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
        let path: Vec<&str> = command
            .text
            .split(' ')
            .skip(1)
            .take_while(|word| names(word) && !word.starts_with('-'))
            .collect();
        let mut stage = Stage::new(Project::Shipped);
        let help = Command { text: format!("tidewire {} --help", path.join(" ")), ..command.clone() };
        let told = stage.paste(&help).await;
        for word in command.text.split([' ', '[', ']']).filter(|word| word.starts_with("--")) {
            assert!(
                told.stdout.contains(word),
                "{}:{}: {word} is unknown to {}",
                command.page,
                command.line,
                help.text
            );
        }
    }
}

#[test]
fn lists_of_exceptions_name_only_what_exists() {
    let all: Vec<Command> = pages().iter().flat_map(|page| commands(page)).collect();
    let stands = |text: &str| all.iter().any(|command| command.bare() == text);
    let before = BEFORE.iter().map(|(text, _)| *text);
    for text in NOT_PASTED.iter().map(|(text, _)| *text).chain(NAMES).chain(SERVES).chain(before) {
        assert!(stands(text), "no page says `{text}` any longer: take it out of this list");
    }
}

#[tokio::test]
async fn the_lines_of_the_readme_about_the_api_answer_what_they_ask() {
    let mut commands = commands("README.md");
    commands.retain(|command| command.text.starts_with("curl"));
    let told = paste(commands).await;
    let statuses: Vec<u16> = told.iter().map(|(_, told)| told.status).collect();
    assert_eq!(statuses, [200, 200, 201, 200, 200, 204, 200, 200, 200], "{told:#?}");
    let answer = |n: usize| &told[n].1.json;
    assert_eq!(answer(0)["items"][0]["priority"], 5, "open tasks, the most important first: {}", answer(0));
    assert!(answer(1)["groups"].as_array().is_some_and(|groups| !groups.is_empty()), "{}", answer(1));
    assert_eq!((&answer(3)["status"], &answer(3)["version"]), (&json!("done"), &json!(2)));
    assert_eq!(answer(4)["results"].as_array().unwrap().len(), 2, "{}", answer(4));
    // Without `view` it would always be false.
    assert_eq!(answer(7)["channels"][0]["recovered"], true, "{}", answer(7));
    assert_eq!(answer(7)["events"][0]["payload"]["title"], "Wake up", "the poll was held: {}", answer(7));
    assert!(answer(8)["entities"].as_array().is_some_and(|entities| !entities.is_empty()), "{}", answer(8));
}

#[tokio::test]
async fn the_commands_of_the_team_show_what_their_comments_say() {
    let mut commands = commands("docs/permissions.md");
    commands.retain(|command| command.heading == "Team" && command.text.starts_with("curl"));
    let told = paste(commands).await;
    let statuses: Vec<u16> = told.iter().map(|(_, told)| told.status).collect();
    assert_eq!(statuses, [200, 201, 201, 200, 201, 200], "{told:#?}");
    let count = |n: usize| told[n].1.json["items"].as_array().unwrap().len();
    assert_eq!((count(0), count(3), count(5)), (0, 1, 0), "{told:#?}");
}

#[tokio::test]
async fn the_files_that_contributors_are_told_to_write_are_those_of_the_repository() {
    let mut stage = Stage::new(Project::Shipped);
    for command in commands("CONTRIBUTING.md") {
        let Some((_, file)) = command.text.split_once(" > ") else { continue };
        let told = stage.paste(&command).await;
        assert_eq!(told.code, 0, "{told:?}");
        let written = std::fs::read_to_string(stage.path(file)).unwrap();
        assert!(written == page::text(file), "{}: {file} is another one", command.text);
    }
}
