//! Holds one case: what is asked, of which group, and where it belongs.

use std::sync::Arc;

use super::{ChoiceOption, MaskList, ProbeKind, Turn};

/// One filled template, or one listed case, as one probe puts it.
#[derive(Debug, Clone)]
pub struct Case {
    /// `generate/letter/occupation=nurse/gender=woman/term=emily`
    pub id: String,
    /// The counterfactual set: `generate/letter/occupation=nurse/gender`
    pub set: String,
    pub probe: ProbeKind,
    pub template: String,
    /// `occupation=nurse,setting=a-small-school`, empty when the template has no other slots.
    pub context: String,
    /// Empty for a listed case that compares no groups. Crossed axes are joined: `gender+ethnicity`.
    pub axis: String,
    pub group: String,
    pub term: String,
    /// The user's turn, the list of options included.
    pub prompt: String,
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    /// What the likelihood probe scores after the prompt; the prompt itself when none.
    pub continuation: Option<String>,
    /// What the choice probe chooses from, in the order shown in this case.
    pub options: Vec<ChoiceOption>,
    /// Columns of a listed case that the benchmark's statistics read.
    pub tags: Vec<(String, String)>,
    /// What stands for groups in this axis (and in other axes that fill the template), to hide before scoring.
    pub mask: Arc<MaskList>,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            id: String::new(),
            set: String::new(),
            probe: ProbeKind::Generate,
            template: String::new(),
            context: String::new(),
            axis: String::new(),
            group: String::new(),
            term: String::new(),
            prompt: String::new(),
            system: None,
            turns: Vec::new(),
            continuation: None,
            options: Vec::new(),
            tags: Vec::new(),
            mask: Arc::new(MaskList::default()),
        }
    }
}
