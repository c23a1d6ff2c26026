//! What a server of a test sends to others by itself: deliveries of webhooks, and the lines of drains.

use std::time::Duration;

use penstock::deliveries::{self, Deliverer};
use penstock::drains::{self, Drains};
use penstock::outbound::Outbound;
use rustls::pki_types::CertificateDer;

use super::Server;

/// An attempt that is meant to succeed takes no longer on the slowest machine. Where a receiver says nothing, the test says how long
/// it is waited for, or has it break off.
const ATTEMPT: Duration = Duration::from_secs(20);
pub(super) const DELIVERIES: deliveries::Limits = deliveries::Limits {
    at_once: 16,
    share: 8,
    attempt: ATTEMPT,
};
const DRAINS: drains::Limits = drains::Limits {
    frames: 4,
    frames_of_one: 2,
    attempt: ATTEMPT,
    first_wait: Duration::from_millis(10),
    longest_wait: Duration::from_millis(50),
    settle: Duration::from_millis(500),
    telling: Duration::ZERO,
};

impl Server {
    /// Begins the deliveries that are due, and does not wait for them.
    pub async fn deliver(&self) -> usize {
        self.deliverer.tick().await.unwrap()
    }

    /// Delivers within other limits from here on. Nothing may be under way.
    pub fn deliver_within(&mut self, change: impl FnOnce(&mut deliveries::Limits)) {
        let mut limits = DELIVERIES;
        change(&mut limits);
        self.deliverer = Deliverer::new(self.platform.clone(), limits);
    }

    /// Sends the lines of apps' logs where their drains lead from here on, and trusts these authorities.
    pub fn drain(&mut self, roots: Vec<CertificateDer<'static>>) {
        self.drain_within(roots, |_| ());
    }

    /// The same, within other limits.
    pub fn drain_within(
        &mut self,
        roots: Vec<CertificateDer<'static>>,
        change: impl FnOnce(&mut drains::Limits),
    ) {
        let mut limits = DRAINS;
        change(&mut limits);
        self.drain_by(self.platform.outbound.trusting(roots), limits);
    }

    /// The same, as a server that reaches public addresses alone.
    pub fn drain_publicly(&mut self) {
        self.drain_by(Outbound::new(false), DRAINS);
    }

    fn drain_by(&mut self, outbound: Outbound, limits: drains::Limits) {
        let drains = Drains::new(self.platform.clone(), outbound, limits);
        drains.tick().unwrap();
        self.drains = Some(tokio::spawn(async move { drains.run().await }));
    }

    /// Ends the drains in the middle of what they do, as if the server was killed.
    pub async fn stop_draining(&mut self) {
        if let Some(drains) = self.drains.take() {
            drains.abort();
            let _ = drains.await;
        }
    }
}
