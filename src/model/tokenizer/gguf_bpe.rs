//! Rebuilds byte-level BPE tokenizers (`tokenizer.ggml.model` = `gpt2`) from GGUF metadata.
//!
//! GGUF names the rule that cuts a text into words in `tokenizer.ggml.pre`, one word for each that llama.cpp knows. The
//! table has those whose rule in the published tokenizer.json is known exactly.

use anyhow::{Context, Result, anyhow};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{NormalizerWrapper, SplitDelimiterBehavior};

use super::{GIVE_ONE, Pieces, Rebuilt};
use crate::model::gguf::Metadata;

pub(super) fn rebuild(metadata: &Metadata, pieces: &Pieces<'_>) -> Result<Rebuilt> {
    let file = metadata.file();
    let pre = metadata.string("tokenizer.ggml.pre").unwrap_or("(none)");
    let rule = RULES.iter().find(|rule| rule.names.contains(&pre)).with_context(|| {
        let known: Vec<&str> = RULES.iter().flat_map(|rule| rule.names).copied().collect();
        format!(
            "{file}: its pre-tokenizer \"{pre}\" is not known to this version (known: {}); a guess would give wrong \
             tokens: {GIVE_ONE}",
            known.join(", ")
        )
    })?;
    let merges = metadata
        .strings("tokenizer.ggml.merges")?
        .into_iter()
        .map(|merge| {
            let (left, right) =
                merge.split_once(' ').with_context(|| format!("{file}: {merge:?} is not a merge of two tokens"))?;
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect::<Result<Vec<_>>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(pieces.vocabulary(), merges)
        .ignore_merges(rule.whole_words)
        .build()
        .map_err(|error| anyhow!("{file}: its tokenizer cannot be rebuilt: {error}"))?;
    let mut rebuilt = Rebuilt::new(bpe, rule.nfc.then(|| NormalizerWrapper::NFC(NFC)))?;
    rebuilt.inner.with_pre_tokenizer(Some(rule.words.build()?));
    rebuilt.inner.with_decoder(Some(ByteLevel::default()));
    rebuilt.begins = rule.begins;
    Ok(rebuilt)
}

/// What a word of `tokenizer.ggml.pre` stands for.
struct Rule {
    names: &'static [&'static str],
    words: Words,
    /// Whole words that are tokens are taken as they are, before any merge (`ignore_merges`).
    whole_words: bool,
    /// The published tokenizer.json normalises to NFC; GGUF does not say so, and llama.cpp does not do it.
    nfc: bool,
    /// Whether a beginning token is added where the file does not say.
    begins: bool,
}

impl Rule {
    const fn new(names: &'static [&'static str], words: Words) -> Self {
        Self { names, words, whole_words: false, nfc: false, begins: false }
    }
}

/// How a text is cut into words.
enum Words {
    /// GPT-2's pattern, which `ByteLevel` carries.
    Gpt2,
    /// Digits one by one, then GPT-2's pattern.
    DigitsThenGpt2,
    /// Matches of each pattern in turn are words.
    Patterns(&'static [&'static str]),
}

const RULES: &[Rule] = &[
    Rule::new(&["gpt-2", "phi-2"], Words::Gpt2),
    // The tokenizer of GPT-NeoX.
    Rule { nfc: true, ..Rule::new(&["mpt", "olmo"], Words::Gpt2) },
    Rule::new(&["smollm", "starcoder", "refact", "codeshell"], Words::DigitsThenGpt2),
    Rule {
        whole_words: true,
        begins: true,
        ..Rule::new(&["llama-bpe", "llama3", "llama-v3"], Words::Patterns(&[LLAMA3]))
    },
    // Llama 3's tokenizer without its beginning token: SmolLM3.
    Rule { whole_words: true, ..Rule::new(&["smaug-bpe"], Words::Patterns(&[LLAMA3])) },
    // cl100k: OLMo 2, Phi-4.
    Rule::new(&["dbrx"], Words::Patterns(&[LLAMA3])),
    Rule { nfc: true, ..Rule::new(&["qwen2"], Words::Patterns(&[QWEN2])) },
    Rule::new(&["deepseek-r1-qwen"], Words::Patterns(&[QWEN2])),
    Rule { whole_words: true, begins: true, ..Rule::new(&["tekken"], Words::Patterns(&[TEKKEN])) },
    // o200k: Phi-4-mini.
    Rule::new(&["gpt-4o"], Words::Patterns(&[O200K])),
    Rule::new(&["deepseek-coder"], Words::Patterns(&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK_KOREAN, r"\p{N}"])),
    Rule::new(&["deepseek-v3"], Words::Patterns(&[r"\p{N}{1,3}", r"[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3])),
];

/// Digits in threes, contractions whatever their case.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with digits one by one.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Words begin at capitals.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const CJK_KOREAN: &str = r"[一-龥\u0800-一가-\ud7ff]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

impl Words {
    fn build(&self) -> Result<PreTokenizerWrapper> {
        let steps: Vec<PreTokenizerWrapper> = match self {
            Words::Gpt2 => return Ok(ByteLevel::new(false, true, true).into()),
            Words::DigitsThenGpt2 => vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()],
            Words::Patterns(patterns) => {
                let mut steps = patterns
                    .iter()
                    .map(|pattern| {
                        Split::new(SplitPattern::Regex((*pattern).into()), SplitDelimiterBehavior::Isolated, false)
                            .map(PreTokenizerWrapper::from)
                            .map_err(|error| anyhow!("the pattern {pattern} cannot be compiled: {error}"))
                    })
                    .collect::<Result<Vec<_>>>()?;
                steps.push(ByteLevel::new(false, true, false).into());
                steps
            }
        };
        Ok(Sequence::new(steps).into())
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    fn words(name: &str, text: &str) -> Vec<String> {
        let rule = RULES.iter().find(|rule| rule.names.contains(&name)).unwrap();
        let mut cut = PreTokenizedString::from(text);
        rule.words.build().unwrap().pre_tokenize(&mut cut).unwrap();
        let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(_, (from, to), _)| text[from..to].to_owned()).collect()
    }

    #[test]
    fn every_rule_compiles_and_keeps_the_whole_text() {
        let text = "It's  12345 km, naïve Zürich;\r\n\tA価格は (x)  ";
        for name in RULES.iter().flat_map(|rule| rule.names) {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
    }

    #[test]
    fn digits_and_capitals_are_cut_as_each_family_cuts_them() {
        assert_eq!(words("gpt-2", "a 12345"), ["a", " 12345"]);
        assert_eq!(words("smollm", "a 123"), ["a", " ", "1", "2", "3"]);
        assert_eq!(words("llama-bpe", "a 12345"), ["a", " ", "123", "45"]);
        assert_eq!(words("qwen2", "a 12"), ["a", " ", "1", "2"]);
        assert_eq!(words("tekken", "helloWorld 12"), ["hello", "World", " ", "1", "2"]);
        assert_eq!(words("gpt-4o", "HelloWorld's 1234"), ["Hello", "World's", " ", "123", "4"]);
        assert_eq!(words("deepseek-v3", "a.b 1234"), ["a", ".b", " ", "123", "4"]);
    }
}
