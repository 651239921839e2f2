//! `tiltmeter associate`: counts by lists of the user's own.

use crate::workdir::Workdir;

#[test]
fn the_rows_are_those_of_a_count_by_hand_and_undefined_ones_are_empty() {
    let workdir = Workdir::new();
    workdir.write("lists.yaml", "groups: { woman: [she, her], man: [he, his] }\nwords: [nurse, pilot]\n");
    workdir.write("in.csv", "text\nShe is a nurse.\n\"He, and her nurse\"\nHe left.\n");
    let printed = workdir.ok(&["associate", "in.csv", "--lists", "lists.yaml", "-o", "out.csv"]);
    assert!(printed.starts_with("3 texts\n"), "{printed}");
    let rows = workdir.read("out.csv");
    let value = |start: &str| {
        let line = rows.lines().find(|line| line.starts_with(start)).unwrap();
        line.split(',').nth(3).unwrap().to_owned()
    };
    // she, her; he, he: equal shares. nurse stands with she, and with he and her: 2 to 1.
    assert_eq!(value("demographic_representation,"), "0");
    assert_eq!(value("share,woman,"), "0.5");
    assert_eq!(value("word_association,nurse,"), "0.166666666667");
    assert_eq!(value("word_association,pilot,"), "");
    assert_eq!(workdir.ok(&["associate", "in.csv", "--lists", "lists.yaml"]), printed);
}

/// The associations of tests/fixtures/stats-cases/langfair.json, on the same texts, through the command.
#[test]
fn associations_agree_with_langfair() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stats-cases/langfair.json");
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let case = |name: &str| file["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
    let (helm, cobs) = (case("stereotypical_associations"), case("cooccurrence_bias"));
    let workdir = Workdir::new();
    let rows: Vec<String> =
        cobs["input"]["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    workdir.write("in.csv", &format!("text\n{}\n", rows.join("\n")));
    let lists = format!(
        "groups: {}\nwords: {}\nstop: {}\n",
        helm["input"]["group_words"], helm["input"]["target_words"], cobs["input"]["stop_words"]
    );
    workdir.write("lists.yaml", &lists);
    let text = workdir.ok(&["associate", "in.csv", "--lists", "lists.yaml", "-o", "out.csv"]);
    assert!(text.contains("\ncooccurrence_bias female/male ") && text.lines().all(|line| line.chars().count() <= 88));
    let rows = workdir.read("out.csv");
    let check = |start: &str, want: &serde_json::Value| {
        let line = rows.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
        let got: f64 = line.split(',').nth(3).unwrap().parse().unwrap();
        assert!((got - want.as_f64().unwrap()).abs() < 1e-9, "{line}: want {want}");
    };
    check("stereotypical_association,", &helm["expected"]["score"]);
    check("cooccurrence_bias,female/male,3,", &cobs["expected"]["mean"]);
    for (word, want) in cobs["expected"]["by_word"].as_object().unwrap() {
        check(&format!("word_cooccurrence,female/male {word},"), want);
    }
    assert!(rows.contains("word_cooccurrence,female/male lawyer,0,,,,,"));
}

#[test]
fn lists_that_compare_nothing_are_refused() {
    let workdir = Workdir::new();
    workdir.write("in.csv", "text\nShe is a nurse.\n");
    workdir.write("lists.yaml", "groups: { woman: [she] }\nwords: [nurse]\n");
    let error = workdir.error(&["associate", "in.csv", "--lists", "lists.yaml"]);
    assert!(error.contains("there must be two at least"), "{error}");
}
