//! A plain WebSocket client: sends frames, receives frames, waits no longer than it must.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Nothing in these stories takes this long unless it is broken. Shorter than the polls of 25 s that must be woken.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    next_request: u32,
    /// The last frames that came and the last that was sent, for the message when a wait fails.
    came: VecDeque<String>,
    sent: String,
}

/// So many frames are shown, each so far.
const SHOWN: usize = 10;
const SHOWN_BYTES: usize = 300;

/// What came: a frame, or the end with its close code.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    Frame(Value),
    Closed(Option<u16>),
}

impl Socket {
    /// Opens `/ws` and takes `connected`.
    pub async fn open(address: SocketAddr) -> Socket {
        let mut socket = Socket::open_at(address, "/ws").await;
        let connected = socket.frame().await;
        assert_eq!(connected["type"], "connected", "{connected}");
        socket
    }

    /// Opens a path and takes nothing.
    pub async fn open_at(address: SocketAddr, path: &str) -> Socket {
        Socket::try_open(address, path, &[], None).await.expect("the upgrade succeeds")
    }

    /// Opens a path with extra headers, and with a receive buffer of so many bytes. Fails if the server is gone.
    pub async fn try_open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
        receive_buffer: Option<u32>,
    ) -> Result<Socket, Error> {
        let tcp = TcpSocket::new_v4().unwrap();
        if let Some(bytes) = receive_buffer {
            tcp.set_recv_buffer_size(bytes).unwrap();
        }
        let tcp = tcp.connect(address).await.map_err(Error::Io)?;
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (stream, _) = tokio_tungstenite::client_async(request, tcp).await?;
        Ok(Socket { stream, next_request: 0, came: VecDeque::new(), sent: String::new() })
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.sent = start_of(text);
        self.send_message(Message::text(text)).await;
    }

    pub async fn send_message(&mut self, message: Message) {
        self.stream.send(message).await.expect("the socket takes a frame");
    }

    /// Bytes that are no frame of the library.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.expect("the socket takes bytes");
    }

    /// The next thing to come, pings and pongs of the transport aside.
    pub async fn came(&mut self) -> Came {
        match tokio::time::timeout(PATIENCE, self.came_ever()).await {
            Ok(came) => came,
            Err(_) => panic!("nothing came for twenty seconds; {}", self.history()),
        }
    }

    /// The same without a limit, for loops that are ended from outside.
    pub async fn came_ever(&mut self) -> Came {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    self.came.truncate(SHOWN - 1);
                    self.came.push_front(start_of(&text));
                    return Came::Frame(serde_json::from_str(&text).expect("the server sends JSON"));
                }
                Some(Ok(Message::Close(frame))) => return Came::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Came::Closed(None),
            }
        }
    }

    /// The next frame, as it was sent. None: the socket was closed.
    pub async fn text(&mut self) -> Option<String> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("nothing came for twenty seconds")
    }

    /// The next frame.
    pub async fn frame(&mut self) -> Value {
        match self.came().await {
            Came::Frame(frame) => frame,
            Came::Closed(code) => {
                panic!("the socket closed with {code:?} where a frame was due; {}", self.history())
            }
        }
    }

    /// The next frame, which is of this type. A `pong` for which no one asked tells a position every 25 s; it may come anywhere.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let mut frame = self.frame().await;
        while kind != "pong" && frame["type"] == "pong" && frame.get("requestId").is_none() {
            frame = self.frame().await;
        }
        assert_eq!(frame["type"], kind, "{frame}; {}", self.history());
        frame
    }

    /// What this socket has seen last, in words.
    pub fn history(&self) -> String {
        let came: Vec<&str> = self.came.iter().rev().map(String::as_str).collect();
        format!("the last frame sent: {}\nthe last frames that came:\n{}", self.sent, came.join("\n"))
    }

    /// The close code, whatever frames come before it.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Came::Closed(code) = self.came().await {
                return code;
            }
        }
    }

    /// Reads what there is, frames or not, to the end of the connection; how many bytes.
    pub async fn rest(&mut self) -> usize {
        let (mut count, mut bytes) = (0, vec![0; 64 << 10]);
        let reading = async {
            while let Ok(more @ 1..) = self.stream.get_mut().read(&mut bytes).await {
                count += more;
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the connection ends");
        count
    }

    /// Subscribes and takes `subscribed`.
    pub async fn subscribe(&mut self, channel: &str, payload: Value) -> Value {
        self.next_request += 1;
        let request = format!("s{}", self.next_request);
        self.send(
            &json!({"type": "subscribe", "channel": channel, "payload": payload, "requestId": request}),
        )
        .await;
        let answer = self.expect("subscribed").await;
        assert_eq!(answer["requestId"], request.as_str(), "{answer}");
        answer
    }

    /// Asserts that everything sent so far was answered by nothing: a ping's pong is the next frame.
    pub async fn nothing_else(&mut self) {
        self.send(&json!({"type": "ping", "requestId": "nothing-else"})).await;
        let pong = self.expect("pong").await;
        assert_eq!(pong["requestId"], "nothing-else");
    }

    /// Breaks the connection without a word.
    pub fn cut(self) {
        let tcp = self.stream.into_inner();
        // A reset instead of an orderly end.
        let _ = tcp.set_zero_linger();
    }
}

fn start_of(text: &str) -> String {
    match text.char_indices().nth(SHOWN_BYTES) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
