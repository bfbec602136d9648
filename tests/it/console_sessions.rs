//! Who may see the console and act in it, how they sign in, and how that ends.

use reqwest::Method;
use sha2::Digest;

use crate::support::alerts::firing;
use crate::support::folder::Folder;
use crate::support::gateway::Gateway;
use crate::support::visitor::Visitor;

/// Pages that everybody sees who may read.
const PAGES: [&str; 9] = [
    "/",
    "/jobs",
    "/alerts",
    "/routes",
    "/playbooks",
    "/tester",
    "/notifications",
    "/stats",
    "/stats?window=1d",
];

/// Tokens named as these roles, whose secrets are `secret-` and the role.
pub(crate) fn tokens(roles: &[&str]) -> String {
    roles.iter().fold("auth:\n  tokens:\n".to_owned(), |text, role| {
        let digest = hex::encode(sha2::Sha256::digest(format!("secret-{role}")));
        format!("{text}    - {{name: {role}, role: {role}, sha256: \"{digest}\"}}\n")
    })
}

/// A gateway with a token for each role.
pub(crate) async fn guarded(folder: &Folder) -> Gateway {
    folder.settings(&tokens(&["sender", "viewer", "operator", "admin"]));
    Gateway::start(folder).await.with_token("secret-admin")
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_the_sign_in_and_from_there_to_what_they_asked_for() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::of(&gateway);
    let page = visitor.get("/jobs?status=failed&q=a%20b").await;
    let to = "/signin?to=%2Fjobs%3Fstatus%3Dfailed%26q%3Da%2520b";
    assert_eq!((page.status, page.location.as_deref()), (303, Some(to)));
    let wrong = visitor.sign_in("nonsense", "%2Fjobs").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("no token of this gateway"), "{}", wrong.text());
    let form = visitor.see(to).await.form("/signin").with("token", "secret-viewer");
    let (there, jobs) = visitor.follow(&form).await;
    assert_eq!(there, "/jobs?status=failed&q=a%20b");
    assert!(jobs.text().contains("No job passes these filters"));
    // Elsewhere no sign-in leads.
    let elsewhere = Visitor::of(&gateway)
        .sign_in("secret-viewer", "https%3A%2F%2Fevil.example")
        .await;
    assert_eq!(elsewhere.location.as_deref(), Some("/"));
}

