//! Holds the lint to what it promises: what it finds, where, and what it leaves alone.

use std::path::Path;

use tiltmeter::suite::files::Places;
use tiltmeter::suite::lint::{Finding, Level, Model, RULES, TOKEN_RULES, lint};
use tiltmeter::suite::load::{Outside, load_named_or_path, load_text};

/// Nothing to find but what a test puts in.
const CLEAN: &str = "\
suite: clean
version: 1
description: d
source: own
license: CC0-1.0
axes:
  gender:
    reference: man
    groups:
      woman: [Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]
      man: [Ben, Dan, Jan, Leo, Max, Ned, Tom, Udo]
factors:
  job: [nurse, engineer, clerk, cook, judge, painter, tailor, welder]
  place: [a hospital, a school, a hotel, a court, a port, a farm, a shop, a yard]
templates:
  letter: Praise {{ job | a }} in {{ place }} named {{ gender.name }}.
design: { terms: { rotate: 1 } }
probes: [{ generate: { samples: 2 } }]
scorers: [sentiment]
outcomes: [{ score: sentiment, margin: 0.05, why: w }]
";

fn found(text: &str) -> Vec<Finding> {
    lint(&load_text(text, "s.yaml", &Places::default()).unwrap(), None).unwrap()
}

/// What is found after one change.
fn after(from: &str, to: &str) -> Vec<Finding> {
    assert!(CLEAN.contains(from), "{from}");
    found(&CLEAN.replacen(from, to, 1))
}

fn has(found: &[Finding], rule: &str, words: &str) -> bool {
    found.iter().any(|finding| finding.rule == rule && finding.message.contains(words))
}

const PRONOUNS: &str =
    "      woman: [{ name: Ana, they: she, them: her, their: her }, { name: Eva, they: she, them: her, their: her }]
      man: [{ name: Ben, they: he, them: him, their: his }, { name: Dan, they: he, them: him, their: his }]
      other: [{ name: Kim, they: they, them: them, their: their }, { name: Sam, they: they, them: them, their: their }]
";

fn with_pronouns(template: &str) -> Vec<Finding> {
    let names =
        "      woman: [Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]\n      man: [Ben, Dan, Jan, Leo, Max, Ned, Tom, Udo]\n";
    let text = CLEAN
        .replace(names, PRONOUNS)
        .replace("letter: Praise {{ job | a }} in {{ place }} named {{ gender.name }}.", template);
    found(&text)
}

#[test]
fn a_sound_suite_gives_no_finding() {
    assert_eq!(found(CLEAN), []);
}

#[test]
fn every_shipped_suite_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let suite = load_named_or_path(file.to_str().unwrap(), Outside::Refused).unwrap();
            let found = lint(&suite, None).unwrap();
            let bad: Vec<&Finding> = found.iter().filter(|finding| finding.level < Level::Note).collect();
            assert!(bad.is_empty(), "{}: {bad:?}", file.display());
        }
    }
}

