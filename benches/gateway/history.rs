//! What a million jobs in the file cost a gateway: its start, its rest, and what people ask of it; beside one with a
//! thousand jobs, or none.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Client;
use crate::failed::Failed;
use crate::folder::Folder;
use crate::past::{Filled, JOBS, Past};
use crate::process::{Server, read};
use crate::questions;
use crate::report::{Row, Section, of, tenths};
use crate::rest::{self, Rest};
use crate::samples::Samples;

/// Counted starts of each kind.
const STARTS: usize = 10;

/// How often each combination of filters is asked for.
const ROUNDS: usize = 5;

/// How often everything else is asked for.
const ASKED: usize = 100;

/// Pages of 500 jobs that lie before the deep one: half of the history.
const DEEP: usize = 1_000;

const TAIL: usize = 64 << 10;

/// Two gateways that nobody else asks anything.
struct Pair {
    many: Server,
    few: Server,
}

/// The figures.
#[derive(Default)]
struct Figures {
    rows: Vec<Row>,
    json: serde_json::Map<String, Value>,
}

pub(crate) async fn measure(root: &Path, past: &mut Past) -> Result<Section, Failed> {
    let (many, few) = (past.newest().await?, past.few().await?);
    let mut figures = Figures::default();
    starts(&mut figures, &many.folder(root)?, &Folder::new(root)?).await?;
    let folders = (many.folder(root)?, few.folder(root)?);
    let mut pair = Pair {
        many: Server::healgate(&folders.0).await?,
        few: Server::healgate(&folders.1).await?,
    };
    figures.rest(
        &rest::look(pair.many.pid()?).await?,
        &rest::look(pair.few.pid()?).await?,
    );
    lists(&mut figures, &pair, (&many, &few)).await?;
    others(&mut figures, &pair, (&many, &few)).await?;
    deep(&mut figures, &pair.many).await?;
    figures.rest_after(&rest::look(pair.many.pid()?).await?);
    pair.many.stop().await?;
    pair.few.stop().await?;
    past.keep(many);
    Ok(Section {
        key: "history",
        title: "a million jobs",
        columns: ["1,000,000 jobs", "1,000 jobs"],
        rows: figures.rows,
        json: Value::Object(figures.json),
    })
}

impl Figures {
    fn pair(&mut self, key: &str, what: &str, [many, few]: &[Samples; 2], bound: &'static str) {
        let show = |samples: &Samples| format!("{} / {}", of(samples.median()), of(samples.percentile(99)));
        let ratio = many.percentile(99) / few.percentile(99);
        self.rows.push(
            Row::new(format!("{what}: p50 / p99, ms"), show(many))
                .beside(show(few), ratio)
                .bound(bound),
        );
        let json = |samples: &Samples| json!({ "count": samples.count(), "p50": samples.median(), "p99": samples.percentile(99) });
        self.json
            .insert(key.to_owned(), json!({ "many": json(many), "few": json(few) }));
    }

    fn rest(&mut self, many: &Rest, few: &Rest) {
        for (what, one, other, bound) in [
            ("at rest: RSS, MiB", many.rss_mib, few.rss_mib, "25"),
            ("at rest: % of a core", many.cpu_percent, few.cpu_percent, "0.2"),
            ("at rest: threads woken, 1/s", many.wakes, few.wakes, ""),
        ] {
            self.rows
                .push(Row::new(what, of(one)).beside(of(other), one / other).bound(bound));
        }
        let json = |rest: &Rest| json!({ "rss_mib": rest.rss_mib, "cpu_percent": rest.cpu_percent, "wakes_per_second": rest.wakes });
        self.json
            .insert("at_rest".to_owned(), json!({ "many": json(many), "few": json(few) }));
    }

    fn rest_after(&mut self, rest: &Rest) {
        self.rows
            .push(Row::new("after all these questions: RSS, MiB", tenths(rest.rss_mib)));
        self.json
            .insert("rss_mib_after_questions".to_owned(), json!(rest.rss_mib));
    }
}

/// From the start of the process until it listens.
async fn starts(figures: &mut Figures, many: &Folder, none: &Folder) -> Result<(), Failed> {
    let mut sides = [Samples::default(), Samples::default()];
    for number in 0..=STARTS {
        for (side, folder) in sides.iter_mut().zip([many, none]) {
            let began = Instant::now();
            let mut server = Server::healgate(folder).await?;
            let took = began.elapsed();
            server.stop().await?;
            if number > 0 {
                side.push_ms(took);
            }
        }
    }
    figures.pair(
        "start",
        "a start (beside an empty file) until it listens",
        &sides,
        "100 ms",
    );
    Ok(())
}

