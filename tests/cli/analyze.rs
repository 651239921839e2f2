//! `tiltmeter analyze`: the statistics on records from anywhere.

use std::fmt::Write;

use crate::workdir::Workdir;

/// 60 contexts × two groups, women 0.1 above men; a second scorer with no gap.
fn records() -> String {
    let mut csv = String::from("context,attribute,group,realisation,scorer,score\n");
    for context in 0..60 {
        let base = f64::from(context % 7) / 20.0;
        let noise = f64::from(context * 37 % 11) / 500.0;
        for (group, warmth) in [("man", base), ("woman", base + 0.1 + noise)] {
            writeln!(csv, "c{context},gender,{group},{group}1,warmth,{warmth}").unwrap();
            writeln!(csv, "c{context},gender,{group},{group}1,length,{}", 20 + context % 5).unwrap();
        }
    }
    csv
}

const DECLARED: [&str; 6] = ["--reference", "man", "--range", "length=0,64", "--margin", "0.05"];

fn analyze<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["analyze", "records.csv", "-o", "out"], &DECLARED[..], more].concat()
}

#[test]
fn three_columns_and_what_is_declared_give_a_verdict_a_scorer() {
    let workdir = Workdir::new();
    workdir.write("records.csv", &records());
    let text = workdir.ok(&analyze(&["--margin", "length=4"]));
    assert!(text.starts_with("records on model: 240 records\n"), "{text}");
    let rows = workdir.table("out/disparity.csv");
    let of = |scorer: &str| rows.iter().find(|row| row["scorer"] == scorer).unwrap();
    assert_eq!((of("warmth")["verdict"].as_str(), of("warmth")["margin"].as_str()), ("disparity", "0.05"));
    assert_eq!((of("length")["verdict"].as_str(), of("length")["margin"].as_str()), ("equivalent", "4"));
    assert_eq!(of("length")["status"], "zero_variance");
    assert_eq!(workdir.ok(&analyze(&["--margin", "length=4", "--format", "csv"])), workdir.read("out/disparity.csv"));
    let json = workdir.ok(&analyze(&["--margin", "length=4", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["analyses"][0]["verdict"], "disparity");
}

#[test]
fn only_scorers_that_are_named_are_judged_where_no_margin_is_for_all() {
    let workdir = Workdir::new();
    workdir.write("records.csv", &records());
    workdir.ok(&["analyze", "records.csv", "-o", "out", "--range", "length=0,64", "--margin", "length=4"]);
    let rows = workdir.table("out/disparity.csv");
    for row in rows.iter().filter(|row| row["scorer"] == "warmth") {
        assert_eq!((&*row["margin"], &*row["p_adjusted"], &*row["verdict"]), ("", "", ""));
        assert!(!row["low"].is_empty() && row["reference"] == "rest");
    }
}

#[test]
fn the_order_of_rows_and_the_threads_change_no_byte() {
    let workdir = Workdir::new();
    let text = records();
    let (head, body) = text.split_once('\n').unwrap();
    let mut lines: Vec<&str> = body.lines().collect();
    workdir.write("records.csv", &text);
    let printed = workdir.ok(&analyze(&["--threads", "1"]));
    let files = workdir.files("out");
    lines.sort_by_key(|line| line.len() * 31 % 17);
    lines.reverse();
    workdir.write("records.csv", &format!("{head}\n{}\n", lines.join("\n")));
    assert_eq!(workdir.ok(&analyze(&["--threads", "3"])), printed);
    assert_eq!(workdir.files("out"), files);
}

#[test]
fn models_and_suites_of_one_file_are_analysed_each_for_itself() {
    let workdir = Workdir::new();
    let lines = records();
    let (head, body) = lines.split_once('\n').unwrap();
    let mut both = format!("suite,model,{head}\n");
    for (suite, model) in [("s1", "m1"), ("s1", "m2"), ("s2", "m1")] {
        for line in body.lines() {
            writeln!(both, "{suite},{model},{line}").unwrap();
        }
    }
    workdir.write("records.csv", &both);
    workdir.ok(&analyze(&[]));
    let rows = workdir.table("out/disparity.csv");
    let places: Vec<_> = rows.iter().map(|row| (&*row["model"], &*row["suite"])).collect();
    assert_eq!(places, [("m1", "s1"), ("m1", "s1"), ("m1", "s2"), ("m1", "s2"), ("m2", "s1"), ("m2", "s1")]);
    workdir.write("records.csv", &lines);
    workdir.ok(&[
        "analyze",
        "records.csv",
        "-o",
        "alone",
        DECLARED[0],
        DECLARED[1],
        DECLARED[2],
        DECLARED[3],
        DECLARED[4],
        DECLARED[5],
    ]);
    let alone = workdir.table("alone/disparity.csv");
    assert_eq!(alone[0]["gap"], rows[0]["gap"]);
    assert!(!alone[0].contains_key("model"));
}

#[test]
fn a_declared_group_without_records_keeps_its_row() {
    let workdir = Workdir::new();
    workdir.write("records.csv", &records());
    let text = workdir.ok(&analyze(&["--groups", "man,woman,other"]));
    let rows = workdir.table("out/disparity.csv");
    let other = rows.iter().find(|row| row["group"] == "other" && row["scorer"] == "warmth").unwrap();
    assert_eq!((&*other["clusters"], &*other["p"], &*other["p_adjusted"]), ("0", "", ""));
    assert_eq!((&*other["status"], &*other["verdict"]), ("missing_group", "inconclusive"));
    assert!(text.contains("missing group"), "{text}");
}

#[test]
fn templates_can_be_the_unit_and_must_be_ten() {
    let workdir = Workdir::new();
    let mut csv = String::from("template,context,group,score\n");
    for template in 0..12 {
        for context in 0..5 {
            let shift = if template == 0 { 0.4 } else { 0.0 };
            writeln!(csv, "t{template},c{context},a,0.5\nt{template},c{context},b,{}", 0.5 + shift).unwrap();
        }
    }
    workdir.write("records.csv", &csv);
    let unit = |unit: &str| {
        workdir.ok(&["analyze", "records.csv", "-o", "out", "--reference", "a", "--generalise-to", unit]);
        workdir.table("out/disparity.csv").remove(0)
    };
    let (contexts, templates) = (unit("contexts"), unit("templates"));
    assert_eq!((&*contexts["clusters"], &*templates["clusters"]), ("60", "12"));
    assert_eq!(contexts["gap"], templates["gap"]);
    assert!(templates["se"].parse::<f64>().unwrap() > 2.0 * contexts["se"].parse::<f64>().unwrap());
    workdir.write("records.csv", "template,context,group,score\nt,c,a,0.5\nt,c,b,0.5\n");
    let message = workdir.error(&["analyze", "records.csv", "-o", "out", "--generalise-to", "templates"]);
    assert!(message.contains("has 1 templates; to generalise to templates at least 10 are needed"), "{message}");
}

#[test]
fn what_cannot_be_analysed_is_refused_with_its_place() {
    let workdir = Workdir::new();
    let refused = |csv: &str, more: &[&str]| {
        workdir.write("records.csv", csv);
        workdir.error(&[&["analyze", "records.csv", "-o", "out"], more].concat())
    };
    let good = "context,group,score\nc,a,0.5\nc,b,0.5\n";
    for (csv, more, wanted) in [
        (
            "context,group,score\nc,a,0.5\nc,b,1.5\n",
            &[][..],
            "records.csv, row 3: score is 1.5, outside its range 0 to 1",
        ),
        ("context,group,score\nc,a,NaN\n", &[], "records.csv, row 2: score is \"NaN\""),
        ("context,group,score\n", &[], "no rows below its header"),
        ("context,group\nc,a\n", &[], "lacks the column score"),
        (good, &["--reference", "x"], "axis \"axis\" has no group \"x\", it has a, b"),
        (good, &["--margin", "warmth=0.1"], "--margin warmth=0.1: give X in numbers"),
        (good, &["--range", "1"], "--range 1: give LOW,HIGH in numbers"),
        (good, &["--range", "1,0"], "its range is 1 to 0"),
        (good, &["--margin", "2"], "its margin is 2"),
        (good, &["--alpha", "0.7"], "alpha is 0.7"),
        (good, &["--resamples", "0"], "resamples is 0"),
        ("context,group,sample,score\nc,a,0,0.5\nc,a,0,0.5\n", &[], "has two records of template"),
        ("context,axis,group,score\nc,x,a,1\nc,y,b,1\n", &["--groups", "a,b"], "write --groups AXIS=a,b"),
        ("context,axis,group,score\nc,x,a,1\nc,y,b,1\n", &["--reference", "a"], "write AXIS=GROUP"),
    ] {
        let message = refused(csv, more);
        assert!(message.contains(wanted), "{message}\nlacks {wanted}");
    }
    std::fs::create_dir(workdir.path("out")).unwrap();
    workdir.write("out/manifest.yaml", "");
    assert!(refused(good, &[]).contains("is the folder of a run"));
}

#[test]
fn degenerate_records_give_empty_cells_and_never_a_verdict_of_no_gap() {
    let workdir = Workdir::new();
    for csv in [
        "context,group,score\nc,a,0.5\nc,b,0.25\n",
        "context,group,score\nc,a,0.5\n",
        "context,group,score\nc,a,\nc,b,\n",
        "context,group,score\nc,a,0.5\nd,b,0.25\n",
        "context,group,score\nc,a,1e-300\nd,a,1e-300\nc,b,0\nd,b,1e-300\n",
    ] {
        workdir.write("records.csv", csv);
        workdir.ok(&["analyze", "records.csv", "-o", "out"]);
        for row in workdir.table("out/disparity.csv") {
            assert_eq!(row["verdict"], "inconclusive", "{csv}: {row:?}");
            assert!(row.values().all(|cell| !cell.contains("NaN") && !cell.contains("inf")), "{row:?}");
        }
    }
    workdir.write("records.csv", "context,group,score\nc,a,1e300\nd,a,-1e300\nc,b,1e300\nd,b,1e299\n");
    workdir.ok(&["analyze", "records.csv", "-o", "out", "--range", "-1e300,1e300"]);
    for row in workdir.table("out/disparity.csv") {
        assert_eq!(row["verdict"], "inconclusive", "{row:?}");
        assert!(row.values().all(|cell| !cell.contains("NaN") && !cell.contains("inf")), "{row:?}");
    }
}
