//! Very many alerts at once: ten thousand in one POST, and a hundred thousand for ten thousand machines while jobs run and
//! somebody looks at their list.

mod group;
mod judge;
mod many;

use std::path::Path;

use serde_json::json;
use tokio::runtime::Runtime;

use crate::failed::Failed;
use crate::report::Section;

pub(crate) async fn measure(root: &Path, runtime: &Runtime) -> Result<Section, Failed> {
    let groups = group::measure(root, runtime).await?;
    let many = many::measure(root).await?;
    Ok(Section {
        key: "storm",
        title: "a storm of alerts",
        columns: ["gateway", "beside"],
        rows: groups.rows().into_iter().chain(many.rows()).collect(),
        json: json!({ "groups": groups.json(), "many": many.json() }),
    })
}
