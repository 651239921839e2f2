//! Knows the days of the calendar, as `2025-01-31`: the date that chat templates print, and the day on which a waiver expires.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

/// A day of the Gregorian calendar; later days are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// From 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

impl Date {
    /// The day that it is in UTC, by the system's clock.
    pub fn today() -> Date {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
        Date::after_1970(seconds / 86_400)
    }

    /// So many days after 1970-01-01; the last day of 9999 beyond it.
    fn after_1970(mut days: u64) -> Date {
        let mut date = Date { year: 1970, month: 1, day: 1 };
        while days >= u64::from(date.days_in_month()) {
            days -= u64::from(date.days_in_month());
            (date.year, date.month) = if date.month == 12 { (date.year + 1, 1) } else { (date.year, date.month + 1) };
            if date.year > 9999 {
                return Date { year: 9999, month: 12, day: 31 };
            }
        }
        Date { day: days as u8 + 1, ..date }
    }

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
    pub fn day_of_year(self) -> u16 {
        let before = (1..self.month).map(|month| u16::from(Self { month, ..self }.days_in_month())).sum::<u16>();
        before + u16::from(self.day)
    }

    /// 0 is Monday.
    pub fn weekday(self) -> usize {
        let years = u32::from(self.year) - 1;
        // 1 January of the year 1 was a Monday in the Gregorian calendar drawn backwards.
        let days = years * 365 + years / 4 - years / 100 + years / 400 + u32::from(self.day_of_year()) - 1;
        (days % 7) as usize
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let mut parts = text.split('-');
            let mut part = |length: usize| {
                let part = parts.next()?;
                let is_number = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| part.parse::<u16>().ok())?
            };
            let (year, month, day) = (part(4)?, part(2)?, part(2)?);
            let date = Self { year, month: month as u8, day: day as u8 };
            let is_day = year > 0 && (1..=12).contains(&month) && (1..=date.days_in_month().into()).contains(&day);
            (parts.next().is_none() && is_day).then_some(date)
        };
        let date = read();
        ensure!(date.is_some(), "\"{text}\" is no date; write it as 2025-01-31");
        Ok(date.expect("checked above"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["2025-02-29", "2025-13-01", "2025-1-1", "01-01-2025", "2025-01-01-01", "0000-01-01", "today", ""] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert!("+025-01-01".parse::<Date>().is_err() && "2025-+1-01".parse::<Date>().is_err());
    }

    #[test]
    fn days_are_counted_through_leap_years() {
        for (days, date) in [(0, "1970-01-01"), (789, "1972-02-29"), (11_016, "2000-02-29"), (20_454, "2026-01-01")] {
            assert_eq!(Date::after_1970(days).to_string(), date);
            assert_eq!(date.parse::<Date>().unwrap(), Date::after_1970(days));
        }
        assert!(Date::after_1970(1) > Date::after_1970(0));
        assert_eq!(Date::after_1970(u64::MAX).to_string(), "9999-12-31");
    }
}