/// What of an answer is waited for.
#[derive(Clone, Copy)]
enum Until {
    First,
    Last,
}

/// Asks both the same, in turn. How long the answers took until their first or last bytes were there.
async fn ask(pair: &Pair, paths: [&str; 2], (times, until): (usize, Until)) -> Result<[Samples; 2], Failed> {
    let mut sides = [Samples::default(), Samples::default()];
    for _ in 0..times {
        for ((side, server), path) in sides.iter_mut().zip([&pair.many, &pair.few]).zip(paths) {
            // The server closes a connection that idles while the other one is asked.
            let mut client = Client::connect(server.address).await?;
            let began = Instant::now();
            match until {
                Until::First => client.begin(path).await?,
                Until::Last => drop(client.get(path).await?),
            }
            side.push_ms(began.elapsed());
            if matches!(until, Until::First) {
                // Or the next one would wait for what the server still reads for this one.
                client.end().await?;
            }
        }
    }
    Ok(sides)
}

async fn lists(figures: &mut Figures, pair: &Pair, (many, few): (&Filled, &Filled)) -> Result<(), Failed> {
    let questions = (questions::all(&many.path())?, questions::all(&few.path())?);
    let mut groups: Vec<(usize, &str, [Samples; 2])> = vec![
        (1, "one filter", Default::default()),
        (2, "two filters", Default::default()),
        (3, "three filters", Default::default()),
        (10, "all ten filters", Default::default()),
    ];
    let mut slowest = Vec::new();
    for (one, other) in questions.0.iter().zip(&questions.1) {
        let paths = [&one.query, &other.query].map(|query| format!("/api/v1/jobs?{query}"));
        let [many, few] = ask(pair, [&paths[0], &paths[1]], (ROUNDS, Until::Last)).await?;
        slowest.push((many.median(), one.query.clone()));
        if let Some((.., sides)) = groups.iter_mut().find(|(filters, ..)| *filters == one.filters) {
            sides[0].extend(many);
            sides[1].extend(few);
        }
    }
    let none = ask(pair, ["/api/v1/jobs"; 2], (ASKED, Until::Last)).await?;
    figures.pair("no_filter", "GET jobs", &none, "p99 10 ms");
    for (filters, name, sides) in &groups {
        figures.pair(
            &format!("filters_{filters}"),
            &format!("GET jobs, {name}"),
            sides,
            "p99 10 ms",
        );
    }
    slowest.sort_by(|one, other| other.0.total_cmp(&one.0));
    let worst = slowest.first().map_or(f64::NAN, |(took, _)| *took);
    figures.rows.push(
        Row::new(
            format!("the slowest of {} combinations: median, ms", slowest.len()),
            of(worst),
        )
        .bound("10 ms"),
    );
    slowest.truncate(20);
    figures.json.insert("slowest_combinations".to_owned(), json!(slowest));
    Ok(())
}

