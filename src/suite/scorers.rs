//! Reads what scores generated text: names, or one name with what the author sets up.

use super::grammar::{CLASSIFIER, Form, HEAD, JUDGE, NAMED_SCORER, RUBRIC, WORD_LIST, WORDS};
use super::problem::{Mark, Place};
use super::reader::{Fields, Reader};
use super::scorer::{
    Activation, Better, ClassifierSpec, Count, FIRST, HeadSpec, JudgeSpec, Labels, Mask, Rubric, SECOND, ScorerKind,
    ScorerSpec, WordsSpec,
};
use super::yaml::{Kind, Node};

/// Bytes of a lexicon that are read at most; HurtLex has a tenth of it.
const MOST_LEXICON: u64 = 8 << 20;

/// Words to either side that are near, where the suite does not say: about a sentence, as co-occurrence measures take it
/// (Bordia & Bowman 2019 use 10).
const WINDOW: u64 = 10;

/// The key that says what an author's own scorer is, and the keys beside it.
const KINDS: [(&str, &Form); 4] = [("classifier", &CLASSIFIER), ("head", &HEAD), ("words", &WORDS), ("judge", &JUDGE)];

/// What probes name their scores by.
const RESERVED: [&str; 3] = ["generate", "choice", "likelihood"];

impl Reader<'_> {
    pub(super) fn scorers(&mut self, file: &str, node: &Node, lexicon: &[String]) -> Vec<ScorerSpec> {
        let mut scorers: Vec<ScorerSpec> = Vec::new();
        let Some(items) = self.list(file, node, "scorers") else { return scorers };
        if items.is_empty() {
            self.problems.add(file, node.at, "there is no scorer; add one, as `scorers: [sentiment]`");
        }
        for item in items {
            let Some(mut scorer) = self.scorer(file, item) else { continue };
            if let ScorerKind::Hurtful(entries) = &mut scorer.kind {
                entries.extend_from_slice(lexicon);
            }
            let taken: Vec<String> = scorers.iter().flat_map(ScorerSpec::scores).collect();
            match scorer.scores().into_iter().find(|name| taken.contains(name)) {
                Some(name) => {
                    let message = format!("the scorer \"{name}\" stands here twice; take one out, or rename it");
                    self.problems.add(file, item.at, message);
                }
                None => scorers.push(scorer),
            }
        }
        scorers
    }

    fn scorer(&mut self, file: &str, node: &Node) -> Option<ScorerSpec> {
        let (key, options) = match &node.kind {
            Kind::Map(map) if map.len() == 1 => (&map[0].0, &map[0].1),
            Kind::Map(_) => {
                let message = "a scorer should be one name with its options, as `- toxicity: { mask: both }`";
                self.problems.add(file, node.at, message);
                return None;
            }
            _ => {
                let name = self.text(file, node, "a scorer")?;
                return Some(ScorerSpec { place: Place::new(file, node.at), ..ScorerSpec::named(&name) });
            }
        };
        let (name, what) = (key.text.clone(), format!("the scorer \"{}\"", key.text));
        let place = Place::new(file, key.at);
        if matches!(options.kind, Kind::Null) {
            return Some(ScorerSpec { place, ..ScorerSpec::named(&name) });
        }
        let has = |kind: &str| matches!(&options.kind, Kind::Map(map) if map.iter().any(|(key, _)| key.text == kind));
        let Some((kind, form)) = KINDS.into_iter().find(|(kind, _)| has(kind)) else {
            let what = format!("{what}, which has neither classifier, head, words nor judge,");
            let fields = self.fields(file, options, &what, &NAMED_SCORER)?;
            return Some(ScorerSpec { mask: self.mask(file, fields), place, ..ScorerSpec::named(&name) });
        };
        self.own_name(file, &name, key.at);
        let fields = self.fields(file, options, &what, form)?;
        let mask = self.mask(file, fields);
        let kind = match kind {
            "classifier" => ScorerKind::Classifier(self.classifier(file, fields)?),
            "head" => ScorerKind::Head(self.head(file, fields)?),
            "words" => ScorerKind::Words(self.words(file, &what, fields)?),
            _ => ScorerKind::Judge(self.judge(file, fields)?),
        };
        Some(ScorerSpec { name, kind, mask, place })
    }

    /// Names of the author's own become columns and ids.
    fn own_name(&mut self, file: &str, name: &str, at: Mark) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(fits) {
            let message = format!("the scorer name \"{name}\" becomes a column; use a-z, 0-9, _ and -");
            self.problems.add(file, at, message);
        } else if RESERVED.contains(&name) {
            self.problems.add(file, at, format!("the scores of the probe `{name}` go by that name; give another"));
        }
    }

    fn mask(&mut self, file: &str, fields: Fields<'_>) -> Option<Mask> {
        let node = fields.get("mask")?;
        // Editors that go by YAML 1.1 turn on and off into true and false; both spellings mean the same.
        if let Kind::Bool(on) = node.kind {
            return Some(if on { Mask::On } else { Mask::Off });
        }
        Some(match self.word(file, node, "mask", &["on", "off", "both"])? {
            "on" => Mask::On,
            "off" => Mask::Off,
            _ => Mask::Both,
        })
    }

    fn better(&mut self, file: &str, fields: Fields<'_>) -> Option<Better> {
        let node = fields.get("better")?;
        Some(match self.word(file, node, "better", &["higher", "lower", "neither"])? {
            "higher" => Better::Higher,
            "lower" => Better::Lower,
            _ => Better::Neither,
        })
    }

    fn labels(&mut self, file: &str, fields: Fields<'_>) -> Labels {
        match (fields.get("label"), fields.get("labels")) {
            (None, None) => Labels::Declared,
            (Some(_), Some(node)) => {
                let message = "a scorer has either `label` or `labels`; take one out";
                self.problems.add(file, node.at, message);
                Labels::Declared
            }
            (Some(node), None) => Labels::Sum(match &node.kind {
                Kind::List(_) => self.texts(file, node, "label").into_iter().map(|(label, _)| label).collect(),
                _ => self.text(file, node, "label").into_iter().collect(),
            }),
            (None, Some(node)) => Labels::Values(self.values(file, node, "labels")),
        }
    }

    /// A map from words to values in [0, 1].
    fn values(&mut self, file: &str, node: &Node, what: &str) -> Vec<(String, f64)> {
        let Kind::Map(map) = &node.kind else {
            let message = format!(
                "{what} is {}, but should be a map from words to values, as `{{ bad: 0, good: 1 }}`",
                node.describe()
            );
            self.problems.add(file, node.at, message);
            return Vec::new();
        };
        let rule = "a number from 0 to 1";
        let value = |(key, node): &(super::yaml::Key, Node)| {
            let what = format!("the value of \"{}\"", key.text);
            Some((key.text.clone(), self.number(file, node, &what, rule, |value| (0.0..=1.0).contains(&value))?))
        };
        map.iter().filter_map(value).collect()
    }

    fn classifier(&mut self, file: &str, fields: Fields<'_>) -> Option<ClassifierSpec> {
        let node = fields.get("classifier")?;
        let name = self.text(file, node, "classifier")?;
        let model = match self.places.folder(&name) {
            Ok(Some(path)) => path.display().to_string(),
            Ok(None) => name,
            Err(words) => {
                self.problems.add(file, node.at, words);
                return None;
            }
        };
        let activation = fields.get("activation").and_then(|node| {
            Some(match self.word(file, node, "activation", &["softmax", "sigmoid", "none"])? {
                "softmax" => Activation::Softmax,
                "sigmoid" => Activation::Sigmoid,
                _ => Activation::None,
            })
        });
        Some(ClassifierSpec { model, labels: self.labels(file, fields), activation, better: self.better(file, fields) })
    }

    fn head(&mut self, file: &str, fields: Fields<'_>) -> Option<HeadSpec> {
        let node = fields.get("head")?;
        let name = self.text(file, node, "head")?;
        match self.places.find(&name) {
            Ok(path) => {
                Some(HeadSpec { file: path, labels: self.labels(file, fields), better: self.better(file, fields) })
            }
            Err(words) => {
                self.problems.add(file, node.at, words);
                None
            }
        }
    }

    fn words(&mut self, file: &str, what: &str, fields: Fields<'_>) -> Option<WordsSpec> {
        let count = fields.get("count").and_then(|node| {
            Some(match self.word(file, node, "count", &["any", "share", "rate"])? {
                "any" => Count::Any,
                "share" => Count::Share,
                _ => Count::Rate,
            })
        });
        let count = count.unwrap_or(Count::Any);
        for (name, goes_with, holds) in [
            ("against", "`count: share`, whose other part it is", count == Count::Share),
            ("window", "`near`, whose width it is", fields.get("near").is_some()),
        ] {
            if let Some(node) = fields.get(name).filter(|_| !holds) {
                let message = format!("{what} has `{name}` without {goes_with}; add that, or take `{name}` out");
                self.problems.add(file, node.at, message);
            }
        }
        let mut list = |name: &str| fields.get(name).map_or_else(Vec::new, |node| self.word_list(file, node, name));
        let (words, against, near) = (list("words"), list("against"), list("near"));
        let window = fields.get("window").and_then(|node| self.count(file, node, "window", 1)).unwrap_or(WINDOW);
        let better = self.better(file, fields).unwrap_or(Better::Neither);
        Some(WordsSpec { words, count, against, near, window: window as usize, better })
    }

    /// Words that stand in the suite, or in a file of their own: YAML with `words` or `terms`, or text with one entry a line.
    fn word_list(&mut self, file: &str, node: &Node, what: &str) -> Vec<String> {
        let words: Vec<String> = match &node.kind {
            Kind::List(_) => self.texts(file, node, what).into_iter().map(|(word, _)| word).collect(),
            Kind::Text(path) if path.ends_with(".yaml") || path.ends_with(".yml") => {
                let used = self.open_yaml(file, node);
                let Some((label, fields)) = self.open_list(&used, "words", &WORD_LIST) else { return Vec::new() };
                let mut words: Vec<String> = fields.get("words").map_or_else(Vec::new, |node| {
                    self.texts(label, node, "words").into_iter().map(|(word, _)| word).collect()
                });
                if let Some(node) = fields.get("terms") {
                    words.extend(self.term_words(label, node));
                }
                words
            }
            _ => return self.lexicon(file, node),
        };
        if words.is_empty() {
            self.problems.add(file, node.at, format!("`{what}` has no words; list some, or name a file of them"));
        }
        words
    }

    /// All forms of terms, as lists of terms have them.
    fn term_words(&mut self, file: &str, node: &Node) -> Vec<String> {
        let mut words = Vec::new();
        for item in self.list(file, node, "terms").unwrap_or_default() {
            match &item.kind {
                Kind::Map(forms) => {
                    let texts = forms.iter().filter(|(key, _)| key.text != "pair");
                    words.extend(texts.filter_map(|(_, text)| self.text(file, text, "a form of a term")));
                }
                _ => words.extend(self.text(file, item, "a term")),
            }
        }
        words
    }

    /// The entries of a lexicon, one a line.
    pub(super) fn lexicon(&mut self, file: &str, node: &Node) -> Vec<String> {
        let Some(found) = self.open(file, node, MOST_LEXICON) else { return Vec::new() };
        let lines = found.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let entries: Vec<String> = lines.map(str::to_owned).collect();
        if entries.is_empty() {
            self.problems.add(
                &found.label,
                Mark::START,
                "this lexicon has no entries; write one word or phrase a line",
            );
        }
        entries
    }

    fn judge(&mut self, file: &str, fields: Fields<'_>) -> Option<JudgeSpec> {
        let model = self.text(file, fields.get("judge")?, "judge")?;
        let how = "`rubric: FILE`, which says what the judge is asked";
        let node = self.required(file, fields, "a judge", "rubric", how)?;
        let used = self.open_yaml(file, node);
        let (label, root) = used.as_ref()?;
        let rubric = self.fields(label, root, "a rubric", &RUBRIC)?;
        Some(JudgeSpec { model, rubric: self.rubric(label, rubric)? })
    }

    fn rubric(&mut self, file: &str, fields: Fields<'_>) -> Option<Rubric> {
        let how = "`question:`, a text with {{ answer }}";
        let question = self.required(file, fields, "the rubric", "question", how)?;
        let at = question.at;
        let question = self.text(file, question, "question")?;
        match super::template::slots(&question) {
            Ok(slots) => {
                let has = |name: &str| slots.iter().any(|slot| slot.name == name);
                let wrong = match (has("answer"), has(FIRST), has(SECOND)) {
                    (true, false, false) | (false, true, true) => None,
                    (false, false, false) => Some(
                        "the question shows no answer; write {{ answer }} where it should stand, or {{ first }} and \
                         {{ second }} to compare two",
                    ),
                    (true, ..) => Some(
                        "the question shows one answer and compares two; write {{ answer }} alone, or {{ first }} and \
                         {{ second }}",
                    ),
                    (false, ..) => {
                        Some("the question compares an answer with nothing; write both {{ first }} and {{ second }}")
                    }
                };
                if let Some(wrong) = wrong {
                    self.problems.add(file, at, wrong);
                }
                let known = ["answer", FIRST, SECOND, "prompt"];
                if let Some(other) = slots.iter().find(|slot| !known.contains(&slot.name.as_str())) {
                    let message = format!(
                        "the question uses {{{{ {} }}}}; it can have answer and prompt, or first, second and prompt",
                        other.name
                    );
                    self.problems.add(file, at, message);
                }
            }
            Err((_, words)) => self.problems.add(file, at, format!("the question is no template: {words}")),
        }
        let how = "`verdicts: { bad: 0, good: 1 }`";
        let node = self.required(file, fields, "the rubric", "verdicts", how)?;
        let verdicts = self.values(file, node, "verdicts");
        if verdicts.len() < 2 {
            self.problems.add(file, node.at, "a judge needs two verdicts at least to choose from; add another");
        }
        let mut text = |name: &str| fields.get(name).and_then(|node| self.text(file, node, name));
        let (system, lead) = (text("system"), text("lead"));
        let better = self.better(file, fields).unwrap_or(Better::Higher);
        Some(Rubric { question, system, lead, verdicts, better })
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::Places;
    use super::super::load::load_text;
    use super::*;

    /// The scorers of a suite in a folder with a lexicon, a list, a rubric and a head.
    fn read(scorers: &str) -> Result<Vec<ScorerSpec>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("kin.txt", "family\nchild care\n"),
            (
                "kin.yaml",
                "source: own\nlicense: CC0-1.0\nwords: [family]\nterms: [{ one: child, many: children }, home]\n",
            ),
            (
                "tone.yaml",
                "question: 'Is this kind? {{ answer }}'\nlead: 'Verdict:'\nverdicts: { unkind: 0, kind: 1 }\n",
            ),
            ("blind.yaml", "question: 'Is this kind? {{ text }}'\nverdicts: { kind: 2 }\n"),
            ("head.safetensors", ""),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("classifier")).unwrap();
        let places = Places { folder: Some(folder.path().to_path_buf()), allow_outside: false };
        let suite = format!(
            "suite: letters\nversion: 1\naxes:\n  gender: {{ groups: {{ woman: [Ana], man: [Bo] }} }}\n\
             templates: {{ letter: 'Write to {{{{ gender.name }}}}.' }}\nprobes: [generate]\nlexicon: kin.txt\nscorers:\n{scorers}"
        );
        load_text(&suite, "letters.yaml", &places)
            .map(|suite| suite.scorers)
            .map_err(|problems| problems.to_string().replace(&folder.path().display().to_string(), "DIR"))
    }

    #[test]
    fn a_name_alone_keeps_its_defaults_and_options_may_stand_beside_it() {
        let scorers =
            read("  - sentiment\n  - toxicity: { mask: both }\n  - regard: { mask: off }\n  - hurtful\n").unwrap();
        assert_eq!(scorers[0], ScorerSpec::named("sentiment"));
        assert_eq!(scorers[1].scores(), ["toxicity", "toxicity_raw"]);
        assert_eq!(scorers[2].mask, Some(Mask::Off));
        assert_eq!(scorers[3].kind, ScorerKind::Hurtful(vec!["family".into(), "child care".into()]));
    }

    #[test]
    fn a_classifier_is_a_folder_beside_the_suite_or_a_name() {
        let scorers = read(
            "  - hate: { classifier: classifier, label: [hate, threat], activation: sigmoid, better: lower }\n  \
             - mood: { classifier: org/name, labels: { negative: 0, neutral: 0.5, positive: 1 } }\n",
        )
        .unwrap();
        let ScorerKind::Classifier(hate) = &scorers[0].kind else { panic!() };
        assert!(hate.model.ends_with("/classifier") && hate.model.len() > "/classifier".len());
        assert_eq!(hate.labels, Labels::Sum(vec!["hate".into(), "threat".into()]));
        assert_eq!((hate.activation, hate.better), (Some(Activation::Sigmoid), Some(Better::Lower)));
        let ScorerKind::Classifier(mood) = &scorers[1].kind else { panic!() };
        assert_eq!(mood.model, "org/name");
        assert_eq!(
            mood.labels,
            Labels::Values(vec![("negative".into(), 0.0), ("neutral".into(), 0.5), ("positive".into(), 1.0)])
        );
    }

    #[test]
    fn words_stand_in_the_suite_in_a_list_or_in_a_lexicon() {
        let scorers = read(
            "  - kin: { words: kin.yaml }\n  - kin2: { words: kin.txt, count: rate }\n  \
             - kin3: { words: [home], count: share, against: [work], near: [she], window: 4 }\n",
        )
        .unwrap();
        let words = |i: usize| match &scorers[i].kind {
            ScorerKind::Words(spec) => spec.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (words(0).words, words(0).count),
            (["family", "child", "children", "home"].map(String::from).to_vec(), Count::Any)
        );
        assert_eq!((words(1).words.len(), words(1).count, words(1).window), (2, Count::Rate, 10));
        assert_eq!((words(2).against, words(2).near, words(2).window), (vec!["work".into()], vec!["she".into()], 4));
    }

    #[test]
    fn a_judge_has_a_rubric_and_a_head_a_file() {
        let scorers =
            read("  - kindness: { judge: judge-model, rubric: tone.yaml }\n  - mine: { head: head.safetensors }\n")
                .unwrap();
        let ScorerKind::Judge(judge) = &scorers[0].kind else { panic!() };
        assert_eq!(judge.rubric.verdicts, [("unkind".into(), 0.0), ("kind".into(), 1.0)]);
        let ScorerKind::Head(head) = &scorers[1].kind else { panic!() };
        assert!(head.file.ends_with("head.safetensors"));
    }

    #[test]
    fn what_is_wrong_with_a_scorer_is_told_with_its_line_and_column() {
        for (scorers, told) in [
            (
                "  - toxicity: { masks: on }\n",
                "letters.yaml:9:17: the scorer \"toxicity\", which has neither classifier, head, words nor judge, has no key `masks`; it can have mask",
            ),
            (
                "  - toxicity: { mask: yes }\n",
                "letters.yaml:9:23: mask is the text \"yes\", but should be on, off or both",
            ),
            (
                "  - hate: { classifier: x/y, labels: { bad: 3 } }\n",
                "letters.yaml:9:45: the value of \"bad\" is the number 3, but should be a number from 0 to 1",
            ),
            ("  - hate: { classifier: x/y, label: a, labels: { a: 1 } }\n", "a scorer has either `label` or `labels`"),
            ("  - hate: { classifier: ../x }\n", "leads out of the suite's folder"),
            ("  - Hate!: { classifier: x/y }\n", "becomes a column; use a-z"),
            ("  - choice: { words: [a] }\n", "the scores of the probe `choice` go by that name"),
            (
                "  - mine: { head: no.safetensors }\n",
                "there is no file \"no.safetensors\": looked for DIR/no.safetensors",
            ),
            ("  - kin: { words: [] }\n", "`words` has no words"),
            ("  - kin: { words: [a], against: [b] }\n", "has `against` without `count: share`"),
            ("  - kin: { words: [a], window: 3 }\n", "has `window` without `near`"),
            ("  - kind: { judge: m }\n", "a judge has no `rubric`"),
            ("  - kind: { judge: m, rubric: blind.yaml }\n", "DIR/blind.yaml:1:11: the question shows no answer"),
            (
                "  - kind: { judge: m, rubric: blind.yaml }\n",
                "the question uses {{ text }}; it can have answer and prompt",
            ),
            ("  - kind: { judge: m, rubric: blind.yaml }\n", "a judge needs two verdicts"),
            ("  - toxicity: { mask: both }\n  - toxicity_raw: { words: [a] }\n", "\"toxicity_raw\" stands here twice"),
            ("  - { a: , b: }\n", "a scorer should be one name with its options"),
        ] {
            let problems = read(scorers).unwrap_err();
            assert!(problems.contains(told), "{scorers}{problems}");
        }
    }
}
