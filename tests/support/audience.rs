//! One follower of one channel, on any of the four transports: keeps the records that it is shown, by docs/protocol.md. Knows no
//! story.

use std::collections::BTreeSet;

use serde_json::json;

use super::app::TestApp;
use super::follower::Follower;
use super::peer::{Peer, Way};
use super::poller::Poller;

/// How the channel is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Live(Way),
    /// A plain `EventSource`: the channel is in its address, and it comes back with the last id that it was sent.
    Address,
    /// Polls, each of which stands alone.
    Poll,
}

pub const TRANSPORTS: [Transport; 5] = [
    Transport::Live(Way::Ws),
    Transport::Live(Way::Sse),
    Transport::Live(Way::LongPoll),
    Transport::Address,
    Transport::Poll,
];

/// See the module's text.
pub struct Audience {
    name: String,
    line: Line,
}

enum Line {
    Live { way: Way, peer: Box<Peer>, follower: Box<Follower> },
    Address { peer: Box<Peer>, follower: Box<Follower> },
    Poll(Box<Poller>),
}

impl Audience {
    /// Connects, subscribes from the start, and is shown everything up to the head.
    pub async fn open(transport: Transport, app: &TestApp, name: &str, channel: &str) -> Audience {
        let mut audience = Audience::begin(transport, app, name, channel).await;
        audience.catch_up(app.head()).await;
        audience
    }

    /// Connects and asks, and does not wait for the answer.
    pub async fn begin(transport: Transport, app: &TestApp, name: &str, channel: &str) -> Audience {
        let line = match transport {
            Transport::Live(way) => {
                let mut peer = Box::new(Peer::open(way, app, Some(name)).await);
                let mut follower = Box::new(Follower::new(channel));
                peer.say(follower.subscribe()).await;
                Line::Live { way, peer, follower }
            }
            Transport::Address => {
                let mut follower = Box::new(Follower::new(channel));
                follower.subscribe();
                Line::Address { peer: Box::new(Peer::follow(app, name, channel, "").await), follower }
            }
            Transport::Poll => Line::Poll(Box::new(Poller::new(app.client_as(name), &[channel]))),
        };
        Audience { name: name.to_owned(), line }
    }

    /// Takes what comes until the channel is complete up to `head`, or ended.
    pub async fn catch_up(&mut self, head: u64) {
        match &mut self.line {
            Line::Live { peer, follower, .. } | Line::Address { peer, follower } => {
                let mut asked = false;
                while (follower.position < head || !follower.live) && follower.ended.is_none() {
                    if follower.live && !asked {
                        // What is not for this channel moves its position by a pong alone.
                        peer.say(json!({"type": "ping"})).await;
                        asked = true;
                    }
                    let frame = peer.came().await.expect("the connection goes on");
                    asked &= frame["type"] != "pong";
                    follower.take(&frame);
                }
                assert_eq!(follower.broken, Vec::<String>::new());
            }
            Line::Poll(poller) => {
                while poller.position().is_none_or(|seq| seq < head) && poller.channels[0].ended.is_none() {
                    poller.poll(0).await;
                }
            }
        }
    }

    /// Takes what comes until the records are these.
    pub async fn shows(&mut self, titles: &[&str]) {
        let expected: BTreeSet<String> = titles.iter().map(|title| (*title).to_owned()).collect();
        while self.titles() != expected {
            match &mut self.line {
                Line::Live { peer, follower, .. } | Line::Address { peer, follower } => {
                    let frame = peer.came().await.expect("the connection goes on");
                    follower.take(&frame);
                }
                Line::Poll(poller) => poller.poll(5).await,
            }
        }
        if let Line::Live { follower, .. } | Line::Address { follower, .. } = &self.line {
            assert_eq!(follower.broken, Vec::<String>::new());
        }
    }

    pub fn titles(&self) -> BTreeSet<String> {
        let rows = match &self.line {
            Line::Live { follower, .. } | Line::Address { follower, .. } => &follower.rows,
            Line::Poll(poller) => &poller.channels[0].rows,
        };
        rows.values().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    }

    /// Loses the connection.
    pub async fn cut(self) -> Away {
        let Audience { name, line } = self;
        let line = match line {
            Line::Live { way, peer, follower } => {
                drop(peer);
                AwayLine::Live { way, follower }
            }
            Line::Address { mut peer, follower } => {
                let id = peer.id_at(follower.position).await;
                AwayLine::Address { id, follower }
            }
            Line::Poll(poller) => AwayLine::Poll(poller),
        };
        Away { name, line }
    }

    /// Whether the last resume went on where it was; otherwise everything was shown anew.
    pub fn recovered(&self) -> bool {
        match &self.line {
            Line::Live { follower, .. } | Line::Address { follower, .. } => {
                follower.resumes.last().expect("it resumed").recovered
            }
            Line::Poll(poller) => poller.channels[0].recovered,
        }
    }

    /// The code with which the channel was refused or ended.
    pub async fn refusal(&mut self) -> String {
        loop {
            match &mut self.line {
                Line::Live { peer, follower, .. } | Line::Address { peer, follower } => {
                    if let Some(code) = follower.ended.clone() {
                        return code;
                    }
                    let frame = peer.came().await.expect("the connection lives");
                    follower.take(&frame);
                }
                Line::Poll(poller) => {
                    if let Some(code) = poller.channels[0].ended.clone() {
                        return code;
                    }
                    poller.poll(0).await;
                }
            }
        }
    }

    /// The peer of a connection that stays; a poll has none.
    pub fn peer(&mut self) -> Option<&mut Peer> {
        match &mut self.line {
            Line::Live { peer, .. } | Line::Address { peer, .. } => Some(peer),
            Line::Poll(_) => None,
        }
    }
}

/// A follower without its connection.
pub struct Away {
    name: String,
    line: AwayLine,
}

enum AwayLine {
    Live { way: Way, follower: Box<Follower> },
    Address { id: String, follower: Box<Follower> },
    Poll(Box<Poller>),
}

impl Away {
    /// Forges where it was: another log.
    pub fn of_another_log(&mut self) {
        match &mut self.line {
            AwayLine::Live { follower, .. } => follower.epoch = "f".repeat(32),
            AwayLine::Address { id, .. } => id.replace_range(..32, &"f".repeat(32)),
            AwayLine::Poll(poller) => {
                poller.channels[0].position.as_mut().unwrap().epoch = "f".repeat(32);
            }
        }
    }

    /// Connects again, goes on, and is shown everything up to the head.
    pub async fn come_back(self, app: &TestApp) -> Audience {
        let Away { name, line } = self;
        let line = match line {
            AwayLine::Live { way, mut follower } => {
                let mut peer = Box::new(Peer::open(way, app, Some(&name)).await);
                peer.say(follower.subscribe()).await;
                Line::Live { way, peer, follower }
            }
            AwayLine::Address { id, mut follower } => {
                follower.subscribe();
                let peer = Peer::follow(app, &name, &follower.channel, &id).await;
                Line::Address { peer: Box::new(peer), follower }
            }
            AwayLine::Poll(mut poller) => {
                poller.client = app.client_as(&name);
                poller.poll(0).await;
                Line::Poll(poller)
            }
        };
        let mut audience = Audience { name, line };
        audience.catch_up(app.head()).await;
        audience
    }
}
