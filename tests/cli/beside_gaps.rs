//! What stands beside the gaps comes out of `tiltmeter analyze` as other software computes it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::workdir::Workdir;

type Row = BTreeMap<String, String>;

fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    match file["cases"].take() {
        Value::Array(cases) => cases,
        _ => panic!("{topic}: no cases"),
    }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// (context, group, score) of each row, analysed; the tables are in `out`.
fn analyzed(rows: &[(String, &str, f64)], more: &[&str]) -> Workdir {
    let workdir = Workdir::new();
    let mut text = String::from("context,group,score\n");
    rows.iter().for_each(|(context, group, score)| writeln!(text, "{context},{group},{score}").unwrap());
    workdir.write("records.csv", &text);
    workdir.ok(&[&["analyze", "records.csv", "-o", "out"], more].concat());
    workdir
}

/// One value a context for each of two groups.
fn pairs<'g>(x: &[f64], y: &[f64], groups: [&'g str; 2]) -> Vec<(String, &'g str, f64)> {
    let of = |values: &[f64], group: &'g str| {
        values.iter().enumerate().map(|(c, value)| (format!("c{c:03}"), group, *value)).collect::<Vec<_>>()
    };
    [of(x, groups[0]), of(y, groups[1])].concat()
}

/// A cell against an expected value; `abs` beside the 12 digits that a file has.
fn check(place: &str, row: &Row, column: &str, want: &Value, abs: f64) {
    let (got, want) = (&row[column], want.as_f64().unwrap());
    let got: f64 = got.parse().unwrap_or_else(|_| panic!("{place}: {column} is {got:?}, want {want}"));
    assert!((got - want).abs() <= abs.max(1e-9 * want.abs()), "{place}: {column} is {got}, want {want}");
}

