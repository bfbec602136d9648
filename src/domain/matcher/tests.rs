use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn parts(text: &str) -> (String, &'static str, String) {
    let matcher = Matcher::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (matcher.name, matcher.operator.as_str(), matcher.value)
}

#[test]
fn matchers_read_as_in_alertmanager() {
    for (text, name, operator, value) in [
        (r#"foo="bar""#, "foo", "=", "bar"),
        (r#"  foo  !=  "bar"  "#, "foo", "!=", "bar"),
        (r"foo=bar", "foo", "=", "bar"),
        (r#"foo="""#, "foo", "=", ""),
        (r"foo=", "foo", "=", ""),
        (r#"{foo="bar"}"#, "foo", "=", "bar"),
        (r#"{ foo="bar", }"#, "foo", "=", "bar"),
        (r#"foo="bar","#, "foo", "=", "bar"),
        (r#"foo="a,b""#, "foo", "=", "a,b"),
        (r#"foo="{}""#, "foo", "=", "{}"),
        (r"foo=~critical|page", "foo", "=~", "critical|page"),
        (r#"foo!~"5..""#, "foo", "!~", "5.."),
        (r#"foo="a\"b\\c\nd""#, "foo", "=", "a\"b\\c\nd"),
        // The classic parser leaves an unknown escape alone, which regular expressions live by.
        (r#"foo=~"\d+\.\w""#, "foo", "=~", r"\d+\.\w"),
        (r#"foo="a\tb""#, "foo", "=", r"a\tb"),
        (r"foo=two words", "foo", "=", "two words"),
        (r"foo='bar'", "foo", "=", "'bar'"),
        (r#""a.b"="c""#, "a.b", "=", "c"),
        (r#""a b"="\u00e9\t""#, "a b", "=", "é\t"),
        (r"Σ=x", "Σ", "=", "x"),
        (r#"a.b="c""#, "a.b", "=", "c"),
        (r"a:b=c", "a:b", "=", "c"),
        (r#"foo="🙂""#, "foo", "=", "🙂"),
    ] {
        assert_eq!(parts(text), (name.to_owned(), operator, value.to_owned()), "{text}");
    }
}

#[test]
fn errors_point_into_the_matcher_and_say_what_is_allowed() {
    let mut report = String::new();
    for text in [
        "",
        "severity",
        "=x",
        "\"\"=\"x\"",
        "severity critical",
        "severity==\"x\"\"",
        "a=\"b",
        "a=\"b\", c=\"d\"",
        "{a=\"b\"",
        "a=~[a-z]{2}",
        "\"a.b\"=\"\\q\"",
        "a=~\"(\"",
        "a=~\"x)|(y\"",
        "a=~\"\\\\(\"",
        "\"a.b\"=~\"é\\n[\"",
        "a=~\"(?x)b # c\"",
    ] {
        match Matcher::parse(text) {
            Ok(matcher) => report.push_str(&format!("{text}\n  fine: {matcher}\n")),
            Err(error) => {
                let caret = " ".repeat(text[..error.offset].chars().count());
                report.push_str(&format!("{text}\n{caret}^ {error}\n"));
            }
        }
    }
    insta::assert_snapshot!(report, @r#"

    ^ expected a label name, bare or in double quotes, as in severity="critical"
    severity
            ^ expected an operator after the label name: =, !=, =~ or !~
    =x
    ^ expected a label name, bare or in double quotes, as in severity="critical"
    ""="x"
    ^ the label name is empty
    severity critical
             ^ expected an operator after the label name: =, !=, =~ or !~
    severity=="x""
             ^ expected a value, best in double quotes, as in severity="critical"
    a="b
      ^ the double quote is never closed
    a="b", c="d"
           ^ another matcher begins here; write each as an entry of its own
    {a="b"
          ^ expected } to close the { at the beginning
    a=~[a-z]{2}
            ^ expected the end after the value; with spaces or any of {}!=~,'` it must be in double quotes
    "a.b"="\q"
           ^ unknown escape; inside quotes write \\ for a backslash, \" for a quote, \n
    a=~"("
        ^ this is not a regular expression: unclosed group
    a=~"x)|(y"
         ^ this is not a regular expression: unopened group
    a=~"\\("
      fine: a=~"\\("
    "a.b"=~"é\n["
               ^ this is not a regular expression: unclosed character class
    a=~"(?x)b # c"
        ^ this regular expression cannot be used: error: unclosed group
    "#);
}

#[test]
fn regular_expressions_are_anchored_at_both_ends() {
    let matcher = Matcher::parse(r#"severity=~"critical|page""#).unwrap();
    assert!(matcher.matches(&labels(&[("severity", "page")])));
    assert!(!matcher.matches(&labels(&[("severity", "pager")])));
    assert!(!matcher.matches(&labels(&[("severity", "xcritical")])));
    assert!(!matcher.matches(&labels(&[("severity", "page\n")])));
}

#[test]
fn an_absent_label_equals_the_empty_text() {
    let none = Labels::new();
    for (text, expected) in [
        (r#"a="""#, true),
        (r#"a!="""#, false),
        (r#"a=~".*""#, true),
        (r#"a=~".+""#, false),
        (r#"a!~".+""#, true),
        (r#"a!="x""#, true),
    ] {
        assert_eq!(Matcher::parse(text).unwrap().matches(&none), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(name in "[a-z_]{1,8}|\\PC{1,8}|[ \t\n\"\\\\{}=~!,']{1,4}", value in "\\PC*|[ \t\n\"\\\\{}=~!,'nx]*", not in any::<bool>()) {
        let operator = if not { MatchOperator::NotEqual } else { MatchOperator::Equal };
        let matcher = Matcher { name, operator, value, regex: None };
        let printed = matcher.to_string();
        let read = Matcher::parse(&printed);
        prop_assert_eq!(read, Ok(matcher), "{}", printed);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z\"=~!{},\\\\ ()|\\[é\n]*|\\PC*") {
        if let Err(error) = Matcher::parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset), "{} in {:?}", error.offset, text);
        }
    }

    #[test]
    fn the_negated_operators_are_the_opposite(value in "[a-c.|*]{0,4}", label in proptest::option::of("[a-c]{0,3}")) {
        let mut labels = Labels::new();
        if let Some(label) = label {
            labels.insert("x".to_owned(), label);
        }
        for (positive, negative) in [("=", "!="), ("=~", "!~")] {
            let read = |operator: &str| Matcher::parse(&format!("x{operator}\"{value}\""));
            if let (Ok(positive), Ok(negative)) = (read(positive), read(negative)) {
                prop_assert_ne!(positive.matches(&labels), negative.matches(&labels));
            }
        }
    }
}
