//! Logs: how small real output is stored, how fast four runs at once are stored, how quickly the end of a long log is read,
//! and what a thousand followers of one log cost.

mod followers;
mod recorded;
mod stored;

use std::path::Path;

use serde_json::json;

use crate::failed::Failed;
use crate::report::Section;

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let recorded = recorded::record(root).await?;
    let stored = stored::measure(root, &recorded).await?;
    let followers = followers::measure(root, &recorded).await?;
    let rows = [recorded.rows(), stored.rows(), followers.rows()];
    Ok(Section {
        key: "logs",
        title: "logs",
        columns: ["gateway", "beside"],
        rows: rows.into_iter().flatten().collect(),
        json: json!({ "recorded": recorded.json(), "stored": stored.json(), "followers": followers.json() }),
    })
}
