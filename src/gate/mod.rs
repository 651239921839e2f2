//! Decides whether what was measured is within limits: pass, fail, or too few data to tell.
//!
//! `policy` says what counts and what is waived, `family` adjusts the gaps of several suites together and gives each its
//! verdict anew, `judge` turns verdicts into outcomes. Nothing passes for want of data: what cannot be told is
//! inconclusive, and an inconclusive gate does not pass unless the policy says that it only warns.

pub mod change;
mod family;
mod judge;
mod policy;
mod read;

#[cfg(test)]
mod tests;

pub use self::family::{Entry, check_declared, settle};
pub use self::judge::{Finding, Judgement, Outcome, Row, judge};
pub use self::policy::{Counted, Family, OnInconclusive, Policy, Selector, Waiver};
pub use self::read::load;
