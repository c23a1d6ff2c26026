//! The id that follows one request through the visitor's, the router's and the app's logs.

use std::cell::Cell;

use hyper::header::HeaderValue;

use super::sheet;

/// Heroku's rule for an id that a client brings along: 20 to 200 of these characters.
pub(super) fn acceptable(value: &[u8]) -> bool {
    (20..=200).contains(&value.len())
        && value
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-'))
}

/// A new version 4 UUID. It has to be unique and nothing more, so the system's random source is asked once a thread.
pub(super) fn new() -> HeaderValue {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&next().to_le_bytes());
    bytes[8..].copy_from_slice(&next().to_le_bytes());
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    sheet::value(id.hyphenated().encode_lower(&mut [0; 36]))
}

thread_local! {
    static STATE: Cell<[u64; 2]> = const { Cell::new([0; 2]) };
}

/// xoroshiro128+ (Blackman and Vigna), of period 2^128 - 1.
fn next() -> u64 {
    let [a, mut b] = match STATE.get() {
        [0, 0] => seed(),
        state => state,
    };
    let result = a.wrapping_add(b);
    b ^= a;
    STATE.set([a.rotate_left(24) ^ b ^ (b << 16), b.rotate_left(37)]);
    result
}

fn seed() -> [u64; 2] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a random source, the time and place of asking still make ids differ.
        let id = uuid::Uuid::now_v7();
        bytes = *id.as_bytes();
    }
    let whole = u128::from_le_bytes(bytes);
    let low = u64::try_from(whole & u128::from(u64::MAX)).unwrap_or(1);
    let high = u64::try_from(whole >> 64).unwrap_or(1);
    [low, high | 1]
}
