//! Evaluates the normal, Student, F, χ² and beta distributions with the accuracy that published tables are compared at.

use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, FisherSnedecor, Normal, StudentsT};
use statrs::function::beta::ln_beta;

/// Standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    standard_normal().cdf(z)
}

/// Standard normal quantile of `p` in (0, 1).
pub fn normal_quantile(p: f64) -> f64 {
    standard_normal().inverse_cdf(p)
}

/// Two-sided p of a t statistic, P(|T| ≥ |t|), with `df` > 0 degrees of freedom; fractional ones are allowed.
pub fn t_two_sided_p(t: f64, df: f64) -> f64 {
    (2.0 * t_upper_p(t.abs(), df)).min(1.0)
}

/// One-sided p of a t statistic, P(T ≥ t).
pub fn t_upper_p(t: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |law| law.sf(t))
}

/// The t with P(T ≤ t) = `p`, for `p` in (0.5, 1): the critical value of an interval.
///
/// statrs inverts the incomplete beta function to about 1e-10; three Newton steps on the upper tail bring it to
/// rounding error.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    let Ok(law) = StudentsT::new(0.0, 1.0, df) else { return f64::NAN };
    let mut t = law.inverse_cdf(p);
    let log_scale = -0.5 * df.ln() - ln_beta(0.5 * df, 0.5);
    for _ in 0..3 {
        let density = (log_scale - 0.5 * (df + 1.0) * (t * t / df).ln_1p()).exp();
        let step = (law.sf(t) - (1.0 - p)) / density;
        if !step.is_finite() {
            break;
        }
        t += step;
    }
    t
}

/// Upper tail of the F distribution, P(F ≥ f), with `df` and `df_error` > 0 degrees of freedom.
pub fn f_upper_p(f: f64, df: f64, df_error: f64) -> f64 {
    FisherSnedecor::new(df, df_error).map_or(f64::NAN, |law| law.sf(f))
}

/// Upper tail of the χ² distribution, P(X ≥ x), with `df` > 0 degrees of freedom.
pub fn chi_squared_upper_p(x: f64, df: f64) -> f64 {
    ChiSquared::new(df).map_or(f64::NAN, |law| law.sf(x))
}

/// Quantile of the beta distribution with shapes `a`, `b` > 0 at `p` in (0, 1).
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let Ok(law) = Beta::new(a, b) else { return f64::NAN };
    // Bisection on a monotone function: slow and exact, for tables of counts only.
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if law.cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn standard_normal() -> Normal {
    Normal::standard()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_values_agree_with_published_tables() {
        // scipy.stats.t.ppf and norm.ppf; the last from a case of default_path.json
        for (p, df, want) in [
            (0.975, 1.0, 12.706204736432095),
            (0.975, 11.0, 2.200985160082949),
            (0.95, 63.0, 1.6694022217068127),
            (0.975, 4.945676364317988, 2.579097673926753),
        ] {
            assert!((t_quantile(p, df) - want).abs() < 1e-10 * want, "{p} {df}: {} {want}", t_quantile(p, df));
        }
        assert!((normal_quantile(0.975) - 1.959963984540054).abs() < 1e-12);
    }

    #[test]
    fn the_quantile_inverts_the_tail() {
        for df in [1.0, 1.5, 4.9, 30.0, 999.0] {
            for p in [0.6, 0.9, 0.95, 0.975, 0.99999] {
                let tail = t_upper_p(t_quantile(p, df), df);
                assert!((tail - (1.0 - p)).abs() < 1e-12, "{df} {p} {tail}");
            }
        }
    }
}
