//! A database that has grown for ninety days, as benches/gateway/million makes it: upgraded, listed, pruned, and sound.

use std::sync::Arc;

use healgate::domain::job::{Job, JobStatus, Reason, Trigger};
use healgate::domain::timestamp::Timestamp;
use healgate::store::Store;
use healgate::store::read::{JobFilter, PageRequest};
use healgate::store::sqlite::{SqliteStore, check};
use healgate::store::upkeep::{Portion, Record, Upkeep};
use rusqlite::Connection;

use self::million::{DAY, DAYS, LONG_LOG, Size};
use super::world::{Heard, open};

#[path = "../../../benches/gateway/million/mod.rs"]
mod million;

const JOBS: u64 = 600;

/// The end of the history.
const UNTIL: i64 = 1_800_000_000_000_000;

struct Grown {
    folder: tempfile::TempDir,
    /// The job with the long log.
    long: String,
    store: SqliteStore,
}

impl Grown {
    async fn from_schema(schema: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = Size {
            jobs: JOBS,
            until: UNTIL,
            schema,
            long_log: LONG_LOG / 64,
        };
        let long = million::make(&folder.path().join("healgate.db"), size).unwrap();
        let store = open(folder.path(), Arc::new(Heard::default())).await.unwrap();
        Self { folder, long, store }
    }

    async fn all(&self) -> Vec<Job> {
        self.listed(&JobFilter::default(), 500).await
    }

    /// Page by page.
    async fn listed(&self, filter: &JobFilter, limit: u32) -> Vec<Job> {
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .store
                .list_jobs(filter, PageRequest { limit, after })
                .await
                .unwrap();
            jobs.extend(page.items);
            after = page.next;
            if after.is_none() {
                return jobs;
            }
        }
    }

    /// Lists would miss a job whose kind is not known.
    fn kinds_are_known(&self) {
        let connection = Connection::open(self.folder.path().join("healgate.db")).unwrap();
        let unknown: i64 = connection
            .query_row(
                "SELECT COUNT(*)
                 FROM   (SELECT route, playbook, alertname, trigger_kind FROM jobs EXCEPT SELECT * FROM job_kinds)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(unknown, 0);
    }

    /// What is indexed.
    fn names(&self) -> Vec<String> {
        self.column("SELECT kind || ' ' || name FROM search_names ORDER BY 1")
    }

    fn is_indexed(&self) -> bool {
        let distinct = "SELECT 'target ' || target FROM jobs UNION
                        SELECT 'fingerprint ' || fingerprint FROM jobs WHERE fingerprint IS NOT NULL ORDER BY 1";
        let backlog = self.column("SELECT job FROM search_backlog");
        let texts = self
            .column("SELECT CAST(id AS TEXT) FROM search_names EXCEPT SELECT CAST(rowid AS TEXT) FROM search_texts");
        backlog.is_empty() && texts.is_empty() && self.names() == self.column(distinct)
    }

    fn column(&self, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.folder.path().join("healgate.db")).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn is_sound(&self) {
        let checkup = check(&self.folder.path().join("healgate.db")).unwrap();
        assert_eq!(checkup.findings, Vec::<String>::new());
        self.kinds_are_known();
    }
}

/// Whether a job passes, as the contract says it.
fn passes(filter: &JobFilter, job: &Job) -> bool {
    let any = |wanted: &[String], value: Option<&str>| {
        wanted.is_empty() || wanted.iter().any(|wanted| Some(wanted.as_str()) == value)
    };
    let alert = job.alert.as_ref();
    (filter.status.is_empty() || filter.status.contains(&job.status))
        && (filter.reason.is_empty() || job.reason.is_some_and(|reason| filter.reason.contains(&reason)))
        && (filter.trigger.is_empty() || filter.trigger.contains(&job.trigger))
        && any(&filter.playbook, Some(&job.playbook))
        && any(&filter.route, job.route.as_deref())
        && any(&filter.target, Some(job.target.as_str()))
        && any(&filter.alertname, alert.map(|alert| alert.name()))
        && any(&filter.fingerprint, alert.map(|alert| alert.fingerprint.as_str()))
        && filter.since.is_none_or(|since| job.created_at >= since)
        && filter.until.is_none_or(|until| job.created_at <= until)
}

/// A filter with those of its ten parts that are in the set, with the values of one job or of the other.
fn filter_of(set: u32, [one, other]: [&Job; 2]) -> JobFilter {
    let wanted = |part: u32| (set >> part & 1 == 1).then_some(if part.is_multiple_of(2) { one } else { other });
    let alert = |part: u32| wanted(part).and_then(|job| job.alert.as_ref());
    JobFilter {
        status: wanted(0).map(|job| job.status).into_iter().collect(),
        reason: wanted(1).and_then(|job| job.reason).into_iter().collect(),
        playbook: wanted(2).map(|job| job.playbook.clone()).into_iter().collect(),
        route: wanted(3).and_then(|job| job.route.clone()).into_iter().collect(),
        target: wanted(4).map(|job| job.target.to_string()).into_iter().collect(),
        alertname: alert(5).map(|alert| alert.name().to_owned()).into_iter().collect(),
        fingerprint: alert(6)
            .map(|alert| alert.fingerprint.to_string())
            .into_iter()
            .collect(),
        trigger: wanted(7).map(|job| job.trigger).into_iter().collect(),
        since: wanted(8).map(|job| job.created_at),
        until: wanted(9).map(|job| job.created_at),
        q: Vec::new(),
    }
}

