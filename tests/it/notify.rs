//! People are told: by webhook, Slack and e-mail, of both endings, through failures and restarts, and nobody waits for it.

use assert_cmd::Command;
use healgate::domain::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::support::alerts::firing;
use crate::support::folder::{FIX, Folder};
use crate::support::gateway::Gateway;
use crate::support::mailbox::{CA_FILE, Mailbox, Way};
use crate::support::receiver::{Answer, Received, Receiver};
use crate::support::wait::until;

const RESOLVED_AT: &str = "2026-01-31T09:05:00Z";

/// A playbook that fails on its one host.
const BREAK: &str = "say('TASK [Restart nginx] ***')\nsay('fatal: [localhost]: FAILED!')\n\
                     result(status='failed', message='no such service')\nstats(localhost={'failures': 1})\nend(2)\n";

/// One route for alerts named `Down`, which tells all of these.
fn remediations(to: &str, verify: &str) -> String {
    let events = "[failed, not_healed, healed, awaiting_approval, lost]";
    format!(
        "playbooks:\n  fix: {{ path: fix.yml, lock: '{{{{ alert.fingerprint }}}}' }}\nroutes:\n  - name: down\n    matchers: \
         ['alertname=\"Down\"']\n    playbook: fix\n    notify: {{ to: [{to}], events: {events} }}\n{verify}"
    )
}

fn verified(within: &str) -> String {
    format!("    verify: {{ resolved_within: {within} }}\n")
}

/// A gateway's folder with these notifiers, whose playbook is that one.
fn folder(notifiers: &str, remediations: &str, playbook: &str) -> Folder {
    let folder = Folder::new();
    folder.settings(&format!("notifiers:\n{notifiers}"));
    folder.write("remediations.yml", remediations);
    folder.write("fix.yml", playbook);
    folder
}

fn webhook(name: &str, receiver: &Receiver) -> String {
    format!(
        "  - {{ name: {name}, webhook: {{ url: '{}', secret_file: hook.key }} }}\n",
        receiver.url()
    )
}