#[test]
fn all_groups_of_an_axis_are_compared_as_scipy_and_statsmodels_do() {
    for case in cases("omnibus") {
        let (place, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let groups: Vec<&str> =
            case["input"]["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
        let mut rows = Vec::new();
        for (c, cells) in case["input"]["Y"].as_array().unwrap().iter().enumerate() {
            let cells = numbers(cells);
            rows.extend(groups.iter().zip(cells).map(|(group, score)| (format!("c{c:03}"), *group, score)));
        }
        let workdir = analyzed(&rows, &["--range=-1,2"]);
        let table = workdir.table("out/omnibus.csv");
        let [row] = table.as_slice() else { panic!("{place}: {} rows", table.len()) };
        for (column, key) in [
            ("f", "rm_anova_F"),
            ("p_f", "rm_anova_p"),
            ("friedman", "friedman_chi2"),
            ("p_friedman", "friedman_p"),
            ("kendall_w", "kendall_w"),
            ("max_min", "max_min"),
            ("debiased", "max_min_debiased"),
            ("p", "p_perm_ss_exact"),
            ("range_p", "p_perm_range_exact"),
            ("null_mean", "null_mean_range_exact"),
            ("p", "p_perm_ss_mc"),
            ("range_p", "p_perm_range_mc"),
        ] {
            if let Some(want) = want.get(key) {
                check(place, row, column, want, case["tolerance"][key]["abs"].as_f64().unwrap_or(1e-9));
            }
        }
        check(place, row, "df", &want["df"][0], 0.0);
        check(place, row, "df_error", &want["df"][1], 0.0);
        assert_eq!(row["exact"] == "yes", want.get("n_enumerated").is_some(), "{place}");
        assert_eq!(row["worst_group"], "", "{place}: no direction is declared");
    }
}

/// Columns of disparity.csv with the keys of the cases.
const OF_SCORES: [(&str, &str); 5] = [
    ("cliffs_delta", "cliffs_delta"),
    ("d_av", "d_av"),
    ("d_z", "d_z"),
    ("hedges_g", "hedges_g_z"),
    ("paired_delta", "p_positive_minus_p_negative"),
];

#[test]
fn effect_sizes_stand_at_the_end_of_the_gaps() {
    let mut seen = 0;
    for case in cases("effect_sizes") {
        let (place, input, want) = (case["name"].as_str().unwrap(), &case["input"], &case["expected"]);
        let (x, y, columns): (_, _, &[(&str, &str)]) = if input.get("D").is_some() {
            (numbers(&input["x"]), numbers(&input["y"]), &OF_SCORES)
        } else if input.get("p1").is_some() {
            (numbers(&input["p1"]), numbers(&input["p0"]), &[("logit_gap", "logit_gap")])
        } else if input.get("k1").is_some() {
            let yes = |k: &str, n: &str| -> Vec<f64> {
                let (k, n) = (input[k].as_u64().unwrap(), input[n].as_u64().unwrap());
                (0..n).map(|c| f64::from(u8::from(c < k))).collect()
            };
            (yes("k1", "n1"), yes("k0", "n0"), &[("log_odds_ratio", "log_odds_ratio_haldane")])
        } else {
            continue;
        };
        let workdir = analyzed(&pairs(&x, &y, ["x", "y"]), &["--reference", "y"]);
        for (column, key) in columns {
            check(place, &workdir.table("out/disparity.csv")[0], column, &want[key], 1e-9);
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn distributions_of_unequal_size_are_compared_as_scipy_does() {
    let mut seen = 0;
    for case in cases("distributions").iter().filter(|case| case["input"].get("x").is_some()) {
        let (place, input, want) = (case["name"].as_str().unwrap(), &case["input"], &case["expected"]);
        // Samples of one cell each.
        let of = |key: &str, group: &'static str| {
            numbers(&input[key]).into_iter().map(move |score| ("c".to_owned(), group, score))
        };
        let rows: Vec<_> = of("x", "x").chain(of("y", "y")).collect();
        let workdir = analyzed(&rows, &["--reference", "y"]);
        let row = &workdir.table("out/distribution.csv")[0];
        for (column, key) in [
            ("w1", "wasserstein1"),
            ("energy", "energy_distance_scipy"),
            ("ks", "ks"),
            ("quantile_disparity", "quantile_disparity_mean_abs_19"),
        ] {
            check(place, row, column, &want[key], 1e-9);
        }
        for (q, gap) in want["quantile_gap"].as_object().unwrap() {
            let percent = (q.parse::<f64>().unwrap() * 100.0).round();
            check(place, row, &format!("q{percent:02}"), gap, 1e-9);
        }
        assert_eq!((row["status"].as_str(), row["p"].as_str()), ("insufficient", "1"));
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn rates_are_compared_by_their_ratio_as_fairlearn_does() {
    for case in cases("four_fifths") {
        let (place, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let (k, n) = (numbers(&case["input"]["k"]), numbers(&case["input"]["n"]));
        const NAMES: [&str; 4] = ["g0", "g1", "g2", "g3"];
        let mut rows = Vec::new();
        for (group, (k, n)) in k.iter().zip(&n).enumerate() {
            let yes = |c: u32| f64::from(u8::from(f64::from(c) < *k));
            rows.extend((0..*n as u32).map(|c| (format!("c{c:03}"), NAMES[group], yes(c))));
        }
        let workdir = analyzed(&rows, &[]);
        let row = &workdir.table("out/omnibus.csv")[0];
        check(place, row, "ratio", &want["ratio"], 1e-9);
        check(place, row, "max_min", &want["difference"], 1e-9);
        let name = |key: &str| NAMES[want[key].as_u64().unwrap() as usize];
        assert_eq!(
            (row["lowest"].as_str(), row["highest"].as_str()),
            (name("worst_group_index"), name("best_group_index"))
        );
        assert_eq!(row["four_fifths"] == "yes", want["passes_four_fifths"].as_bool().unwrap(), "{place}");
    }
}

#[test]
fn three_groups_have_a_line_of_their_own_that_fits_a_terminal() {
    let workdir = Workdir::new();
    let mut text = String::from("context,group,scorer,score\n");
    for c in 0..40 {
        for (group, more) in [("a", 0), ("b", 30), ("c", 8)] {
            let score = f64::from((c * 7 + more) % 100 + more / 10) / 200.0;
            writeln!(text, "c{c},{group},choice.yes,{score}").unwrap();
        }
    }
    workdir.write("records.csv", &text);
    let said = workdir.ok(&["analyze", "records.csv", "-o", "out", "--reference", "a"]);
    let section: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("All groups together")).take(5).collect();
    assert!(section[3].starts_with("axis  choice.yes       3  "), "{said}");
    assert!(section.iter().all(|line| line.chars().count() <= 80), "{said}");
}
