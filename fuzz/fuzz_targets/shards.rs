//! Cross-entropy over shards of the classes against the loss over all of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| candor_fuzz::shards(data));
