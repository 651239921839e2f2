//! Renders chats with a model's own template, as transformers does.
//!
//! Templates are Jinja written for Python: blocks are trimmed, Python's methods of strings exist (`python`), `tojson` does
//! not escape HTML. A template that prints a date gets a fixed one (`date`). Templates come with models and are not
//! trusted: they can loop and recurse only so far.

mod date;
mod python;
mod rewrite;

use anyhow::{Context, Result, anyhow};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value as Json, json};

pub use date::TemplateDate;

use crate::model::Message;

/// Steps that a template may take; published ones need about a hundred a message, and this many take half a second.
const FUEL: u64 = 10_000_000;

pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    /// Variables that every rendering gets.
    tokens: SpecialTokens,
}

/// The texts of a model's special tokens by name (`bos_token`, …), as templates may use them: a text, or a list of texts
/// (`additional_special_tokens`). A token that the model lacks has no name.
#[derive(Debug, Clone, Default)]
pub struct SpecialTokens(Map<String, Json>);

impl SpecialTokens {
    /// The token of a name such as `bos_token`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// From tokenizer_config.json, or special_tokens_map.json for what it lacks; a token is a text or an object with
    /// its `content`.
    pub fn from_json(files: &[&Json]) -> Self {
        let text = |value: &Json| match value {
            Json::String(_) => Some(value.clone()),
            object => object.get("content").filter(|content| content.is_string()).cloned(),
        };
        let mut tokens = Map::new();
        for (name, value) in files.iter().filter_map(|file| file.as_object()).flatten() {
            let token = match value {
                Json::Array(list) if name == "additional_special_tokens" => {
                    Some(list.iter().filter_map(text).collect::<Json>())
                }
                // Tokens of one model's own, by name.
                Json::Object(own) if name == "extra_special_tokens" => {
                    for (name, value) in own {
                        text(value).map(|token| tokens.entry(name.clone()).or_insert(token));
                    }
                    None
                }
                value if name.ends_with("_token") => text(value),
                _ => None,
            };
            token.map(|token| tokens.entry(name.clone()).or_insert(token));
        }
        Self(tokens)
    }

    /// Adds the text of a token, or nothing where there is none.
    pub fn with(mut self, name: &str, text: Option<String>) -> Self {
        self.0.extend(text.map(|text| (name.to_owned(), Json::String(text))));
        self
    }
}

