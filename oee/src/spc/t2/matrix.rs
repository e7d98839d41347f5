//! The square root of a covariance.

/// A pivot of less than this share of a characteristic's variance is nothing but rounding.
const LEAST_PIVOT: f64 = 1e-12;

/// S = L Lᵀ, L lower triangular, row by row.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    lower: Vec<f64>,
    size: usize,
}

impl Cholesky {
    /// None where the matrix is not positive definite.
    pub(super) fn of(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let sum: f64 = (0..column).map(|k| lower[row * size + k] * lower[column * size + k]).sum();
                let rest = matrix.get(row * size + column)? - sum;
                lower[row * size + column] = if row == column {
                    let variance = matrix.get(row * size + row)?;
                    Some(rest).filter(|rest| *rest > LEAST_PIVOT * variance && *rest > 0.0)?.sqrt()
                } else {
                    rest / lower[column * size + column]
                };
            }
        }
        Some(Self { lower, size })
    }

    /// dᵀ S⁻¹ d: the squared length of L⁻¹ d.
    pub(super) fn distance(&self, deviations: &[f64]) -> f64 {
        let mut solved: Vec<f64> = Vec::with_capacity(self.size);
        for (row, deviation) in self.lower.chunks_exact(self.size).zip(deviations) {
            let sum: f64 = row.iter().zip(&solved).map(|(factor, known)| factor * known).sum();
            let pivot = row.get(solved.len()).copied().unwrap_or(1.0);
            solved.push((deviation - sum) / pivot);
        }
        solved.iter().map(|one| one * one).sum()
    }
}
