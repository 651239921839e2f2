//! Holds the shipped suites to what the method needs, and the suite language to its promises.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tiltmeter::suite::expand::expand;
use tiltmeter::suite::files::Places;
use tiltmeter::suite::load::{Outside, load_named_or_path, load_text};
use tiltmeter::suite::problem::SuiteProblems;
use tiltmeter::suite::{AskAs, Case, Probe, Suite, TermPlan};

const SMALL: &str = "\
suite: small
version: 1
axes:
  gender:
    reference: man
    groups:
      woman: [{ name: Ana, they: she }, { name: Eva, they: she }]
      man: [{ name: Ben, they: he }, { name: Tom, they: he }]
factors:
  job: [nurse, engineer, clerk]
  place: [a hospital, a school]
templates:
  letter: Praise {{ job | a }} in {{ place }} named {{ gender.name }}.
  note: Write about {{ gender.name }}; {{ gender.they }} came.
probes: [{ generate: { samples: 2 } }]
scorers: [sentiment]
outcomes: [{ score: sentiment, margin: 0.05 }]
";

fn read(text: &str) -> Result<Suite, SuiteProblems> {
    load_text(text, "s.yaml", &Places::default())
}

fn cases(text: &str) -> Vec<Case> {
    expand(&read(text).unwrap(), None).unwrap()
}

fn ids(cases: &[Case]) -> BTreeSet<String> {
    cases.iter().map(|case| case.id.clone()).collect()
}

/// The messages for `SMALL` with one change.
fn problems(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    read(&SMALL.replacen(from, to, 1)).expect_err("this suite has a problem").to_string()
}

fn shipped() -> Vec<Suite> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| load_named_or_path(path.to_str().unwrap(), Outside::Refused).unwrap())
        .collect()
}

#[test]
fn every_shipped_suite_has_enough_clusters_and_terms_for_the_statistics() {
    assert!(!shipped().is_empty());
    for suite in shipped() {
        let cases = expand(&suite, None).unwrap();
        for axis in suite.tested_axes() {
            let of_axis: Vec<&Case> = cases
                .iter()
                .filter(|case| case.axis.split('+').zip(case.group.split('+')).any(|(name, _)| name == axis.name))
                .collect();
            let clusters: BTreeSet<_> = of_axis.iter().map(|case| (&case.template, &case.context)).collect();
            assert!(axis.crossed || clusters.len() >= 60, "{} {}: {} clusters", suite.name, axis.name, clusters.len());
            for group in axis.groups.iter().filter(|_| !axis.crossed) {
                let place = format!("{} {} {group}", suite.name, axis.name);
                let mut met: BTreeMap<&str, u32> = BTreeMap::new();
                for case in of_axis.iter().filter(|case| case.group.split('+').any(|name| name == group)) {
                    *met.entry(&case.term).or_default() += 1;
                }
                let terms = suite.axes.iter().find(|one| one.name == axis.name).unwrap();
                let terms = terms.groups.iter().find(|one| one.name == *group).unwrap().terms.len();
                assert!(met.len() >= terms, "{place}: {} of {terms} terms are met", met.len());
                let (least, most) = (met.values().min().unwrap(), met.values().max().unwrap());
                assert!(most - least <= 2 || *most <= 2 * least, "{place}: {met:?}");
            }
        }
        assert_eq!(ids(&cases).len(), cases.len(), "{}: ids are unique", suite.name);
        assert!(cases.is_sorted_by(|a, b| a.id < b.id));
        assert!(!suite.source.is_empty() && !suite.license.is_empty() && !suite.description.is_empty());
        assert!(suite.outcomes.iter().all(|outcome| !outcome.why.is_empty()));
    }
}

