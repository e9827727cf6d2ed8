//! What the kernel may hold of a connection. The less it holds, the sooner the server sees that a slow peer moves on.
//!
//! Knows no HTTP. A system that does not have an option goes without it: the connection is served all the same.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Bytes that the kernel takes beyond those that are on their way to the peer. At 20 KB/s these are three seconds: far
/// less than any time limit, and enough that a fast peer never waits for the next write.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 64 << 10;

/// A peer that was silent for so long is asked, again and again, and given up when it answers none of the asks.
const SILENCE: Duration = Duration::from_secs(60);
const BETWEEN_ASKS: Duration = Duration::from_secs(10);
#[cfg(not(target_os = "openbsd"))]
const ASKS: u32 = 3;

/// For every connection. Without it the kernel takes up to 4 MB at once, and then nothing for a long time.
pub fn show_progress(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    tell(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// The kernel asks a silent peer whether it is still there, so that a connection whose other end lost its power does not keep its
/// place for hours.
pub fn notice_death(stream: &TcpStream) {
    let asks = TcpKeepalive::new().with_time(SILENCE).with_interval(BETWEEN_ASKS);
    #[cfg(not(target_os = "openbsd"))]
    let asks = asks.with_retries(ASKS);
    tell(SockRef::from(stream).set_tcp_keepalive(&asks));
}

/// For a WebSocket: what the kernel holds at all, with what is on its way. A ping waits behind it.
pub fn bound_send_buffer(stream: &TcpStream, bytes: usize) {
    // Linux doubles the number, to make room for its own accounts; the bytes of frames may fill nearly all of it.
    let asked = if cfg!(target_os = "linux") { bytes / 2 } else { bytes };
    tell(SockRef::from(stream).set_send_buffer_size(asked));
}

fn tell(set: io::Result<()>) {
    if let Err(error) = set {
        tracing::debug!(%error, "the kernel refused an option of a connection");
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_asks_a_silent_peer_whether_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let asks = |stream: &TcpStream| SockRef::from(stream).keepalive().unwrap();
        assert!(!asks(&stream), "of itself it does not");
        notice_death(&stream);
        assert!(asks(&stream));
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), SILENCE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), BETWEEN_ASKS);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), ASKS);
    }
}
