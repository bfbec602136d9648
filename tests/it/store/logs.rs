//! Logs, tasks and history: added piece by piece, read from anywhere.

use std::num::NonZeroUsize;

use healgate::domain::attempt::{AttemptKey, Outcome};
use healgate::domain::ids::JobId;
use healgate::store::StoreError;
use healgate::store::read::{LogHead, PageRequest};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};
use proptest::test_runner::TestCaseError;

use super::world::{World, ending, firing, first, route, task};

async fn running(world: &World) -> AttemptKey {
    world.job_for(firing("a", world.ago(1)).via(route("r"), "a")).await;
    world.claim_one().await
}

/// Reads the way a follower does: until nothing comes.
async fn read_all(world: &World, job: JobId, mut offset: u64, most: NonZeroUsize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = world.store.read_log(job, 1, offset, most.get()).await.unwrap();
        assert!(bytes.len() <= most.get());
        if bytes.is_empty() {
            return all;
        }
        offset += bytes.len() as u64;
        all.extend(bytes);
    }
}

fn from(log: &[u8], offset: u64) -> &[u8] {
    log.get(usize::try_from(offset).unwrap()..).unwrap_or_default()
}

#[tokio::test]
async fn a_log_grows_only_at_its_end() {
    let world = World::new().await;
    let key = running(&world).await;
    let head = |bytes, complete| LogHead { bytes, complete };
    assert_eq!(world.store.log_head(key.job, 1).await.unwrap(), head(0, false));
    world.store.append_log(key, 0, b"PLAY ".to_vec()).await.unwrap();
    world.store.append_log(key, 5, Vec::new()).await.unwrap();
    world.store.append_log(key, 5, b"[web]\n".to_vec()).await.unwrap();
    for elsewhere in [0, 4, 10, 12] {
        let error = world.store.append_log(key, elsewhere, b"x".to_vec()).await.unwrap_err();
        assert!(matches!(error, StoreError::LostClaim(_)), "{elsewhere}: {error}");
    }
    assert_eq!(world.store.log_head(key.job, 1).await.unwrap(), head(11, false));
    let mut ended = ending(Outcome::Ok, world.now());
    ended.log_bytes = 11;
    world.store.finish(key, ended).await.unwrap();
    assert_eq!(world.store.log_head(key.job, 1).await.unwrap(), head(11, true));
    let missing = world.store.log_head(key.job, 2).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    assert_eq!(world.store.read_log(key.job, 2, 0, 10).await.unwrap(), b"");
}

