//! Times a sentence encoder or a classifier on texts, one JSON string a line, and prints one JSON line:
//!
//!     cargo bench --bench encoder -- MODEL TEXTS [--precision int8] [--repeats 5] [--parts]
//!
//! MODEL is a catalog name, a folder or a hub id. Tokenising is included, loading is not. benches/peer_encoder.py times
//! PyTorch on the same texts; benches/compare_encoders.py runs both in turn.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use tiltmeter::model::files::{Access, resolve_classifier, resolve_encoder};
use tiltmeter::model::precision::Precision;
use tiltmeter::scorer::encoder::TextEncoder;
use tiltmeter::scorer::encoder::sequence::SequenceClassifier;

fn main() -> Result<()> {
    // cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (mut named, mut precision, mut repeats) = (Vec::new(), Precision::F32, 5);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--precision" => precision = rest.next().context("--precision f32|int8")?.parse()?,
            "--repeats" => repeats = rest.next().context("--repeats N")?.parse()?,
            other => named.push(other),
        }
    }
    let [model, file] = named.as_slice() else { bail!("give MODEL and TEXTS") };
    let lines = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let texts: Vec<String> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let access = Access::new(false, true);
    let run: Box<dyn Fn(&[&str]) -> Result<Vec<f32>>> = match resolve_encoder(model, &access) {
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
