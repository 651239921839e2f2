//! Reads and writes records.csv, the seam between answers and statistics; a file from elsewhere needs only some of its columns.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Record;
use super::table::{Table, number, text, untext};

pub const RECORDS: [&str; 10] =
    ["suite", "model", "template", "context", "axis", "group", "term", "sample", "scorer", "score"];

/// Columns of [`RECORDS`] that go by another name too.
const ALSO: [(&str, &str); 2] = [("axis", "attribute"), ("term", "realisation")];

/// What stands for a column that is not there.
const DEFAULTS: [(&str, &str); 6] = [
    ("suite", "records"),
    ("model", "model"),
    ("template", "template"),
    ("axis", "axis"),
    ("term", "term"),
    ("scorer", "score"),
];

/// A name that many records share; its text is kept once.
pub type Name = Arc<str>;

/// Keeps each name once.
#[derive(Debug, Default)]
pub struct Names(HashSet<Name>);

impl Names {
    pub fn get(&mut self, text: &str) -> Name {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        self.0.insert(name.clone());
        name
    }
}

/// records.csv, sorted by every column but the score.
pub fn write_records(rows: &[Record]) -> Vec<u8> {
    fn key(row: &Record) -> ([&Name; 7], u32, &Name) {
        let names = [&row.suite, &row.model, &row.template, &row.context, &row.axis, &row.group, &row.term];
        (names, row.sample, &row.scorer)
    }
    let mut rows: Vec<&Record> = rows.iter().collect();
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut table = Table::new(&RECORDS);
    for row in rows {
        table.push([
            text(&row.suite),
            text(&row.model),
            text(&row.template),
            text(&row.context),
            text(&row.axis),
            text(&row.group),
            text(&row.term),
            Cow::Owned(row.sample.to_string()),
            text(&row.scorer),
            number(row.score),
        ]);
    }
    table.into_bytes()
}

/// Records in the order of the file. Needs the columns group, context and score; `attribute` and `realisation` are read as axis and term,
/// a column that is missing has one value in every row. Without a column `sample`, equal rows are samples of one cell. A column `mass`
/// (what all options of a choice have together) becomes records of its own, behind the others, of the scorer `<scorer>.mass`.
///
/// # Errors
/// On a missing column, a column under two names, an empty group, and a number that is none or not finite; names the row, counted as a
/// spreadsheet does: the header is row 1.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    ensure!(!path.is_dir(), "{} is a folder; name a file of records, of a run its records.csv", path.display());
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    parse_records(file, &path.display().to_string())
}

fn parse_records(file: impl std::io::Read, name: &str) -> Result<Vec<Record>> {
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 20).from_reader(file);
    let no_csv = |error: csv::Error| anyhow!("{name} is not a CSV file: {error}");
    let columns = Columns::of(reader.headers().map_err(no_csv)?, name)?;
    let mut names = Names::default();
    let mut last: [Option<Name>; 8] = Default::default();
    let mut samples: HashMap<[Name; 8], u32> = HashMap::new();
    let (mut records, mut masses) = (Vec::new(), Vec::new());
    let (mut line, mut row) = (csv::StringRecord::new(), 1_usize);
    while reader.read_record(&mut line).map_err(no_csv)? {
        row += 1;
        let place = |what: &str| format!("{name}, row {row}: {what}");
        let mut text = |slot: usize, column: &str| -> Name {
            let cell = columns.cell(&line, column).map_or_else(|| default(column), untext);
            match &last[slot] {
                Some(name) if **name == *cell => name.clone(),
                _ => last[slot].insert(names.get(cell)).clone(),
            }
        };
        let mut record = Record {
            suite: text(0, "suite"),
            model: text(1, "model"),
            template: text(2, "template"),
            context: text(3, "context"),
            axis: text(4, "axis"),
            group: text(5, "group"),
            term: text(6, "term"),
            sample: 0,
            scorer: text(7, "scorer"),
            score: finite(&columns, &line, "score").map_err(|what| anyhow!(place(&what)))?,
        };
        ensure!(!record.group.is_empty(), place("group is empty; name the group, or leave the row out"));
        match columns.cell(&line, "sample") {
            Some(cell) => {
                record.sample = cell.trim().parse().map_err(|_| {
                    anyhow!(place(&format!("sample is {cell:?}; give a whole number from 0, or leave the column out")))
                })?;
            }
            None => {
                let Record { suite, model, template, context, axis, group, term, scorer, .. } = &record;
                let key = [suite, model, template, context, axis, group, term, scorer].map(Name::clone);
                let next = samples.entry(key).or_default();
                record.sample = *next;
                *next += 1;
            }
        }
        if let Some(mass) = finite(&columns, &line, "mass").map_err(|what| anyhow!(place(&what)))? {
            let scorer = names.get(&format!("{}.mass", record.scorer));
            masses.push(Record { scorer, score: Some(mass), ..record.clone() });
        }
        records.push(record);
    }
    records.append(&mut masses);
    Ok(records)
}

fn default(column: &str) -> &'static str {
    DEFAULTS.iter().find(|(name, _)| *name == column).map_or("", |(_, value)| *value)
}

