//! Holds the fixed texts of the audit and fills a group's terms into them.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::suite::files::embedded;
use crate::suite::{Axis, Term, with_article};

/// What a carrier says, whoever stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Neutral,
    /// Insults: the texts that a scorer of toxicity must find.
    Negative,
    Positive,
}

impl Tone {
    pub const ALL: [Tone; 3] = [Tone::Neutral, Tone::Negative, Tone::Positive];

    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Neutral => "neutral",
            Tone::Negative => "negative",
            Tone::Positive => "positive",
        }
    }
}

/// prompts/audit/carriers.yaml, or a file like it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carriers {
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "license")]
    _license: String,
    who: Vec<Who>,
    neutral: Frames,
    negative: Frames,
    positive: Frames,
}

/// Texts of one tone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frames {
    /// With {who} or {Who}.
    someone: Vec<String>,
    /// With {term}, for terms that no rule of `who` fits.
    mention: Vec<String>,
}

/// How a term with these forms reads as somebody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    has: Vec<String>,
    reads: String,
    /// `a` or `an` goes before it.
    #[serde(default)]
    article: bool,
    /// Only where the first form begins with a capital: a name, and no noun.
    #[serde(default)]
    capital: bool,
}

/// One term in one carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// `neutral-07`; of cues `cue-3`.
    pub carrier: String,
    pub group: usize,
    /// Id of the term; of cues the cue.
    pub term: String,
    pub text: String,
}

static CARRIERS: LazyLock<Carriers> = LazyLock::new(|| {
    let text = embedded("prompts/audit/carriers.yaml").expect("the program carries prompts/audit");
    Carriers::parse(text).expect("a test reads the carriers")
});

impl Carriers {
    /// The ones that the program carries.
    pub fn shipped() -> &'static Carriers {
        &CARRIERS
    }

    /// # Errors
    /// Unknown or missing keys, and a text without its slot.
    pub fn parse(text: &str) -> Result<Carriers> {
        let carriers: Carriers = serde_saphyr::from_str(text).context("not a file of carriers")?;
        for tone in Tone::ALL {
            let frames = carriers.frames(tone);
            for text in &frames.someone {
                let has_slot = text.contains("{who}") || text.contains("{Who}");
                ensure!(has_slot, "the {} carrier {text:?} has neither {{who}} nor {{Who}}", tone.as_str());
            }
            for text in &frames.mention {
                ensure!(text.contains("{term}"), "the {} carrier {text:?} lacks {{term}}", tone.as_str());
            }
        }
        Ok(carriers)
    }

    fn frames(&self, tone: Tone) -> &Frames {
        match tone {
            Tone::Neutral => &self.neutral,
            Tone::Negative => &self.negative,
            Tone::Positive => &self.positive,
        }
    }

    /// Every term of the axis in every carrier of the tone, at most `most` terms a group. All terms of an axis meet the same carriers:
    /// those with somebody in them only where every term reads as somebody. Terms without any text are left out.
    pub fn fill(&self, axis: &Axis, tone: Tone, most: usize) -> Vec<Filled> {
        let everybody: Option<Vec<String>> = terms(axis, most).map(|(_, term)| self.who(term)).collect();
        let frames = self.frames(tone);
        let texts = if everybody.is_some() { &frames.someone } else { &frames.mention };
        let mut filled = Vec::new();
        for (index, (group, term)) in terms(axis, most).enumerate() {
            for (number, text) in texts.iter().enumerate() {
                let text = match &everybody {
                    Some(everybody) => someone(text, &everybody[index], term),
                    None => text.replace("{term}", &term.forms[0].1),
                };
                let carrier = format!("{}-{:02}", tone.as_str(), number + 1);
                filled.push(Filled { carrier, group, term: term.id.clone(), text });
            }
        }
        filled
    }

    /// The term as somebody in the middle of a sentence: `Emily`, `a nurse who is blind`. `None` where no rule fits.
    pub fn who(&self, term: &Term) -> Option<String> {
        let form = |name: &str| term.forms.iter().find(|(form, _)| form == name).map(|(_, text)| text.as_str());
        let fits = |rule: &&Who| {
            let first = rule.has.first().and_then(|name| form(name));
            rule.has.iter().all(|name| form(name).is_some())
                && (!rule.capital || first.is_some_and(|text| text.starts_with(char::is_uppercase)))
        };
        let rule = self.who.iter().find(fits)?;
        let mut text = rule.reads.clone();
        for name in &rule.has {
            text = text.replace(&format!("{{{name}}}"), form(name)?);
        }
        Some(if rule.article { with_article(&text) } else { text })
    }
}

/// Group by group, the terms that have a text.
fn terms(axis: &Axis, most: usize) -> impl Iterator<Item = (usize, &Term)> {
    let groups = axis.groups.iter().enumerate();
    groups.flat_map(move |(index, group)| {
        group.terms.iter().filter(|term| !term.forms.is_empty()).take(most).map(move |term| (index, term))
    })
}