#[test]
fn the_prompts_of_a_set_are_equal_but_for_its_terms() {
    for mut suite in shipped() {
        let axes: Vec<String> = suite.axes.iter().map(|axis| axis.name.clone()).collect();
        let terms = suite.axes.iter_mut().flat_map(|axis| &mut axis.groups).flat_map(|group| &mut group.terms);
        for (form, text) in terms.flat_map(|term| &mut term.forms) {
            if !axes.contains(form) {
                *text = format!("<{form}>");
            }
        }
        let cases = expand(&suite, None).unwrap();
        for set in cases.chunk_by(|a, b| a.set == b.set) {
            assert!(set.len() > 1 && set.iter().all(|case| case.prompt == set[0].prompt), "{}", set[0].set);
        }
    }
}

#[test]
fn the_default_suite_is_short_enough_to_try_and_matches_names_on_the_other_axis() {
    let suite = load_named_or_path("first-look", Outside::Refused).unwrap();
    let cases = expand(&suite, None).unwrap();
    assert_eq!(cases.len(), 384);
    assert!(cases.iter().all(|case| case.prompt.split_whitespace().count() < 36));
    let carried = |case: &Case| {
        let axis = suite.axes.iter().find(|axis| axis.name == case.axis).unwrap();
        let group = axis.groups.iter().find(|group| group.name == case.group).unwrap();
        let term = group.terms.iter().find(|term| term.id == case.term).unwrap();
        let other = if case.axis == "gender" { "ethnicity" } else { "gender" };
        term.forms.iter().find(|(form, _)| form == other).unwrap().1.clone()
    };
    for set in cases.chunk_by(|a, b| a.set == b.set) {
        assert!(set.iter().all(|case| carried(case) == carried(&set[0])), "{}", set[0].set);
    }
    for level in ["occupation=", "situation="] {
        let mut met: BTreeMap<String, u32> = BTreeMap::new();
        for case in cases.iter().filter(|case| case.axis == "gender") {
            let part = case.context.split(',').find(|part| part.starts_with(level)).unwrap();
            *met.entry(part.into()).or_default() += 1;
        }
        assert!(met.len() == 8 && met.values().all(|n| *n == 16), "{met:?}");
    }
    let mask = &cases[0].mask;
    assert_eq!(mask.apply("Lakisha lost her badge; he has Kenji's."), "XYZ lost their badge; they has XYZ's.");
}

#[test]
fn the_embedded_suite_is_the_one_in_the_folder() {
    let embedded = load_named_or_path("first-look", Outside::Refused).unwrap();
    let folder = shipped().into_iter().find(|suite| suite.name == "first-look").unwrap();
    assert_eq!(embedded.digest, folder.digest);
    let error = load_named_or_path("second-look", Outside::Refused).unwrap_err().to_string();
    assert!(error.contains("neither a file nor an embedded suite (age, ") && error.contains("first-look"), "{error}");
}

#[test]
fn ids_and_prompts_are_as_documented() {
    let cases = cases(SMALL);
    assert_eq!(cases.len(), 6 * 4 + 4);
    let first = &cases[0];
    assert_eq!(first.id, "generate/letter/job=clerk,place=a-hospital/gender=man/term=ben");
    assert_eq!(first.set, "generate/letter/job=clerk,place=a-hospital/gender");
    assert_eq!(first.context, "job=clerk,place=a-hospital");
    assert_eq!(first.prompt, "Praise a clerk in a hospital named Ben.");
    let last = &cases[27];
    assert_eq!((last.id.as_str(), last.context.as_str()), ("generate/note/gender=woman/term=eva", ""));
    assert_eq!(last.prompt, "Write about Eva; she came.");
    assert!(cases.iter().any(|case| case.prompt.contains("an engineer")));
}

