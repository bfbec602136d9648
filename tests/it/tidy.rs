//! Holds the boundaries that the architecture draws.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a folder of the repository, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no sources below {folder}");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test_module(&path) {
            files.push(path);
        }
    }
}

/// `tests.rs`, and what lies in `tests/` below `src`.
fn is_test_module(path: &Path) -> bool {
    let below_src = path.components().skip_while(|part| part.as_os_str() != "src");
    below_src.into_iter().any(|part| {
        ["tests", "tests.rs", "fake.rs", "fake"]
            .iter()
            .any(|name| part.as_os_str() == *name)
    })
}

/// The part of a file that is not its test module.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// Lines outside the allowed places that contain one of the words.
fn offenders(folder: &str, words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources(folder) {
        if allowed.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for (number, line) in production(&text).lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) && !line.trim_start().starts_with("//") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn sql_lives_in_the_stores_adapters_alone() {
    let found = offenders(
        "src",
        &["rusqlite", "SELECT ", "INSERT INTO", "DELETE FROM"],
        &["src/store/"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn processes_start_in_ansible_alone() {
    let found = offenders("src", &["Command::new"], &["src/ansible"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_domain_is_pure() {
    let words = [
        "tokio",
        "actix",
        "rusqlite",
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "SystemTime",
        "Instant::now",
    ];
    let found = offenders("src/domain", &words, &[]);
    assert!(found.is_empty(), "{found:#?}");
}

/// What each folder may not know.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "src/domain",
        &[
            "crate::store",
            "crate::http",
            "crate::worker",
            "crate::ansible",
            "crate::catalog",
        ],
    ),
    (
        "src/store",
        &[
            "crate::http",
            "crate::worker",
            "crate::ansible",
            "crate::catalog",
            "crate::config",
        ],
    ),
    (
        "src/ansible",
        &["crate::store", "crate::http", "crate::worker", "crate::catalog"],
    ),
    ("src/catalog", &["crate::store", "crate::http", "crate::worker"]),
    (
        "src/ingest",
        &[
            "crate::store",
            "crate::http",
            "crate::worker",
            "crate::ansible",
            "crate::catalog",
        ],
    ),
    (
        "src/worker",
        &["crate::http", "crate::catalog", "crate::notify", "store::sqlite"],
    ),
    ("src/http", &["crate::worker", "crate::notify", "store::sqlite"]),
    (
        "src/notify",
        &[
            "crate::worker",
            "crate::ansible",
            "crate::catalog",
            "store::sqlite",
            "crate::http::api",
        ],
    ),
    (
        "src/outbound",
        &["crate::store", "crate::http", "crate::worker", "crate::ansible"],
    ),
    (
        "src/peers",
        &[
            "crate::store",
            "crate::http",
            "crate::worker",
            "crate::ansible",
            "crate::catalog",
        ],
    ),
];

#[test]
fn dependencies_point_one_way() {
    for (folder, forbidden) in FORBIDDEN {
        let found = offenders(folder, forbidden, &[]);
        assert!(found.is_empty(), "{folder}: {found:#?}");
    }
}

#[test]
fn only_serve_and_db_name_the_concrete_store() {
    let found = offenders(
        "src",
        &["SqliteStore"],
        &["src/store", "src/cli/serve", "src/cli/db.rs"],
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "TODO", "FIXME", "XXX"];
    for folder in ["src", "tests/it"] {
        let found: Vec<String> = offenders(folder, &words, &["tests/it/tidy.rs"]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn tests_do_not_sleep_and_hope() {
    let words = ["time::sleep(", "thread::sleep("];
    // The one place that waits between two looks at a condition.
    let found = offenders("tests/it", &words, &["tests/it/tidy.rs", "tests/it/support/wait.rs"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn files_and_the_main_function_stay_small() {
    for (name, text) in sources("src") {
        let lines = production(&text).lines().count();
        let most = if name == "src/main.rs" { 40 } else { 400 };
        assert!(lines <= most, "{name} has {lines} lines; the most is {most}");
    }
}

#[test]
fn every_module_says_what_it_is() {
    for (name, text) in sources("src") {
        assert!(text.starts_with("//! "), "{name} has no module comment");
    }
}

#[test]
fn every_decision_record_is_a_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adr");
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for heading in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(heading), "{name} has no {heading:?}");
        }
        assert!(text.lines().count() <= 60, "{name} is longer than a page");
        numbers.push(name[..4].to_owned());
    }
    numbers.sort();
    let distinct = numbers.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(distinct, "two records have one number: {numbers:?}");
}

#[test]
fn architecture_md_fits_its_limit() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 200);
}

#[test]
fn every_scenario_has_one_page_a_line_in_the_list_and_one_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/scenarios.md")).unwrap();
    let mut scenarios = 0;
    for folder in fs::read_dir(root.join("scenarios")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        scenarios += 1;
        let readme = fs::read_to_string(folder.path().join("README.md")).unwrap();
        assert!(
            readme.lines().count() <= 90,
            "scenarios/{name}/README.md is longer than a page"
        );
        assert!(
            page.contains(&format!("[`{name}`](../scenarios/{name}/)")),
            "{name} is in no list"
        );
        assert!(
            page.contains(&format!("| [{name}](../scenarios/{name}/) |")),
            "{name} was not measured"
        );
    }
    assert!(scenarios >= 8, "{scenarios} scenarios");
}