impl ChatTemplate {
    /// Errs where the template cannot be parsed.
    pub fn new(source: &str, tokens: SpecialTokens, date: TemplateDate) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(python::method);
        environment.set_recursion_limit(100);
        environment.set_fuel(Some(FUEL));
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", move |format: String| {
            date.strftime(&format).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        environment.add_filter("tojson", python::to_json);
        environment
            .add_template_owned("chat", rewrite::rewrite(source))
            .context("the model's chat template cannot be read; ask it with plain prompts")?;
        Ok(Self { environment, source: source.to_owned(), tokens })
    }

    /// The template in tokenizer_config.json: a text, or the one named `default` of a list. Errs where a list has none.
    pub fn source_in(config: &Json) -> Result<Option<String>> {
        let name = |entry: &Json| entry.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        match config.get("chat_template") {
            Some(Json::String(source)) => Ok(Some(source.clone())),
            Some(Json::Array(list)) if !list.is_empty() => {
                let default = list.iter().find(|entry| name(entry) == "default");
                let source = default.and_then(|entry| entry.get("template")).and_then(Json::as_str);
                let names = || list.iter().map(name).collect::<Vec<_>>().join(", ");
                let source = source.with_context(|| {
                    format!("none of the chat templates is named \"default\" ({}); name one so", names())
                })?;
                Ok(Some(source.to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// The prompt that asks for the assistant's next turn.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let turns: Vec<Json> = messages.iter().map(|m| json!({"role": m.role, "content": m.content})).collect();
        // As in transformers: what is not given is none, special tokens have their names.
        let mut variables = self.tokens.0.clone();
        variables.insert("messages".into(), turns.into());
        variables.insert("add_generation_prompt".into(), add_generation_prompt.into());
        variables.insert("tools".into(), Json::Null);
        variables.insert("documents".into(), Json::Null);
        let template = self.environment.get_template("chat")?;
        template.render(Value::from(minijinja::value::Serde(&variables))).map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
                _ => error.detail().map_or_else(|| error.to_string(), str::to_owned),
            };
            let hint = match messages.first() {
                Some(first) if first.role == "system" => {
                    " (if it takes no system message, put that text into the first user message)"
                }
                _ => "",
            };
            anyhow!("the model's chat template refuses these messages: {reason}{hint}")
        })
    }

    /// The tokens that end a turn in the template's own text.
    pub fn turn_ends(&self) -> impl Iterator<Item = &'static str> + '_ {
        const ENDS: [&str; 6] =
            ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|eot|>", "<|END_OF_TURN_TOKEN|>"];
        ENDS.into_iter().filter(|end| self.source.contains(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, content: &str) -> Message {
        Message { role: role.into(), content: content.into() }
    }

    fn rendered(source: &str, messages: &[Message]) -> Result<String> {
        let config = json!({
            "bos_token": "<s>",
            "eos_token": {"content": "</s>", "lstrip": false},
            "pad_token": null,
            "additional_special_tokens": ["<a>", {"content": "<b>"}],
        });
        let map = json!({"bos_token": "<other>", "unk_token": "<unk>"});
        let tokens = SpecialTokens::from_json(&[&config, &map]);
        ChatTemplate::new(source, tokens, TemplateDate::default())?.render(messages, false)
    }

    #[test]
    fn python_methods_and_generation_blocks_work() {
        let source = "{% for m in messages %}{%- if m['role'].startswith('s') %}x{{ m.content.removeprefix('h') }}{% endif %}\
                      {% generation %}{{ m.content.strip() }}{% endgeneration %}{% endfor %}\
                      {{ 'a<b>c'.partition('<b>')[2] }}{{ 'x.y.z'.rsplit('.', 1)[0] }}{{ '%s=%d' % ('n', 3) }}";
        assert_eq!(rendered(source, &[message("user", " hi "), message("system", "he")]).unwrap(), "hixehecx.yn=3");
    }

    #[test]
    fn a_refusal_has_the_templates_own_words() {
        let source =
            "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
        let error = rendered(source, &[message("system", "x")]).unwrap_err().to_string();
        assert!(error.contains("messages: System role not supported (if it takes no system"), "{error}");
        let error = rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", &[]);
        assert!(error.unwrap_err().to_string().contains("too many steps"));
        assert!(rendered("{% if %}", &[]).unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn special_tokens_have_their_names_and_what_is_missing_is_not_defined() {
        let source = "{{ bos_token + eos_token + unk_token }}{{ additional_special_tokens | join }}\
                      {{ pad_token is defined }}{{ tools is none }}";
        assert_eq!(rendered(source, &[]).unwrap(), "<s></s><unk><a><b>FalseTrue");
    }

    #[test]
    fn a_template_that_prints_a_date_prints_the_fixed_one() {
        assert_eq!(rendered("{{ strftime_now('%d %b %Y') }}", &[]).unwrap(), "01 Jan 2025");
    }

    #[test]
    fn tojson_writes_as_python_does() {
        let text = rendered("{{ messages | tojson }}", &[message("user", "a<b> 'c' é")]).unwrap();
        assert_eq!(text, r#"[{"role": "user", "content": "a<b> 'c' é"}]"#);
        let text = rendered("{{ {'é': [1]} | tojson(ensure_ascii=true, indent=2) }}", &[]).unwrap();
        assert_eq!(text, "{\n  \"\\u00e9\": [\n    1\n  ]\n}");
    }

    #[test]
    fn the_template_of_a_list_is_the_default_one() {
        let list = |name: &str| json!({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": name, "template": "d"}]});
        assert_eq!(ChatTemplate::source_in(&list("default")).unwrap().as_deref(), Some("d"));
        assert!(ChatTemplate::source_in(&list("rag")).unwrap_err().to_string().contains("tool_use, rag"));
        assert_eq!(ChatTemplate::source_in(&json!({"chat_template": null})).unwrap(), None);
    }
}
