//! Plans: the power of a design, the gap that it can detect, and the clusters that would settle a question.

use statrs::function::gamma::ln_gamma;

use super::student::{normal_cdf, normal_quantile, t_quantile};

/// Power that "detectable" stands for.
pub const POWER: f64 = 0.8;

/// Steps of the quadrature over the standard error's distribution: the power is good to 1e-9 from 2 degrees of freedom.
const STEPS: usize = 512;

/// Power of the two-sided t test at `alpha` when the true mean is `shift` standard errors from 0.
///
/// Noncentral t: P(|T| > t_crit) = ∫ [Φ(δ − t s) + Φ(−δ − t s)] f(s) ds with s = χ_df / √df (Johnson, Kotz &
/// Balakrishnan 1995, ch. 31).
pub fn t_power(shift: f64, df: f64, alpha: f64) -> f64 {
    power_at(shift, t_quantile(1.0 - 0.5 * alpha, df), &error_distribution(df))
}

/// Power of the one-sided t test at `alpha`, which rejects for large means, when the true mean is `shift` standard errors
/// above 0: P(T > t_crit) = ∫ Φ(δ − t s) f(s) ds.
pub fn t_power_one_sided(shift: f64, df: f64, alpha: f64) -> f64 {
    let critical = t_quantile(1.0 - alpha, df);
    error_distribution(df).iter().map(|&(s, weight)| weight * normal_cdf(shift - critical * s)).sum()
}

/// Clusters at which the two-sided t test at `alpha` finds an effect of `d_z` standard deviations with probability
/// `power`: the real n of [`t_power`]`(|d_z| √n, n − 1, alpha) = power`, to be rounded up; at least 2.
///
/// `None` when `d_z` is 0 or not finite: no number finds nothing.
pub fn clusters_for_power(d_z: f64, alpha: f64, power: f64) -> Option<f64> {
    if d_z == 0.0 || !d_z.is_finite() {
        return None;
    }
    let reached = |n: f64| t_power(d_z.abs() * n.sqrt(), n - 1.0, alpha) >= power;
    least(2.0, 1e-9, reached)
}

/// The normal approximation of [`clusters_for_power`], ((z₁₋ₐ⸝₂ + z_power) / d_z)²: two clusters too few at 34.
pub fn clusters_for_power_normal(d_z: f64, alpha: f64, power: f64) -> Option<f64> {
    let n = (reach(alpha, power) / d_z).powi(2);
    n.is_finite().then_some(n)
}

/// The normal approximation of [`minimum_detectable_effect`], (z₁₋ₐ⸝₂ + z_power) · se; 2 % too small at 59 clusters.
pub fn minimum_detectable_effect_normal(se: f64, alpha: f64, power: f64) -> f64 {
    reach(alpha, power) * se
}

fn reach(alpha: f64, power: f64) -> f64 {
    normal_quantile(1.0 - 0.5 * alpha) + normal_quantile(power)
}

/// Chance that two one-sided t tests at `alpha` put a mean whose true value is `gap` inside ±`margin`, which is that of a
/// 1 − 2 alpha interval inside it.
///
/// ∫ [Φ((m − g)/se − t s) − Φ(−(m + g)/se + t s)]₊ f(s) ds with s = χ_df/√df (Phillips 1990), not the normal approximation.
/// 1 or 0 when `se` is 0.
pub fn equivalence_power(se: f64, df: f64, gap: f64, margin: f64, alpha: f64) -> f64 {
    if se == 0.0 {
        return f64::from(u8::from(gap.abs() < margin));
    }
    let critical = t_quantile(1.0 - alpha, df);
    let (upper, lower) = ((margin - gap) / se, -(margin + gap) / se);
    // Beyond, the interval is wider than the margin's, whatever the mean.
    let widest = margin / (critical * se);
    error_distribution_to(df, widest)
        .iter()
        .map(|&(s, weight)| weight * (normal_cdf(upper - critical * s) - normal_cdf(lower + critical * s)).max(0.0))
        .sum()
}

/// The normal approximation of [`equivalence_power`].
pub fn equivalence_power_normal(se: f64, gap: f64, margin: f64, alpha: f64) -> f64 {
    let z = normal_quantile(1.0 - alpha);
    (normal_cdf((margin - gap) / se - z) - normal_cdf(z - (margin + gap) / se)).max(0.0)
}

/// The smallest margin inside which a true gap of 0 is put with probability `power`, in the unit of `se`.
pub fn margin_for_equivalence(se: f64, df: f64, alpha: f64, power: f64) -> Option<f64> {
    let margin = least(0.0, 1e-9, |margin| equivalence_power(1.0, df, 0.0, margin, alpha) >= power)?;
    Some(margin * se)
}

