//! How long a new gateway takes to bring a million jobs to its schema: from its start until it listens.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::failed::Failed;
use crate::past::{self, Filled, JOBS, Past};
use crate::process::Server;
use crate::report::{Row, Section, of};

pub(crate) async fn measure(root: &Path, past: &mut Past) -> Result<Section, Failed> {
    let newest = past::newest();
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    // The first schema has the shapes already; the last one before is what an upgrade mostly comes from.
    for schema in [1, newest - 1] {
        let filled = past.of_schema(schema).await?;
        let (upgrade, start) = (listening(root, &filled).await?, listening(root, &filled).await?);
        let what = format!("{JOBS} jobs from schema {schema} to {newest}: s");
        rows.push(
            Row::new(what, of(upgrade))
                .beside(of(start), upgrade / start)
                .bound("60 s"),
        );
        let figures: Value = json!({ "from": schema, "to": newest, "seconds": upgrade, "start_seconds": start });
        all.push(figures);
        // The next one needs its room.
        if schema == newest - 1 {
            past.keep(filled);
        }
    }
    Ok(Section {
        key: "migration",
        title: "an upgrade",
        columns: ["until it listens", "a start after that"],
        rows,
        json: json!(all),
    })
}

async fn listening(root: &Path, filled: &Filled) -> Result<f64, Failed> {
    let folder = filled.folder(root)?;
    let began = Instant::now();
    let mut server = Server::healgate(&folder).await?;
    let took = began.elapsed();
    server.stop().await?;
    Ok(took.as_secs_f64())
}