#[tokio::test]
async fn the_cookie_is_for_this_gateway_alone_and_its_secret_is_not_in_the_database() {
    let folder = Folder::new();
    folder.settings(&tokens(&["viewer"]));
    let gateway = Gateway::start_with(&folder, |command| {
        command.env("HEALGATE__SERVER__EXTERNAL_URL", "https://healgate.example.org");
    });
    let gateway = gateway.await;
    let request = gateway
        .request(Method::POST, "/signin")
        .header("Origin", "https://healgate.example.org");
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = client
        .execute(request.body("token=secret-viewer").build().unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure");
    let secret = pair.strip_prefix("healgate_session=").unwrap();
    assert!(secret.len() >= 43, "{secret}");
    let mut stored = std::fs::read(folder.path("var/healgate.db")).unwrap();
    stored.extend(std::fs::read(folder.path("var/healgate.db-wal")).unwrap_or_default());
    assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()));
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_in() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    for origin in ["https://evil.example", "null"] {
        let request = Visitor::of(&gateway)
            .request(Method::POST, "/signin")
            .header("Origin", origin);
        let answer = request.body("token=secret-viewer").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{origin}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn each_role_sees_what_it_may_and_is_offered_no_more() {
    let folder = Folder::new();
    folder.write("fix.yml", "wait_for('/never')");
    let gateway = guarded(&folder).await;
    let job = gateway.queue(firing("Down", "f1")).await;
    gateway.until_status(&job, "running").await;
    let sender = Visitor::of(&gateway).sign_in("secret-sender", "/").await;
    assert_eq!(sender.status, 403);
    assert!(sender.text().contains("its role is sender"), "{}", sender.text());
    for (role, acts) in [("viewer", false), ("operator", true), ("admin", true)] {
        let visitor = Visitor::signed_in(&gateway, &format!("secret-{role}")).await;
        for path in PAGES {
            visitor.see(path).await;
        }
        let page = visitor.see(&format!("/jobs/{job}")).await;
        assert_eq!(page.leads_to(&format!("/jobs/{job}/cancel")), acts, "{role}");
        assert_eq!(visitor.see("/").await.leads_to("/pause"), acts, "{role}");
        assert_eq!(
            visitor.see("/playbooks").await.leads_to("/playbooks/fix/run"),
            acts,
            "{role}"
        );
        let expected = if acts { 200 } else { 403 };
        for path in [&format!("/jobs/{job}/cancel"), "/pause", "/playbooks/fix/run"] {
            assert_eq!(visitor.get(path).await.status, expected, "{role} {path}");
        }
        let posted = visitor
            .request(Method::POST, "/pause")
            .header("Origin", gateway.url())
            .send()
            .await
            .unwrap();
        // Without a form's token nobody may.
        assert_eq!(posted.status(), 403, "{role}");
    }
    assert!(
        gateway.get("/api/v1/pause").await["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn signing_out_ends_the_session_and_not_only_the_cookie() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let cookie = visitor.cookie().unwrap();
    assert_eq!(visitor.get("/api/v1/jobs").await.status, 200);
    let form = visitor.see("/").await.form("/signout");
    let out = visitor.send(&form).await;
    assert_eq!((out.status, out.location.as_deref()), (303, Some("/signin")));
    assert_eq!(visitor.cookie(), None);
    visitor.keep(&cookie);
    assert_eq!(visitor.get("/").await.status, 303);
    assert_eq!(visitor.get("/api/v1/jobs").await.status, 401);
}

#[tokio::test]
async fn a_form_that_is_sent_without_a_session_leads_back_to_what_it_asked() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::of(&gateway);
    let job = "019a5b3c-1234-7000-8000-00000000000a";
    let rerun = format!("/jobs/{job}/rerun");
    for (path, referer, to) in [
        (
            rerun.as_str(),
            format!("{rerun}?check=true"),
            format!("{rerun}?check=true"),
        ),
        (
            "/pause",
            "/pause?scope=route:down".to_owned(),
            "/pause?scope=route:down".to_owned(),
        ),
        ("/breakers/close", String::new(), "/".to_owned()),
        ("/signout", "/jobs".to_owned(), "/".to_owned()),
    ] {
        let request = visitor.request(Method::POST, path).header("Origin", gateway.url());
        let request = match referer.as_str() {
            "" => request,
            referer => request.header("Referer", format!("{}{referer}", gateway.url())),
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 303, "{path}");
        let expected = match to.as_str() {
            "/" => "/signin".to_owned(),
            to => {
                let encoded = to
                    .replace('/', "%2F")
                    .replace('?', "%3F")
                    .replace('=', "%3D")
                    .replace(':', "%3A");
                format!("/signin?to={encoded}")
            }
        };
        assert_eq!(answer.headers()["location"], expected.as_str(), "{path}");
    }
}

#[tokio::test]
async fn a_page_from_before_a_restart_signs_out_too() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let (cookie, form) = (visitor.cookie().unwrap(), visitor.see("/").await.form("/signout"));
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    let visitor = Visitor::of(&gateway);
    visitor.keep(&cookie);
    assert_eq!(visitor.send(&form).await.location.as_deref(), Some("/signin"));
    visitor.keep(&cookie);
    assert_eq!(visitor.get("/").await.status, 303);
}

#[tokio::test]
async fn a_session_lasts_over_a_restart_and_ends_with_its_token() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-viewer").await;
    let cookie = visitor.cookie().unwrap();
    gateway.kill().await;
    let gateway = Gateway::start(&folder).await;
    let visitor = Visitor::of(&gateway);
    visitor.keep(&cookie);
    visitor.see("/").await;
    gateway.kill().await;
    // Another token of the same name.
    let digest = hex::encode(sha2::Sha256::digest("replaced"));
    folder.settings(&format!(
        "auth:\n  tokens:\n    - {{name: viewer, role: viewer, sha256: \"{digest}\"}}\n"
    ));
    let gateway = Gateway::start(&folder).await;
    let visitor = Visitor::of(&gateway);
    visitor.keep(&cookie);
    assert_eq!(visitor.get("/").await.status, 303);
}

