//! `tiltmeter head`: trains small classifier heads, shows their papers, writes the training files of the shipped ones.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

use super::engine::start_threads;
use super::output::{self, Format};
use crate::model::files::Access;
use crate::model::precision::Precision;
use crate::scorer::head::{self, Head, Kind, Papers};
use crate::scorer::train::exam::{self, Figure};
use crate::scorer::train::recipe::{self, Recipe};
use crate::scorer::train::{self, Card, Options, Progress};
use crate::scorer::{ENCODER, open_encoder};

/// Train classifier heads, and show what they are
#[derive(Debug, Args)]
pub struct HeadArgs {
    #[command(subcommand)]
    command: HeadCommand,
}

#[derive(Debug, Subcommand)]
enum HeadCommand {
    /// Train a head on a sentence encoder and write it with its papers; prints its figures on held-out rows
    Train(TrainArgs),
    /// Show a head's papers: labels, data, licence, quality, limits
    Show(ShowArgs),
    /// Write the training file of a head that the program carries
    Data(DataArgs),
    /// Measure the heads that the program carries on public sets: the table in docs/scorers.md
    Examine(ExamineArgs),
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter head train labels.csv -o mine.safetensors              columns text and label
  tiltmeter head train labels.csv --kind lora --name hostility -o hostility.safetensors
  tiltmeter head show toxicity
  tiltmeter head data regard -o regard.csv";

#[derive(Debug, Args)]
struct TrainArgs {
    /// CSV file with the columns text and label, and perhaps weight, part and document
    #[arg(value_name = "DATA.csv")]
    data: PathBuf,
    /// The head's file
    #[arg(short, long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// A sentence encoder from `tiltmeter model list`, or a folder with one
    #[arg(long, value_name = "NAME", default_value = "minilm-l6")]
    encoder: String,
    /// What is fitted
    #[arg(long, value_enum, default_value_t = KindName::Linear)]
    kind: KindName,
    /// Name of the head and of its score; the file's stem when left out
    #[arg(long)]
    name: Option<String>,
    /// YAML file that says what the head is: name, labels, values, meaning, better, license, limits, sources
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Terms under which the head may be passed on, for its papers
    #[arg(long, value_name = "TERMS")]
    license: Option<String>,
    /// Share of the documents that no fit sees
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, value_parser = share)]
    held_out: f64,
    /// Decides which rows are held out, the first weights and the order of the batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Strength of the penalty on the linear layer's weights
    #[arg(long, default_value_t = 1.0, value_parser = above_zero)]
    l2: f64,
    /// Let frequent labels weigh more
    #[arg(long)]
    no_class_weights: bool,
    /// lora: upper layers that get adapters
    #[arg(long, value_name = "N", default_value_t = 3)]
    layers: usize,
    /// lora: rank of the adapters
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    rank: u16,
    /// mlp: width of the hidden layer
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    hidden: u16,
    /// Passes over the rows, for lora (2) and mlp (20)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    epochs: Option<u16>,
    /// Size of the steps, for lora (0.001) and mlp (0.005)
    #[arg(long, value_name = "X", value_parser = above_zero)]
    learning_rate: Option<f64>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Threads to compute with; all cores when left out. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Only look into the caches
    #[arg(long)]
    offline: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    /// A linear layer on frozen sentence vectors: seconds once the texts are encoded
    Linear,
    /// One hidden layer between vector and output
    Mlp,
    /// Low-rank adapters on the encoder's upper layers too: minutes, and the best
    Lora,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// sentiment, toxicity, regard, refusal_head, or a head's file
    #[arg(value_name = "HEAD")]
    head: String,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct DataArgs {
    #[arg(value_enum)]
    head: RecipeName,
    /// Folder that holds vader/*.tsv (sentiment, toxicity), davidson/labeled_data.csv and toxigen/annotated.jsonl (toxicity)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The training file
    #[arg(short, long, value_name = "FILE.csv")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct ExamineArgs {
    /// Folder with vader, davidson, toxigen, hatecheck, unintended_bias and regard, as published
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// text is a Markdown table
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only look into the caches
    #[arg(long)]
    offline: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecipeName {
    Sentiment,
    Toxicity,
    Regard,
    Refusal,
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "write a number such as 0.15".to_owned())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err("it must lie between 0 and 1".into()) }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "write a number such as 0.5".to_owned())?;
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err("it must be above 0".into()) }
}

