use super::*;
use crate::domain::checks::{Checks, OnError};

fn route(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    format!(
        "playbooks: {{p: {{path: play.yml}}}}\nroutes:\n  - name: r\n    matchers: ['a=\"b\"']\n    playbook: p\n    {lines}\n"
    )
}

fn checks(lines: &str, pairs: &[(&str, &str)]) -> Result<Checks, Refusal> {
    let alert = alert(pairs);
    let scope = Scope {
        alert: Some(&alert),
        group: None,
        job: job(),
        attempt: 1,
    };
    load(&route(lines)).checks("r", &scope)
}

/// The rendered precondition.
fn query(template: &str, pairs: &[(&str, &str)]) -> String {
    let lines = format!("precondition: |-\n  {template}");
    checks(&lines, pairs).unwrap().precondition.unwrap().query
}

#[test]
fn a_route_says_what_is_asked_before_and_after_a_run() {
    let lines = "precondition: {query: 'up{i=\"{{ alert.labels.i }}\"} == 1', on_error: proceed}\n\
                 verify: {resolved_within: 2m, query: 'absent(x)'}\nsilence: true";
    let catalog = load(&route(lines));
    let written = &catalog.routes()[0].checks;
    let precondition = written.precondition.as_ref().unwrap();
    assert_eq!(precondition.query, "up{i=\"{{ alert.labels.i }}\"} == 1");
    let checks = checks(lines, &[("i", "web1:80")]).unwrap();
    let precondition = checks.precondition.unwrap();
    assert_eq!(
        (precondition.query.as_str(), precondition.on_error),
        ("up{i=\"web1:80\"} == 1", OnError::Proceed)
    );
    assert_eq!(
        (checks.verify_query.as_deref(), checks.silence),
        (Some("absent(x)"), true)
    );
}

#[test]
fn a_plain_text_is_a_precondition_that_refuses() {
    let precondition = checks("precondition: vector(1)", &[]).unwrap().precondition.unwrap();
    assert_eq!(
        (precondition.query.as_str(), precondition.on_error),
        ("vector(1)", OnError::Refuse)
    );
    assert_eq!(checks("mode: auto", &[]).unwrap(), Checks::default());
}

#[test]
fn a_value_stays_a_value_wherever_it_stands() {
    let hostile = [("x", "a\"} or vector(1) # '`\\\n.*")];
    for (template, expected) in [
        (
            "up{x=\"{{ alert.labels.x }}\"}",
            r#"up{x="a\x22} or vector(1) # \x27`\\\n.*"}"#,
        ),
        (
            "up{x='{{ alert.labels.x }}'}",
            r#"up{x='a\x22} or vector(1) # \x27`\\\n.*'}"#,
        ),
        (
            "up{x={{ alert.labels.x }}}",
            r#"up{x="a\x22} or vector(1) # \x27`\\\n.*"}"#,
        ),
        (
            "up{x=~\"{{ alert.labels.x }}|b\"}",
            r#"up{x=~"a\x22\\} or vector\\(1\\) \\# \x27`\\\\\n\\.\\*|b"}"#,
        ),
        (
            "up{x !~ {{ alert.labels.x }}}",
            r#"up{x !~ "a\x22\\} or vector\\(1\\) \\# \x27`\\\\\n\\.\\*"}"#,
        ),
    ] {
        assert_eq!(query(template, &hostile), expected, "{template}");
    }
    let plain = [("x", "a.b"), ("n", "0.8")];
    assert_eq!(query("up{x=~`{{ alert.labels.x }}`}", &plain), r"up{x=~`a\.b`}");
    assert_eq!(query("x > {{ alert.labels.n | float }}", &plain), "x > 0.8");
    assert_eq!(query("x > {{ alert.labels.n }}", &plain), "x > \"0.8\"");
    assert_eq!(
        query("up{x=\"{{ alert.labels.x }}-{{ alert.labels.n }}\"}", &plain),
        "up{x=\"a.b-0.8\"}"
    );
}

#[test]
fn no_label_adds_anything_to_a_query() {
    use crate::domain::promql::{Context, Scanner};
    use proptest::prelude::*;
    let code = |query: &str| -> String {
        let mut scanner = Scanner::default();
        let mut code = String::new();
        for c in query.chars() {
            if matches!(scanner.context(), Context::Code { .. }) {
                code.push(c);
            }
            scanner.step(c);
        }
        assert_eq!(scanner.context(), Context::Code { regex: false }, "{query}");
        code
    };
    let lines = "precondition: |-\n  a{x=\"{{ alert.labels.x }}\", y=~'{{ alert.labels.x }}'} == {{ alert.labels.x }}";
    proptest!(|(label in "(\"|'|`|\\\\|#|\n|\\}|or|[ -~]|é){0,12}")| {
        let checks = checks(lines, &[("x", &label)]).unwrap();
        prop_assert_eq!(code(&checks.precondition.unwrap().query), "a{x=\", y=~'} == \"");
    });
}

