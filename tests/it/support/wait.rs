//! Waits for conditions, with a limit and a message.

use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for a cold Ansible on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Looks until there is something; panics with `what` when the limit is over.
pub(crate) async fn until<T, F, Fut>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let give_up = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "waited {LIMIT:?} in vain until {what}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
