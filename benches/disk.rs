//! What the disk under the data costs, because durable creates at one client are mostly that. Knows no database.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tokio::time::Instant;

use crate::error::{BenchError, Outcome};
use crate::stats::Latencies;

const BLOCK: [u8; 4096] = [7; 4096];
const SYNCS: usize = 200;

/// Milliseconds for one appended 4 KiB block with `fdatasync`: median and 99th percentile.
pub(crate) fn sync_millis(folder: &Path) -> Outcome<(f64, f64)> {
    let mut file = tempfile::tempfile_in(folder)
        .map_err(|source| BenchError::io(format!("create a file in {}", folder.display()), source))?;
    let mut times = Latencies::default();
    for _ in 0..SYNCS {
        let start = Instant::now();
        append(&mut file).map_err(|source| BenchError::io("write and sync a block", source))?;
        times.add(start.elapsed());
    }
    Ok((times.millis_at(0.5), times.millis_at(0.99)))
}

fn append(file: &mut File) -> std::io::Result<()> {
    file.write_all(&BLOCK)?;
    file.sync_data()
}

/// The type of the file system that holds `folder`. On `tmpfs` a sync is free and durable figures mean nothing.
pub(crate) fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut best = (0, "unknown");
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else { continue };
        // Mounts are listed in the order of mounting: of two at one point the later one is seen.
        if folder.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}
