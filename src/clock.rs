//! Where the time and new ids come from. Everything else takes them as arguments.

use std::fmt::Debug;
use std::time::SystemTime;

use uuid::{ContextV7, Uuid};

use crate::domain::ids::{EpisodeId, JobId, NotificationId};
use crate::domain::timestamp::Timestamp;

/// Says what time it is.
pub trait Clock: Debug + Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_1970.map_or(0, |duration| duration.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

/// Makes ids that sort by the time given, and in the order made within a millisecond.
#[derive(Debug, Default)]
pub struct Ids {
    context: std::sync::Mutex<ContextV7>,
}

impl Ids {
    /// A new job's id.
    pub fn job(&self, now: Timestamp) -> JobId {
        JobId::new(self.uuid(now))
    }

    /// A new notification's id.
    pub fn notification(&self, now: Timestamp) -> NotificationId {
        NotificationId::new(self.uuid(now))
    }

    /// A new episode's id.
    pub fn episode(&self, now: Timestamp) -> EpisodeId {
        EpisodeId::new(self.uuid(now))
    }

    fn uuid(&self, now: Timestamp) -> Uuid {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        let (seconds, nanos) = (micros / 1_000_000, (micros % 1_000_000) * 1_000);
        let context = self.context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let nanos = u32::try_from(nanos).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
    }
}
