//! One keep-alive connection that asks and waits, with finished request bytes and no copy of the answer.
//! Does not know what is asked.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{BenchError, Outcome};
use crate::wire::{Head, printable};

/// An answer, borrowed from its connection.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// An error that shows the answer unless it has the given status.
    pub(crate) fn expect(self, status: u16) -> Outcome<Self> {
        if self.head.status == status {
            return Ok(self);
        }
        let body = printable(self.body);
        Err(BenchError::Wire(format!("expected {status}, the server answered {}: {body}", self.head.status)))
    }

    /// The number of the header `Tidewire-Seq: <epoch>:<seq>`.
    pub(crate) fn seq(&self) -> Outcome<u64> {
        let header = self.head.header("tidewire-seq");
        header.and_then(|value| value.rsplit_once(':')).and_then(|(_, seq)| seq.parse().ok()).ok_or_else(
            || {
                BenchError::Wire(format!(
                    "the answer to a write has `Tidewire-Seq: {}`",
                    header.unwrap_or("")
                ))
            },
        )
    }
}

/// A connection without pipelining.
#[derive(Debug)]
pub(crate) struct HttpClient {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl HttpClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Outcome<HttpClient> {
        let stream = connect(addr).await?;
        Ok(HttpClient { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Outcome<Answer<'_>> {
        self.stream.write_all(request).await.map_err(|source| BenchError::io("send a request", source))?;
        self.buffer.clear();
        // The head is parsed again only when a body comes in pieces, which is rare.
        let (status, head, size) = loop {
            let read = self.stream.read_buf(&mut self.buffer).await;
            if read.map_err(|source| BenchError::io("read an answer", source))? == 0 {
                return Err(BenchError::Wire(
                    "the server closed a connection in the middle of an answer".into(),
                ));
            }
            if let Some(head) = Head::parse(&self.buffer)? {
                let size = head.size + head.body_length()?;
                if self.buffer.len() >= size {
                    break (head.status, head.size, size);
                }
            }
        };
        if self.buffer.len() > size {
            return Err(BenchError::Wire("the server sent more than one answer to one request".into()));
        }
        let (lines, body) = self.buffer.split_at(head);
        Ok(Answer { head: Head { status, lines, size: head }, body })
    }
}

/// A connection to a server of this run.
pub(crate) async fn connect(addr: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(addr)
        .await
        .map_err(|source| BenchError::io(format!("connect to {addr}"), source))?;
    stream.set_nodelay(true).map_err(|source| BenchError::io("set TCP_NODELAY", source))?;
    // The end of a connection is a cut, so that tens of thousands of them leave no ports in TIME_WAIT.
    stream.set_zero_linger().map_err(|source| BenchError::io("set SO_LINGER", source))?;
    Ok(stream)
}
