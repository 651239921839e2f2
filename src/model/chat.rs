//! Renders chats with a model's own template, as transformers does.
//!
//! Templates are Jinja written for Python: blocks are trimmed, Python's string methods exist, `tojson` does not escape
//! HTML. A template that prints a date gets a fixed one, so that prompts do not change daily.

use anyhow::{Context, Result, anyhow};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::Value as Json;

use crate::model::Message;

/// The date that templates see; recorded in the manifest.
pub const TEMPLATE_DATE: &str = "2025-01-01";

pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    begin: String,
    end: String,
}

impl ChatTemplate {
    /// `begin` and `end` are the texts of the beginning and ending tokens, empty where the model has none.
    pub fn new(source: &str, begin: &str, end: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_recursion_limit(100);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| strftime(&format));
        environment.add_filter("tojson", to_json);
        // `{% generation %}` marks the assistant's words for training; it prints nothing of its own.
        let rewritten = source
            .replace("{% generation %}", "{% if true %}")
            .replace("{%- generation %}", "{%- if true %}")
            .replace("{%- generation -%}", "{%- if true -%}")
            .replace("{% generation -%}", "{% if true -%}")
            .replace("endgeneration", "endif");
        environment.add_template_owned("chat", rewritten).context("the model's chat template cannot be read")?;
        Ok(Self { environment, source: source.to_owned(), begin: begin.to_owned(), end: end.to_owned() })
    }

    /// The template in tokenizer_config.json: a text, or the one named `default` of a list.
    pub fn source_in(config: &Json) -> Option<String> {
        match config.get("chat_template")? {
            Json::String(source) => Some(source.clone()),
            Json::Array(list) => list
                .iter()
                .find(|entry| entry.get("name").and_then(Json::as_str) == Some("default"))
                .and_then(|entry| entry.get("template"))
                .and_then(Json::as_str)
                .map(str::to_owned),
            _ => None,
        }
    }

    /// The prompt that asks for the assistant's next turn.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let messages: Vec<Json> =
            messages.iter().map(|m| serde_json::json!({"role": m.role, "content": m.content})).collect();
        let template = self.environment.get_template("chat")?;
        template
            .render(minijinja::context! {
                messages => Value::from(minijinja::value::Serde(&messages)),
                add_generation_prompt,
                bos_token => self.begin.as_str(),
                eos_token => self.end.as_str(),
            })
            .map_err(|error| anyhow!("the model's chat template refuses these messages: {error}"))
    }

    /// The tokens that end a turn in the template's own text.
    pub fn turn_ends(&self) -> impl Iterator<Item = &'static str> + '_ {
        const ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"];
        ENDS.into_iter().filter(|end| self.source.contains(end))
    }
}

/// Python's `strftime` for the parts that templates print, at [`TEMPLATE_DATE`].
fn strftime(format: &str) -> String {
    format
        .replace("%Y", "2025")
        .replace("%m", "01")
        .replace("%d", "01")
        .replace("%B", "January")
        .replace("%b", "Jan")
        .replace("%A", "Wednesday")
        .replace("%a", "Wed")
        .replace("%H", "00")
        .replace("%M", "00")
        .replace("%S", "00")
}

/// Python's `json.dumps`: `", "` and `": "` as separators, nothing escaped for HTML, `indent=` honoured.
fn to_json(value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let _: Option<bool> = kwargs.get("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let json: Json = serde_json::to_value(&value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not JSON: {error}")))?;
    let mut text = String::new();
    write_json(&json, indent, 0, &mut text);
    Ok(Value::from_safe_string(text))
}

fn write_json(json: &Json, indent: Option<usize>, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    let between = if indent.is_some() { "," } else { ", " };
    match json {
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { between } else { "" });
                line(out, depth + 1);
                write_json(item, indent, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        Json::Object(entries) if !entries.is_empty() => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { between } else { "" });
                line(out, depth + 1);
                out.push_str(&Json::String(key.clone()).to_string());
                out.push_str(": ");
                write_json(value, indent, depth + 1, out);
            }
            line(out, depth);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, content: &str) -> Message {
        Message { role: role.into(), content: content.into() }
    }

    #[test]
    fn python_methods_exceptions_and_generation_blocks_work() {
        let source = "{% for m in messages %}{%- if m['role'].startswith('s') %}{{ raise_exception('no system') }}{% endif %}\
                      {% generation %}{{ m.content.strip() }}{% endgeneration %}{% endfor %}";
        let template = ChatTemplate::new(source, "", "").unwrap();
        assert_eq!(template.render(&[message("user", " hi ")], false).unwrap(), "hi");
        let error = template.render(&[message("system", "x")], false).unwrap_err().to_string();
        assert!(error.contains("no system"), "{error}");
    }

    #[test]
    fn a_template_that_prints_a_date_prints_the_fixed_one() {
        let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", "", "").unwrap();
        assert_eq!(template.render(&[], false).unwrap(), "01 Jan 2025");
    }

    #[test]
    fn tojson_writes_as_python_does() {
        let template = ChatTemplate::new("{{ messages | tojson }}", "", "").unwrap();
        let text = template.render(&[message("user", "a<b> 'c'")], false).unwrap();
        assert_eq!(text, r#"[{"role": "user", "content": "a<b> 'c'"}]"#);
    }
}
