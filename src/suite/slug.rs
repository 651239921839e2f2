//! Turns text into the part of an id: lower case, ASCII where easy, everything else a hyphen.

/// `María José` → `maria-jose`. Letters of other scripts stay; text without letters or digits gives an empty slug.
pub fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match fold(c) {
            Some(folded) => out.push_str(folded),
            None if c.is_alphanumeric() => out.push(c),
            None if ('\u{300}'..='\u{36f}').contains(&c) => {} // combining accents of decomposed letters
            None if matches!(c, '\'' | '’') => {}
            None => {
                if !out.is_empty() && !out.ends_with('-') {
                    out.push('-');
                }
            }
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// Latin letters with marks, by their plain letter.
fn fold(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' | 'ģ' | 'ĝ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ļ' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_slug_is_lower_case_ascii_with_single_hyphens() {
        assert_eq!(slug("María José"), "maria-jose");
        assert_eq!(slug("  a public hospital, at night! "), "a-public-hospital-at-night");
        assert_eq!(slug("O'Brien"), "obrien");
        assert_eq!(slug("Łukasz Groß"), "lukasz-gross");
    }

    #[test]
    fn letters_of_other_scripts_stay_and_signs_alone_give_nothing() {
        assert_eq!(slug("李"), "李");
        assert_eq!(slug("!?"), "");
    }
}
