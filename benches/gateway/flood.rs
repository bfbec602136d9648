//! How fast a run's output is taken, and what the gateway and the host hold meanwhile: the command of the gateway is a
//! script that writes as fast as it can.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::failed::{Failed, failed};
use crate::folder::Folder;
use crate::gateways::Gateway;
use crate::lines::peaks_of_run;
use crate::report::{Row, Section, tenths, whole};
use crate::samples::Samples;

/// Counted runs of each kind.
const RUNS: usize = 10;

const MIB: u32 = 2048;

/// What is written, and with what.
const KINDS: [(&str, &str); 3] = [
    ("zeros, no line at all", "cat /dev/zero"),
    ("short lines", "yes 'a line of forty-odd bytes, as plays have them'"),
    (
        "lines of 100 MB that are no UTF-8",
        "yes \"$(printf '\\377%.0s' $(seq 1000))\" | tr '\\n' x",
    ),
];

pub(crate) async fn measure(root: &Path) -> Result<Section, Failed> {
    let (mut rows, mut all) = (Vec::new(), serde_json::Map::new());
    for (kind, writer) in KINDS {
        let gateway = flooding(root, writer).await?;
        let (mut rates, mut gateways, mut hosts) = (Samples::default(), Samples::default(), Samples::default());
        for number in 0..=RUNS {
            let (took, peaks) = peaks_of_run(&gateway, "Down").await?;
            if number > 0 {
                rates.push(f64::from(MIB) * 1.048_576 / (took / 1_000.0));
                gateways.push(peaks.gateway);
                hosts.push(peaks.host);
            }
        }
        rows.push(Row::new(format!("{kind}: MB/s, median"), whole(rates.median())).bound("≥ 200"));
        rows.push(Row::new("the gateway grew by at most, MiB", tenths(gateways.percentile(100))).bound("fixed"));
        rows.push(Row::new("the host grew by at most, MiB", tenths(hosts.percentile(100))).bound("fixed"));
        let figures: Value = json!({
            "megabytes_per_second": rates.all(),
            "gateway_growth_mib": gateways.all(),
            "host_growth_mib": hosts.all(),
        });
        all.insert(kind.to_owned(), figures);
    }
    Ok(Section {
        key: "flood",
        title: "2 GiB of output",
        columns: ["gateway", ""],
        rows,
        json: Value::Object(all),
    })
}

async fn flooding(root: &Path, writer: &str) -> Result<Gateway, Failed> {
    let folder = Folder::with(root, "./flood", "never", "")?;
    // A play that says what its stats are: the run counts as one that ended well.
    let script = format!(
        "#!/bin/sh\n{writer} 2> /dev/null | head -c {MIB}M\n\
         echo '{{\"event\":\"stats\",\"hosts\":{{\"localhost\":{{\"ok\":1}}}}}}' >> \"$HEALGATE_EVENTS\"\n"
    );
    folder.write("flood", &script)?;
    fs::set_permissions(folder.path("flood"), PermissionsExt::from_mode(0o755)).map_err(failed("make a script"))?;
    Gateway::start(folder).await
}
