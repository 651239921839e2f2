//! Turns text into token ids and back: tokenizer.json, or what a GGUF file says of its tokenizer.
//!
//! GGUF stores the pieces and names the rules in a word or two. They are rebuilt exactly (`gguf_bpe`, `gguf_spm`) or
//! refused: a guess gives ids that look right and are not.

mod gguf_bpe;
mod gguf_spm;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokenizers::{AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper};

use crate::model::gguf::Metadata;

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Put before a text by `encode` with special tokens; tokenizer.json has its own post-processor for that.
    begin: Option<u32>,
    /// Put behind a text likewise.
    end: Option<u32>,
}

impl Tokenizer {
    /// Reads tokenizer.json; its padding and truncation are switched off.
    pub fn from_file(path: &Path) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_file(path)
            .map_err(|error| anyhow!("{}: cannot be read as a tokenizer: {error}", path.display()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(Self { inner, begin: None, end: None })
    }

    /// Rebuilds the tokenizer that GGUF metadata describe and checks it id by id.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let file = metadata.file();
        let pieces = Pieces::read(metadata)?;
        let Rebuilt { mut inner, begins, ends } = match metadata.string("tokenizer.ggml.model")? {
            "gpt2" => gguf_bpe::rebuild(metadata, &pieces)?,
            "llama" => gguf_spm::rebuild(metadata, &pieces)?,
            other => bail!(
                "{file}: its tokenizer is of the kind \"{other}\"; this version rebuilds \"gpt2\" (byte-level BPE) and \
                 \"llama\" (SentencePiece BPE) from GGUF: {GIVE_ONE}"
            ),
        };
        pieces.add_to(&mut inner, metadata)?;
        let tokenizer = Self { inner, begin: None, end: None };
        tokenizer.check_against(&pieces, file, "the tokenizer rebuilt from it")?;
        let added = |flag: &str, id: &str, default: bool| -> Result<Option<u32>> {
            match metadata.flag(flag).unwrap_or(default) {
                true => Ok(Some(metadata.number(id)? as u32)),
                false => Ok(None),
            }
        };
        Ok(Self {
            begin: added("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", begins)?,
            end: added("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", ends)?,
            ..tokenizer
        })
    }

    /// Reads a tokenizer.json that stands in for a GGUF file's own tokenizer; errs where it gives another token to an id.
    pub fn from_file_for(path: &Path, metadata: &Metadata) -> Result<Self> {
        let tokenizer = Self::from_file(path)?;
        tokenizer.check_against(&Pieces::read(metadata)?, metadata.file(), &path.display().to_string())?;
        Ok(tokenizer)
    }

    /// Errs at the first id whose token differs from GGUF's.
    fn check_against(&self, pieces: &Pieces<'_>, file: &str, own: &str) -> Result<()> {
        for (id, (text, kind)) in pieces.iter().enumerate() {
            // Rows of the matrix that stand for no token have made-up names.
            if kind == Kind::Unused {
                continue;
            }
            let found = self.inner.id_to_token(id as u32);
            // llama.cpp's converter writes spaces for the `▁` of user-defined tokens.
            if found.as_deref() != Some(text) && found.as_ref().is_none_or(|found| found.replace('▁', " ") != text) {
                let found = found.map_or("no token".into(), |found| format!("{found:?}"));
                bail!("{file}: token {id} is {text:?}, but {own} has {found} there; they do not belong together");
            }
        }
        Ok(())
    }

    /// Token ids of `text`. Special tokens that stand in the text count as such; with `add_special` those that the
    /// tokenizer puts around every text are added.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let encoding =
            self.inner.encode_fast(text, add_special).map_err(|error| anyhow!("cannot be tokenized: {error}"))?;
        let (begin, end) = (self.begin.filter(|_| add_special), self.end.filter(|_| add_special));
        Ok(begin.into_iter().chain(encoding.get_ids().iter().copied()).chain(end).collect())
    }

    /// Text of the ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| anyhow!("tokens cannot be turned into text: {error}"))
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, added ones included.
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// For people: the kind of model, and whether a byte or a character is the smallest piece.
    pub fn kind(&self) -> &'static str {
        match self.inner.get_model() {
            ModelWrapper::BPE(bpe) if bpe.byte_fallback => "SentencePiece BPE",
            ModelWrapper::BPE(_) if matches!(self.inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) => {
                "byte-level BPE"
            }
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::Unigram(_) => "unigram",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "word level",
        }
    }
}

