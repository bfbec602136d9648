//! What a soak is told through the environment: how long, and which story.

/// A number of that name.
#[expect(clippy::disallowed_methods, reason = "a test's only way to be told something")]
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
