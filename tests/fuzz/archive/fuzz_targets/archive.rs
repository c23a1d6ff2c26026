//! For cargo-fuzz: libFuzzer makes the bytes up.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| penstock_fuzz::archive(bytes));
