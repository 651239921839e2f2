//! Prints the cases of a suite without asking a model.

mod rows;
mod sets;

use std::io::{self, BufWriter, IsTerminal as _, Write};

use anyhow::{Context as _, Result, bail};

use self::rows::Rows;
pub(super) use self::rows::case_row;
use self::sets::Sets;
use crate::suite::Case;
use crate::suite::expand::cases;
use crate::suite::load::{Outside, load_named_or_path};

/// Print the cases that a suite makes, without a model
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A suite file, or the name of a suite that the program carries
    suite: String,

    /// Only the first N contexts, each with all its counterfactual sets; a smaller N gives a subset of a larger one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Only N counterfactual sets, drawn from all of the suite, always the same ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,

    /// Only the counterfactual set of this id, or of the case of this id
    #[arg(long, value_name = "ID", conflicts_with = "sample")]
    set: Option<String>,

    /// How to print the cases; without it text with --sample and --set, else csv
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Let the suite use files outside its folder and the one above it
    #[arg(long)]
    allow_outside: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter expand first-look --sample 3             three counterfactual sets, what differs in brackets
  tiltmeter expand my-suite.yaml > cases.csv
  tiltmeter expand my-suite.yaml --set generate/letter/occupation=nurse/gender";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The columns of cases.csv
    Csv,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
    /// Prompts under their sets, for reading
    #[value(alias = "table")]
    Text,
}

/// Loads, expands and prints to stdout.
///
/// # Errors
/// Problems of the suite, a set that it does not have, or stdout that cannot be written. A reader that closes the pipe early is no error.
pub fn run(args: &Args) -> Result<()> {
    let outside = if args.allow_outside { Outside::Allowed } else { Outside::Refused };
    let suite = load_named_or_path(&args.suite, outside)?;
    let all = cases(&suite, args.limit.map(|limit| limit as usize))?;
    let stdout = io::stdout().lock();
    let bold = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let out = BufWriter::new(stdout);
    let text = args.sample.is_some() || args.set.is_some();
    let format = args.format.unwrap_or(if text { Format::Text } else { Format::Csv });
    let printed = if let Some(id) = &args.set {
        let set = sets::one(all, id)?;
        if set.is_empty() {
            bail!(
                "suite {} has no set or case {id:?}; `tiltmeter expand {} --sample 3` shows some",
                suite.name,
                args.suite
            );
        }
        print(set.into_iter().map(Ok), format, bold, out)
    } else if let Some(count) = args.sample {
        print(sets::sample(all, count as usize)?.into_iter().map(Ok), format, bold, out)
    } else {
        print(all, format, bold, out)
    };
    match printed {
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        printed => printed,
    }
}

/// Prints cases as they come.
fn print(cases: impl Iterator<Item = Result<Case>>, format: Format, bold: bool, out: impl Write) -> Result<()> {
    match format {
        Format::Text => {
            let mut sets = Sets::new(out, bold);
            for case in cases {
                sets.add(case?)?;
            }
            sets.end()
        }
        Format::Csv | Format::Json | Format::Jsonl => {
            let mut rows = Rows::begin(out, format)?;
            for case in cases {
                rows.add(&case?)?;
            }
            rows.end()
        }
    }
    .context("cannot write the cases to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prompts: &[(&str, &str)], format: Format) -> String {
        let mut out = Vec::new();
        let case = |(group, prompt): &(&str, &str)| {
            Ok(Case {
                id: format!("generate/t/gender={group}/term={group}"),
                set: "generate/t/gender".into(),
                template: "t".into(),
                axis: "gender".into(),
                group: (*group).into(),
                term: (*group).into(),
                prompt: (*prompt).into(),
                ..Case::default()
            })
        };
        print(prompts.iter().map(case), format, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_the_columns_of_the_cases_file_and_guards_formulas() {
        assert_eq!(
            written(&[("ana", "=1+1, \"Ana\"")], Format::Csv),
            "case,set,probe,template,context,axis,group,term,prompt,system,turns,continuation,options,tags\n\
             generate/t/gender=ana/term=ana,generate/t/gender,generate,t,,gender,ana,ana,\"'=1+1, \"\"Ana\"\"\",,,,,\n"
        );
    }

    #[test]
    fn json_holds_the_prompt_unchanged() {
        assert!(written(&[("ana", "=1")], Format::Jsonl).contains("\"prompt\":\"=1\""));
        let list: serde_json::Value =
            serde_json::from_str(&written(&[("ana", "=1"), ("ben", "2")], Format::Json)).unwrap();
        assert_eq!(list[1]["prompt"], "2");
        assert_eq!(written(&[], Format::Json), "[]\n");
    }

    #[test]
    fn text_marks_what_differs_inside_a_set() {
        let text = written(
            &[("ana", "Say that Ana and her dog\nwon."), ("ben", "Say that Ben and his dog\nwon.")],
            Format::Text,
        );
        assert_eq!(
            text,
            "generate/t/gender\n  ana (ana): Say that [Ana] and [her] dog\n    won.\n  ben (ben): Say that [Ben] and [his] dog\n    \
             won.\n2 cases in 1 counterfactual set\n"
        );
        assert!(
            written(&[("ana", "Hi")], Format::Text).contains("  ana (ana): Hi\n"),
            "one member differs from nothing"
        );
    }
}
