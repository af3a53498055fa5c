//! Random cases without a fuzzer, for machines without a nightly toolchain:
//! `cargo run --release --manifest-path fuzz/Cargo.toml --bin random_cases -- CASES [SEED]`.
//!
//! Runs so many cases of each target from random bytes and prints the count; a wrong result panics with its case.

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (Some(Ok(cases)), seed) = (arguments.next(), arguments.next()) else {
        eprintln!("random_cases CASES [SEED]: two numbers");
        std::process::exit(2);
    };
    let mut state = seed.and_then(Result::ok).unwrap_or(1);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut data = Vec::new();
    for case in 0..cases {
        data.clear();
        let words = 2 + next() % 40;
        data.extend((0..words).flat_map(|_| next().to_le_bytes()));
        candor_fuzz::cross_entropy(&data);
        candor_fuzz::shards(&data);
        if (case + 1) % 1_000_000 == 0 {
            println!("{} cases of each target", case + 1);
        }
    }
    println!("{cases} cases of each target, all right");
}
