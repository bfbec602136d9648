//! The signals that end, reload or pause the gateway.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How far the end has come.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The first SIGTERM or SIGINT: nothing new begins.
    pub stopping: CancellationToken,
    /// The second one: nothing is waited for.
    pub hurry: CancellationToken,
}

/// The signals that the gateway listens to, registered before anything else is started.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// Registers the handlers; needs a running tokio runtime.
    pub fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Passes signals on until the second request to end: SIGHUP to `reload`, SIGUSR1 to `pause`, the others to `ending`.
    pub async fn pass_on(mut self, ending: Ending, reload: impl Fn(), pause: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => reload(),
                _ = self.user1.recv() => pause(),
                _ = self.terminate.recv() => advance(&ending),
                _ = self.interrupt.recv() => advance(&ending),
            }
        }
    }
}

fn advance(ending: &Ending) {
    if ending.stopping.is_cancelled() {
        tracing::warn!("asked again to stop: nothing is waited for any more");
        ending.hurry.cancel();
    } else {
        tracing::info!("asked to stop");
        ending.stopping.cancel();
    }
}
