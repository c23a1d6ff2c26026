//! How many connections each address has, so that nobody can take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by all listeners.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address, until this is dropped.
pub(super) struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// `None` for an address that has as many as it may.
    pub(super) fn admit(&self, peer: IpAddr, most: usize) -> Option<Guest> {
        let address = subscriber(peer);
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Guest {
            guests: self.clone(),
            address,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Of IPv6, whoever has one address has all of its network (RFC 6177).
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Guests;

    #[test]
    fn a_network_of_ipv6_is_one_guest_who_may_come_again_after_leaving() {
        let guests = Guests::default();
        let admit = |peer: &str| {
            let peer: Option<IpAddr> = peer.parse().ok();
            peer.and_then(|peer| guests.admit(peer, 2))
        };
        let first = admit("2001:db8::1");
        let second = admit("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(admit("2001:db8::3").is_none());
        assert!(admit("2001:db8:0:1::1").is_some());
        assert!(admit("::ffff:192.0.2.1").is_some());
        drop(first);
        let third = admit("2001:db8::3");
        assert!(third.is_some());
        drop((second, third));
        assert!(guests.counts().is_empty());
    }
}
