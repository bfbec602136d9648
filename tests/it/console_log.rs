//! What the console's log page asks for: the page without scripts, the log's outline, and the search in it.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

/// A run whose log begins with that text, and which is over.
async fn said(text: &str) -> (Folder, Gateway, String) {
    let folder = Folder::new();
    folder.write("said.txt", text);
    let path = folder.path("said.txt").display().to_string();
    folder.write("fix.yml", &format!("say(open({path:?}, newline='').read())\n{FIX}"));
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    (folder, gateway, job)
}

async fn ask(gateway: &Gateway, path: &str) -> Response {
    gateway.request(Method::GET, path).send().await.unwrap()
}

/// The texts of a search, in order.
async fn search(gateway: &Gateway, job: &str, query: &str) -> Vec<Value> {
    let answer = gateway.text(&format!("/jobs/{job}/log/search?{query}")).await;
    answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines that a search found.
fn lines(texts: &[Value]) -> Vec<u64> {
    let lines = texts
        .iter()
        .flat_map(|text| text["lines"].as_array().cloned().unwrap_or_default());
    lines.map(|line| line.as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_outline_tells_how_many_lines_end_in_each_part_and_where_tasks_begin() {
    let text = format!(
        "PLAY [mend] ****\nTASK [try] ****\nfatal: [web1]: FAILED!\n{}PLAY RECAP ****",
        "a line\n".repeat(20_000)
    );
    let (_folder, gateway, job) = said(&text).await;
    let outline = gateway.get(&format!("/jobs/{job}/log/outline")).await;
    let log = gateway.log_of(&job).await;
    assert_eq!(outline["bytes"], log.len());
    assert_eq!(outline["complete"], true);
    assert_eq!(outline["open"], false);
    let expected: Vec<usize> = log
        .as_bytes()
        .chunks(64 * 1024)
        .map(|part| part.iter().filter(|byte| **byte == b'\n').count())
        .collect();
    assert_eq!(outline["breaks"], json!(expected));
    assert_eq!(
        outline["sections"],
        json!([
            [1, "play", false, "mend"],
            [2, "task", true, "try"],
            [20_004, "recap", false, ""]
        ])
    );
    // As it was kept.
    assert_eq!(
        gateway.get(&format!("/jobs/{job}/log/outline?attempt=1")).await,
        outline
    );
}

#[tokio::test]
async fn an_outline_goes_on_with_the_log() {
    let folder = Folder::new();
    let path = folder.path("go").display().to_string();
    folder.write(
        "fix.yml",
        &format!("say('TASK [one] ***')\nprint('begun', end='', flush=True)\nwait_for({path:?})\nsay('')\nsay('TASK [two] ***')\n{FIX}"),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until("the log has begun", || async {
        gateway.log_of(&job).await.contains("begun").then_some(())
    })
    .await;
    let outline = gateway.get(&format!("/jobs/{job}/log/outline")).await;
    assert_eq!(outline["complete"], false);
    // Not the line that has no end yet: that comes again with what follows.
    assert_eq!(outline["bytes"], "TASK [one] ***\n".len());
    assert_eq!(outline["breaks"], json!([1]));
    folder.write("go", "");
    gateway.until_finished(&job).await;
    let outline = gateway.get(&format!("/jobs/{job}/log/outline")).await;
    assert_eq!(
        outline["sections"],
        json!([[1, "task", false, "one"], [3, "task", false, "two"]])
    );
}

#[tokio::test]
async fn a_search_finds_every_line_of_a_long_log() {
    let (_folder, gateway, job) = said(&"one\ntwo \x1b[31mRe\x1b[0md\nthree\n".repeat(40_000)).await;
    let texts = search(&gateway, &job, "q=RED").await;
    // What was found is told while the search goes on.
    assert!(texts.len() > 1);
    assert!(texts[..texts.len() - 1].iter().all(|text| text.get("done").is_none()));
    assert_eq!(texts[texts.len() - 1]["done"], true);
    assert_eq!(texts[texts.len() - 1]["more"], true);
    let expected: Vec<u64> = (0..10_000).map(|n| 3 * n + 2).collect();
    assert_eq!(lines(&texts), expected);
    let nothing = search(&gateway, &job, "q=four&attempt=1").await;
    assert_eq!(lines(&nothing), [] as [u64; 0]);
    assert_eq!(nothing[nothing.len() - 1]["more"], false);
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused_with_the_reason() {
    let (_folder, gateway, job) = said("text").await;
    let long = "x".repeat(201);
    for (path, status) in [
        (format!("/jobs/{job}/log/search"), StatusCode::BAD_REQUEST),
        (format!("/jobs/{job}/log/search?q="), StatusCode::BAD_REQUEST),
        (format!("/jobs/{job}/log/search?q={long}"), StatusCode::BAD_REQUEST),
        (format!("/jobs/{job}/log/search?q=a&p=b"), StatusCode::BAD_REQUEST),
        (format!("/jobs/{job}/log/search?q=a&attempt=7"), StatusCode::NOT_FOUND),
        (format!("/jobs/{job}/log/outline?attempt=7"), StatusCode::NOT_FOUND),
        (format!("/jobs/{job}/log/outline?from=7"), StatusCode::BAD_REQUEST),
        (
            "/jobs/01a200c4-427d-70d8-a1ec-52f574a5ed5a/log/outline".to_owned(),
            StatusCode::NOT_FOUND,
        ),
        ("/jobs/x/log/outline".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let answer = ask(&gateway, &path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn a_job_that_has_not_begun_has_an_empty_outline_and_nothing_is_found_in_it() {
    let folder = Folder::new();
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix: {path: fix.yml}\nroutes:\n  - {name: down, matchers: ['alertname=\"Down\"'], playbook: fix, mode: approve}\n",
    );
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&[firing("Down", "f1")]).await;
    let job = decisions[0]["job"].as_str().unwrap();
    let outline = gateway.get(&format!("/jobs/{job}/log/outline")).await;
    assert_eq!((&outline["bytes"], &outline["complete"]), (&json!(0), &json!(false)));
    assert_eq!(
        search(&gateway, job, "q=a").await,
        [json!({"done": true, "more": false})]
    );
    assert!(
        gateway
            .text(&format!("/jobs/{job}/log"))
            .await
            .contains("No attempt has begun yet")
    );
}

#[tokio::test]
async fn the_page_shows_the_end_as_text_with_the_way_to_all_that_is_before() {
    let text: String = (0..4_000).map(|n| format!("line {n:05} <b>\"&'\n")).collect();
    let (_folder, gateway, job) = said(&text).await;
    let log = gateway.log_of(&job).await;
    let mut from = log.len();
    let mut path = format!("/jobs/{job}/log");
    loop {
        let page = gateway.text(&path).await;
        assert!(page.len() < 60_000, "{path} has {} bytes", page.len());
        assert!(!page.contains("<b>"));
        let (_, rest) = page.split_once("Output, bytes ").unwrap();
        let place: Vec<usize> = rest
            .split(' ')
            .filter_map(|word| word.trim_end_matches('"').parse().ok())
            .take(2)
            .collect();
        let shown = rest.split_once('>').unwrap().1.split_once("</pre>").unwrap().0;
        assert_eq!(
            shown.matches("line ").count(),
            log[place[0]..place[1]].matches("line ").count()
        );
        assert!(
            place[1] >= from || path.ends_with("/log"),
            "a part is left out after {}",
            place[1]
        );
        from = place[0];
        let Some((older, _)) = page.split_once("\">Older") else {
            break;
        };
        let (_, query) = older.rsplit_once("href=\"").unwrap();
        path = format!("/jobs/{job}/log{}", query.replace("&amp;", "&").replace("&#38;", "&"));
    }
    assert_eq!(from, 0);
}
