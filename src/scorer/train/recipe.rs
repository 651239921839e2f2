//! Puts together the training files of the heads that the program carries, from public data and our own sentences.
//!
//! `tiltmeter head data` writes them; from there the shipped heads are trained as anyone's are.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::sentences;
use crate::record::table::{Table, text};
use crate::scorer::web_text::clean;

/// Sentences of VADER that stand for text without toxicity, at most.
const VADER_NEGATIVES: usize = 2500;

/// A head that the program carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    Sentiment,
    Toxicity,
    Regard,
    Refusal,
}

/// A labelled text on its way into a training file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// After [`clean`].
    pub text: String,
    pub label: String,
    pub weight: f64,
    /// The file that it comes from.
    pub part: String,
    /// Rows of one document are fitted or held out together.
    pub document: String,
}

impl Recipe {
    /// The rows of the training file. `data` is the folder that holds vader/, davidson/ and toxigen/; regard and
    /// refusal need none.
    ///
    /// # Errors
    /// A missing or malformed file, by name and line.
    pub fn rows(self, data: Option<&Path>) -> Result<Vec<Row>> {
        let folder = || data.context("the public files are needed; give the folder that holds them with --data");
        match self {
            Recipe::Sentiment => sentiment(folder()?),
            Recipe::Toxicity => toxicity(folder()?),
            Recipe::Regard => sentences::regard(),
            Recipe::Refusal => sentences::refusals(),
        }
    }
}

/// The training file as CSV: text, label, weight, part, document.
pub fn to_csv(rows: &[Row]) -> Vec<u8> {
    let mut table = Table::new(&["text", "label", "weight", "part", "document"]);
    for row in rows {
        let weight = row.weight.to_string().into();
        table.push([text(&row.text), text(&row.label), weight, text(&row.part), text(&row.document)]);
    }
    table.into_bytes()
}

/// Rated sentences; the label is ½ + rating/4, kept in [0, 1], so that a mild and a strong opinion differ. Neutral sentences
/// about people aim at ½: without them the names of groups alone move the score.
fn sentiment(data: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in VADER_FILES {
        for rated in vader(data, name)? {
            let label = (0.5 + rated.rating / 4.0).clamp(0.0, 1.0);
            rows.push(Row { label: format!("{label:.4}"), ..rated.row });
        }
    }
    rows.extend(sentences::neutral("0.5000")?);
    Ok(rows)
}

/// Toxic: hate speech or offensive language in davidson, hate in toxigen, and hostile sentences of our own. Not toxic: the
/// others there, rated sentences of vader (reviews and editorials whatever their rating, for blame is not abuse; tweets
/// rated 0 or better), and friendly and neutral sentences about people of our own.
///
/// A row of toxigen counts three times: davidson has four rows to its one, and only toxigen has abuse without swear words. Our
/// own sentences count half: they repeat each other.
fn toxicity(data: &Path) -> Result<Vec<Row>> {
    let mut rows = davidson(data)?;
    rows.extend(toxigen(data)?.into_iter().map(|row| Row { weight: 3.0, ..row }));
    let mut rated = Vec::new();
    for name in VADER_FILES {
        rated.extend(vader(data, name)?.into_iter().filter(|rated| name != "tweets" || rated.rating >= 0.0));
    }
    // Which ones is decided by a hash of the text.
    rated.sort_by_cached_key(|rated| <[u8; 32]>::from(Sha256::digest(&rated.row.text)));
    rated.truncate(VADER_NEGATIVES);
    rows.extend(rated.into_iter().map(|rated| Row { label: NOT_TOXIC.into(), ..rated.row }));
    let own = sentences::neutral(NOT_TOXIC)?.into_iter().chain(sentences::charged()?);
    rows.extend(own.map(|row| Row { weight: 0.5, ..row }));
    Ok(rows)
}

/// The labels of toxicity.
pub const NOT_TOXIC: &str = "not_toxic";
pub const TOXIC: &str = "toxic";

/// The four files of rated sentences that came with VADER.
const VADER_FILES: [&str; 4] = ["tweets", "amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets"];

struct Rated {
    row: Row,
    /// Mean of twenty readers, -4 to 4.
    rating: f64,
}

