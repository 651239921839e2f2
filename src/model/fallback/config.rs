//! Brings a config.json into the form that candle-transformers' rigid structs read, and refuses what they would ignore.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::family::Family;

/// What a model is built from.
#[derive(Debug)]
pub struct Read {
    /// config.json with every default written out and the rotary parameters at the top.
    pub json: Value,
    pub vocab: usize,
    pub context_length: usize,
    /// The output matrix is the embedding.
    pub tied: bool,
    pub kv_bytes_per_token: usize,
}

/// Sizes that stock models divide by or index with, in any family's words.
const COUNTS: [&str; 10] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "n_embd",
    "n_head",
    "decoder_sparse_step",
];

pub fn read(config: &Value, family: &Family, file: &str) -> Result<Read> {
    let mut json = config.as_object().with_context(|| format!("{file}: is not an object"))?.clone();
    flatten_rope(&mut json, file)?;
    // LFM2's older word.
    if let Some(tied) = json.remove("tie_embedding") {
        json.insert("tie_word_embeddings".into(), tied);
    }
    for (key, value) in family.defaults {
        let absent = json.get(*key).is_none_or(Value::is_null);
        if absent {
            json.insert((*key).to_owned(), literal(value));
        }
    }
    for (key, value) in family.requires {
        let (found, wanted) = (json.get(*key).unwrap_or(&Value::Null), literal(value));
        ensure!(
            *found == wanted,
            "{file}: \"{key}\" is {found}, which this version cannot run for {}; it runs models with {wanted}",
            family.model_type
        );
    }
    for (key, value) in family.sets {
        json.insert((*key).to_owned(), literal(value));
    }
    for key in COUNTS {
        if let Some(count) = json.get(key).filter(|value| !value.is_null()) {
            ensure!(
                count.as_u64().is_some_and(|count| count > 0),
                "{file}: \"{key}\" is {count}, not a positive whole number; the file is damaged"
            );
        }
    }
    let number = |key: &str| json.get(key).and_then(Value::as_u64).map(|number| number as usize);
    if let (Some(heads), Some(kv_heads)) = (number("num_attention_heads"), number("num_key_value_heads")) {
        ensure!(heads.is_multiple_of(kv_heads), "{file}: {heads} heads cannot share {kv_heads} key/value heads");
    }
    let vocab = number("vocab_size").with_context(|| format!("{file}: \"vocab_size\" is missing"))?;
    let positions = number("max_position_embeddings")
        .or_else(|| number("n_positions"))
        .with_context(|| format!("{file}: \"max_position_embeddings\" is missing"))?;
    // Stock models keep one key too many in a window, and all of them when decoding: within it they are right.
    let is_windowed = json.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(true);
    let window = number("sliding_window").filter(|_| is_windowed).unwrap_or(positions);
    let context_length = window.min(positions);
    ensure!(context_length > 0, "{file}: the model's context length is 0; the file is damaged");
    if json.contains_key("sliding_window") {
        json.insert("sliding_window".into(), context_length.into());
    }
    let kv_bytes_per_token = kv_width(&json).context("layers or heads are missing").with_context(|| file.to_owned())?;
    let tied = json.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false);
    Ok(Read { json: json.into(), vocab, context_length, tied, kv_bytes_per_token })
}

/// Keys and values of all layers, in f32.
fn kv_width(json: &Map<String, Value>) -> Option<usize> {
    let number = |keys: [&str; 2]| keys.iter().find_map(|key| json.get(*key)?.as_u64()).map(|number| number as usize);
    let heads = number(["num_attention_heads", "n_head"])?;
    let kv_heads = number(["num_key_value_heads", "num_kv_heads"]).unwrap_or(heads);
    let head_dim = number(["head_dim", "head_dim"]).or(Some(number(["hidden_size", "n_embd"])? / heads))?;
    Some(2 * number(["num_hidden_layers", "n_layer"])? * kv_heads * head_dim * size_of::<f32>())
}

/// Rotary parameters stand in `rope_parameters` since transformers 5. No stock model scales them rightly.
fn flatten_rope(json: &mut Map<String, Value>, file: &str) -> Result<()> {
    for key in ["rope_parameters", "rope_scaling"] {
        let Some(Value::Object(rope)) = json.remove(key) else { continue };
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
        if kind != "default" {
            bail!("{file}: rope scaling \"{kind}\" is not supported for this architecture; choose a model without it");
        }
        for inner in ["rope_theta", "partial_rotary_factor"] {
            if let Some(value) = rope.get(inner)
                && !json.contains_key(inner)
            {
                json.insert(inner.into(), value.clone());
            }
        }
    }
    Ok(())
}

fn literal(json: &str) -> Value {
    serde_json::from_str(json).expect("the table of families holds JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::family::FAMILIES;
    use super::*;

    fn family(model_type: &str) -> &'static Family {
        FAMILIES.iter().find(|family| family.model_type == model_type).unwrap()
    }

    fn starcoder2() -> Value {
        json!({"model_type": "starcoder2", "vocab_size": 288, "num_attention_heads": 4, "num_key_value_heads": 2,
               "num_hidden_layers": 2, "hidden_size": 32,
               "max_position_embeddings": 256, "rope_theta": 10000.0, "sliding_window": 64})
    }

    #[test]
    fn a_window_ends_the_context() {
        let read = read(&starcoder2(), family("starcoder2"), "config.json").unwrap();
        assert_eq!((read.context_length, read.tied), (64, true));
        let mut off = starcoder2();
        off["use_sliding_window"] = false.into();
        assert_eq!(super::read(&off, family("starcoder2"), "config.json").unwrap().context_length, 256);
    }

    #[test]
    fn what_a_stock_model_would_ignore_is_refused_by_name() {
        let refused = |key: &str, value: Value| {
            let mut config = starcoder2();
            config[key] = value;
            read(&config, family("starcoder2"), "config.json").unwrap_err().to_string()
        };
        let error = refused("tie_word_embeddings", false.into());
        assert!(error.starts_with("config.json: \"tie_word_embeddings\" is false"), "{error}");
        let error = refused("rope_scaling", json!({"type": "linear", "factor": 2.0}));
        assert!(error.contains("rope scaling \"linear\""), "{error}");
        let error = refused("num_key_value_heads", 0.into());
        assert!(error.contains("not a positive whole number"), "{error}");
        let error = refused("num_key_value_heads", 3.into());
        assert!(error.contains("4 heads cannot share 3"), "{error}");
    }

    #[test]
    fn every_default_of_the_table_is_json() {
        for family in FAMILIES {
            for (_, value) in family.defaults.iter().chain(family.requires).chain(family.sets) {
                literal(value);
            }
        }
    }
}