#[test]
fn what_cannot_be_a_value_refuses_the_job() {
    for (template, pairs, problem) in [
        (
            "up{x=\"{{ alert.labels.x }}\"}",
            &[][..],
            "`alert.labels.x` is undefined",
        ),
        (
            "up{x=`{{ alert.labels.x }}`}",
            &[("x", "`")],
            "\"`\" cannot stand between backticks; use quotation marks",
        ),
        (
            "up{x=\"{{ alert.labels }}\"}",
            &[],
            "a query can take a text or a number, and this is a map",
        ),
        ("up{x=\"{{ alert.labels.x }}\"}", &[("x", "\u{e001}")], "private use"),
        (
            "{% set q %}{{ alert.labels.x }}{% endset %}x=\"{{ q }}\"",
            &[("x", "1")],
            "can take neither a block",
        ),
    ] {
        let lines = format!("precondition: |-\n  {template}");
        let refusal = checks(&lines, pairs).unwrap_err();
        assert_eq!(refusal.key, "precondition");
        assert!(
            refusal
                .message
                .starts_with("the route's `precondition` cannot be rendered: "),
            "{refusal}"
        );
        assert!(refusal.message.contains(problem), "{refusal}");
    }
}

#[test]
fn everything_wrong_with_a_query_is_shown_at_its_place() {
    insta::assert_snapshot!(route_errors(
        "precondition: {query: '{{ alert.label.x }}', on_error: ignore, when: now}\nverify: {query: 'up{a=\"b}', resolved_within: 1m}\nsilence: soon"
    ), @r#"
    remediations.yml:6:31: `routes[0].precondition.query` is no valid template: `alert` has no `label` (did you mean `labels`?); it has status, labels, annotations, starts_at, ends_at, fingerprint, generator_url
          precondition: {query: '{{ alert.label.x }}', on_error: ignore, when: now}
                                    ^

    remediations.yml:6:60: `routes[0].precondition.on_error` must be one of refuse, proceed, not "ignore"
          precondition: {query: '{{ alert.label.x }}', on_error: ignore, when: now}
                                                                 ^

    remediations.yml:6:68: unknown key `routes[0].precondition.when`; allowed here: query, on_error
          precondition: {query: '{{ alert.label.x }}', on_error: ignore, when: now}
                                                                         ^

    remediations.yml:7:21: `routes[0].verify.query` is no valid query: a text never ends: " is missing
          verify: {query: 'up{a="b}', resolved_within: 1m}
                          ^

    remediations.yml:8:14: `routes[0].silence` must be true or false, not "soon"
          silence: soon
                   ^
    "#);
    insta::assert_snapshot!(route_errors(
        "precondition: {on_error: proceed}\nverify: {query: \"up # {{ alert.labels.x }}\", resolved_within: 1m}"
    ), @r#"
    remediations.yml:6:19: `routes[0].precondition.query` is missing
          precondition: {on_error: proceed}
                        ^

    remediations.yml:7:21: `routes[0].verify.query` is no valid query: a value cannot stand in a comment
          verify: {query: "up # {{ alert.labels.x }}", resolved_within: 1m}
                          ^
    "#);
    insta::assert_snapshot!(route_errors(
        "precondition: [up]\nverify: {query: 'up{a=\"\\{{ alert.labels.x }}\"}', resolved_within: 1m}"
    ), @r#"
    remediations.yml:6:19: `routes[0].precondition` is a list; it must be a text
          precondition: [up]
                        ^

    remediations.yml:7:21: `routes[0].verify.query` is no valid query: a value cannot follow a backslash
          verify: {query: 'up{a="\{{ alert.labels.x }}"}', resolved_within: 1m}
                          ^
    "#);
}

#[test]
fn a_silence_needs_a_verification() {
    insta::assert_snapshot!(route_errors("silence: true"), @r#"
    remediations.yml:6:14: `routes[0].silence` needs `verify`: Alertmanager never tells that a silenced alert has resolved, so it must be asked whether it has
          silence: true
                   ^
    "#);
}

#[test]
fn who_is_to_be_asked_must_be_named_in_the_settings() {
    let project = Project::new();
    let file = project.0.path().join("remediations.yml");
    let lines = "precondition: up\nverify: {query: up, resolved_within: 1m}\nsilence: true";
    fs::write(&file, route(lines)).unwrap();
    let defaults = Defaults {
        notifiers: None,
        base: project.0.path().to_owned(),
        inventory: "hosts.yml".to_owned(),
        peers: Peers {
            alertmanagers: false,
            prometheus: false,
        },
    };
    let error = Catalog::load(&file, &defaults).unwrap_err().to_string();
    insta::assert_snapshot!(error.replace(&format!("{}/", project.0.path().display()), ""), @r#"
    remediations.yml:6:5: `routes[0].precondition` needs `prometheus` in healgate.yml
          precondition: up
          ^

    remediations.yml:7:14: `routes[0].verify.query` needs `prometheus` in healgate.yml
          verify: {query: up, resolved_within: 1m}
                   ^

    remediations.yml:8:5: `routes[0].silence` needs `alertmanagers` in healgate.yml
          silence: true
          ^
    "#);
    fs::write(&file, route("silence: false")).unwrap();
    assert!(Catalog::load(&file, &defaults).is_ok());
}
