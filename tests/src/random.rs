//! Numbers that can be had again.

use rollback_core::time::{Clock as _, SystemClock};

/// A seeded generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Seeded from `ROLLBACK_E2E_SEED`, else from the clock. Prints the seed, so that a failure can be had again.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "the seed must be seen when a test fails")]
    pub fn from_surroundings(what: &str) -> Self {
        let given = std::env::var("ROLLBACK_E2E_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| SystemClock.now().as_microsecond().unsigned_abs());
        println!("{what}: ROLLBACK_E2E_SEED={seed}");
        Self(seed)
    }

    /// Seeded by `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own, for one thread or case.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.number() % limit }
    }

    /// Whether what happens with this probability, from 0 to 1, happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        const MILLION: u64 = 1_000_000;
        // Probabilities of tests have few digits.
        (self.below(MILLION) as f64) < probability * MILLION as f64
    }
}
