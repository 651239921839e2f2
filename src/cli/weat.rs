//! `tiltmeter weat`: how word lists are associated in a sentence encoder.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use super::engine::start_threads;
use super::output::{self, RowFormat};
use crate::model::files::Access;
use crate::model::precision::Precision;
use crate::record::table::{Table, number, text};
use crate::scorer::weat::{Measured, Set, Test};
use crate::scorer::{ENCODER, open_encoder};

/// Measure how two lists of words are associated with two others in a sentence encoder (WEAT, SEAT)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// YAML file with targets X and Y, attributes A and B, and perhaps templates
    #[arg(value_name = "TEST.yaml")]
    test: PathBuf,

    /// A sentence encoder from `tiltmeter model list`, or a folder with one
    #[arg(long, value_name = "NAME|DIR", default_value = ENCODER)]
    encoder: String,

    /// Seed of the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// What to print; csv is one row
    #[arg(long, value_enum, default_value_t = RowFormat::Text)]
    format: RowFormat,

    /// Write into this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Threads; they change no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Only look into the caches
    #[arg(long)]
    offline: bool,

    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter weat prompts/weat/work-and-home-by-gender.yaml
  tiltmeter weat mine.yaml --encoder ./my-encoder --format csv

with mine.yaml:
  targets:
    X: { name: weather, words: [rain, snow, wind] }
    Y: { name: music, words: [song, tune, choir] }
  attributes:
    A: { name: outdoors, words: [field, hill] }
    B: { name: indoors, words: [room, hall] }
  templates: ['This is {{ word }}.']";

pub fn run(args: &Args) -> Result<()> {
    start_threads(args.threads)?;
    let test = Test::read(&args.test)?;
    let encoder = open_encoder(&args.encoder, Precision::F32, &Access::new(args.offline, args.quiet))?;
    let name = args.test.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let measured = test.measure(&encoder, &name, args.seed)?;
    let shown = match args.format {
        RowFormat::Text => figures(&name, args, &test, &measured),
        RowFormat::Json => {
            serde_json::to_string_pretty(&document(&name, encoder.digest(), args, &test, &measured))? + "\n"
        }
        RowFormat::Csv => String::from_utf8(row(&name, args, &test, &measured)).context("a table is UTF-8")?,
    };
    match &args.out {
        Some(path) => std::fs::write(path, shown).with_context(|| format!("{} cannot be written", path.display())),
        None => output::print(&shown),
    }
}

fn row(name: &str, args: &Args, test: &Test, measured: &Measured) -> Vec<u8> {
    let mut table = Table::new(&[
        "test",
        "encoder",
        "x",
        "y",
        "a",
        "b",
        "n_x",
        "n_y",
        "n_a",
        "n_b",
        "effect_size",
        "low",
        "high",
        "statistic",
        "p",
        "p_two_sided",
        "partitions",
        "exact",
    ]);
    let sets = [&test.targets.x, &test.targets.y, &test.attributes.a, &test.attributes.b];
    let weat = &measured.weat;
    let names = sets.into_iter().map(|set| text(&set.name));
    let sizes = sets.into_iter().map(|set| set.words.len().to_string().into());
    let values = [
        number(weat.effect_size),
        number(weat.interval.map(|(low, _)| low)),
        number(weat.interval.map(|(_, high)| high)),
        number(Some(weat.statistic)),
        number(Some(weat.p)),
        number(Some(weat.p_two_sided)),
        weat.partitions.to_string().into(),
        text(if weat.is_exact { "yes" } else { "no" }),
    ];
    table.push([text(name), text(&args.encoder)].into_iter().chain(names).chain(sizes).chain(values));
    table.into_bytes()
}

fn document(name: &str, digest: &str, args: &Args, test: &Test, measured: &Measured) -> serde_json::Value {
    let weat = &measured.weat;
    let rounded = |value: Option<f64>| number(value).parse::<f64>().ok();
    let target = |set: &Set, words: &[(String, f64)]| {
        let words: Vec<_> =
            words.iter().map(|(word, s)| json!({ "word": word, "association": rounded(Some(*s)) })).collect();
        json!({ "name": set.name, "words": words })
    };
    json!({
        "test": name,
        "encoder": args.encoder,
        "encoder_digest": digest,
        "x": target(&test.targets.x, &measured.x),
        "y": target(&test.targets.y, &measured.y),
        "a": { "name": test.attributes.a.name, "words": test.attributes.a.words },
        "b": { "name": test.attributes.b.name, "words": test.attributes.b.words },
        "templates": test.templates,
        "effect_size": rounded(weat.effect_size),
        "low": rounded(weat.interval.map(|(low, _)| low)),
        "high": rounded(weat.interval.map(|(_, high)| high)),
        "statistic": rounded(Some(weat.statistic)),
        "p": rounded(Some(weat.p)),
        "p_two_sided": rounded(Some(weat.p_two_sided)),
        "partitions": weat.partitions,
        "exact": weat.is_exact,
    })
}

fn figures(name: &str, args: &Args, test: &Test, measured: &Measured) -> String {
    let weat = &measured.weat;
    let set = |letter: &str, set: &Set| format!("{letter} {} ({} words)", set.name, set.words.len());
    let signed = |value: f64| format!("{value:+.2}").replacen('-', "−", 1);
    let size = match (weat.effect_size, weat.interval) {
        (Some(size), Some((low, high))) => {
            format!("{}, 95 % interval {} … {}", signed(size), signed(low), signed(high))
        }
        (Some(size), None) => format!("{}, no interval", signed(size)),
        (None, _) => "n/a: the words do not differ".to_owned(),
    };
    let p = |p: f64| if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") };
    let partitions = match (weat.is_exact, weat.partitions) {
        (true, count) => format!("all {count} partitions"),
        (false, count) => format!("{count} random partitions"),
    };
    format!(
        "{name} in {}{}\n{}, {}\n{}, {}\n\n\
         effect size  {size}\n\
         p            {} one-sided, {} two-sided, of {partitions}\n\n\
         Above 0, X lies nearer to A and Y nearer to B. The interval resamples the words\n\
         and is approximate below 50 of them. This is an association of words in an\n\
         encoder, and no harm of what a model writes: no gate reads it.\n",
        args.encoder,
        match test.templates.len() {
            0 => ", words by themselves".to_owned(),
            1 => ", in a sentence".to_owned(),
            count => format!(", in {count} sentences a word"),
        },
        set("X", &test.targets.x),
        set("Y", &test.targets.y),
        set("A", &test.attributes.a),
        set("B", &test.attributes.b),
        p(weat.p),
        p(weat.p_two_sided),
    )
}
