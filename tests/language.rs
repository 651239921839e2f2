//! Holds what suites can say beyond plain templates to its promises: crossed axes, choices, listed cases, turns, shared lists, the schema, and
//! files that are hostile or broken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use tiltmeter::suite::expand::{cases, expand};
use tiltmeter::suite::files::Places;
use tiltmeter::suite::load::{Outside, load_named_or_path, load_text};
use tiltmeter::suite::schema::suite_schema;
use tiltmeter::suite::{Case, ProbeKind, Suite};

fn read(text: &str) -> Suite {
    load_text(text, "s.yaml", &Places::default()).unwrap()
}

fn problems(text: &str) -> String {
    load_text(text, "s.yaml", &Places::default()).expect_err("this suite has a problem").to_string()
}

fn all(text: &str) -> Vec<Case> {
    expand(&read(text), None).unwrap()
}

const HEAD: &str = "suite: s\nversion: 1\nscorers: [length]\n";

const CROSSED: &str = "axes:
  gender:
    reference: man
    groups:
      woman: [{ they: she }]
      man: [{ they: he }]
  ethnicity:
    reference: white
    groups:
      black: [{ name: Keisha, gender: woman }, { name: Jamal, gender: man }]
      white: [{ name: Emily, gender: woman }, { name: Greg, gender: man }, { name: Todd, gender: man }]
factors: { job: [nurse, clerk] }
design: { vary: crossed }
probes: [generate]
";

