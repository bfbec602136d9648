//! What the console's pages show, that they are small, and that nothing from outside is more than text in them.

use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

use crate::console_sessions::guarded;
use crate::support::alerts::{firing, notification};
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::visitor::{Page, Visitor, escaped};
use crate::support::wait::LIMIT;

/// What a browser would run, or load, if it were taken for what it says.
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}";

/// No page is larger, with all that it loads.
const LARGEST: usize = 100 * 1024;

/// All paths of pages that there are now.
async fn pages(gateway: &Gateway) -> Vec<String> {
    let first = |list: &str, key: &'static str| {
        let path = format!("/api/v1/{list}");
        async move { gateway.get(&path).await["items"][0][key].as_str().map(str::to_owned) }
    };
    let (job, alert) = (
        first("jobs", "id").await.unwrap(),
        first("alerts", "fingerprint").await.unwrap(),
    );
    let notification = first("notifications", "id").await.unwrap();
    let fixed = [
        "/",
        "/jobs",
        "/alerts",
        "/routes",
        "/playbooks",
        "/tester",
        "/notifications",
        "/stats",
        "/pause",
    ];
    let fixed = fixed.map(str::to_owned);
    let own = [
        format!("/jobs/{job}"),
        format!("/jobs/{job}/log"),
        format!("/jobs/{job}/rerun"),
        format!("/alerts/{}", escaped(&alert)),
        format!("/notifications/{notification}"),
        format!("/tester?notification={notification}"),
        "/playbooks/fix/run".to_owned(),
    ];
    fixed.into_iter().chain(own).collect()
}

fn check_harmless(path: &str, page: &Page) {
    let html = &page.html;
    let values = regex::Regex::new("=\"[^\"]*\"").unwrap();
    for tag in regex::Regex::new("<[a-z][^>]*>").unwrap().find_iter(html) {
        let tag = tag.as_str();
        assert!(
            !tag.starts_with("<script") || tag.contains("src=\"/static/"),
            "{path}: {tag}"
        );
        assert!(!tag.starts_with("<img") && !tag.starts_with("<style"), "{path}: {tag}");
        // Without the values, which are texts.
        let names = values.replace_all(tag, "=").to_ascii_lowercase();
        assert!(!names.contains(" style=") && !names.contains(" on"), "{path}: {tag}");
        let is_loaded = tag.starts_with("<link") || tag.starts_with("<script");
        assert!(
            !is_loaded || !tag.contains("http"),
            "{path} loads something from elsewhere: {tag}"
        );
        assert!(!tag.contains("href=\"javascript:"), "{path}: {tag}");
    }
}

