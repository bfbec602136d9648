//! The process between the gateway and one playbook: starts it, keeps its log, ends it when it must end, and writes down
//! how it ended. Outlives the gateway on purpose; has one thread, and no tokio. Never touches the store.

pub(super) mod guard;
mod mask;
pub(super) mod masters;
mod output;
pub(super) mod play;
mod stdio;
pub(super) mod stop;
pub(super) mod tree;
mod wake;
pub(super) mod wakes;

use std::fs;
use std::io::{self, Write, stderr};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait};

use crate::ansible::host::guard::Guard;
use crate::ansible::host::mask::Mask;
use crate::ansible::host::masters::dismiss;
use crate::ansible::host::output::Output;
use crate::ansible::host::play::{Play, outlive_signals_to_the_gateway};
use crate::ansible::host::stop::{Stopping, end_remains};
use crate::ansible::host::tree::Doomed;
use crate::ansible::host::wake::Sleeper;
use crate::ansible::host::wakes::{Wakes, Woken};
use crate::ansible::rundir::{
    How, Order, Reserved, RunDir, STATUS_BYTES, Status, Stop, StopKind, lock_file, names, try_lock,
};
use crate::ansible::warm::request::tell_start;
use crate::clock::Clock;
use crate::domain::attempt::Start;
use crate::domain::span::Span;
use crate::domain::timestamp::Timestamp;

const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);

/// How often to try to write the status on a disk that is full, a second apart.
const STATUS_TRIES: u32 = 60;

/// What a host is started with.
#[derive(Clone, Copy, Debug)]
pub struct Summons<'a> {
    /// The run directory.
    pub dir: &'a Path,
    /// Must be the one in the directory's run.json.
    pub ticket: &'a str,
    /// A play that waits to be told what it is to become: the pid of a child of this process, which a warm interpreter
    /// forked. Standard input is the link to it, standard output the line to the gateway.
    pub play: Option<i32>,
    /// Why there is none.
    pub cold_because: &'a str,
}

/// Runs the playbook of that directory to its end. An error means that nothing was begun.
pub fn run(summons: &Summons<'_>, clock: &dyn Clock) -> io::Result<()> {
    let Summons { dir, ticket, .. } = *summons;
    let (sleeper, line) = match summons.play {
        Some(play) => wake::take(play).map(|(sleeper, line)| (Some(sleeper), Some(line)))?,
        None => (None, None),
    };
    // Its own session: no signal from the gateway's terminal or group reaches a run. Fails only if it is one already.
    let _ = setsid();
    // What a task leaves behind becomes ours, so that a stop finds it.
    set_child_subreaper(Some(getpid()))?;
    let run = RunDir::at(dir);
    let lock = lock_file(dir)?;
    let order = run.order()?;
    if order.ticket != ticket {
        // Another host is to have the run, and must not meet us at its lock, nor read what we say.
        return Ok(());
    }
    if !try_lock(&lock)? {
        return Err(io::Error::other(
            "another host has this run, or the gateway has given it up",
        ));
    }
    // A directory that was made anew has another lock: ours would guard nothing.
    let is_current = fs::metadata(run.file("host.lock"))?.ino() == lock.metadata()?.ino();
    if !is_current || run.file("abandoned").exists() || run.file("status.json").exists() {
        return Err(io::Error::other("this run is over, or the gateway has given it up"));
    }
    let reserved = Reserved::reserve(dir, "status.json", STATUS_BYTES)?;
    let wakes = Wakes::new(dir)?;
    outlive_signals_to_the_gateway()?;
    let status = match run.stop_requested()? {
        Some(stop) => not_begun(&run, &order, stop, clock.now()),
        None => {
            let origin = Origin {
                sleeper,
                line: line.as_ref(),
                cold_because: summons.cold_because,
            };
            Host::supervise((run, order), origin, wakes, clock)
        }
    };
    publish(&reserved, &status)
    // Here the line ends, and with it the gateway knows.
}

/// The disk may be full for a while: how a run ended is worth waiting for.
fn publish(reserved: &Reserved, status: &Status) -> io::Result<()> {
    let bytes = serde_json::to_vec(status)?;
    let mut result = reserved.publish(&bytes);
    for _ in 1..STATUS_TRIES {
        if result.is_ok() {
            break;
        }
        wakes::pause(Duration::from_secs(1));
        result = reserved.publish(&bytes);
    }
    result
}

