//! Reads the public files that heads are fitted on, as cleaned rows, and says which rows are kept out.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::scorer::encoder::hex;
use crate::scorer::web_text::clean;

/// Rows of one file.
#[derive(Debug, Clone)]
pub struct Part {
    /// Path in the data folder, or of the list in this program.
    pub file: String,
    pub sha256: String,
    pub source: &'static str,
    pub license: &'static str,
    pub rows: Vec<Row>,
}

/// A text with what people (or the list's maker) said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// After [`clean`].
    pub text: String,
    /// A sentiment rating, -4 to 4; or 1 for toxic, 0 for not.
    pub value: f64,
    /// Part of the seeded share, three in twenty, that no fit sees. Rows of one document fall on one side.
    pub held_out: bool,
}

/// The share is decided by a hash of the document, so that it does not move when rows come or go.
fn is_held_out(seed: u64, file: &str, document: &str) -> bool {
    hash(&format!("{seed}\n{file}\n{document}")) % 20 < 3
}

fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    u64::from_be_bytes(digest[..8].try_into().expect("SHA-256 has more than 8 bytes"))
}

/// The four files of rated sentences that came with VADER, in this order.
pub const VADER_FILES: [&str; 4] = ["tweets", "amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets"];

/// Rated sentences: `id`, `mean_rating`, `text`, with tabs between and no quoting. Snippets of one review or editorial
/// (`12_1`, `12_2`) are one document.
pub fn vader(folder: &Path, seed: u64) -> Result<Vec<Part>> {
    VADER_FILES.iter().map(|name| vader_file(folder, name, seed)).collect()
}

fn vader_file(folder: &Path, name: &str, seed: u64) -> Result<Part> {
    let file = format!("vader/{name}.tsv");
    let (text, sha256) = read(folder, &file)?;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let mut cells = line.splitn(3, '\t');
        let (Some(id), Some(rating), Some(text)) = (cells.next(), cells.next(), cells.next()) else {
            anyhow::bail!("{file}, line {}: there should be three columns with tabs between", i + 1);
        };
        let value: f64 = rating.parse().with_context(|| format!("{file}, line {}: mean_rating {rating:?}", i + 1))?;
        ensure!((-4.0..=4.0).contains(&value), "{file}, line {}: mean_rating {value} is not in -4 to 4", i + 1);
        let document = id.split('_').next().unwrap_or(id);
        push(&mut rows, text, value, is_held_out(seed, &file, document));
    }
    Ok(Part {
        file,
        sha256,
        source: "github.com/cjhutto/vaderSentiment (Hutto and Gilbert 2014)",
        license: "MIT",
        rows,
    })
}

/// Tweets: hate speech or offensive language (1) against neither (0), by the majority of the raters.
pub fn davidson(folder: &Path, seed: u64) -> Result<Part> {
    #[derive(Deserialize)]
    struct Line {
        class: u8,
        tweet: String,
    }
    let file = "davidson/labeled_data.csv".to_string();
    let (text, sha256) = read(folder, &file)?;
    let mut rows = Vec::new();
    for (i, line) in csv::Reader::from_reader(text.as_bytes()).deserialize().enumerate() {
        let line: Line = line.with_context(|| format!("{file}, row {}", i + 1))?;
        ensure!(line.class <= 2, "{file}, row {}: class {} is not 0, 1 or 2", i + 1, line.class);
        let document = clean(&line.tweet);
        push(&mut rows, &line.tweet, f64::from(u8::from(line.class < 2)), is_held_out(seed, &file, &document));
    }
    let source = "github.com/t-davidson/hate-speech-and-offensive-language (Davidson et al. 2017)";
    Ok(Part { file, sha256, source, license: "MIT", rows })
}

/// Machine-written statements about groups, judged by people: hate (1) or neutral (0).
pub fn toxigen(folder: &Path, seed: u64) -> Result<Part> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        label: String,
    }
    let file = "toxigen/annotated.jsonl".to_string();
    let (text, sha256) = read(folder, &file)?;
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("{file}, line {}", i + 1))?;
        let value = match line.label.as_str() {
            "hate" => 1.0,
            "neutral" => 0.0,
            other => anyhow::bail!("{file}, line {}: label {other:?} is neither \"hate\" nor \"neutral\"", i + 1),
        };
        let document = clean(&line.text);
        push(&mut rows, &line.text, value, is_held_out(seed, &file, &document));
    }
    let source = "github.com/microsoft/SafeNLP, ToxiGen (Hartvigsen et al. 2022)";
    Ok(Part { file, sha256, source, license: "CDLA-Permissive-2.0", rows })
}

