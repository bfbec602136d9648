//! What only this adapter must prove: its plans, and what it does when the disk refuses, gives up or forgets.

mod plans;
mod power;
mod refusals;
mod troubles;

use std::sync::Arc;

use crate::store::observe::{Committed, Observer};
use crate::store::sqlite::open::{Opened, open};

#[derive(Debug)]
struct Deaf;

impl Observer for Deaf {
    fn committed(&self, _: &Committed) {}
}

fn deaf() -> Arc<dyn Observer> {
    Arc::new(Deaf)
}

async fn opened() -> (tempfile::TempDir, Opened) {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(&folder.path().join("healgate.db")).await.unwrap();
    (folder, opened)
}
