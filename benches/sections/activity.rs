//! What the channel `activity` adds to a create: three servers in turns, one without a subscriber, one with a
//! subscriber of the records, one with a subscriber of the activity. What happens is read from the log, so a write does nothing for it.

use crate::error::Outcome;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Aim, Report, Row};
use crate::rounds::Rounds;
use crate::sections::creating;
use crate::server::Server;
use crate::subscriber::{Fleet, Part};

const CLIENTS: usize = 64;

/// What a create may cost, beside one on a server without a subscriber.
const AIM: f64 = 1.05;

/// One server, its creates, and who listens.
struct Side {
    label: &'static str,
    server: Server,
    job: Job,
    rounds: Rounds,
    listeners: Option<Fleet>,
}

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let mut sides = [
        Side::open(lab, "no subscriber", None).await?,
        Side::open(lab, "one of entity:Task", Some("entity:Task")).await?,
        Side::open(lab, "one of activity", Some("activity")).await?,
    ];
    for _ in 0..lab.scale.rounds {
        for side in &mut sides {
            side.rounds.add(measure(&side.server, &side.job, &lab.scale).await?);
        }
    }
    for side in &sides {
        side.rounds.judge_load(&format!("activity, {}", side.label), report);
    }
    let [alone, _, activity] = &sides;
    let multiple = activity.rounds.multiple_of(&alone.rounds);
    report.judge(
        "activity: server CPU of a create with a subscriber of the activity",
        multiple,
        Aim::AtMost(AIM),
    );
    let mut rows = Vec::new();
    for mut side in sides {
        rows.push(Row { label: side.label.to_owned(), values: side.rounds.columns() });
        if let Some(listeners) = side.listeners {
            listeners.cut().await;
        }
    }
    report.table("activity", rows);
    Ok(())
}

impl Side {
    async fn open(lab: &Lab, label: &'static str, channel: Option<&'static str>) -> Outcome<Side> {
        let server = Server::tidewire(lab).await?;
        let listeners = match channel {
            None => None,
            Some(channel) => {
                let part = Part { channel, ..Part::default() };
                let fleet = Fleet::of(server.addr, vec![part], 1);
                fleet.subscribed().await?;
                Some(fleet)
            }
        };
        server.settle().await?;
        let job = creating(&server, CLIENTS);
        Ok(Side { label, server, job, rounds: Rounds::default(), listeners })
    }
}
