//! `tiltmeter plan`: what a suite takes and what it can show, before it is run.

use serde_json::Value;

use crate::workdir::{RUN, SUITE, Workdir};

const PLAN: [&str; 4] = ["plan", "letters.yaml", "--model", "scripted:script.yaml"];

fn planned(workdir: &Workdir, more: &[&str]) -> Value {
    let text = workdir.ok(&[&PLAN[..], &["--format", "json"], more].concat());
    serde_json::from_str(&text).unwrap()
}

/// Forty jobs, and answers of one case that differ more than cases do.
fn large() -> Workdir {
    let workdir = Workdir::new();
    let jobs: Vec<String> = (1..=40).map(|number| format!("job{number}")).collect();
    workdir.write("letters.yaml", &SUITE.replace("[nurse, lawyer, cook]", &format!("[{}]", jobs.join(", "))));
    workdir.write(
        "script.yaml",
        "answers:\n  - { when: Emily, say: [a b, a b c, a b c d e f g] }\n  - { say: [a, a b c d e f, a b c d e f g h i] }\n",
    );
    workdir
}

/// A column of a CSV file without quoted cells before it.
fn column(csv: &str, name: &str) -> Vec<String> {
    let index = csv.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    csv.lines().skip(1).map(|line| line.split(',').nth(index).unwrap().to_owned()).collect()
}

#[test]
fn what_is_planned_is_what_the_run_then_asks() {
    let workdir = large();
    let plan = planned(&workdir, &[]);
    assert!(!workdir.path("results").exists(), "a plan writes nothing");
    workdir.ok(&RUN);
    let folder = workdir.run_folder();
    let cases = workdir.read(&format!("{folder}/cases.csv"));
    assert_eq!(plan["cases"].as_u64().unwrap() as usize, column(&cases, "case").len());
    assert_eq!(plan["answers"].as_u64().unwrap(), 2 * plan["cases"].as_u64().unwrap());
    let disparity = workdir.read(&format!("{folder}/disparity.csv"));
    let clusters = column(&disparity, "clusters");
    assert_eq!(plan["axes"][0]["clusters"].to_string(), clusters[0]);
    assert_eq!(plan["family"].as_u64().unwrap() as usize, clusters.len());
    assert_eq!(plan["max_new_tokens"].as_u64(), Some(32 * plan["asked"].as_u64().unwrap()));
    assert!(plan["tokens_are_counted"].as_bool().unwrap() && plan["seconds"].is_number());
    assert!(planned(&workdir, &["--no-timing"])["seconds"].is_null());
}

#[test]
fn without_a_pilot_the_spread_is_assumed_and_said() {
    let workdir = Workdir::new();
    let text = workdir.ok(&PLAN);
    assert!(
        text.contains("Assumed, since there is no pilot: a standard deviation of 0.2 of the score's range"),
        "{text}"
    );
    assert!(text.contains("length by gender: with 6 clusters x 3 names x 2 samples: detects |gap| >= "), "{text}");
    assert!(text.contains("can conclude equivalence at 3 with 0 %"), "{text}");
    let mde = |sd: &str| planned(&workdir, &["--sd", sd])["outcomes"][0]["mde"].as_f64().unwrap();
    assert!(mde("length=2") < mde("length=4") && mde("length=4") < mde("8"));
    assert!(workdir.error(&[&PLAN[..], &["--sd", "lenght=2"]].concat()).contains("these are length, refusal"));
    assert!(workdir.error(&[&PLAN[..], &["--sd", "-1"]].concat()).contains("--sd"));
}