/// The way out of every refusal.
const GIVE_ONE: &str = "give the model's own tokenizer.json with --tokenizer FILE";

/// What a rebuild gives.
struct Rebuilt {
    inner: tokenizers::Tokenizer,
    /// Whether a beginning token is added where the file does not say.
    begins: bool,
    /// Likewise an ending token.
    ends: bool,
}

impl Rebuilt {
    fn new(model: impl Into<ModelWrapper>, normalizer: Option<NormalizerWrapper>) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(normalizer).map_err(|error| anyhow!("its normalizer cannot be rebuilt: {error}"))?;
        Ok(Self { inner, begins: false, ends: false })
    }
}

/// Values of `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Unknown,
    /// Special: matched in the text before anything else, left out of decoded text.
    Control,
    /// Matched likewise, but part of the text.
    UserDefined,
    /// A row of the matrix that stands for no token.
    Unused,
    /// `<0x0A>`: a byte of a character that is no piece.
    Byte,
}

/// The token list of a GGUF file.
struct Pieces<'a> {
    texts: Vec<&'a str>,
    kinds: Vec<Kind>,
}

impl<'a> Pieces<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self> {
        let texts = metadata.strings("tokenizer.ggml.tokens")?;
        let kind = |code: i64| match code {
            2 => Kind::Unknown,
            3 => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            6 => Kind::Byte,
            _ => Kind::Normal,
        };
        let kinds: Vec<Kind> = match metadata.get("tokenizer.ggml.token_type") {
            Some(_) => metadata.integers("tokenizer.ggml.token_type")?.into_iter().map(kind).collect(),
            None => vec![Kind::Normal; texts.len()],
        };
        if kinds.len() != texts.len() {
            bail!("{}: {} tokens have {} types; the file is damaged", metadata.file(), texts.len(), kinds.len());
        }
        Ok(Self { texts, kinds })
    }

    /// (text, kind) in the order of the ids.
    fn iter(&self) -> impl Iterator<Item = (&'a str, Kind)> + '_ {
        self.texts.iter().copied().zip(self.kinds.iter().copied())
    }

    /// Every token with its id, those that stand for none left out.
    fn vocabulary(&self) -> tokenizers::models::bpe::Vocab {
        let used = self.iter().enumerate().filter(|(_, (_, kind))| *kind != Kind::Unused);
        used.map(|(id, (text, _))| (text.to_owned(), id as u32)).collect()
    }

    /// Adds what is matched in the text before anything else.
    fn add_to(&self, inner: &mut tokenizers::Tokenizer, metadata: &Metadata) -> Result<()> {
        // Phi-3's special tokens swallow the white space behind them, all but three; GGUF has no word for that, and
        // llama.cpp goes by the model's name.
        let is_phi3 = metadata.string("general.architecture").is_ok_and(|name| name == "phi3")
            && metadata.string("tokenizer.ggml.model").is_ok_and(|model| model == "llama");
        let added = |text: &str, special: bool| {
            let strips = is_phi3 && special && !["<unk>", "<s>", "<|endoftext|>"].contains(&text);
            AddedToken::from(text.to_owned(), special).normalized(false).rstrip(strips)
        };
        let of = |wanted: &'static [Kind], special: bool| {
            self.iter().filter(move |(_, kind)| wanted.contains(kind)).map(move |(text, _)| added(text, special))
        };
        inner
            .add_special_tokens(of(&[Kind::Control, Kind::Unknown], true))
            .and_then(|_| inner.add_tokens(of(&[Kind::UserDefined], false)))
            .map_err(|error| anyhow!("{}: its special tokens cannot be added: {error}", metadata.file()))?;
        Ok(())
    }

    fn text(&self, id: usize) -> Result<&'a str> {
        self.texts.get(id).copied().with_context(|| format!("token {id} is not in the list of {}", self.texts.len()))
    }
}
