//! JSON text into the bytes of a transport. A frame has one text; each wire form has its own way to say where
//! it ends.
//!
//! Knows no transport and no frame: the text and the frame's type are all that a form needs.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The wire form of a connection's frames. Frames of one form can be written one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireForm {
    /// Text frames of a WebSocket. A server's frames are not masked, so one encoding serves every socket.
    WebSocket,
    /// Events of an event stream: `event:` is the type of the frame, `data:` the frame. None has an `id:`, since no event
    /// of one channel is a position of the others.
    EventStream,
    /// The text and nothing around it, for answers that hold it.
    Json,
}

impl WireForm {
    /// Appends one frame of this type. Its text is the concatenation of `pieces`: JSON without line breaks.
    pub fn write_frame(self, kind: &str, pieces: &[&[u8]], out: &mut Vec<u8>) {
        match self {
            WireForm::WebSocket => {
                write_text_header(length_of(pieces), out);
                write_pieces(pieces, out);
            }
            WireForm::EventStream => {
                out.extend_from_slice(b"event: ");
                out.extend_from_slice(kind.as_bytes());
                out.extend_from_slice(b"\ndata: ");
                write_pieces(pieces, out);
                out.extend_from_slice(b"\n\n");
            }
            WireForm::Json => write_pieces(pieces, out),
        }
    }

    /// One frame.
    pub fn frame(self, kind: &str, json: &[u8]) -> Bytes {
        // A header of a WebSocket frame has at most 10 bytes, the lines of an event as many beside its type.
        let mut out = Vec::with_capacity(json.len() + kind.len() + 16);
        self.write_frame(kind, &[json], &mut out);
        Bytes::from(out)
    }
}

/// Tells the browser at the other end of an event stream how long to wait before it connects again.
pub fn reconnect_line(milliseconds: u64) -> Vec<u8> {
    format!("retry: {milliseconds}\n\n").into_bytes()
}

fn length_of(pieces: &[&[u8]]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

fn write_pieces(pieces: &[&[u8]], out: &mut Vec<u8>) {
    for piece in pieces {
        debug_assert!(!piece.contains(&b'\n'), "a line break would end the data of an event stream");
        out.extend_from_slice(piece);
    }
}

fn write_text_header(length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader {
        is_final: true,
        opcode: OpCode::Data(Data::Text),
        mask: None,
        ..FrameHeader::default()
    };
    header.format(length as u64, out).expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests {
    use super::WireForm;

    #[test]
    fn a_frame_has_the_bytes_of_its_form() {
        let long = vec![b'x'; 300];
        type Case<'a> = (WireForm, &'a [&'a [u8]], &'a [u8]);
        let table: [Case<'_>; 5] = [
            (WireForm::WebSocket, &[b"{\"type\":\"pong\"", b"}"], b"\x81\x0f{\"type\":\"pong\"}"),
            (WireForm::WebSocket, &[&long], &[b"\x81\x7e\x01\x2c", &long[..]].concat()),
            (
                WireForm::EventStream,
                &[b"{\"type\":\"pong\"", b"}"],
                b"event: pong\ndata: {\"type\":\"pong\"}\n\n",
            ),
            (WireForm::Json, &[b"{\"type\":\"pong\"", b"}"], b"{\"type\":\"pong\"}"),
            (WireForm::Json, &[], b""),
        ];
        for (form, pieces, bytes) in table {
            let mut out = b"before".to_vec();
            form.write_frame("pong", pieces, &mut out);
            assert_eq!(out, [&b"before"[..], bytes].concat(), "{form:?}");
            assert_eq!(form.frame("pong", &pieces.concat()), bytes, "{form:?}");
        }
    }
}