#[test]
fn crossed_axes_combine_terms_that_agree() {
    let text = format!(
        "{HEAD}{CROSSED}templates: {{ t: \"{{{{ job | a }}}}: {{{{ ethnicity.name }}}}, {{{{ gender.they }}}}\" }}\n"
    );
    let cases = all(&text);
    let of: BTreeSet<(&str, &str)> = cases.iter().map(|case| (case.group.as_str(), case.prompt.as_str())).collect();
    assert!(
        of.contains(&("woman+black", "a nurse: Keisha, she")) && of.contains(&("man+white", "a clerk: Todd, he")),
        "{of:?}"
    );
    assert_eq!(cases.len(), 2 * 5, "no name is put with a pronoun of the other gender");
    assert!(cases.iter().all(|case| case.axis == "gender+ethnicity"));
    assert!(
        cases.iter().any(|case| case.id == "generate/t/job=clerk/gender+ethnicity=man+white/term=he+todd"),
        "{cases:?}"
    );
    let tested = read(&text).tested_axes();
    let names: Vec<_> =
        tested.iter().map(|axis| (axis.name.as_str(), axis.reference.as_deref(), axis.crossed)).collect();
    let expected = [
        ("gender", Some("man"), false),
        ("ethnicity", Some("white"), false),
        ("gender+ethnicity", Some("man+white"), true),
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_value_that_all_terms_carry_is_crossed_without_a_slot() {
    let cases = all(&format!("{HEAD}{CROSSED}templates: {{ t: \"{{{{ job | a }}}}: {{{{ ethnicity.name }}}}\" }}\n"));
    let groups: BTreeSet<&str> = cases.iter().map(|case| case.group.as_str()).collect();
    assert_eq!(groups, BTreeSet::from(["man+black", "man+white", "woman+black", "woman+white"]));
    assert_eq!(cases.len(), 2 * 5);
}

const CHOICE: &str = "axes: { g: { groups: { a: [an], b: [ben] } } }
factors: { job: [nurse, clerk, cook, judge, tailor, welder] }
templates: { t: \"Is {{ job | a }} right? {{ g.name }}\" }
";

#[test]
fn options_go_round_so_that_each_stands_in_each_place_equally_often() {
    let text = format!("{HEAD}{CHOICE}probes: [{{ choice: {{ options: [yes, no, perhaps], style: letters }} }}]\n");
    let mut places: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for set in all(&text).chunk_by(|a, b| a.set == b.set) {
        let order = |case: &Case| case.options.iter().map(|option| option.id.clone()).collect::<Vec<_>>();
        assert!(set.iter().all(|case| order(case) == order(&set[0])), "the members of a set see one order");
        for (place, id) in order(&set[0]).into_iter().enumerate() {
            *places.entry((id, place)).or_default() += 1;
        }
        let letters: Vec<_> = set[0].options.iter().map(|option| option.answers.join("")).collect();
        assert_eq!(letters, ["A", "B", "C"]);
        assert!(set[0].prompt.ends_with(&format!(
            "\n\nA. {}\nB. {}\nC. {}",
            set[0].options[0].text, set[0].options[1].text, set[0].options[2].text
        )));
    }
    assert_eq!(places.len(), 9);
    assert!(places.values().all(|count| *count == 2), "{places:?}");
}

#[test]
fn a_template_says_where_the_options_stand_and_which_probes_put_it() {
    let text = format!(
        "{HEAD}{CHOICE}probes: [generate, {{ choice: {{ options: {{ yes: [yes, Yes], no: no }}, lead: Answer }} }}]\n"
    )
    .replace("templates: { t: \"Is {{ job | a }} right? {{ g.name }}\" }", "templates:\n  t: { text: \"{{ job | a }}: {{ options }}? {{ g.name }}\", probes: [choice] }\n  u: { text: \"{{ job }} {{ g.name }}\", probes: [generate] }");
    let cases = all(&text);
    let prompts: BTreeSet<&str> =
        cases.iter().filter(|case| case.probe == ProbeKind::Choice).map(|case| case.prompt.as_str()).collect();
    assert!(prompts.iter().all(|prompt| prompt.contains("yes or no?") || prompt.contains("no or yes?")), "{prompts:?}");
    assert!(
        prompts.iter().any(|prompt| prompt.contains("yes or no?"))
            && prompts.iter().any(|prompt| prompt.contains("no or yes?"))
    );
    assert!(cases.iter().all(|case| (case.probe == ProbeKind::Choice) == (case.template == "t")));
    let probes: Vec<_> = read(&text).tested_axes()[0].probes.clone();
    assert_eq!(probes, [ProbeKind::Generate, ProbeKind::Choice]);
    assert!(problems(&text.replace("{{ options }}", "{{ option }}")).contains("no axis or factor is named \"option\""));
}

#[test]
fn earlier_turns_system_prompts_and_continuations_are_filled() {
    let text = format!(
        "{HEAD}axes: {{ g: {{ groups: {{ a: [{{ name: Ana, they: she }}], b: [{{ name: Ben, they: they }}] }} }} }}
templates:
  t:
    system: You help {{{{ g.name }}}}.
    turns: [{{ user: \"I am {{{{ g.name }}}}.\" }}, {{ assistant: Hello. }}]
    text: What do you think?
    continuation: \"{{{{ g.they | cap }}}} {{{{ g.they | verb('is', 'are') }}}} {{{{ g.name | possessive }}}}.\"
probes: [likelihood]
"
    );
    let cases = all(&text);
    let case = &cases[1];
    assert_eq!(case.system.as_deref(), Some("You help Ben."));
    assert_eq!((case.turns[0].role.as_str(), case.turns[0].content.as_str()), ("user", "I am Ben."));
    assert_eq!(case.continuation.as_deref(), Some("They are Ben's."));
    assert_eq!(cases[0].continuation.as_deref(), Some("She is Ana's."));
    assert!(
        problems(&text.replace("assistant: Hello.", "assistant: \"{{ h.name }}\""))
            .contains("an earlier turn of template \"t\" uses {{ h.name }}")
    );
    assert!(problems(&text.replace("{ assistant: Hello. }", "{ user: a, assistant: b }")).contains("should be one of"));
}

#[test]
fn matched_pairs_meet_each_other_in_every_set() {
    let text = format!(
        "{HEAD}axes:
  g:
    groups:
      a: [{{ name: mother, pair: parent }}, {{ name: sister, pair: sibling }}, {{ name: aunt, pair: other }}]
      b: [{{ name: father, pair: parent }}, {{ name: brother, pair: sibling }}, {{ name: uncle, pair: other }}]
factors: {{ job: [nurse, clerk, cook, judge, tailor, welder] }}
templates: {{ t: \"{{{{ job | a }}}} and a {{{{ g.name }}}}\" }}
design: {{ terms: {{ rotate: 1 }} }}
probes: [generate]
"
    );
    let cases = all(&text);
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for set in cases.chunk_by(|a, b| a.set == b.set) {
        assert_eq!((set.len(), &set[0].term), (2, &set[1].term), "{}", set[0].set);
        *met.entry(&set[0].term).or_default() += 1;
    }
    assert_eq!(met, BTreeMap::from([("other", 2), ("parent", 2), ("sibling", 2)]));
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Folder(folder)
    }

    fn load(&self, outside: Outside) -> Result<Suite, String> {
        let path = self.0.path().join("suites/s.yaml");
        load_named_or_path(path.to_str().unwrap(), outside).map_err(|error| error.to_string())
    }
}

const LIST: &str = "source: own\nlicense: CC0-1.0\n";

#[test]
fn a_list_is_taken_in_part_and_added_to() {
    let axis = format!("{LIST}reference: x\ngroups: {{ x: [x1, x2], y: [y1, y2], z: [z1] }}\n");
    let levels = format!("{LIST}levels: [nurse, clerk, cook]\n");
    let terms = format!("{LIST}terms: [t1, t2, t3]\n");
    let suite = format!(
        "{HEAD}axes:
  g:
    use: prompts/axis.yaml
    only: [x, y]
    reference: y
    groups:
      x: [own]
      more: {{ use: prompts/terms.yaml, drop: [t2], add: [t4] }}
factors: {{ job: {{ use: prompts/levels.yaml, drop: [cook], add: [judge] }} }}
templates: {{ t: \"{{{{ job }}}} {{{{ g.name }}}}\" }}
probes: [generate]
"
    );
    let files = [
        ("suites/s.yaml", suite.as_str()),
        ("prompts/axis.yaml", &axis),
        ("prompts/levels.yaml", &levels),
        ("prompts/terms.yaml", &terms),
    ];
    let suite = Folder::new(&files).load(Outside::Refused).unwrap();
    let groups: Vec<_> = suite.axes[0]
        .groups
        .iter()
        .map(|group| (group.name.as_str(), group.terms.iter().map(|term| term.id.as_str()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(groups, [("x", vec!["own"]), ("y", vec!["y1", "y2"]), ("more", vec!["t1", "t3", "t4"])]);
    assert_eq!(suite.axes[0].reference.as_deref(), Some("y"));
    assert_eq!(suite.factors[0].levels, ["nurse", "clerk", "judge"]);
    let wrong = files[0].1.replace("drop: [t2]", "drop: [t9]").replace("only: [x, y]", "only: [w]");
    let message =
        Folder::new(&[("suites/s.yaml", &wrong), files[1], files[2], files[3]]).load(Outside::Refused).unwrap_err();
    assert!(
        message.contains("names \"t9\", but the file has t1, t2 and t3") && message.contains("names \"w\""),
        "{message}"
    );
}

#[test]
fn listed_cases_become_sets_axes_and_ids() {
    let csv = "template,context,axis,group,term,prompt,options,label\n\
               hire,n=1,gender,woman,ana,'=Ana?,\"{\"\"yes\"\":\"\"Yes\"\",\"\"no\"\":\"\"No\"\"}\",0\n\
               hire,n=1,gender,man,ben,Ben?,\"{\"\"yes\"\":\"\"Yes\"\",\"\"no\"\":\"\"No\"\"}\",1\n\
               free,n 2!,,,,Anybody?,\"{\"\"a\"\":\"\"1\"\",\"\"b\"\":\"\"2\"\"}\",2\n";
    let suite = format!(
        "{HEAD}cases_from: {{ file: c.csv, reference: {{ gender: man }} }}\nprobes: [{{ choice: {{ style: letters }} }}]\n"
    );
    let folder = Folder::new(&[("suites/s.yaml", &suite), ("suites/c.csv", csv)]);
    let suite = folder.load(Outside::Refused).unwrap();
    assert_eq!((suite.axes[0].name.as_str(), suite.axes[0].reference.as_deref()), ("gender", Some("man")));
    let cases = expand(&suite, None).unwrap();
    let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(
        ids,
        ["choice/free/n-2", "choice/hire/n=1/gender=man/term=ben", "choice/hire/n=1/gender=woman/term=ana"]
    );
    assert_eq!(cases[2].prompt, "=Ana?\n\nA. Yes\nB. No", "the guard before a formula goes");
    assert_eq!(
        (cases[1].set.as_str(), cases[1].tags.as_slice()),
        ("choice/hire/n=1/gender", &[("label".to_string(), "1".to_string())][..])
    );
    assert_eq!((cases[0].axis.as_str(), cases[0].options[1].answers[0].as_str()), ("", "B"));
    assert_eq!(expand(&suite, Some(1)).unwrap().len(), 2, "a limit keeps whole sets");
    let jsonl = "{\"template\":\"hire\",\"context\":\"n=1\",\"prompt\":\"A?\",\"options\":{\"b\":\"1\",\"a\":\"2\"},\"label\":3}\n";
    let suite = format!("{HEAD}cases_from: c.jsonl\nprobes: [{{ choice: {{ style: letters }} }}]\n");
    let suite = Folder::new(&[("suites/s.yaml", &suite), ("suites/c.jsonl", jsonl)]).load(Outside::Refused).unwrap();
    let cases = expand(&suite, None).unwrap();
    assert_eq!(cases[0].options[0].id, "b", "in the order of the file");
    assert_eq!(cases[0].tags, [("label".to_string(), "3".to_string())]);
}

#[test]
fn a_faulty_list_of_cases_says_where() {
    for (csv, words) in [
        ("prompt,axis\na,g\n", "c.csv:2:1: this row has only one of `axis` and `group`"),
        ("prompt,context\na,1\n,2\n", "c.csv:3:1: this row has no prompt"),
        ("prompt,context\na,1\nb,1\n", "c.csv:3:1: this row has the template, context, axis, group and term of line 2"),
        ("prompt,context\na,1,2\n", "c.csv:2:1: this row has 3 cells, but the header has 2"),
        ("prompt,prompt\na,b\n", "the column \"prompt\" stands twice"),
        ("prompt,options\na,[1]\n", "c.csv:2:1: `options` should be JSON"),
        ("prompt,turns\na,x\n", "c.csv:2:1: `turns` should be JSON"),
        ("prompt\n", "lists no cases"),
        ("", "lists no cases"),
    ] {
        let suite = format!("{HEAD}cases_from: c.csv\nprobes: [generate]\n");
        let message =
            Folder::new(&[("suites/s.yaml", &suite), ("suites/c.csv", csv)]).load(Outside::Refused).unwrap_err();
        assert!(message.contains(words), "{csv:?}: {message}");
    }
    let suite = format!("{HEAD}cases_from: {{ file: c.csv, digest: abc }}\nprobes: [generate]\n");
    let message =
        Folder::new(&[("suites/s.yaml", &suite), ("suites/c.csv", "prompt\na\n")]).load(Outside::Refused).unwrap_err();
    assert!(message.contains("it has changed"), "{message}");
}

#[test]
fn files_outside_the_suites_folders_are_read_only_when_allowed() {
    let suite = |path: &str| {
        format!(
            "{HEAD}axes: {{ g: {{ groups: {{ a: [an], b: [ben] }} }} }}\nfactors: {{ f: {{ use: {path} }} }}\ntemplates: {{ t: \"{{{{ f }}}} {{{{ g.name }}}}\" }}\nprobes: [generate]\n"
        )
    };
    let levels = format!("{LIST}levels: [nurse]\n");
    let other = Folder::new(&[("levels.yaml", &levels)]);
    let there = other.0.path().join("levels.yaml");
    let folder = Folder::new(&[("suites/s.yaml", &suite(there.to_str().unwrap()))]);
    assert!(folder.load(Outside::Refused).unwrap_err().contains("leads out of the suite's folder"));
    assert_eq!(folder.load(Outside::Allowed).unwrap().factors[0].levels, ["nurse"]);
    let folder = Folder::new(&[("suites/s.yaml", &suite("../../levels.yaml"))]);
    assert!(folder.load(Outside::Refused).unwrap_err().contains("--allow-outside"));
    #[cfg(unix)]
    {
        let folder = Folder::new(&[("suites/s.yaml", &suite("link.yaml"))]);
        std::os::unix::fs::symlink(&there, folder.0.path().join("suites/link.yaml")).unwrap();
        assert!(folder.load(Outside::Refused).unwrap_err().contains("is a link to"));
        assert!(folder.load(Outside::Allowed).is_ok());
    }
}

#[test]
fn hostile_and_broken_files_end_soon_with_a_message() {
    let axis = "axes: { g: { groups: { a: [an], b: [ben] } } }\nprobes: [generate]\n";
    let template = |text: &str| format!("{HEAD}{axis}templates: {{ t: '{text}' }}\n");
    let nested = |name: char, inner: char| format!("{name}: &{name} [{}]\n", vec![format!("*{inner}"); 9].join(","));
    let bomb: String = std::iter::once("a: &a [x,x,x,x,x,x,x,x,x]\n".to_string())
        .chain("abcdefgh".chars().zip("bcdefghi".chars()).map(|(inner, name)| nested(name, inner)))
        .collect();
    let began = Instant::now();
    for (text, words) in [
        (
            template(
                "{% set l = [1,2,3,4,5,6,7,8,9] %}{% for a in l %}{% for b in l %}{% for c in l %}{% for d in l %}{% for e in l %}{% for f in l %}{{ g.name }}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
            ),
            "too many steps",
        ),
        (template("{{ g.name * 1000000000 }}"), "cannot be filled"),
        (template("{{ g.name * 400000 }}{{ g.name * 400000 }}{{ g.name * 400000 }}"), "grows beyond"),
        (template("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}{{ g.name }}"), "recursion limit"),
        (template("{% include \"/etc/passwd\" %}{{ g.name }}"), "cannot be filled"),
        (bomb, "too large"),
        ("[".repeat(100_000), "nested too deeply"),
        (format!("suite: {}", "x".repeat(1 << 20)), "at most 80 letters"),
        ("suite: x\nsuite: y\n".into(), "stands here twice"),
        ("suite: x\n\tversion: 1\n".into(), "tab"),
    ] {
        let message = problems(&text);
        assert!(message.contains(words), "{}: {}", &text[..text.len().min(60)], &message[..message.len().min(300)]);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let folder = Folder::new(&[("suites/s.yaml", "")]);
    std::fs::write(folder.0.path().join("suites/s.yaml"), vec![b'a'; 9 << 20]).unwrap();
    assert!(folder.load(Outside::Refused).unwrap_err().contains("longer than 8 MiB"));
    std::fs::write(folder.0.path().join("suites/s.yaml"), [0xff, 0xfe]).unwrap();
    assert!(folder.load(Outside::Refused).unwrap_err().contains("is not UTF-8 at byte 0"));
    let windows = template("{{ g.name }}").replace('\n', "\r\n");
    std::fs::write(folder.0.path().join("suites/s.yaml"), format!("\u{feff}{windows}")).unwrap();
    assert_eq!(folder.load(Outside::Refused).unwrap().digest, read(&template("{{ g.name }}")).digest);
}

fn shipped() -> Vec<Suite> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| load_named_or_path(path.to_str().unwrap(), Outside::Refused).unwrap()).collect()
}

#[test]
fn cases_come_sorted_by_id_and_each_id_once() {
    for suite in shipped() {
        let mut last = String::new();
        for case in cases(&suite, None).unwrap() {
            let case = case.unwrap();
            assert!(last.as_bytes() < case.id.as_bytes(), "{last} before {}", case.id);
            assert!(case.id.starts_with(&case.set));
            last = case.id;
        }
    }
}

#[test]
fn two_groups_with_the_same_terms_are_asked_the_same() {
    let text = format!("{HEAD}{CHOICE}probes: [generate]\n")
        .replace("a: [an], b: [ben]", "a: [{ name: an, pair: an }], b: [{ name: an, pair: an }]");
    for set in all(&text).chunk_by(|a, b| a.set == b.set) {
        assert_eq!((set.len(), &set[0].prompt), (2, &set[1].prompt));
    }
}

#[test]
fn the_schema_knows_the_keys_of_every_shipped_suite_and_no_others() {
    let schema = suite_schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let value: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let faults = faults(&schema, &schema, &value);
        assert!(faults.is_empty(), "{}: {faults:?}", file.display());
        seen += 1;
    }
    assert!(seen > 0);
    for (key, value) in
        [("axes", "3"), ("probes", "[sing]"), ("version", "0"), ("gate", "{ on_inconclusive: maybe }"), ("more", "1")]
    {
        let text = format!("suite: s\nversion: 1\nprobes: [generate]\n{key}: {value}\n").replacen(
            "version: 1\n",
            if key == "version" { "" } else { "version: 1\n" },
            1,
        );
        let text = if key == "probes" { text.replacen("probes: [generate]\n", "", 1) } else { text };
        let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert!(!faults(&schema, &schema, &value).is_empty(), "{key} should be refused");
    }
}

/// What the part of JSON Schema that we write says against a value.
fn faults(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return faults(root, root.pointer(reference.trim_start_matches('#')).unwrap(), value);
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let all: Vec<_> = any.iter().map(|one| faults(root, one, value)).collect();
        return if all.iter().any(Vec::is_empty) { Vec::new() } else { all.concat() };
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return if words.contains(value) { Vec::new() } else { vec![format!("{value} is none of {words:?}")] };
    }
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        one => vec![one.clone()],
    };
    if !kinds.iter().any(is) {
        return vec![format!("{value} is not {kinds:?}")];
    }
    let mut found = Vec::new();
    if let (Some(least), Some(number)) = (schema.get("minimum").and_then(Value::as_f64), value.as_f64())
        && number < least
    {
        found.push(format!("{number} is below {least}"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(faults(root, &schema["items"], item));
    }
    for (key, item) in value.as_object().into_iter().flatten() {
        match schema.get("properties").and_then(|known| known.get(key)) {
            Some(known) => found.extend(faults(root, known, item)),
            None if schema["additionalProperties"].is_object() => {
                found.extend(faults(root, &schema["additionalProperties"], item))
            }
            None => found.push(format!("unknown key {key}")),
        }
    }
    found
}