/// What a job's history says about telling people.
async fn told(gateway: &Gateway, job: &str) -> Vec<String> {
    let events = gateway.get(&format!("/api/v1/jobs/{job}/events")).await;
    let events = events["items"].as_array().unwrap().clone();
    let about = events
        .into_iter()
        .filter(|event| event["event"].as_str().unwrap().contains("notified"));
    about
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

async fn until_told(gateway: &Gateway, job: &str, entry: &str) {
    let what = format!("the history of {job} says {entry:?}");
    until(&what, || async {
        told(gateway, job)
            .await
            .iter()
            .any(|told| told.starts_with(entry))
            .then_some(())
    })
    .await;
}

/// As any receiver would check it.
fn check_signature(request: &Received, secret: &str) {
    use hmac::{Hmac, KeyInit, Mac};
    let timestamp = &request.headers["x-healgate-timestamp"];
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(&request.body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(request.headers["x-healgate-signature"], expected);
    let year_2026 = "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_micros() / 1_000_000;
    assert!(timestamp.parse::<i64>().unwrap() > year_2026);
}

/// What a message links in its gateway is there.
async fn follow_links(gateway: &Gateway, text: &str) {
    for (link, named) in [("Job: ", "The way it took"), ("The alert's story: ", "Fingerprint")] {
        let line = text.lines().find_map(|line| line.strip_prefix(link)).unwrap();
        let found = gateway.text(line.strip_prefix("http://localhost:8750").unwrap()).await;
        assert!(found.contains(named), "{line}: {found}");
    }
}

/// What a mail says of a job that did not heal.
fn check_not_healed(text: &str, job: &str) {
    for part in [
        "Subject: [healgate] not healed: Down on f2\r\n",
        "fix on f2 ran well, but Down did not resolve in time.\r\n",
        "Since: 2026-01-31T09:00:00.123Z (",
        "Alert: http://prometheus.example/graph\r\n",
        &format!("Job: http://localhost:8750/jobs/{job}\r\n"),
        "What to do next: ",
        "The last lines of the log:\r\n\r\nfixed\r\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn a_webhook_and_a_mailbox_are_told_of_both_endings() {
    let (receiver, mailbox) = (Receiver::start().await, Mailbox::start(Way::Plain).await);
    let email = format!(
        "  - {{ name: mail, email: {{ host: 127.0.0.1, port: {}, tls: none, from: gate@example.org, to: ops@example.org }} }}\n",
        mailbox.port()
    );
    let notifiers = webhook("hook", &receiver) + &email;
    let folder = folder(&notifiers, &remediations("hook, mail", &verified("1h")), FIX);
    folder.write("hook.key", "s3cret\n");
    let gateway = Gateway::start(&folder).await;

    let healed = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&healed, "verifying").await;
    gateway.alert(&[firing("Down", "f1").resolved(RESOLVED_AT)]).await;
    let got = receiver.until_got(1).await;
    let mails = mailbox.until_got(1).await;
    assert_eq!(gateway.job(&healed).await["reason"], "healed");
    check_signature(&got[0], "s3cret");
    let body = got[0].json();
    assert_eq!((&body["version"], &body["event"]), (&json!("1"), &json!("healed")));
    assert_eq!(body["job"], gateway.job(&healed).await);
    assert_eq!(body["url"], format!("http://localhost:8750/jobs/{healed}"));
    assert_eq!(got[0].headers["x-healgate-message"], format!("{healed}.healed"));
    follow_links(&gateway, body["text"].as_str().unwrap()).await;
    assert_eq!(body["log_tail"], "fixed");
    assert_eq!(got[0].path, "/hook");
    assert_eq!(got[0].headers["content-type"], "application/json");
    assert!(
        mails[0].text.contains("Subject: [healgate] healed: Down on f1\r\n"),
        "{}",
        mails[0].text
    );
    assert_eq!(
        (mails[0].from.as_str(), &mails[0].to),
        ("gate@example.org", &vec!["ops@example.org".to_owned()])
    );

    // The first one had all the time that it needed; this one is to need more than there is.
    folder.write("remediations.yml", &remediations("hook, mail", &verified("1s")));
    assert_eq!(gateway.post("/api/v1/reload").await.status(), 200);
    let not_healed = gateway.queue(firing("Down", "f2")).await;
    let got = receiver.until_got(2).await;
    let mails = mailbox.until_got(2).await;
    assert_eq!(gateway.job(&not_healed).await["reason"], "not_healed");
    assert_eq!(got[1].json()["event"], "not_healed");
    check_signature(&got[1], "s3cret");
    check_not_healed(&mails[1].text, &not_healed);
    until_told(&gateway, &not_healed, "notified hook: not_healed").await;
    until_told(&gateway, &not_healed, "notified mail: not_healed").await;
    let metrics = gateway.text("/metrics").await;
    let sample = "healgate_notifier_messages_total{notifier=\"hook\",event=\"healed\",result=\"sent\"} 1";
    assert!(metrics.contains(sample), "{metrics}");
}

#[tokio::test]
async fn slack_is_told_what_failed_and_the_job_is_told_of_once_however_often_the_alert_is_repeated() {
    let receiver = Receiver::start().await;
    let notifiers = "  - { name: ops, slack: { url_file: slack.url } }\n";
    let folder = folder(notifiers, &remediations("ops", ""), BREAK);
    folder.write("slack.url", &format!("{}\n", receiver.url()));
    let gateway = Gateway::start(&folder).await;
    let hostile = firing("Down", "f1")
        .label("container", "<!channel>")
        .annotation("summary", "a & b");
    let job = gateway.queue(hostile.clone()).await;
    let got = receiver.until_got(1).await;
    let text = got[0].json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("*failed: fix on f1*\n"), "{text}");
    for part in ["&lt;!channel&gt;", "a &amp; b", "fatal: [localhost]: FAILED!", "|Job>"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("<!channel>"), "{text}");
    for _ in 0..3 {
        gateway.alert(std::slice::from_ref(&hostile)).await;
    }
    // Another job's message comes after whatever the repetitions might have caused.
    gateway.queue(firing("Down", "f2")).await;
    let got = receiver.until_got(2).await;
    assert!(
        got[1].json()["text"]
            .as_str()
            .unwrap()
            .starts_with("*failed: fix on f2*")
    );
    until_told(&gateway, &job, "notified ops: failed").await;
    assert_eq!(told(&gateway, &job).await, ["notified ops: failed"]);
    let log = gateway.logged();
    assert!(!log.contains("/hook"), "the log shows the URL: {log}");
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_again_also_by_the_next_process() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(500, ""));
    let folder = folder(&webhook("ops", &receiver), &remediations("ops", ""), BREAK);
    folder.write("hook.key", "s3cret");
    let gateway = Gateway::start(&folder).await;
    let first = gateway.queue(firing("Down", "f1")).await;
    receiver.until_got(2).await;
    until_told(&gateway, &first, "notified ops: failed").await;
    let history = told(&gateway, &first).await;
    assert_eq!(
        history,
        [
            "could not notify ops: failed; trying again: answered 500 Internal Server Error: ok",
            "notified ops: failed"
        ]
    );

    let address = receiver.address();
    drop(receiver);
    let second = gateway.queue(firing("Down", "f2")).await;
    until_told(&gateway, &second, "could not notify ops: failed; trying again").await;
    gateway.kill().await;
    let receiver = Receiver::listen(address).await;
    let gateway = Gateway::start(&folder).await;
    let got = receiver.until_got(1).await;
    assert_eq!(got[0].json()["job"]["id"], second.as_str());
    until_told(&gateway, &second, "notified ops: failed").await;
}

