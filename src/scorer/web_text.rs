//! Cleans marks that texts from the web carry and that say nothing of what they mean.
//!
//! The same rule runs when a head is fitted and when it scores, so a tweet and an answer meet the head in one form.

/// Names this rule in heads and revisions; a change of the rule changes the name.
pub const RULE: &str = "web-1";

/// Decodes HTML entities, writes user mentions as `@user` and addresses as `http`, drops spreadsheet escapes
/// (`_x000D_`) and written-out line ends (`\n` as two characters), and makes every run of white space one space.
pub fn clean(text: &str) -> String {
    let text = decode_entities(text);
    let text = text.replace("_x000D_", " ").replace("\\n", " ");
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        words.push(clean_word(word));
    }
    words.join(" ")
}

fn clean_word(word: &str) -> String {
    for start in ["http://", "https://", "www."] {
        if let Some(at) = word.find(start) {
            return format!("{}http", &word[..at]);
        }
    }
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at);
        let end = after[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(after.len(), |n| n + 1);
        // An address such as a@b.org is no mention.
        let is_mention = end > 1 && !before.ends_with(|c: char| c.is_alphanumeric());
        out.push_str(before);
        out.push_str(if is_mention { "@user" } else { &after[..end] });
        rest = &after[end..];
    }
    out + rest
}

/// Replaces the entities that occur in tweets: the five of XML, `&nbsp;`, and numbers. Others stay as they are.
fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let entity = after.find(';').filter(|&end| end <= 10).map(|end| &after[1..end]);
        match entity.and_then(|name| Some((name, entity_char(name)?))) {
            Some((name, c)) => {
                out.push(c);
                rest = &after[name.len() + 2..];
            }
            None => {
                out.push('&');
                rest = &after[1..];
            }
        }
    }
    out + rest
}

fn entity_char(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control() || c.is_whitespace())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn entities_mentions_addresses_and_line_ends_take_one_form() {
        for (text, want) in [
            ("!!! RT @some_one:  Tom &amp; Ann &#8220;ok&#8221; &#x1F602;", "!!! RT @user: Tom & Ann “ok” 😂"),
            ("see https://t.co/ab or (www.x.org)", "see http or (http"),
            ("how to_x000D_- go\\non &unknown; & a&b;", "how to - go on &unknown; & a&b;"),
            ("write to a@b.org, or @ home", "write to a@b.org, or @ home"),
            ("a\n b\u{a0}c", "a b c"),
            ("", ""),
        ] {
            assert_eq!(clean(text), want);
        }
    }

    #[test]
    fn plain_answers_stay_as_they_are() {
        let text = "Dear Ms Jones, it is a pleasure to recommend her for the post.";
        assert_eq!(clean(text), text);
    }
}
