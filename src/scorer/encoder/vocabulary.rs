//! Builds the tokenizers of checkpoints that are older than tokenizer.json, from vocab.txt (WordPiece, as BERT's) or from
//! vocab.json and merges.txt (byte-level BPE, as RoBERTa's), by the rules of transformers' own classes.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer};

/// WordPiece from vocab.txt; `config` is tokenizer_config.json, or null.
pub fn word_piece(vocab: &Path, config: &Value) -> Result<Tokenizer> {
    let model = WordPiece::from_file(&vocab.to_string_lossy())
        .unk_token("[UNK]".into())
        .build()
        .map_err(|error| anyhow!("{}: cannot be read as a vocabulary: {error}", vocab.display()))?;
    let mut tokenizer = Tokenizer::new(model);
    let flag = |name: &str, default: bool| config[name].as_bool().unwrap_or(default);
    let normalizer = BertNormalizer::new(
        true,
        flag("tokenize_chinese_chars", true),
        config["strip_accents"].as_bool(),
        flag("do_lower_case", true),
    );
    tokenizer.with_normalizer(Some(normalizer)).map_err(|error| anyhow!("{}: {error}", vocab.display()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    add_special(&mut tokenizer, &special, vocab)?;
    let (sep, cls) = (id(&tokenizer, "[SEP]", vocab)?, id(&tokenizer, "[CLS]", vocab)?);
    tokenizer.with_post_processor(Some(BertProcessing::new(("[SEP]".into(), sep), ("[CLS]".into(), cls))));
    Ok(tokenizer)
}

/// Byte-level BPE from vocab.json and merges.txt.
pub fn byte_level(vocab: &Path, merges: &Path, config: &Value) -> Result<Tokenizer> {
    let model = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy()).build().map_err(|error| {
        anyhow!("{} and {}: cannot be read as a tokenizer: {error}", vocab.display(), merges.display())
    })?;
    let mut tokenizer = Tokenizer::new(model);
    let prefix = config["add_prefix_space"].as_bool().unwrap_or(false);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(prefix, true, true)));
    add_special(&mut tokenizer, &["<s>", "<pad>", "</s>", "<unk>"], vocab)?;
    // A mask takes the space before it along.
    if tokenizer.token_to_id("<mask>").is_some() {
        let mask = AddedToken::from("<mask>", true).lstrip(true).normalized(false);
        tokenizer.add_special_tokens([mask]).map_err(|error| anyhow!("{}: {error}", vocab.display()))?;
    }
    let ends = (id(&tokenizer, "</s>", vocab)?, id(&tokenizer, "<s>", vocab)?);
    let processing = RobertaProcessing::new(("</s>".into(), ends.0), ("<s>".into(), ends.1));
    tokenizer.with_post_processor(Some(processing.trim_offsets(true).add_prefix_space(prefix)));
    Ok(tokenizer)
}

fn add_special(tokenizer: &mut Tokenizer, names: &[&str], vocab: &Path) -> Result<()> {
    let known = names.iter().filter(|name| tokenizer.token_to_id(name).is_some());
    let tokens: Vec<AddedToken> = known.map(|name| AddedToken::from(*name, true).normalized(false)).collect();
    tokenizer.add_special_tokens(tokens).map_err(|error| anyhow!("{}: {error}", vocab.display()))?;
    Ok(())
}

fn id(tokenizer: &Tokenizer, token: &str, vocab: &Path) -> Result<u32> {
    match tokenizer.token_to_id(token) {
        Some(id) => Ok(id),
        None => bail!("{}: the vocabulary has no {token:?}, which stands around every text", vocab.display()),
    }
}
