//! `tidewire why`: asks a running server, as an administrator, why something was refused, is missing, came or did not come.
//!
//! Decides nothing: the server answers, and this prints it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use serde_json::Value as Json;

use super::arguments::WhyArguments;
use super::import::sender::{BatchAnswer, QUERY, Request, Sender};
use super::loading::{self, Refused};

/// Where the token of an administrator is taken from: an argument would be seen by every user of the machine.
const TOKEN: &str = "TIDEWIRE_TOKEN";

/// Exit code 0 for an answer, 1 where the server has none.
pub fn run(arguments: &WhyArguments) -> ExitCode {
    match why(arguments) {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refused) => refused.tell(),
    }
}

fn why(arguments: &WhyArguments) -> Result<String, Refused> {
    if let Some(name) = &arguments.name {
        loading::person(Some(name))?;
    }
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty() && arguments.name.is_none());
    let sender = Sender::new(&arguments.url, arguments.name.as_deref())?.with_token(token);
    let request = Request { method: Method::GET, path: path(arguments), body: None, key: None };
    match sender.ask(&request)? {
        BatchAnswer::Done(answer) if arguments.json => Ok(format!("{answer:#}\n")),
        BatchAnswer::Done(answer) => Ok(told(&answer)),
        BatchAnswer::Refused(problem) => {
            let detail = problem["detail"].as_str().unwrap_or("no reason given");
            let advice = match problem["code"].as_str() {
                Some("FORBIDDEN" | "UNAUTHENTICATED") => {
                    format!("; set {TOKEN} to a token with the role `admin`, or in dev add --as root:admin")
                }
                Some(_) | None => String::new(),
            };
            Err(Refused::failed(format!("{detail}{advice}")))
        }
    }
}

fn path(arguments: &WhyArguments) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let asked = [
        ("user", &arguments.user),
        ("entity", &arguments.entity),
        ("record", &arguments.record),
        ("operation", &arguments.operation),
        ("channel", &arguments.channel),
    ];
    let asked = asked.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let query: Vec<String> = asked.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let question = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    format!("api/admin/why/{}{question}", encoded(&arguments.id))
}

/// The sentence first, then what it rests on.
fn told(answer: &Json) -> String {
    let mut text = String::new();
    line(&mut text, answer, 0);
    if let Some(earlier) = answer["earlier"].as_array() {
        for one in earlier {
            text.push_str("earlier, under the same id:\n");
            line(&mut text, one, 1);
        }
    }
    text
}

fn line(text: &mut String, answer: &Json, depth: usize) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(text, "{indent}{}", answer["answer"].as_str().unwrap_or("the server gave no answer"));
    for (name, member) in [
        ("when", "at"),
        ("caller", "user"),
        ("operation", "operation"),
        ("channel", "channel"),
        ("code", "code"),
        ("position", "position"),
        ("record changed since, by change", "changedSince"),
        ("rights changed since, by change", "rightsChanged"),
        ("judged", "judged"),
    ] {
        let value = &answer[member];
        if value.is_null() {
            continue;
        }
        let _ = match value.as_str() {
            Some(value) => writeln!(text, "{indent}  {name}: {value}"),
            None => writeln!(text, "{indent}  {name}: {value}"),
        };
    }
    if let Some(subscription) = answer["subscription"].as_object() {
        let number = |name: &str| subscription.get(name).map(Json::to_string).unwrap_or_default();
        let (since, sent) = (number("since"), number("sent"));
        let _ = writeln!(text, "{indent}  subscription: events after {since}, sent up to {sent}");
    }
    let again = &answer["subscription"]["snapshot"];
    if let (Some(after), Some(at)) = (again["after"].as_u64(), again["at"].as_u64()) {
        let _ = writeln!(text, "{indent}  snapshot: in place of the events of changes {} to {at}", after + 1);
    }
    let rule = &answer["rule"];
    if let Some(operation) = rule["operation"].as_str() {
        let source = rule["source"].as_str().unwrap_or("(the file has no such rule)");
        let entity = rule["entity"].as_str().unwrap_or_default();
        let _ = writeln!(text, "{indent}  {entity} {operation} = {source}");
        clauses(text, &rule["clauses"], depth + 2);
    }
    if answer["filter"].is_array() {
        let _ = writeln!(text, "{indent}  filter");
        clauses(text, &answer["filter"], depth + 2);
    }
}

fn clauses(text: &mut String, clauses: &Json, depth: usize) {
    for clause in clauses.as_array().into_iter().flatten() {
        let said = |name: &str| clause[name].as_str().unwrap_or_default();
        let _ = write!(text, "{}{:<8} {}", "  ".repeat(depth), said("truth"), said("text"));
        let values = clause["values"].as_array().into_iter().flatten();
        let values: Vec<String> = values
            .map(|value| {
                let part = |name: &str| value[name].as_str().unwrap_or_default();
                format!("{} = {}", part("name"), part("value"))
            })
            .collect();
        if !values.is_empty() {
            let _ = write!(text, "    [{}]", values.join(", "));
        }
        text.push('\n');
        self::clauses(text, &clause["records"], depth + 1);
    }
}
