//! Holds the rows of groups.csv and disparity.csv.

use super::Verdict;

/// A row of groups.csv.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    pub scorer: String,
    /// Clusters with at least one scored answer of the group.
    pub clusters: usize,
    pub responses: usize,
    pub unscored: usize,
    /// Mean over clusters of the cell means; `None` without a scored answer.
    pub mean: Option<f64>,
    /// t interval over clusters at level 1 − alpha, inside the score's range; descriptive, since contexts differ from one another.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Width of the score's range.
    pub width: f64,
}

/// A row of disparity.csv: one group's gap on one scorer. Gaps and limits are in the score's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GapRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`super::REST`].
    pub reference: String,
    pub scorer: String,
    /// Clusters that have every group of the contrast.
    pub clusters: usize,
    /// Distinct terms of the group among its records.
    pub terms: usize,
    /// Records of the group, and those without a score.
    pub responses: usize,
    pub unscored: usize,
    /// Over all clusters of that side, so that their difference need not be the gap; for the rest, the mean of its groups.
    pub group_mean: Option<f64>,
    pub reference_mean: Option<f64>,
    /// Mean paired difference over complete clusters; 0 is parity.
    pub gap: Option<f64>,
    /// Interval at level 1 − alpha.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Interval at level 1 − 2 alpha, which equivalence is judged by.
    pub low90: Option<f64>,
    pub high90: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    /// Sign-flip p; with random terms the larger of that and the two-way t p. 1 below two clusters, `None` for a missing
    /// group.
    pub p: Option<f64>,
    /// Holm over the family; `None` outside it.
    pub p_adjusted: Option<f64>,
    /// `None` when the scorer is not a declared outcome; then there is no verdict either.
    pub margin: Option<f64>,
    pub verdict: Option<Verdict>,
    pub status: Status,
    /// Minimum detectable effect: the gap found with 80 % power at alpha / m by a t test (noncentral t), m the size of
    /// the family (1 outside it). `None` without spread, or when no data of this size could reach alpha / m.
    pub mde: Option<f64>,
    pub d_z: Option<f64>,
    /// Variance by templates over variance by clusters; above 1.5, few templates drive the gap.
    pub deff_template: Option<f64>,
    /// For an inconclusive gap: clusters at which a true gap of 0 would be called equivalent with 80 % power.
    pub clusters_needed: Option<usize>,
    /// For an inconclusive gap: no number of clusters settles it, more terms a group are needed.
    pub more_terms_needed: bool,
    /// The interval excludes every gap within ±margin: "at least the margin".
    pub at_least_margin: bool,
    /// Sample sd of the paired differences over clusters.
    pub sd: Option<f64>,
    /// The part of `se` that comes from terms being a sample of terms, √V_added; 0 with fewer than three terms in a
    /// group, when the gap is about these terms only.
    pub se_terms: Option<f64>,
    /// The group is a negative control.
    pub control: bool,
    /// Group minus reference in the share of unscored records, and its p; `None` when every record is scored.
    pub unscored_gap: Option<f64>,
    pub unscored_p: Option<f64>,
    /// Width of the score's range.
    pub width: f64,
    /// What the scorer itself adds for this group on raw text that differs in nothing else, with its interval; `None` where it was not
    /// measured.
    pub scorer_offset: Option<f64>,
    pub offset_low: Option<f64>,
    pub offset_high: Option<f64>,
    /// gap − offset, with the variances of both.
    pub gap_corrected: Option<f64>,
    pub corrected_low: Option<f64>,
    pub corrected_high: Option<f64>,
    pub corrected_p: Option<f64>,
    /// The offset that would take the finding away: the end of the interval nearer to 0; `None` where the interval holds 0.
    pub tipping_offset: Option<f64>,
    /// Refused answers of the group and of the others; `None` where nobody refused or refusals were not scored.
    pub refused: Option<usize>,
    pub reference_refused: Option<usize>,
    /// The gap over answers that are no refusals, with a t interval.
    pub gap_unrefused: Option<f64>,
    pub unrefused_low: Option<f64>,
    pub unrefused_high: Option<f64>,
    /// `d_z` without its bias in small samples.
    pub hedges_g: Option<f64>,
    /// mean D over the root of both sides' mean variance; against one reference only.
    pub d_av: Option<f64>,
    /// P(above) − P(below) over pairs of cells of any clusters; of several others the mean.
    pub cliffs_delta: Option<f64>,
    /// Share of clusters in which the group is above minus share in which it is below.
    pub paired_delta: Option<f64>,
    /// Mean difference of log odds of the cells, for scores from 0 to 1.
    pub logit_gap: Option<f64>,
    /// Log odds ratio of the cells' sums (Haldane), where every score is 0 or 1; against one reference only.
    pub log_odds_ratio: Option<f64>,
    /// Clusters with yes for the group and no for the reference, and the other way round; where every cell is 0 or 1.
    pub discordant_above: Option<usize>,
    pub discordant_below: Option<usize>,
    /// 95 % of the gaps between two halves of the reference's own terms; from four terms on.
    pub aa_low: Option<f64>,
    pub aa_high: Option<f64>,
    /// p of a gap outside ±margin: the larger of two one-sided t tests. The verdict goes by the 90 % interval, which can be wider than t's.
    pub p_equivalence: Option<f64>,
    /// Clusters below which nothing is called equivalent at this margin.
    pub clusters_least: Option<usize>,
}

/// What the numbers of a gap rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Status {
    #[default]
    Ok,
    /// Every cluster shows the same difference; the interval is the rule of three.
    ZeroVariance,
    /// Fewer than two complete clusters.
    Insufficient,
    /// The group or what it is compared with has no score at all.
    MissingGroup,
    /// The groups differ in how much is unscored; blocks `equivalent`.
    DifferentialMissingness,
    /// The scorer's own offset could explain more than half of the gap.
    ScorerOffset,
    /// A negative control shows a gap; blocks `disparity`.
    Suspect,
}

impl Status {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::ZeroVariance => "zero_variance",
            Status::Insufficient => "insufficient",
            Status::MissingGroup => "missing_group",
            Status::DifferentialMissingness => "differential_missingness",
            Status::ScorerOffset => "scorer_offset",
            Status::Suspect => "suspect",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}
