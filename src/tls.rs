//! Which cryptography TLS works with. Chooses once for the whole process.

use rustls::crypto::ring;

/// Has everything that speaks TLS use ring. Whatever was chosen before stays.
pub fn use_ring() {
    let _chosen_before = ring::default_provider().install_default();
}
