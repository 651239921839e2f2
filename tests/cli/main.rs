//! Runs the whole program on the scripted model: no network, no accelerator, no model files.

mod analyze;
mod ask;
mod associate;
mod audit;
mod beside_gaps;
mod compare;
mod errors;
mod gate;
mod head;
mod import;
mod import_text;
mod judge;
mod layering;
mod plan;
mod readme;
mod report;
mod resume;
mod run;
mod score;
mod screening;
mod suites;
mod weat;
mod workdir;
