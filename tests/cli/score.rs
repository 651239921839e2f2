//! `tiltmeter score FILE`: scores go beside the user's texts, and everything else stays as it was.

use std::fs;

use crate::workdir::{RUN, Workdir};

fn vader(workdir: &Workdir, more: &[&str]) -> String {
    workdir.ok(&[&["score", "--scorer", "vader", "--offline"], more].concat())
}

#[test]
fn the_users_columns_pass_through_byte_for_byte() {
    let workdir = Workdir::new();
    let rows = [
        "\u{feff}id,\"text\", note \r\n",
        "1,\"a \"\"good\"\" day, yes\", x \r\n",
        "2,\"two\nlines\",\"\"\r\n",
        "\r\n",
        "007,no \"quotes\" here,=1+1\r\n",
        "4,\"   \",é🙂",
    ];
    workdir.write("in.csv", &rows.concat());
    let out = vader(&workdir, &["in.csv"]);
    let wanted = [
        "\u{feff}id,\"text\", note ,vader,vader_reason\r\n",
        "1,\"a \"\"good\"\" day, yes\", x ,0.6808000,\r\n",
        "2,\"two\nlines\",\"\",0.0000000,\r\n",
        "\r\n",
        "007,no \"quotes\" here,=1+1,-0.2960000,\r\n",
        "4,\"   \",é🙂,,empty\n",
    ];
    assert_eq!(out, wanted.concat());
    vader(&workdir, &["in.csv", "-o", "out.csv"]);
    assert_eq!(workdir.read("out.csv"), out);
}

#[test]
fn json_lines_keep_their_bytes_and_get_the_new_keys_at_their_end() {
    let workdir = Workdir::new();
    workdir.write(
        "in.jsonl",
        "{\"text\": \"good\", \"n\": 1.50 }\n{ \"n\":[], \"text\":\"\\ud83d\\ude00 bad\"}\r\n\n{\"text\":\"cut \\ud83d\"}\n{\"text\":null}\n{\"text\":\"\"}",
    );
    assert_eq!(
        vader(&workdir, &["in.jsonl"]),
        "{\"text\": \"good\", \"n\": 1.50,\"vader\":0.4404000,\"vader_reason\":null}\n\
         { \"n\":[], \"text\":\"\\ud83d\\ude00 bad\",\"vader\":-0.2732000,\"vader_reason\":null}\r\n\n\
         {\"text\":\"cut \\ud83d\",\"vader\":null,\"vader_reason\":\"invalid surrogate\"}\n\
         {\"text\":null,\"vader\":null,\"vader_reason\":\"empty\"}\n\
         {\"text\":\"\",\"vader\":null,\"vader_reason\":\"empty\"}\n"
    );
}

#[test]
fn what_is_not_utf8_and_what_is_huge_is_told_row_by_row() {
    let workdir = Workdir::new();
    let huge = "good ".repeat(220_000);
    let rows = [&b"text\ngood\n"[..], b"b\xffad\n", huge.as_bytes(), b"\n\xf0\x9f\x99\x82\n"].concat();
    fs::write(workdir.path("in.csv"), rows).unwrap();
    let output = workdir.output(&["score", "in.csv", "--scorer", "vader", "--scorer", "readability"]);
    assert!(output.status.success());
    let lines: Vec<&[u8]> = output.stdout.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines[0], b"text,vader,vader_reason,readability,readability_reason");
    assert_eq!(lines[2], b"b\xffad,,not UTF-8,,not UTF-8");
    assert!(lines[3].ends_with(b",1.0000000,,0.0000000,") || lines[3].ends_with(b",0.9999000,,0.0000000,"));
    assert!(lines[4].ends_with(",,no words".as_bytes()), "{}", String::from_utf8_lossy(lines[4]));
    assert!(!String::from_utf8_lossy(&output.stdout).to_lowercase().contains("nan"));
}

#[test]
fn formats_turn_into_each_other() {
    let workdir = Workdir::new();
    workdir.write("in.csv", "id,answer\n1,\"good, or so\"\n2,\n");
    let jsonl = vader(&workdir, &["in.csv", "--text", "answer", "--format", "jsonl"]);
    assert_eq!(
        jsonl,
        "{\"id\":\"1\",\"answer\":\"good, or so\",\"vader\":0.4404000,\"vader_reason\":null}\n\
         {\"id\":\"2\",\"answer\":\"\",\"vader\":null,\"vader_reason\":\"empty\"}\n"
    );
    workdir.write("in.jsonl", "{\"id\":1,\"text\":\"good, or so\"}\n{\"id\":2,\"text\":null}\n");
    vader(&workdir, &["in.jsonl", "-o", "out.csv"]);
    assert_eq!(workdir.read("out.csv"), "id,text,vader,vader_reason\n1,\"good, or so\",0.4404000,\n2,,,empty\n");
    let table = vader(&workdir, &["in.jsonl", "--format", "table"]);
    assert_eq!(table, "       vader  text\n      0.4404  good, or so\n         n/a  \n");
}