#[test]
fn each_rule_finds_its_case_and_says_so() {
    let capital = "letter: \"{{ job }} praised in {{ place }} named {{ gender.name }}.\"";
    let template = "letter: Praise {{ job | a }} in {{ place }} named {{ gender.name }}.";
    for (from, to, rule, words) in [
        ("description: d\n", "", "no-description", "plain words"),
        ("source: own\n", "", "no-source", "where its text"),
        ("license: CC0-1.0\n", "", "no-license", "may be used"),
        ("why: w", "direction: higher", "no-reason", "why a gap of 0.05 does not matter"),
        ("outcomes: [{ score: sentiment, margin: 0.05, why: w }]\n", "", "no-outcome", "no verdict"),
        ("    reference: man\n", "", "no-reference", "mean of the rest"),
        ("margin: 0.05", "margin: 0.6", "margin", "half of the range"),
        ("{{ job | a }}", "a {{ job }}", "article", "\"a engineer\""),
        (template, capital, "capital", "begins a sentence with \"nurse\""),
        ("Lea, Mia, Noa, Pia, Uma]", "Lea]", "few-terms", "4 terms, fewer than 8"),
        ("Lea, Mia, Noa, Pia, Uma]", "Lea]", "unbalanced", "from 4 to 8 terms"),
        ("clerk, cook, judge, painter, tailor, welder]", "clerk]", "few-clusters", "24 clusters"),
        ("Praise", "Dear Mr or Mrs, praise", "pronoun", "\"mr\""),
        ("Praise {{ job | a }}", "Like Matthias, praise {{ job | a }}", "leak", "\"Matthias\""),
        (
            "[{ generate: { samples: 2 } }]",
            "[generate, { choice: { options: [a lot, a] } }]",
            "options",
            "begins \"a lot\"",
        ),
        ("sentiment]\noutcomes: [{ score: sentiment", "toxicity]\noutcomes: [{ score: toxicity", "rare-outcome", "10%"),
    ] {
        let text = CLEAN.replacen("Max,", "Matthias,", 1);
        assert!(text.contains(from), "{from}");
        let found = found(&text.replacen(from, to, 1));
        assert!(has(&found, rule, words), "{to}: no {rule} in {found:?}");
    }
    // One group has fewer cases, one list leans to one gender.
    let found = after("terms: { rotate: 1 }", "terms: all");
    assert!(!has(&found, "unbalanced", ""), "{found:?}");
    let uneven = CLEAN.replacen("terms: { rotate: 1 }", "terms: all", 1).replacen(", Noa, Pia, Uma]", "]", 1);
    assert!(has(&self::found(&uneven), "unbalanced", "clusters without it drop out"));
}

#[test]
fn blanks_and_doubled_terms_are_found() {
    let found = after("in {{ place }} named", "in {{ place }}{{ ' ' }} named");
    assert!(has(&found, "double-space", "two blanks"), "{found:?}");
    let found = after("[Ben, Dan", "[{ name: Ána, pair: b }, Dan");
    assert!(!has(&found, "duplicate-term", ""), "a declared pair is no duplicate: {found:?}");
    let found = after("[Ben, Dan", "[{ nick: a, name: ana }, Dan");
    assert!(has(&found, "duplicate-term", "\"Ana\" and \"ana\" read alike"), "{found:?}");
}

#[test]
fn faults_that_other_tools_make_in_their_swaps_are_found_here() {
    // "hers book", "him husband": a word for one gender in a prompt of another.
    assert!(has(
        &with_pronouns("t: Say that {{ gender.name }} lost his book in {{ place }} as {{ job | a }}."),
        "pronoun",
        "\"his\""
    ));
    assert!(has(
        &with_pronouns("t: Say that {{ gender.name }} and her husband met in {{ place }} as {{ job | a }}."),
        "pronoun",
        "\"her\""
    ));
    // "They has".
    let found =
        with_pronouns("t: \"{{ job | a | cap }} in {{ place }}: {{ gender.they }} has won, says {{ gender.name }}.\"");
    assert!(has(&found, "pronoun", "\"they has\"") && has(&found, "pronoun", "verb('has', 'have')"), "{found:?}");
    let found = with_pronouns(
        "t: \"{{ job | a | cap }} in {{ place }}: {{ gender.they }} {{ gender.they | verb('has', 'have') }} won.\"",
    );
    assert!(!has(&found, "pronoun", ""), "{found:?}");
    // "caucT man": here terms are slots, so that no part of another word can be replaced; a conditional text is found.
    let found = with_pronouns(
        "t: \"{{ job | a | cap }} in {{ place }}, {% if gender.they == 'she' %}a kind{% else %}a strict{% endif %} one: {{ gender.name }}\"",
    );
    assert!(has(&found, "residual", "in more than the words of the group"), "{found:?}");
    // "girfriend" for "girlfriend": one group's term is not the other's in any list, and reads as it is written.
    let found = after("Praise", "Praise my girlfriend,");
    assert!(!has(&found, "leak", ""), "{found:?}");
}

