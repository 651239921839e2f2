//! Reads requests: one JSON object a line.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::{GenerateRequest, LikelihoodRequest, Message, Prompt, Sampling};

/// Where a request does not say: enough for a few sentences.
const MAX_NEW_TOKENS: u64 = 64;

/// One line of the file.
pub struct Request {
    /// A text or a number; null where the line has none that could be read.
    pub id: Value,
    /// What is asked, or why it cannot be.
    pub question: Result<Question, String>,
}

pub enum Question {
    Generate(GenerateRequest),
    Likelihood(LikelihoodRequest),
}

/// The requests of a file in their order, blank lines left out.
pub fn parse(bytes: &[u8], ignore_eos: bool) -> Vec<Request> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    // Line on which each id stood first.
    let mut seen: HashMap<String, usize> = HashMap::new();
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
    lines
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| {
            let (id, mut question) = match object(line) {
                Ok(object) => {
                    let id = object.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
                    (id.unwrap_or_default(), question(&object, ignore_eos))
                }
                Err(error) => (Value::Null, Err(error)),
            };
            if !id.is_null()
                && let first = *seen.entry(id.to_string()).or_insert(number)
                && first != number
            {
                question = Err(format!("id {id} stands in line {first} already; give each request its own"));
            }
            Request { id, question: question.map_err(|error| format!("line {number}: {error}")) }
        })
        .collect()
}

fn object(line: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 at byte {}; write the file in UTF-8", error.valid_up_to() + 1))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("not a JSON object; write {\"id\": …, \"prompt\": …}".into()),
        Err(error) => {
            // serde_json counts lines within this one.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message);
            Err(format!("not JSON: {message} at column {}", error.column()))
        }
    }
}

const GENERATE_KEYS: [&str; 8] = ["id", "prompt", "messages", "max_new_tokens", "temperature", "top_p", "seed", "stop"];
const LIKELIHOOD_KEYS: [&str; 3] = ["id", "context", "continuation"];

fn question(object: &Map<String, Value>, ignore_eos: bool) -> Result<Question, String> {
    let id = match object.get("id") {
        Some(id @ (Value::String(_) | Value::Number(_))) => id.to_string(),
        Some(id) => return Err(format!("the id is {id}; give a text or a number")),
        None => return Err("it has no \"id\"; give each request its own".into()),
    };
    let has = |key: &str| object.contains_key(key);
    let is_likelihood = has("context") || has("continuation");
    let keys: &[&str] = if is_likelihood { &LIKELIHOOD_KEYS } else { &GENERATE_KEYS };
    if let Some(key) = object.keys().find(|key| !keys.contains(&key.as_str())) {
        let kind = if is_likelihood { "with a continuation" } else { "for a text" };
        return Err(format!("\"{key}\" is no key of a request {kind}; it may have {}", keys.join(", ")));
    }
    let label = format!("request {id}");
    if is_likelihood {
        let (context, continuation) = (Prompt::Text(text(object, "context")?), text(object, "continuation")?);
        return Ok(Question::Likelihood(LikelihoodRequest { label, context, lead: String::new(), continuation }));
    }
    let prompt = match (has("prompt"), has("messages")) {
        (true, false) => Prompt::Text(text(object, "prompt")?),
        (false, true) => Prompt::Chat(messages(&object["messages"])?),
        (true, true) => return Err("it has both \"prompt\" and \"messages\"; give one of them".into()),
        (false, false) => {
            return Err("it asks nothing; give \"prompt\", \"messages\", or \"context\" and \"continuation\"".into());
        }
    };
    let sampling = Sampling {
        temperature: real(object, "temperature", 0.0)?,
        top_p: real(object, "top_p", 1.0)?,
        max_new_tokens: whole(object, "max_new_tokens", MAX_NEW_TOKENS)?.try_into().unwrap_or(usize::MAX),
        stop: stop(object.get("stop"))?,
        ignore_eos,
    };
    sampling.check().map_err(|error| error.to_string())?;
    // Nothing but the request's own seed decides what is drawn: equal requests get equal answers.
    let seed = Sha256::digest(whole(object, "seed", 0)?.to_le_bytes()).into();
    Ok(Question::Generate(GenerateRequest { label, prompt, sampling, seed }))
}

fn text(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("\"{key}\" is {}, not a text", kind(other))),
        None => Err(format!("\"{key}\" is missing")),
    }
}

fn messages(value: &Value) -> Result<Vec<Message>, String> {
    let Value::Array(list) = value else { return Err(format!("\"messages\" is {}, not a list", kind(value))) };
    if list.is_empty() {
        return Err("\"messages\" is empty; give at least one message".into());
    }
    let message = |(index, value): (usize, &Value)| {
        let read = || {
            let Value::Object(message) = value else { return Err(format!("{}, not an object", kind(value))) };
            if let Some(key) = message.keys().find(|key| *key != "role" && *key != "content") {
                return Err(format!("\"{key}\" is no key of a message; it may have role, content"));
            }
            Ok(Message { role: text(message, "role")?, content: text(message, "content")? })
        };
        read().map_err(|error| format!("message {}: {error}", index + 1))
    };
    list.iter().enumerate().map(message).collect()
}

