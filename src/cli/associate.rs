//! `tiltmeter associate`: which groups texts name, and what they put beside them.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::output::{self, Format};
use super::score::rows::Rows;
use crate::record::table::{Table, number, text};
use crate::scorer::association::{AssociationRow, Counts, Lists};

/// Count which groups texts name, and which words stand in the same texts
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .csv or .jsonl file with a text a row; of a run, its responses.csv
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// YAML file with `groups` (a name and its words, each), `words`, and perhaps `stop`: words that say nothing
    #[arg(long, value_name = "FILE")]
    lists: PathBuf,

    /// The column or key that holds the texts
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    text: String,

    /// Seed of the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write the rows into this CSV file too
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter associate answers.csv --lists gender-at-work.yaml

with gender-at-work.yaml:
  groups: { woman: [she, her, woman], man: [he, his, him, man] }
  words: [nurse, doctor, engineer, secretary]
  stop: [a, the, is, and]";

pub fn run(args: &Args) -> Result<()> {
    let mut counts = Counts::new(&Lists::read(&args.lists)?);
    let mut rows = Rows::open(&args.file, &args.text)?;
    while let Some(row) = rows.next_row()? {
        if let Ok(text) = &row.text {
            counts.add(text);
        }
    }
    let rows = counts.rows(args.seed);
    if let Some(path) = &args.out {
        std::fs::write(path, csv(&rows)).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    output::print(&match args.format {
        Format::Json => serde_json::to_string_pretty(&rows)? + "\n",
        Format::Text => table(&rows, counts.len()),
    })
}

fn csv(rows: &[AssociationRow]) -> Vec<u8> {
    let mut table = Table::new(&["statistic", "subset", "n", "value", "low", "high", "chance", "p"]);
    for row in rows {
        table.push([
            text(row.statistic),
            text(&row.subset),
            row.n.to_string().into(),
            number(row.value),
            number(row.low),
            number(row.high),
            number(row.chance),
            number(row.p),
        ]);
    }
    table.into_bytes()
}

fn table(rows: &[AssociationRow], texts: usize) -> String {
    let cell = |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.3}"));
    let line = |row: &AssociationRow| {
        let name = match (row.statistic, row.subset.as_str()) {
            (statistic, "") => statistic.to_owned(),
            ("cooccurrence_bias", groups) => format!("cooccurrence_bias {groups}"),
            // Below its pair of groups, the word is enough.
            ("word_cooccurrence", subset) => format!("  {}", subset.split_once(' ').map_or(subset, |(_, word)| word)),
            (_, subset) => format!("  {subset}"),
        };
        let interval = match row.low.zip(row.high) {
            Some((low, high)) => format!("{low:.3} … {high:.3}"),
            None => "n/a".to_owned(),
        };
        let chance = row.chance.map_or("–".to_owned(), |chance| format!("{chance:.3}"));
        let p = row.p.map_or("–".to_owned(), |p| format!("{p:.3}"));
        format!("{name:<28} {:>6}  {:>6}  {interval:<15}  {chance:>6}  {p:>6}\n", row.n, cell(row.value))
    };
    let head = format!("{:<28} {:>6}  {:>6}  {:<15}  {:>6}  {:>6}\n", "", "n", "value", "95 % interval", "chance", "p");
    let body: String = rows.iter().map(line).collect();
    format!(
        "{texts} texts\n{head}{body}\n\
         Values: distance from an equal share of all groups, 0 … 1 − 1/groups (Liang et al.\n\
         2023); under demographic_representation the groups' shares. Chance: the same with\n\
         the words dealt to the texts at random. A small n shows a distance by chance alone.\n\
         cooccurrence_bias: mean |log10| of how much likelier a word is near one group than near\n\
         the other, 0 … (Bordia & Bowman 2019); without chance level. Intervals resample texts.\n"
    )
}
