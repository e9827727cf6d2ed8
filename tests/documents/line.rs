//! The connection of a session in a page: a socket, or a stream with its lines. An `ack` may come before or after the event that it
//! caused, so it is taken where the page has it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use reqwest::{RequestBuilder, Response};
use tokio::time::timeout;

use crate::support::socket::{PATIENCE, Socket};

pub(super) struct Line {
    carrier: Carrier,
    /// What came too early, as text.
    acks: VecDeque<String>,
    others: VecDeque<String>,
}

enum Carrier {
    Socket(Box<Socket>),
    Stream { response: Response, rest: String },
}

impl Line {
    pub(super) async fn socket(address: SocketAddr, path: &str) -> Line {
        Line::over(Carrier::Socket(Box::new(Socket::open_at(address, path).await)))
    }

    pub(super) async fn stream(request: RequestBuilder) -> Line {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{response:?}");
        Line::over(Carrier::Stream { response, rest: String::new() })
    }

    fn over(carrier: Carrier) -> Line {
        Line { carrier, acks: VecDeque::new(), others: VecDeque::new() }
    }

    pub(super) async fn say(&mut self, frame: &str) {
        match &mut self.carrier {
            Carrier::Socket(socket) => socket.send_text(frame).await,
            Carrier::Stream { .. } => panic!("a stream hears nothing: {frame}"),
        }
    }

    /// What comes where the page has these lines: a frame, or the lines of a block and an empty one.
    pub(super) async fn hear(&mut self, lines: &[&str]) -> String {
        let wants_ack = is_ack(&lines.join("\n"));
        loop {
            let early = if wants_ack { &mut self.acks } else { &mut self.others };
            if let Some(came) = early.pop_front() {
                return came;
            }
            let came = self.carrier.next().await.unwrap_or_else(|| panic!("it ended where {lines:?} is due"));
            if is_ack(&came) { self.acks.push_back(came) } else { self.others.push_back(came) }
        }
    }

    /// The close code of a socket that the server closes, and none of a stream that it ends.
    pub(super) async fn ended(&mut self) -> Option<u16> {
        assert_eq!((&self.acks, &self.others), (&VecDeque::new(), &VecDeque::new()));
        match &mut self.carrier {
            Carrier::Socket(socket) => socket.closed().await,
            Carrier::Stream { .. } => {
                assert_eq!(self.carrier.next().await, None);
                None
            }
        }
    }

    /// The session of the page ends here.
    pub(super) async fn nothing_else(&mut self) {
        assert_eq!((&self.acks, &self.others), (&VecDeque::new(), &VecDeque::new()));
        if let Carrier::Socket(socket) = &mut self.carrier {
            socket.nothing_else().await;
        }
    }
}

fn is_ack(text: &str) -> bool {
    text.contains("{\"type\":\"ack\"")
}

impl Carrier {
    /// The next frame or block. What a stream says because it was quiet is left out.
    async fn next(&mut self) -> Option<String> {
        let (response, rest) = match self {
            Carrier::Socket(socket) => return socket.text().await,
            Carrier::Stream { response, rest } => (response, rest),
        };
        loop {
            while let Some((block, behind)) = rest.split_once("\n\n") {
                let (block, behind) = (format!("{block}\n\n"), behind.to_owned());
                *rest = behind;
                let is_beat =
                    block.starts_with(':') || block.contains("data: {\"type\":\"pong\",\"payload\"");
                if !is_beat {
                    return Some(block);
                }
            }
            let more = timeout(PATIENCE, response.chunk()).await.expect("nothing came for twenty seconds");
            rest.push_str(std::str::from_utf8(&more.ok()??).unwrap());
        }
    }
}
