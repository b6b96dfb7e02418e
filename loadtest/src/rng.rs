//! Small deterministic random numbers (SplitMix64), so that a run can be repeated from its seed.
//!
//! Promises: the same seed gives the same sequence on every machine.
//! Does not: give secrets; whatever comes from here may be guessed.

/// A sequence of random numbers, fixed by its seed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform from 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform from `low` to below `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform from 0 to below `count`; 0 when that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.next_u64()) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// 32 hexadecimal digits, the shape of nginx's `$request_id`.
    pub fn request_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next_u64(), self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_range_and_reach_all_of_it() {
        let mut rng = Rng::new(3);
        let draws: Vec<f64> = (0..1000).map(|_| rng.between(5.0, 15.0)).collect();
        assert!(draws.iter().all(|draw| (5.0..15.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 5.2) && draws.iter().any(|draw| *draw > 14.8));
        let mut seen = [0; 9];
        (0..900).for_each(|_| seen[rng.below(9)] += 1);
        assert!(seen.iter().all(|times| *times > 60), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn same_seed_gives_same_request_ids() {
        let ids = |seed| {
            let mut rng = Rng::new(seed);
            (0..3).map(|_| rng.request_id()).collect::<Vec<_>>()
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert!(ids(7).iter().all(|id| id.len() == 32));
    }
}
