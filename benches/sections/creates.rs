//! Creates over HTTP beside the echo, in alternating rounds, so that a disturbance hits both.

use std::rc::Rc;

use crate::error::Outcome;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Aim, Report, Row};
use crate::rounds::Rounds;
use crate::sections::creating;
use crate::server::Server;
use crate::tasks_api;

const CLIENTS: [usize; 4] = [1, 16, 64, 128];

/// The number of clients at which the aims are set.
const AIMED: usize = 64;

/// The share of the echo's rate, and the multiple of its processor time, that are aimed at.
const SHARE: f64 = 0.3;
const MULTIPLE: f64 = 2.5;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let echo = Server::echo(lab).await?;
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let floor = echoing(&echo, clients);
        let work = creating(server, clients);
        let (mut floors, mut works) = (Rounds::default(), Rounds::default());
        for _ in 0..lab.scale.rounds {
            floors.add(measure(&echo, &floor, &lab.scale).await?);
            works.add(measure(server, &work, &lab.scale).await?);
        }
        if clients >= AIMED {
            floors.judge_load(&format!("creates, echo at {clients} clients"), report);
            works.judge_load(&format!("creates at {clients} clients"), report);
        }
        let ratio = works.share_of(&floors);
        if clients == AIMED {
            report.judge("creates: share of the echo at 64 clients", ratio, Aim::AtLeast(SHARE));
            let multiple = works.multiple_of(&floors);
            report.judge("creates: server CPU / echo CPU at 64 clients", multiple, Aim::AtMost(MULTIPLE));
        }
        let mut values = works.columns();
        values.extend([("echo/s", floors.rate()), ("echo CPU µs", floors.cpu()), ("share of echo", ratio)]);
        rows.push(Row { label: format!("{clients} clients"), values });
    }
    report.table("creates", rows);
    Ok(())
}

fn echoing(echo: &Server, clients: usize) -> Job {
    let request = tasks_api::create(echo.addr, "/");
    Job { addr: echo.addr, clients, requests: Rc::new(vec![request]), status: 201 }
}