#[test]
fn the_pilots_own_design_has_the_error_that_the_pilot_found() {
    let workdir = large();
    workdir.ok(&RUN);
    let folder = workdir.run_folder();
    let plan = planned(&workdir, &["--pilot", "results"]);
    let disparity = workdir.read(&format!("{folder}/disparity.csv"));
    let (scorers, errors) = (column(&disparity, "scorer"), column(&disparity, "se"));
    for outcome in plan["outcomes"].as_array().unwrap() {
        let index = scorers.iter().position(|scorer| outcome["scorer"] == **scorer).unwrap();
        let (got, want) = (outcome["se"].as_f64().unwrap(), errors[index].parse::<f64>().unwrap());
        assert!((got - want).abs() <= 1e-9 * want, "{} {got} {want}", outcome["scorer"]);
    }
    assert_eq!(plan["spread"], "pilot");
    // Of a file nobody says that samples share their draws: they count as scattering on each side by themselves.
    let of_file = planned(&workdir, &["--pilot", &format!("{folder}/records.csv")]);
    assert!(of_file["outcomes"][0]["variance_within"].as_f64() > plan["outcomes"][0]["variance_within"].as_f64());
    assert!(!workdir.ok(&[&PLAN[..], &["--pilot", "results"]].concat()).contains("These are few"));
    let small = Workdir::new();
    small.ok(&RUN);
    assert!(
        small.ok(&[&PLAN[..], &["--pilot", "results"]].concat()).contains("from 20 on the spread can be planned by")
    );
}

#[test]
fn a_margin_below_what_names_allow_is_refused_and_names_are_asked_for() {
    let workdir = Workdir::new();
    let mut rows = "template,context,axis,group,term,sample,scorer,score\n".to_owned();
    // Names with effects of their own, which no number of contexts averages out.
    for cluster in 0..40 {
        for (group, names) in [("woman", ["e", "l", "a"]), ("man", ["p", "j", "h"])] {
            for (index, name) in names.into_iter().enumerate() {
                let score = 10 + 4 * index + (cluster * 7 + index * 3) % 3;
                rows += &format!("t,c{cluster},gender,{group},{name},0,length,{score}\n");
            }
        }
    }
    workdir.write("pilot.csv", &rows);
    let text = workdir.ok(&[&PLAN[..], &["--pilot", "pilot.csv", "--no-timing"]].concat());
    assert!(text.contains("Refused: a margin of 3 is below") && text.contains("add names"), "{text}");
    let plan = planned(&workdir, &["--pilot", "pilot.csv", "--no-timing"]);
    let outcome = &plan["outcomes"][0];
    assert_eq!((&outcome["refused"], &outcome["clusters_needed"]), (&Value::Bool(true), &Value::Null));
    assert!(outcome["terms_needed"].as_u64().unwrap() > 3 && outcome["add"] == "names", "{outcome}");
}

#[test]
fn more_of_what_varies_is_what_is_advised() {
    let workdir = large();
    workdir.ok(&RUN);
    let plan = planned(&workdir, &["--pilot", "results", "--no-timing"]);
    let outcome = &plan["outcomes"][0];
    let se = |name: &str| outcome[name].as_f64().unwrap();
    assert!(se("se_with_twice_the_contexts") < se("se") && se("se_with_twice_the_samples") < se("se"), "{outcome}");
    let best = ["contexts", "names", "samples"]
        .into_iter()
        .filter(|what| outcome[format!("se_with_twice_the_{what}")].is_number())
        .min_by(|a, b| se(&format!("se_with_twice_the_{a}")).total_cmp(&se(&format!("se_with_twice_the_{b}"))));
    assert_eq!(outcome["add"].as_str(), best, "{outcome}");
    assert!(plan["likely_new_tokens"].as_u64().unwrap() < plan["max_new_tokens"].as_u64().unwrap());
}

#[test]
fn a_pilot_that_says_nothing_of_the_suite_is_refused() {
    let workdir = Workdir::new();
    let refused = |pilot: &str| workdir.error(&[&PLAN[..], &["--pilot", pilot, "--no-timing"]].concat());
    workdir.write("other.csv", "context,axis,group,scorer,score\nc,age,old,warmth,0.1\nc,age,young,warmth,0.2\n");
    let message = refused("other.csv");
    assert!(message.contains("its axes are age and its scorers warmth"), "{message}");
    workdir.write("one.csv", "context,axis,group,scorer,score\nc,gender,woman,length,1\nc,gender,man,length,2\n");
    assert!(refused("one.csv").contains("two clusters"));
    assert!(refused("nowhere").contains("nowhere"));
}

#[test]
fn a_model_that_is_not_here_is_estimated_and_not_fetched() {
    let workdir = Workdir::new();
    let text = workdir.ok(&["plan", "letters.yaml", "--model", "no-such-org/no-such-model"]);
    assert!(text.contains("estimated at 4 letters a token") && text.contains("The model is not here"), "{text}");
}
