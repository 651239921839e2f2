//! Shows what a gate says: what failed and what would settle the rest in sentences, gate.csv, JSON.

use serde_json::{Value, json};

use super::columns::{Cell, write};
use super::json::object;
use crate::gate::{Family, Finding, Judgement, Outcome, Row};

/// The columns of gate.csv with a row's values. `why` says what would settle it, or why it is waived.
fn columns(row: &Row) -> Vec<(&'static str, Cell<'_>)> {
    let finding = &row.finding;
    let waiver = row.waiver.as_ref().filter(|_| !row.has_expired());
    vec![
        ("suite", Cell::Text(&finding.suite)),
        ("model", Cell::Text(&finding.model)),
        ("axis", Cell::Text(&finding.axis)),
        ("group", Cell::Text(&finding.group)),
        ("reference", Cell::Text(&finding.reference)),
        ("scorer", Cell::Text(&finding.scorer)),
        ("gap", Cell::Number(finding.gap)),
        ("low", Cell::Number(finding.low)),
        ("high", Cell::Number(finding.high)),
        ("p", Cell::Number(finding.p)),
        ("p_adjusted", Cell::Number(finding.p_adjusted)),
        ("margin", Cell::Number(finding.margin)),
        ("verdict", Cell::Text(finding.verdict)),
        ("status", Cell::Text(finding.status)),
        ("outcome", Cell::Text(row.outcome.as_str())),
        ("waiver_owner", Cell::Text(row.waiver.as_ref().map_or("", |waiver| &waiver.owner))),
        ("waiver_expired", Cell::Text(if row.has_expired() { "yes" } else { "" })),
        ("why", Cell::Text(waiver.map_or(&finding.why, |waiver| &waiver.reason))),
    ]
}

/// gate.csv, one row a gated gap, sorted.
pub fn csv(judgement: &Judgement) -> Vec<u8> {
    let nothing = Row { finding: Finding::default(), outcome: Outcome::Pass, waiver: None };
    write(&columns(&nothing), judgement.rows.iter().map(columns))
}

/// `{verdict, exit_code, family, outcomes, warnings}`; the columns of gate.csv, with the waivers whole.
pub fn json(judgement: &Judgement) -> Value {
    let row = |row: &Row| {
        let mut value = object(columns(row));
        value["only_warns"] = json!(row.only_warns());
        value["waiver"] = json!(row.waiver.as_ref().map(|waiver| json!({
            "owner": waiver.owner,
            "reason": waiver.reason,
            "expires": waiver.expires.to_string(),
            "expired": row.has_expired(),
        })));
        value
    };
    json!({
        "verdict": judgement.verdict().as_str(),
        "exit_code": judgement.exit_code(),
        "family": match judgement.family { Family::All => "all", Family::Suite => "suite" },
        "outcomes": judgement.rows.iter().map(row).collect::<Vec<_>>(),
        "warnings": judgement.warnings,
    })
}

/// A JSON document of ours with what a gate says of it under `gate`.
pub fn beside(document: &str, judgement: &Judgement) -> String {
    let mut document: Value = serde_json::from_str(document).expect("what was written as JSON is read as JSON");
    document["gate"] = json(judgement);
    format!("{document:#}\n")
}

/// What failed, what is open and what would settle it, what is waived; the last line has the verdict.
pub fn text(judgement: &Judgement) -> String {
    let over = match judgement.family {
        Family::All => "all of them",
        Family::Suite => "those of each run",
    };
    let mut out = format!("{}, p adjusted over {over}\n", count(judgement.rows.len(), "gated outcome"));
    for (outcome, heading) in [
        (Outcome::Fail, "Not within limits:"),
        (Outcome::Inconclusive, "Cannot be told yet:"),
        (Outcome::Waived, "Waived:"),
    ] {
        let rows: Vec<&Row> = judgement.of(outcome).collect();
        if !rows.is_empty() {
            out += &format!("\n{heading}\n");
        }
        for row in rows {
            out += &entry(row);
        }
    }
    for warning in &judgement.warnings {
        out += &format!("\nwarning: {warning}");
    }
    if !judgement.warnings.is_empty() {
        out.push('\n');
    }
    out + "\n" + &last_line(judgement) + "\n"
}

fn entry(row: &Row) -> String {
    let Finding { suite, model, axis, scorer, sentence, .. } = &row.finding;
    let mut text = format!("  {suite}, {model}: {scorer} by {axis}: {sentence}\n");
    if let Some(waiver) = &row.waiver {
        let (owner, reason, expires) = (&waiver.owner, &waiver.reason, waiver.expires);
        text += &match row.has_expired() {
            true => format!("    The waiver of {owner} ({reason}) expired on {expires}.\n"),
            false => format!("    Waived by {owner} until {expires}: {reason}\n"),
        };
    }
    text
}

/// `gate: fail (1 fail, 2 inconclusive, 9 pass)`
fn last_line(judgement: &Judgement) -> String {
    let counts = [Outcome::Fail, Outcome::Inconclusive, Outcome::Waived, Outcome::Pass].map(|outcome| {
        let count = judgement.of(outcome).count();
        let warn = judgement.of(outcome).filter(|row| row.only_warns()).count();
        let note = match warn {
            0 => String::new(),
            warn if warn == count => " (a warning only)".into(),
            warn => format!(" ({warn} of them a warning only)"),
        };
        (count > 0).then(|| format!("{count} {}{note}", outcome.as_str()))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    format!("gate: {}: {}", judgement.verdict().as_str(), counts.join(", "))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
