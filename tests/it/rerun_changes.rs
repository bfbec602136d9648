//! What a re-run takes over, what it takes anew from the catalogue, and how it says so.

use reqwest::Method;
use serde_json::{Value, json};

use crate::contract_http::problem;
use crate::contract_manual::made;
use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;

const CATALOGUE: &str = r#"
playbooks:
  fix:
    path: fix.yml
    vars: { own: "{{ job.id }}", kept: "{{ alert.labels.severity }}" }
    limit: web1
    timeout: 2m
    env: { REGION: eu }
routes:
  - name: down
    matchers: ['alertname="Down"']
    playbook: fix
"#;

async fn rerun(gateway: &Gateway, job: &str, body: Value) -> reqwest::Response {
    let path = format!("/api/v1/jobs/{job}/rerun");
    gateway.request(Method::POST, &path).json(&body).send().await.unwrap()
}

/// Runs the job again and answers with the new one.
async fn again(gateway: &Gateway, job: &str, body: Value) -> Value {
    let answer = rerun(gateway, job, body).await;
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

async fn why(gateway: &Gateway, job: &Value) -> String {
    let events = gateway.get(&format!("/api/v1/jobs/{}/events", id(job))).await;
    assert_eq!(events["items"][0]["event"], "queued");
    events["items"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_re_run_says_what_changed_since_and_the_old_job_keeps_its_parameters() {
    let folder = Folder::new();
    folder.write("remediations.yml", CATALOGUE);
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    let before = gateway.until_finished(&first).await;
    assert_eq!(before["changes"], Value::Null);

    // A variable that names its job is no change.
    let same = again(&gateway, &first, json!({})).await;
    assert_eq!(same["changes"], json!([]));
    assert_eq!(same["parameters"]["vars"]["own"], same["id"]);
    let said = why(&gateway, &same).await;
    assert_eq!(
        said,
        format!("queued: fix on fix/f1 as a re-run of {first} by anonymous")
    );
    gateway.until_finished(id(&same)).await;

    let changed = CATALOGUE
        .replace("limit: web1", "limit: web2")
        .replace("timeout: 2m", "timeout: 5m\n    lock: host/web2")
        .replace("REGION: eu", "REGION: us")
        .replace("kept:", "new: 1, kept:");
    folder.write("remediations.yml", &changed);
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    folder.write("fix.yml", "say('edited')\nok()\n");
    let third = again(&gateway, &first, json!({"check": true})).await;
    let digest = |job: &Value| job["parameters"]["playbook_sha256"].clone();
    assert_eq!(
        third["changes"],
        json!([
            {"parameter": "playbook_sha256", "before": digest(&before), "after": digest(&third)},
            {"parameter": "limit", "before": "web1", "after": "web2"},
            {"parameter": "vars.new", "before": null, "after": 1},
            {"parameter": "env.REGION", "before": "******", "after": "******"},
            {"parameter": "timeout", "before": "2m", "after": "5m"},
            {"parameter": "target", "before": "fix/f1", "after": "host/web2"},
        ])
    );
    assert_eq!(
        why(&gateway, &third).await,
        format!(
            "queued: fix on host/web2 as a re-run of {first} by anonymous, in check mode; changed since: the playbook \
             file, limit web1 → web2, vars.new none → 1, env.REGION, timeout 2m → 5m, target fix/f1 → host/web2"
        )
    );
    let ended = gateway.until_finished(id(&third)).await;
    assert_eq!(ended["changes"], third["changes"]);
    assert_eq!(gateway.log_of(id(&third)).await, "edited\n");
    assert_eq!(gateway.job(&first).await, before);
    // Check mode was asked of one run: the next one says no word of it.
    let fourth = again(&gateway, id(&third), json!({})).await;
    assert_eq!(
        (&fourth["changes"], &fourth["parameters"]["check"]),
        (&json!([]), &false.into())
    );
}

const TWO_OF_THREE_FAIL: &str = "say(' '.join(sys.argv[1:]))\nnames = [a[8:].split(',') for a in sys.argv if \
                                 a.startswith('--limit=')] or [['web1', 'web2', 'web3']]\nfailed = names[0][1:]\nstats(**{n: \
                                 {'failures': 1} if n in failed else {'ok': 1} for n in names[0]})\nend(2 if failed else 0)\n";

#[tokio::test]
async fn re_runs_on_failed_hosts_narrow_and_one_on_all_hosts_has_the_limit_of_the_beginning() {
    let folder = Folder::new();
    folder.write("fix.yml", TWO_OF_THREE_FAIL);
    let gateway = Gateway::start(&folder).await;
    let given = json!({"playbook": "fix", "limit": "web1,web2,web3", "vars": {"x": "y"}, "check": true});
    let manual = made(&gateway, &given).await;
    gateway.until_finished(id(&manual)).await;
    let mut last = manual.clone();
    for limit in ["web2,web3", "web3"] {
        last = again(&gateway, id(&last), json!({"hosts": "failed"})).await;
        assert_eq!(last["parameters"]["limit"], limit);
        assert_eq!((&last["trigger"], &last["changes"]), (&"rerun".into(), &json!([])));
        assert_eq!(last["parameters"]["vars"], json!({"x": "y"}));
        assert_eq!(last["parameters"]["check"], false);
        let said = why(&gateway, &last).await;
        assert!(
            said.ends_with(&format!(
                "with vars x, limited to web1,web2,web3, on the failed hosts {limit}"
            )),
            "{said}"
        );
        gateway.until_finished(id(&last)).await;
    }
    let none = problem(rerun(&gateway, id(&last), json!({"hosts": "failed"})).await, 409).await;
    assert_eq!(none["detail"], "no host failed in attempt 1");
    let all = again(&gateway, id(&last), json!({"hosts": "all"})).await;
    assert_eq!(all["parameters"]["limit"], "web1,web2,web3");
    assert_eq!(all["changes"], json!([]));
}

#[tokio::test]
async fn a_run_without_host_stats_has_no_failed_hosts_to_take() {
    let folder = Folder::new();
    folder.write("fix.yml", "say('ERROR! Syntax Error while loading YAML.')\nend(4)\n");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    assert_eq!(gateway.until_finished(&job).await["reason"], "playbook_error");
    let refused = problem(rerun(&gateway, &job, json!({"hosts": "failed"})).await, 409).await;
    assert_eq!(
        refused["detail"],
        "attempt 1 ended playbook_error without host stats, so no failed hosts are known; run it again on all hosts"
    );
    assert_eq!(rerun(&gateway, &job, json!({"hosts": "all"})).await.status(), 201);
}

/// More names than one argument of a process may have.
#[tokio::test]
async fn thousands_of_failed_hosts_are_run_again() {
    let folder = Folder::new();
    folder.write(
        "fix.yml",
        "limit = [a[9:-1] for a in sys.argv if a.startswith('--limit=@')]\nif limit:\n    say(open(limit[0]).read())\n    \
         ok()\nstats(**{f'web{n:05}.rack.example.org': {'failures': 1} for n in range(20000)})\nend(2)\n",
    );
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_finished(&job).await;
    let second = again(&gateway, &job, json!({"hosts": "failed"})).await;
    assert_eq!(gateway.until_finished(id(&second)).await["status"], "succeeded");
    let log = gateway.log_of(id(&second)).await;
    assert_eq!(log.lines().count(), 20_000);
    assert!(log.starts_with("web00000.rack.example.org\nweb00001.rack.example.org\n"));
    let said = why(&gateway, &second).await;
    assert!(said.chars().count() < 300, "{said}");
}
