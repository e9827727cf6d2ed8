//! JSON text into WebSocket frames. A server's frames are not masked, so one encoding serves every socket.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Appends one text frame whose payload is the concatenation of `pieces`.
pub fn write_text_frame(pieces: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let header = FrameHeader {
        is_final: true,
        opcode: OpCode::Data(Data::Text),
        mask: None,
        ..FrameHeader::default()
    };
    header.format(length as u64, out).expect("a Vec takes every byte");
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// One text frame.
pub fn text_frame(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 10);
    write_text_frame(&[json], &mut out);
    Bytes::from(out)
}