/// A stop that came first keeps the playbook from beginning; the log says so.
fn not_begun(run: &RunDir, order: &Order, stop: Stop, now: Timestamp) -> Status {
    let line = stop_line(&stop, order);
    let totals = Output::create(run.path(), order.log_cap).map(|output| output.finish(&[line]));
    Status {
        log_bytes: totals.map_or(0, |totals| totals.bytes),
        ..ended_at_once(How::NotStarted, Some(stop), now)
    }
}

fn ended_at_once(how: How, stopped: Option<Stop>, now: Timestamp) -> Status {
    Status {
        how,
        stopped,
        started_at: now,
        finished_at: now,
        took: None,
        log_bytes: 0,
        log_truncated: false,
        log_lost: 0,
        killed: Vec::new(),
        start: None,
    }
}

/// Where the playbook may come from.
struct Origin<'a> {
    sleeper: Option<Sleeper>,
    line: Option<&'a UnixStream>,
    cold_because: &'a str,
}

/// A playbook under way.
struct Host<'a> {
    run: RunDir,
    order: Order,
    clock: &'a dyn Clock,
    wakes: Wakes,
    output: Output,
    play: Play,
    guard: Option<Guard>,
    start: Start,
    began: Instant,
    deadline: Instant,
    ended: Option<How>,
    stopping: Option<Stopping>,
}

impl<'a> Host<'a> {
    fn supervise((run, order): (RunDir, Order), origin: Origin<'_>, wakes: Wakes, clock: &'a dyn Clock) -> Status {
        let (started_at, began) = (clock.now(), Instant::now());
        let (output, play, start) = match begin(&run, &order, origin, started_at) {
            Ok(begun) => begun,
            Err(error) => {
                let message = error.to_string();
                return Status {
                    start: run.start(),
                    ..ended_at_once(How::StartFailed { message }, None, clock.now())
                };
            }
        };
        // Only now, as it must not delay the play.
        let guard = Guard::start(&run, play.output());
        if let Err(error) = &guard {
            let _ = writeln!(stderr(), "healgate run-host: no guard for this run: {error}");
        }
        let now = Instant::now();
        // No limit can be too long to hold.
        let deadline = now.checked_add(order.time_limit).unwrap_or(now + LONGEST_WAIT);
        let mut host = Self {
            run,
            order,
            clock,
            wakes,
            output,
            play,
            guard: guard.ok(),
            start,
            began,
            deadline,
            ended: None,
            stopping: None,
        };
        let how = host.until_the_end();
        host.conclude(how, started_at)
    }

    fn until_the_end(&mut self) -> How {
        loop {
            let woken = self.wakes.wait(self.play.output(), self.timeout());
            if woken.output {
                self.play.copy_output(&mut self.output);
            }
            if woken.child {
                self.reap();
            }
            self.look_for_stops(&woken);
            if let Some(stopping) = &mut self.stopping {
                stopping.step(&self.run, self.ended.is_none(), woken.child);
            }
            let is_over = self.stopping.as_ref().is_none_or(Stopping::is_over);
            if let Some(how) = self.ended.take_if(|_| is_over) {
                return how;
            }
        }
    }

    fn timeout(&self) -> Duration {
        let stop = self.stopping.as_ref().map(Stopping::pace);
        stop.unwrap_or_else(|| self.deadline.saturating_duration_since(Instant::now()))
    }

