//! What the disk itself takes to make a commit durable.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use crate::latency::Latency;

/// The part of a file that is written over and over, as a log in use is: about SQLite's, which is emptied after a thousand pages.
const LOG: u64 = 4 << 20;
/// Frames of the log begin after this many bytes.
const LOG_HEADER: usize = 32;
/// A frame is that much and a page.
const FRAME_HEADER: usize = 24;

/// Writes `bytes` `count` times into a file in `folder`, each time with an `fsync`, and returns what the pairs took. The file is gone
/// afterwards.
///
/// # Errors
/// What the file system says.
pub fn fsync(folder: &Path, bytes: usize, count: u32) -> io::Result<Latency> {
    let path = folder.join("fsync.probe");
    let measured = measure(&path, bytes, count);
    let removed = fs::remove_file(&path);
    measured.and_then(|latency| removed.map(|()| latency))
}

fn measure(path: &Path, bytes: usize, count: u32) -> io::Result<Latency> {
    let file = File::create(path)?;
    let blank = vec![0; 1 << 16];
    for at in (0..LOG).step_by(blank.len()) {
        file.write_all_at(&blank, at)?;
    }
    file.sync_all()?;
    let mut latency = Latency::default();
    let mut at = 0;
    for round in 0..count {
        let content = vec![round.to_le_bytes()[0]; bytes];
        let start = Instant::now();
        file.write_all_at(&content, at)?;
        file.sync_all()?;
        latency.record(start.elapsed());
        at = if at + 2 * bytes as u64 > LOG { 0 } else { at + bytes as u64 };
    }
    Ok(latency)
}

/// The bytes of an average commit in SQLite's write-ahead log at `path`, as far as the log still holds them; `None` of an empty one.
///
/// # Errors
/// What the file system says.
pub fn commit_bytes(path: &Path) -> io::Result<Option<usize>> {
    let log = fs::read(path)?;
    let Some(header) = log.get(..LOG_HEADER) else { return Ok(None) };
    let page = number(&header[8..]) as usize;
    let salts = &header[16..24];
    // Frames of an earlier use of the log bear other salts.
    let of_this_use = |frame: &&[u8]| frame[8..16] == *salts;
    let frames = log[LOG_HEADER..].chunks_exact(FRAME_HEADER + page.max(1)).take_while(of_this_use);
    let (count, commits) = frames.fold((0, 0), |(count, commits), frame| {
        // The last frame of a commit tells the size of the database.
        (count + 1, commits + usize::from(number(&frame[4..]) > 0))
    });
    Ok((commits > 0).then(|| count * (FRAME_HEADER + page) / commits))
}

/// See <https://www.sqlite.org/fileformat2.html#walformat>.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_counts_every_fsync_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let latency = fsync(folder.path(), 20_600, 5).unwrap();
        assert_eq!(latency.count(), 5);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_log_tells_what_a_commit_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, []).unwrap();
        assert_eq!(commit_bytes(&path).unwrap(), None);
        // Two commits of three pages in all, then frames of an earlier use.
        let header = [&[0_u8; 8][..], &512_u32.to_be_bytes(), &[0; 4], b"saltsalt", &[0; 8]].concat();
        let frame = |size: u32, salts: &[u8]| [&[0; 4], &size.to_be_bytes()[..], salts, &[0; 8 + 512]].concat();
        let frames = [frame(0, b"saltsalt"), frame(7, b"saltsalt"), frame(7, b"saltsalt"), frame(7, b"elseelse")];
        fs::write(&path, [header, frames.concat()].concat()).unwrap();
        assert_eq!(commit_bytes(&path).unwrap(), Some(3 * (24 + 512) / 2));
    }
}
