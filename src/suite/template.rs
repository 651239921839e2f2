//! Compiles templates: which slots they use, and the few filters that English needs.

use std::collections::BTreeMap;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

/// Filters of this version, for messages.
pub const FILTERS: &str = "`a` (a or an before the text), `cap` (a capital first letter), `possessive` (with 's) and \
                           `verb('has', 'have')` (after a pronoun), besides minijinja's own";

/// The slot where the choice probe's list of options goes.
pub const OPTIONS: &str = "options";

/// Steps that filling one text may take; a prompt takes hundreds, a loop without end takes them all.
const FUEL: u64 = 200_000;
/// Bytes that one filled text may have.
const MOST_OUTPUT: usize = 1 << 20;

/// An environment where an unfilled slot is an error and nothing is escaped.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    environment.add_filter("a", |text: String| with_article(&text));
    environment.add_filter("possessive", |text: String| format!("{text}'s"));
    environment.add_filter(
        "verb",
        |pronoun: String, singular: String, plural: String| {
            if is_plural(&pronoun) { plural } else { singular }
        },
    );
    environment.add_filter("cap", |text: String| {
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect::<String>())
    });
    environment
}

/// A slot: `occupation`, or `gender` with the form `name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    pub name: String,
    pub form: Option<String>,
}

impl Slot {
    /// As a template writes it, without braces.
    pub fn written(&self) -> String {
        self.form.as_ref().map_or_else(|| self.name.clone(), |form| format!("{}.{form}", self.name))
    }
}

/// The slots that a template uses, sorted.
///
/// # Errors
/// The line inside the template, from 1, and a sentence on its syntax.
pub fn slots(text: &str) -> Result<Vec<Slot>, (usize, String)> {
    let environment = environment();
    let template = environment.template_from_str(text).map_err(|error| explain(&error))?;
    let mut slots: Vec<Slot> = template
        .undeclared_variables(true)
        .into_iter()
        .map(|written| match written.split_once('.') {
            Some((name, form)) => Slot { name: name.into(), form: Some(form.into()) },
            None => Slot { name: written, form: None },
        })
        .collect();
    slots.sort();
    Ok(slots)
}

/// A template's error as a line, from 1, and a sentence.
pub fn explain(error: &Error) -> (usize, String) {
    let words = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let words = match error.kind() {
        ErrorKind::UnknownFilter => format!("{words}; this version knows {FILTERS}"),
        ErrorKind::OutOfFuel => "it takes too many steps; a loop in it is too long or has no end".into(),
        _ => words,
    };
    (error.line().unwrap_or(1).max(1), words)
}

/// Fills a template; white space at both ends goes.
///
/// # Errors
/// As `explain` gives them.
pub fn render(
    template: &minijinja::Template<'_, '_>,
    values: &BTreeMap<&str, Value>,
) -> Result<String, (usize, String)> {
    let mut out = Output(Vec::new());
    match template.render_captured_to(values, &mut out) {
        Ok(_) => {
            let text = String::from_utf8(out.0).expect("a template writes text");
            Ok(if text.trim().len() == text.len() { text } else { text.trim().to_string() })
        }
        Err(_) if out.0.len() == MOST_OUTPUT => {
            Err((1, format!("its text grows beyond {} KiB; a prompt is shorter than that", MOST_OUTPUT >> 10)))
        }
        Err(error) => Err(explain(&error)),
    }
}

/// What a template writes, up to a limit; full means that it wanted more.
struct Output(Vec<u8>);

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() >= MOST_OUTPUT {
            self.0.resize(MOST_OUTPUT, b' ');
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether verbs after the pronoun take their plural: they, we and you do; she, he, it, xe and names do not.
fn is_plural(pronoun: &str) -> bool {
    ["they", "we", "you", "i"].contains(&pronoun.trim().to_lowercase().as_str())
}

/// A term's forms, as `{{ gender.name }}` looks them up.
pub fn forms(forms: &[(String, String)]) -> Value {
    forms.iter().map(|(form, text)| (form.clone(), Value::from(text.as_str()))).collect::<BTreeMap<_, _>>().into()
}

/// `nurse` → `a nurse`, `engineer` → `an engineer`, by sound where the common exceptions need it.
pub fn with_article(text: &str) -> String {
    format!("{} {text}", if begins_with_vowel_sound(text) { "an" } else { "a" })
}

fn begins_with_vowel_sound(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    let word: String = start.chars().take_while(|c| c.is_alphanumeric()).collect();
    let Some(first) = word.chars().next() else { return false };
    if first.is_ascii_digit() {
        return word.starts_with('8') || word == "11" || word == "18";
    }
    // X-ray, MRI, HR, IT, UN: read letter by letter.
    let letters = word.chars().count();
    let spelled = word.chars().all(|c| c.is_uppercase())
        && (letters <= 3 && !(letters == 1 && start.chars().nth(1) == Some(' '))
            || !word.contains(['A', 'E', 'I', 'O', 'U']));
    let lower = word.to_lowercase();
    if spelled || (letters == 1 && start.chars().nth(1) == Some('-')) {
        return "aefhilmnorsx".contains(first.to_ascii_lowercase());
    }
    if ["hour", "honest", "honor", "honour", "heir"].iter().any(|silent| lower.starts_with(silent)) {
        return true;
    }
    let consonant_sound =
        ["eu", "ewe", "use", "usu", "usa", "uti", "utop", "uran", "urol", "uru", "uri", "ubiq", "uk", "one-"]
            .iter()
            .any(|sound| lower.starts_with(sound))
            || matches!(lower.as_str(), "one" | "once" | "u")
            || (lower.starts_with("uni") && !["unin", "unim", "unid", "uniss"].iter().any(|un| lower.starts_with(un)));
    !consonant_sound && matches!(super::slug(&lower).chars().next(), Some('a' | 'e' | 'i' | 'o' | 'u'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_article_follows_the_sound() {
        for an in [
            "engineer",
            "hour",
            "honest clerk",
            "heir",
            "X-ray technician",
            "x-ray",
            "HR manager",
            "MRI nurse",
            "IT lead",
            "8-year-old",
            "umpire",
            "uninvited guest",
            "usher",
            "Äpfel",
            "urban planner",
            "F-16 pilot",
        ] {
            assert_eq!(with_article(an), format!("an {an}"));
        }
        for a in [
            "nurse",
            "university teacher",
            "European",
            "one-time guest",
            "one",
            "user",
            "union leader",
            "unicorn",
            "UN officer",
            "NASA engineer",
            "historian",
            "utility worker",
            "T-shirt",
            "urologist",
            "7-year-old",
        ] {
            assert_eq!(with_article(a), format!("a {a}"));
        }
    }

    #[test]
    fn slots_are_found_with_their_forms_and_through_filters() {
        let found =
            slots("{{ gender.name }} is {{ job | a }}. {% if job == 'x' %}{{ gender.they | cap }}{% endif %}").unwrap();
        let written: Vec<_> = found.iter().map(Slot::written).collect();
        assert_eq!(written, ["gender.name", "gender.they", "job"]);
    }

    #[test]
    fn a_syntax_error_tells_its_line() {
        let (line, message) = slots("fine\n{{ open").unwrap_err();
        assert_eq!(line, 2, "{message}");
    }
}
