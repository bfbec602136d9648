//! The whole way with the real Prometheus, Alertmanager, nginx and Ansible: a playbook that ends well and heals nothing, the
//! next rung that heals, and people who are told of both.
#![expect(clippy::disallowed_methods, reason = "starts the nginx that is installed")]

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::runs::cores;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::mailbox::{Mailbox, Way};
use crate::support::monitoring::{Alertmanager, Prometheus, free_address};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

const NGINX: &str = "
pid FOLDER/nginx.pid;
error_log FOLDER/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
  server { listen ADDRESS; location /metrics { default_type text/plain; return 200 'nginx_is_there 1\\n'; } }
}
";

/// Looks good, and helps nothing.
const RELOAD: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - debug: {msg: reloaded}
";

const START: &str = "
- hosts: all
  gather_facts: false
  tasks:
    - command: nginx -c FOLDER/nginx.conf
";

const CATALOGUE: &str = r#"
playbooks:
  reload: { path: reload.yml, lock: service/nginx }
  start: { path: start.yml, lock: service/nginx }
routes:
  - name: nginx-down
    matchers: ['alertname="NginxDown"']
    playbook: reload
    verify: { resolved_within: 8s }
    otherwise: [start]
    notify: { to: [hook, mail], events: [failed, not_healed, exhausted, healed] }
"#;

const RULES: &str = r#"
groups:
  - name: nginx
    rules:
      - alert: NginxDown
        expr: up{job="nginx"} == 0
"#;

/// A folder with everything, where nginx listens, and where the gateway will.
fn folder(settings: &str) -> (Folder, String) {
    let folder = Folder::new();
    folder.settings_for(&cores()[1], settings);
    let (at, address) = (folder.path("").display().to_string(), free_address().to_string());
    let filled = |text: &str| {
        text.replace("FOLDER", at.trim_end_matches('/'))
            .replace("ADDRESS", &address)
    };
    folder.write("nginx.conf", &filled(NGINX));
    folder.write("start.yml", &filled(START));
    folder.write("reload.yml", RELOAD);
    folder.write("remediations.yml", CATALOGUE);
    folder.write("rules.yml", RULES);
    (folder, address)
}

fn nginx(folder: &Folder, arguments: &[&str]) -> bool {
    let mut command = Command::new("nginx");
    command.arg("-c").arg(folder.path("nginx.conf")).args(arguments);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().success()
}

/// Stops the nginx of that folder at the end of the test, however that comes: whoever started it last.
struct Stopped<'a>(&'a Folder);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        nginx(self.0, &["-s", "stop"]);
    }
}

/// The route's jobs, the first one first, once there are so many and the last has ended.
async fn until_ended(gateway: &Gateway, count: usize) -> Vec<Value> {
    until("the jobs have ended", || async {
        let mut jobs = gateway.get("/api/v1/jobs?route=nginx-down").await["items"]
            .as_array()?
            .clone();
        jobs.reverse();
        (jobs.len() == count && jobs.iter().all(|job| job["finished_at"].is_string())).then_some(jobs)
    })
    .await
}

#[tokio::test]
async fn what_heals_nothing_is_followed_by_what_heals_and_people_hear_of_both() {
    let (receiver, mailbox) = (Receiver::start().await, Mailbox::start(Way::Plain).await);
    let webhook = free_address();
    let scratch = Folder::new();
    let alertmanager =
        Alertmanager::posting_to(&scratch, &format!("http://{webhook}/webhooks/alertmanager"), "1s").await;
    let (folder, address) = folder(&format!(
        "alertmanagers: [{{url: '{}'}}]\nnotifiers:\n  - {{ name: hook, webhook: {{ url: '{}' }} }}\n  - {{ name: mail, email: \
         {{ host: 127.0.0.1, port: {}, tls: none, from: gate@example.org, to: ops@example.org }} }}\n",
        alertmanager.url(),
        receiver.url(),
        mailbox.port()
    ));
    let listening = folder.read("healgate.yml").replace("127.0.0.1:0", &webhook.to_string());
    folder.write("healgate.yml", &listening);
    let _stopped = Stopped(&folder);
    assert!(nginx(&folder, &[]));
    let gateway = Gateway::start(&folder).await;
    let _prometheus = Prometheus::watching(&folder, &address, alertmanager.url()).await;

    assert!(nginx(&folder, &["-s", "stop"]));
    let jobs = until_ended(&gateway, 2).await;
    let told = |job: &Value| {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        (text("playbook"), text("status"), text("reason"), text("trigger"))
    };
    let expected = |words: [&str; 4]| {
        let [playbook, status, reason, trigger] = words.map(str::to_owned);
        (playbook, status, reason, trigger)
    };
    assert_eq!(told(&jobs[0]), expected(["reload", "failed", "not_healed", "alert"]));
    assert_eq!(told(&jobs[1]), expected(["start", "succeeded", "healed", "ladder"]));
    assert_eq!(jobs[1]["follows"], jobs[0]["id"]);

    let events: Vec<String> = receiver
        .until_got(2)
        .await
        .iter()
        .map(|got| got.json()["event"].to_string())
        .collect();
    assert_eq!(events, ["\"not_healed\"", "\"healed\""]);
    let mails = mailbox.until_got(2).await;
    assert!(
        mails[0].text.contains("reload") && mails[1].text.contains("start"),
        "{mails:#?}"
    );
}