#[tokio::test]
async fn every_combination_of_filters_lists_just_the_jobs_that_pass_newest_first() {
    let grown = Grown::from_schema(million::steps().len()).await;
    let all = grown.all().await;
    assert_eq!(all.len(), 600);
    assert!(all.is_sorted_by_key(|job| std::cmp::Reverse((job.created_at, job.id))));
    let lost = all.iter().find(|job| job.reason == Some(Reason::Expired)).unwrap();
    let ladder = all.iter().find(|job| job.trigger == Trigger::Ladder).unwrap();
    for set in 0..1 << 10 {
        for jobs in [[&all[40], &all[40]], [&all[590], &all[20]], [lost, ladder]] {
            let filter = filter_of(set, jobs);
            let expected: Vec<_> = all
                .iter()
                .filter(|job| passes(&filter, job))
                .map(|job| job.id)
                .collect();
            let listed: Vec<_> = grown.listed(&filter, 500).await.iter().map(|job| job.id).collect();
            assert_eq!(listed, expected, "{filter:?}");
        }
    }
}

/// Whether a job has the text where it is looked for.
fn has(job: &Job, text: &str) -> bool {
    let text = text.to_lowercase();
    let labels = job
        .alert
        .as_ref()
        .map(|alert| serde_json::to_string(&alert.labels).unwrap());
    let places = [
        Some(job.playbook.clone()),
        job.route.clone(),
        Some(job.target.to_string()),
        labels,
    ];
    let is_in = places
        .iter()
        .flatten()
        .any(|place| place.to_lowercase().contains(&text));
    is_in || job.id.to_string().starts_with(&text)
}

#[tokio::test]
async fn a_text_lists_just_the_jobs_that_have_it_beside_any_other_filter() {
    let grown = Grown::from_schema(million::steps().len()).await;
    let all = grown.all().await;
    let (old, young) = (&all[590], &all[5]);
    let tail = |text: &str| text[text.len() - 3..].to_owned();
    let texts = [
        vec![old.playbook[..4].to_uppercase()],
        vec![tail(old.target.as_str())],
        vec![tail(old.target.as_str()), tail(young.target.as_str())],
        vec![old.alert.as_ref().unwrap().name().to_lowercase()],
        vec!["\"severity\":".to_owned()],
        vec![old.id.to_string()[..13].to_owned()],
        vec![old.id.to_string()],
        vec!["nowhere".to_owned()],
        vec!["%".to_owned()],
        vec!["web".to_owned(), "a\0b".to_owned()],
    ];
    let mut found = 0;
    // Nothing is indexed, some of it, all.
    for (steps, q) in [0, 1, 1_000]
        .into_iter()
        .flat_map(|steps| texts.iter().map(move |q| (steps, q)))
    {
        for _ in 0..steps {
            if !grown.store.index_texts().await.unwrap() {
                break;
            }
        }
        // None of the other filters, and each of them alone.
        for set in std::iter::once(0).chain((0..10).map(|part| 1 << part)) {
            let filter = JobFilter {
                q: q.clone(),
                ..filter_of(set, [old, old])
            };
            let expected: Vec<_> = all
                .iter()
                .filter(|job| passes(&filter, job) && q.iter().any(|text| has(job, text)))
                .map(|job| job.id)
                .collect();
            let listed: Vec<_> = grown.listed(&filter, 23).await.iter().map(|job| job.id).collect();
            assert_eq!(listed, expected, "{filter:?}");
            found += listed.len();
        }
    }
    assert!(found > 3_000, "{found}");
    assert!(grown.names().len() > 100 && grown.is_indexed());
}

#[tokio::test]
async fn several_values_of_a_filter_list_each_job_once_and_pages_leave_none_out() {
    let grown = Grown::from_schema(million::steps().len()).await;
    let all = grown.all().await;
    let targets = [&all[3], &all[3], &all[100], &all[500]].map(|job| job.target.to_string());
    for filter in [
        JobFilter {
            target: targets.to_vec(),
            ..JobFilter::default()
        },
        JobFilter {
            status: vec![JobStatus::Failed, JobStatus::Canceled],
            ..JobFilter::default()
        },
        JobFilter {
            reason: vec![Reason::Expired, Reason::Silenced, Reason::Canceled],
            ..JobFilter::default()
        },
        JobFilter::default(),
    ] {
        let expected: Vec<_> = all
            .iter()
            .filter(|job| passes(&filter, job))
            .map(|job| job.id)
            .collect();
        let listed: Vec<_> = grown.listed(&filter, 7).await.iter().map(|job| job.id).collect();
        assert_eq!(listed, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_history_is_sound_from_every_schema_and_after_its_older_half_was_removed() {
    for schema in 1..=million::steps().len() {
        let grown = Grown::from_schema(schema).await;
        grown.is_sound();
        while grown.store.index_texts().await.unwrap() {}
        assert!(grown.is_indexed());
        let head = grown.store.log_head(grown.long.parse().unwrap(), 1).await.unwrap();
        assert_eq!(head.bytes, 1 << 20);
        let before = Timestamp::from_micros(UNTIL - DAYS / 2 * DAY);
        for record in Record::ALL {
            let mut after = Some(None);
            while let Some(place) = after {
                let portion = Portion {
                    record,
                    before,
                    now: Timestamp::from_micros(UNTIL),
                    after: place,
                    most: 50,
                };
                after = grown.store.prune(portion).await.unwrap().next.map(Some);
            }
        }
        grown.is_sound();
        assert!(grown.is_indexed(), "what no job has any more is still searched for");
        let left = grown.all().await.len();
        assert!((290..360).contains(&left), "{left}");
    }
}