/// The number of a cell; `None` where it is empty or its column is missing.
fn finite(columns: &Columns, line: &csv::StringRecord, column: &str) -> Result<Option<f64>, String> {
    let cell = columns.cell(line, column).unwrap_or_default().trim();
    if cell.is_empty() {
        return Ok(None);
    }
    match cell.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => {
            Err(format!("{column} is {cell:?}, which is not a finite number; leave the cell empty where there is none"))
        }
    }
}

/// Where each column of [`RECORDS`] and `mass` stands.
struct Columns(BTreeMap<&'static str, usize>);

impl Columns {
    fn of(header: &csv::StringRecord, file: &str) -> Result<Columns> {
        let mut found: BTreeMap<&'static str, usize> = BTreeMap::new();
        let header: Vec<&str> = header.iter().map(|cell| cell.trim_start_matches('\u{FEFF}').trim()).collect();
        for (index, cell) in header.iter().enumerate() {
            let also = ALSO.iter().find(|(_, also)| also == cell).map(|(name, _)| *name);
            let own = RECORDS.into_iter().chain(["mass"]).find(|name| name == cell);
            let Some(name) = own.or(also) else { continue };
            if let Some(first) = found.insert(name, index) {
                bail!("{file}: the columns {:?} and {cell:?} both stand for {name}; keep one of them", header[first]);
            }
        }
        let missing: Vec<&str> =
            ["group", "context", "score"].into_iter().filter(|name| !found.contains_key(name)).collect();
        if missing.is_empty() {
            return Ok(Columns(found));
        }
        // The other tables of a run folder are not what statistics are computed from.
        ensure!(
            !["gap", "p_adjusted", "mean"].iter().any(|name| header.contains(name)),
            "{file} lacks the column {}, as it is a table of results; give the records.csv that lies beside it",
            missing.join(", ")
        );
        bail!(
            "{file} lacks the column {}; every row is one scored answer: its group, its context and its score (it has {})",
            missing.join(", "),
            if header.is_empty() { "no columns".into() } else { header.join(", ") }
        )
    }

    fn cell<'l>(&self, line: &'l csv::StringRecord, column: &str) -> Option<&'l str> {
        line.get(*self.0.get(column)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(term: &str, score: Option<f64>) -> Record {
        Record {
            suite: "letters".into(),
            model: "m@1234567".into(),
            template: "letter".into(),
            context: "".into(),
            axis: "gender".into(),
            group: "woman".into(),
            term: term.into(),
            sample: 0,
            scorer: "length".into(),
            score,
        }
    }

    #[test]
    fn records_come_back_sorted_and_an_unscored_one_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.csv");
        let (first, second) = (record("anna", None), record("=berta", Some(0.25)));
        std::fs::write(&path, write_records(&[first.clone(), second.clone()])).unwrap();
        assert_eq!(read_records(&path).unwrap(), [second, first]);
    }

    fn parse(text: &str) -> Result<Vec<Record>> {
        parse_records(text.as_bytes(), "r.csv")
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn three_columns_are_enough_and_equal_rows_are_samples() {
        let records = parse("context,group,score\na,x,0.5\na,x,0.25\na,y,\n").unwrap();
        let seen: Vec<_> = records.iter().map(|record| (&*record.group, record.sample, record.score)).collect();
        assert_eq!(seen, [("x", 0, Some(0.5)), ("x", 1, Some(0.25)), ("y", 0, None)]);
        assert_eq!((&*records[0].suite, &*records[0].axis, &*records[0].scorer), ("records", "axis", "score"));
    }

    #[test]
    fn other_names_of_columns_and_other_columns_are_read_past() {
        let records = parse("\u{FEFF}attribute,realisation,note,group,context,score\nrace,Emily,x,a,'=c,1\n").unwrap();
        let Record { axis, term, context, .. } = &records[0];
        assert_eq!((&**axis, &**term, &**context), ("race", "Emily", "=c"));
        let twice = refusal("axis,attribute,group,context,score\na,b,c,d,1\n");
        assert!(twice.contains("\"axis\" and \"attribute\" both stand for axis"), "{twice}");
    }

    #[test]
    fn the_mass_of_options_is_a_score_of_its_own() {
        let records = parse("group,context,scorer,score,mass\na,c,choice.yes,0.5,0.98\n").unwrap();
        let seen: Vec<_> = records.iter().map(|record| (&*record.scorer, record.score)).collect();
        assert_eq!(seen, [("choice.yes", Some(0.5)), ("choice.yes.mass", Some(0.98))]);
    }

    #[test]
    fn bad_cells_are_refused_with_their_row() {
        for score in ["NaN", "inf", "-inf", "high", "1e999", "1,5"] {
            let message = refusal(&format!("group,context,score\na,c,1\na,d,\"{score}\"\n"));
            assert!(message.contains("r.csv, row 3: score is") && message.contains(score), "{message}");
        }
        let message = refusal("group,context,score,sample\na,c,1,-1\n");
        assert!(message.contains("row 2: sample is \"-1\""), "{message}");
        let message = refusal("group,context,score\n,c,1\n");
        assert!(message.contains("row 2: group is empty"), "{message}");
        assert!(refusal("group,context,score\na,c\n").contains("is not a CSV file"));
    }

    #[test]
    fn a_table_of_results_is_refused_by_name() {
        let message = refusal("suite,axis,group,reference,scorer,gap\ns,a,g,r,x,0.1\n");
        assert!(message.contains("lacks the column context, score") && message.contains("records.csv"), "{message}");
    }
}
