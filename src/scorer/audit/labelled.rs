//! Audits a scorer on the user's own labelled texts: subgroup, BPSN and BNSP AUC of each group that the file names.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::tilt::middle;
use super::{Row, View, ask};
use crate::record::table::{Line, Sheet};
use crate::scorer::Scorer;
use crate::stats::means;
use crate::stats::subgroup_auc::{Labelled, SubgroupAuc};
use crate::suite::MaskList;

/// A row of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledText {
    pub text: String,
    /// True for label 1: the score should be high.
    pub positive: bool,
    /// Empty: background for every group.
    pub group: String,
}

/// Reads a CSV file with the columns text, label (1 or 0) and group.
///
/// # Errors
/// A missing column, another label, or no group at all; with the line.
pub fn read(path: &Path) -> Result<Vec<LabelledText>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&["text", "label", "group"])?;
    let row = |line: Line<'_>| {
        let label = line.text("label");
        let positive = match label.trim() {
            "1" | "1.0" => true,
            "0" | "0.0" => false,
            _ => bail!(
                "{}: label is {label:?}; write 1 for texts that the score should be high for, and 0 for the others",
                line.place()
            ),
        };
        Ok(LabelledText { text: line.text("text"), positive, group: line.text("group") })
    };
    let texts = sheet.rows().map(row).collect::<Result<Vec<_>>>()?;
    ensure!(
        texts.iter().any(|text| !text.group.is_empty()),
        "{} names no group; fill its column `group` for the texts that are about one",
        path.display()
    );
    Ok(texts)
}

/// A row a group by name, then one of all texts, under `name` as the axis. `mask` hides group words for the masked view.
pub fn audit(scorer: &dyn Scorer, name: &str, texts: &[LabelledText], mask: &MaskList) -> Result<Vec<Row>> {
    let plain: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    let (raw, masked) = (ask(scorer, &plain, &MaskList::default())?, ask(scorer, &plain, mask)?);
    let threshold = middle(scorer.info());
    let view = |scores: &[Option<f64>], group: Option<&str>| {
        let is_member = |text: &LabelledText| group.is_some_and(|group| text.group == group);
        let labelled: Vec<Labelled> = texts
            .iter()
            .zip(scores)
            .filter_map(|(text, score)| {
                Some(Labelled { score: (*score)?, positive: text.positive, in_subgroup: is_member(text) })
            })
            .collect();
        let own: Vec<f64> =
            labelled.iter().filter(|text| group.is_none() || text.in_subgroup).map(|text| text.score).collect();
        let auc = SubgroupAuc::of(&labelled, threshold);
        View {
            mean: means::mean(&own),
            fpr: if group.is_some() { auc.fpr } else { auc.fpr_overall },
            auc: if group.is_some() { auc } else { SubgroupAuc { overall: auc.overall, ..SubgroupAuc::default() } },
            ..View::default()
        }
    };
    let mut groups: Vec<&str> =
        texts.iter().map(|text| text.group.as_str()).filter(|group| !group.is_empty()).collect();
    groups.sort_unstable();
    groups.dedup();
    let row = |group: Option<&str>| {
        let own = |text: &&LabelledText| group.is_none_or(|group| text.group == group);
        let unscored = texts.iter().zip(&raw).filter(|(text, score)| own(text) && score.is_none()).count();
        Row {
            scorer: scorer.info().name.clone(),
            axis: name.to_owned(),
            group: group.map(str::to_owned),
            texts: texts.iter().filter(own).count(),
            unscored,
            raw: view(&raw, group),
            masked: view(&masked, group),
            width: scorer.info().range.1 - scorer.info().range.0,
            ..Row::default()
        }
    };
    Ok(groups.iter().map(|group| row(Some(group))).chain([row(None)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_neither_one_nor_zero_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.csv");
        std::fs::write(&path, "text,label,group\na,1,g\nb,toxic,g\n").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("own.csv line 3") && message.contains("\"toxic\""), "{message}");
        std::fs::write(&path, "text,label,group\na,1,\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("names no group"));
    }
}
