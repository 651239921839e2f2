//! Tells templates the date: a fixed one, so that prompts do not change daily.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// The day that chat templates see, at midnight; recorded in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateDate {
    year: u16,
    /// 1 to 12.
    month: u8,
    /// From 1.
    day: u8,
}

/// 2025-01-01
impl Default for TemplateDate {
    fn default() -> Self {
        Self { year: 2025, month: 1, day: 1 }
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
    fn is_leap_year(self) -> bool {
        let divides = |by: u16| self.year.is_multiple_of(by);
        divides(4) && (!divides(100) || divides(400))
    }

    fn days_in_month(self) -> u8 {
        match self.month {
            2 if self.is_leap_year() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// From 1 to 366.
    fn day_of_year(self) -> u16 {
        let before = (1..self.month).map(|month| u16::from(Self { month, ..self }.days_in_month())).sum::<u16>();
        before + u16::from(self.day)
    }

    /// 0 is Monday.
    fn weekday(self) -> usize {
        let years = u32::from(self.year) - 1;
        // 1 January of the year 1 was a Monday in the Gregorian calendar drawn backwards.
        let days = years * 365 + years / 4 - years / 100 + years / 400 + u32::from(self.day_of_year()) - 1;
        (days % 7) as usize
    }

    /// Python's `strftime` in the C locale. Errs on a directive that it does not know.
    pub fn strftime(self, format: &str) -> Result<String> {
        let (month, weekday) = (MONTHS[usize::from(self.month) - 1], WEEKDAYS[self.weekday()]);
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
                'Y' => number(self.year, 4),
                'y' => number(self.year % 100, 2),
                'm' => number(self.month.into(), 2),
                'd' => number(self.day.into(), 2),
                'e' => format!("{:>2}", self.day),
                'j' => number(self.day_of_year(), 3),
                'B' => month.to_owned(),
                'b' | 'h' => month[..3].to_owned(),
                'A' => weekday.to_owned(),
                'a' => weekday[..3].to_owned(),
                'u' => (self.weekday() + 1).to_string(),
                'w' => ((self.weekday() + 1) % 7).to_string(),
                'F' => self.to_string(),
                'D' | 'x' => format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
                'H' | 'M' | 'S' => number(0, 2),
                'I' => number(12, 2),
                'p' => "AM".to_owned(),
                'T' | 'X' => "00:00:00".to_owned(),
                'R' => "00:00".to_owned(),
                'c' => format!("{} {} {:>2} 00:00:00 {}", &weekday[..3], &month[..3], self.day, self.year),
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
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for TemplateDate {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let mut parts = text.split('-');
            let mut part = |length: usize| parts.next().filter(|part| part.len() == length)?.parse::<u16>().ok();
            let (year, month, day) = (part(4)?, part(2)?, part(2)?);
            let date = Self { year, month: month as u8, day: day as u8 };
            let is_day = year > 0 && (1..=12).contains(&month) && (1..=date.days_in_month().into()).contains(&day);
            (parts.next().is_none() && is_day).then_some(date)
        };
        let date = read();
        ensure!(date.is_some(), "\"{text}\" is no date; write it as 2025-01-01");
        Ok(date.expect("checked above"))
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
    fn what_is_no_day_is_refused() {
        for text in ["2025-02-29", "2025-13-01", "2025-1-1", "01-01-2025", "2025-01-01-01", "0000-01-01", "today", ""] {
            assert!(text.parse::<TemplateDate>().is_err(), "{text}");
        }
        assert!(TemplateDate::default().strftime("%Q").is_err());
        assert_eq!(TemplateDate::default().to_string(), "2025-01-01");
    }
}
