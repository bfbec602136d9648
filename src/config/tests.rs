use std::fs;

use super::*;
use crate::domain::span::Span;

const HASH: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("healgate.yml");
    fs::write(&file, text).unwrap();
    fs::write(folder.path().join("ansible.cfg"), "").unwrap();
    let environment: Vec<(String, String)> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::load(&file, &environment)
        .map_err(|errors| errors.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn load(text: &str) -> Settings {
    load_with(text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> String {
    load_with(text, &[]).expect_err("the file should be refused")
}

#[test]
fn an_empty_file_means_the_defaults_of_the_contract() {
    let settings = load("");
    assert!(settings.base.is_absolute());
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:8750");
    assert_eq!(settings.server.external_url, "http://localhost:8750");
    assert_eq!(settings.database.path, settings.base.join("var/healgate.db"));
    assert_eq!(settings.data_dir, settings.base.join("var"));
    assert_eq!(settings.remediations, settings.base.join("remediations.yml"));
    assert_eq!(
        settings.ansible,
        Ansible {
            command: settings.base.join(".venv/bin/ansible-playbook"),
            inventory: "inventory/hosts.yml".to_owned(),
            config_file: None,
            warm: Warm::Auto,
        }
    );
    assert_eq!(
        settings.worker,
        Worker {
            slots: 4,
            drain_timeout: Span::from_secs(300),
            on_shutdown: OnShutdown::Leave,
        }
    );
    assert_eq!(
        (settings.retention.jobs.to_string(), settings.retention.logs.to_string()),
        ("90d".to_owned(), "30d".to_owned())
    );
    assert_eq!((settings.auth.tokens.len(), settings.auth.allow_anonymous), (0, false));
    assert_eq!((settings.notifiers.len(), settings.warnings.len()), (0, 0));
}

#[test]
fn the_example_of_the_contract_is_read() {
    let settings = load(&format!(
        "server:\n  listen: 127.0.0.1:8750\n  external_url: http://localhost:8750/\ndatabase:\n  url: sqlite:///srv/h.db\n\
         data_dir: var\nremediations: remediations.yml\nansible:\n  command: ansible-playbook\n  inventory: inventory/hosts.yml\n\
         \x20 config_file: ansible.cfg\n  warm: never\nworker:\n  slots: 2\n  drain_timeout: 0s\n  on_shutdown: stop\n\
         auth:\n  allow_anonymous: false\n  tokens:\n    - name: alertmanager\n      role: sender\n      sha256: {HASH}\n\
         retention: {{ jobs: 90d, logs: 30d }}\nnotifiers:\n  - name: ops\n    slack: {{ url_file: /run/secrets/slack }}\n"
    ));
    assert_eq!(settings.server.external_url, "http://localhost:8750");
    assert_eq!(settings.database.path, Path::new("/srv/h.db"));
    assert_eq!(settings.ansible.command, Path::new("ansible-playbook"));
    assert_eq!(settings.ansible.config_file, Some(settings.base.join("ansible.cfg")));
    assert_eq!(settings.worker.on_shutdown, OnShutdown::Stop);
    assert_eq!(hex::encode(settings.auth.tokens[0].sha256), HASH);
    let slack = Slack {
        url: Secret::File("/run/secrets/slack".into()),
        channel: None,
        ca_file: None,
    };
    assert_eq!(settings.notifiers[0].channel, Channel::Slack(slack));
    let warnings: Vec<&str> = settings.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        warnings,
        ["`notifiers[0].slack.url_file` names a file that does not exist yet: /run/secrets/slack"]
    );
}

#[test]
fn roles_are_ordered() {
    assert!(Role::Sender < Role::Viewer && Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
}

#[test]
fn the_environment_goes_over_the_file() {
    let settings = load_with(
        "server: {listen: 127.0.0.1:1, external_url: http://a}\nworker: {slots: 2}",
        &[
            ("HEALGATE__SERVER__LISTEN", "[::1]:9"),
            ("HEALGATE__DATA_DIR", "elsewhere"),
            ("HEALGATE__AUTH__PUBLIC_METRICS", "true"),
            ("HEALGATE__WORKER__SLOTS", "7"),
            ("HEALGATE__ANSIBLE__INVENTORY", "5"),
            ("HEALGATE_URL", "http://elsewhere"),
            ("HEALGATE_TOKEN", "hg_x"),
            ("OTHER__SERVER__LISTEN", "x"),
        ],
    )
    .unwrap();
    assert_eq!(settings.server.listen.to_string(), "[::1]:9");
    assert_eq!(settings.server.external_url, "http://a");
    assert_eq!(settings.data_dir, settings.base.join("elsewhere"));
    assert_eq!((settings.worker.slots, settings.auth.public_metrics), (7, true));
    assert_eq!(settings.ansible.inventory, "5");
}

#[test]
fn the_environment_reaches_into_lists() {
    let tokens = [
        ("HEALGATE__AUTH__TOKENS[0]__NAME", "a"),
        ("HEALGATE__AUTH__TOKENS[0]__ROLE", "admin"),
        ("HEALGATE__AUTH__TOKENS[0]__SHA256", HASH),
    ];
    assert_eq!(load_with("", &tokens).unwrap().auth.tokens[0].name, "a");
    let file = format!("auth: {{tokens: [{{name: b, role: viewer, sha256: {HASH}}}]}}");
    assert_eq!(
        load_with(&file, &tokens[1..2]).unwrap().auth.tokens[0].role,
        Role::Admin
    );
    insta::assert_snapshot!(load_with("", &tokens[..1]).unwrap_err(), @r#"
    HEALGATE__AUTH__TOKENS[0]: `auth.tokens[0].role` is missing

    HEALGATE__AUTH__TOKENS[0]: `auth.tokens[0].sha256` is missing
    "#);
}

#[test]
fn errors_from_the_environment_name_the_variable() {
    let errors = load_with(
        "worker: {slots: 2}",
        &[
            ("HEALGATE__SERVER__LISTN", "x"),
            ("HEALGATE__WORKER__SLOTS", "many"),
            ("HEALGATE__SERVER__LISTEN", "0.0.0.0:80"),
            ("HEALGATE__RETENTION", "x"),
            ("HEALGATE__DATA_DIR", ""),
        ],
    )
    .unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    HEALGATE__SERVER__LISTN: unknown key `server.listn` (did you mean `listen`?); allowed here: listen, external_url

    HEALGATE__SERVER__LISTEN: `server.listen` lets other machines reach 0.0.0.0:80, but `auth.tokens` is empty: make a token with `healgate token new`, listen on 127.0.0.1, or set `auth.allow_anonymous: true`

    HEALGATE__DATA_DIR: `data_dir` has no value; it must be a text

    HEALGATE__WORKER__SLOTS: `worker.slots` must be a whole number from 1 to 1000, not "many"

    HEALGATE__RETENTION: `retention` must be a mapping of keys to values
    "#);
}

#[test]
fn everything_wrong_is_reported_at_once_with_its_place() {
    insta::assert_snapshot!(errors(
        "server:\n  listn: x\n  listen: localhost\n  external_url: localhost\ndatabase: {url: postgres://u:secret@h/db}\n\
         data_dir: [x]\nansible: {config_file: gone.cfg, warm: always}\nworker: {slots: 0, drain_timeout: 5, on_shutdown: wait}\n\
         auth: {allow_anonymous: yes}\nretention: 90d\nnotifier: []\nsecrets: {}\n"
    ), @r#"
    healgate.yml:2:3: unknown key `server.listn` (did you mean `listen`?); allowed here: listen, external_url
        listn: x
        ^

    healgate.yml:3:11: `server.listen` must be an IP address and a port such as 127.0.0.1:8750 or [::1]:8750, not "localhost"
        listen: localhost
                ^

    healgate.yml:4:17: `server.external_url` must be a URL such as https://healgate.example.org, not "localhost"
        external_url: localhost
                      ^

    healgate.yml:5:17: `database.url` names PostgreSQL, which is not supported by this version; write sqlite://var/healgate.db
      database: {url: postgres://u:secret@h/db}
                      ^

    healgate.yml:6:11: `data_dir` is a list; it must be a text
      data_dir: [x]
                ^

    healgate.yml:7:24: `ansible.config_file` names a file that does not exist: gone.cfg
      ansible: {config_file: gone.cfg, warm: always}
                             ^

    healgate.yml:7:40: `ansible.warm` must be one of auto, never, not "always"
      ansible: {config_file: gone.cfg, warm: always}
                                             ^

    healgate.yml:8:17: `worker.slots` must be a whole number from 1 to 1000, not "0"
      worker: {slots: 0, drain_timeout: 5, on_shutdown: wait}
                      ^

    healgate.yml:8:35: `worker.drain_timeout` is wrong: "5" is not a duration: write a number and a unit, such as 30s, 5m, 1h or 7d
      worker: {slots: 0, drain_timeout: 5, on_shutdown: wait}
                                        ^

    healgate.yml:8:51: `worker.on_shutdown` must be one of leave, stop, not "wait"
      worker: {slots: 0, drain_timeout: 5, on_shutdown: wait}
                                                        ^

    healgate.yml:9:25: `auth.allow_anonymous` must be true or false, not "yes"
      auth: {allow_anonymous: yes}
                              ^

    healgate.yml:10:12: `retention` must be a mapping of keys to values
      retention: 90d
                 ^

    healgate.yml:11:1: unknown key `notifier` (did you mean `notifiers`?); allowed here: server, database, data_dir, remediations, ansible, worker, auth, retention, notifiers, alertmanagers, prometheus
      notifier: []
      ^

    healgate.yml:12:1: `secrets` belongs in an entry of `playbooks` in remediations.yml
      secrets: {}
      ^
    "#);
}

#[test]
fn what_belongs_in_remediations_yml_is_sent_there() {
    let said = errors("storm: {}\nheartbeats: {}\nbreaker: {}\n");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("healgate.yml:")).collect();
    assert_eq!(
        lines,
        [
            "healgate.yml:1:1: `storm` belongs in remediations.yml, at its top",
            "healgate.yml:2:1: `heartbeats` belongs in an entry of `routes` in remediations.yml, as its `heartbeat`",
            "healgate.yml:3:1: `breaker` belongs in remediations.yml, at its top or in an entry of `routes`",
        ]
    );
}

#[test]
fn tokens_are_checked() {
    insta::assert_snapshot!(errors(&format!(
        "auth:\n  tokens:\n    - {{name: a, role: sender, sha256: {HASH}}}\n    - {{name: a, role: root, sha256: 5e88}}\n\
         \x20   - {{name: b, role: viewer, sha256: {HASH}}}\n    - {{name: anonymous}}\n"
    )), @r#"
    healgate.yml:4:14: `auth.tokens[1].name` must be a name of its own: there is another token "a"
          - {name: a, role: root, sha256: 5e88}
                   ^

    healgate.yml:4:23: `auth.tokens[1].role` must be one of sender, viewer, operator, admin, not "root"
          - {name: a, role: root, sha256: 5e88}
                            ^

    healgate.yml:4:37: `auth.tokens[1].sha256` must be the 64 hexadecimal digits of a SHA-256; `healgate token new` prints them
          - {name: a, role: root, sha256: 5e88}
                                          ^

    healgate.yml:5:39: `auth.tokens[2].sha256` is that of the token "a" too; each token needs its own
          - {name: b, role: viewer, sha256: 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8}
                                            ^

    healgate.yml:6:7: `auth.tokens[3].role` is missing
          - {name: anonymous}
            ^

    healgate.yml:6:7: `auth.tokens[3].sha256` is missing
          - {name: anonymous}
            ^

    healgate.yml:6:14: `auth.tokens[3].name` must not be "anonymous", which events use for what no token did
          - {name: anonymous}
                   ^
    "#);
}

#[test]
fn a_hash_that_yaml_takes_for_a_number_is_read_as_it_stands() {
    for hash in [
        "1".repeat(64),
        format!("1e{}", "7".repeat(62)),
        format!("0{}", "1".repeat(63)),
    ] {
        let settings = load(&format!("auth: {{tokens: [{{name: a, role: admin, sha256: {hash}}}]}}"));
        assert_eq!(hex::encode(settings.auth.tokens[0].sha256), hash);
    }
}

#[test]
fn other_machines_are_let_in_only_with_tokens_or_when_asked_for() {
    insta::assert_snapshot!(errors("server:\n  listen: 0.0.0.0:8750\n"), @r#"
    healgate.yml:2:11: `server.listen` lets other machines reach 0.0.0.0:8750, but `auth.tokens` is empty: make a token with `healgate token new`, listen on 127.0.0.1, or set `auth.allow_anonymous: true`
        listen: 0.0.0.0:8750
                ^
    "#);
    load("server: {listen: '0.0.0.0:8750'}\nauth: {allow_anonymous: true}");
    load(&format!(
        "server: {{listen: '[::]:8750'}}\nauth: {{tokens: [{{name: a, role: admin, sha256: {HASH}}}]}}"
    ));
    load("server: {listen: '[::ffff:127.0.0.1]:8750'}");
}

#[test]
fn database_urls_are_paths_of_sqlite_files() {
    for url in [
        "sqlite://",
        "sqlite::memory:",
        "sqlite://a?mode=ro",
        "mysql://x",
        "var/x.db",
        "sqlite://var/",
    ] {
        assert!(
            errors(&format!("database: {{url: '{url}'}}")).contains("must be sqlite://"),
            "{url}"
        );
    }
}

#[test]
fn notifiers_are_checked() {
    insta::assert_snapshot!(errors(
        "notifiers:\n  - {name: a, slack: {url: x}, email: {}}\n  - {slack: {url: https://x, url_file: y}}\n\
         \x20 - {name: c, webhook: {secret: x, tokn: y}}\n  - {name: c, slack: {url: https://x}, rate: 0 per 1m}\n\
         \x20 - {name: c, webhook: {url: ftp://secret, ca_file: gone.pem}, template: gone.txt}\n"
    ), @r#"
    healgate.yml:2:5: `notifiers[0]` must have exactly one of slack, webhook, email
        - {name: a, slack: {url: x}, email: {}}
          ^

    healgate.yml:3:5: `notifiers[1].name` is missing
        - {slack: {url: https://x, url_file: y}}
          ^

    healgate.yml:3:40: `notifiers[1].slack.url_file` stands beside `url`; only one of them can be in force
        - {slack: {url: https://x, url_file: y}}
                                             ^

    healgate.yml:4:24: `notifiers[2].webhook.url` is missing
        - {name: c, webhook: {secret: x, tokn: y}}
                             ^

    healgate.yml:4:36: unknown key `notifiers[2].webhook.tokn`; allowed here: url, url_file, secret, secret_file, ca_file
        - {name: c, webhook: {secret: x, tokn: y}}
                                         ^

    healgate.yml:5:46: `notifiers[3].rate` must be a number of messages per duration, such as 30 per 1m, not "0 per 1m"
        - {name: c, slack: {url: https://x}, rate: 0 per 1m}
                                                   ^

    healgate.yml:6:30: `notifiers[4].webhook.url` must be a URL that begins with https:// or http://
        - {name: c, webhook: {url: ftp://secret, ca_file: gone.pem}, template: gone.txt}
                                   ^

    healgate.yml:6:53: `notifiers[4].webhook.ca_file` names a file that does not exist: gone.pem
        - {name: c, webhook: {url: ftp://secret, ca_file: gone.pem}, template: gone.txt}
                                                          ^

    healgate.yml:6:74: `notifiers[4].template` names a file that does not exist: gone.txt
        - {name: c, webhook: {url: ftp://secret, ca_file: gone.pem}, template: gone.txt}
                                                                               ^
    "#);
}

#[test]
fn mailboxes_and_their_servers_are_checked() {
    insta::assert_snapshot!(errors(
        "notifiers:\n  - {name: a, email: {}}\n  - {name: b, email: {host: mail.example.org, tls: none, from: x, to: []}}\n\
         \x20 - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}\n\
         \x20 - {name: d, email: {host: localhost, from: a@b.example, to: x@y.example, password: p}}\n"
    ), @r#"
    healgate.yml:2:22: `notifiers[0].email.host` is missing
        - {name: a, email: {}}
                           ^

    healgate.yml:2:22: `notifiers[0].email.from` is missing
        - {name: a, email: {}}
                           ^

    healgate.yml:2:22: `notifiers[0].email.to` is missing
        - {name: a, email: {}}
                           ^

    healgate.yml:3:52: `notifiers[1].email.tls` may be none only for a server on this machine: localhost or a loopback address
        - {name: b, email: {host: mail.example.org, tls: none, from: x, to: []}}
                                                         ^

    healgate.yml:3:64: `notifiers[1].email.from` must be an address such as ops@example.org or Ops <ops@example.org>, not "x"
        - {name: b, email: {host: mail.example.org, tls: none, from: x, to: []}}
                                                                     ^

    healgate.yml:3:71: `notifiers[1].email.to` is empty: it must name at least one mailbox
        - {name: b, email: {host: mail.example.org, tls: none, from: x, to: []}}
                                                                            ^

    healgate.yml:4:22: `notifiers[2].email.password` is missing
        - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}
                           ^

    healgate.yml:4:29: `notifiers[2].email.host` must be the name or the address of a server, not "a b"
        - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}
                                  ^

    healgate.yml:4:41: `notifiers[2].email.tls` must be one of starttls, tls, none, not "ssl"
        - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}
                                              ^

    healgate.yml:4:52: `notifiers[2].email.port` must be a whole number from 1 to 65535, not "0"
        - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}
                                                         ^

    healgate.yml:4:92: `notifiers[2].email.to[1]` must be an address such as ops@example.org or Ops <ops@example.org>, not "z"
        - {name: c, email: {host: 'a b', tls: ssl, port: 0, from: a@b.example, to: [x@y.example, 'z'], username: u}}
                                                                                                 ^

    healgate.yml:5:86: `notifiers[3].email.password` needs a `username` beside it
        - {name: d, email: {host: localhost, from: a@b.example, to: x@y.example, password: p}}
                                                                                           ^
    "#);
}

#[test]
fn notifiers_are_read_and_never_show_what_is_secret() {
    let settings = load(
        "notifiers:\n  - {name: hook, webhook: {url: 'https://h/geheim', secret: geheim}, rate: 5 per 1h}\n\
         \x20 - name: mail\n    email: {host: '::1', tls: none, from: Gate <g@example.org>, to: [a@example.org, b@example.org], \
         username: u, password: geheim}\n  - {name: far, email: {host: mx.example.org, from: g@example.org, to: a@example.org}}\n",
    );
    let shown = format!("{:?}", settings.notifiers);
    assert!(!shown.contains("geheim"), "{shown}");
    let [hook, mail, far] = &settings.notifiers[..] else {
        panic!("{shown}")
    };
    assert_eq!((hook.rate.messages, hook.rate.within), (5, Span::from_secs(3_600)));
    assert_eq!(mail.rate, Rate::default());
    let (Channel::Email(mail), Channel::Email(far)) = (&mail.channel, &far.channel) else {
        panic!("{shown}")
    };
    assert_eq!((mail.port, mail.to.len(), mail.encryption), (25, 2, Encryption::None));
    assert_eq!((far.port, far.to.len(), far.encryption), (587, 1, Encryption::StartTls));
}

#[test]
fn a_missing_file_is_named() {
    let error = Settings::load(Path::new("no/such.yml"), &[]).unwrap_err().to_string();
    insta::assert_snapshot!(error, @"no/such.yml:1:1: there is no such file; `healgate init` writes one to start from");
}

#[test]
fn a_file_that_is_no_mapping_or_no_yaml_is_refused() {
    insta::assert_snapshot!(errors("- a\n"), @r#"
    healgate.yml:1:1: the file must be a mapping of keys to values
      - a
      ^
    "#);
    insta::assert_snapshot!(errors("server: {\n"), @"healgate.yml:2:1: this is not YAML: while parsing a node, did not find expected node content");
}

#[test]
fn grafanas_signature_has_a_secret_and_the_headers_that_grafana_uses_by_itself() {
    let settings = load("auth: {grafana: {secret_file: ansible.cfg}}");
    let grafana = settings.auth.grafana.unwrap();
    assert_eq!(grafana.secret_file, settings.base.join("ansible.cfg"));
    assert_eq!(
        grafana.headers,
        ["x-grafana-alerting-signature", "x-grafana-alert-signature"]
    );
    assert_eq!(grafana.timestamp_header, "x-grafana-alerting-timestamp");
    assert!(!grafana.needs_time);
    let own = load("auth: {grafana: {secret_file: ansible.cfg, header: X-Sign, timestamp_header: X-Time}}");
    let own = own.auth.grafana.unwrap();
    assert_eq!(
        (own.headers, own.timestamp_header, own.needs_time),
        (vec!["x-sign".to_owned()], "x-time".to_owned(), true)
    );
    insta::assert_snapshot!(
        errors("auth:\n  grafana:\n    secret_file: gone\n    header: a b\n    timestamp_header: Authorization\n").lines()
            .filter(|line| line.contains("healgate.yml")).collect::<Vec<_>>().join("\n"), @r#"
    healgate.yml:3:18: `auth.grafana.secret_file` names a file that does not exist: gone
    healgate.yml:4:13: `auth.grafana.header` must be the name of an HTTP header of its own, not "a b"
    healgate.yml:5:23: `auth.grafana.timestamp_header` must be the name of an HTTP header of its own, not "Authorization"
    "#);
    assert!(errors("auth: {grafana: {header: X}}").contains("`auth.grafana.secret_file` is missing"));
}

#[test]
fn alertmanagers_and_prometheus_are_named_as_users_of_prometheus_expect() {
    let settings = load(
        "alertmanagers:\n  - url: http://am-1:9093\n  - {url: 'https://monitoring.example.org/alertmanager', name: am-2, timeout: 5s,\n     \
         basic_auth: {username: healgate, password_file: ansible.cfg}, tls_config: {ca_file: ansible.cfg}}\n\
         prometheus: {url: 'http://[::1]:9090/', authorization: {credentials_file: ansible.cfg}}\n",
    );
    let file = settings.base.join("ansible.cfg");
    let [first, second] = &settings.alertmanagers[..] else {
        panic!("{:?}", settings.alertmanagers);
    };
    assert_eq!(
        (first.name.as_str(), first.url.as_str()),
        ("am-1:9093", "http://am-1:9093/")
    );
    assert_eq!(
        (first.timeout, &first.credentials, &first.ca_file),
        (Span::from_secs(3), &None, &None)
    );
    assert_eq!(
        (second.name.as_str(), second.url.as_str()),
        ("am-2", "https://monitoring.example.org/alertmanager/")
    );
    assert_eq!(
        (second.timeout, second.ca_file.as_ref()),
        (Span::from_secs(5), Some(&file))
    );
    let basic = Credentials::Basic {
        username: "healgate".to_owned(),
        password_file: file.clone(),
    };
    assert_eq!(second.credentials, Some(basic));
    let prometheus = settings.prometheus.unwrap();
    assert_eq!(prometheus.name, "[::1]:9090");
    assert_eq!(prometheus.credentials, Some(Credentials::Bearer { file }));
}

#[test]
fn everything_wrong_with_a_peer_is_reported() {
    insta::assert_snapshot!(errors(
        "alertmanagers:\n  - url: am-1:9093\n  - {url: 'http://u:p@am'}\n  - {url: 'http://am?x=1', timeout: 5m}\n  - {name: x}\n  - url: http://am\n  \
         - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}\n\
         prometheus: {url: 'ftp://x', bearer_token_file: y, tls_config: {ca_file: gone, insecure: true}}\n"
    ), @r#"
    healgate.yml:2:10: `alertmanagers[0].url` must be a URL such as http://monitoring.example.org:9093, not "am-1:9093"
        - url: am-1:9093
               ^

    healgate.yml:3:11: `alertmanagers[1].url` must not have credentials in it; write `basic_auth`
        - {url: 'http://u:p@am'}
                ^

    healgate.yml:4:11: `alertmanagers[2].url` must end with its path: no ? and no #
        - {url: 'http://am?x=1', timeout: 5m}
                ^

    healgate.yml:4:37: `alertmanagers[2].timeout` must be at most 30s: a job waits for the answer in its slot
        - {url: 'http://am?x=1', timeout: 5m}
                                          ^

    healgate.yml:5:5: `alertmanagers[3].url` is missing
        - {name: x}
          ^

    healgate.yml:7:5: `alertmanagers[5]` is called "am", as another one is; give it a `name`
        - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}
          ^

    healgate.yml:7:36: `alertmanagers[5].basic_auth.password_file` is missing
        - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}
                                         ^

    healgate.yml:7:50: `alertmanagers[5].basic_auth.password` belongs in a file that `password_file` names
        - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}
                                                       ^

    healgate.yml:7:84: `alertmanagers[5].authorization` stands beside `basic_auth`; only one of them can be in force
        - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}
                                                                                         ^

    healgate.yml:7:103: `alertmanagers[5].authorization.credentials_file` names a file that does not exist: gone
        - {url: 'http://am', basic_auth: {username: u, password: secret}, authorization: {credentials_file: gone}}
                                                                                                            ^

    healgate.yml:8:19: `prometheus.url` must be a URL such as http://monitoring.example.org:9093, not "ftp://x"
      prometheus: {url: 'ftp://x', bearer_token_file: y, tls_config: {ca_file: gone, insecure: true}}
                        ^

    healgate.yml:8:30: `prometheus.bearer_token_file` belongs in `authorization`, as `credentials_file`
      prometheus: {url: 'ftp://x', bearer_token_file: y, tls_config: {ca_file: gone, insecure: true}}
                                   ^

    healgate.yml:8:74: `prometheus.tls_config.ca_file` names a file that does not exist: gone
      prometheus: {url: 'ftp://x', bearer_token_file: y, tls_config: {ca_file: gone, insecure: true}}
                                                                               ^

    healgate.yml:8:80: unknown key `prometheus.tls_config.insecure`; allowed here: ca_file
      prometheus: {url: 'ftp://x', bearer_token_file: y, tls_config: {ca_file: gone, insecure: true}}
                                                                                     ^
    "#);
}

#[test]
fn a_size_of_the_database_is_a_number_with_a_unit() {
    assert_eq!(load("").retention.size, None);
    assert_eq!(load("retention: {size: 10GiB}").retention.size, Some(10 << 30));
    for (text, problem) in [
        ("10GB", "`retention.size` is wrong: \"10GB\" is not a size"),
        ("63MiB", "`retention.size` must be 64MiB or more"),
        (
            "[1]",
            "`retention.size` is a list; it must be a size such as 500MiB or 10GiB",
        ),
    ] {
        let told = errors(&format!("retention: {{size: {text}}}"));
        assert!(told.contains(problem), "{told}");
    }
}
