//! Labels, annotations and the links in them. What comes from outside becomes a link only where it is one to a web page.

use crate::domain::alert::{Alert, Group, Labels};
use crate::percent::encoded;

/// A link to a page elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outside {
    pub(super) text: String,
    pub(super) url: String,
}

/// A name with its value, and where the value leads if it is a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) url: Option<String>,
}

/// The text as the target of a link: only http and https, and nothing that browsers read otherwise than it looks.
pub(super) fn web_url(text: &str) -> Option<String> {
    let text = text.trim();
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let is_web = lower.starts_with("http://") || lower.starts_with("https://");
    let is_plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '\\');
    (is_web && is_plain && text.len() <= 4_096).then(|| text.to_owned())
}

/// Labels or annotations, in order.
pub(super) fn pairs(labels: &Labels) -> Vec<Pair> {
    let pairs = labels.iter().map(|(name, value)| Pair {
        name: name.clone(),
        value: value.clone(),
        url: web_url(value),
    });
    pairs.collect()
}

/// Where to read on: what to do, what the alert is made of, who sent it.
pub(super) fn of_alert(alert: &Alert, group: Option<&Group>) -> Vec<Outside> {
    let mut links = of_summary(&alert.annotations, &alert.generator_url);
    let external = group.and_then(|group| web_url(&group.external_url));
    links.extend(external.map(|url| Outside {
        text: "Alertmanager".to_owned(),
        url: format!(
            "{}/#/alerts?silenced=false&inhibited=false&active=true&filter={}",
            url.trim_end_matches('/'),
            encoded(&format!("{{alertname={:?}}}", alert.name()))
        ),
    }));
    links
}

/// The same of what is known without who sent it.
pub(super) fn of_summary(annotations: &Labels, generator_url: &str) -> Vec<Outside> {
    let link = |text: &str, url: &str| {
        web_url(url).map(|url| Outside {
            text: text.to_owned(),
            url,
        })
    };
    let runbook = annotations.get("runbook_url").and_then(|url| link("Runbook", url));
    let dashboards = annotations.iter().filter(|(name, _)| name.contains("dashboard"));
    let dashboards = dashboards.filter_map(|(_, url)| link("Dashboard", url));
    let generator = link("Where the alert comes from", generator_url);
    runbook.into_iter().chain(dashboards).chain(generator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::JobStatus;
    use crate::http::fake::job;

    #[test]
    fn only_web_pages_are_linked() {
        for url in ["http://a/b?c=d#e", "HTTPS://wiki.example.org/x", " https://a "] {
            assert_eq!(web_url(url).as_deref(), Some(url.trim()));
        }
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil",
            "/jobs",
            "https:evil",
            "java\nscript:alert(1)",
            "http://a b",
            "https://a\\b",
            "",
            "é",
        ] {
            assert_eq!(web_url(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_alerts_links_begin_with_what_to_do() {
        let mut alert = job(1, JobStatus::Failed).alert.unwrap();
        let notes = [
            ("runbook_url", "https://wiki/nginx"),
            ("dashboard_url", "https://grafana/d/1"),
            ("dashboard", "javascript:alert(1)"),
        ];
        alert.annotations = notes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let group = Group {
            external_url: "http://alertmanager:9093/".to_owned(),
            ..Group::default()
        };
        let links: Vec<String> = of_alert(&alert, Some(&group))
            .into_iter()
            .map(|link| link.url)
            .collect();
        assert_eq!(
            links,
            [
                "https://wiki/nginx",
                "https://grafana/d/1",
                "http://prometheus:9090/graph",
                "http://alertmanager:9093/#/alerts?silenced=false&inhibited=false&active=true&filter=%7Balertname%3D%22NginxDown%22%7D",
            ]
        );
    }
}
