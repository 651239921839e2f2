//! Runs the whole program on the scripted model: no network, no accelerator, no model files.

mod analyze;
mod ask;
mod associate;
mod audit;
mod compare;
mod errors;
mod head;
mod import;
mod import_text;
mod judge;
mod layering;
mod readme;
mod report;
mod resume;
mod run;
mod score;
mod screening;
mod suites;
mod weat;
mod workdir;