/// What is asked of both: its name, what it is, the paths there and here, how often, and the bound.
type Asked = (&'static str, &'static str, [String; 2], usize, &'static str);

/// Searches; the `long` job has the longest log.
fn searches(long: [&str; 2]) -> [Asked; 3] {
    let bound = "p99 10 ms";
    let jobs = |text: &str| long.map(|_| format!("/api/v1/jobs?q={text}"));
    let own = long.map(|job| format!("/api/v1/jobs?q={job}"));
    [
        (
            "search_common",
            "GET jobs, q that many jobs have",
            jobs("web"),
            ASKED,
            bound,
        ),
        ("search_id", "GET jobs, q that one job has", own, 5, bound),
        ("search_none", "GET jobs, q that no job has", jobs("nowhere"), 5, bound),
    ]
}

/// One job, and the other lists.
fn pages(long: [&str; 2]) -> [Asked; 7] {
    let bound = "p99 10 ms";
    let job = |of: &str| long.map(|job| format!("/api/v1/jobs/{job}{of}"));
    let same = |path: &str| long.map(|_| path.to_owned());
    [
        ("job", "GET a job", job(""), ASKED, bound),
        ("tasks", "GET its tasks", job("/tasks"), ASKED, bound),
        ("events", "GET its history", job("/events"), ASKED, bound),
        ("alerts", "GET alerts", same("/api/v1/alerts"), ASKED, bound),
        (
            "notifications",
            "GET notifications",
            same("/api/v1/notifications"),
            ASKED,
            bound,
        ),
        (
            "stats",
            "GET stats over 7 days",
            same("/api/v1/stats?window=7d"),
            ASKED,
            "50 ms",
        ),
        ("metrics", "GET metrics", same("/metrics"), ASKED, ""),
    ]
}

/// The console's pages, until their first bytes.
fn console(long: [&str; 2]) -> [Asked; 10] {
    let bound = "p99 20 ms";
    let same = |path: &str| long.map(|_| path.to_owned());
    [
        ("page_now", "the page of what goes on now", same("/"), ASKED, bound),
        ("page_jobs", "the page of jobs", same("/jobs"), ASKED, bound),
        (
            "page_job",
            "a job's page",
            long.map(|job| format!("/jobs/{job}")),
            ASKED,
            bound,
        ),
        ("page_alerts", "the page of alerts", same("/alerts"), ASKED, bound),
        (
            "page_stats",
            "the page of statistics over 7 days",
            same("/stats"),
            ASKED,
            bound,
        ),
        (
            "page_search",
            "the page of jobs, q that no job has",
            same("/jobs?q=nowhere"),
            ASKED,
            bound,
        ),
        (
            "page_filter",
            "the page of jobs, q and a status",
            same("/jobs?q=web&status=failed"),
            ASKED,
            bound,
        ),
        (
            "page_log",
            "the page of its log of 64 MiB",
            long.map(|job| format!("/jobs/{job}/log")),
            ASKED,
            bound,
        ),
        ("page_routes", "the page of routes", same("/routes"), ASKED, bound),
        (
            "page_notifications",
            "the page of notifications",
            same("/notifications"),
            ASKED,
            bound,
        ),
    ]
}

async fn others(figures: &mut Figures, pair: &Pair, (many, few): (&Filled, &Filled)) -> Result<(), Failed> {
    let long = [many.long.as_str(), few.long.as_str()];
    let whole = searches(long)
        .into_iter()
        .chain(pages(long))
        .map(|asked| (asked, Until::Last));
    let begun = console(long).into_iter().map(|asked| (asked, Until::First));
    for ((key, what, paths, times, bound), until) in whole.chain(begun) {
        let sides = ask(pair, [&paths[0], &paths[1]], (times, until)).await?;
        figures.pair(key, what, &sides, bound);
    }
    tails(figures, pair, (many, few)).await
}

/// The end of a long log.
async fn tails(figures: &mut Figures, pair: &Pair, (many, few): (&Filled, &Filled)) -> Result<(), Failed> {
    let mut sides = [Samples::default(), Samples::default()];
    for (side, (server, filled)) in sides.iter_mut().zip([(&pair.many, many), (&pair.few, few)]) {
        let mut client = Client::connect(server.address).await?;
        let path = format!("/api/v1/jobs/{}/log", filled.long);
        for _ in 0..ASKED {
            let began = Instant::now();
            client.tail(&path, TAIL).await?;
            side.push_ms(began.elapsed());
        }
    }
    figures.pair("tail", "the last 64 KiB of a log of 64 MiB", &sides, "10 ms");
    Ok(())
}

/// A page in the middle of the history, beside the first one.
async fn deep(figures: &mut Figures, server: &Server) -> Result<(), Failed> {
    let mut client = Client::connect(server.address).await?;
    let mut path = "/api/v1/jobs?limit=500".to_owned();
    for _ in 0..DEEP {
        let page = read(&mut client, &path).await?;
        let next = page["next_cursor"].as_str();
        let next = next.ok_or_else(|| Failed::new("go deep into the history", "it ends before"))?;
        path = format!("/api/v1/jobs?limit=500&cursor={next}");
    }
    let paths = [path.replace("limit=500", "limit=50"), "/api/v1/jobs".to_owned()];
    let mut sides = [Samples::default(), Samples::default()];
    for _ in 0..ASKED {
        for (side, path) in sides.iter_mut().zip(&paths) {
            let began = Instant::now();
            client.get(path).await?;
            side.push_ms(began.elapsed());
        }
    }
    let what = format!("a page after {} of {JOBS} jobs, beside the first", DEEP * 500);
    figures.pair("deep", &what, &sides, "p99 10 ms");
    Ok(())
}
