//! The texts: built-in templates, or the user's. A template that cannot be used never keeps a message from being sent.

mod slack;

use std::borrow::Cow;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value, escape_formatter};

const TEXT: &str = include_str!("templates/text.txt");
const SLACK: &str = include_str!("templates/slack.txt");

/// How many instructions a template may execute: enough for any real one, and no loop without end.
const FUEL: u64 = 50_000;

/// What no message needs more of.
const MOST_CHARS: usize = 12_000;

/// What templates see of links; the first one leads to this gateway.
const LINKS: [&str; 4] = ["url", "story_url", "alert_url", "runbook_url"];

/// Where a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Markup {
    /// As it stands.
    None,
    /// Slack's mrkdwn.
    Slack,
}

/// Renders what is told as the user's template has it, or, where there is none or it cannot be used, as ours.
pub(super) fn render(markup: Markup, own: Option<&Path>, told: &Value) -> String {
    let built_in = || {
        let source = match markup {
            Markup::None => TEXT,
            Markup::Slack => SLACK,
        };
        // Ours renders whatever is told; a test holds that.
        render_source(markup, source, told).unwrap_or_else(|error| error.to_string())
    };
    let Some(path) = own else { return built_in() };
    let text = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|source| render_source(markup, &source, told).map_err(|error| error.to_string()));
    text.unwrap_or_else(|error| {
        tracing::warn!(template = %path.display(), error, "a notifier's template cannot be used");
        format!("{}\n(The template of this notifier cannot be used.)", built_in())
    })
}

fn render_source(markup: Markup, source: &str, told: &Value) -> Result<String, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // What Slack takes for markup is the formatter's affair.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let links: Vec<String> = LINKS.iter().filter_map(|name| text_of(told, name)).collect();
    environment.set_formatter(
        move |out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value| match markup {
            Markup::None => escape_formatter(out, state, value),
            Markup::Slack => write!(out, "{}", slack::printed(value, &links)).map_err(Error::from),
        },
    );
    environment.add_filter("fenced", move |text: Cow<'_, str>| {
        Value::from_safe_string(match markup {
            Markup::None => fenced(&text),
            Markup::Slack => slack::escaped(&fenced(&text)),
        })
    });
    let text = environment.render_str(source, told.clone())?;
    Ok(super::text::cut(text.trim(), MOST_CHARS))
}

fn text_of(told: &Value, name: &str) -> Option<String> {
    told.get_attr(name).ok()?.as_str().map(str::to_owned)
}

/// A text that cannot end the block of code in which it stands.
fn fenced(text: &str) -> String {
    text.replace("```", "`\u{200b}`\u{200b}`")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use minijinja::context;

    use super::*;

    fn told() -> Value {
        context! {
            event => "failed", title => "failed: a<b & c", headline => "<!channel> it failed", job => context!{id => "1"},
            facts => vec![context! { name => "Where", value => "<http://evil|x>" }],
            advice => "look", url => "http://h/jobs/1", story_url => "http://h/alerts/a", alert_url => "http://p/?a=1&b=2", runbook_url => (),
            log_tail => "```\n<@U1>",
        }
    }

    #[test]
    fn slack_takes_nothing_from_outside_for_markup() {
        // What cannot be seen keeps the backticks apart.
        let text = render(Markup::Slack, None, &told()).replace('\u{200b}', "~");
        insta::assert_snapshot!(text, @"
        *failed: a&lt;b &amp; c*
        &lt;!channel&gt; it failed
        • *Where:* &lt;http:~//evil|x&gt;
        *What to do next:* look
        <http://h/jobs/1|Job> · <http://h/alerts/a|Story> · <http://p/?a=1&amp;b=2|Alert>
        ```
        `~`~`
        &lt;@U1&gt;
        ```
        ");
    }

    #[test]
    fn elsewhere_texts_stand_as_they_are() {
        insta::assert_snapshot!(render(Markup::None, None, &told()), @"
        failed: a<b & c

        <!channel> it failed

        Where: <http://evil|x>

        What to do next: look

        Job: http://h/jobs/1
        The alert's story: http://h/alerts/a
        Alert: http://p/?a=1&b=2

        The last lines of the log:

        ```
        <@U1>
        ");
    }

    #[test]
    fn a_template_of_ones_own_is_used_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.txt");
        let with = |source: &str| {
            fs::write(&path, source).unwrap();
            render(Markup::Slack, Some(&path), &told())
        };
        assert_eq!(
            with("{{ event }}: {{ title }} (job {{ job.id }})\n"),
            "failed: failed: a&lt;b &amp; c (job 1)"
        );
        for broken in [
            "{{ nope }}",
            "{% if %}",
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        ] {
            let text = with(broken);
            assert!(text.starts_with("*failed: a&lt;b &amp; c*\n"), "{text}");
            assert!(
                text.ends_with("(The template of this notifier cannot be used.)"),
                "{text}"
            );
        }
        fs::remove_file(&path).unwrap();
        let text = render(Markup::None, Some(&path), &told());
        assert!(text.starts_with("failed: a<b & c\n\n<!channel> it failed\n"), "{text}");
    }

    #[test]
    fn no_text_is_endless() {
        let told = context! { headline => "x".repeat(100_000) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.txt");
        fs::write(&path, "{{ headline }}").unwrap();
        assert_eq!(render(Markup::None, Some(&path), &told).chars().count(), MOST_CHARS);
    }
}
