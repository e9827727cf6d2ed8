//! `EmptyCells`: a CSV stream in which a quoted empty cell can be distinguished from an empty one, and a cell that continues after its
//! closing quote from one that does not.
//!
//! The `csv` crate reads the former both as nothing and takes the latter without its quotes. So this comes before it and
//! puts marks in: between the two quotes the byte 0xFF, behind a closing quote 0xFD, which no UTF-8 text holds. Such bytes of the
//! file itself become 0xFE, which none holds either, and are refused as not UTF-8. On the way it counts lines, and bounds a record's
//! length.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use super::row::LONGEST;

/// What a quoted empty cell holds behind this.
pub(super) const QUOTED_EMPTY: &[u8] = &[0xFF];

/// Stands in a cell where text follows its closing quote.
pub(super) const AFTER_QUOTE: u8 = 0xFD;

pub(super) struct EmptyCells<R> {
    input: R,
    place: CellPlace,
    /// Bytes that are ready to be read.
    ready: VecDeque<u8>,
    lines: LinePosition,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellPlace {
    CellStart,
    Bare,
    Quoted {
        empty: bool,
    },
    /// After a quote within a quoted cell: its end, or the first half of a quote that belongs to the text.
    Quote {
        empty: bool,
    },
}

/// Where in the file the stream is.
struct LinePosition {
    now: u64,
    last: u8,
    /// Lines at which records begin that were not asked for yet.
    starts: VecDeque<u64>,
    /// Bytes of the record so far; 0 between records.
    length: usize,
    /// Line of the quote that is open.
    opened: u64,
}

impl<R: BufRead> EmptyCells<R> {
    pub(super) fn new(input: R) -> EmptyCells<R> {
        let lines = LinePosition { now: 1, last: 0, starts: VecDeque::new(), length: 0, opened: 0 };
        EmptyCells { input, place: CellPlace::CellStart, ready: VecDeque::new(), lines, ended: false }
    }

    /// The line at which the next record begins; each record is asked for once, in order.
    pub(super) fn next_start(&mut self) -> Option<u64> {
        self.lines.starts.pop_front()
    }

    /// The line of a quote that the file opens and never closes.
    pub(super) fn unclosed(&self) -> Option<u64> {
        (self.ended && matches!(self.place, CellPlace::Quoted { .. })).then_some(self.lines.opened)
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 4096];
        while self.ready.is_empty() && !self.ended {
            let count = self.input.read(&mut chunk)?;
            if count == 0 {
                self.ended = true;
                if let CellPlace::Quote { empty } = self.place {
                    self.close_quote(empty);
                }
            }
            for byte in &chunk[..count] {
                self.take(if [QUOTED_EMPTY[0], AFTER_QUOTE].contains(byte) { 0xFE } else { *byte });
            }
            if self.lines.length > LONGEST {
                let line = self.lines.starts.back().copied().unwrap_or(self.lines.now);
                let message = format!(
                    "the record that begins in line {line} is longer than {LONGEST} bytes; is a closing quote missing?"
                );
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
            }
        }
        Ok(())
    }

    fn take(&mut self, byte: u8) {
        self.place = match self.place {
            CellPlace::Quoted { empty } if byte == b'"' => {
                self.lines.count(byte, false);
                self.place = CellPlace::Quote { empty };
                return;
            }
            CellPlace::Quote { .. } if byte == b'"' => {
                self.ready.push_back(b'"');
                CellPlace::Quoted { empty: false }
            }
            CellPlace::Quoted { .. } => CellPlace::Quoted { empty: false },
            CellPlace::Quote { empty } => {
                self.close_quote(empty);
                let place = outside(byte);
                if place == CellPlace::Bare {
                    self.ready.push_back(AFTER_QUOTE);
                }
                place
            }
            CellPlace::CellStart if byte == b'"' => {
                self.lines.opened = self.lines.now;
                CellPlace::Quoted { empty: true }
            }
            CellPlace::CellStart | CellPlace::Bare => outside(byte),
        };
        let ends = self.place == CellPlace::CellStart && byte != b',';
        self.lines.count(byte, ends);
        self.ready.push_back(byte);
    }

    fn close_quote(&mut self, empty: bool) {
        if empty {
            self.ready.extend(QUOTED_EMPTY);
        }
        self.ready.push_back(b'"');
        self.place = CellPlace::Bare;
    }
}

fn outside(byte: u8) -> CellPlace {
    if matches!(byte, b',' | b'\r' | b'\n') { CellPlace::CellStart } else { CellPlace::Bare }
}

impl LinePosition {
    /// `ends`: the byte ends the record.
    fn count(&mut self, byte: u8, ends: bool) {
        if !ends {
            if self.length == 0 {
                self.starts.push_back(self.now);
            }
            self.length += 1;
        } else {
            self.length = 0;
        }
        if byte == b'\r' || (byte == b'\n' && self.last != b'\r') {
            self.now += 1;
        }
        self.last = byte;
    }
}

impl<R: BufRead> Read for EmptyCells<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.fill()?;
        self.ready.read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        EmptyCells::new(text).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn only_a_quoted_empty_cell_is_marked() {
        for (given, expected) in [
            (&b"a,,b\n"[..], &b"a,,b\n"[..]),
            (b"\"\"", b"\"\xFF\""),
            (b"a,\"\",\"\"\r\n\"\"\n", b"a,\"\xFF\",\"\xFF\"\r\n\"\xFF\"\n"),
            (b"\"\"\"\"", b"\"\"\"\""),
            (b"\"a\"\"\"", b"\"a\"\"\""),
            (b"a\"\"", b"a\"\""),
            (b"\"\n\",\"\"", b"\"\n\",\"\xFF\""),
            (b"\xFF,\"\xFF\"", b"\xFE,\"\xFE\""),
            (b"\xFD", b"\xFE"),
            (b"\"a\"b,\"c\" \n", b"\"a\"\xFDb,\"c\"\xFD \n"),
            (b"\"\"a\"\",1", b"\"\xFF\"\xFDa\"\",1"),
        ] {
            assert_eq!(through(given), expected, "{:?}", String::from_utf8_lossy(given));
        }
    }

    #[test]
    fn records_begin_where_a_person_would_say() {
        let mut cells = EmptyCells::new(&b"\n\na,b\r\n\"x\ny\",\"\r\n\"\n\n\r\"\"\nlast"[..]);
        std::io::copy(&mut cells, &mut std::io::sink()).unwrap();
        assert_eq!(cells.lines.starts, [3, 4, 9, 10]);
    }

    #[test]
    fn an_open_quote_is_remembered_by_its_line() {
        for (text, line) in
            [(&b"a\nb,\"c\n\n"[..], Some(2)), (b"\"", Some(1)), (b"\"\"", None), (b"a\"", None)]
        {
            let mut cells = EmptyCells::new(text);
            std::io::copy(&mut cells, &mut std::io::sink()).unwrap();
            assert_eq!(cells.unclosed(), line, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
