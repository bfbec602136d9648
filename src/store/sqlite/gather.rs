//! Gathers the notifications that arrive while the writer is busy, and has them decided and stored together: a storm of
//! small notifications costs the writer as few statements as one large one.
//!
//! One that is alone goes at once. What cannot be stored together is stored one by one, so that nobody pays for another.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::decision::Decision;
use crate::store::StoreError;
use crate::store::sqlite::accept::{Accept, Post};
use crate::store::sqlite::writer::Commands;

/// Notifications that may wait. A full queue makes senders wait, and Alertmanager's own time-out bounds that.
const QUEUE: usize = 1024;

/// Notifications that are stored together.
const TOGETHER: usize = 256;

/// Alerts that are stored together, unless one notification alone has more.
const ALERTS: usize = 1024;

type Answer = Result<Vec<Decision>, StoreError>;

struct Waiting {
    post: Arc<Post>,
    reply: oneshot::Sender<Answer>,
}

/// Takes notifications.
#[derive(Debug)]
pub(super) struct Gatherer {
    queue: mpsc::Sender<Waiting>,
}

impl Gatherer {
    /// It ends when it is gone, and all that it took is answered.
    pub(super) fn start(commands: Commands) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(gather(waiting, commands));
        Self { queue }
    }

    /// Stores a notification with all that it causes; answers when that is on disk.
    pub(super) async fn accept(&self, post: Post) -> Answer {
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        let post = Arc::new(post);
        self.queue.send(Waiting { post, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn gather(mut queue: mpsc::Receiver<Waiting>, commands: Commands) {
    let mut waiting = Vec::with_capacity(TOGETHER);
    while queue.recv_many(&mut waiting, TOGETHER).await > 0 {
        let mut rest = waiting.drain(..).peekable();
        while let Some(first) = rest.next() {
            let mut alerts = first.post.alerts();
            let mut together = vec![first];
            while let Some(next) = rest.next_if(|next| {
                alerts += next.post.alerts();
                alerts <= ALERTS && next.post.agrees(&together[0].post)
            }) {
                together.push(next);
            }
            store(&commands, together).await;
        }
    }
}

async fn store(commands: &Commands, together: Vec<Waiting>) {
    let posts = together.iter().map(|waiting| Arc::clone(&waiting.post)).collect();
    match commands.write(Accept(posts)).await {
        Ok(decisions) => {
            for (waiting, decisions) in together.into_iter().zip(decisions) {
                // A sender that has gone away needs no answer.
                let _ = waiting.reply.send(Ok(decisions));
            }
        }
        // The mistake may be in one of them. Where nothing can be written at all, each would fail in the same way.
        Err(StoreError::Database(_)) if together.len() > 1 => {
            for waiting in together {
                let alone = commands.write(Accept(vec![Arc::clone(&waiting.post)])).await;
                let answer = alone.map(|mut decisions| decisions.pop().unwrap_or_default());
                let _ = waiting.reply.send(answer);
            }
        }
        Err(error) => {
            for waiting in together {
                let _ = waiting.reply.send(Err(error.clone()));
            }
        }
    }
}
