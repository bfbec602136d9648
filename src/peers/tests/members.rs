//! A cluster with a member that hangs.

use super::*;

/// A peer that takes connections and says nothing; it is given up after a second.
async fn silent(name: &str) -> (Peer, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (peer, _requests) = serve(Vec::new()).await;
    let silent = Peer {
        name: name.to_owned(),
        url: Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap(),
        timeout: Span::from_secs(1),
        ..peer
    };
    (silent, listener)
}

fn has(alert: &Alert) -> String {
    ok(&json!([{"fingerprint": alert.fingerprint, "status": {"silencedBy": []}}]))
}

#[tokio::test]
async fn nobody_is_waited_for_once_one_says_that_the_alert_fires() {
    let alert = alert(&[("alertname", "Down")]);
    let (good, _requests) = serve(vec![has(&alert), status()]).await;
    let (hanging, _listener) = silent("hanging").await;
    let hanging = Peer {
        timeout: Span::from_secs(10),
        ..hanging
    };
    let look = Cluster::new(&[hanging, good]).look(&[&alert]).await;
    // It has not been given up when the look ends.
    assert_eq!((look.answered().as_str(), look.failures.len()), ("peer", 0));
}

#[tokio::test]
async fn a_member_that_hangs_is_waited_for_once_and_tried_again_later_beside_the_others() {
    let alert = alert(&[("alertname", "Down")]);
    let nothing = || [ok(&json!([])), status()];
    let (good, _requests) = serve((0..4).flat_map(|_| nothing()).collect()).await;
    let (hanging, listener) = silent("hanging").await;
    let cluster = Cluster::new(&[hanging, good]);
    let look = cluster.look(&[&alert]).await;
    assert_eq!((look.answered().as_str(), look.failures.len()), ("peer", 1));
    let asked = async || {
        let waiting = tokio::time::timeout(Duration::from_millis(1), listener.accept());
        waiting.await.is_ok()
    };
    assert!(asked().await);
    for _ in 0..2 {
        let look = cluster.look(&[&alert]).await;
        assert_eq!((look.answered().as_str(), look.failures.len()), ("peer", 0));
        assert!(!asked().await, "it was asked again at once");
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(cluster.look(&[&alert]).await.answered(), "peer");
    assert!(asked().await, "it was not asked again");
}

#[tokio::test]
async fn where_nobody_else_answers_those_that_hang_are_asked_all_the_same() {
    let alert = alert(&[("alertname", "Down")]);
    let (one, listener) = silent("one").await;
    let cluster = Cluster::new(&[one]);
    for _ in 0..2 {
        let look = cluster.look(&[&alert]).await;
        assert!(look.failures[0].starts_with("one does not answer: "), "{look:?}");
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_that_hangs_comes_last_where_one_answer_will_do() {
    let found = json!({"id": "s1", "createdBy": "ada", "comment": "x", "endsAt": "2026-01-31T09:01:00Z",
        "status": {"state": "active"}});
    let (good, _requests) = serve(vec![ok(&found), ok(&found)]).await;
    let (hanging, listener) = silent("hanging").await;
    let cluster = Cluster::new(&[hanging, good]);
    for _ in 0..2 {
        assert_eq!(cluster.find_silence("s1").await.unwrap().id, "s1");
    }
    listener.accept().await.unwrap();
    let again = tokio::time::timeout(Duration::from_millis(1), listener.accept());
    assert!(again.await.is_err(), "it was asked twice");
}