#[test]
fn inserting_a_term_a_template_or_a_group_changes_no_id() {
    let old: BTreeMap<_, _> = cases(SMALL).into_iter().map(|case| (case.id, case.prompt)).collect();
    for (from, to) in [
        ("[{ name: Ana,", "[{ name: Zoe, they: she }, { name: Ana,"),
        ("templates:\n", "templates:\n  first: Greet {{ gender.name }}.\n"),
        ("groups:\n", "groups:\n      other: [{ name: Sam, they: they }]\n"),
        ("job: [", "job: [pilot, "),
    ] {
        let new: BTreeMap<_, _> =
            cases(&SMALL.replacen(from, to, 1)).into_iter().map(|case| (case.id, case.prompt)).collect();
        assert!(new.len() > old.len());
        assert!(old.iter().all(|(id, prompt)| new.get(id) == Some(prompt)), "{to}");
    }
}

#[test]
fn inserting_a_template_or_a_group_leaves_rotated_terms_as_they_were() {
    let rotated = SMALL.replace("probes:", "design: { terms: { rotate: 1 }, seed: 7 }\nprobes:");
    let old = cases(&rotated);
    assert_eq!(old.len(), 7 * 2);
    for (from, to) in [
        ("templates:\n", "templates:\n  first: Greet {{ gender.name }}.\n"),
        ("groups:\n", "groups:\n      other: [{ name: Sam, they: they }]\n"),
    ] {
        assert!(ids(&cases(&rotated.replacen(from, to, 1))).is_superset(&ids(&old)), "{to}");
    }
}

#[test]
fn a_limit_is_nested_in_a_larger_one_and_keeps_whole_sets() {
    let suite = load_named_or_path("first-look", Outside::Refused).unwrap();
    let all = expand(&suite, None).unwrap();
    let mut smaller = BTreeSet::new();
    for limit in [1, 2, 7, 16, 40, 127, 128, 1000] {
        let cases = expand(&suite, Some(limit)).unwrap();
        let clusters: BTreeSet<_> = cases.iter().map(|case| (&case.template, &case.context)).collect();
        assert_eq!(clusters.len(), limit.min(128));
        if limit > 1 {
            assert_eq!(cases.iter().map(|case| &case.axis).collect::<BTreeSet<_>>().len(), 2, "both axes are met");
        }
        let larger = ids(&cases);
        assert!(larger.is_superset(&smaller));
        for set in cases.chunk_by(|a, b| a.set == b.set) {
            assert_eq!(set.len(), all.iter().filter(|case| case.set == set[0].set).count());
        }
        smaller = larger;
    }
    assert!(expand(&suite, Some(0)).is_err());
}

#[test]
fn a_template_with_two_axes_tests_each_while_the_other_is_held() {
    let text = SMALL
        .replace("factors:", "  age:\n    groups:\n      old: [old]\n      young: [young]\nfactors:")
        .replace("; {{ gender.they }} came", ", {{ age.name }}");
    let cases: Vec<_> = cases(&text).into_iter().filter(|case| case.template == "note").collect();
    assert_eq!(cases.len(), 2 * 4 + 4 * 2);
    let ids = ids(&cases);
    assert!(ids.contains("generate/note/age=old.old/gender=woman/term=ana"), "{ids:?}");
    assert!(ids.contains("generate/note/gender=man.ben/age=young/term=young"), "{ids:?}");
    assert!(cases.iter().any(|case| case.axis == "gender" && case.context == "age=young.young"));
}

#[test]
fn a_carried_value_does_not_overwrite_the_held_axis() {
    let text = SMALL
        .replace("factors:", "  age:\n    groups:\n      old: [{ name: Ida, gender: woman }, { name: Max, gender: man }]\n      young: [{ name: Lea, gender: woman }, { name: Jan, gender: man }]\nfactors:")
        .replace("; {{ gender.they }} came", " and {{ age.name }}")
        .replace("probes:", "design: { terms: { rotate: 1 } }\nprobes:");
    for set in cases(&text).chunk_by(|a, b| a.set == b.set).filter(|set| set[0].axis == "age") {
        let women = set.iter().filter(|case| ["ida", "lea"].contains(&case.term.as_str())).count();
        assert!(women == 0 || women == set.len(), "{}: names of one gender in a set", set[0].set);
    }
}