#[test]
fn the_order_of_the_rows_stays_over_many_chunks() {
    let workdir = Workdir::new();
    let word = |row: usize| ["good", "bad", "plain"][row % 3];
    let rows: String = (0..5000).map(|row| format!("{row},{}\n", word(row))).collect();
    workdir.write("in.csv", &format!("id,text\n{rows}"));
    let out = vader(&workdir, &["in.csv"]);
    for (row, line) in out.lines().skip(1).enumerate() {
        let score = ["0.4404000", "-0.5423000", "0.0000000"][row % 3];
        assert_eq!(line, format!("{row},{},{score},", word(row)));
    }
    assert_eq!(out.lines().count(), 5001);
}

#[test]
fn a_finished_run_is_scored_again_into_a_folder_of_its_own() {
    let workdir = Workdir::new();
    workdir.ok(&RUN);
    let run = workdir.run_folder();
    let before = workdir.files("results");
    let again =
        ["score", run.as_str(), "--scorer", "vader", "--scorer", "readability", "--suite", "letters.yaml", "-o"];
    let table = workdir.ok(&[&again[..], &["again"]].concat());
    assert!(table.contains("vader") && table.contains("length"), "{table}");
    assert_eq!(workdir.files("results"), before, "the run itself stays as it is");
    let new = run.replacen("results", "again", 1);
    let (old_scores, new_scores) =
        (workdir.read(&format!("{run}/scores.csv")), workdir.read(&format!("{new}/scores.csv")));
    for line in old_scores.lines() {
        assert!(new_scores.contains(line), "{line}");
    }
    let of = |name: &str| new_scores.lines().filter(|line| line.contains(name)).count();
    assert_eq!((of(",vader,"), of(",readability,")), (of(",length,"), of(",length,")));
    assert!(new_scores.contains(",vader,,empty") && new_scores.contains(",vader,0.4404,"), "{new_scores}");
    assert_eq!(workdir.read(&format!("{run}/responses.csv")), workdir.read(&format!("{new}/responses.csv")));
    assert!(workdir.read(&format!("{new}/manifest.yaml")).contains("vaderSentiment"));
    assert_eq!(workdir.ok(&["report", &new]), table, "report reads the new folder");
    assert_eq!(workdir.ok(&[&again[..], &["again"]].concat()), table, "and the same command says the same");

    let error = |args: &[&str]| workdir.error(&[&["score", run.as_str()], args].concat());
    let suite = ["--suite", "letters.yaml"];
    assert!(error(&["--scorer", "vader"]).contains("say by -o where the new run folder goes"));
    assert!(error(&["--scorer", "vader", "-o", "x"]).contains("give its file by --suite"));
    assert!(error(&[&["--scorer", "vader", "-o", "results"][..], &suite].concat()).contains("is the run itself"));
    assert!(
        error(&[&["--scorer", "length", "-o", "x"][..], &suite].concat()).contains("has the score \"length\" already")
    );
    assert!(error(&["--scorer", "vader", "-o", "x", "--suite", "first-look"]).contains("is not the suite that"));
    assert!(workdir.error(&["score", ".", "--scorer", "vader", "-o", "x"]).contains("is no finished run folder"));
}

/// A stored classifier with what transformers says of its texts.
fn classifier(name: &str) -> (String, serde_json::Value) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads").join(name);
    let expected = fs::read_to_string(folder.join("expected.json")).unwrap();
    (folder.display().to_string(), serde_json::from_str(&expected).unwrap())
}

