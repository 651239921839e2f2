//! Lets a scorer that hides group words read texts as they are.

use std::rc::Rc;

use anyhow::Result;

use super::{Answer, ScoreInfo, Scored, Scorer};
use crate::suite::MaskList;

/// Another scorer's numbers on unmasked text.
pub struct Raw {
    inner: Rc<dyn Scorer>,
    info: ScoreInfo,
    nothing: MaskList,
}

impl Raw {
    pub fn new(inner: Rc<dyn Scorer>, name: String) -> Self {
        let of = inner.info();
        let info = ScoreInfo {
            name,
            revision: format!("{}, raw text", of.revision),
            meaning: format!("{}; group words not hidden", of.meaning),
            ..of.clone()
        };
        Self { inner, info, nothing: MaskList::default() }
    }
}

impl Scorer for Raw {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let raw: Vec<Answer<'_>> = answers.iter().map(|answer| Answer { mask: &self.nothing, ..*answer }).collect();
        self.inner.score(&raw)
    }

    fn has_offset(&self) -> bool {
        self.inner.has_offset()
    }

    fn truncated(&self) -> usize {
        self.inner.truncated()
    }
}

/// So that a scorer and its raw twin share one head.
impl Scorer for Rc<dyn Scorer> {
    fn info(&self) -> &ScoreInfo {
        self.as_ref().info()
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        self.as_ref().score(answers)
    }

    fn has_offset(&self) -> bool {
        self.as_ref().has_offset()
    }

    fn truncated(&self) -> usize {
        self.as_ref().truncated()
    }
}