#[tokio::test]
async fn with_a_session_the_api_can_be_read_and_changed_from_the_gateways_own_pages_only() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    let visitor = Visitor::signed_in(&gateway, "secret-operator").await;
    assert_eq!(visitor.get("/api/v1/jobs").await.status, 200);
    let pause = |origin: Option<&str>| {
        let request = visitor
            .request(Method::PUT, "/api/v1/pause")
            .body("{\"scope\":\"all\"}");
        match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        }
    };
    for origin in [None, Some("https://evil.example"), Some("null")] {
        assert_eq!(pause(origin).send().await.unwrap().status(), 403, "{origin:?}");
    }
    let own = pause(Some(gateway.url())).send().await.unwrap();
    assert_eq!(own.status(), 200);
    assert_eq!(own.json::<serde_json::Value>().await.unwrap()["by"], "operator");
    // A script that asks without a session is not answered so that its browser asks for a password.
    let request = Visitor::of(&gateway).request(Method::GET, "/api/v1/jobs");
    let answer = request.header("Sec-Fetch-Dest", "empty").send().await.unwrap();
    let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!((answer.status().as_u16(), challenges.len()), (401, 1));
    assert_eq!(challenges[0], "Bearer realm=\"healgate\"");
}

#[tokio::test]
async fn without_tokens_everybody_on_this_machine_acts_and_no_other_page_does() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder).await;
    let visitor = Visitor::of(&gateway);
    let page = visitor.see("/pause").await;
    let form = page.form("/pause").with("scope", "all");
    let request = visitor
        .request(Method::POST, "/pause")
        .header("Origin", "https://evil.example");
    assert_eq!(request.body(form.written()).send().await.unwrap().status(), 403);
    let forged = form.clone().with("proof", &"0".repeat(64));
    assert_eq!(visitor.send(&forged).await.status, 403);
    let (to, now) = visitor.follow(&form).await;
    assert_eq!(to, "/");
    assert!(
        now.text().contains("Everything is paused by anonymous"),
        "{}",
        now.text()
    );
}

#[tokio::test]
async fn visitors_see_everything_and_are_asked_who_they_are_when_they_want_to_act() {
    let folder = Folder::new();
    folder.settings(&format!("{}  allow_anonymous: true\n", tokens(&["operator"])));
    let gateway = Gateway::start(&folder).await;
    let visitor = Visitor::of(&gateway);
    for path in PAGES {
        assert!(!visitor.see(path).await.leads_to("/pause"), "{path}");
    }
    let page = visitor.get("/pause").await;
    assert_eq!(page.location.as_deref(), Some("/signin?to=%2Fpause"));
    let form = visitor
        .see("/signin?to=%2Fpause")
        .await
        .form("/signin")
        .with("token", "secret-operator");
    assert_eq!(visitor.follow(&form).await.0, "/pause");
}

#[tokio::test]
async fn a_link_from_another_site_leads_to_the_page_though_the_cookie_does_not_come_along() {
    let folder = Folder::new();
    let gateway = guarded(&folder).await;
    // A browser leaves a strict cookie out of what another site's page links to, and says so.
    let request = Visitor::of(&gateway)
        .request(Method::GET, "/signin?to=%2Fjobs")
        .header("Sec-Fetch-Site", "cross-site");
    let html = request.send().await.unwrap().text().await.unwrap();
    assert!(
        html.contains("<meta http-equiv=\"refresh\" content=\"0; url=/jobs\">"),
        "{html}"
    );
    assert!(!html.contains("<form"));
}