#[tokio::test]
async fn a_notifier_that_hangs_keeps_neither_jobs_nor_others_nor_the_end_waiting() {
    let (hanging, receiver) = (Receiver::start().await, Receiver::start().await);
    for _ in 0..10 {
        hanging.answer(Answer::Silence);
    }
    let notifiers = webhook("slow", &hanging) + &webhook("ops", &receiver);
    let folder = folder(&notifiers, &remediations("slow, ops", ""), BREAK);
    folder.write("hook.key", "s3cret");
    let mut gateway = Gateway::start(&folder).await;
    for number in 0..5 {
        gateway.queue(firing("Down", &format!("f{number}"))).await;
    }
    hanging.until_got(1).await;
    receiver.until_got(5).await;
    let jobs = gateway.get("/api/v1/jobs?status=failed").await;
    assert_eq!(jobs["items"].as_array().unwrap().len(), 5);
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.ended().await.success());
    // What the end has cut off is not lost.
    hanging.answer(Answer::Silence);
    let before = hanging.got().len();
    let _gateway = Gateway::start(&folder).await;
    hanging.until_got(before + 1).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_and_used_once_it_can() {
    let receiver = Receiver::start().await;
    let folder = folder(&webhook("ops", &receiver), &remediations("ops", ""), BREAK);
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until_told(
        &gateway,
        &job,
        "could not notify ops: failed; trying again: cannot read the secret from ",
    )
    .await;
    until("the log names the file", || async {
        gateway.logged().contains("hook.key").then_some(())
    })
    .await;
    assert!(receiver.got().is_empty(), "it was sent unsigned");
    folder.write("hook.key", "new\n");
    let got = receiver.until_got(1).await;
    check_signature(&got[0], "new");
}

