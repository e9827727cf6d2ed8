//! The file of an import: read twice, once for its hash, which names the job, and once for its records.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, Write};
use std::path::Path;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::super::loading::Refused;

/// A file that can be read again.
pub(super) struct ImportSource {
    /// For messages.
    pub(super) name: String,
    pub(super) bytes: u64,
    file: File,
    hash: [u8; 32],
}

/// The content of a file, with a count of what was read of it.
pub(super) struct CountedInput<'a> {
    pub(super) lines: Box<dyn BufRead + 'a>,
    pub(super) read: Read,
}

/// How many bytes were read.
#[derive(Clone, Default)]
pub(super) struct Read(Rc<Cell<u64>>);

impl Read {
    pub(super) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

impl ImportSource {
    /// Opens a file, or keeps what comes through stdin or a pipe in a file without a name.
    pub(super) fn open(path: &Path) -> Result<ImportSource, Refused> {
        let stdin = path == Path::new("-");
        let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
        let failed = |error: std::io::Error| Refused::failed(format!("{name} cannot be read: {error}"));
        let (file, hash) = if stdin {
            kept(&mut std::io::stdin().lock()).map_err(failed)?
        } else {
            let mut file = File::open(path).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_file() {
                let hash = hashed(&mut file, &mut std::io::sink()).map_err(failed)?;
                (file, hash)
            } else {
                kept(&mut file).map_err(failed)?
            }
        };
        let bytes = file.metadata().map_err(failed)?.len();
        (&file).rewind().map_err(failed)?;
        Ok(ImportSource { name, bytes, file, hash })
    }

    /// The same file, to be read from its beginning.
    pub(super) fn again(&self) -> Result<ImportSource, Refused> {
        let failed =
            |error: std::io::Error| Refused::failed(format!("{} cannot be read: {error}", self.name));
        let mut file = self.file.try_clone().map_err(failed)?;
        file.rewind().map_err(failed)?;
        Ok(ImportSource { name: self.name.clone(), file, ..*self })
    }

    /// The name of the job that imports this content in this way, in hex.
    pub(super) fn job(&self, way: &[&[u8]]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.hash);
        for part in way {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn input(&self) -> CountedInput<'_> {
        let read = Read::default();
        let counted = CountingReader { file: &self.file, read: read.clone() };
        CountedInput { lines: Box::new(BufReader::with_capacity(64 << 10, counted)), read }
    }
}

fn kept(input: &mut dyn std::io::Read) -> std::io::Result<(File, [u8; 32])> {
    let mut file = tempfile::tempfile()?;
    let hash = hashed(input, &mut file)?;
    Ok((file, hash))
}

fn hashed(input: &mut dyn std::io::Read, copy: &mut dyn Write) -> std::io::Result<[u8; 32]> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let count = match input.read(&mut chunk) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&chunk[..count]);
        copy.write_all(&chunk[..count])?;
    }
}

struct CountingReader<'a> {
    file: &'a File,
    read: Read,
}

impl std::io::Read for CountingReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = std::io::Read::read(&mut self.file, out)?;
        self.read.0.set(self.read.0.get() + count as u64);
        Ok(count)
    }
}
