//! Reading what a server sends, in place and without allocation: WebSocket frames, the few things that the driver must
//! know of an event, heads of HTTP responses. Knows no sockets.

use crate::error::{BenchError, Outcome};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// One whole frame at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// Bytes of the buffer that the frame takes, header included.
    pub(crate) size: usize,
}

/// The first frame of `bytes`, or `None` when it is not complete yet.
/// Fragments, compressed and masked frames are errors: Tidewire sends none of them.
pub(crate) fn frame(bytes: &[u8]) -> Outcome<Option<Frame<'_>>> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(BenchError::Wire(format!(
            "a frame begins with {first:#04x} {second:#04x}: fragmented, compressed or masked"
        )));
    }
    let (header, length) = match (second & 0x7f, rest) {
        (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
        (127, [a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
        (126 | 127, _) => return Ok(None),
        (short, _) => (2, u64::from(short)),
    };
    let size = usize::try_from(length).ok().and_then(|length| length.checked_add(header));
    let size = size.ok_or_else(|| BenchError::Wire(format!("a frame of {length} bytes")))?;
    let payload = bytes.get(header..size);
    Ok(payload.map(|payload| Frame { opcode: first & 0x0f, payload, size }))
}

/// A frame as a client must send it: masked. The mask is constant, the server undoes it all the same.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
    let mut bytes = vec![0x80 | opcode];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(0x80 | payload.len() as u8),
        _ => {
            let length = payload.len().min(usize::from(u16::MAX)) as u16;
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Where things stood in the last event of a socket. Events of one channel look alike, so that the next one mostly
/// has them at the same place and nothing needs to be searched.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Hints {
    kind: usize,
    activity: usize,
    seq: usize,
}

impl Hints {
    /// The seq of a text frame that is an event of a record or of the activity, `None` for every other frame.
    pub(crate) fn event_seq(&mut self, text: &[u8]) -> Option<u64> {
        // Quotes inside JSON strings are escaped, so neither needle can be found in what a user typed.
        find(text, br#""type":"entity:"#, &mut self.kind)
            .or_else(|| find(text, br#""type":"activity""#, &mut self.activity))?;
        let digits = find(text, br#""seq":"#, &mut self.seq)?;
        let mut value = 0u64;
        for byte in text.get(digits..)?.iter().take_while(|byte| byte.is_ascii_digit()) {
            value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        }
        Some(value)
    }
}

/// The offset behind `needle`, looked for at `hint` first.
fn find(text: &[u8], needle: &[u8], hint: &mut usize) -> Option<usize> {
    if !text.get(*hint..).is_some_and(|text| text.starts_with(needle)) {
        *hint = text.windows(needle.len()).position(|window| window == needle)?;
    }
    Some(*hint + needle.len())
}

/// The head of an HTTP response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) lines: &'a [u8],
    /// Bytes of the head, the empty line included.
    pub(crate) size: usize,
}

impl<'a> Head<'a> {
    /// The head at the start of `bytes`, or `None` when it is not complete yet.
    pub(crate) fn parse(bytes: &'a [u8]) -> Outcome<Option<Head<'a>>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let (lines, status) =
            (&bytes[..end], bytes.get(9..12).and_then(|text| std::str::from_utf8(text).ok()));
        match status.and_then(|text| text.parse().ok()) {
            Some(status) if lines.starts_with(b"HTTP/1.1 ") => {
                Ok(Some(Head { status, lines, size: end + 4 }))
            }
            _ => Err(BenchError::Wire(format!("not an HTTP/1.1 response: {}", printable(lines)))),
        }
    }

    /// The value of a header, without the space around it.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.lines.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
            let matches = line.len() > name.len()
                && line[name.len()] == b':'
                && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
            if matches { std::str::from_utf8(&line[name.len() + 1..]).ok().map(str::trim) } else { None }
        })
    }

    /// Bytes of the body. A response without `Content-Length` has none, or this driver cannot read it.
    pub(crate) fn body_length(&self) -> Outcome<usize> {
        match self.header("content-length") {
            Some(length) => {
                length.parse().map_err(|_| BenchError::Wire(format!("Content-Length is `{length}`")))
            }
            None if self.header("transfer-encoding").is_none() => Ok(0),
            None => {
                Err(BenchError::Wire("a response of unknown length, which this driver cannot read".into()))
            }
        }
    }
}

/// The beginning of what was received, for a message to a person.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}
