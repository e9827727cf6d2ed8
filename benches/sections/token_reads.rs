//! What a read costs more that brings the token of a session, beside the same read without a token, in turns on one server.

use std::rc::Rc;

use crate::error::Outcome;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Aim, Report, Row};
use crate::rounds::Rounds;
use crate::sections::fill;
use crate::sections::logins::register;
use crate::sections::reads::ids;
use crate::server::Server;
use crate::stats::median;
use crate::tasks_api::get_with;

const CLIENTS: usize = 64;
/// Microseconds of the server's processor time that a token may cost.
const MOST: f64 = 1.5;
/// Pairs of windows in each round: the difference of two large numbers wants more of them than a ratio.
const PAIRS: usize = 3;

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let server = Server::with_users(lab).await?;
    fill(&server, lab.scale.records).await?;
    let token = register(&server, "reader").await?;
    let ids = ids(&server).await?;
    let job = |token: Option<&str>| {
        let requests = ids.iter().map(|id| get_with(server.addr, &format!("/api/tasks/{id}"), token));
        Job { addr: server.addr, clients: CLIENTS, requests: Rc::new(requests.collect()), status: 200 }
    };
    let (anonymous, known) = (job(None), job(Some(&token)));
    let (mut without, mut with) = (Rounds::default(), Rounds::default());
    for _ in 0..lab.scale.rounds * PAIRS {
        without.add(measure(&server, &anonymous, &lab.scale).await?);
        with.add(measure(&server, &known, &lab.scale).await?);
    }
    let pairs = with.cpu_each().iter().zip(without.cpu_each()).map(|(with, without)| with - without);
    let more = median(&pairs.collect::<Vec<f64>>());
    let multiple = with.multiple_of(&without);
    let row = |label: &str, mut rounds: Rounds, more: f64, multiple: f64| {
        let mut values = rounds.columns();
        values.extend([("more µs", more), ("CPU / anonymous", multiple)]);
        Row { label: label.to_owned(), values }
    };
    report.table(
        "token-reads",
        vec![row("anonymous", without, 0.0, 1.0), row("token of a session", with, more, multiple)],
    );
    report.judge("token-reads: µs of server CPU that a token costs", more, Aim::AtMost(MOST));
    Ok(())
}
