use super::*;

fn refusal(lines: &str, pairs: &[(&str, &str)]) -> String {
    let lines = lines.replace('\n', "\n    ");
    let catalog = load(&format!("playbooks:\n  p:\n    path: play.yml\n    {lines}\n"));
    render(&catalog, &alert(pairs)).unwrap_err().to_string()
}

fn plan(lines: &str, pairs: &[(&str, &str)]) -> Plan {
    let lines = lines.replace('\n', "\n    ");
    let catalog = load(&format!("playbooks:\n  p:\n    path: play.yml\n    {lines}\n"));
    render(&catalog, &alert(pairs)).unwrap()
}

#[test]
fn a_playbook_renders_to_what_runs() {
    let plan = plan(
        "vars:\n  container: '{{ alert.labels.container }}'\n  nested: {list: [1, 'x{{ job.attempt }}', true, null, 1.5]}\n\
         limit: '{{ alert.labels.instance | host }}'\nlock: 'container/{{ alert.labels.container }}'\ntimeout: 2m\n\
         tags: [a]\nbecome: true\nverbosity: 2\nenv: {A: ''}",
        &[("container", "nginx"), ("instance", "web1:9100")],
    );
    assert_eq!(plan.target.as_str(), "container/nginx");
    assert_eq!(
        serde_json::to_value(&plan.parameters).unwrap(),
        json!({
            "path": "play.yml", "inventory": "hosts.yml", "limit": "web1",
            "vars": {"container": "nginx", "nested": {"list": [1, "x1", true, null, 1.5]}},
            "tags": ["a"], "check": false, "verbosity": 2, "env": {"A": ""}, "become": true, "timeout": "2m",
        })
    );
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let plan = plan("", &[]);
    assert_eq!(plan.target.as_str(), "p/f00d");
    assert_eq!(plan.parameters.timeout.to_string(), "10m");
    assert_eq!(plan.parameters.limit, None);
}

#[test]
fn everything_of_the_scope_is_there() {
    let catalog = load(
        "playbooks:\n  p:\n    path: play.yml\n    vars:\n      x: '{{ alert.status }} {{ alert.annotations.summary }} {{ alert.starts_at }} \
         {{ alert.ends_at is none }} {{ alert.fingerprint }} {{ alert.generator_url }} {{ group.group_key }} \
         {{ group.receiver }} [{{ group.external_url }}] {{ group.common_labels | length }} \
         {{ group.common_annotations | length }} {{ job.id }} {{ job.attempt }}'\n",
    );
    let plan = render(&catalog, &alert(&[])).unwrap();
    insta::assert_snapshot!(plan.parameters.vars["x"].as_str().unwrap(), @"firing It is down 2026-01-31T09:00:00Z True f00d http://prometheus/graph {}:{} healgate [] 0 0 0190b6a2-7c1e-7d3a-9f00-0123456789ab 1");
}

#[test]
fn a_label_is_never_a_template() {
    let hostile = "{{ lookup('pipe','x') }}{% raw %}<b>&\"";
    let plan = plan(
        "vars: {x: 'v={{ alert.labels.x }}', '_y': ['{{ alert.labels[\"x\"] }}']}",
        &[("x", hostile)],
    );
    assert_eq!(plan.parameters.vars["x"], json!(format!("v={hostile}")));
    assert_eq!(plan.parameters.vars["_y"], json!([hostile]));
}

#[test]
fn what_a_label_holds_stays_a_text() {
    let plan = plan("vars: {x: '{{ alert.labels.x }}'}", &[("x", "true")]);
    assert_eq!(plan.parameters.vars["x"], json!("true"));
}

#[test]
fn any_label_name_can_be_reached() {
    let plan = plan(
        "vars: {x: '{{ alert.labels[\"a.b\"] }}{{ alert.labels.__name__ }}{{ alert.labels[\"ü \"] }}{{ alert.labels.items }}'}",
        &[("a.b", "1"), ("__name__", "2"), ("ü ", "3"), ("items", "4")],
    );
    assert_eq!(plan.parameters.vars["x"], json!("1234"));
}

