//! A disk that is full, neighbours in a batch of writes, and a mistake in one of them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::{deaf, opened};
use crate::store::StoreError;
use crate::store::observe::{Committed, Observer};
use crate::store::sqlite::Probe;
use crate::store::sqlite::readers::Readers;
use crate::store::sqlite::writer::{Scope, Write, Writer};

/// Runs a statement, with that many bytes.
struct Statement(&'static str, i64);

impl Write for Statement {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        scope.execute(self.0, [self.1]).map(drop)
    }
}

const FILL: &str = "
    INSERT INTO notifications (id, received_at, sender, posted_by, receiver, group_key, alerts, truncated_alerts, body)
    VALUES (hex(randomblob(16)), 0, '', '', '', '', 0, 0, zeroblob(?1))";

const FAIL_HALF_WAY: &str = "INSERT INTO probe (id, count) VALUES (2, ?1)";

async fn count(readers: &Readers, sql: &'static str) -> i64 {
    readers.read(|connection| connection.value(sql, [])).await.unwrap()
}

#[tokio::test]
async fn a_full_disk_is_told_as_unavailable_and_the_writer_goes_on() {
    let (_folder, opened) = opened().await;
    let limit: i64 = opened.writer.value("PRAGMA max_page_count = 100", []).unwrap();
    assert_eq!(limit, 100);
    let writer = Writer::start(opened.writer, opened.lock, deaf()).unwrap();
    let full = writer.write(Statement(FILL, 10_000_000)).await.unwrap_err();
    assert!(
        matches!(&full, StoreError::Unavailable(text) if text.contains("full")),
        "{full}"
    );
    writer.write(Probe).await.unwrap();

    // In one batch with others: each is told the truth, and what was promised is there.
    let writes = (0..20).map(|number| writer.write(Statement(FILL, if number % 2 == 0 { 1 } else { 10_000_000 })));
    let answers = join_all(writes).await;
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    for answer in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(answer, StoreError::Unavailable(_)), "{answer}");
    }
    let rows = count(&opened.readers, "SELECT COUNT(*) FROM notifications").await;
    assert_eq!(usize::try_from(rows).unwrap(), kept);
    writer.write(Probe).await.unwrap();
    writer.close().await;
}

#[tokio::test]
async fn a_write_that_fails_does_not_harm_its_neighbours() {
    let (_folder, opened) = opened().await;
    let writer = Writer::start(opened.writer, opened.lock, deaf()).unwrap();
    let writes = (0..50).map(|number| writer.write(Statement(if number % 2 == 0 { FILL } else { FAIL_HALF_WAY }, 1)));
    for (number, answer) in join_all(writes).await.into_iter().enumerate() {
        assert_eq!(answer.is_ok(), number % 2 == 0, "{number}: {answer:?}");
    }
    assert_eq!(count(&opened.readers, "SELECT COUNT(*) FROM notifications").await, 25);
    assert_eq!(count(&opened.readers, "SELECT COUNT(*) FROM probe").await, 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_transaction_open() {
    let (_folder, opened) = opened().await;
    let writer = Writer::start(opened.writer, opened.lock, deaf()).unwrap();
    for _ in 0..20 {
        let write = writer.write(Statement(FILL, 1));
        tokio::select! {
            biased;
            _ = write => {}
            () = tokio::task::yield_now() => {}
        }
    }
    writer.write(Probe).await.unwrap();
    assert_eq!(count(&opened.readers, "SELECT COUNT(*) FROM notifications").await, 20);
    assert_eq!(count(&opened.readers, "SELECT count FROM probe").await, 1);
}

#[tokio::test]
async fn what_was_in_the_queue_is_written_before_the_file_is_closed() {
    let (folder, opened) = opened().await;
    let writer = Writer::start(opened.writer, opened.lock, deaf()).unwrap();
    {
        let write = writer.write(Statement(FILL, 1));
        tokio::select! {
            biased;
            _ = write => {}
            () = tokio::task::yield_now() => {}
        }
    }
    opened.readers.close().await;
    writer.close().await;
    let again = super::open(&folder.path().join("healgate.db")).await.unwrap();
    assert_eq!(count(&again.readers, "SELECT COUNT(*) FROM notifications").await, 1);
}

/// Panics in the middle of its change.
struct Mistake;

impl Write for Mistake {
    type Output = ();

    fn apply(self, scope: &mut Scope<'_>) -> Result<(), StoreError> {
        Statement(FILL, 1).apply(scope)?;
        panic!("a mistake");
    }
}

#[tokio::test]
async fn a_change_that_panics_leaves_nothing_and_the_writer_goes_on() {
    let (_folder, opened) = opened().await;
    let readers = opened.readers.clone();
    let writer = Writer::start(opened.writer, opened.lock, deaf()).unwrap();
    writer.write(Mistake).await.unwrap_err();
    assert_eq!(count(&readers, "SELECT COUNT(*) FROM notifications").await, 0);
    writer.write(Probe).await.unwrap();
}

/// Says that it hears of a commit, and keeps the writer until it may go on.
struct Slow {
    heard: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Observer for Slow {
    fn committed(&self, _: &Committed) {
        self.heard.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
    }
}

#[tokio::test]
async fn who_has_an_answer_finds_the_change_counted() {
    let (_folder, opened) = opened().await;
    let (heard, hears) = channel();
    let (go_on, waits) = channel();
    let slow = Slow {
        heard,
        go_on: Mutex::new(waits),
    };
    let writer = Writer::start(opened.writer, opened.lock, Arc::new(slow)).unwrap();
    let mut write = Box::pin(writer.write(Probe));
    assert!(write.as_mut().now_or_never().is_none());
    hears.recv().unwrap();
    assert!(write.as_mut().now_or_never().is_none(), "answered before it was told");
    go_on.send(()).unwrap();
    write.await.unwrap();
}