#[tokio::test]
async fn a_log_is_read_from_every_offset() {
    let world = World::new().await;
    let key = running(&world).await;
    let text: Vec<u8> = (0..60).collect();
    let mut offset = 0;
    for length in [1, 2, 30, 1, 20, 6] {
        let end = offset + length;
        world
            .store
            .append_log(key, offset as u64, text[offset..end].to_vec())
            .await
            .unwrap();
        offset = end;
    }
    for offset in 0..=61 {
        for most in [1, 3, 100] {
            let most = NonZeroUsize::new(most).unwrap();
            let read = read_all(&world, key.job, offset, most).await;
            assert_eq!(read, from(&text, offset));
        }
        assert_eq!(world.store.read_log(key.job, 1, offset, 0).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn a_seal_that_does_not_cover_whole_pieces_is_refused_and_loses_nothing() {
    let world = World::new().await;
    let key = running(&world).await;
    world.store.append_log(key, 0, b"0123".to_vec()).await.unwrap();
    world.store.append_log(key, 4, b"4567".to_vec()).await.unwrap();
    for (offset, bytes) in [
        (0, &b"012"[..]),
        (0, b"012345"),
        (2, b"23"),
        (4, b"45678"),
        (8, b"8"),
        (2, b"234567"),
    ] {
        let error = world.store.seal_log(key, offset, bytes.to_vec()).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{offset} {bytes:?}: {error}");
    }
    world.store.seal_log(key, 0, Vec::new()).await.unwrap();
    world.store.seal_log(key, 0, b"01234567".to_vec()).await.unwrap();
    world.store.seal_log(key, 0, b"01234567".to_vec()).await.unwrap();
    world.store.append_log(key, 8, b"89".to_vec()).await.unwrap();
    assert_eq!(world.store.read_log(key.job, 1, 0, 100).await.unwrap(), b"0123456789");
}

#[derive(Clone, Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// Where a seal ends, so that it covers all pieces since the last seal.
    sealed: bool,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let piece = (bytes, prop::bool::weighted(0.2)).prop_map(|(bytes, sealed)| Piece { bytes, sealed });
    prop::collection::vec(piece, 1..60)
}

async fn sealed_log_reads_the_same(pieces: Vec<Piece>, offset: u64, most: NonZeroUsize) {
    let world = World::new().await;
    let key = running(&world).await;
    let (mut log, mut sealed) = (Vec::new(), 0);
    for piece in pieces {
        world
            .store
            .append_log(key, log.len() as u64, piece.bytes.clone())
            .await
            .unwrap();
        log.extend(piece.bytes);
        if piece.sealed {
            world
                .store
                .seal_log(key, sealed as u64, log[sealed..].to_vec())
                .await
                .unwrap();
            sealed = log.len();
        }
    }
    let expected = from(&log, offset);
    assert_eq!(read_all(&world, key.job, offset, most).await, expected);
    assert_eq!(world.store.log_head(key.job, 1).await.unwrap().bytes, log.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_log_reads_the_same_wherever_it_was_sealed(pieces in pieces(), offset in 0_u64..800, most in 1_usize..200) {
        let most = NonZeroUsize::new(most).ok_or(TestCaseError::reject("zero"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(sealed_log_reads_the_same(pieces, offset, most));
    }
}

#[tokio::test]
async fn large_logs_come_back_in_several_reads() {
    let world = World::new().await;
    let key = running(&world).await;
    let block: Vec<u8> = (0..256 * 1024).map(|n: u32| n.to_le_bytes()[0]).collect();
    for number in 0..20_u64 {
        let offset = number * block.len() as u64;
        world.store.append_log(key, offset, block.clone()).await.unwrap();
        world.store.seal_log(key, offset, block.clone()).await.unwrap();
    }
    let all = read_all(&world, key.job, 1, NonZeroUsize::MAX).await;
    assert_eq!(all.len(), 20 * block.len() - 1);
    assert_eq!(&all[..block.len() - 1], &block[1..]);
}

#[tokio::test]
async fn whole_blocks_are_compressed_at_once() {
    let world = World::new().await;
    let key = running(&world).await;
    let block = b"ok: [web1]\n".repeat(24_000)[..256 * 1024].to_vec();
    let short = block[1..].to_vec();
    let all = [block.clone(), block.clone(), short.clone()].concat();
    world.store.append_log(key, 0, all.clone()).await.unwrap();
    let at = all.len() as u64;
    world.store.append_log(key, at, short.clone()).await.unwrap();
    let database = rusqlite::Connection::open(world.path("healgate.db")).unwrap();
    let mut statement = database
        .prepare("SELECT length(data) FROM log_chunks ORDER BY start")
        .unwrap();
    let lengths = statement.query_map([], |row| row.get(0)).unwrap();
    let lengths: Vec<usize> = lengths
        .map(|length: rusqlite::Result<i64>| usize::try_from(length.unwrap()).unwrap())
        .collect();
    assert!(
        lengths[..2].iter().all(|length| *length < block.len() / 100),
        "{lengths:?}"
    );
    assert_eq!(lengths[2..], [short.len(), short.len()]);
    // What is compressed already can be sealed with what is not.
    let all = [all, short].concat();
    world.store.seal_log(key, 0, all.clone()).await.unwrap();
    assert_eq!(read_all(&world, key.job, 0, NonZeroUsize::MAX).await, all);
}

#[tokio::test]
async fn what_failed_is_found_among_any_number_of_tasks() {
    let world = World::new().await;
    let key = running(&world).await;
    let mut tasks: Vec<_> = (0..700).map(|n| task(&format!("task {n}"))).collect();
    for (number, status) in [(3, "ignored"), (690, "failed"), (695, "unreachable"), (699, "failed")] {
        tasks[number].status = status.to_owned();
    }
    world.store.record_tasks(key, 0, tasks.clone()).await.unwrap();
    let failures = world.store.failures(key.job, 1, 2).await.unwrap();
    assert_eq!(failures, [tasks[690].clone(), tasks[695].clone()]);
    assert_eq!(world.store.failures(key.job, 1, 10).await.unwrap().len(), 3);
    assert_eq!(world.store.failures(key.job, 2, 10).await.unwrap(), []);
}

#[tokio::test]
async fn tasks_come_in_order_and_in_pages() {
    let world = World::new().await;
    let key = running(&world).await;
    let tasks: Vec<_> = (0..7).map(|n| task(&format!("task {n}"))).collect();
    world.store.record_tasks(key, 0, tasks[..3].to_vec()).await.unwrap();
    world.store.record_tasks(key, 3, Vec::new()).await.unwrap();
    for elsewhere in [0, 2, 4] {
        world
            .store
            .record_tasks(key, elsewhere, tasks[..1].to_vec())
            .await
            .unwrap_err();
    }
    world.store.record_tasks(key, 3, tasks[3..].to_vec()).await.unwrap();
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = world
            .store
            .tasks(key.job, 1, PageRequest { limit: 3, after })
            .await
            .unwrap();
        assert!(page.items.len() <= 3);
        read.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(read, tasks);
    assert_eq!(world.store.failures(key.job, 1, 10).await.unwrap(), []);
    assert_eq!(world.store.tasks(key.job, 2, first(10)).await.unwrap().items, []);
    let bad = PageRequest {
        limit: 3,
        after: Some("task 1".to_owned()),
    };
    assert!(matches!(
        world.store.tasks(key.job, 1, bad).await,
        Err(StoreError::BadCursor(_))
    ));
}

#[tokio::test]
async fn a_jobs_history_comes_in_order_and_in_pages() {
    let world = World::new().await;
    let mut key = running(&world).await;
    for round in 0..2 {
        let why = format!("released {round}");
        world.store.release(key, &why, world.now()).await.unwrap();
        key = world.claim_one().await;
    }
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = world
            .store
            .job_events(key.job, PageRequest { limit: 2, after })
            .await
            .unwrap();
        read.extend(page.items.into_iter().map(|event| event.message));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let claimed = "claimed for attempt 1 by worker-1";
    assert_eq!(read[1..], [claimed, "released 0", claimed, "released 1", claimed]);
}

#[tokio::test]
async fn an_attempt_is_found_by_its_number_or_as_the_last() {
    let world = World::new().await;
    let key = running(&world).await;
    let last = world.store.find_attempt(key.job, None).await.unwrap();
    assert_eq!(last.as_ref().map(|attempt| attempt.number), Some(1));
    assert_eq!(world.store.find_attempt(key.job, Some(1)).await.unwrap(), last);
    assert_eq!(world.store.find_attempt(key.job, Some(2)).await.unwrap(), None);
    assert_eq!(world.store.find_attempt(world.unknown_job(), None).await.unwrap(), None);
}
