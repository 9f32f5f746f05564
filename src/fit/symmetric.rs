//! Eigenvalues and eigenvectors of small symmetric matrices, by Jacobi's rotations. It knows
//! nothing of likelihoods. Called by `climb` and `verdict`.

use std::array;

/// Sweeps over all pairs; five or six are usual for four rows.
const SWEEPS_MAX: usize = 64;

/// Eigenvalues, each with its unit vector: `vectors[k]` belongs to `values[k]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eigen<const N: usize> {
    pub(super) values: [f64; N],
    pub(super) vectors: [[f64; N]; N],
}

impl<const N: usize> Eigen<N> {
    /// Of a matrix whose entries are finite; only its upper half is read.
    pub(super) fn of(matrix: &[[f64; N]; N]) -> Self {
        let mut rest = *matrix;
        let mut vectors = [[0.0; N]; N];
        for (i, vector) in vectors.iter_mut().enumerate() {
            vector[i] = 1.0;
        }
        for _ in 0..SWEEPS_MAX {
            let mut is_diagonal = true;
            for i in 0..N {
                for k in i + 1..N {
                    let negligible = f64::EPSILON * (rest[i][i] * rest[k][k]).abs().sqrt();
                    if rest[i][k].abs() > negligible {
                        is_diagonal = false;
                        rotate(&mut rest, &mut vectors, i, k);
                    }
                }
            }
            if is_diagonal {
                break;
            }
        }
        let mut values = [0.0; N];
        for (i, value) in values.iter_mut().enumerate() {
            *value = rest[i][i];
        }
        Self { values, vectors }
    }
}

/// Makes the entry (i, k) zero, and the sum of squares beside the diagonal smaller.
fn rotate<const N: usize>(
    rest: &mut [[f64; N]; N],
    vectors: &mut [[f64; N]; N],
    i: usize,
    k: usize,
) {
    let half_cotangent = (rest[k][k] - rest[i][i]) / (2.0 * rest[i][k]);
    let root = (1.0 + half_cotangent * half_cotangent).sqrt();
    let tangent = half_cotangent.signum() / (half_cotangent.abs() + root);
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = tangent * cosine;
    let shift = tangent * rest[i][k];
    rest[i][i] -= shift;
    rest[k][k] += shift;
    rest[i][k] = 0.0;
    for j in (0..N).filter(|j| *j != i && *j != k) {
        let at = |one: usize, other: usize| (one.min(other), one.max(other));
        let (first, second) = (at(i, j), at(k, j));
        let (one, other) = (rest[first.0][first.1], rest[second.0][second.1]);
        rest[first.0][first.1] = cosine * one - sine * other;
        rest[second.0][second.1] = sine * one + cosine * other;
    }
    let (one, other) = (vectors[i], vectors[k]);
    vectors[i] = array::from_fn(|j| cosine * one[j] - sine * other[j]);
    vectors[k] = array::from_fn(|j| sine * one[j] + cosine * other[j]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_and_vectors_make_the_matrix_again(
            entries in proptest::array::uniform10(-1e3_f64..1e3),
            scales in proptest::array::uniform4(-4_i32..5),
        ) {
            let mut matrix = [[0.0; 4]; 4];
            let mut entries = entries.into_iter();
            for i in 0..4 {
                for k in i..4 {
                    let scale = 10_f64.powi(scales[i]) * 10_f64.powi(scales[k]);
                    matrix[i][k] = entries.next().unwrap() * scale;
                    matrix[k][i] = matrix[i][k];
                }
            }
            let Eigen { values, vectors } = Eigen::of(&matrix);
            let size = values.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
            for i in 0..4 {
                for k in 0..4 {
                    let again: f64 =
                        (0..4).map(|j| values[j] * vectors[j][i] * vectors[j][k]).sum();
                    prop_assert!((again - matrix[i][k]).abs() <= 1e-13 * size, "{matrix:?}");
                    let product: f64 = (0..4).map(|j| vectors[i][j] * vectors[k][j]).sum();
                    let expected = if i == k { 1.0 } else { 0.0 };
                    prop_assert!((product - expected).abs() < 1e-13);
                }
            }
        }
    }
}