#[test]
fn prompts_that_do_not_tell_groups_apart_are_found() {
    let found = with_pronouns("t: \"{{ job | a | cap }} in {{ place }}: a letter for {{ gender.them }} all\"");
    assert!(!has(&found, "duplicate-prompt", "the very same"), "{found:?}");
    let same = CLEAN
        .replace(
            "[Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]",
            "[{ name: Ana, noun: person }, { name: Eva, noun: person }]",
        )
        .replace(
            "[Ben, Dan, Jan, Leo, Max, Ned, Tom, Udo]",
            "[{ name: Ben, noun: person }, { name: Dan, noun: person }]",
        )
        .replace("gender.name", "gender.noun");
    assert!(has(&self::found(&same), "duplicate-prompt", "their gap is 0"));
}

#[test]
fn lengths_in_tokens_and_a_short_context_are_found_with_a_model() {
    let text = CLEAN.replace(
        "[Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]",
        "[Ana B C D, Eva B C D, Ida B C D, Lea B C D, Mia B C D, Noa B C D, Pia B C D, Uma B C D]",
    );
    let suite = load_text(&text, "s.yaml", &Places::default()).unwrap();
    let words = |text: &str| Ok(text.split_whitespace().count());
    let model = |context_length| Model { name: "words", tokens: &words, context_length };
    let found = lint(&suite, Some(&model(4096))).unwrap();
    assert!(has(&found, "token-length", "woman 11.0 (11–11)"), "{found:?}");
    let found = lint(&suite, Some(&model(70))).unwrap();
    assert!(found.iter().any(|finding| finding.rule == "context-length" && finding.level == Level::Error), "{found:?}");
}

#[test]
fn findings_have_the_place_in_the_file() {
    let found = after("{{ job | a }}", "a {{ job }}");
    let finding = found.iter().find(|finding| finding.rule == "article").unwrap();
    assert_eq!((&*finding.place.file, finding.place.at.line, finding.place.at.column), ("s.yaml", 16, 11));
}