/// The least number from `low` on for which `holds`, to a relative `precision`; `holds` must stay true once it is.
pub(super) fn least(low: f64, precision: f64, holds: impl Fn(f64) -> bool) -> Option<f64> {
    if holds(low) {
        return Some(low);
    }
    let (mut low, mut high) = (low, 2.0 * low.max(1.0));
    while !holds(high) {
        (low, high) = (high, 2.0 * high);
        if high > 1e12 {
            return None;
        }
    }
    while high - low > precision * high {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// Minimum detectable effect: the gap that the two-sided t test at `alpha` finds with probability `power`, in the unit
/// of `se`. Noncentral t, not the normal approximation, which is 2 % too small at 59 clusters.
///
/// For a family of m tests pass alpha / m, Holm's worst case. `None` when `se` is 0 or `df` < 1.
pub fn minimum_detectable_effect(se: f64, df: f64, alpha: f64, power: f64) -> Option<f64> {
    if se.is_nan() || se <= 0.0 || df.is_nan() || df < 1.0 {
        return None;
    }
    let critical = t_quantile(1.0 - 0.5 * alpha, df);
    let law = error_distribution(df);
    let (mut low, mut high) = (0.0, critical + 1.0);
    while power_at(high, critical, &law) < power {
        low = high;
        high *= 2.0;
        if !high.is_finite() {
            return None;
        }
    }
    while high - low > 1e-10 * high {
        let middle = 0.5 * (low + high);
        if power_at(middle, critical, &law) < power {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(0.5 * (low + high) * se)
}

/// Clusters at which a true gap of 0 would be called equivalent with probability `power`:
/// max(C_min, (z₁₋ₐ + z₁₋ᵦ⸝₂)² sd² / (margin² − (z₁₋ₐ + z₁₋ᵦ⸝₂)² v_added)).
///
/// Normal approximation; `v_added` is the terms' part of the variance, which more clusters do not shrink. `None` when that
/// part alone exceeds the margin: then only more terms help.
pub fn clusters_for_equivalence(
    sd: f64,
    v_added: f64,
    margin: f64,
    alpha: f64,
    power: f64,
    min_clusters: usize,
) -> Option<usize> {
    let reach = (normal_quantile(1.0 - alpha) + normal_quantile(1.0 - 0.5 * (1.0 - power))).powi(2);
    let room = margin * margin - reach * v_added;
    (room > 0.0).then(|| ((reach * sd * sd / room).ceil() as usize).max(min_clusters))
}

fn power_at(shift: f64, critical: f64, law: &[(f64, f64)]) -> f64 {
    law.iter().map(|&(s, weight)| weight * (normal_cdf(shift - critical * s) + normal_cdf(-shift - critical * s))).sum()
}

/// Nodes s = χ_df/√df with weights that sum to 1: Simpson in u = √s, in which the density is smooth at 0.
fn error_distribution(df: f64) -> Vec<(f64, f64)> {
    error_distribution_to(df, f64::INFINITY)
}

/// The part of [`error_distribution`] up to `end`, with weights that sum to its probability; none when that is 0.
fn error_distribution_to(df: f64, end: f64) -> Vec<(f64, f64)> {
    let spread = 10.0 / (2.0 * df).sqrt();
    let (from, to) = ((1.0 - spread).max(0.0).sqrt(), (1.0 + spread).min(end).sqrt());
    if to <= from {
        return Vec::new();
    }
    let step = (to - from) / STEPS as f64;
    let log_scale = std::f64::consts::LN_2 + 0.5 * df * (0.5 * df).ln() - ln_gamma(0.5 * df);
    (0..=STEPS)
        .map(|i| {
            let u = from + step * i as f64;
            let s = u * u;
            let simpson = if i == 0 || i == STEPS { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
            let density = if s > 0.0 { (log_scale + (df - 1.0) * s.ln() - 0.5 * df * s * s).exp() } else { 0.0 };
            (s, simpson * step / 3.0 * density * 2.0 * u)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "{got} {want}");
    }

    #[test]
    fn power_agrees_with_statsmodels() {
        // TTestPower: d_z, n, alpha
        for (d, n, alpha, want) in [
            (0.5, 20.0_f64, 0.05, 0.5645044184390203),
            (0.3, 59.0, 0.05, 0.6202489248271008),
            (0.2, 200.0, 0.01, 0.590571018085018),
        ] {
            close(t_power(d * n.sqrt(), n - 1.0, alpha), want, 1e-9);
        }
        close(t_power(0.0, 7.3, 0.05), 0.05, 1e-9);
    }

    #[test]
    fn the_detectable_effect_inverts_the_power() {
        // statsmodels solves for the effect to about 5e-6 in power, hence the wider tolerance on its values.
        for (sd, n, alpha, want) in
            [(0.12, 59.0_f64, 0.05, 0.044510009478241), (0.08, 120.0, 0.0125, 0.024711777347539484)]
        {
            let se = sd / n.sqrt();
            let effect = minimum_detectable_effect(se, n - 1.0, alpha, 0.8).unwrap();
            close(effect, want, 1e-6);
            close(t_power(effect / se, n - 1.0, alpha), 0.8, 1e-9);
        }
        assert_eq!(minimum_detectable_effect(0.0, 58.0, 0.05, 0.8), None);
        assert!(minimum_detectable_effect(0.1, 1.0, 0.05 / 40.0, 0.8).is_some());
    }

    #[test]
    fn terms_alone_can_make_equivalence_impossible() {
        assert_eq!(clusters_for_equivalence(0.1, 0.0, 0.05, 0.05, 0.8, 59), Some(59));
        assert_eq!(clusters_for_equivalence(0.2, 0.0, 0.05, 0.05, 0.8, 59), Some(138));
        assert_eq!(clusters_for_equivalence(0.2, 0.001, 0.05, 0.05, 0.8, 59), None);
    }
}
