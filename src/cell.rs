//! Protects text cells of CSV files from being read as spreadsheet formulas, and undoes it.

use std::borrow::Cow;

/// What begins like a formula (or with `'`) gets one leading `'`; NUL becomes U+FFFD.
pub fn protect(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']);
    match (formula, text.contains('\0')) {
        (false, false) => Cow::Borrowed(text),
        (true, _) => Cow::Owned(format!("'{}", text.replace('\0', "\u{FFFD}"))),
        (false, true) => Cow::Owned(text.replace('\0', "\u{FFFD}")),
    }
}

/// The text of a cell that [`protect`] made: one leading `'` goes.
pub fn unprotect(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}