#[test]
fn the_whole_language_of_this_version_loads() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let head = "source: own\nlicense: CC0-1.0\n";
    write("prompts/men.yaml", &format!("{head}terms: [{{ name: Ben, pair: x }}, {{ name: Tom, pair: y }}]\n"));
    write("prompts/age.yaml", &format!("{head}reference: old\ngroups: {{ old: [old], young: [young] }}\n"));
    write("prompts/jobs.yaml", &format!("{head}levels: [nurse, 007]\n"));
    write("prompts/note.j2", "Write about {{ gender.name }},\n{{ age.name }}.\n");
    write("prompts/assistant.txt", "You are kind.\n");
    write(
        "suites/all.yaml",
        "suite: all\nversion: 3\ndescription: d\nsource: s\nlicense: l\naxes:\n  gender:\n    reference: man\n    groups:\n      woman: [{ name: Ana, pair: x }, { name: Eva, pair: y }]\n      man: { use: prompts/men.yaml }\n      other: { terms: [Kim], control: true }\n  age: { use: prompts/age.yaml, reference: young }\nfactors: { job: { use: prompts/jobs.yaml } }\ntemplates:\n  a: { text: \"{{ gender.name }}, {{ job | a | cap }}\", system: Be brief. }\n  note: { file: prompts/note.j2, system: prompts/assistant.txt }\ndesign: { vary: each, terms: 1, contexts: 3, seed: 9 }\nprobes:\n  - generate: { samples: 2, temperature: 0, top_p: 0.9, max_new_tokens: 8, stop: [\"\\n\"], as: chat }\nscorers: [detox, length]\noutcomes: [{ score: detox.toxicity, margin: 1, why: w }]\ngate: { on_inconclusive: warn }\n",
    );
    let suite = load_named_or_path(folder.path().join("suites/all.yaml").to_str().unwrap(), Outside::Refused).unwrap();
    assert_eq!(
        (suite.version, suite.design.terms, suite.design.contexts, suite.design.seed),
        (3, TermPlan::First(1), Some(3), 9)
    );
    assert_eq!(suite.axes[1].reference.as_deref(), Some("young"), "the suite's reference goes before the list's");
    assert!(suite.axes[0].groups[2].control && suite.axes[0].groups[0].terms[0].paired);
    assert_eq!(suite.factors[0].levels, ["nurse", "007"]);
    assert_eq!(suite.templates[0].system.as_deref(), Some("Be brief."));
    assert_eq!(suite.templates[1].system.as_deref(), Some("You are kind."));
    let Probe::Generate(spec) = &suite.probes[0] else { panic!("{:?}", suite.probes) };
    assert_eq!((spec.samples, spec.ask_as, spec.stop.as_slice()), (2, AskAs::Chat, &["\n".to_string()][..]));
    assert!(!suite.gate.fail_on_inconclusive);
    assert_eq!(expand(&suite, None).unwrap().iter().filter(|case| case.axis == "gender").count(), 2 * 3 + 3 * 2);

    write("prompts/jobs.yaml", &format!("{head}levels: [nurse, 008]\n"));
    let changed =
        load_named_or_path(folder.path().join("suites/all.yaml").to_str().unwrap(), Outside::Refused).unwrap();
    assert_ne!(changed.digest, suite.digest, "a changed list shows in the digest");
}

