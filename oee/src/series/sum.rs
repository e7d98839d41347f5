//! A sum that does not lose small terms.

/// Compensated sum: what each addition rounds off is summed beside it, without a branch.
///
/// Source: Ogita, Rump, Oishi, "Accurate Sum and Dot Product", SIAM J. Sci. Comput. 26(6), 2005: Sum2, with Knuth's
/// TwoSum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    #[inline]
    pub(super) fn add(&mut self, term: f64) {
        let sum = self.high + term;
        let added = sum - self.high;
        self.low += (self.high - (sum - added)) + (term - added);
        self.high = sum;
    }

    /// Not finite where a term or the sum was not.
    pub(super) fn value(&self) -> f64 {
        self.high + self.low
    }
}