/// Runs the subcommand; prints on stdout.
///
/// # Errors
/// Missing or malformed data, an encoder that cannot be had, a file that cannot be written.
pub fn run(args: HeadArgs) -> Result<()> {
    match args.command {
        HeadCommand::Train(args) => train(&args),
        HeadCommand::Show(args) => show(&args),
        HeadCommand::Data(args) => data(&args),
        HeadCommand::Examine(args) => examine(&args),
    }
}

fn train(args: &TrainArgs) -> Result<()> {
    start_threads(args.threads)?;
    // What can fail early does so before minutes of encoding: the data, the place of the file, the encoder.
    let mut card = args.card.as_deref().map(Card::read).transpose()?.unwrap_or_default();
    card.name = args.name.clone().or(card.name);
    card.license = args.license.clone().or(card.license);
    let table = train::read(&args.data, card.labels.as_deref(), args.held_out, args.seed)?;
    let mut file = beside(&args.out)?;
    let encoder = open_encoder(&args.encoder, Precision::F32, &Access::new(args.offline, args.quiet))?;

    let stem = args.out.file_stem().map_or_else(|| "head".into(), |stem| stem.to_string_lossy().into_owned());
    let mut shown = Shown { quiet: args.quiet, is_terminal: std::io::stderr().is_terminal(), tenths: 0 };
    let head = train::train(&table, &card, &stem, &options(args), &encoder, &args.encoder, &mut |progress| {
        shown.show(progress)
    })?;
    file.write_all(&head.to_bytes()).context("cannot write the head")?;
    file.persist(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    output::print(&match args.format {
        Format::Text => figures(&head.papers),
        Format::Json => serde_json::to_string_pretty(&head.papers.quality)? + "\n",
    })
}

/// Progress on stderr: one line that changes on a terminal, else a line each tenth.
struct Shown {
    quiet: bool,
    is_terminal: bool,
    /// Of the present stage, that were shown.
    tenths: usize,
}

impl Shown {
    fn show(&mut self, progress: Progress) {
        if self.quiet {
            return;
        }
        let (text, done, all) = match progress {
            Progress::Encoded(done, all) => (format!("encoded {done} of {all} texts"), done, all),
            Progress::Trained(done, all, loss) => (format!("step {done} of {all}, loss {loss:.4}"), done, all),
        };
        let tenths = done * 10 / all;
        if self.is_terminal {
            eprint!("\r{text:<50}{}", if done == all { "\n" } else { "" });
        } else if tenths > self.tenths {
            eprintln!("{text}");
        }
        self.tenths = if done == all { 0 } else { tenths };
    }
}

fn options(args: &TrainArgs) -> Options {
    let kind = match args.kind {
        KindName::Linear => Kind::Linear,
        KindName::Mlp => Kind::Mlp,
        KindName::Lora => Kind::Lora,
    };
    let (epochs, learning_rate) = if kind == Kind::Lora { (2, 1e-3) } else { (20, 5e-3) };
    Options {
        kind,
        seed: args.seed,
        l2: args.l2,
        class_weights: !args.no_class_weights,
        layers: args.layers,
        rank: args.rank.into(),
        hidden: args.hidden.into(),
        epochs: args.epochs.map_or(epochs, usize::from),
        learning_rate: args.learning_rate.unwrap_or(learning_rate),
        command: command(args),
    }
}

/// The command that trains this head again, without the options that change nothing.
fn command(args: &TrainArgs) -> String {
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let kind = args.kind.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let mut command = format!("tiltmeter head train {} --kind {kind} --encoder {}", name(&args.data), args.encoder);
    let mut add = |option: String| {
        let _ = write!(command, " {option}");
    };
    if let Some(card) = &args.card {
        add(format!("--card {}", name(card)));
    }
    add(format!("--held-out {} --seed {} --l2 {}", args.held_out, args.seed, args.l2));
    if args.no_class_weights {
        add("--no-class-weights".into());
    }
    match args.kind {
        KindName::Linear => {}
        KindName::Mlp => add(format!("--hidden {}", args.hidden)),
        KindName::Lora => add(format!("--layers {} --rank {}", args.layers, args.rank)),
    }
    if let Some(epochs) = args.epochs {
        add(format!("--epochs {epochs}"));
    }
    if let Some(rate) = args.learning_rate {
        add(format!("--learning-rate {rate}"));
    }
    add(format!("-o {}", name(&args.out)));
    command
}

fn show(args: &ShowArgs) -> Result<()> {
    let head = match head::embedded(&args.head) {
        Some(head) => head.clone(),
        None => Head::read(Path::new(&args.head)).with_context(|| {
            format!("{:?} is neither a head's file nor one of {}", args.head, head::EMBEDDED.join(", "))
        })?,
    };
    output::print(&match args.format {
        Format::Text => papers(&head.papers),
        Format::Json => serde_json::to_string_pretty(&head.papers)? + "\n",
    })
}

fn papers(papers: &Papers) -> String {
    let labels: Vec<String> = match &papers.values {
        Some(values) => papers.labels.iter().zip(values).map(|(label, value)| format!("{label} {value}")).collect(),
        None => papers.labels.clone(),
    };
    let mut text = format!("{}: {}\n\n", papers.name, papers.meaning);
    for (name, value) in [
        ("labels", labels.join(", ")),
        (
            "encoder",
            format!("{} {}", papers.encoder.name, &papers.encoder.digest[..12.min(papers.encoder.digest.len())]),
        ),
        ("licence", papers.license.clone()),
        ("trained by", papers.fit.command.clone()),
        ("data", format!("SHA-256 {}", papers.data.sha256)),
    ] {
        let _ = writeln!(text, "{name:<11} {value}");
    }
    for source in &papers.data.sources {
        let _ = writeln!(text, "  {}: {}, {}", source.part, source.source, source.license);
    }
    let _ = writeln!(text, "\nLimits: {}\n", papers.limits);
    text + &figures(papers)
}

/// The figures as lines; undefined ones are n/a.
fn figures(papers: &Papers) -> String {
    let cell = |figure: Option<[f64; 3]>| match figure {
        Some([value, low, high]) => format!("{value:.3} [{low:.3}, {high:.3}]"),
        None => "n/a".to_string(),
    };
    let mut text = format!(
        "{}: fitted on {} rows; figures on held-out rows with 95 % intervals\n{:<34} {:>6}  {:<21} {:<21} {:<21} {}\n",
        papers.name, papers.fit.rows, "rows of", "n", "accuracy", "macro-F1", "AUROC", "calibration error"
    );
    for q in &papers.quality {
        let (accuracy, f1, auroc) = (cell(Some(q.accuracy)), cell(q.macro_f1), cell(q.auroc));
        let _ =
            writeln!(text, "{:<34} {:>6}  {accuracy:<21} {f1:<21} {auroc:<21} {:.3}", q.on, q.n, q.calibration_error);
    }
    text
}

fn data(args: &DataArgs) -> Result<()> {
    let recipe = match args.head {
        RecipeName::Sentiment => Recipe::Sentiment,
        RecipeName::Toxicity => Recipe::Toxicity,
        RecipeName::Regard => Recipe::Regard,
        RecipeName::Refusal => Recipe::Refusal,
    };
    let rows = recipe.rows(args.data.as_deref())?;
    let mut file = beside(&args.out)?;
    file.write_all(&recipe::to_csv(&rows)).context("cannot write the training file")?;
    file.persist(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    output::print(&format!("{} rows in {}\n", rows.len(), args.out.display()))
}

fn examine(args: &ExamineArgs) -> Result<()> {
    let encoder = open_encoder(ENCODER, Precision::F32, &Access::new(args.offline, args.quiet))?;
    let figures = exam::examine(&args.data, &encoder, &mut |stage| {
        if !args.quiet {
            eprintln!("{stage}");
        }
    })?;
    output::print(&match args.format {
        Format::Json => serde_json::to_string_pretty(&figures)? + "\n",
        Format::Text => exam_table(&figures),
    })
}

/// A Markdown table, which reads well as text too.
fn exam_table(figures: &[Figure]) -> String {
    let set = figures.iter().map(|f| f.set.chars().count()).max().unwrap_or(0);
    let mut text = format!("| head      | {:<set$} | figure                |     n | value                |\n", "on");
    let _ =
        writeln!(text, "|-----------|-{}-|-----------------------|-------|----------------------|", "-".repeat(set));
    for f in figures {
        let value = match f.low.zip(f.high) {
            Some((low, high)) => format!("{:.3} [{low:.3}, {high:.3}]", f.value),
            None => format!("{:.3}", f.value),
        };
        let _ = writeln!(text, "| {:<9} | {:<set$} | {:<21} | {:>5} | {value:<20} |", f.head, f.set, f.figure, f.n);
    }
    text
}

/// An unfinished file beside the one that is asked for.
fn beside(out: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from);
    // The permissions that any new file gets, not those of a temporary one.
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(&folder)
        .with_context(|| format!("cannot write in {}; create the folder, or give another -o", folder.display()))
}