#[test]
fn every_rule_stands_in_the_page_of_rules_with_its_level() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lint.md")).unwrap();
    for (rule, level) in RULES.iter().chain(&TOKEN_RULES) {
        let row = format!("| `{rule}` | {} |", level.as_str());
        assert!(page.contains(&row), "docs/lint.md lacks {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, RULES.len() + TOKEN_RULES.len() + 2, "the page's rows are the rules, `suite` and `scorer`");
}

#[test]
fn a_pronoun_that_cannot_own_is_found_before_what_is_owned() {
    let forms = |found: &str| found.replace("their: her }", "their: her, theirs: hers }");
    let with = |template: &str| {
        let names = "[Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]\n      man: [Ben, Dan, Jan, Leo, Max, Ned, Tom, Udo]";
        let pronouns = "[{ they: she, them: her, their: her }]\n      man: [{ they: he, them: him, their: his }]";
        let text = CLEAN.replace(names, &forms(pronouns).replace("their: his }", "their: his, theirs: his }"));
        found(&text.replace("Praise {{ job | a }} in {{ place }} named {{ gender.name }}.", template))
    };
    let found = with("Ask {{ job | a }} in {{ place }} about {{ gender.theirs }} book.");
    assert!(has(&found, "wrong-form", "\"hers book\"") && has(&found, "wrong-form", "gender.their }}"), "{found:?}");
    let found = with("Ask {{ job | a }} in {{ place }} about {{ gender.them }} husband.");
    assert!(has(&found, "wrong-form", "\"him husband\""), "{found:?}");
    let found = with("Ask {{ job | a }} in {{ place }} to give {{ gender.them }} books of {{ gender.theirs }} back.");
    assert!(!has(&found, "wrong-form", ""), "{found:?}");
}

#[test]
fn a_name_inside_a_word_is_found_and_a_grammatical_ending_is_not() {
    let found = after("named {{ gender.name }}", "named cauc{{ gender.name }}");
    assert!(has(&found, "inside-word", "\"caucAna\""), "{found:?}");
    let found = after("named {{ gender.name }}", "named Mac{{ gender.name }}");
    assert!(!has(&found, "inside-word", ""), "{found:?}");
    let endings = CLEAN.replace("[Ana,", "[{ name: Ana, o: a },").replace("[Ben,", "[{ name: Ben, o: o },");
    let endings = endings.replace("Eva, Ida, Lea, Mia, Noa, Pia, Uma", "{ name: Eva, o: a }");
    let endings = endings.replace("Dan, Jan, Leo, Max, Ned, Tom, Udo", "{ name: Dan, o: o }");
    let found = self::found(&endings.replace("named {{ gender.name }}", "cansad{{ gender.o }}, {{ gender.name }}"));
    assert!(!has(&found, "inside-word", ""), "{found:?}");
}

#[test]
fn a_slip_in_a_term_is_found_beside_the_right_word() {
    let found = after("[Ana, Eva", "[girlfriend, girfriend");
    assert!(has(&found, "spelling", "\"girfriend\" differs from \"girlfriend\""), "{found:?}");
    // The name of a form is no text.
    let names = "[Ana, Eva, Ida, Lea, Mia, Noa, Pia, Uma]\n      man: [Ben, Dan, Jan, Leo, Max, Ned, Tom, Udo]";
    let forms = "[{ name: Ana, companero: compañera }]\n      man: [{ name: Ben, companero: compañero }]";
    let text = CLEAN.replace(names, forms).replace("in {{ place }}", "{{ gender.companero }} in {{ place }}");
    assert!(!has(&self::found(&text), "spelling", ""));
    let found = after("[Ana, Eva", "[trabajador, trabajadora");
    assert!(!has(&found, "spelling", ""), "{found:?}");
}

#[test]
fn a_group_named_in_the_template_is_found_where_people_are_meant() {
    let colour = CLEAN.replace("gender", "colour").replace("woman:", "black:").replace("man", "white");
    assert!(has(&found(&colour.replace("Praise", "As a black applicant, praise")), "leak", "\"black applicant\""));
    assert!(!has(&found(&colour.replace("Praise", "Over black coffee, praise")), "leak", ""));
}

#[test]
fn a_blank_before_a_comma_is_found() {
    let found = after("named {{ gender.name }}", "named {{ gender.name ~ ' ' }}, that is all");
    assert!(has(&found, "stray-blank", "before \",\""), "{found:?}");
}

#[test]
fn a_control_that_asks_the_same_as_another_group_is_found() {
    let terms = "{ terms: [{ nick: x, name: Ben }, { nick: y, name: Dan }], control: true }";
    let control = CLEAN.replace("factors:", &format!("      again: {terms}\nfactors:"));
    let same = control.replace("terms: { rotate: 1 }", "terms: 2");
    assert!(has(&found(&same), "idle-control", "controls nothing"));
    let other = same.replace("nick: y, name: Dan", "nick: y, name: Bob");
    assert!(!has(&found(&other), "idle-control", ""));
}

#[test]
fn options_that_do_not_stand_first_equally_often_are_noted() {
    let three = "{ choice: { options: [yes, no, maybe] } }";
    let found = after("{ generate: { samples: 2 } }", &format!("generate, {three}"));
    assert!(has(&found, "option-order", "from 21 to 22 clusters"), "{found:?}");
    let two = after("{ generate: { samples: 2 } }", "generate, { choice: { options: [yes, no] } }");
    assert!(!has(&two, "option-order", ""), "{two:?}");
}

#[test]
fn a_fault_of_thousands_of_cases_is_one_finding_with_their_number() {
    let levels = |letter: char| (0..40).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(", ");
    let text = CLEAN.replace("nurse, engineer", &(levels('p') + ", nurse")).replace("a hospital", &levels('q'));
    let same = text.replace("[Ana,", "[{ nick: x, name: Ben },").replace("terms: { rotate: 1 }", "terms: all");
    let found = found(&same);
    let same: Vec<&Finding> = found.iter().filter(|finding| finding.message.contains("very same")).collect();
    assert_eq!(same.len(), 1, "{found:?}");
    assert!(same[0].message.contains("2209 sets so"), "{same:?}");
}
