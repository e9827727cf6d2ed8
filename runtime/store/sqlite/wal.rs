//! Reads the write-ahead log of SQLite as a file, to find damage that SQLite passes over: it takes the frames up to the first
//! that is not whole, which after a power cut is right. Damage further back would lose what was acknowledged without a word.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html#walformat>. Does not know pages.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME: usize = 24;
/// The last bit is the byte order of checksums.
const MAGIC: u32 = 0x377f_0682;

/// A checksum, which continues from that of the frame before.
type Sum = (u32, u32);

struct Log {
    input: BufReader<File>,
    big_endian: bool,
    salt: [u8; 8],
    page: usize,
    /// Of the header.
    sum: Sum,
}

struct Frame {
    /// The last of a commit.
    commits: bool,
    /// What is in it.
    sum: Sum,
    /// The bytes that its checksum is of.
    head: [u8; 8],
    page: Vec<u8>,
}

/// Tells if commits follow a frame that is not whole. A commit was on the disk before the next frame was written, so a frame
/// that continues from a commit's checksum proves it; nothing that a power cut leaves looks so.
pub(super) fn lost(path: &Path) -> std::io::Result<Option<String>> {
    let Some(mut log) = Log::open(path)? else { return Ok(None) };
    let (mut before, mut broken, mut number, mut last_committed) = (log.sum, None, 0_u64, false);
    while let Some(frame) = log.next()? {
        number += 1;
        let goes_on = log.sum(&frame, before) == frame.sum;
        if let (Some(at), true, true) = (broken, goes_on, last_committed) {
            return Ok(Some(format!(
                "its write-ahead log is damaged at frame {at}, and acknowledged changes stand behind it"
            )));
        }
        if !goes_on && broken.is_none() {
            broken = Some(number);
        }
        (before, last_committed) = (frame.sum, frame.commits);
    }
    Ok(None)
}

impl Log {
    /// `None` where there is no log, or none that was ever used.
    fn open(path: &Path) -> std::io::Result<Option<Log>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut input = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; HEADER];
        if !whole(input.read_exact(&mut header))? {
            return Ok(None);
        }
        let magic = number(&header, 0);
        let page = usize::try_from(number(&header, 8)).unwrap_or(0);
        if magic & !1 != MAGIC || !(512..=65_536).contains(&page) {
            return Ok(None);
        }
        let mut salt = [0; 8];
        salt.copy_from_slice(&header[16..24]);
        let sum = (number(&header, 24), number(&header, 28));
        Ok(Some(Log { input, big_endian: magic & 1 == 1, salt, page, sum }))
    }

    /// The next frame of this use of the file; what an earlier use left behind has other salts.
    fn next(&mut self) -> std::io::Result<Option<Frame>> {
        let (mut about, mut page) = ([0; FRAME], vec![0; self.page]);
        if !whole(self.input.read_exact(&mut about))? || !whole(self.input.read_exact(&mut page))? {
            return Ok(None);
        }
        if about[8..16] != self.salt {
            return Ok(None);
        }
        let mut head = [0; 8];
        head.copy_from_slice(&about[..8]);
        let sum = (number(&about, 16), number(&about, 20));
        Ok(Some(Frame { commits: number(&about, 4) != 0, sum, head, page }))
    }

    fn sum(&self, frame: &Frame, before: Sum) -> Sum {
        let words = |bytes: &[u8], (mut first, mut second): Sum| {
            for pair in bytes.chunks_exact(8) {
                let word = |at: usize| {
                    let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                    if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
                };
                first = first.wrapping_add(word(0)).wrapping_add(second);
                second = second.wrapping_add(word(4)).wrapping_add(first);
            }
            (first, second)
        };
        words(&frame.page, words(&frame.head, before))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether everything was there to be read.
fn whole(read: std::io::Result<()>) -> std::io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    const PAGE: usize = 512;

    /// A log of several commits of several pages each, and for each frame whether it ends a commit.
    fn log(folder: &Path) -> (Vec<u8>, Vec<bool>) {
        let conn = Connection::open(folder.join("a.db")).unwrap();
        let setup = format!(
            "PRAGMA page_size = {PAGE}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)"
        );
        conn.execute_batch(&setup).unwrap();
        for size in [10, 3_000, 10, 1_500] {
            conn.execute("INSERT INTO t VALUES (zeroblob(?1))", [size]).unwrap();
        }
        let bytes = std::fs::read(folder.join("a.db-wal")).unwrap();
        let frames = bytes[HEADER..].chunks_exact(FRAME + PAGE);
        let commits = frames.map(|frame| number(frame, 4) != 0).collect();
        (bytes, commits)
    }

    fn found(folder: &Path, bytes: &[u8]) -> Option<String> {
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        lost(file.path()).unwrap()
    }

    #[test]
    fn damage_before_a_commit_that_was_followed_is_found_and_a_torn_end_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, commits) = log(folder.path());
        assert!(commits.len() > 12 && commits.iter().filter(|commit| **commit).count() > 4, "{commits:?}");
        assert_eq!(found(folder.path(), &bytes), None);
        let last = commits.len() - 1;
        for (at, _) in commits.iter().enumerate() {
            let place = HEADER + at * (FRAME + PAGE);
            // Somewhere in the page, and in the page's number.
            for byte in [place + FRAME + 300, place + 1] {
                let mut flipped = bytes.clone();
                flipped[byte] ^= 0x40;
                let told = found(folder.path(), &flipped);
                let is_followed = commits[at..last].contains(&true);
                assert_eq!(told.is_some(), is_followed, "frame {} of {commits:?}: {told:?}", at + 1);
                let named = format!("at frame {},", at + 1);
                assert!(told.is_none_or(|told| told.contains(&named)), "{named}");
            }
            // What a power cut leaves: the log ends anywhere.
            for end in [place, place + 10, place + FRAME + 100] {
                assert_eq!(found(folder.path(), &bytes[..end]), None, "cut off at {end}");
            }
        }
    }

    /// Two crashes in the same part of a log leave a commit of the first and a frame of the second side by side.
    #[test]
    fn frames_of_two_broken_commits_side_by_side_prove_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, commits) = log(folder.path());
        let commit = commits.iter().position(|commit| *commit).unwrap();
        let mut torn = bytes[..HEADER + (commit + 2) * (FRAME + PAGE)].to_vec();
        torn[HEADER + FRAME] ^= 1;
        torn[HEADER + (commit + 1) * (FRAME + PAGE) + FRAME] ^= 1;
        assert_eq!(found(folder.path(), &torn), None);
    }

    #[test]
    fn what_is_no_log_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(lost(&folder.path().join("nothing")).unwrap(), None);
        for bytes in [&b""[..], b"left over", &[0; 4_000]] {
            assert_eq!(found(folder.path(), bytes), None);
        }
    }
}
