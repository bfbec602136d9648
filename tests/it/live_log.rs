//! What a playbook prints is readable while it runs, and as it was printed.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use serde_json::Value;

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::wait::until;

/// The events of a stream: name, id and data.
fn events(body: &str) -> Vec<(String, String, Value)> {
    let field = |event: &str, name: &str| {
        let start = format!("{name}: ");
        event
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_default()
            .to_owned()
    };
    body.split("\n\n")
        .filter(|event| event.contains("data: "))
        .map(|event| {
            (
                field(event, "event"),
                field(event, "id"),
                serde_json::from_str(&field(event, "data")).unwrap(),
            )
        })
        .collect()
}

/// What the `log` events of a stream say together.
fn text(events: &[(String, String, Value)]) -> String {
    events
        .iter()
        .filter(|(name, _, _)| name == "log")
        .map(|(_, _, data)| data.as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_line_is_readable_soon_after_it_was_printed_not_when_a_buffer_is_full() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!(
            "for n in range(3):\n    wait_for({:?} + str(n))\n    say(f'line {{n}}')\n{FIX}",
            folder.path("go").display().to_string()
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    for n in 0..3 {
        let before = gateway.log_of(&job).await;
        assert!(!before.contains(&format!("line {n}")));
        folder.write(&format!("go{n}"), "");
        // Half a second is what is promised; a busy machine gets twice that before the test calls it broken.
        let soon = until("the line is there", || async {
            gateway.log_of(&job).await.contains(&format!("line {n}")).then_some(())
        });
        tokio::time::timeout(Duration::from_secs(1), soon)
            .await
            .expect("a line took more than a second");
    }
    gateway.until_finished(&job).await;
}

#[tokio::test]
async fn a_stream_follows_a_run_resumes_where_it_broke_off_and_ends_with_its_outcome() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        &format!(
            "say('näht eins')\nwait_for({:?})\nsay('zwei')\n{FIX}",
            folder.path("go")
        ),
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let path = format!("/api/v1/jobs/{job}/log/stream");
    let stream = gateway.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    folder.write("go", "");
    let all = events(&stream.text().await.unwrap());
    assert_eq!(text(&all), "näht eins\nzwei\nfixed\n");
    let (name, _, end) = all.last().unwrap();
    assert_eq!(name, "end");
    insta::assert_compact_json_snapshot!(end, @r#"{"status": "succeeded", "reason": "unverified", "attempt": 1, "outcome": "ok"}"#);

    let resumed = gateway
        .request(Method::GET, &path)
        .header("Last-Event-ID", "11")
        .send()
        .await
        .unwrap();
    let rest = events(&resumed.text().await.unwrap());
    assert_eq!(text(&rest), "zwei\nfixed\n");
    let bad = gateway
        .request(Method::GET, &path)
        .header("Last-Event-ID", "soon")
        .send()
        .await
        .unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_log_is_kept_byte_for_byte_and_read_in_ranges() {
    let folder = Folder::new();
    // Three sealed blocks and a rest, with what is no UTF-8 and with colours.
    let script =
        "sys.stdout.buffer.write(b'\\xff\\x1b[31mred\\x1b[0m' + bytes(i % 251 for i in range(800000)) + b'end')\nok()";
    folder.write("fix.yml", script);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    let finished = gateway.until_finished(&job).await;
    let mut expected = b"\xff\x1b[31mred\x1b[0m".to_vec();
    expected.extend((0..800_000_u32).map(|i| u8::try_from(i % 251).unwrap()));
    expected.extend(b"end");
    assert_eq!(finished["attempts"][0]["log_bytes"], expected.len());

    let path = format!("/api/v1/jobs/{job}/log");
    let whole = gateway
        .request(Method::GET, &path)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert!(whole == expected, "the log differs");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=262100-262200", 262_100, 262_201),
        ("bytes=-3", expected.len() - 3, expected.len()),
        ("bytes=524288-", 524_288, expected.len()),
    ] {
        let answer = gateway
            .request(Method::GET, &path)
            .header(RANGE, range)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 206, "{range}");
        let said = format!("bytes {from}-{}/{}", to - 1, expected.len());
        assert_eq!(answer.headers()[CONTENT_RANGE], HeaderValue::from_str(&said).unwrap());
        assert!(answer.bytes().await.unwrap() == expected[from..to], "{range} differs");
    }
    let beyond = gateway
        .request(Method::GET, &path)
        .header(RANGE, "bytes=9000000-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), 416);
    let plain = gateway
        .request(Method::GET, &format!("{path}?ansi=strip"))
        .send()
        .await
        .unwrap();
    assert!(plain.bytes().await.unwrap().starts_with(b"\xffred"));
    assert_eq!(
        gateway
            .request(Method::GET, &format!("{path}?attempt=2"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn a_job_without_an_attempt_has_an_empty_log_and_a_stream_that_waits_for_it() {
    let folder = Folder::new();
    let catalogue = folder
        .read("remediations.yml")
        .replace("path: fix.yml", "path: fix.yml\n    lock: one");
    folder.write("remediations.yml", &catalogue);
    folder.write("fix.yml", &format!("wait_for({:?})\n{FIX}", folder.path("go")));
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&first, "running").await;
    let second = gateway.queue(firing("Down", "f2")).await;
    assert_eq!(gateway.log_of(&second).await, "");
    let path = format!("/api/v1/jobs/{second}/log/stream");
    let stream = gateway.request(Method::GET, &path).send().await.unwrap();
    folder.write("go", "");
    assert_eq!(text(&events(&stream.text().await.unwrap())), "fixed\n");
}