#[test]
fn a_classifier_gives_the_label_that_is_named_or_all_of_them() {
    let workdir = Workdir::new();
    let (folder, expected) = classifier("bert");
    let texts = expected["texts"].as_array().unwrap();
    let lines: String = texts.iter().map(|text| format!("{}\n", serde_json::json!({ "text": text["text"] }))).collect();
    workdir.write("in.jsonl", &lines);
    let rows = |args: &[&str]| -> Vec<serde_json::Value> {
        let out = workdir.ok(&[&["score", "in.jsonl", "--scorer", &folder, "--offline"], args].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (all, one) = (rows(&["--all-labels"]), rows(&["--label", "positive"]));
    assert_eq!(all.len(), texts.len());
    for ((text, all), one) in texts.iter().zip(&all).zip(&one) {
        if text["text"].as_str().unwrap().trim().is_empty() {
            assert_eq!((&all["positive"], &all["bert_reason"]), (&serde_json::Value::Null, &"empty".into()));
            continue;
        }
        for (label, wanted) in ["negative", "neutral", "positive"].iter().zip(text["probabilities"].as_array().unwrap()) {
            let got = all[label].as_f64().unwrap();
            assert!((got - wanted.as_f64().unwrap()).abs() < 1e-5, "{label}: {got} {wanted}");
        }
        assert_eq!(all["positive"], one["bert"]);
        assert!(all.get("bert").is_none(), "no single column beside the labels");
    }
    let error = |args: &[&str]| workdir.error(&[&["score", "in.jsonl", "--scorer", &folder, "--offline"], args].concat());
    assert!(error(&[]).contains("name one with --label"));
    assert!(error(&["--label", "bad"]).contains("there is no label \"bad\"; the labels are"));
}

#[test]
fn several_labels_of_their_own_are_scored_side_by_side() {
    let workdir = Workdir::new();
    let (folder, _) = classifier("roberta");
    workdir.write("in.csv", "text\nThe nurse was kind and honest.\n");
    let out = workdir.ok(&["score", "in.csv", "--scorer", &folder, "--all-labels"]);
    assert!(
        out.starts_with("text,toxicity,severe_toxicity,obscene,threat,insult,identity_attack,roberta_reason\n"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_scored_is_refused_with_what_to_do() {
    let workdir = Workdir::new();
    workdir.write("in.csv", "id,text\n1,good\n");
    workdir.write("taken.csv", "text,vader_reason\ngood,\n");
    workdir.write("ragged.csv", "id,text\n1,good\n2,bad, or so\n");
    workdir.write("open.csv", "id,text\n1,good\n2,\"bad\n3,x\n");
    workdir.write("empty.csv", "");
    workdir.write("taken.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\",\"vader\":1}\n");
    workdir.write("broken.jsonl", "{\"text\":\"a\"}\n{\"text\":\n");
    workdir.write("list.jsonl", "[1]\n");
    workdir.write("number.jsonl", "{\"text\":1}\n");
    workdir.write("other.jsonl", "{\"answer\":\"x\"}\n");
    for (args, told) in [
        (&["in.csv", "--scorer", "vadre"][..], "there is no scorer \"vadre\"; the scorers are sentiment"),
        (&["in.csv", "--scorer", "length"], "which a file of texts does not have"),
        (&["in.csv", "--scorer", "hurtful"], "the words of a lexicon"),
        (&["in.csv", "--scorer", "vader", "--label", "x"], "has no labels; leave --label"),
        (&["in.csv", "--scorer", "vader", "--all-labels"], "has no labels; leave --label"),
        (&["in.csv", "--scorer", "vader", "--scorer", "vader"], "would make a column \"vader\""),
        (&["in.csv", "--scorer", "vader", "--text", "body"], "has no column \"body\"; it has id, text"),
        (&["taken.csv", "--scorer", "vader"], "taken.csv has a column \"vader_reason\" already"),
        (&["ragged.csv", "--scorer", "vader"], "ragged.csv line 3: this row has 3 cells, but the header has 2"),
        (&["open.csv", "--scorer", "vader"], "open.csv line 3: a quote is opened here"),
        (&["empty.csv", "--scorer", "vader"], "empty.csv is empty"),
        (&["taken.jsonl", "--scorer", "vader"], "taken.jsonl line 2 has a key \"vader\" already"),
        (&["broken.jsonl", "--scorer", "vader"], "broken.jsonl line 2: this is not JSON"),
        (&["list.jsonl", "--scorer", "vader"], "list.jsonl line 1: every line should be an object"),
        (&["number.jsonl", "--scorer", "vader"], "number.jsonl line 1: \"text\" is 1, but should be text"),
        (&["other.jsonl", "--scorer", "vader"], "there is no \"text\" in this object"),
        (&["script.yaml", "--scorer", "vader"], "is neither .csv nor .jsonl"),
        (&["none.csv", "--scorer", "vader"], "none.csv cannot be opened"),
        (&["in.csv", "--scorer", "vader", "-o", "no/out.csv"], "cannot write in no"),
    ] {
        let message = workdir.error(&[&["score"], args].concat());
        assert!(message.contains(told), "{args:?}: {message}");
    }
}