#[tokio::test]
async fn whatever_labels_say_stays_text_on_every_page_and_no_page_is_large() {
    let folder = Folder::new();
    folder.write("fix.yml", &format!("say({HOSTILE:?})\nresult(host={HOSTILE:?}, status='failed', task={HOSTILE:?}, message={HOSTILE:?})\nstats(localhost={{'failures': 1}})\nend(2)\n"));
    let gateway = guarded(&folder).await;
    let alert = firing("Down", "f1<b>\"/..")
        .label("hostile", HOSTILE)
        .annotation("runbook_url", "javascript:alert(1)")
        .annotation("dashboard_url", "https://grafana.example/d/1?a=1&b=2")
        .annotation("note", HOSTILE);
    let job = gateway.queue(alert).await;
    gateway.until_finished(&job).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    let mut loaded = 0;
    let first = visitor.see("/").await;
    for link in regex::Regex::new("\"(/static/[^\"]+)\"")
        .unwrap()
        .captures_iter(&first.html)
    {
        let answer = visitor.request(Method::GET, &link[1]).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", &link[1]);
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
        loaded += answer.bytes().await.unwrap().len();
    }
    for path in pages(&gateway).await {
        let answer = visitor.request(Method::GET, &path).send().await.unwrap();
        let policy = answer.headers().get("content-security-policy");
        let policy = policy.unwrap_or_else(|| panic!("{path} has no policy: {}", answer.status()));
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action \
             'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
        let page = visitor.see(&path).await;
        check_harmless(&path, &page);
        assert!(
            page.html.len() + loaded < LARGEST,
            "{path}: {} bytes and {loaded} for its files",
            page.html.len()
        );
    }
    let page = visitor.see(&format!("/jobs/{job}")).await;
    assert!(page.text().contains(HOSTILE), "{}", page.text());
    assert!(
        page.leads_to("https://grafana.example/d/1?a=1&#38;b=2"),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn jobs_are_found_by_filters_by_text_and_page_by_page() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = guarded(&folder).await;
    for number in 0..3 {
        gateway
            .queue(firing("Down", &format!("f{number}")).label("shard", &format!("s{number}")))
            .await;
    }
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let titles = |page: &Page| page.html.matches("class=\"title\"").count();
    assert_eq!(titles(&visitor.see("/jobs").await), 3);
    assert_eq!(titles(&visitor.see("/jobs?q=s1").await), 1);
    assert_eq!(titles(&visitor.see("/jobs?status=failed&status=succeeded").await), 0);
    assert_eq!(
        titles(&visitor.see("/jobs?route=down&alertname=Down&trigger=alert").await),
        3
    );
    // Empty controls, as a browser sends them, are left out of the address.
    let tidied = visitor
        .get("/jobs?q=&status=running&playbook=&since=2026-01-01T00%3A00")
        .await;
    let to = "/jobs?status=running&since=2026-01-01T00%3A00%3A00Z";
    assert_eq!((tidied.status, tidied.location.as_deref()), (303, Some(to)));
    let wrong = visitor.get("/jobs?status=fialed").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("is none of"), "{}", wrong.text());
    // Two on the first page, the third on the next.
    let first = visitor.see("/jobs?limit=2&route=down").await;
    assert_eq!(titles(&first), 2);
    let next = regex::Regex::new("rel=\"next\" href=\"([^\"]+)\"").unwrap();
    let next = next.captures(&first.html).unwrap()[1]
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    let second = visitor.see(&next).await;
    assert_eq!(titles(&second), 1);
    assert!(!second.html.contains("rel=\"next\""));
    assert!(
        second.leads_to("/jobs?limit=2&#38;route=down"),
        "the way back: {}",
        second.html
    );
}

#[tokio::test]
async fn now_says_what_fires_what_runs_what_waits_and_what_is_held_back() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('/never')");
    folder.write("break.yml", "end(2)");
    folder.write(
        "remediations.yml",
        "playbooks:\n  fix: {path: fix.yml, lock: 'host/{{ alert.labels.instance }}'}\n  break: {path: break.yml}\nroutes:\n  \
         - {name: broken, matchers: ['alertname=\"Broken\"'], playbook: break}\n  \
         - {name: down, matchers: ['alertname=\"Down\"'], playbook: fix}\n  \
         - {name: capped, matchers: ['alertname=\"Capped\"'], playbook: fix, caps: [1 per 1h]}\n",
    );
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    assert!(visitor.see("/").await.text().contains("No alert fires."));
    let failed = gateway.queue(firing("Broken", "f4")).await;
    gateway.until_status(&failed, "failed").await;
    let running = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&running, "running").await;
    gateway.queue(firing("Capped", "f2")).await;
    let held = gateway.alert(&[firing("Capped", "f3")]).await;
    assert_eq!(held[0]["decision"], "capped", "{held:?}");
    let text = visitor.see("/").await.text();
    for part in [
        "Firing 4",
        "break could not run",
        "fix is running",
        "waits for its target: fix is running",
        "Held back",
        "‖ capped",
        "1 per 1h",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn now_says_of_every_alert_that_it_shows_what_holds_it_back() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let pause = gateway.request(Method::PUT, "/api/v1/pause");
    let pause = pause.json(&serde_json::json!({"scope": "all"})).send().await.unwrap();
    assert_eq!(pause.status(), 200);
    let alerts: Vec<_> = (0..60).map(|number| firing("Down", &format!("f{number}"))).collect();
    gateway.alert(&alerts).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let text = visitor.see("/").await.text();
    assert!(text.contains("Firing 60"), "{text}");
    assert!(!text.contains("nothing is being done"), "{text}");
}