/// At most `cap` rated sentences as examples of text without toxicity: all of reviews and editorials, whatever their
/// rating (blame is not abuse), and tweets that were rated 0 or better. Which ones is decided by a hash of the text.
pub fn not_toxic_vader(folder: &Path, seed: u64, cap: usize) -> Result<Vec<Part>> {
    let mut parts = vader(folder, seed)?;
    let mut order = Vec::new();
    for (i, part) in parts.iter_mut().enumerate() {
        if part.file.contains("tweets") {
            part.rows.retain(|row| row.value >= 0.0);
        }
        order.extend(part.rows.iter().map(|row| (hash(&row.text), i, row.text.clone())));
    }
    order.sort();
    let kept: HashSet<(usize, String)> = order.into_iter().take(cap).map(|(_, i, text)| (i, text)).collect();
    for (i, part) in parts.iter_mut().enumerate() {
        part.rows.retain(|row| kept.contains(&(i, row.text.clone())));
        part.rows.iter_mut().for_each(|row| row.value = 0.0);
    }
    Ok(parts)
}

/// Plain sentences about people, of our own making: every frame with every identity, none toxic. The rows of a frame
/// are one document, so what is kept out has sentences that no fit saw.
pub fn neutral_identity(seed: u64) -> Result<Part> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct List {
        #[allow(dead_code)]
        source: String,
        #[allow(dead_code)]
        license: String,
        identities: Vec<Identity>,
        frames: Vec<String>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Identity {
        one: String,
        many: String,
    }
    let file = "prompts/heads/neutral-identity.yaml".to_string();
    let text = include_str!("../../../prompts/heads/neutral-identity.yaml");
    let list: List = serde_saphyr::from_str(text).with_context(|| file.clone())?;
    let mut rows = Vec::new();
    for frame in &list.frames {
        for identity in &list.identities {
            let mut sentence = frame.replace("{one}", &identity.one).replace("{many}", &identity.many);
            if let Some(first) = sentence.get(..1) {
                sentence = first.to_uppercase() + &sentence[1..];
            }
            push(&mut rows, &sentence, 0.0, is_held_out(seed, &file, frame));
        }
    }
    Ok(Part { file, sha256: hex(&Sha256::digest(text)), source: "own text", license: "CC0-1.0", rows })
}

fn push(rows: &mut Vec<Row>, text: &str, value: f64, held_out: bool) {
    let text = clean(text);
    if !text.is_empty() {
        rows.push(Row { text, value, held_out });
    }
}

fn read(folder: &Path, file: &str) -> Result<(String, String)> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; --data names the folder that holds {file}", path.display()))?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok((text, sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neutral_list_fills_every_frame_and_repeats_nothing() {
        let part = neutral_identity(0).unwrap();
        assert!(part.rows.len() >= 1000, "{}", part.rows.len());
        let distinct: HashSet<&str> = part.rows.iter().map(|row| row.text.as_str()).collect();
        assert_eq!(distinct.len(), part.rows.len());
        assert!(part.rows.iter().all(|row| !row.text.contains(['{', '}']) && row.value == 0.0));
        assert!(part.rows.iter().any(|row| row.held_out) && part.rows.iter().any(|row| !row.held_out));
    }

    #[test]
    fn the_snippets_of_one_review_fall_on_one_side() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("vader")).unwrap();
        let mut text = "id\tmean_rating\ttext\n".to_string();
        for id in 0..60 {
            text += &format!("{id}_1\t1.0\tgood \"one\" {id}\n{id}_2\t-1\tbad {id}\n");
        }
        std::fs::write(folder.path().join("vader/tweets.tsv"), text).unwrap();
        let part = vader_file(folder.path(), "tweets", 0).unwrap();
        assert_eq!(part.rows.len(), 120);
        assert_eq!(part.rows[0].text, "good \"one\" 0");
        assert!(part.rows.chunks(2).all(|pair| pair[0].held_out == pair[1].held_out));
        let kept = part.rows.iter().filter(|row| row.held_out).count();
        assert!((2..60).contains(&kept), "{kept}");
    }

    #[test]
    fn a_missing_file_names_the_option_that_should_point_to_it() {
        let error = davidson(Path::new("no/such/folder"), 0).unwrap_err();
        assert!(error.to_string().contains("--data"), "{error}");
    }
}
