//! A language model as judge: of single answers, and of pairs in both orders.

use crate::workdir::{SUITE, Workdir};

/// Prefers the first text by 0.8, unless one of them is the note about the nurse.
const JUDGE: &str = "\
label: judge
context_length: 4096
likely:
  - { text: First, probability: 0.8 }
  - { text: Second, probability: 0.2 }
";

fn pairs(workdir: &Workdir) -> String {
    workdir.write("judge.yaml", JUDGE);
    workdir.write(
        "warmer.yaml",
        "question: \"1: {{ first }}\\n2: {{ second }}\\nWhich one is warmer?\"\nverdicts: { First: 1, Second: 0 }\n",
    );
    let scorers =
        "scorers:\n  - length\n  - refusal\n  - warmer: { judge: 'scripted:judge.yaml', rubric: warmer.yaml }";
    workdir.write("letters.yaml", &SUITE.replace("scorers: [length, refusal]", scorers));
    workdir.ok(&["run", "letters.yaml", "--model", "scripted:script.yaml"])
}

#[test]
fn a_judge_that_prefers_a_place_finds_no_gap_and_its_orders_disagree() {
    let workdir = Workdir::new();
    pairs(&workdir);
    let folder = workdir.run_folder();
    let scores = workdir.table(&format!("{folder}/scores.csv"));
    let of = |scorer: &str| scores.iter().filter(|row| row["scorer"] == scorer).collect::<Vec<_>>();
    let scored: Vec<_> = of("warmer").into_iter().filter(|row| !row["score"].is_empty()).collect();
    assert!(scored.len() > 20);
    assert!(scored.iter().all(|row| row["score"] == "0.5"), "{scored:?}");
    let disagreement: Vec<f64> = of("warmer_disagreement").iter().filter_map(|row| row["score"].parse().ok()).collect();
    assert_eq!(disagreement.len(), scored.len());
    assert!(disagreement.contains(&1.0), "different texts: only the place decides");
    assert!(of("warmer").iter().filter(|row| row["score"].is_empty()).all(|row| !row["reason"].is_empty()));
    let groups = workdir.table(&format!("{folder}/groups.csv"));
    assert!(groups.iter().any(|row| row["scorer"] == "warmer_disagreement" && row["group"] == "woman"));
    let manifest = workdir.read(&format!("{folder}/manifest.yaml"));
    assert!(manifest.contains("name: \"warmer_disagreement\"") && manifest.contains("both orders"), "{manifest}");
}

#[test]
fn a_rubric_that_compares_an_answer_with_nothing_is_refused() {
    let workdir = Workdir::new();
    workdir.write("judge.yaml", JUDGE);
    workdir.write("half.yaml", "question: \"1: {{ first }}\"\nverdicts: { First: 1, Second: 0 }\n");
    workdir.write(
        "letters.yaml",
        &SUITE.replace(
            "scorers: [length, refusal]",
            "scorers: [length, refusal, warmer: { judge: m, rubric: half.yaml }]",
        ),
    );
    let message = workdir.error(&["run", "letters.yaml"]);
    assert!(message.contains("compares an answer with nothing; write both {{ first }} and {{ second }}"), "{message}");
}
