//! Chance that can be repeated: SplitMix64 from a seed.

pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) const fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let count = u64::try_from(items.len()).unwrap();
        items[usize::try_from(self.below(count)).unwrap()]
    }

    /// Mostly one of the last few, so that commands concern what other commands have just made.
    pub(crate) fn pick_recent<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let from = if self.percent(85) { items.len().saturating_sub(3) } else { 0 };
        if items.is_empty() { None } else { Some(self.pick(&items[from..])) }
    }
}
