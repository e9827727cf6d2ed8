//! What is measured, one file a section, and what all of them begin with. Does not know sockets.

mod activity;
mod creates;
mod fanout;
mod fanout_rules;
mod fanout_sse;
mod flood;
mod growth;
mod idle;
mod idle_create;
mod logins;
mod presence;
mod reads;
mod replay;
mod rules;
mod storm;
mod token_reads;
mod write_rules;

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;
use crate::load::{Job, Load};
use crate::options::Section;
use crate::report::Report;
use crate::server::{LIMIT_FLAGS, Server};
use crate::tasks_api;

/// Clients that fill a server before something is measured.
const FILLERS: usize = 64;

/// Sockets that are opened at a time when opening is not what is measured.
const OPENERS: usize = 128;

/// Runs the sections that were asked for; one that fails does not end the others.
pub(crate) async fn run_all(lab: &Lab, report: &mut Report) {
    for &section in &lab.sections {
        if let Err(error) = run(section, lab, report).await {
            report.fail(section.name(), &error);
        }
    }
}

async fn run(section: Section, lab: &Lab, report: &mut Report) -> Outcome<()> {
    if section == Section::Rules {
        return rules::run(lab, report);
    }
    if section == Section::FanoutRules {
        return fanout_rules::run(lab, report).await;
    }
    if section == Section::FanoutSse {
        return fanout_sse::run(lab, report).await;
    }
    if section == Section::WriteRules {
        return write_rules::run(lab, report).await;
    }
    if section == Section::Activity {
        return activity::run(lab, report).await;
    }
    if section == Section::Growth {
        return growth::run(lab, report).await;
    }
    if section == Section::TokenReads {
        return token_reads::run(lab, report).await;
    }
    if section == Section::Logins {
        return logins::run(lab, report).await;
    }
    let mut server = tidewire(lab, report).await?;
    let result = match section {
        Section::Creates => creates::run(lab, &server, report).await,
        Section::Reads => reads::by_id(lab, &server, report).await,
        Section::Lists => reads::lists(lab, &server, report).await,
        Section::Updates => reads::updates(lab, &server, report).await,
        Section::IdleCreate => idle_create::run(lab, &server, report).await,
        Section::FanoutSingle => fanout::single(lab, &server, report).await,
        Section::FanoutSaturated => fanout::saturated(lab, &server, report).await,
        Section::Idle => idle::run(lab, &server, report).await,
        Section::Storm => storm::run(lab, &server, report).await,
        Section::Replay => replay::run(lab, &server, report).await,
        Section::Presence => presence::run(lab, &server, report).await,
        Section::Flood => flood::run(lab, &server, report).await,
        Section::Rules
        | Section::FanoutRules
        | Section::FanoutSse
        | Section::WriteRules
        | Section::Activity
        | Section::Growth
        | Section::TokenReads
        | Section::Logins => Ok(()),
    };
    let Err(error) = result else { return Ok(()) };
    // What the driver saw of a server that is dying is only that connections ended; a moment later its end is known.
    sleep(Duration::from_millis(300)).await;
    match server.ended() {
        Some(end) => Err(BenchError::Wire(format!("{error}; {end}"))),
        None => Err(error),
    }
}

/// A fresh Tidewire, and what a reader must know of its settings.
async fn tidewire(lab: &Lab, report: &mut Report) -> Outcome<Server> {
    let server = Server::tidewire(lab).await?;
    report.fact("flags", LIMIT_FLAGS.join(" "));
    // The rest of what it prints at start follows the address.
    sleep(Duration::from_millis(50)).await;
    match server.synchronous() {
        Some(word) => {
            report.fact("PRAGMA synchronous", format!("{word}, as read back by the server"));
            if !["full", "extra", "2", "3"].contains(&word.as_str()) {
                report.warn(
                    "writes are acknowledged before they are on the disk: these are not durable creates",
                );
            }
        }
        None => report.warn("the server does not print what it reads back from PRAGMA synchronous"),
    }
    Ok(server)
}

/// `clients` that create tasks.
fn creating(server: &Server, clients: usize) -> Job {
    let request = tasks_api::create(server.addr, "/api/tasks");
    Job { addr: server.addr, clients, requests: Rc::new(vec![request]), status: 201 }
}

/// Creates exactly `count` tasks.
async fn fill(server: &Server, count: u64) -> Outcome<()> {
    let (made, _) = Load::start(&creating(server, FILLERS), count).await?.finish().await?;
    if made == count {
        return Ok(());
    }
    Err(BenchError::Wire(format!("{made} of {count} creates were answered")))
}
