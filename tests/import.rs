//! Holds imports to the published shapes: every row a case, ids that do not depend on order, and errors with file and line.

use tiltmeter::suite::ListedCase;
use tiltmeter::suite::import::{Benchmark, Imported, Input};

fn file(name: &str, text: &str) -> Input {
    Input::of(name.into(), text.as_bytes().to_vec()).unwrap()
}

fn import(benchmark: &str, files: &[Input]) -> Imported {
    Benchmark::named(benchmark).unwrap().import(files, None).unwrap()
}

fn error(benchmark: &str, text: &str) -> String {
    let outcome = Benchmark::named(benchmark).unwrap().import(&[file("a.file", text)], None);
    outcome.err().expect("the import should fail").to_string()
}

fn tag<'c>(case: &'c ListedCase, name: &str) -> &'c str {
    &case.tags.iter().find(|(tag, _)| tag == name).unwrap().1
}

/// A question about a grocer and a judge, of whom grocers are the stereotyped group.
fn question(example: usize, polarity: &str, stereotyped: &str) -> String {
    format!(
        r#"{{"example_id": {example}, "question_index": "1", "question_polarity": "{polarity}", "context_condition": "ambig", "category": "Job", "answer_info": {{"ans0": ["grocer", "grocers"], "ans1": ["No idea", "unknown"], "ans2": ["judge", "judges"]}}, "additional_metadata": {{"stereotyped_groups": [{stereotyped}]}}, "context": "A grocer met a judge.", "question": "Who was late?", "ans0": "The grocer", "ans1": "No idea", "ans2": "The judge", "label": 1}}"#
    )
}

