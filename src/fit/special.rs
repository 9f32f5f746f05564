//! The first two derivatives of ln Γ, which `libm` has not. Called by `gamma_gamma`.

/// From here on the asymptotic series give all digits.
const ASYMPTOTIC_MIN: f64 = 12.0;

/// ψ(z), the derivative of ln Γ, for z above 0 (Abramowitz and Stegun 6.3.5 and 6.3.18).
pub(super) fn digamma(z: f64) -> f64 {
    let (mut z, mut below) = (z, 0.0);
    while z < ASYMPTOTIC_MIN {
        below -= 1.0 / z;
        z += 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    let series = square
        * (1.0 / 12.0
            - square
                * (1.0 / 120.0
                    - square
                        * (1.0 / 252.0
                            - square
                                * (1.0 / 240.0
                                    - square * (1.0 / 132.0 - square * 691.0 / 32_760.0)))));
    below + libm::log(z) - 0.5 * inverse - series
}

/// ψ′(z), the second derivative of ln Γ, for z above 0 (6.4.6 and 6.4.12).
pub(super) fn trigamma(z: f64) -> f64 {
    let (mut z, mut below) = (z, 0.0);
    while z < ASYMPTOTIC_MIN {
        below += 1.0 / (z * z);
        z += 1.0;
    }
    let inverse = 1.0 / z;
    let square = inverse * inverse;
    let series = square
        * (1.0 / 6.0
            - square
                * (1.0 / 30.0
                    - square
                        * (1.0 / 42.0
                            - square
                                * (1.0 / 30.0
                                    - square * (5.0 / 66.0 - square * 691.0 / 2_730.0)))));
    below + inverse * (1.0 + 0.5 * inverse + series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivatives_agree_with_the_cephes_library() {
        for (z, first, second) in [
            (1e-6, -1_000_000.577_214_02, 1_000_000_000_001.645),
            (1e-3, -1_000.575_571_931_810_3, 1_000_001.642_533_195_9),
            (0.3, -3.502_524_222_200_133, 12.245_364_546_107_734),
            (1.0, -0.577_215_664_901_532_9, 1.644_934_066_848_226_6),
            (1.5, 0.036_489_973_978_576_52, 0.934_802_200_544_679_3),
            (5.0, 1.506_117_668_431_800_3, 0.221_322_955_737_115_33),
            (11.9, 2.433_933_536_882_537_7, 0.087_663_201_190_004_18),
            (12.0, 2.442_661_679_975_812_3, 0.086_901_872_871_768_4),
            (100.0, 4.600_161_852_738_088, 0.010_050_166_663_333_573),
            (1e6, 13.815_510_057_964_19, 1.000_000_500_000_166_7e-6),
            (1e10, 23.025_850_929_890_456, 1.000_000_000_05e-10),
        ] {
            let allowed = 2e-15 * f64::max(1.0, f64::abs(first));
            assert!((digamma(z) - first).abs() < allowed, "{z} {}", digamma(z));
            assert!((trigamma(z) / second - 1.0).abs() < 2e-15, "{z} {}", trigamma(z));
        }
    }
}
