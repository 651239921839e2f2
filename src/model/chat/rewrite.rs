//! Rewrites what minijinja cannot parse or compute into what it can: `{% generation %}`, and `'…' % x`.

use std::iter::Peekable;
use std::str::CharIndices;

/// The template with the same output, in minijinja's language.
pub fn rewrite(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("{").filter(|at| *at + 1 < rest.len()) {
        let (text, tag) = rest.split_at(at);
        out.push_str(text);
        let close = match &tag[1..2] {
            "{" => "}}",
            "%" => "%}",
            "#" => "#}",
            _ => {
                out.push('{');
                rest = &tag[1..];
                continue;
            }
        };
        let Some(length) = length_of(tag, close) else {
            rest = tag; // minijinja says what is wrong with it
            break;
        };
        let (tag, behind) = tag.split_at(length);
        rest = behind;
        match close {
            "#}" => out.push_str(tag),
            _ => out.push_str(&expression(&statement(tag))),
        }
    }
    out.push_str(rest);
    out
}

/// Bytes of the tag up to and with its `close`, which does not count inside of a string.
fn length_of(tag: &str, close: &str) -> Option<usize> {
    if close == "#}" {
        return tag.find(close).map(|at| at + 2);
    }
    let mut letters = tag.char_indices().peekable();
    letters.nth(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' | '"' => skip_string(letter, &mut letters),
            _ if tag[at..].starts_with(close) => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Moves behind the quote that ends a string.
fn skip_string(quote: char, letters: &mut Peekable<CharIndices<'_>>) {
    while let Some((_, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            letter if letter == quote => return,
            _ => {}
        }
    }
}

/// `{% generation %}` marks the assistant's words for training; it prints nothing of its own.
fn statement(tag: &str) -> String {
    let is_sign = |letter: char| letter.is_whitespace() || letter == '-' || letter == '+';
    let word = tag.trim_start_matches("{%").trim_end_matches("%}").trim_matches(is_sign);
    match word {
        "generation" => tag.replacen("generation", "if true", 1),
        "endgeneration" => tag.replacen("endgeneration", "endif", 1),
        _ => tag.to_owned(),
    }
}

/// `'…' % x` becomes `('…'|format(x))`; a tuple on the right gives several arguments.
fn expression(tag: &str) -> String {
    let mut out = String::new();
    let mut letters = tag.char_indices().peekable();
    while let Some((from, letter)) = letters.next() {
        if letter != '\'' && letter != '"' {
            out.push(letter);
            continue;
        }
        skip_string(letter, &mut letters);
        let to = letters.peek().map_or(tag.len(), |(at, _)| *at);
        let string = &tag[from..to];
        let behind = tag[to..].trim_start();
        let operand = behind.strip_prefix('%').filter(|rest| !rest.starts_with('}')).map(str::trim_start);
        match operand.map(|operand| (operand, operand_length(operand))) {
            Some((operand, length)) if length > 0 => {
                let arguments = &operand[..length];
                let is_tuple = arguments.starts_with('(') && closing(arguments) == Some(length);
                let arguments = if is_tuple { &arguments[1..length - 1] } else { arguments };
                out.push_str(&format!("({string}|format({}))", expression(arguments)));
                let end = tag.len() - operand.len() + length;
                while letters.peek().is_some_and(|(at, _)| *at < end) {
                    letters.next();
                }
            }
            _ => out.push_str(string),
        }
    }
    out
}

/// Bytes of the operand at the beginning: a name, number, string or bracket, with what is called, indexed or filtered
/// behind it.
fn operand_length(text: &str) -> usize {
    let mut end = 0;
    loop {
        let rest = &text[end..];
        let step = match rest.chars().next() {
            Some('(' | '[' | '{') => closing(rest).unwrap_or(0),
            Some(quote @ ('\'' | '"')) if end == 0 => {
                let mut letters = rest.char_indices().peekable();
                letters.next();
                skip_string(quote, &mut letters);
                letters.peek().map_or(rest.len(), |(at, _)| *at)
            }
            Some('.' | '|') if end > 0 => 1,
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
        };
        if step == 0 {
            return end;
        }
        end += step;
    }
}

/// Bytes of the bracket at the beginning, its end included.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' | '"' => skip_string(letter, &mut letters),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_become_blocks_that_print_the_same() {
        assert_eq!(rewrite("a{%- generation -%}b{% endgeneration %}"), "a{%- if true -%}b{% endif %}");
        assert_eq!(rewrite("{# generation #}generation {x} {"), "{# generation #}generation {x} {");
    }

    #[test]
    fn a_percent_behind_a_string_becomes_the_filter() {
        assert_eq!(rewrite("{{ 'a %s' % x.y[0]|trim + 'b' }}"), "{{ ('a %s'|format(x.y[0]|trim)) + 'b' }}");
        assert_eq!(rewrite("{% set t = \"%d-%s\" % (n, f(')')) %}"), "{% set t = (\"%d-%s\"|format(n, f(')'))) %}");
        assert_eq!(rewrite("{% if x == 'a' %}{% endif %}"), "{% if x == 'a' %}{% endif %}");
        assert_eq!(rewrite("{% if x == 'a'%}"), "{% if x == 'a'%}");
        assert_eq!(rewrite("{{ 7 % 2 }} 50% 'x' % y"), "{{ 7 % 2 }} 50% 'x' % y");
        assert_eq!(rewrite("{{ '}}' }}{{ 'unfinished"), "{{ '}}' }}{{ 'unfinished");
    }
}
