//! The members of a cluster: who is asked, and for how long is waited for whom, so that one that hangs holds up nothing
//! that another one knows. Reads no answer's meaning.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout_at};

use crate::peers::PeerError;
use crate::peers::client::PeerClient;

/// How long a member that did not answer in time is left out while another one answers.
const LEFT_OUT: Duration = Duration::from_secs(30);

/// How long is waited for one that was left out, once all others have answered.
const TRIAL: Duration = Duration::from_secs(1);

/// How long is waited for the others once enough is known.
const ENOUGH: Duration = Duration::from_millis(200);

/// All of them.
#[derive(Debug)]
pub(super) struct Members(Vec<Arc<Member>>);

#[derive(Debug)]
struct Member {
    client: Arc<PeerClient>,
    /// Set from when it did not answer in time until it answers: not before then is it asked again.
    left_out_until: Mutex<Option<Instant>>,
}

/// What members said.
#[derive(Debug)]
pub(super) struct Said<T> {
    pub(super) answers: Vec<T>,
    pub(super) failures: Vec<PeerError>,
}

impl Members {
    pub(super) fn new(clients: impl Iterator<Item = PeerClient>) -> Self {
        let member = |client| {
            Arc::new(Member {
                client: Arc::new(client),
                left_out_until: Mutex::new(None),
            })
        };
        Self(clients.map(member).collect())
    }

    /// The answer of the first member that gives one. Those that hang come last.
    pub(super) async fn any<'a, T, F>(&'a self, ask: impl Fn(&'a PeerClient) -> F) -> Result<T, PeerError>
    where
        F: Future<Output = Result<T, PeerError>>,
    {
        let mut members: Vec<&Arc<Member>> = self.0.iter().collect();
        members.sort_by_key(|member| member.hangs());
        let mut last = PeerError::Unanswered {
            peer: "Alertmanager".to_owned(),
            why: "none is configured".to_owned(),
        };
        for member in members {
            let answer = ask(&member.client).await;
            member.note(&answer);
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The answers of all members, as far as they come in time. Nobody is waited for long once that is enough.
    pub(super) async fn all<T, F>(
        &self,
        ask: impl Fn(Arc<PeerClient>) -> F,
        is_enough: impl Fn(&[T]) -> bool,
    ) -> Said<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let now = Instant::now();
        let (left_out, asked): (Vec<_>, Vec<_>) = self.0.iter().partition(|member| member.is_left_out(now));
        let mut said = hear(&asked, &ask, &is_enough).await;
        if said.answers.is_empty() && !left_out.is_empty() {
            let more = hear(&left_out, &ask, &is_enough).await;
            said.answers.extend(more.answers);
            said.failures.extend(more.failures);
        }
        said
    }
}

/// Asks these side by side. Who is not waited for is listened to all the same, for the next time.
async fn hear<T, F>(
    members: &[&Arc<Member>],
    ask: &impl Fn(Arc<PeerClient>) -> F,
    is_enough: &impl Fn(&[T]) -> bool,
) -> Said<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PeerError>> + Send + 'static,
{
    let mut said = Said {
        answers: Vec::new(),
        failures: Vec::new(),
    };
    let members: Vec<_> = members.iter().map(|member| (member, member.hangs())).collect();
    let mut waited_for = members.iter().filter(|(_, hung)| !hung).count();
    let mut asked: FuturesUnordered<_> = members
        .iter()
        .map(|(member, hung)| member.ask(ask(Arc::clone(&member.client)), *hung))
        .collect();
    let mut deadline = None;
    while let Some(heard) = next_until(&mut asked, deadline).await {
        match heard {
            // The task was ended with the runtime, or has panicked; neither is an answer.
            Err(_) => {}
            Ok(Heard { answer, hung }) => {
                waited_for = waited_for.saturating_sub(usize::from(!hung));
                match answer {
                    Ok(answer) => said.answers.push(answer),
                    Err(error) => said.failures.push(error),
                }
            }
        }
        let more = match said.answers.as_slice() {
            [] => None,
            answers if is_enough(answers) => Some(ENOUGH),
            _ if waited_for == 0 => Some(TRIAL),
            _ => None,
        };
        let sooner = more.map(|more| Instant::now() + more);
        deadline = [deadline, sooner].into_iter().flatten().min();
    }
    said
}

async fn next_until<T>(
    asked: &mut FuturesUnordered<JoinHandle<T>>,
    deadline: Option<Instant>,
) -> Option<Result<T, JoinError>> {
    match deadline {
        None => asked.next().await,
        Some(deadline) => timeout_at(deadline, asked.next()).await.ok().flatten(),
    }
}

/// What one member said.
struct Heard<T> {
    answer: Result<T, PeerError>,
    /// It did when it was asked.
    hung: bool,
}

impl Member {
    /// Asks it beside everything else, also when nobody waits for that any more. `hung`: it did before.
    fn ask<T, F>(self: &Arc<Self>, asking: F, hung: bool) -> JoinHandle<Heard<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PeerError>> + Send + 'static,
    {
        let member = Arc::clone(self);
        if hung {
            // One trial is enough.
            member.leave_out();
        }
        tokio::spawn(async move {
            let answer = asking.await;
            member.note(&answer);
            Heard { answer, hung }
        })
    }

    /// Whether its last answer did not come in time.
    fn hangs(&self) -> bool {
        self.lock().is_some()
    }

    fn is_left_out(&self, now: Instant) -> bool {
        self.lock().is_some_and(|until| now < until)
    }

    fn note<T>(&self, answer: &Result<T, PeerError>) {
        match answer {
            Err(PeerError::TimedOut { .. }) => self.leave_out(),
            // An error is an answer, too, and comes at once.
            Ok(_) | Err(PeerError::Unanswered { .. } | PeerError::Refused { .. } | PeerError::Unusable { .. }) => {
                *self.lock() = None;
            }
        }
    }

    fn leave_out(&self) {
        *self.lock() = Some(Instant::now() + LEFT_OUT);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.left_out_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
