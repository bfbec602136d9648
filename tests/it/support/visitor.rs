//! Somebody at a browser without scripts: follows links and sends forms as they are on the page, and keeps the cookie.

use std::sync::Mutex;

use regex::Regex;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};

use super::gateway::Gateway;

/// Sits at the browser.
#[derive(Debug)]
pub(crate) struct Visitor {
    client: Client,
    url: String,
    cookie: Mutex<Option<String>>,
}

/// A page as it came.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) html: String,
    /// Where it leads, if it is no page.
    pub(crate) location: Option<String>,
}

/// A form of a page, as it would be sent.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Visitor {
    /// Not signed in yet.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        healgate::tls::use_ring();
        Self {
            client: Client::builder().redirect(Policy::none()).build().unwrap(),
            url: gateway.url().to_owned(),
            cookie: Mutex::default(),
        }
    }

    /// Signed in with that token.
    pub(crate) async fn signed_in(gateway: &Gateway, token: &str) -> Self {
        let visitor = Self::of(gateway);
        let answer = visitor.sign_in(token, "/").await;
        assert_eq!(
            (answer.status, answer.location.as_deref()),
            (303, Some("/")),
            "{}",
            answer.html
        );
        visitor
    }

    /// Fills in the sign-in form that leads to that page.
    pub(crate) async fn sign_in(&self, token: &str, to: &str) -> Page {
        let page = self.get(&format!("/signin?to={to}")).await;
        let form = page.form("/signin").with("token", token);
        self.send(&form).await
    }

    /// A request as a page of the gateway would make it.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &*self.cookie.lock().unwrap() {
            Some(cookie) => request.header("Cookie", cookie),
            None => request,
        }
    }

    /// The page, or where it leads.
    pub(crate) async fn get(&self, path: &str) -> Page {
        self.read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// The page, which must be there.
    pub(crate) async fn see(&self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.html);
        page
    }

    /// Sends a form, and does not go where the answer leads.
    pub(crate) async fn send(&self, form: &Form) -> Page {
        let request = self.request(Method::POST, &form.action).header("Origin", &self.url);
        self.read(request.body(form.written()).send().await.unwrap()).await
    }

    /// Sends a form, and reads the page that the answer leads to.
    pub(crate) async fn follow(&self, form: &Form) -> (String, Page) {
        let sent = self.send(form).await;
        assert_eq!(sent.status, 303, "{}", sent.html);
        let to = sent.location.unwrap();
        let page = self.see(&to).await;
        (to, page)
    }

    async fn read(&self, answer: Response) -> Page {
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        if let Some(set) = header("set-cookie") {
            let pair = set.split(';').next().unwrap().to_owned();
            let is_gone = set.contains("Max-Age=0");
            *self.cookie.lock().unwrap() = (!is_gone).then_some(pair);
        }
        Page {
            status: answer.status().as_u16(),
            location: header("location"),
            html: answer.text().await.unwrap(),
        }
    }

    /// The cookie's own words.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    /// Puts a cookie in place, as if it had been kept.
    pub(crate) fn keep(&self, cookie: &str) {
        *self.cookie.lock().unwrap() = Some(cookie.to_owned());
    }
}

impl Page {
    /// What people read, without elements and with single spaces.
    pub(crate) fn text(&self) -> String {
        let main = self.html.split("<main").nth(1).unwrap_or(&self.html);
        let text = Regex::new("<[^>]*>").unwrap().replace_all(main, " ").into_owned();
        unescaped(&text).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The form that is sent there.
    pub(crate) fn form(&self, action: &str) -> Form {
        let forms = Regex::new("(?s)<form([^>]*)>(.*?)</form>").unwrap();
        let input = Regex::new("(?s)<(?:input|button|textarea|select)[^>]*>").unwrap();
        for found in forms.captures_iter(&self.html) {
            if attribute(&found[1], "action").as_deref() != Some(action) {
                continue;
            }
            let fields = input.find_iter(&found[2]).filter_map(|tag| {
                let tag = tag.as_str();
                let is_sent = tag.starts_with("<input") && !tag.contains("checkbox");
                Some((
                    attribute(tag, "name").filter(|_| is_sent)?,
                    attribute(tag, "value").unwrap_or_default(),
                ))
            });
            return Form {
                action: action.to_owned(),
                fields: fields.collect(),
            };
        }
        panic!("no form is sent to {action}: {}", self.html);
    }

    /// Whether the page has a link or a form that leads there.
    pub(crate) fn leads_to(&self, path: &str) -> bool {
        let wanted = [format!("href=\"{path}\""), format!("action=\"{path}\"")];
        wanted.iter().any(|link| self.html.contains(link.as_str()))
    }
}

impl Form {
    /// With a field filled in.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Form {
    /// As browsers write it into a body.
    pub(crate) fn written(&self) -> String {
        let pairs = self
            .fields
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// As one segment of a path, or one value of a form.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let pattern = Regex::new(&format!("(?s)\\b{name}=\"([^\"]*)\"")).unwrap();
    pattern.captures(tag).map(|found| unescaped(&found[1]))
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    entities
        .iter()
        .fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}
