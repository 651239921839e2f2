//! Measures how well a score tells two classes apart, for the texts about one subgroup and against all others.
//!
//! Source: Borkan, Dixon, Sorensen, Thain & Vasserman 2019, "Nuanced metrics for measuring unintended bias". A score can rank each group's
//! own texts well and still place a whole group higher: only the cross pairs of BPSN and BNSP show that.

use super::means;

/// One labelled and scored text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled {
    pub score: f64,
    /// True: of the class that the score should be high for.
    pub positive: bool,
    pub in_subgroup: bool,
}

/// What a score is worth for one subgroup; each `None` where one of the classes it compares has no text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SubgroupAuc {
    /// All texts.
    pub overall: Option<f64>,
    /// Within the subgroup; 1 is perfect, as for all four.
    pub subgroup: Option<f64>,
    /// Background positive, subgroup negative: low where the subgroup's harmless texts score as high as harmful ones of others.
    pub bpsn: Option<f64>,
    /// Background negative, subgroup positive: low where the subgroup's harmful texts are missed.
    pub bnsp: Option<f64>,
    /// Average equality gaps among positives and among negatives: P(subgroup > background) − 0.5; 0 is parity.
    pub positive_aeg: Option<f64>,
    pub negative_aeg: Option<f64>,
    /// Share of the subgroup's negatives at or above the threshold, and of all negatives.
    pub fpr: Option<f64>,
    pub fpr_overall: Option<f64>,
    /// Share of the subgroup's positives below the threshold, and of all positives.
    pub fnr: Option<f64>,
    pub fnr_overall: Option<f64>,
}

/// The exponent of [`generalised_mean`]: low enough that the worst of the three rules (the value of the Jigsaw competition).
const POWER: f64 = -5.0;

impl SubgroupAuc {
    pub fn of(texts: &[Labelled], threshold: f64) -> SubgroupAuc {
        let pick =
            |keep: &dyn Fn(&Labelled) -> bool| texts.iter().copied().filter(|text| keep(text)).collect::<Vec<_>>();
        // Ranked by membership within one class: P(subgroup > background), ties half.
        let gap = |class: bool| {
            auroc(&pairs(&pick(&|text| text.positive == class), |text| text.in_subgroup)).map(|auc| auc - 0.5)
        };
        let share = |keep: &dyn Fn(&Labelled) -> bool, is_wrong: &dyn Fn(f64) -> bool| {
            let marks: Vec<f64> = pick(keep).iter().map(|text| f64::from(u8::from(is_wrong(text.score)))).collect();
            means::mean(&marks)
        };
        let (above, below) = (|score: f64| score >= threshold, |score: f64| score < threshold);
        let [subgroup, bpsn, bnsp] = three(texts);
        SubgroupAuc {
            overall: auroc(&pairs(texts, |text| text.positive)),
            subgroup,
            bpsn,
            bnsp,
            positive_aeg: gap(true),
            negative_aeg: gap(false),
            fpr: share(&|text| !text.positive && text.in_subgroup, &above),
            fpr_overall: share(&|text| !text.positive, &above),
            fnr: share(&|text| text.positive && text.in_subgroup, &below),
            fnr_overall: share(&|text| text.positive, &below),
        }
    }

    /// Generalised mean of subgroup, BPSN and BNSP AUC, (Σ x⁻⁵ / 3)^(−1/5): near the worst of the three. `None` unless all are there.
    pub fn generalised(&self) -> Option<f64> {
        generalised_mean(&[self.subgroup?, self.bpsn?, self.bnsp?])
    }
}

/// Subgroup, BPSN and BNSP AUC alone, as [`SubgroupAuc`] has them.
pub fn three(texts: &[Labelled]) -> [Option<f64>; 3] {
    let auc = |keep: &dyn Fn(&&Labelled) -> bool| {
        auroc(&texts.iter().filter(keep).map(|text| (text.score, text.positive)).collect::<Vec<_>>())
    };
    [
        auc(&|text| text.in_subgroup),
        auc(&|text| text.positive != text.in_subgroup),
        auc(&|text| text.positive == text.in_subgroup),
    ]
}

/// (Σ x⁻⁵ / n)^(−1/5): near the worst of some AUCs, of three kinds or of many subgroups. `None` without any.
pub fn generalised_mean(aucs: &[f64]) -> Option<f64> {
    // The limit: 0 to the power −5 is no number.
    if aucs.contains(&0.0) {
        return Some(0.0);
    }
    let powers: Vec<f64> = aucs.iter().map(|auc| auc.powf(POWER)).collect();
    Some(means::mean(&powers)?.powf(1.0 / POWER))
}

fn pairs(texts: &[Labelled], class: impl Fn(&Labelled) -> bool) -> Vec<(f64, bool)> {
    texts.iter().map(|text| (text.score, class(text))).collect()
}

/// Probability that a text of the class scores above one that is not, ties half (Mann & Whitney 1947); 0.5 is chance. `None` without
/// texts of both.
pub fn auroc(texts: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = texts.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut below, mut positives) = (0.0, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let here = tied.iter().filter(|text| text.1).count() as f64;
        let others = tied.len() as f64 - here;
        wins += here * (below + 0.5 * others);
        below += others;
        positives += here;
    }
    (below > 0.0 && positives > 0.0).then(|| wins / (below * positives))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_in_the_right_order_count_and_ties_count_half() {
        assert_eq!(auroc(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]), Some(0.75));
        assert_eq!(auroc(&[(0.5, false), (0.5, true)]), Some(0.5));
        assert_eq!(auroc(&[(0.5, true), (0.6, true)]), None);
    }

    #[test]
    fn a_group_that_scores_higher_throughout_keeps_its_own_auc_and_loses_bpsn() {
        let text = |score, positive, in_subgroup| Labelled { score, positive, in_subgroup };
        let texts = [text(0.1, false, false), text(0.2, true, false), text(0.3, false, true), text(0.4, true, true)];
        let found = SubgroupAuc::of(&texts, 0.5);
        assert_eq!((found.subgroup, found.bpsn, found.bnsp), (Some(1.0), Some(0.0), Some(1.0)));
        assert_eq!(found.generalised(), Some(0.0));
        assert_eq!((found.negative_aeg, found.fpr, found.fnr), (Some(0.5), Some(0.0), Some(1.0)));
    }

    #[test]
    fn a_subgroup_without_texts_of_a_class_has_no_number_there() {
        let text = |score, positive| Labelled { score, positive, in_subgroup: true };
        let found = SubgroupAuc::of(&[text(0.1, false), text(0.9, true)], 0.5);
        assert_eq!((found.subgroup, found.bpsn, found.generalised()), (Some(1.0), None, None));
        assert_eq!(SubgroupAuc::of(&[], 0.5), SubgroupAuc::default());
    }
}