    /// Every child that ended: the play, and orphans that came to us.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.play.pid() {
                self.ended = Some(how_of(status));
            }
        }
    }

    fn look_for_stops(&mut self, woken: &Woken) {
        let asked = if woken.directory {
            self.run.stop_requested().ok().flatten()
        } else {
            None
        };
        match (&self.stopping, asked) {
            (Some(_), _) => {}
            (None, Some(stop)) => self.stop(stop),
            (None, None) if woken.terminated => self.stop(self.own_stop(StopKind::Shutdown)),
            (None, None) if Instant::now() >= self.deadline => self.stop(self.own_stop(StopKind::TimeLimit)),
            (None, None) => {}
        }
    }

    fn own_stop(&self, kind: StopKind) -> Stop {
        Stop {
            by: "healgate".to_owned(),
            kind,
            at: self.clock.now(),
        }
    }

    fn stop(&mut self, stop: Stop) {
        // A play that has ended by itself was not stopped.
        if self.ended.is_none() {
            let now = Instant::now();
            self.stopping = Some(Stopping::begin(stop, &self.order, self.doomed(), self.play.pid(), now));
        }
    }

    fn doomed(&self) -> Doomed {
        let guard = self.guard.as_ref().and_then(Guard::identity);
        Doomed::new(raw(getpid()), raw(self.play.pid()), guard, &self.order)
    }

    fn conclude(mut self, how: How, started_at: Timestamp) -> Status {
        // A stop has ended them with all the rest.
        if self.stopping.is_none() {
            dismiss(&self.order.sockets);
        }
        let dead = match how {
            How::Signaled { .. } if self.stopping.is_none() => end_remains(&self.run, self.doomed()),
            _ => Vec::new(),
        };
        self.play.copy_rest(&mut self.output);
        let (stopped, killed, lines) = match self.stopping {
            Some(stopping) => {
                let lines = last_words(&stopping, &self.order);
                let (stop, killed) = stopping.into_parts();
                (Some(stop), killed, lines)
            }
            None if dead.is_empty() => (None, dead, Vec::new()),
            None => {
                let line = format!("ansible-playbook died; killed {}", names(&dead));
                (None, dead, vec![line])
            }
        };
        let totals = self.output.finish(&lines);
        Status {
            how,
            stopped,
            started_at,
            finished_at: self.clock.now(),
            took: Some(self.began.elapsed()),
            log_bytes: totals.bytes,
            log_truncated: totals.truncated,
            log_lost: totals.lost,
            killed,
            start: Some(self.start),
        }
    }
}

/// Everything that must be on disk before the playbook may begin, and then the playbook.
fn begin(run: &RunDir, order: &Order, origin: Origin<'_>, now: Timestamp) -> io::Result<(Output, Play, Start)> {
    let (env, secrets) = order.secrets.resolve(&order.env)?;
    let mask = Mask::new(&secrets.forms()).map_err(io::Error::other)?;
    let output = Output::create(run.path(), order.log_cap)?.masked(mask);
    let mut because = origin.cold_because.to_owned();
    if let Some(sleeper) = origin.sleeper {
        match sleeper.prepare(order, &env) {
            Ok(prepared) => {
                run.may_begin(now, &Start::Warm)?;
                match prepared.go() {
                    Ok(play) => {
                        tell(origin.line, &Start::Warm);
                        return Ok((output, play, Start::Warm));
                    }
                    Err(why) => because = why,
                }
            }
            Err(why) => because = why,
        }
    }
    let start = Start::cold(&because);
    run.may_begin(now, &start)?;
    tell(origin.line, &start);
    let play = Play::start(order, &env)?;
    Ok((output, play, start))
}

fn tell(line: Option<&UnixStream>, start: &Start) {
    if let Some(line) = line {
        tell_start(line, start);
    }
}

fn how_of(status: WaitStatus) -> How {
    match status.terminating_signal() {
        Some(signal) => How::Signaled { signal },
        None => How::Exited {
            code: status.exit_status().unwrap_or(-1),
        },
    }
}

/// What the end of the log says about a stop.
fn last_words(stopping: &Stopping, order: &Order) -> Vec<String> {
    let mut lines = vec![stop_line(stopping.stop(), order)];
    for (what, processes) in [("killed", stopping.killed()), ("may not end", stopping.out_of_reach())] {
        if !processes.is_empty() {
            lines.push(format!("{what} {}", names(processes)));
        }
    }
    lines
}

fn stop_line(stop: &Stop, order: &Order) -> String {
    let Stop { by, kind, at, .. } = stop;
    match kind {
        StopKind::TimeLimit => {
            let limit = Span::from_secs(order.time_limit.as_secs());
            format!("stopped by {by} at {at}: the time limit of {limit} was over")
        }
        StopKind::Cancel | StopKind::Resolved | StopKind::Shutdown => {
            format!("stopped by {by} ({}) at {at}", kind.as_str())
        }
    }
}

/// A pid as /proc writes it.
fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
