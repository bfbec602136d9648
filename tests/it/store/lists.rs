//! The list of jobs: filters, pages, counts.

use healgate::domain::attempt::Outcome;
use healgate::domain::ids::JobId;
use healgate::domain::job::{JobStatus, Reason, Trigger};
use healgate::store::StoreError;
use healgate::store::read::{JobFilter, PageRequest};

use super::world::{World, firing, first, route};

/// Four jobs: one failed, one that runs, one that waits, one made by hand.
async fn four(world: &World) -> [JobId; 4] {
    let a = world
        .job_for(
            firing("a", world.now())
                .with("alertname", "DiskFull")
                .via(route("disk"), "host/a"),
        )
        .await;
    world.end(world.claim_one().await, Outcome::HostsFailed).await;
    world.pass(10);
    let b = world
        .job_for(
            firing("b", world.now())
                .with("team", "Blue")
                .via(route("nginx"), "host/b"),
        )
        .await;
    world.claim_one().await;
    world.pass(10);
    let c = world
        .job_for(firing("c", world.now()).via(route("nginx"), "host/c"))
        .await;
    world.pass(10);
    let mut manual = world.manual("host/d");
    manual.playbook = "collect".to_owned();
    [a, b, c, world.by_hand(manual).await]
}

fn only(set: impl Fn(&mut JobFilter)) -> JobFilter {
    let mut filter = JobFilter::default();
    set(&mut filter);
    filter
}

#[tokio::test]
async fn each_filter_lets_through_what_it_names_and_all_must_hold() {
    let world = World::new().await;
    let begin = world.now();
    let [a, b, c, d] = four(&world).await;
    let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let later = |seconds| Some(begin + std::time::Duration::from_secs(seconds));
    let cases: Vec<(JobFilter, Vec<JobId>)> = vec![
        (only(|_| ()), vec![d, c, b, a]),
        (only(|jobs| jobs.status = vec![JobStatus::Failed]), vec![a]),
        (
            only(|jobs| jobs.status = vec![JobStatus::Failed, JobStatus::Running]),
            vec![b, a],
        ),
        (only(|jobs| jobs.reason = vec![Reason::HostsFailed]), vec![a]),
        (only(|jobs| jobs.reason = vec![Reason::Healed]), vec![]),
        (only(|jobs| jobs.playbook = text(&["collect"])), vec![d]),
        (only(|jobs| jobs.route = text(&["nginx"])), vec![c, b]),
        (only(|jobs| jobs.target = text(&["host/a", "host/d"])), vec![d, a]),
        (only(|jobs| jobs.alertname = text(&["DiskFull"])), vec![a]),
        (only(|jobs| jobs.fingerprint = text(&["c"])), vec![c]),
        (only(|jobs| jobs.trigger = vec![Trigger::Manual]), vec![d]),
        (only(|jobs| jobs.since = later(10)), vec![d, c, b]),
        (only(|jobs| jobs.until = later(10)), vec![b, a]),
        (
            only(|jobs| (jobs.since, jobs.until) = (later(10), later(20))),
            vec![c, b],
        ),
        (
            only(|jobs| (jobs.since, jobs.status) = (later(10), vec![JobStatus::Running])),
            vec![b],
        ),
        (only(|jobs| jobs.q = text(&["diskFULL"])), vec![a]),
        (only(|jobs| jobs.q = text(&["blue", "NGINX"])), vec![c, b, a]),
        (only(|jobs| jobs.q = text(&["HOST/"])), vec![d, c, b, a]),
        (only(|jobs| jobs.q = text(&["%"])), vec![]),
        (only(|jobs| jobs.q = vec![c.to_string()]), vec![c]),
        (
            only(|jobs| (jobs.route, jobs.target) = (text(&["nginx"]), text(&["host/a"]))),
            vec![],
        ),
        (
            only(|jobs| (jobs.route, jobs.status) = (text(&["nginx"]), vec![JobStatus::Queued])),
            vec![c],
        ),
    ];
    for (filter, expected) in cases {
        let page = world.store.list_jobs(&filter, first(500)).await.unwrap();
        let found: Vec<_> = page.items.iter().map(|job| job.id).collect();
        assert_eq!((found, page.next), (expected, None), "{filter:?}");
    }
}

#[tokio::test]
async fn an_item_of_the_list_is_what_the_job_alone_is() {
    let world = World::new().await;
    four(&world).await;
    let all = world
        .store
        .list_jobs(&JobFilter::default(), first(500))
        .await
        .unwrap()
        .items;
    for job in all {
        assert_eq!(job, world.job(job.id).await);
    }
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repetition_while_new_jobs_arrive() {
    let world = World::new().await;
    let mut made = Vec::new();
    for number in 0..11 {
        made.insert(0, world.by_hand(world.manual(&format!("host/{number}"))).await);
        world.pass(i64::from(number % 3 == 0));
    }
    let since = JobFilter {
        since: Some(world.ago(3_600)),
        ..JobFilter::default()
    };
    let queued = JobFilter {
        status: vec![JobStatus::Queued, JobStatus::Failed],
        ..JobFilter::default()
    };
    for filter in [JobFilter::default(), since, queued] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = world
                .store
                .list_jobs(&filter, PageRequest { limit: 3, after })
                .await
                .unwrap();
            assert!(page.items.len() <= 3);
            listed.extend(page.items.into_iter().map(|job| job.id));
            after = page.next;
            if after.is_none() {
                break;
            }
            world.by_hand(world.manual("host/new")).await;
        }
        listed.retain(|id| made.contains(id));
        assert_eq!(listed, made, "{filter:?}");
    }
}

#[tokio::test]
async fn a_full_last_page_has_no_next_one() {
    let world = World::new().await;
    for _ in 0..4 {
        world.by_hand(world.manual("host/a")).await;
    }
    let page = world.store.list_jobs(&JobFilter::default(), first(4)).await.unwrap();
    assert_eq!((page.items.len(), page.next), (4, None));
}

#[tokio::test]
async fn a_cursor_that_no_list_made_is_refused() {
    let world = World::new().await;
    for bad in ["", "g", "1", "' OR 1=1", "0190b6a27c1e7d3a9f000123456789ab", "é\0"] {
        let page = PageRequest {
            limit: 3,
            after: Some(bad.to_owned()),
        };
        let answer = world.store.list_jobs(&JobFilter::default(), page).await;
        assert!(matches!(answer, Err(StoreError::BadCursor(_))), "{bad}");
    }
}

#[tokio::test]
async fn jobs_are_counted_by_status() {
    let world = World::new().await;
    assert_eq!(world.store.count_jobs().await.unwrap(), []);
    four(&world).await;
    let mut counts = world.store.count_jobs().await.unwrap();
    counts.sort_by_key(|count| count.status);
    let counts: Vec<_> = counts.iter().map(|count| (count.status, count.count)).collect();
    assert_eq!(
        counts,
        [(JobStatus::Queued, 2), (JobStatus::Running, 1), (JobStatus::Failed, 1)]
    );
}
