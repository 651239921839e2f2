//! Writes a suite over the published files of a benchmark.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::progress::say;
use crate::suite::import::{BENCHMARKS, Benchmark, Input, lexicon_beside};
use crate::suite::slug;

/// Turn the published files of a benchmark into a suite
#[derive(Debug, clap::Args)]
pub struct Args {
    /// bbq, bold, crows-pairs, discrim-eval, holistic-bias, honest, realtoxicityprompts, stereoset, winobias or winogender
    benchmark: String,

    /// The benchmark's files as published
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What the benchmark publishes beside its rows; for bbq its additional_metadata.csv, for winogender its
    /// occupations-stats.tsv, for honest a lexicon
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,

    /// The suite to write, X.yaml; its cases go beside it, into X.cases.csv
    #[arg(short, long, value_name = "X.yaml")]
    out: PathBuf,

    /// Overwrite both files
    #[arg(long)]
    force: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter import bbq Age.jsonl Religion.jsonl --metadata additional_metadata.csv -o bbq.yaml
  tiltmeter import crows-pairs crows_pairs_anonymized.csv -o crows-pairs.yaml
  tiltmeter run bbq.yaml --limit 200";

/// Bytes of a file that are read at most, as of a file of listed cases; every benchmark here is below a tenth of it.
const MOST: u64 = 512 << 20;

/// Reads the files and writes the suite with its cases.
///
/// # Errors
/// On an unknown benchmark, on a file or row that cannot be read, and when the suite exists or cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let Some(benchmark) = Benchmark::named(&args.benchmark) else {
        let known: Vec<&str> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
        bail!("there is no benchmark \"{}\"; write one of {}", args.benchmark, known.join(", "));
    };
    let out = &args.out;
    let is_yaml = out.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name = slug(stem);
    ensure!(
        is_yaml && !name.is_empty(),
        "{} cannot name a suite; write --out as {}.yaml",
        out.display(),
        benchmark.name
    );
    let cases = out.with_file_name(format!("{stem}.cases.csv"));
    let lexicon = out.with_file_name(lexicon_beside(stem));
    for path in [out, &cases, &lexicon] {
        if path.exists() && !args.force {
            bail!("{} is there already; give another --out, or --force to overwrite it", path.display());
        }
    }
    let files = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let metadata = args.metadata.as_deref().map(read).transpose()?;
    let imported = benchmark.import(&files, metadata.as_ref())?;
    let csv = imported.csv();
    if let Some(words) = &imported.lexicon {
        write(&lexicon, words.as_bytes())?;
    }
    let yaml = imported.yaml(&name, &format!("{stem}.cases.csv"), &csv);
    for (path, bytes) in [(&cases, csv.as_slice()), (out, yaml.as_bytes())] {
        write(path, bytes)?;
    }
    let count = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let counts = [(imported.published, "row"), (imported.cases.len(), "case"), (imported.sets(), "set")];
    let counts = counts.map(|(number, one)| count(number, one)).join(", ");
    say(false, &format!("wrote {} and {}: {counts}", out.display(), cases.display()));
    if let Some(undecided) = &imported.undecided {
        say(false, undecided);
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

fn read(path: &Path) -> Result<Input> {
    let name = path.display().to_string();
    ensure!(!path.is_dir(), "{name} is a folder; give the files in it");
    let file = File::open(path).with_context(|| format!("{name} cannot be read"))?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    ensure!(
        bytes.len() as u64 <= MOST,
        "{name} has more than {} MiB, which no benchmark here has; give the published file",
        MOST >> 20
    );
    Input::of(name, bytes)
}