fn stop(value: Option<&Value>) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|value| value.as_str().map(str::to_owned).ok_or_else(|| format!("\"stop\" holds {}", kind(value))))
            .collect(),
        Some(other) => Err(format!("\"stop\" is {}; give a text or a list of texts", kind(other))),
    }
}

fn real(object: &Map<String, Value>, key: &str, default: f64) -> Result<f64, String> {
    match object.get(key) {
        None => Ok(default),
        Some(value) => value.as_f64().ok_or_else(|| format!("\"{key}\" is {}, not a number", kind(value))),
    }
}

fn whole(object: &Map<String, Value>, key: &str, default: u64) -> Result<u64, String> {
    match object.get(key) {
        None => Ok(default),
        Some(value) => {
            value.as_u64().ok_or_else(|| format!("\"{key}\" is {value}; give a whole number from 0 upwards"))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        parse(text.as_bytes(), false).into_iter().filter_map(|request| request.question.err()).collect()
    }

    #[test]
    fn requests_have_their_defaults_and_equal_seeds_draw_equally() {
        let requests = parse(b"\n{\"id\":1,\"prompt\":\"a\"}\r\n  \n{\"id\":\"1\",\"prompt\":\"a\",\"seed\":0}", false);
        let [Ok(Question::Generate(one)), Ok(Question::Generate(two))] = [&requests[0].question, &requests[1].question]
        else {
            panic!("both ask for a text")
        };
        assert_eq!(one.sampling, two.sampling);
        assert_eq!(one.seed, two.seed);
        assert_eq!((one.sampling.temperature, one.sampling.top_p, one.sampling.max_new_tokens), (0.0, 1.0, 64));
    }

    #[test]
    fn what_cannot_be_asked_is_said_with_its_line() {
        for (line, word) in [
            ("{\"id\":1,\"prompt\":\"a\",\"top_k\":3}", "\"top_k\" is no key"),
            ("{\"id\":1,\"context\":\"a\",\"continuation\":\"b\",\"seed\":3}", "\"seed\" is no key"),
            ("{\"id\":1,\"context\":\"a\"}", "\"continuation\" is missing"),
            ("{\"id\":1}", "asks nothing"),
            ("{\"id\":1,\"prompt\":\"a\",\"messages\":[]}", "both"),
            ("{\"id\":1,\"messages\":[]}", "empty"),
            ("{\"id\":1,\"messages\":[{\"role\":\"user\"}]}", "message 1: \"content\" is missing"),
            ("{\"id\":1,\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "a list, not a text"),
            ("{\"id\":1,\"prompt\":\"a\",\"temperature\":-1}", "temperature is -1"),
            ("{\"id\":1,\"prompt\":\"a\",\"temperature\":NaN}", "not JSON"),
            ("{\"id\":1,\"prompt\":\"a\",\"temperature\":1e999}", "not JSON"),
            ("{\"id\":1,\"prompt\":\"a\",\"top_p\":0}", "top_p is 0"),
            ("{\"id\":1,\"prompt\":\"a\",\"top_p\":1.5}", "top_p is 1.5"),
            ("{\"id\":1,\"prompt\":\"a\",\"max_new_tokens\":0}", "max_new_tokens is 0"),
            ("{\"id\":1,\"prompt\":\"a\",\"max_new_tokens\":2.5}", "whole number"),
            ("{\"id\":1,\"prompt\":\"a\",\"seed\":-1}", "whole number"),
            ("{\"id\":1,\"prompt\":\"a\",\"stop\":[\"\"]}", "stop string is empty"),
            ("{\"id\":1,\"prompt\":\"a\",\"stop\":[1]}", "\"stop\" holds a number"),
            ("{\"id\":1,\"prompt\":\"\\ud800\"}", "not JSON"),
            ("{\"id\":null,\"prompt\":\"a\"}", "the id is null"),
            ("{\"prompt\":\"a\"}", "no \"id\""),
            ("{\"id\":0,\"prompt\":\"a\"}", "id 0 stands in line 1 already"),
            ("[1]", "not a JSON object"),
            ("{\"id\":1", "not JSON"),
        ] {
            let found = errors(&format!("{{\"id\":0,\"prompt\":\"a\"}}\n{line}"));
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].starts_with("line 2: ") && found[0].contains(word), "{line}: {}", found[0]);
        }
        let found = parse(b"{\"id\":1,\"prompt\":\"\xff\"}", false);
        assert!(found[0].question.as_ref().err().unwrap().contains("line 1: not UTF-8 at byte 19"));
    }
}
