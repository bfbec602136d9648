//! Which signatures let a webhook in. What they should be was computed by another program.

use std::path::PathBuf;

use actix_web::test::TestRequest;

use super::*;
use crate::http::auth::Access;
use crate::http::fake::{Answered, Gateway, bearer, route, tokens};

const BODY: &str = r#"{"version":"1","alerts":[]}"#;
/// `printf %s "$BODY" | openssl dgst -sha256 -hmac 'the secret'`.
const SIGNED: &str = "0e0d6aa5e908424bf5857a354dbc59275d46051f119119bebbd4dd1c33bb34b0";
/// The gateway's clock stands at 1769850000.
const NOW: i64 = 1_769_850_000;
/// The same of `1769850000:` and the body, and of five minutes before and a second more.
const SIGNED_NOW: &str = "8b1190d7ebccae1a4d873f703111726032207918a44bd9b7990f5a15ad08dfe7";
const SIGNED_JUST: (&str, &str) = (
    "1769849700",
    "3bd670252f76d835626a8e3f9dfa2594687e646faf0fbf0f4f955346d6fb63a4",
);
const SIGNED_BEFORE: (&str, &str) = (
    "1769849699",
    "293236710e36640ec39149c56639e7f95e6eec652871d0861db85feb82a8d267",
);
const SIGNED_AHEAD: (&str, &str) = (
    "1769850301",
    "b1a410a7f5222f171cd3f4944893c116e2892a3429a86bb5bc65261cbddc8e10",
);

const HEADER: &str = "X-Grafana-Alerting-Signature";
const OLD_HEADER: &str = "X-Grafana-Alert-Signature";
const TIME: &str = "X-Grafana-Alerting-Timestamp";

fn settings(needs_time: bool) -> GrafanaSignature {
    GrafanaSignature {
        secret_file: PathBuf::new(),
        headers: [HEADER, OLD_HEADER].map(str::to_ascii_lowercase).to_vec(),
        timestamp_header: TIME.to_ascii_lowercase(),
        needs_time,
    }
}

fn gateway() -> Gateway {
    with(&settings(false))
}

fn with(settings: &GrafanaSignature) -> Gateway {
    let access = Access {
        tokens: tokens(),
        grafana: Signature::new(b"the secret", settings),
        ..Access::default()
    };
    Gateway::with(access, vec![route("all")])
}

async fn posted(gateway: &Gateway, headers: &[(&'static str, &str)]) -> Answered {
    let request = TestRequest::post().uri("/webhooks/grafana").set_payload(BODY);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.append_header((*name, *value)));
    gateway.answer(request).await
}

#[actix_web::test]
async fn a_right_signature_counts_as_a_senders_token_by_either_name() {
    for header in [HEADER, OLD_HEADER] {
        let gateway = gateway();
        assert_eq!(posted(&gateway, &[(header, SIGNED)]).await.status, 202, "{header}");
        assert_eq!(gateway.store.state().posted_by, ["grafana"]);
    }
}

#[actix_web::test]
async fn a_time_is_signed_with_the_body_and_must_be_recent() {
    let now = NOW.to_string();
    for (time, signed, status) in [
        (now.as_str(), SIGNED_NOW, 202),
        (SIGNED_JUST.0, SIGNED_JUST.1, 202),
        (SIGNED_BEFORE.0, SIGNED_BEFORE.1, 401),
        (SIGNED_AHEAD.0, SIGNED_AHEAD.1, 401),
        // Of the body alone, or of another time.
        (now.as_str(), SIGNED, 401),
        (SIGNED_JUST.0, SIGNED_NOW, 401),
        ("soon", SIGNED, 401),
        ("", SIGNED, 401),
        ("9223372036854775807", SIGNED, 401),
    ] {
        let answered = posted(&gateway(), &[(HEADER, signed), (TIME, time)]).await;
        assert_eq!(answered.status, status, "{time}");
    }
    // The time cannot be left out.
    assert_eq!(posted(&gateway(), &[(HEADER, SIGNED_NOW)]).await.status, 401);
}

#[actix_web::test]
async fn where_the_time_has_a_header_of_its_own_it_must_be_there() {
    let gateway = with(&settings(true));
    let answered = posted(&gateway, &[(HEADER, SIGNED)]).await;
    assert_eq!(answered.status, 401);
    assert!(
        answered.text().contains("x-grafana-alerting-timestamp is missing"),
        "{}",
        answered.text()
    );
    let now = NOW.to_string();
    assert_eq!(
        posted(&gateway, &[(HEADER, SIGNED_NOW), (TIME, &now)]).await.status,
        202
    );
}

#[actix_web::test]
async fn what_cannot_be_a_signature_is_refused_before_the_body_is_read() {
    for wrong in ["", "00", "zz", &SIGNED[2..], &format!("{SIGNED}00")] {
        let request = TestRequest::post().uri("/webhooks/grafana");
        let request = request.insert_header((HEADER, wrong));
        // Else that would be too large.
        let request = request.insert_header(("Content-Length", "99999999999"));
        assert_eq!(gateway().answer(request).await.status, 401, "{wrong:?}");
    }
}

#[actix_web::test]
async fn a_wrong_signature_is_401_also_beside_a_right_token() {
    let (_, token) = bearer("sender");
    for wrong in ["", "00", "zz", &SIGNED[2..], &SIGNED.replace('0', "1"), SIGNED_NOW] {
        let gateway = gateway();
        let answered = posted(&gateway, &[(HEADER, wrong), ("Authorization", &token)]).await;
        assert_eq!(answered.status, 401, "{wrong:?}");
        assert!(gateway.store.state().notifications.is_empty());
    }
    let twice = posted(&gateway(), &[(HEADER, SIGNED), (HEADER, SIGNED)]).await;
    assert_eq!(twice.status, 401);
    let both = posted(&gateway(), &[(HEADER, SIGNED), ("Authorization", "Bearer wrong")]).await;
    assert_eq!(both.status, 401);
}

#[actix_web::test]
async fn a_token_does_without_a_signature_and_no_token_does_not() {
    let (_, token) = bearer("sender");
    assert_eq!(posted(&gateway(), &[("Authorization", &token)]).await.status, 202);
    let (_, token) = bearer("viewer");
    assert_eq!(posted(&gateway(), &[("Authorization", &token)]).await.status, 403);
    assert_eq!(posted(&gateway(), &[]).await.status, 401);
    // Where no secret is known, a signature says nothing.
    assert_eq!(posted(&Gateway::new(), &[(HEADER, SIGNED)]).await.status, 401);
}

#[actix_web::test]
async fn a_signature_opens_no_other_path() {
    let request = TestRequest::post()
        .uri("/webhooks/alertmanager")
        .set_payload(r#"{"alerts":[]}"#);
    let answered = gateway().answer(request.insert_header((HEADER, SIGNED))).await;
    assert_eq!(answered.status, 401);
}

#[test]
fn no_secret_is_no_signature_and_it_is_never_printed() {
    assert!(Signature::new(b"", &settings(false)).is_none());
    let printed = format!("{:?}", Signature::new(b"the secret", &settings(false)));
    assert!(printed.contains("x-grafana") && !printed.contains("key"), "{printed}");
}
