//! Turns records into tables: group means, gaps with intervals and p, verdicts.
