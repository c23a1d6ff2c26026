//! The rate limit: a bucket of 4,500 requests, refilled steadily within an hour, as on Heroku. An account has one; whoever has
//! none shares that of the address it comes from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Requests that a full bucket holds.
const CAPACITY: f64 = 4_500.0;
/// A bucket refills by 75 a minute.
const REFILL_PER_SECOND: f64 = 75.0 / 60.0;
/// Buckets that are kept before full ones, which say nothing, are looked for and dropped.
const FEW: usize = 1024;

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    Account(Id),
    /// Somebody without an account that we know of.
    Address(IpAddr),
}

impl Asker {
    /// Whoever is at the other end. A network hands out IPv6 addresses by the 64 bits that follow its own, so they share one.
    pub fn at(peer: Option<SocketAddr>) -> Asker {
        let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        Asker::Address(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }

    fn refused(self) -> Error {
        let message = match self {
            Asker::Account(_) => {
                "Your account reached the API rate limit\nPlease wait a few minutes before making new requests"
            }
            Asker::Address(_) => {
                "Too many requests without a valid token came from your address\nPlease wait a few minutes, and send your API token with each request"
            }
        };
        Error::new(ErrorId::RateLimit, message)
    }
}

#[derive(Clone, Copy)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

impl Bucket {
    fn refilled(self, now: Timestamp) -> Bucket {
        let level = self.level + now.since(self.at).as_secs_f64() * REFILL_PER_SECOND;
        Bucket {
            level: level.min(CAPACITY),
            at: now.max(self.at),
        }
    }
}

/// One bucket for each who has asked lately. Kept in memory: a restart is generous, and no one is locked out by it.
pub struct RateLimits {
    /// `false` when the operator has switched the limit off; then every answer says that the bucket is full.
    enforced: bool,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    of: HashMap<Asker, Bucket>,
    /// How many there may be before full ones are dropped.
    most: usize,
}

impl Buckets {
    /// So that strangers from ever other addresses do not fill the memory.
    fn drop_full(&mut self, now: Timestamp) {
        if self.of.len() >= self.most {
            self.of
                .retain(|_, bucket| bucket.refilled(now).level < CAPACITY);
            self.most = FEW.max(2 * self.of.len());
        }
    }
}

impl RateLimits {
    pub fn new(enforced: bool) -> RateLimits {
        let buckets = Buckets {
            of: HashMap::new(),
            most: FEW,
        };
        RateLimits {
            enforced,
            buckets: Mutex::new(buckets),
        }
    }

    /// Takes one request out of the bucket and says how many are left. 429 when it is empty.
    pub fn take(&self, asker: Asker, now: Timestamp) -> Result<u32> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.drop_full(now);
        let bucket = buckets.of.entry(asker).or_insert(Bucket {
            level: CAPACITY,
            at: now,
        });
        *bucket = bucket.refilled(now);
        if self.enforced {
            if bucket.level < 1.0 {
                return Err(asker.refused());
            }
            bucket.level -= 1.0;
        }
        Ok(bucket.level as u32)
    }

    /// How many requests are left; asking is free.
    pub fn remaining(&self, asker: Asker, now: Timestamp) -> u32 {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.of.get(&asker);
        bucket.map_or(CAPACITY, |bucket| bucket.refilled(now).level) as u32
    }
}
