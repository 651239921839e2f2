//! Times a sentence encoder or a classifier on texts, one JSON string a line, and prints one JSON line:
//!
//!     cargo bench --bench encoder -- MODEL TEXTS [--precision int8] [--repeats 5]
//!
//! MODEL is a catalog name, a folder or a hub id. Tokenising is included, loading is not. benches/peer_encoder.py times
//! PyTorch on the same texts; benches/compare_encoders.py runs both in turn.
//!
//! With `--head NAME`, TEXTS holds objects with `text` and `label` (true or false), and the line says how far int8 moves the
//! scores of an embedded head on the encoder: the largest and the mean change of a probability, and both AUROCs.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tiltmeter::model::files::{Access, resolve_classifier, resolve_encoder};
use tiltmeter::model::precision::Precision;
use tiltmeter::scorer::classifier::Classifier;
use tiltmeter::scorer::encoder::TextEncoder;
use tiltmeter::scorer::encoder::sequence::SequenceClassifier;
use tiltmeter::scorer::head::embedded;
use tiltmeter::stats::subgroup_auc;

/// Some numbers of the texts, so that nothing is computed in vain.
type Run = dyn Fn(&[&str]) -> Result<Vec<f32>>;

fn main() -> Result<()> {
    // cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (mut named, mut precision, mut repeats, mut head) = (Vec::new(), Precision::F32, 5, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--precision" => precision = rest.next().context("--precision f32|int8")?.parse()?,
            "--repeats" => repeats = rest.next().context("--repeats N")?.parse()?,
            "--head" => head = Some(rest.next().context("--head NAME")?),
            other => named.push(other),
        }
    }
    let [model, file] = named.as_slice() else { bail!("give MODEL and TEXTS") };
    let lines = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    if let Some(name) = head {
        return changes(model, &lines, name);
    }
    let texts: Vec<String> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let access = Access::new(false, true);
    let run: Box<Run> = match resolve_encoder(model, &access) {
        Ok(files) if TextEncoder::from_files(&files).is_ok() => {
            let encoder = TextEncoder::from_files_in(&files, precision)?;
            Box::new(move |texts| Ok(encoder.encode(texts)?.rows))
        }
        _ => {
            let classifier = SequenceClassifier::load(&resolve_classifier(model, &access)?, precision)?;
            Box::new(move |texts| {
                let logits = classifier.logits(texts)?;
                Ok((0..texts.len()).flat_map(|i| logits.row(i).to_vec()).collect())
            })
        }
    };
    run(&texts[..texts.len().min(64)])?;
    let mut rates: Vec<f64> = Vec::new();
    let mut sum = 0.0;
    for _ in 0..repeats {
        let start = Instant::now();
        sum = run(&texts)?.iter().map(|&x| f64::from(x)).sum();
        rates.push(texts.len() as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{{\"engine\": \"tiltmeter {}\", \"texts\": {}, \"texts_per_s\": {:.1}, \"range\": [{:.1}, {:.1}], \"sum\": {sum:.6}}}",
        precision.as_str(),
        texts.len(),
        rates[repeats / 2],
        rates[0],
        rates[repeats - 1]
    );
    Ok(())
}

/// What int8 does to the scores of an embedded head.
fn changes(model: &str, lines: &str, head: &str) -> Result<()> {
    let rows: Vec<serde_json::Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let texts: Vec<&str> = rows.iter().map(|row| row["text"].as_str().context("text")).collect::<Result<_>>()?;
    let truths: Vec<bool> = rows.iter().map(|row| row["label"].as_bool().context("label")).collect::<Result<_>>()?;
    let head = embedded(head).with_context(|| format!("there is no embedded head {head:?}"))?;
    let files = resolve_encoder(model, &Access::new(false, true))?;
    let scores = |precision| -> Result<Vec<f64>> {
        let encoder = Arc::new(TextEncoder::from_files_in(&files, precision)?);
        let probabilities = Classifier::new(head, encoder)?.of_texts(&texts)?;
        Ok(probabilities.iter().filter_map(|p| head.score(p)).collect())
    };
    let (exact, rounded) = (scores(Precision::F32)?, scores(Precision::Int8)?);
    let moved: Vec<f64> = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).collect();
    let auroc = |scores: &[f64]| {
        let pairs: Vec<(f64, bool)> = scores.iter().copied().zip(truths.iter().copied()).collect();
        subgroup_auc::auroc(&pairs).context("labels of both kinds")
    };
    println!(
        "{{\"head\": \"{}\", \"texts\": {}, \"largest_change\": {:.4}, \"mean_change\": {:.5}, \"auroc_f32\": {:.5}, \
         \"auroc_int8\": {:.5}}}",
        head.papers.name,
        texts.len(),
        moved.iter().copied().fold(0.0, f64::max),
        moved.iter().sum::<f64>() / moved.len() as f64,
        auroc(&exact)?,
        auroc(&rounded)?
    );
    Ok(())
}
