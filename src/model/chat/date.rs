//! Tells templates the date: a fixed one, so that prompts do not change daily.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::date::Date;

/// The day that chat templates see, at midnight; recorded in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateDate(Date);

/// 2025-01-01
impl Default for TemplateDate {
    fn default() -> Self {
        Self(Date { year: 2025, month: 1, day: 1 })
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl TemplateDate {
    /// Python's `strftime` in the C locale. Errs on a directive that it does not know.
    pub fn strftime(self, format: &str) -> Result<String> {
        let Self(date) = self;
        let (month, weekday) = (MONTHS[usize::from(date.month) - 1], WEEKDAYS[date.weekday()]);
        let mut text = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                text.push(letter);
                continue;
            }
            let mut directive = letters.next().context("strftime: the format ends with %")?;
            // glibc's flag: no leading zero.
            let is_bare = directive == '-';
            if is_bare {
                directive = letters.next().context("strftime: the format ends with %-")?;
            }
            let number =
                |value: u16, width: usize| if is_bare { format!("{value}") } else { format!("{value:0width$}") };
            text.push_str(&match directive {
                'Y' => number(date.year, 4),
                'y' => number(date.year % 100, 2),
                'm' => number(date.month.into(), 2),
                'd' => number(date.day.into(), 2),
                'e' => format!("{:>2}", date.day),
                'j' => number(date.day_of_year(), 3),
                'B' => month.to_owned(),
                'b' | 'h' => month[..3].to_owned(),
                'A' => weekday.to_owned(),
                'a' => weekday[..3].to_owned(),
                'u' => (date.weekday() + 1).to_string(),
                'w' => ((date.weekday() + 1) % 7).to_string(),
                'F' => date.to_string(),
                'D' | 'x' => format!("{:02}/{:02}/{:02}", date.month, date.day, date.year % 100),
                'H' | 'M' | 'S' => number(0, 2),
                'I' => number(12, 2),
                'p' => "AM".to_owned(),
                'T' | 'X' => "00:00:00".to_owned(),
                'R' => "00:00".to_owned(),
                'c' => format!("{} {} {:>2} 00:00:00 {}", &weekday[..3], &month[..3], date.day, date.year),
                'f' => "000000".to_owned(),
                'Z' | 'z' => String::new(),
                '%' => "%".to_owned(),
                other => bail!("strftime: %{other} is not known to this version"),
            });
        }
        Ok(text)
    }
}

impl fmt::Display for TemplateDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TemplateDate {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(date: &str, format: &str) -> String {
        date.parse::<TemplateDate>().unwrap().strftime(format).unwrap()
    }

    #[test]
    fn weekdays_and_months_are_those_of_the_calendar() {
        assert_eq!(written("2025-01-01", "%A %d %B %Y"), "Wednesday 01 January 2025");
        assert_eq!(written("2024-02-29", "%a, %-d %b %y (%j)"), "Thu, 29 Feb 24 (060)");
        assert_eq!(written("2000-12-31", "%A %j %m/%d"), "Sunday 366 12/31");
        assert_eq!(written("1969-07-20", "%A"), "Sunday");
        assert_eq!(written("2100-03-01", "%a %e %H:%M:%S%%"), "Mon  1 00:00:00%");
    }

    #[test]
    fn an_unknown_directive_is_refused() {
        assert!(TemplateDate::default().strftime("%Q").is_err());
        assert_eq!(TemplateDate::default().to_string(), "2025-01-01");
    }
}