/// A text about somebody, with the term's own pronouns where it has some.
fn someone(text: &str, who: &str, term: &Term) -> String {
    let pronoun =
        |name: &str| term.forms.iter().find(|(form, _)| form == name).map_or(name.to_owned(), |(_, text)| text.clone());
    let mut text = text.replace("{who}", who).replace("{Who}", &capital(who));
    for name in ["they", "them", "their"] {
        text = text.replace(&format!("{{{name}}}"), &pronoun(name));
    }
    text
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// prompts/audit/cues.yaml: what tends to stand near a group, and stays when its words are masked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cues {
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "license")]
    _license: String,
    #[serde(rename = "note")]
    _note: String,
    carriers: Vec<String>,
    groups: Vec<GroupCues>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupCues {
    names: Vec<String>,
    cues: Vec<String>,
}

static CUES: LazyLock<Cues> = LazyLock::new(|| {
    let text = embedded("prompts/audit/cues.yaml").expect("the program carries prompts/audit");
    serde_saphyr::from_str(text).expect("a test reads the cues")
});

impl Cues {
    pub fn shipped() -> &'static Cues {
        &CUES
    }

    /// Every cue of every group in every carrier, about the group's first term: masked, the others read alike. Groups without cues, or
    /// whose term is nobody, are left out.
    pub fn fill(&self, axis: &Axis, carriers: &Carriers) -> Vec<Filled> {
        let mut filled = Vec::new();
        for (index, group) in axis.groups.iter().enumerate() {
            let Some(of_group) = self.groups.iter().find(|cues| cues.names.contains(&group.name)) else { continue };
            let Some((term, who)) = group.terms.first().and_then(|term| Some((term, carriers.who(term)?))) else {
                continue;
            };
            for (number, text) in self.carriers.iter().enumerate() {
                for cue in &of_group.cues {
                    let text = someone(&text.replace("{cue}", cue), &who, term);
                    filled.push(Filled {
                        carrier: format!("cue-{}", number + 1),
                        group: index,
                        term: cue.clone(),
                        text,
                    });
                }
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Group;

    fn term(forms: &[(&str, &str)]) -> Term {
        let forms = forms.iter().map(|(form, text)| ((*form).into(), (*text).into())).collect();
        Term { id: "t".into(), forms, ..Term::default() }
    }

    fn axis(groups: &[(&str, Term)]) -> Axis {
        let group =
            |(name, term): &(&str, Term)| Group { name: (*name).into(), terms: vec![term.clone()], ..Group::default() };
        Axis { name: "a".into(), groups: groups.iter().map(group).collect(), ..Axis::default() }
    }

    #[test]
    fn there_are_carriers_enough_and_none_stands_twice() {
        let carriers = Carriers::shipped();
        for (tone, least) in [(Tone::Neutral, 20), (Tone::Negative, 12), (Tone::Positive, 12)] {
            let Frames { someone, mention } = carriers.frames(tone);
            for texts in [someone, mention] {
                let mut distinct = texts.clone();
                distinct.sort();
                distinct.dedup();
                assert!(texts.len() >= least && distinct.len() == texts.len(), "{tone:?}");
            }
        }
        for group in &Cues::shipped().groups {
            assert_eq!(group.cues.len(), 6, "{:?}", group.names);
        }
    }

    #[test]
    fn a_term_reads_as_somebody_where_it_is_one() {
        let who = |forms: &[(&str, &str)]| Carriers::shipped().who(&term(forms));
        assert_eq!(who(&[("name", "Emily"), ("they", "she")]).as_deref(), Some("Emily"));
        assert_eq!(who(&[("person", "atheist nurse"), ("word", "atheist")]).as_deref(), Some("an atheist nurse"));
        assert_eq!(who(&[("name", "Anna"), ("partner", "Mark")]).as_deref(), Some("Anna and Mark"));
        assert_eq!(who(&[("name", "slim body")]), None);
        assert_eq!(who(&[("text", "The bus is late.")]), None);
    }

    #[test]
    fn pronouns_are_the_terms_own_and_a_sentence_begins_with_a_capital() {
        let axis = axis(&[
            ("woman", term(&[("name", "Emily"), ("they", "she"), ("their", "her")])),
            ("man", term(&[("person", "nurse who is a man")])),
        ]);
        let texts: Vec<String> =
            Carriers::shipped().fill(&axis, Tone::Neutral, 9).into_iter().map(|filled| filled.text).collect();
        assert!(texts.contains(&"Emily put her coat on the chair near the door.".to_owned()));
        assert!(texts.contains(&"A nurse who is a man put their coat on the chair near the door.".to_owned()));
        assert!(texts.iter().all(|text| !text.contains(['{', '}'])));
    }

    #[test]
    fn one_term_that_is_nobody_has_all_terms_of_the_axis_quoted() {
        let axis = axis(&[("slim", term(&[("name", "slim body")])), ("other", term(&[("name", "Emily")]))]);
        let filled = Carriers::shipped().fill(&axis, Tone::Positive, 9);
        assert_eq!(filled.len(), 24);
        assert!(filled.iter().all(|filled| filled.text.contains("\"slim body\"") || filled.text.contains("\"Emily\"")));
    }

    #[test]
    fn a_carrier_without_its_slot_is_refused_by_its_text() {
        let text = include_str!("../../../prompts/audit/carriers.yaml")
            .replace("The letter was addressed to {who}.", "No slot.");
        let error = Carriers::parse(&text).unwrap_err().to_string();
        assert!(error.contains("\"No slot.\""), "{error}");
    }
}