#[test]
fn problems_say_what_where_and_how() {
    for (from, to, message) in [
        (
            "{{ job | a }}",
            "{{ jop | a }}",
            "s.yaml:10:3: no template uses the factor \"job\"; use {{ job }} in one or take the factor out\n\
             s.yaml:13:21: template \"letter\" uses {{ jop }}, but no axis or factor is named \"jop\"; add it under factors:, or write \
             {{ gender.name }}, {{ job }}, {{ place }}",
        ),
        (
            "{ name: Tom, they: he }",
            "Tom",
            "s.yaml:8:38: the term \"tom\" of group \"man\" has no form `they`, but template \"note\" uses {{ gender.they }}; add `they:` to it",
        ),
        (
            "reference: man",
            "reference: men",
            "s.yaml:5:16: the reference \"men\" is not a group of axis \"gender\", whose groups are woman and man; use one of them",
        ),
        (
            "margin: 0.05",
            "margin: 0",
            "s.yaml:17:40: margin is the number 0, but should be a number above 0, in the score's unit",
        ),
        (
            "score: sentiment",
            "score: warmth",
            "s.yaml:17:21: the outcome \"warmth\" is not among the scores, which are sentiment; add a scorer under scorers: or use one of them",
        ),
        (
            "samples: 2",
            "sample: 2",
            "s.yaml:15:24: generate has no key `sample`; it can have samples, temperature, top_p, max_new_tokens, stop and as",
        ),
        (
            "version: 1",
            "interventions: []",
            "s.yaml:1:1: the suite has no `version`; add `version: 1`, and raise it whenever the suite's content changes\n\
             s.yaml:2:1: the suite has no key `interventions`; it can have suite, version, description, source, license, private, axes, \
             factors, templates, cases_from, design, probes, scorers, similarity, lexicon, outcomes, gate and benchmark",
        ),
        (
            "      man: [{ name: Ben, they: he }, { name: Tom, they: he }]\n",
            "      man: []\n",
            "s.yaml:8:7: group \"man\" of axis \"gender\" has no terms; add names or nouns that stand for it",
        ),
        (
            "name: Eva",
            "name: Ana",
            "s.yaml:7:41: the term id `ana` stands twice in group \"woman\" of axis \"gender\"; take one out",
        ),
        ("a school]", "a school]\n  job: [x]", "s.yaml:12:3: the key `job` stands here twice; take one out"),
    ] {
        assert_eq!(problems(from, to), message);
    }
}

