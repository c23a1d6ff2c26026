//! The rate limit: a bucket of 4,500 requests an account, refilled steadily within an hour, as on Heroku.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Requests that a full bucket holds.
const CAPACITY: f64 = 4_500.0;
/// A bucket refills by 75 a minute.
const REFILL_PER_SECOND: f64 = 75.0 / 60.0;

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

/// One bucket for each account that has asked lately. Kept in memory: a restart is generous, and no one is locked out by it.
pub struct RateLimits {
    /// `false` when the operator has switched the limit off; then every answer says that the bucket is full.
    enforced: bool,
    buckets: Mutex<HashMap<Id, Bucket>>,
}

impl RateLimits {
    pub fn new(enforced: bool) -> RateLimits {
        RateLimits {
            enforced,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request out of the account's bucket and says how many are left. 429 when it is empty.
    pub fn take(&self, account: Id, now: Timestamp) -> Result<u32> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(account).or_insert(Bucket {
            level: CAPACITY,
            at: now,
        });
        *bucket = bucket.refilled(now);
        if self.enforced {
            if bucket.level < 1.0 {
                return Err(Error::new(
                    ErrorId::RateLimit,
                    "Your account reached the API rate limit\nPlease wait a few minutes before making new requests",
                ));
            }
            bucket.level -= 1.0;
        }
        Ok(bucket.level as u32)
    }

    /// How many requests the account has left; asking is free.
    pub fn remaining(&self, account: Id, now: Timestamp) -> u32 {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get(&account)
            .map_or(CAPACITY, |bucket| bucket.refilled(now).level) as u32
    }
}
