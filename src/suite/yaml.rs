//! Reads YAML into a tree whose every node knows its line and column, so that all problems can be told at once.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::problem::Mark;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub at: Mark,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub struct Key {
    pub at: Mark,
    pub text: String,
}

impl Node {
    /// What the value is, for messages.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Integer(value) => format!("the number {value}"),
            Kind::Float(value) => format!("the number {value}"),
            Kind::Text(text) => format!("the text \"{}\"", text.chars().take(40).collect::<String>()),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }
}

/// Parses one document; duplicate keys are refused, `yes` and `no` are text.
///
/// # Errors
/// The place and a sentence, without the parser's snippet.
pub fn parse(text: &str) -> Result<Node, (Mark, String)> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Kind>>(text, options) {
        Ok(root) => Ok(Node { at: mark(&root.referenced), kind: root.value }),
        Err(error) => {
            let at = error.location().map_or(Mark { line: 1, column: 1 }, |location| mark(&location));
            let words = error.to_string();
            // The parser ends with its own place and options, which would mislead here.
            let words = words.split(" at line ").next().unwrap_or(&words).trim().trim_end_matches(':');
            let words = match words.strip_prefix("duplicate mapping key: ") {
                Some(key) => {
                    format!("the key `{}` stands here twice; take one out", key.split(',').next().unwrap_or(key))
                }
                None if words.contains("budget") => {
                    "this file is too large, or its aliases unfold to too much: a suite or a list has some thousands of values".into()
                }
                None if words.contains("recursion limit") => "this file is nested too deeply".into(),
                None => {
                    let line = text.lines().nth(at.line - 1).unwrap_or_default();
                    let hint = if line.contains("{{") { "; put quotes around text with {{ … }}" } else { "" };
                    format!("this is not YAML that can be read: {words}{hint}")
                }
            };
            Err((at, words))
        }
    }
}

fn mark(location: &serde_saphyr::Location) -> Mark {
    Mark { line: (location.line() as usize).max(1), column: (location.column() as usize).max(1) }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Kind>>()? {
            list.push(Node { at: mark(&item.referenced), kind: item.value });
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut map: Vec<(Key, Node)> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let value = entries.next_value::<Spanned<Kind>>()?;
            if !seen.insert(key.value.clone()) {
                return Err(A::Error::custom(format!("the key `{}` stands here twice", key.value)));
            }
            map.push((
                Key { at: mark(&key.referenced), text: key.value },
                Node { at: mark(&value.referenced), kind: value.value },
            ));
        }
        Ok(Kind::Map(map))
    }
}
