//! The vector kernels of cross-entropy against the formula in double precision.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| candor_fuzz::cross_entropy(data));
