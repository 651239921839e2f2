//! Prints the cases of a suite without asking a model.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::record::{CaseRow, rows};
use crate::suite::Case;
use crate::suite::expand::expand;
use crate::suite::load::{Outside, load_named_or_path};

/// Print every case that a suite makes, without a model.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A suite file, or the name of an embedded suite such as first-look.
    pub suite: String,

    /// Only the first N contexts, each with all its counterfactual sets; a smaller N gives a subset of a larger one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// How to print the cases.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The columns of cases.csv.
    Csv,
    /// One JSON array.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Prompts under their sets, for reading.
    Text,
}

/// Loads, expands and prints to stdout.
///
/// # Errors
/// Problems of the suite, or stdout that cannot be written. A reader that closes the pipe early is no error.
pub fn run(args: &Args) -> Result<()> {
    let suite = load_named_or_path(&args.suite, Outside::Refused)?;
    let cases = expand(&suite, args.limit.map(|limit| limit as usize))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write_cases(&cases, args.format, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the cases to stdout"),
    }
}

/// A case as JSON has it: the columns of cases.csv and the system prompt.
#[derive(Serialize)]
struct Row<'a> {
    case: &'a str,
    set: &'a str,
    probe: &'a str,
    template: &'a str,
    context: &'a str,
    axis: &'a str,
    group: &'a str,
    term: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
}

fn row(case: &Case) -> Row<'_> {
    Row {
        case: &case.id,
        set: &case.set,
        probe: case.probe.as_str(),
        template: &case.template,
        context: &case.context,
        axis: &case.axis,
        group: &case.group,
        term: &case.term,
        prompt: &case.prompt,
        system: case.system.as_deref(),
    }
}

/// A row of cases.csv.
pub(super) fn case_row(case: &Case) -> CaseRow {
    CaseRow {
        case: case.id.clone(),
        set: case.set.clone(),
        probe: case.probe.as_str().into(),
        template: case.template.clone(),
        context: case.context.clone(),
        axis: case.axis.clone(),
        group: case.group.clone(),
        term: case.term.clone(),
        prompt: case.prompt.clone(),
        system: case.system.clone().unwrap_or_default(),
        turns: json(&case.turns),
        continuation: case.continuation.clone().unwrap_or_default(),
        options: json(&case.options),
        tags: match case.tags.is_empty() {
            true => String::new(),
            false => {
                let tags = case.tags.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
                serde_json::Value::Object(tags).to_string()
            }
        },
    }
}

/// A list as JSON, nothing when it is empty.
fn json<T: Serialize>(list: &[T]) -> String {
    if list.is_empty() { String::new() } else { serde_json::to_string(list).expect("lists of texts are JSON") }
}

/// Writes cases in the order given.
///
/// # Errors
/// When `out` fails.
pub fn write_cases(cases: &[Case], format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Csv => out.write_all(&rows::write_cases(&cases.iter().map(case_row).collect::<Vec<_>>())),
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &cases.iter().map(row).collect::<Vec<_>>())?;
            writeln!(out)
        }
        Format::Jsonl => cases.iter().try_for_each(|case| {
            serde_json::to_writer(&mut *out, &row(case))?;
            writeln!(out)
        }),
        Format::Text => {
            let mut set = "";
            for case in cases {
                if case.set != set {
                    set = &case.set;
                    writeln!(out, "{set}")?;
                }
                writeln!(out, "  {} ({}): {}", case.group, case.term, case.prompt.replace('\n', "\n    "))?;
            }
            let sets = cases.chunk_by(|a, b| a.set == b.set).count();
            writeln!(out, "{} cases in {sets} counterfactual sets", cases.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(prompt: &str) -> Case {
        Case {
            id: "generate/t/gender=woman/term=ana".into(),
            set: "generate/t/gender".into(),
            template: "t".into(),
            axis: "gender".into(),
            group: "woman".into(),
            term: "ana".into(),
            prompt: prompt.into(),
            ..Case::default()
        }
    }

    fn written(prompt: &str, format: Format) -> String {
        let mut out = Vec::new();
        write_cases(&[case(prompt)], format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_the_columns_of_the_cases_file_and_guards_formulas() {
        assert_eq!(
            written("=1+1, \"Ana\"", Format::Csv),
            "case,set,probe,template,context,axis,group,term,prompt,system,turns,continuation,options,tags\n\
             generate/t/gender=woman/term=ana,generate/t/gender,generate,t,,gender,woman,ana,\"'=1+1, \"\"Ana\"\"\",,,,,\n"
        );
    }

    #[test]
    fn json_lines_hold_the_prompt_unchanged() {
        assert!(written("=1", Format::Jsonl).contains("\"prompt\":\"=1\""));
        assert!(written("Hi", Format::Text).ends_with("  woman (ana): Hi\n1 cases in 1 counterfactual sets\n"));
    }
}