#[tokio::test]
async fn messages_to_a_notifier_that_the_settings_do_not_have_any_more_are_given_up() {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(503, "Retry-After: 3000\r\n"));
    let folder = folder(&webhook("ops", &receiver), &remediations("ops", ""), BREAK);
    folder.write("hook.key", "s3cret");
    let gateway = Gateway::start(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    until_told(&gateway, &job, "could not notify ops: failed; trying again").await;
    gateway.kill().await;
    folder.settings("");
    folder.write("remediations.yml", "playbooks:\n  fix: { path: fix.yml }\n");
    let gateway = Gateway::start(&folder).await;
    let given_up = "could not notify ops: failed: healgate.yml has no notifier of this name";
    until_told(&gateway, &job, given_up).await;
    until("it is counted", || async {
        let metrics = gateway.text("/metrics").await;
        metrics.contains("event=\"failed\",result=\"dropped\"} 1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn people_are_asked_for_their_approval_and_a_rerun_tells_as_its_route_does_now() {
    let receiver = Receiver::start().await;
    let approve = remediations("ops", "    mode: approve\n");
    let folder = folder(&webhook("ops", &receiver), &approve, BREAK);
    folder.write("hook.key", "s3cret");
    let gateway = Gateway::start(&folder).await;
    let decisions = gateway.alert(&[firing("Down", "f1")]).await;
    let job = decisions[0]["job"].as_str().unwrap().to_owned();
    let got = receiver.until_got(1).await;
    let body = got[0].json();
    assert_eq!(
        (&body["event"], &body["job"]["id"], &body["log_tail"]),
        (&json!("awaiting_approval"), &json!(job), &json!(""))
    );
    assert!(
        body["text"].as_str().unwrap().contains(&format!("/jobs/{job}/approve")),
        "{body}"
    );

    gateway.post(&format!("/api/v1/jobs/{job}/approve")).await;
    receiver.until_got(2).await;
    let again: Value = gateway
        .post(&format!("/api/v1/jobs/{job}/rerun"))
        .await
        .json()
        .await
        .unwrap();
    let got = receiver.until_got(3).await;
    let last = got[2].json();
    assert_eq!((&last["event"], &last["job"]["id"]), (&json!("failed"), &again["id"]));
    assert_eq!(
        gateway.get("/api/v1/routes").await["items"][0]["notify"]["to"],
        json!(["ops"])
    );
}

fn login(mailbox: &Mailbox, way: &str, ca_file: &str) -> String {
    format!(
        "  - name: mail\n    email: {{ host: localhost, port: {}, tls: {way}, from: 'healgate <gate@example.org>', to: \
         [ops@example.org, Ada <ada@example.org>], username: gate, password_file: mail.pass{ca_file} }}\n",
        mailbox.port()
    )
}

/// Exit code and all that was said.
fn notify_test(folder: &Folder, name: &str) -> (i32, String) {
    let mut command = Command::cargo_bin("healgate").unwrap();
    let output = command
        .args(["notify", "test", name, "--config", "healgate.yml"])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let said = said.replace(&folder.path("").display().to_string(), "FOLDER/");
    (output.status.code().unwrap(), said)
}

/// The command waits for its receiver, which must go on meanwhile.
async fn try_out(folder: &Folder, name: &'static str) -> (i32, String) {
    std::thread::scope(|scope| {
        let trial = scope.spawn(|| notify_test(folder, name));
        tokio::task::block_in_place(|| trial.join().unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_goes_over_encrypted_connections_only() {
    let trusted = format!(", ca_file: '{CA_FILE}'");
    for (way, word) in [(Way::StartTls, "starttls"), (Way::Tls, "tls")] {
        let mailbox = Mailbox::start(way).await;
        let folder = folder(&login(&mailbox, word, &trusted), "playbooks: {}\n", FIX);
        folder.write("mail.pass", "s3cret\n");
        assert_eq!(
            try_out(&folder, "mail").await,
            (0, "mail: answered 250: 2.0.0 kept\n".to_owned())
        );
        let mails = mailbox.got();
        let (mail, login) = (&mails[0], Some(("gate".to_owned(), "s3cret".to_owned())));
        assert_eq!((mail.encrypted, &mail.login, mail.to.len()), (true, &login, 2));

        // A server that nobody vouches for is told nothing.
        folder.settings(&format!("notifiers:\n{}", self::login(&mailbox, word, "")));
        let (code, said) = try_out(&folder, "mail").await;
        assert!(code == 1 && said.contains("certificate"), "{said}");
        assert_eq!(mailbox.got().len(), 1);
    }
    // Nor is one that does not encrypt.
    let mailbox = Mailbox::start(Way::Plain).await;
    let folder = folder(&login(&mailbox, "starttls", &trusted), "playbooks: {}\n", FIX);
    folder.write("mail.pass", "s3cret\n");
    let (code, said) = try_out(&folder, "mail").await;
    assert!(code == 1 && said.contains("STARTTLS is not supported"), "{said}");
    assert!(mailbox.got().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_says_what_the_other_side_said() {
    let receiver = Receiver::start().await;
    let notifiers = webhook("hook", &receiver) + "  - { name: chat, slack: { url_file: slack.url } }\n";
    let folder = folder(&notifiers, "playbooks: {}\n", FIX);
    folder.write("hook.key", "s3cret");
    folder.write("slack.url", &receiver.url());
    assert_eq!(
        try_out(&folder, "hook").await,
        (0, "hook: answered 200 OK: ok\n".to_owned())
    );
    assert_eq!(
        try_out(&folder, "chat").await,
        (0, "chat: answered 200 OK: ok\n".to_owned())
    );
    let got = receiver.got();
    check_signature(&got[0], "s3cret");
    let body = got[0].json();
    assert_eq!((&body["event"], &body["job"]), (&json!("test"), &Value::Null));
    assert!(
        got[1].json()["text"]
            .as_str()
            .unwrap()
            .starts_with("*a test of the notifier chat*")
    );

    receiver.answer(Answer::Status(403, ""));
    assert_eq!(
        try_out(&folder, "chat").await,
        (1, "failed to notify chat: answered 403 Forbidden: ok\n".to_owned())
    );
    folder.write("slack.url", "no url");
    assert_eq!(
        try_out(&folder, "chat").await,
        (
            1,
            "failed to notify chat: the URL is wrong: relative URL without a base\n".to_owned()
        )
    );
    let unknown = "there is no notifier \"hok\" (did you mean `hook`?); healgate.yml has hook, chat\n";
    assert_eq!(try_out(&folder, "hok").await, (1, unknown.to_owned()));
    folder.settings("");
    let none = "there is no notifier \"hook\": healgate.yml has none\n";
    assert_eq!(try_out(&folder, "hook").await, (1, none.to_owned()));
}
