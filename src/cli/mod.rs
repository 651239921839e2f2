//! Parses the command line and hands over to one file a subcommand.

pub mod analyze;
pub mod ask;
pub mod associate;
pub mod audit;
pub mod check;
pub mod compare;
mod declared;
pub mod engine;
pub mod expand;
pub mod gate;
pub mod head;
pub mod import;
pub mod model;
mod named;
pub mod new;
pub mod output;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod schema;
pub mod score;
pub mod weat;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures how a language model's output tilts when only the demographic in the prompt changes.
#[derive(Debug, Parser)]
#[command(name = "tiltmeter", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(after_help = run::EXAMPLES)]
    Run(run::Args),
    #[command(after_help = ask::EXAMPLES)]
    Ask(ask::Args),
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    #[command(after_help = expand::EXAMPLES)]
    Expand(expand::Args),
    #[command(after_help = new::EXAMPLES)]
    New(new::Args),
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
    #[command(after_help = schema::EXAMPLES)]
    Schema(schema::Args),
    #[command(after_help = analyze::EXAMPLES)]
    Analyze(analyze::Args),
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Args),
    #[command(after_help = report::EXAMPLES)]
    Report(report::Args),
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::Args),
    #[command(after_help = gate::EXAMPLES)]
    Gate(gate::Args),
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Args),
    #[command(after_help = score::EXAMPLES)]
    Score(score::Args),
    #[command(after_help = associate::EXAMPLES)]
    Associate(associate::Args),
    #[command(after_help = weat::EXAMPLES)]
    Weat(weat::Args),
    #[command(after_help = MODEL_EXAMPLES)]
    Model(model::ModelArgs),
    #[command(after_help = head::EXAMPLES)]
    Head(head::HeadArgs),
}

const EXIT_CODES: &str = "\
Start with:
  tiltmeter run --limit 4       a first try, in seconds
  tiltmeter run                 the suite first-look on the default model
  tiltmeter run my-suite.yaml --model org/name

Exit codes: 0 the results are complete, whatever the verdict; 2 error; 130 and 143 after Ctrl-C and SIGTERM.
Under --gate and of gate: 0 within limits; 1 a disparity or a regression; 3 inconclusive; 2 error.";

const MODEL_EXAMPLES: &str = "\
Examples:
  tiltmeter model list
  tiltmeter model fetch smollm2-135m-instruct
  tiltmeter model inspect ./model.gguf";

/// The exit code of a command whose results are complete.
fn done(outcome: Result<()>) -> Result<ExitCode> {
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Runs the command line; errors are printed once, here, and end with exit code 2.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Ask(args) => ask::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Expand(args) => done(expand::run(&args)),
        Command::New(args) => done(new::run(&args)),
        Command::Import(args) => done(import::run(&args)),
        Command::Schema(args) => done(schema::run(&args)),
        Command::Analyze(args) => analyze::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => done(report::run(&args)),
        Command::Plan(args) => done(plan::run(&args)),
        Command::Gate(args) => gate::run(&args),
        Command::Audit(args) => done(audit::run(&args)),
        Command::Score(args) => done(score::run(&args)),
        Command::Associate(args) => done(associate::run(&args)),
        Command::Weat(args) => done(weat::run(&args)),
        Command::Model(args) => done(model::run(args)),
        Command::Head(args) => done(head::run(args)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Where stderr is closed, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}
