//! Rebuilds SentencePiece BPE tokenizers (`tokenizer.ggml.model` = `llama`) from GGUF metadata.
//!
//! SentencePiece stores no merges, but a score for each piece: of all neighbours whose concatenation is a piece it joins
//! those with the highest score. As merges that is every split of a piece into two pieces, in the order of the joined
//! piece's score, which is how transformers converts such models too.

use std::cmp::Ordering;
use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rayon::prelude::*;
use tokenizers::NormalizerWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as Normalizers;

use super::{Kind, Pieces, Rebuilt};
use crate::model::gguf::Metadata;

/// What SentencePiece writes for a space.
const SPACE: &str = "▁";

pub(super) fn rebuild(metadata: &Metadata, pieces: &Pieces<'_>) -> Result<Rebuilt> {
    let file = metadata.file();
    let scores = metadata.reals("tokenizer.ggml.scores")?;
    ensure!(
        scores.len() == pieces.texts.len(),
        "{file}: {} tokens have {} scores; the file is damaged",
        pieces.texts.len(),
        scores.len()
    );
    if let Some(id) = scores.iter().position(|score| score.is_nan()) {
        bail!("{file}: the score of token {id} is not a number; the file is damaged");
    }
    let unknown = match metadata.get("tokenizer.ggml.unknown_token_id") {
        Some(_) => Some(metadata.number("tokenizer.ggml.unknown_token_id")?),
        None => pieces.kinds.iter().position(|kind| *kind == Kind::Unknown),
    };
    let mut bpe = BPE::builder()
        .vocab_and_merges(pieces.vocabulary(), merges(pieces, &scores))
        .byte_fallback(true)
        .fuse_unk(true);
    if let Some(unknown) = unknown {
        bpe = bpe.unk_token(pieces.text(unknown).with_context(|| file.to_owned())?.to_owned());
    }
    let bpe = bpe.build().map_err(|error| anyhow!("{file}: its tokenizer cannot be rebuilt: {error}"))?;
    let replace = |from: &str, to: &str| {
        Replace::new(from, to).map_err(|error| anyhow!("{file}: its tokenizer cannot be rebuilt: {error}"))
    };
    // A space before the text, so that a word has the same pieces wherever it stands; Gemma does without.
    let prefixed = metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let spaces: NormalizerWrapper = replace(" ", SPACE)?.into();
    let normalizer = if prefixed {
        Normalizers::new(vec![NormalizerWrapper::Prepend(Prepend::new(SPACE.into())), spaces]).into()
    } else {
        spaces
    };
    let mut rebuilt = Rebuilt::new(bpe, Some(normalizer))?;
    let mut decoders = vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefixed {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    rebuilt.inner.with_decoder(Some(Decoders::new(decoders)));
    rebuilt.begins = true;
    Ok(rebuilt)
}

/// Merges in the order in which they apply: by the score of the joined piece, then the longer left and right part, then
/// the ids, as transformers sorts them.
fn merges(pieces: &Pieces<'_>, scores: &[f64]) -> Vec<(String, String)> {
    let joins = |kind: Kind| matches!(kind, Kind::Normal | Kind::UserDefined);
    let ids: HashMap<&str, usize> =
        pieces.iter().enumerate().filter(|(_, (_, kind))| joins(*kind)).map(|(id, (text, _))| (text, id)).collect();
    struct Merge<'a> {
        score: f64,
        lengths: (usize, usize),
        parts: (&'a str, &'a str),
    }
    let texts: Vec<(&str, f64)> = pieces
        .iter()
        .zip(scores)
        .filter(|((_, kind), _)| joins(*kind))
        .map(|((text, _), &score)| (text, score))
        .collect();
    let mut merges: Vec<Merge<'_>> = texts
        .par_iter()
        .flat_map_iter(|&(text, score)| {
            let mut own: Vec<(usize, usize, Merge<'_>)> = text
                .char_indices()
                .skip(1)
                .enumerate()
                .filter_map(|(before, (at, _))| {
                    let parts = text.split_at(at);
                    let (left, right) = (*ids.get(parts.0)?, *ids.get(parts.1)?);
                    let lengths = (before + 1, parts.1.chars().count());
                    Some((left, right, Merge { score, lengths, parts }))
                })
                .collect();
            own.sort_by_key(|(left, right, _)| (*left, *right));
            own.into_iter().map(|(_, _, merge)| merge)
        })
        .collect();
    merges.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then(b.lengths.cmp(&a.lengths)));
    merges.into_iter().map(|merge| (merge.parts.0.to_owned(), merge.parts.1.to_owned())).collect()
}
