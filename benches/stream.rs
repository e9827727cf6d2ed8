//! Reading an event stream: chunks of HTTP taken apart, then events. Allocates nothing for an event. Knows no sockets.

use crate::error::{BenchError, Outcome};
use crate::wire::printable;

/// What comes before the frame of an event.
const DATA: &[u8] = b"data: ";

/// Where a stream is in the chunks of its answer, between two reads.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Chunks {
    next: Next,
    /// Of the size that is being read, or bytes that are left of the chunk.
    left: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Next {
    #[default]
    Size,
    EndOfSize,
    Data,
    EndOfChunk,
}

impl Chunks {
    /// Appends what the chunks in `bytes` hold to `text`. Everything is taken: a size may come in two pieces.
    pub(crate) fn take(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) -> Outcome<()> {
        while let [first, rest @ ..] = bytes {
            match (self.next, first) {
                (Next::Data, _) => {
                    let (data, behind) = bytes.split_at(self.left.min(bytes.len()));
                    text.extend_from_slice(data);
                    self.left -= data.len();
                    if self.left == 0 {
                        self.next = Next::EndOfChunk;
                    }
                    bytes = behind;
                    continue;
                }
                (Next::Size, b'\r') if self.left == 0 => {
                    return Err(BenchError::Wire("the server ended a stream".into()));
                }
                (Next::Size, b'\r') => self.next = Next::EndOfSize,
                (Next::Size, digit) => {
                    let digit = char::from(*digit).to_digit(16);
                    let digit = digit.ok_or_else(|| {
                        BenchError::Wire(format!("not the size of a chunk: {}", printable(bytes)))
                    })?;
                    self.left = (self.left << 4) | digit as usize;
                }
                (Next::EndOfSize, _) => self.next = Next::Data,
                (Next::EndOfChunk, b'\n') => self.next = Next::Size,
                (Next::EndOfChunk, _) => {}
            }
            bytes = rest;
        }
        Ok(())
    }
}

/// One block of a stream: its lines up to the next empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// The frame of an event; a heartbeat and a position have none.
    pub(crate) frame: Option<&'a [u8]>,
    /// Bytes of the text that the block takes, the empty line included.
    pub(crate) size: usize,
}

/// The first block of `text`, or `None` when it is not complete yet.
pub(crate) fn block(text: &[u8]) -> Option<Block<'_>> {
    let (mut frame, mut size) = (None, 0);
    loop {
        let line = text.get(size..)?;
        let end = line.iter().position(|byte| *byte == b'\n')?;
        size += end + 1;
        if end == 0 {
            return Some(Block { frame, size });
        }
        frame = frame.or_else(|| line[..end].strip_prefix(DATA));
    }
}
