//! Orders and lists the options of the choice probe, so that no option profits from its place.

use super::{Case, ChoiceOption, ChoiceSpec, ChoiceStyle, ProbeKind};

/// The options of one context.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// In the order of this context; with letters, what counts is the letter.
    pub options: Vec<ChoiceOption>,
    /// As `{{ options }}` writes them.
    pub list: String,
    style: ChoiceStyle,
}

/// The options turned by the number of the context: over as many contexts as there are options, each stands once in each place.
pub(super) fn shown(spec: &ChoiceSpec, context: usize) -> Shown {
    let mut options = spec.options.clone();
    if !options.is_empty() {
        let turns = context % options.len();
        options.rotate_left(turns);
    }
    in_order(options, spec)
}

/// The options as they are.
pub(super) fn in_order(mut options: Vec<ChoiceOption>, spec: &ChoiceSpec) -> Shown {
    let list = match spec.style {
        ChoiceStyle::Text => match options.as_slice() {
            [] => String::new(),
            [one] => one.text.clone(),
            [head @ .., last] => {
                let head: Vec<&str> = head.iter().map(|option| option.text.as_str()).collect();
                format!("{} {} {}", head.join(", "), spec.joined, last.text)
            }
        },
        ChoiceStyle::Letters => {
            let mut lines = Vec::new();
            for (option, letter) in options.iter_mut().zip('A'..='Z') {
                lines.push(format!("{letter}. {}", option.text));
                option.answers = vec![letter.to_string()];
            }
            lines.join("\n")
        }
    };
    Shown { options, list, style: spec.style }
}

impl Shown {
    /// Gives the case its options; letters are listed under a prompt that does not list them itself.
    pub fn offer(self, case: &mut Case, is_listed: bool) {
        debug_assert_eq!(case.probe, ProbeKind::Choice);
        if self.style == ChoiceStyle::Letters && !is_listed {
            case.prompt = format!("{}\n\n{}", case.prompt, self.list);
        }
        case.options = self.options;
    }
}