#[tokio::test]
async fn the_tester_explains_what_is_pasted_and_what_came_before_and_does_nothing() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let form = visitor.see("/tester").await.form("/tester");
    let pasted = form
        .clone()
        .with("payload", &notification(&[firing("Down", "f1")]).to_string());
    let page = visitor.send(&pasted).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("down: queued"), "{}", page.text());
    let page = visitor
        .send(
            &form
                .clone()
                .with("payload", &notification(&[firing("Other", "f1")]).to_string()),
        )
        .await;
    assert!(page.text().contains("No route takes it"), "{}", page.text());
    assert!(
        page.text().contains("do not satisfy alertname=\"Down\""),
        "{}",
        page.text()
    );
    let page = visitor.send(&form.with("payload", "{}")).await;
    assert_eq!(page.status, 400);
    assert!(
        gateway.get("/api/v1/jobs").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let past = gateway.get("/api/v1/notifications").await["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = visitor.see(&format!("/tester?notification={past}")).await.text();
    assert!(text.contains("down: attached"), "{text}");
}

#[tokio::test]
async fn the_story_of_an_alert_and_the_statistics_tell_what_was_done() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let alert = firing("Down", "f1");
    let job = gateway.queue(alert.clone()).await;
    gateway.until_finished(&job).await;
    gateway.alert(&[alert.resolved("2026-01-31T09:05:00Z")]).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let firing = visitor.see("/alerts?status=firing").await;
    assert!(firing.text().contains("No alert fires."), "{}", firing.text());
    for list in ["/alerts", "/alerts?status=resolved"] {
        let page = visitor.see(list).await;
        let chosen = format!("<a href=\"{list}\" aria-current=\"true\">");
        assert!(
            page.leads_to("/alerts/f1") && page.html.contains(&chosen),
            "{}",
            page.html
        );
    }
    assert_eq!(visitor.get("/alerts?status=fires").await.status, 400);
    let text = visitor.see("/alerts/f1").await.text();
    for part in [
        "resolved",
        "queued: queued fix",
        "received: the alert resolved at",
        "Episodes 1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let page = visitor.see("/stats?window=1d").await;
    assert!(page.html.contains("<rect class=\"succeeded\""), "{}", page.html);
    assert!(page.text().contains("Succeeded 100 %"), "{}", page.text());
    assert_eq!(visitor.get("/alerts/nobody").await.status, 404);
    assert_eq!(visitor.get("/stats?window=10y").await.status, 400);
}

#[tokio::test]
async fn all_jobs_are_followed_with_a_session() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('go')\nok()");
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let mut stream = visitor.request(Method::GET, "/api/v1/stream").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let job = gateway.queue(firing("Down", "f1")).await;
    let (mut told, mut seen) = (String::new(), Vec::new());
    while seen.last().is_none_or(|status| status != "succeeded") {
        let chunk = timeout(LIMIT, stream.chunk())
            .await
            .expect("the stream says nothing more");
        told.push_str(std::str::from_utf8(&chunk.unwrap().expect("the stream ended")).unwrap());
        seen = statuses(&told, &job);
        if seen.last().is_some_and(|status| status == "running") {
            folder.write("go", "");
        }
    }
    let mut distinct = seen.clone();
    distinct.dedup();
    assert!(distinct.contains(&"running".to_owned()), "{seen:?}");
}

/// What was told of the job so far.
fn statuses(told: &str, job: &str) -> Vec<String> {
    let events = told
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("event: job\ndata: "));
    let jobs = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let own = jobs.filter(|moved| moved["id"] == job);
    own.map(|moved| moved["status"].as_str().unwrap().to_owned()).collect()
}
