//! `tiltmeter check`: says what is wrong or weak in suites, without asking a model.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::output;
use crate::model::counter::TokenCounter;
use crate::model::files::Access;
use crate::scorer;
use crate::suite::lint::{Finding, Level, Model, lint};
use crate::suite::load::{Outside, load_named_or_path};
use crate::suite::problem::SuiteProblems;
use crate::suite::{Place, ScorerSpec, Suite};

/// Say what is wrong or weak in suites, before a model is asked
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Suite files, or names of suites that the program carries
    #[arg(value_name = "SUITE", required = true)]
    suites: Vec<String>,

    /// Also check lengths in tokens of this model: a catalog name, a folder, a .gguf file or a hub id
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// Warnings count as errors
    #[arg(long)]
    strict: bool,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Let suites use files outside their folder and the one above it
    #[arg(long)]
    allow_outside: bool,

    /// Fetch nothing
    #[arg(long)]
    offline: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter check my-suite.yaml
  tiltmeter check suites/*.yaml --strict
  tiltmeter check my-suite.yaml --model smollm2-135m-instruct   lengths in its tokens, too
  tiltmeter check suites/*.yaml --format github                 annotations in a pull request

Exit codes: 0 no errors (with --strict: nor warnings), 2 otherwise. docs/lint.md lists the rules.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// file:line:column: level: what, what it costs, how to put it right
    Text,
    /// One JSON document
    Json,
    /// Workflow commands, which GitHub shows beside the line
    Github,
}

/// Checks all suites, prints what was found.
///
/// # Errors
/// When there is no such suite or model, or stdout cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let outside = if args.allow_outside { Outside::Allowed } else { Outside::Refused };
    let counter = match &args.model {
        Some(model) => Some(TokenCounter::open(model, &Access::new(args.offline, true))?),
        None => None,
    };
    let mut found = Vec::new();
    for name in &args.suites {
        match load_named_or_path(name, outside) {
            Ok(suite) => found.extend(of_suite(&suite, counter.as_ref())?),
            Err(error) => found.extend(problems(error)?),
        }
    }
    output::print(&match args.format {
        Format::Text => text(&found, args.suites.len(), counter.is_some()),
        Format::Json => document(&found),
        Format::Github => github(&found),
    })?;
    let worst = if args.strict { Level::Warning } else { Level::Error };
    Ok(if found.iter().any(|finding| finding.level <= worst) { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn of_suite(suite: &Suite, counter: Option<&TokenCounter>) -> Result<Vec<Finding>> {
    let mut found = scorers(suite);
    found.extend(match counter {
        None => lint(suite, None)?,
        Some(counter) => {
            let tokens = |text: &str| counter.tokens(text);
            let (name, context_length) = (counter.name(), counter.context_length());
            lint(suite, Some(&Model { name, tokens: &tokens, context_length }))?
        }
    });
    Ok(found)
}

/// What would keep `run` from building the suite's scorers; the suite itself does not know them.
fn scorers(suite: &Suite) -> Vec<Finding> {
    let finding = |spec: &ScorerSpec| {
        let message = scorer::problem(spec)?;
        Some(Finding { rule: "scorer", level: Level::Error, place: spec.place.clone(), message })
    };
    suite.scorers.iter().filter_map(finding).collect()
}

/// What a suite that does not load is told; any other error is one of the command.
fn problems(error: anyhow::Error) -> Result<Vec<Finding>> {
    let SuiteProblems(problems) = error.downcast::<SuiteProblems>()?;
    let finding = |problem: crate::suite::problem::Problem| Finding {
        rule: "suite",
        level: Level::Error,
        place: Place::new(&problem.file, problem.at),
        message: problem.message,
    };
    Ok(problems.into_iter().map(finding).collect())
}

/// A finding as a line.
pub(super) fn line(finding: &Finding) -> String {
    let Finding { rule, level, place, message } = finding;
    format!("{}:{}:{}: {}: {message} [{rule}]", place.file, place.at.line, place.at.column, level.as_str())
}

fn text(found: &[Finding], suites: usize, with_model: bool) -> String {
    let count = |level: Level, what: &str| {
        let number = found.iter().filter(|finding| finding.level == level).count();
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    let lines: String = found.iter().map(|finding| line(finding) + "\n").collect();
    let suites = if suites == 1 { "1 suite".into() } else { format!("{suites} suites") };
    format!(
        "{lines}{suites}: {}, {}, {}{}\n",
        count(Level::Error, "error"),
        count(Level::Warning, "warning"),
        count(Level::Note, "note"),
        if with_model { "" } else { "; lengths in tokens not checked, which --model does" }
    )
}

fn document(found: &[Finding]) -> String {
    let finding = |finding: &Finding| {
        json!({
            "rule": finding.rule,
            "level": finding.level.as_str(),
            "file": &*finding.place.file,
            "line": finding.place.at.line,
            "column": finding.place.at.column,
            "message": finding.message,
        })
    };
    let document = json!({ "findings": found.iter().map(finding).collect::<Vec<_>>() });
    format!("{document:#}\n")
}

/// `::warning file=…,line=…,col=…,title=…::message`, with what workflow commands need escaped.
fn github(found: &[Finding]) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let command = |finding: &Finding| {
        let level = if finding.level == Level::Note { "notice" } else { finding.level.as_str() };
        let place = &finding.place;
        format!(
            "::{level} file={},line={},col={},title={}::{}\n",
            property(&place.file),
            place.at.line,
            place.at.column,
            property(finding.rule),
            data(&finding.message)
        )
    };
    found.iter().map(command).collect()
}
