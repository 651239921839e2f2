//! Expresses a gap in units of its own spread.

use super::means;

/// Cohen's d_z = mean D / sd D of the paired differences; 0 means parity. `None` below two differences or without
/// spread.
///
/// It grows with the correlation of the pair and with the number of samples averaged in a cell: never compare it across
/// suites, never decide by it (Lakens 2013).
pub fn d_z(differences: &[f64]) -> Option<f64> {
    let sd = means::sd(differences)?;
    let centre = means::mean(differences)?;
    let is_constant = differences.iter().all(|d| (d - centre).abs() <= super::gap::NO_SPREAD);
    (!is_constant).then(|| centre / sd)
}

/// Hedges' correction of a standardised mean for small samples, J = 1 − 3 / (4 df − 1) (Hedges 1981); `None` below one
/// degree of freedom.
pub fn hedges_j(df: f64) -> Option<f64> {
    (df >= 1.0).then(|| 1.0 - 3.0 / (4.0 * df - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_without_spread_have_no_standardised_size() {
        assert_eq!(d_z(&[0.1, 0.1, 0.1]), None);
        assert_eq!(d_z(&[0.1]), None);
        assert_eq!(d_z(&[0.0, 0.2]).map(|d| (d * 1e9).round()), Some(707106781.0));
    }
}