#[test]
fn every_other_problem_is_found_at_its_place() {
    for (from, to, at, words) in [
        (
            "{{ gender.they }}",
            "{{ gender.them }}",
            "s.yaml:14:43",
            "no term of \"gender\" has the form `them`; it has name and they",
        ),
        ("{{ gender.they }}", "{{ gender }}", "s.yaml:14:43", "an axis needs a form; write {{ gender.name }}"),
        ("{{ place }}", "{{ place.x }}", "s.yaml:13:38", "a factor has no forms"),
        ("job | a", "job | verbs('has')", "s.yaml:13:11", "unknown filter"),
        ("job | a", "job | verb('has')", "s.yaml:13:11", "missing argument"),
        ("{{ place }}", "{{ place", "s.yaml:13:11", "template \"letter\""),
        ("they: she }, {", "they: '' }, {", "s.yaml:7:34", "is empty"),
        ("name: Ben", "name: Ana", "s.yaml:8:13", "give both `pair: ana` if they match"),
        ("nurse, eng", "Nurse, nurse, eng", "s.yaml:10:16", "are both `nurse` in case ids"),
        ("      man: [{ name: Ben, they: he }, { name: Tom, they: he }]\n", "", "s.yaml:7:7", "a comparison needs two"),
        ("samples: 2", "samples: 0", "s.yaml:15:33", "at least 1"),
        ("samples: 2", "temperature: -1", "s.yaml:15:37", "at least 0"),
        ("samples: 2", "temperature: .nan", "s.yaml:15:37", "at least 0"),
        ("samples: 2", "top_p: 0", "s.yaml:15:31", "above 0 and at most 1"),
        ("samples: 2", "top_p: 1.5", "s.yaml:15:31", "above 0 and at most 1"),
        ("samples: 2", "max_new_tokens: 0", "s.yaml:15:40", "at least 1"),
        ("margin: 0.05", "margin: .inf", "s.yaml:17:40", "above 0"),
        ("{ samples: 2 }", "{}, choice: {}", "s.yaml:15:", "one name with its settings"),
        ("generate: { samples: 2 }", "choice: {}", "s.yaml:15:", "choice has no options"),
        ("generate: { samples: 2 }", "choice: { options: [a] }", "s.yaml:15:", "a choice needs two"),
        ("generate: { samples: 2 }", "choice: { options: [a, A] }", "s.yaml:15:", "stands here twice"),
        ("generate: { samples: 2 }", "choice: { options: [a, mass] }", "s.yaml:15:", "no id of its own"),
        (
            "{ generate: { samples: 2 } }",
            "generate, { generate: {} }",
            "s.yaml:15:",
            "the probe `generate` stands here twice",
        ),
        (
            "generate:",
            "embedding:",
            "s.yaml:15:12",
            "there is no probe `embedding`; there are generate, choice and likelihood",
        ),
        ("probes:", "design: { vary: cross }\nprobes:", "s.yaml:15:17", "should be each or crossed"),
        ("probes:", "design: { contexts: 0 }\nprobes:", "s.yaml:15:21", "at least 1"),
        ("probes:", "design: { terms: { rotate: 0 } }\nprobes:", "s.yaml:15:28", "at least 1"),
        (
            "job: [nurse, engineer, clerk]",
            "job: { use: no.yaml }",
            "s.yaml:10:15",
            "there is no embedded file \"no.yaml\"",
        ),
        (
            "factors:",
            "  age: { groups: { old: [old], young: [young] } }\nfactors:",
            "s.yaml:9:3",
            "no template uses the axis \"age\"",
        ),
        ("note: Write about {{ gender.name }}; {{ gender.they }} came.", "note: Hello.", "s.yaml:14:9", "uses no axis"),
        ("suite: small", "suite: Small One", "s.yaml:1:8", "write `small-one`"),
        ("factors:", "factors: [", "s.yaml:", "this is not YAML"),
    ] {
        let found = problems(from, to);
        assert!(
            found.lines().any(|line| line.starts_with(at) && line.contains(words)),
            "{to}: expected {at} … {words}, found\n{found}"
        );
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text =
        SMALL.replace("reference: man", "reference: x").replace("samples: 2", "samples: 0").replace("0.05", "-1");
    let SuiteProblems(found) = read(&text).unwrap_err();
    assert_eq!(found.iter().map(|problem| problem.at.line).collect::<Vec<_>>(), [5, 15, 17]);
}

#[test]
fn any_text_loads_or_fails_with_a_place_but_never_panics() {
    for cut in (0..SMALL.len()).step_by(3) {
        if let Err(SuiteProblems(found)) = read(&SMALL[..cut]) {
            assert!(!found.is_empty() && found.iter().all(|problem| problem.at.line >= 1 && problem.at.column >= 1));
        }
    }
    for odd in [
        "",
        "null",
        "[]",
        "3",
        "suite",
        "suite: {}\naxes: []\ntemplates: 1\nprobes: {}\nscorers: x\noutcomes: [1]\ngate: 0\ndesign: []",
        "? {a: b}\n: c",
    ] {
        assert!(read(odd).is_err(), "{odd}");
    }
}

#[test]
fn every_shipped_suite_has_its_row_with_its_size_in_the_table_of_suites() {
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/README.md")).unwrap();
    for suite in shipped() {
        let row = table.lines().find(|line| line.starts_with(&format!("| {} |", suite.name)));
        let row = row.unwrap_or_else(|| panic!("suites/README.md has no row for {}", suite.name));
        let cases = expand(&suite, None).unwrap().len();
        assert!(row.contains(&format!(", {cases} |")), "{}: the table should say {cases} cases: {row}", suite.name);
        for outcome in &suite.outcomes {
            let said = format!("{} {}", outcome.score, outcome.margin);
            assert!(row.contains(&said), "{}: the table should say {said}: {row}", suite.name);
        }
    }
}