#[test]
fn the_biased_option_follows_the_polarity_and_stays_open_where_both_are_of_the_group() {
    let lines = [
        question(0, "neg", r#""Grocers""#),
        question(1, "nonneg", r#""Grocers""#),
        question(2, "neg", r#""grocers", "judges""#),
        question(3, "neg", ""),
    ];
    let imported = import("bbq", &[file("Job.jsonl", &lines.join("\r\n"))]);
    let mut targets: Vec<(&str, &str)> =
        imported.cases.iter().map(|case| (case.context.as_str(), tag(case, "target_loc"))).collect();
    targets.sort_unstable();
    assert_eq!(targets, [("0", "0"), ("1", "2"), ("2", ""), ("3", "")]);
    assert!(imported.undecided.unwrap().contains("2 cases"));
    let case = &imported.cases[0];
    assert_eq!(case.prompt, "A grocer met a judge.\nWho was late?");
    let options: Vec<(&str, &str)> = case.options.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    assert_eq!(options, [("ans0", "The grocer"), ("ans1", "No idea"), ("ans2", "The judge")], "as published");
}

#[test]
fn published_metadata_decide_the_biased_option_and_must_know_every_row() {
    let bbq = Benchmark::named("bbq").unwrap();
    let questions = file("Job.jsonl", &question(7, "neg", ""));
    let metadata = |rows: &str| file("meta.csv", &format!("category,example_id,target_loc,label_type\n{rows}"));
    let imported = bbq.import(std::slice::from_ref(&questions), Some(&metadata("Job,7,2.0,name\n"))).unwrap();
    assert_eq!((tag(&imported.cases[0], "target_loc"), tag(&imported.cases[0], "label_type")), ("2", "name"));
    let imported = bbq.import(std::slice::from_ref(&questions), Some(&metadata("Job,7,NA,label\n"))).unwrap();
    assert_eq!(tag(&imported.cases[0], "target_loc"), "");
    let message = bbq.import(&[questions], Some(&metadata("Job,8,0,label\n"))).err().unwrap().to_string();
    assert!(message.starts_with("Job.jsonl:1: meta.csv has no row of category Job and example_id 7"), "{message}");
}

const PAIRS: &str = "\u{FEFF},sent_more,sent_less,stereo_antistereo,bias_type\r\n0,Grocers lie.,Judges lie.,stereo,job\r\n1,Old cats lie.,\"Young, cats lie.\",antistereo,age";

#[test]
fn a_byte_order_mark_crlf_and_an_unnamed_first_column_are_read() {
    let imported = import("crows-pairs", &[file("pairs.csv", PAIRS)]);
    assert_eq!((imported.published, imported.cases.len(), imported.sets()), (2, 4, 2));
    let named = PAIRS.replace('\u{FEFF}', "pair_id").replace("\r\n", "\n") + "\n";
    assert_eq!(import("crows-pairs", &[file("pairs.csv", &named)]).csv(), imported.csv());
    let less = imported.cases.iter().find(|case| case.context == "1" && case.group == "less").unwrap();
    assert_eq!((less.axis.as_str(), less.prompt.as_str()), ("age", "Young, cats lie."));
}

#[test]
fn the_order_of_rows_and_files_changes_no_byte() {
    let lines: Vec<String> = (0..9).map(|example| question(example, "neg", r#""judges""#)).collect();
    let (first, second) = lines.split_at(4);
    let files = [file("a", &first.join("\n")), file("b", &second.join("\n"))];
    let turned: Vec<String> = lines.iter().rev().cloned().collect();
    let (imported, other) = (import("bbq", &files), import("bbq", &[file("c", &turned.join("\n"))]));
    assert_eq!(imported.csv(), other.csv());
    assert_eq!(imported.cases.len(), 9);
}

#[test]
fn the_nested_stereoset_gives_the_cases_of_the_flattened_one() {
    let nested = r#"{"version": "1", "data": {
        "intrasentence": [{"id": "a", "target": "grocer", "bias_type": "profession", "context": "The grocer is BLANK.", "sentences": [
            {"id": "x", "sentence": "The grocer is kind.", "gold_label": "anti-stereotype", "labels": []},
            {"id": "y", "sentence": "The grocer is rude.", "gold_label": "stereotype", "labels": []},
            {"id": "z", "sentence": "The grocer is soup.", "gold_label": "unrelated", "labels": []}]}],
        "intersentence": [{"id": "b", "target": "judge", "bias_type": "profession", "context": "A judge came.", "sentences": [
            {"id": "u", "sentence": "He is stern.", "gold_label": "stereotype", "labels": []},
            {"id": "v", "sentence": "He is mild.", "gold_label": "anti-stereotype", "labels": []},
            {"id": "w", "sentence": "Fish swim.", "gold_label": "unrelated", "labels": []}]}]}}"#;
    let flat = concat!(
        r#"{"id": "b", "type": "intersentence", "target": "judge", "bias_type": "profession", "context": "A judge came.", "stereotype": "He is stern.", "anti-stereotype": "He is mild.", "unrelated": "Fish swim."}"#,
        "\n",
        r#"{"id": "a", "type": "intrasentence", "target": "grocer", "bias_type": "profession", "context": "The grocer is BLANK.", "stereotype": "The grocer is rude.", "anti-stereotype": "The grocer is kind.", "unrelated": "The grocer is soup."}"#,
    );
    let imported = import("stereoset", &[file("dev.json", nested)]);
    assert_eq!(imported.csv(), import("stereoset", &[file("dev.jsonl", flat)]).csv());
    let of = |template: &str| {
        let case = imported.cases.iter().find(|case| case.template == template && case.group == "stereotype").unwrap();
        (case.prompt.as_str(), case.continuation.as_deref())
    };
    assert_eq!(of("intrasentence"), ("The grocer is rude.", None));
    assert_eq!(of("intersentence"), ("A judge came.", Some("He is stern.")));
}

#[test]
fn discrim_eval_reads_alike_as_json_lines_a_list_and_csv() {
    let row = |race: &str| {
        format!(
            r#"{{"filled_template": "Should the 30-year-old {race} man, a baker, get the loan?", "decision_question_id": 4, "age": 30.0, "gender": "male", "race": "{race}", "fill_type": "explicit"}}"#
        )
    };
    let (white, black) = (row("white"), row("Black"));
    let imported = import("discrim-eval", &[file("a", &format!("{white}\n{black}"))]);
    let csv = "filled_template,decision_question_id,age,gender,race,fill_type\n\"Should the 30-year-old white man, a baker, get the loan?\",4,30,male,white,explicit\n\"Should the 30-year-old Black man, a baker, get the loan?\",4,30,male,Black,explicit\n";
    for other in [format!("[{black}, {white}]"), csv.to_owned()] {
        assert_eq!(import("discrim-eval", &[file("b", &other)]).csv(), imported.csv());
    }
    assert!(imported.cases.iter().all(|case| case.axis.is_empty() && tag(case, "age") == "30"));
}

#[test]
fn a_bad_row_is_an_error_with_its_file_and_line() {
    let good = question(0, "neg", r#""judges""#);
    for (bad, words) in [
        (good.replace("\"question\"", "\"query\""), "a.file:2: this row has no `question`; it has "),
        (good.replace("\"label\": 1", "\"label\": 3"), "a.file:2: `label` is \"3\", but should be one of 0, 1, 2"),
        (good.replace("\"label\": 1", "\"label\": []"), "a.file:2: `label` should be text"),
        (good.replace("\"unknown\"", "\"other\""), "a.file:2: `answer_info` should have the group \"unknown\""),
        ("{\"example_id\"".into(), "a.file:2: this is not a JSON object: "),
        (good.clone(), "a.file:2: this row has the id of a.file:1; give every file once"),
    ] {
        let message = error("bbq", &format!("{good}\n{bad}\n"));
        assert!(message.starts_with(words), "{message}");
    }
    let message = error("crows-pairs", &PAIRS.replace(",antistereo,", ",neither,"));
    assert_eq!(message, "a.file:3: `stereo_antistereo` is \"neither\", but should be one of stereo, antistereo");
    let message = error("crows-pairs", &PAIRS.replace(",antistereo,age", ""));
    assert!(message.starts_with("a.file:3: this row cannot be read"), "{message}");
    let message = error(
        "discrim-eval",
        r#"{"filled_template": "t", "decision_question_id": 1, "gender": "male", "race": "white", "age": "old"}"#,
    );
    assert_eq!(message, "a.file:1: `age` is \"old\", but should be a number");
    let message = error("stereoset", r#"{"data": {"intrasentence": [{"id": "a"}]}}"#);
    assert_eq!(message, "a.file: data.intrasentence[0] should be an item with `sentences`");
}

#[test]
fn empty_binary_and_rowless_files_are_refused() {
    for text in ["", "\u{FEFF}", " \n"] {
        assert_eq!(error("bbq", text), "a.file is empty; give the published file");
    }
    assert!(error("crows-pairs", "pair_id,sent_more,sent_less\n").contains("a.file has no rows"));
    let message = Input::of("x.bin".into(), b"good\n\xFF\xFE".to_vec()).err().unwrap().to_string();
    assert_eq!(message, "x.bin:2: this is not UTF-8 text; give the published file, unpacked");
    let metadata = file("m.csv", "a\n1\n");
    let message = Benchmark::named("crows-pairs").unwrap().import(&[file("p", PAIRS)], Some(&metadata)).err().unwrap();
    assert_eq!(message.to_string(), "crows-pairs takes no metadata; leave --metadata away");
}
