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

#[test]
fn lists_that_compare_nothing_are_refused() {
    let workdir = Workdir::new();
    workdir.write("in.csv", "text\nShe is a nurse.\n");
    workdir.write("lists.yaml", "groups: { woman: [she] }\nwords: [nurse]\n");
    let error = workdir.error(&["associate", "in.csv", "--lists", "lists.yaml"]);
    assert!(error.contains("there must be two at least"), "{error}");
}