/// `id`, `mean_rating`, `text`, with tabs between and no quoting. Snippets of one review or editorial (`12_1`, `12_2`) are
/// one document.
fn vader(folder: &Path, name: &str) -> Result<Vec<Rated>> {
    let file = format!("vader/{name}.tsv");
    let text = read(folder, &file)?;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let mut cells = line.splitn(3, '\t');
        let (Some(id), Some(rating), Some(text)) = (cells.next(), cells.next(), cells.next()) else {
            anyhow::bail!("{file}, line {}: there should be three columns with tabs between", i + 1);
        };
        let rating: f64 = rating.parse().with_context(|| format!("{file}, line {}: mean_rating {rating:?}", i + 1))?;
        ensure!((-4.0..=4.0).contains(&rating), "{file}, line {}: mean_rating {rating} is not in -4 to 4", i + 1);
        let document = id.split('_').next().unwrap_or(id);
        rows.extend(row(text, "", &file, document).map(|row| Rated { row, rating }));
    }
    Ok(rows)
}

/// Tweets: hate speech or offensive language against neither, by the majority of the raters.
fn davidson(folder: &Path) -> Result<Vec<Row>> {
    #[derive(Deserialize)]
    struct Line {
        class: u8,
        tweet: String,
    }
    let file = "davidson/labeled_data.csv";
    let text = read(folder, file)?;
    let mut rows = Vec::new();
    for (i, line) in csv::Reader::from_reader(text.as_bytes()).deserialize().enumerate() {
        let line: Line = line.with_context(|| format!("{file}, row {}", i + 2))?;
        ensure!(line.class <= 2, "{file}, row {}: class {} is not 0, 1 or 2", i + 2, line.class);
        rows.extend(row(&line.tweet, if line.class < 2 { TOXIC } else { NOT_TOXIC }, file, ""));
    }
    Ok(rows)
}

/// Machine-written statements about groups, judged by people: hate or neutral.
fn toxigen(folder: &Path) -> Result<Vec<Row>> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        label: String,
    }
    let file = "toxigen/annotated.jsonl";
    let text = read(folder, file)?;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("{file}, line {}", i + 1))?;
        let label = match line.label.as_str() {
            "hate" => TOXIC,
            "neutral" => NOT_TOXIC,
            other => anyhow::bail!("{file}, line {}: label {other:?} is neither hate nor neutral", i + 1),
        };
        rows.extend(row(&line.text, label, file, ""));
    }
    Ok(rows)
}

/// A row of weight 1, or none where nothing is left of the text. Without a document, the text is its own.
pub(super) fn row(text: &str, label: &str, part: &str, document: &str) -> Option<Row> {
    let text = clean(text);
    let document = if document.is_empty() { text.clone() } else { document.to_owned() };
    (!text.is_empty()).then(|| Row { text, label: label.into(), weight: 1.0, part: part.into(), document })
}

fn read(folder: &Path, file: &str) -> Result<String> {
    let path = folder.join(file);
    std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; --data names the folder that holds {file}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_snippets_of_one_review_are_one_document() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("vader")).unwrap();
        for name in VADER_FILES {
            let text = "id\tmean_rating\ttext\n7_1\t1.0\tgood \"one\"\n7_2\t-3.5\tbad\n8_1\t0\t \n";
            std::fs::write(folder.path().join(format!("vader/{name}.tsv")), text).unwrap();
        }
        let rows = sentiment(folder.path()).unwrap();
        assert_eq!((rows[0].text.as_str(), rows[0].label.as_str()), ("good \"one\"", "0.7500"));
        assert_eq!((rows[1].label.as_str(), rows[1].document.as_str()), ("0.0000", "7"));
        assert_eq!(rows[2].part, "vader/amazonReviewSnippets.tsv");
    }

    #[test]
    fn a_missing_file_names_the_option_that_should_point_to_it() {
        for error in [davidson(Path::new("no/such/folder")).unwrap_err(), Recipe::Sentiment.rows(None).unwrap_err()] {
            assert!(error.to_string().contains("--data"), "{error}");
        }
    }

    #[test]
    fn the_sentences_about_regard_have_three_labels_and_repeat_nothing() {
        let rows = Recipe::Regard.rows(None).unwrap();
        let distinct: HashSet<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(distinct.len(), rows.len());
        for label in ["negative", "neutral", "positive"] {
            assert!(rows.iter().filter(|row| row.label == label).count() > 1000, "{label}");
        }
    }
}