#[test]
fn what_is_undefined_is_refused_by_name() {
    let mut report = String::new();
    for lines in [
        "vars: {x: 'a {{ alert.labels.gone }}'}",
        "vars: {x: {deep: ['{{ alert.labels.gone | upper }}']}}",
        "vars: {x: '{{ alert.labels.gone.deeper }}'}",
        "vars: {x: '{{ alert.labels[\"a.b\"] }}'}",
        "vars: {x: '{% if alert.labels.gone %}y{% endif %}'}",
        "vars: {x: '{% for c in alert.labels.gone %}y{% endfor %}'}",
        "vars: {x: '{{ \"a\" ~ alert.labels.gone }}'}",
        "vars: {x: '{{ alert.labels.gone + 1 }}'}",
        "vars: {x: '{{ alert.labels.gone == 1 }}'}",
        "vars: {x: '{{ [alert.labels.gone] }}'}",
        "vars: {x: '{{ [alert.labels.gone] | join }}'}",
        "limit: '{{ alert.labels.gone | host }}'",
        "lock: 'x/{{ alert.labels.gone }}'",
    ] {
        let lines_of_file = format!("playbooks:\n  p:\n    path: play.yml\n    {lines}\n");
        let outcome = match render(&load(&lines_of_file), &alert(&[])) {
            Ok(plan) => format!("RENDERED {:?}", plan.parameters.vars),
            Err(refusal) => refusal.to_string(),
        };
        report.push_str(&format!("{lines}\n    {outcome}\n"));
    }
    insta::assert_snapshot!(report, @r#"
    vars: {x: 'a {{ alert.labels.gone }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: {deep: ['{{ alert.labels.gone | upper }}']}}
        the playbook p: `vars.x.deep[0]` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ alert.labels.gone.deeper }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ alert.labels["a.b"] }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels['a.b']` is undefined
    vars: {x: '{% if alert.labels.gone %}y{% endif %}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{% for c in alert.labels.gone %}y{% endfor %}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ "a" ~ alert.labels.gone }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ alert.labels.gone + 1 }}'}
        the playbook p: `vars.x` cannot be rendered: tried to use + operator on unsupported types undefined and number (`alert.labels.gone` is undefined)
    vars: {x: '{{ alert.labels.gone == 1 }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ [alert.labels.gone] }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    vars: {x: '{{ [alert.labels.gone] | join }}'}
        the playbook p: `vars.x` cannot be rendered: `alert.labels.gone` is undefined
    limit: '{{ alert.labels.gone | host }}'
        the playbook p: `limit` cannot be rendered: `alert.labels.gone` is undefined
    lock: 'x/{{ alert.labels.gone }}'
        the playbook p: `lock` cannot be rendered: `alert.labels.gone` is undefined
    "#);
}

#[test]
fn a_default_and_a_test_may_use_what_is_undefined() {
    let plan = plan(
        "vars: {x: '{{ alert.labels.gone | default(\"d\") }}{{ alert.labels.gone is defined }}'}",
        &[],
    );
    assert_eq!(plan.parameters.vars["x"], json!("dFalse"));
}

#[test]
fn limits_and_locks_that_are_too_wide_are_refused() {
    let mut report = String::new();
    for (lines, value) in [
        ("limit: '{{ alert.labels.x }}'", ""),
        ("limit: '{{ alert.labels.x }}'", "all"),
        ("limit: '{{ alert.labels.x }}'", "web1,*"),
        ("limit: '{{ alert.labels.x }}'", "{{ x }}"),
        ("limit: '{{ alert.labels.x | host }}'", "http:///x"),
        ("lock: ' {{ alert.labels.x }}'", ""),
    ] {
        report.push_str(&format!(
            "{lines} of {value:?}\n    {}\n",
            refusal(lines, &[("x", value)])
        ));
    }
    insta::assert_snapshot!(report, @r#"
    limit: '{{ alert.labels.x }}' of ""
        the playbook p: `limit` is refused: the limit is empty, which Ansible would take for all hosts
    limit: '{{ alert.labels.x }}' of "all"
        the playbook p: `limit` is refused: the limit names "all", which would mean every host
    limit: '{{ alert.labels.x }}' of "web1,*"
        the playbook p: `limit` is refused: the limit has the part "*"; allowed are names of letters, digits, `_`, `.` and `-` that start with a letter, a digit or `_`, and IPv6 addresses, separated by commas
    limit: '{{ alert.labels.x }}' of "{{ x }}"
        the playbook p: `limit` is refused: the limit has the part "{{ x }}"; allowed are names of letters, digits, `_`, `.` and `-` that start with a letter, a digit or `_`, and IPv6 addresses, separated by commas
    limit: '{{ alert.labels.x | host }}' of "http:///x"
        the playbook p: `limit` cannot be rendered: "http:///x" has no host; it must be a host, a host and a port, or a URL
    lock: ' {{ alert.labels.x }}' of ""
        the playbook p: `lock` is refused: the lock is empty; it must name what the playbook works on
    "#);
}

#[test]
fn a_template_cannot_run_without_end() {
    let loops = "vars: {x: \"{% for a in alert.labels.x %}{% for b in range(9000) %}{{ a }}{% endfor %}{% endfor %}\"}";
    let refusal = refusal(loops, &[("x", "many letters to loop over, and some more, and more")]);
    assert_eq!(
        refusal,
        "the playbook p: `vars.x` cannot be rendered: it takes too many steps"
    );
}

#[test]
fn a_job_by_hand_needs_no_alert_where_it_sets_the_values_itself() {
    let catalog = load(
        "playbooks: {p: {path: play.yml, vars: {x: '{{ alert.labels.x }}', y: 1}, limit: '{{ alert.labels.i }}'}}",
    );
    let playbook = catalog.playbook("p").unwrap();
    let scope = Scope {
        alert: None,
        group: None,
        job: job(),
        attempt: 1,
    };
    let mut overrides = Overrides {
        limit: Some("web1".parse().unwrap()),
        ..Overrides::default()
    };
    let refusal = playbook.render_by_hand(&scope, &overrides).unwrap_err();
    assert_eq!(refusal.key, "vars.x");
    insta::assert_snapshot!(refusal.message, @"the playbook p: `vars.x` cannot be rendered: `alert` is undefined");
    overrides.vars.insert("x".to_owned(), json!("{{ y }}"));
    let plan = playbook.render_by_hand(&scope, &overrides).unwrap();
    assert_eq!(
        serde_json::Value::Object(plan.parameters.vars),
        json!({"x": "{{ y }}", "y": 1})
    );
    assert_eq!(plan.target.as_str(), "p");
}

#[test]
fn variables_that_lead_ansible_elsewhere_are_set_by_hand_only_where_the_catalogue_sets_them() {
    let catalog = load("playbooks: {p: {path: play.yml, vars: {ansible_user: ops}}}");
    let playbook = catalog.playbook("p").unwrap();
    let scope = Scope {
        alert: None,
        group: None,
        job: job(),
        attempt: 1,
    };
    let refused = |name: &str| {
        let overrides = Overrides {
            vars: json!({ name: "x" }).as_object().unwrap().clone(),
            limit: None,
        };
        let refusal = playbook.render_by_hand(&scope, &overrides).err()?;
        assert_eq!(refusal.key, format!("vars.{name}"));
        Some(refusal.message)
    };
    assert_eq!(refused("ansible_user"), None);
    assert_eq!(refused("user"), None);
    for (name, words) in [
        ("alert", "healgate sets itself"),
        ("healgate", "healgate sets itself"),
        ("class", "keyword"),
        ("a-b", "is no name"),
        ("", "is no name"),
        ("ansible_host", "where and how Ansible connects"),
        ("ansible_ssh_common_args", "where and how Ansible connects"),
        ("inventory_hostname", "where and how Ansible connects"),
    ] {
        let message = refused(name).unwrap();
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn a_catalog_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&load("playbooks: {}"));
}
