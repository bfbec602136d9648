//! Alertmanager's configuration as it has it: does it post here, and so that healgate learns what it needs? Asks nobody.

use std::path::Path;

use reqwest::Url;

use crate::cli::doctor::{Finding, Patient};
use crate::config::diagnostic::Findings;
use crate::config::yaml::{Kind, Node, Type, parse};

/// Where Alertmanager may post to.
const PATHS: [&str; 2] = ["/webhooks/alertmanager", "/alert"];

/// What Alertmanager shows in the place of a secret; from version 0.26 on webhooks' URLs are secrets.
const HIDDEN: &str = "<secret>";

/// A webhook of a receiver.
struct Hook<'a> {
    receiver: &'a str,
    url: &'a str,
    node: &'a Node,
}

pub(super) fn judge(patient: &Patient, name: &str, config: &str) -> Vec<Finding> {
    let findings = Findings::new(Path::new("alertmanager.yml"), config);
    let Ok(Some(config)) = parse(config, &findings) else {
        let message = format!("what {name} shows of its configuration cannot be read");
        return vec![Finding::warning(
            "routing",
            message,
            "amtool check-config alertmanager.yml",
        )];
    };
    let hooks = hooks(&config);
    let ours: Vec<&Hook<'_>> = hooks.iter().filter(|hook| is_ours(patient, hook.url)).collect();
    if ours.is_empty() {
        return vec![nobody_posts(patient, name, &hooks)];
    }
    let mut told = Vec::new();
    for hook in ours {
        let before = told.len();
        told.extend(judge_hook(patient, name, hook));
        if !config
            .entry("route")
            .is_some_and(|root| leads_to(&root.value, "", hook.receiver))
        {
            let message = format!("no route of {name} leads to the receiver {}", hook.receiver);
            let advice = format!("Add one: {{ receiver: {}, continue: true }}", hook.receiver);
            told.push(Finding::failed("routing", message, advice));
        }
        if told.len() == before {
            let message = format!("{name} posts here by the receiver {}, resolves too", hook.receiver);
            told.push(Finding::ok("routing", message));
        }
    }
    told
}

fn nobody_posts(patient: &Patient, name: &str, hooks: &[Hook<'_>]) -> Finding {
    let here = format!("{}/webhooks/alertmanager", patient.settings.server.external_url);
    if hooks.iter().any(|hook| hook.url == HIDDEN) {
        let message = format!("{name} hides where its webhooks post to; whether here, its configuration file says");
        return Finding::warning(
            "routing",
            message,
            format!("Look for {here} in it, and for send_resolved: true."),
        );
    }
    let alike = hooks
        .iter()
        .find(|hook| PATHS.iter().any(|path| hook.url.ends_with(path)));
    match alike {
        Some(hook) => {
            let message = format!(
                "{name} posts to {}, which is this gateway only by another name",
                hook.url
            );
            Finding::warning(
                "routing",
                message,
                format!("If it is not, let a receiver post to {here}."),
            )
        }
        None => {
            let message = format!("{name} posts nothing here");
            let advice = format!(
                "Give it a receiver with webhook_configs: [{{url: {here}, send_resolved: true}}], and a route to it."
            );
            Finding::failed("routing", message, advice)
        }
    }
}

fn judge_hook(patient: &Patient, name: &str, hook: &Hook<'_>) -> Vec<Finding> {
    let receiver = hook.receiver;
    let mut told = Vec::new();
    if text(hook.node, "send_resolved") == Some("false") {
        let message =
            format!("{name} does not post resolves by the receiver {receiver}: nothing ever counts as healed");
        told.push(Finding::failed(
            "routing",
            message,
            "Set send_resolved: true for the webhook.",
        ));
    }
    if text(hook.node, "max_alerts").is_some_and(|most| most != "0") {
        let message = format!("{name} cuts groups short for the receiver {receiver}: what is cut off is not remedied");
        told.push(Finding::warning(
            "routing",
            message,
            "Set max_alerts: 0 for the webhook.",
        ));
    }
    let has_credentials = hook.node.entry("http_config").is_some_and(|http| {
        let names = ["authorization", "basic_auth", "bearer_token", "bearer_token_file"];
        names.iter().any(|name| http.value.entry(name).is_some())
    });
    let auth = &patient.settings.auth;
    if !auth.tokens.is_empty() && !auth.allow_anonymous && !has_credentials {
        let message =
            format!("{name} shows no token to the gateway by the receiver {receiver}: every alert is refused");
        let advice = "Give the webhook http_config: {authorization: {credentials_file: …}} with a sender's token.";
        told.push(Finding::failed("routing", message, advice));
    }
    told
}

fn hooks(config: &Node) -> Vec<Hook<'_>> {
    let mut hooks = Vec::new();
    for receiver in list(config, "receivers") {
        for node in list(receiver, "webhook_configs") {
            let (Some(name), Some(url)) = (text(receiver, "name"), text(node, "url")) else {
                continue;
            };
            hooks.push(Hook {
                receiver: name,
                url,
                node,
            });
        }
    }
    hooks
}

/// Whether it is one of this gateway's addresses.
fn is_ours(patient: &Patient, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let server = &patient.settings.server;
    let external = Url::parse(&server.external_url).ok();
    let (base, is_external) = match &external {
        Some(external) if authority(external) == authority(&url) => (external.path().trim_end_matches('/'), true),
        _ => ("", false),
    };
    let path = url.path().strip_prefix(base).unwrap_or(url.path());
    PATHS.contains(&path) && (is_external || is_listener(patient, &url))
}

fn authority(url: &Url) -> (Option<&str>, Option<u16>) {
    (url.host_str(), url.port_or_known_default())
}

fn is_listener(patient: &Patient, url: &Url) -> bool {
    let listen = patient.settings.server.listen;
    if url.port_or_known_default() != Some(listen.port()) {
        return false;
    }
    let ip = url
        .host_str()
        .map(|host| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>());
    match ip {
        Some(Ok(ip)) => {
            ip == listen.ip() || ip.is_loopback() && (listen.ip().is_loopback() || listen.ip().is_unspecified())
        }
        _ => url.host_str() == Some("localhost") && (listen.ip().is_loopback() || listen.ip().is_unspecified()),
    }
}

/// Whether the route or one below it leads to the receiver. What a route does not say, it has from the one above it.
fn leads_to(route: &Node, above: &str, receiver: &str) -> bool {
    let own = text(route, "receiver").unwrap_or(above);
    own == receiver || list(route, "routes").iter().any(|child| leads_to(child, own, receiver))
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.entry(key).map(|entry| &entry.value.kind) {
        Some(Kind::Sequence(items)) => items,
        Some(Kind::Scalar(_) | Kind::Mapping(_)) | None => &[],
    }
}

/// A scalar that says something.
fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match &node.entry(key)?.value.kind {
        Kind::Scalar(scalar) if scalar.resolve() != Type::Null => Some(&scalar.text),
        Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => None,
    }
}
