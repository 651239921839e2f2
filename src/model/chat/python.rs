//! Gives templates what Python has and minijinja lacks: some methods of strings, and `json.dumps`.

use minijinja::value::{Kwargs, Value, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;
use serde_json::Value as Json;

/// Python's methods of values, where minijinja has none of that name.
pub fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str() else { return pycompat::unknown_method_callback(state, value, name, args) };
    match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            not_empty(separator)?;
            let parts = match name {
                "partition" => text.split_once(separator).map_or([text, "", ""], |(a, b)| [a, separator, b]),
                _ => text.rsplit_once(separator).map_or(["", "", text], |(a, b)| [a, separator, b]),
            };
            Ok(parts.into_iter().map(Value::from).collect())
        }
        // minijinja has it, but goes by white space; Python goes by letters.
        "title" => {
            let () = from_args(args)?;
            Ok(title(text).into())
        }
        "rsplit" => {
            let (separator, splits, kwargs): (Option<&str>, Option<i64>, Kwargs) = from_args(args)?;
            let named: Option<i64> = kwargs.get("maxsplit")?;
            kwargs.assert_all_used()?;
            // Negative: as many as there are.
            let splits = usize::try_from(splits.or(named).unwrap_or(-1)).unwrap_or(usize::MAX);
            Ok(rsplit(text, separator, splits)?.into_iter().map(Value::from).collect())
        }
        _ => pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn not_empty(separator: &str) -> Result<(), Error> {
    if separator.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok(())
}

/// The first letter of each run of letters in upper case, the others in lower case.
fn title(text: &str) -> String {
    let mut is_inside = false;
    let mut out = String::new();
    for letter in text.chars() {
        match is_inside {
            true => out.extend(letter.to_lowercase()),
            false => out.extend(letter.to_uppercase()),
        }
        is_inside = letter.is_alphabetic();
    }
    out
}

/// At most so many splits, from the right; without a separator at runs of white space.
fn rsplit<'t>(text: &'t str, separator: Option<&str>, splits: usize) -> Result<Vec<&'t str>, Error> {
    let mut parts = Vec::new();
    let mut rest = text;
    match separator {
        Some(separator) => {
            not_empty(separator)?;
            while parts.len() < splits
                && let Some((before, part)) = rest.rsplit_once(separator)
            {
                parts.push(part);
                rest = before;
            }
            parts.push(rest);
        }
        None => {
            rest = rest.trim_end();
            while parts.len() < splits
                && let Some((at, space)) = rest.char_indices().rfind(|(_, letter)| letter.is_whitespace())
            {
                parts.push(&rest[at + space.len_utf8()..]);
                rest = rest[..at].trim_end();
            }
            if !rest.is_empty() {
                parts.push(rest);
            }
        }
    }
    parts.reverse();
    Ok(parts)
}

/// The filter `tojson` as transformers has it, Python's `json.dumps`: `", "` and `": "` as separators, nothing escaped
/// for HTML, `indent` honoured.
pub fn to_json(value: Value, kwargs: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let ascii: Option<bool> = kwargs.get("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let json: Json = serde_json::to_value(&value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not JSON: {error}")))?;
    let mut text = String::new();
    write_json(&json, indent, 0, &mut text);
    if ascii == Some(true) {
        let escape = |unit: u16| format!("\\u{unit:04x}");
        text = text
            .chars()
            .map(|letter| match letter.is_ascii() {
                true => letter.to_string(),
                false => letter.encode_utf16(&mut [0; 2]).iter().map(|unit| escape(*unit)).collect(),
            })
            .collect();
    }
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

    #[test]
    fn rsplit_splits_from_the_right_as_python_does() {
        let split = |text, separator, splits| rsplit(text, separator, splits).unwrap();
        assert_eq!(split("a,b,c", Some(","), 1), ["a,b", "c"]);
        assert_eq!(split("a,b,c", Some(","), usize::MAX), ["a", "b", "c"]);
        assert_eq!(split("", Some(","), 3), [""]);
        assert_eq!(split("  a  b c ", None, 1), ["  a  b", "c"]);
        assert_eq!(split(" a b ", None, usize::MAX), ["a", "b"]);
        assert!(split("  ", None, 2).is_empty());
        assert!(rsplit("a", Some(""), 1).is_err());
    }
}
