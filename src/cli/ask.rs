//! `tiltmeter ask`: requests → answers, one JSON object a line; the engine alone, without a suite.
//!
//! A request that cannot be answered gets its error as its answer, and the others are answered all the same. What the
//! requests may say is in `request`, how answers are written in `answers`.

mod answers;
mod request;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use self::answers::{Answer, Reply};
use self::request::{Question, Request};
use super::engine::EngineArgs;
use super::output;
use super::progress::{Progress, say};
use crate::model::local::{Cost, LocalModel};
use crate::model::{self};

/// Ask a model a file of prompts, without a suite
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Requests, one JSON object a line; stdin when left out or -
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// A name from `tiltmeter model list`, a folder, a .gguf file or a hub id
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m-instruct")]
    model: String,

    /// Write the answers into this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// How to write the answers
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,

    /// Do not stop at ending tokens, so that every answer has max_new_tokens: for measuring speed
    #[arg(long)]
    ignore_eos: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
    /// One JSON array
    Json,
    /// One row an answer
    Csv,
    /// The texts, for reading
    Text,
}

pub const EXAMPLES: &str = "\
Requests, in any mixture:
  {\"id\": \"a\", \"prompt\": \"The nurse said that\", \"max_new_tokens\": 20}
  {\"id\": \"b\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"temperature\": 0.8, \"top_p\": 0.9, \"seed\": 7, \"stop\": [\"\\n\"]}
  {\"id\": \"c\", \"context\": \"The nurse said that\", \"continuation\": \" she\"}

A prompt is continued, messages are put through the model's chat template, a continuation gets its log-likelihood.
Defaults: max_new_tokens 64, temperature 0 (the likeliest token), top_p 1, seed 0, no stop.

Answers, in the order of the requests:
  {\"id\": \"a\", \"text\": …, \"token_ids\": […], \"finish\": \"stop\" or \"length\", \"prompt_tokens\": …}
  {\"id\": \"c\", \"nats\": …, \"tokens\": …, \"per_token\": […]}
  {\"id\": \"d\", \"error\": …}
The same request gets the same answer in any company. One JSON line on stderr says what it took.

Examples:
  tiltmeter ask requests.jsonl -o answers.jsonl
  echo '{\"id\": 1, \"prompt\": \"Once\"}' | tiltmeter ask --model ./model.gguf
  tiltmeter ask requests.jsonl --model org/name --precision int8 --format csv

Exit codes: 0 all answered; 2 an error, single requests' errors included.";

/// Asks all requests; 2 where one of them could not be answered.
pub fn run(args: &Args) -> Result<ExitCode> {
    args.engine.start_threads()?;
    let requests = request::parse(&read(args.file.as_deref())?, args.ignore_eos);
    let bad = requests.iter().filter_map(|request| request.question.as_ref().err());
    for message in bad.take(SHOWN_ERRORS) {
        say(false, &format!("tiltmeter: {message}"));
    }
    let out = args.out.as_deref().map(Out::open).transpose()?;
    let begun = Instant::now();
    let can_ask = requests.is_empty() || requests.iter().any(|request| request.question.is_ok());
    let model = can_ask.then(|| model::open(&args.model, &args.engine.options())).transpose()?;
    let load = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let (answers, cost) = ask(model.as_ref(), requests, args.engine.quiet)?;
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = match args.format {
        Format::Jsonl => answers::json_lines(&answers),
        Format::Json => answers::json(&answers),
        Format::Csv => answers::csv(&answers),
        Format::Text => answers::text(&answers),
    };
    match out {
        Some(out) => out.write(&bytes)?,
        None => output::print_bytes(&bytes)?,
    }
    let failed: Vec<&str> = answers.iter().filter_map(Answer::error).collect();
    if let Some(first) = failed.first() {
        say(false, &format!("error: {} of {} requests could not be answered: {first}", failed.len(), answers.len()));
    }
    let statistics = json!({
        "prompts": answers.len() - failed.len(),
        "prompt_tokens": cost.prompt_tokens,
        "prefilled_tokens": cost.prefilled_tokens,
        "new_tokens": cost.new_tokens,
        "load_s": rounded(load),
        "seconds": rounded(seconds),
        "new_tok_per_s": rounded(cost.new_tokens as f64 / seconds.max(1e-9)),
    });
    say(false, &statistics.to_string());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Errors of requests that are shown before the model is loaded.
const SHOWN_ERRORS: usize = 5;

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The answers in the order of the requests. All prompts are one batch, and all continuations another, so that what
/// they share is computed once.
fn ask(model: Option<&LocalModel>, requests: Vec<Request>, quiet: bool) -> Result<(Vec<Answer>, Cost)> {
    let (mut answers, mut prompts, mut continuations) =
        (Vec::new(), (Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for (index, request) in requests.into_iter().enumerate() {
        let mut reply = None;
        match request.question {
            Ok(Question::Generate(question)) => {
                prompts.0.push(index);
                prompts.1.push(question);
            }
            Ok(Question::Likelihood(question)) => {
                continuations.0.push(index);
                continuations.1.push(question);
            }
            Err(error) => reply = Some(Reply::Error(error)),
        }
        answers.push((request.id, reply));
    }
    let mut cost = Cost::default();
    if let Some(model) = model {
        let mut progress = Progress::new(quiet, "answers", 0, prompts.0.len() + continuations.0.len());
        let mut keep = |index: usize, reply: Result<Reply>| {
            answers[index].1 = Some(reply.unwrap_or_else(|error| Reply::Error(format!("{error:#}"))));
            progress.add(1);
            Ok(())
        };
        let one = model
            .generate_each(&prompts.1, &mut |i, answer| keep(prompts.0[i], answer.map(Reply::Generation)))
            .context("the model could not answer")?;
        let two = model
            .log_likelihood_each(&continuations.1, &mut |i, answer| {
                keep(continuations.0[i], answer.map(Reply::Likelihood))
            })
            .context("the model could not answer")?;
        cost = Cost {
            prompt_tokens: one.prompt_tokens + two.prompt_tokens,
            prefilled_tokens: one.prefilled_tokens + two.prefilled_tokens,
            new_tokens: one.new_tokens,
        };
    }
    let answers =
        answers.into_iter().map(|(id, reply)| Answer { id, reply: reply.expect("every request is answered") });
    Ok((answers.collect(), cost))
}

fn read(file: Option<&Path>) -> Result<Vec<u8>> {
    match file.filter(|path| *path != Path::new("-")) {
        Some(path) => fs::read(path).with_context(|| format!("{} cannot be read", path.display())),
        None => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).context("stdin cannot be read")?;
            Ok(bytes)
        }
    }
}

/// A file for the answers, opened before the model is asked. What it held stays until they are whole.
struct Out {
    path: PathBuf,
    /// Written to first; the path itself where that is no plain file, such as a pipe.
    partial: PathBuf,
    file: File,
}

impl Out {
    fn open(path: &Path) -> Result<Self> {
        let is_special = fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let mut partial = path.as_os_str().to_owned();
        if !is_special {
            partial.push(".partial");
        }
        let partial = PathBuf::from(partial);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(!is_special)
            .open(&partial)
            .with_context(|| format!("{} cannot be written", partial.display()))?;
        Ok(Self { path: path.to_owned(), partial, file })
    }

    /// Writes all of them and puts the file in its place.
    fn write(mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.flush());
        let moved = written.and_then(|()| match self.partial == self.path {
            true => Ok(()),
            false => fs::rename(&self.partial, &self.path),
        });
        moved.with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// Leaves no unfinished file behind.
impl Drop for Out {
    fn drop(&mut self) {
        if self.partial != self.path {
            let _ = fs::remove_file(&self.partial); // after a rename there is none
        }
    }
}
