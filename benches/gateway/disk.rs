//! What the disk itself takes to keep something: what a durable answer is measured beside.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use crate::failed::{Failed, failed};
use crate::samples::Samples;

/// Appends 4 KiB to a file and syncs it, `count` times. Milliseconds.
pub(crate) fn synced_appends(folder: &Path, count: usize) -> Result<Samples, Failed> {
    let mut file = tempfile::tempfile_in(folder).map_err(failed("make a file to append to"))?;
    let mut samples = Samples::default();
    for _ in 0..count {
        let began = Instant::now();
        append(&mut file).map_err(failed("append to a file"))?;
        samples.push_ms(began.elapsed());
    }
    Ok(samples)
}

fn append(file: &mut File) -> std::io::Result<()> {
    file.write_all(&[0x5a; 4096])?;
    file.sync_all()
}
