//! The reference of the book, made of the code: the command line, the API, the metrics, every key of both files. Says nothing
//! that the program does not know of itself.

mod api;
mod commands;
mod metrics;
mod settings;

/// The pages of docs/reference/, with their names.
pub(super) fn pages() -> [(&'static str, String); 4] {
    [
        ("api.md", api::page()),
        ("command-line.md", commands::page()),
        ("configuration.md", settings::page()),
        ("metrics.md", metrics::page()),
    ]
}

/// How a page begins.
fn begin(title: &str, about: &str) -> String {
    format!(
        "# {title}\n\n<!-- Made of the code by `make reference`; a test says when it is out of date. -->\n\n{about}\n"
    )
}

/// A row of a table; what stands in its cells is Markdown.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.trim().replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a table.
fn head(cells: &[&str]) -> String {
    format!("\n{}|{}\n", row(cells), "---|".repeat(cells.len()))
}
