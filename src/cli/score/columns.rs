//! Scores texts into new cells: a number and a reason a scorer, or a probability a label and one reason.

use anyhow::{Context, Result, ensure};

use super::sheet::Cell;
use crate::scorer::{Answer, Scored, Scorer};
use crate::suite::MaskList;

/// The columns that scorers add.
pub struct Columns<'s> {
    scorers: &'s [Box<dyn Scorer>],
    all_labels: bool,
    names: Vec<String>,
    nothing: MaskList,
}

impl<'s> Columns<'s> {
    /// # Errors
    /// `all_labels` for a scorer that has none; two columns of one name.
    pub fn new(scorers: &'s [Box<dyn Scorer>], all_labels: bool) -> Result<Self> {
        let mut names: Vec<String> = Vec::new();
        for scorer in scorers {
            let name = &scorer.info().name;
            if all_labels {
                ensure!(!scorer.labels().is_empty(), "the scorer {name:?} has no labels; leave --all-labels out");
                names.extend_from_slice(scorer.labels());
            } else {
                names.push(name.clone());
            }
            names.push(format!("{name}_reason"));
        }
        for (at, name) in names.iter().enumerate() {
            ensure!(
                !names[..at].contains(name),
                "two of the scorers would make a column {name:?}; score them one after the other"
            );
        }
        Ok(Self { scorers, all_labels, names, nothing: MaskList::default() })
    }

    /// Names in the order of the cells.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The new cells of each row; `Err` says why a row's text cannot be scored at all.
    pub fn score(&self, texts: &[Result<&str, &str>]) -> Result<Vec<Vec<Cell>>> {
        let mut cells: Vec<Vec<Cell>> = vec![Vec::with_capacity(self.names.len()); texts.len()];
        let readable: Vec<Answer<'_>> = texts.iter().flatten().map(|text| Answer::of(text, &self.nothing)).collect();
        for scorer in self.scorers {
            let name = &scorer.info().name;
            let width = if self.all_labels { scorer.labels().len() } else { 1 };
            let mut found = self.outcomes(scorer.as_ref(), &readable).context(format!("scorer {name}"))?.into_iter();
            for (text, cells) in texts.iter().zip(&mut cells) {
                let outcome = match text {
                    Ok(_) => found.next().context("a scorer gave fewer scores than there are texts")?,
                    Err(reason) => Err((*reason).to_owned()),
                };
                match outcome {
                    Ok(scores) => {
                        cells.extend(scores.into_iter().map(|score| Cell::Score(Some(score))));
                        cells.push(Cell::Reason(String::new()));
                    }
                    Err(reason) => {
                        cells.extend(std::iter::repeat_n(Cell::Score(None), width));
                        cells.push(Cell::Reason(reason));
                    }
                }
            }
        }
        Ok(cells)
    }

    /// The numbers of each text, or why there are none. A number that is none never gets into a file.
    fn outcomes(&self, scorer: &dyn Scorer, answers: &[Answer<'_>]) -> Result<Vec<Result<Vec<f64>, String>>> {
        let outcomes: Vec<Result<Vec<f64>, String>> = if self.all_labels {
            scorer.probabilities(answers)?
        } else {
            let number = |scored| match scored {
                Scored::Value(value) => Ok(vec![value]),
                Scored::Unscored(reason) => Err(reason),
            };
            scorer.score(answers)?.into_iter().map(number).collect()
        };
        let defined = |scores: Vec<f64>| match scores.iter().all(|score| score.is_finite()) {
            true => Ok(scores),
            false => Err("not a number".to_owned()),
        };
        Ok(outcomes.into_iter().map(|outcome| outcome.and_then(defined)).collect())
    }
}
