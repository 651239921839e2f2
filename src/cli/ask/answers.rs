//! Writes answers in the format asked for.

use serde_json::{Value, json};

use crate::model::{Generation, Likelihood};
use crate::record::table::{self, Table};

pub struct Answer {
    pub id: Value,
    pub reply: Reply,
}

pub enum Reply {
    Generation(Generation),
    Likelihood(Likelihood),
    Error(String),
}

impl Answer {
    pub fn error(&self) -> Option<&str> {
        match &self.reply {
            Reply::Error(error) => Some(error),
            _ => None,
        }
    }

    fn to_json(&self) -> Value {
        let id = &self.id;
        match &self.reply {
            Reply::Generation(answer) => json!({
                "id": id,
                "text": answer.text,
                "token_ids": answer.token_ids,
                "finish": answer.finish.as_str(),
                "prompt_tokens": answer.prompt_tokens,
            }),
            Reply::Likelihood(answer) => {
                let mut value = json!({
                    "id": id,
                    "nats": answer.nats,
                    "tokens": answer.per_token.len(),
                    "per_token": answer.per_token,
                });
                // The border fell inside a token, so the likelihood is not quite that of the continuation's text.
                if answer.boundary_merges {
                    value["boundary_merges"] = true.into();
                }
                value
            }
            Reply::Error(error) => json!({"id": id, "error": error}),
        }
    }

    /// The id as people wrote it.
    fn name(&self) -> String {
        self.id.as_str().map_or_else(|| self.id.to_string(), str::to_owned)
    }
}

pub fn json_lines(answers: &[Answer]) -> Vec<u8> {
    answers.iter().flat_map(|answer| format!("{}\n", answer.to_json()).into_bytes()).collect()
}

pub fn json(answers: &[Answer]) -> Vec<u8> {
    let values: Vec<Value> = answers.iter().map(Answer::to_json).collect();
    format!("{:#}\n", Value::Array(values)).into_bytes()
}

/// One row an answer; lists are separated by spaces, what an answer lacks is empty.
pub fn csv(answers: &[Answer]) -> Vec<u8> {
    let header = ["id", "text", "token_ids", "finish", "prompt_tokens", "nats", "tokens", "per_token", "error"];
    let mut table = Table::new(&header);
    for answer in answers {
        let name = answer.name();
        let mut cells = vec![table::text(&name)];
        cells.resize(header.len(), "".into());
        match &answer.reply {
            Reply::Generation(answer) => {
                let ids: Vec<String> = answer.token_ids.iter().map(u32::to_string).collect();
                cells[1] = table::text(&answer.text);
                cells[2] = ids.join(" ").into();
                cells[3] = answer.finish.as_str().into();
                cells[4] = table::count(Some(answer.prompt_tokens));
            }
            Reply::Likelihood(answer) => {
                let per_token: Vec<_> = answer.per_token.iter().map(|nats| table::number(Some(*nats))).collect();
                cells[5] = table::number(Some(answer.nats));
                cells[6] = table::count(Some(answer.per_token.len()));
                cells[7] = per_token.join(" ").into();
            }
            Reply::Error(error) => cells[8] = table::text(error),
        }
        table.push(cells);
    }
    table.into_bytes()
}

/// For reading: each id with its answer below it.
pub fn text(answers: &[Answer]) -> Vec<u8> {
    let line = |answer: &Answer| {
        let said = match &answer.reply {
            Reply::Generation(answer) => answer.text.clone(),
            Reply::Likelihood(answer) => {
                let tokens = answer.per_token.len();
                format!("{:.4} nats, {tokens} token{}", answer.nats, if tokens == 1 { "" } else { "s" })
            }
            Reply::Error(error) => format!("error: {error}"),
        };
        format!("{}:\n  {}\n", answer.name(), said.replace('\n', "\n  "))
    };
    answers.iter().map(line).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Finish;

    fn answers() -> Vec<Answer> {
        let generation =
            Generation { text: "=so\nit".into(), token_ids: vec![4, 2], finish: Finish::Stop, prompt_tokens: 3 };
        let likelihood =
            Likelihood { nats: -1.5, per_token: vec![-1.0, -0.5], token_ids: vec![1, 2], boundary_merges: false };
        vec![
            Answer { id: json!("a"), reply: Reply::Generation(generation) },
            Answer { id: json!(7), reply: Reply::Likelihood(likelihood) },
            Answer { id: Value::Null, reply: Reply::Error("line 3: no".into()) },
        ]
    }

    #[test]
    fn every_format_holds_every_answer() {
        let written = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            written(json_lines(&answers())),
            "{\"id\":\"a\",\"text\":\"=so\\nit\",\"token_ids\":[4,2],\"finish\":\"stop\",\"prompt_tokens\":3}\n\
             {\"id\":7,\"nats\":-1.5,\"tokens\":2,\"per_token\":[-1.0,-0.5]}\n\
             {\"id\":null,\"error\":\"line 3: no\"}\n"
        );
        assert_eq!(
            written(csv(&answers())),
            "id,text,token_ids,finish,prompt_tokens,nats,tokens,per_token,error\n\
             a,\"'=so\nit\",4 2,stop,3,,,,\n7,,,,,-1.5,2,-1 -0.5,\nnull,,,,,,,,line 3: no\n"
        );
        assert_eq!(
            written(text(&answers())),
            "a:\n  =so\n  it\n7:\n  -1.5000 nats, 2 tokens\nnull:\n  error: line 3: no\n"
        );
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&json(&answers())).unwrap().len(), 3);
    }
}
