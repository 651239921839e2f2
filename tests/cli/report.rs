//! `tiltmeter report` prints what `tiltmeter run` printed.

use crate::workdir::{RUN, Workdir, run};

#[test]
fn report_prints_the_bytes_that_run_printed_in_every_format() {
    let workdir = Workdir::new();
    let text = workdir.ok(&RUN);
    let json = workdir.ok(&run(&["--format", "json"]));
    let folder = workdir.run_folder();
    assert_eq!(workdir.ok(&["report", &folder]), text);
    assert_eq!(workdir.ok(&["report", "results"]), text);
    assert_eq!(workdir.ok(&["report", "results/letters@1", "--format", "json"]), json);
    workdir.ok(&["report", "results", "-o", "report.txt"]);
    assert_eq!(workdir.read("report.txt"), text);
}

#[test]
fn report_needs_only_what_cannot_be_computed_again() {
    let workdir = Workdir::new();
    let text = workdir.ok(&RUN);
    let folder = workdir.run_folder();
    for name in
        ["groups.csv", "disparity.csv", "noise_floor.csv", "omnibus.csv", "distribution.csv", "cases.csv", "scores.csv"]
    {
        std::fs::remove_file(workdir.path(&format!("{folder}/{name}"))).unwrap();
    }
    assert_eq!(workdir.ok(&["report", &folder]), text);
}

#[test]
fn report_refuses_what_is_no_finished_run() {
    let workdir = Workdir::new();
    assert!(workdir.error(&["report", "nowhere"]).contains("nowhere is not a folder"));
    std::fs::create_dir(workdir.path("empty")).unwrap();
    assert!(workdir.error(&["report", "empty"]).contains("no finished run"));
    workdir.ok(&RUN);
    let folder = workdir.run_folder();
    let manifest = workdir.read(&format!("{folder}/manifest.yaml"));
    workdir.write(&format!("{folder}/manifest.yaml"), &manifest.replace("format: 1", "format: 9"));
    assert!(workdir.error(&["report", "results"]).contains("has format 9"));
    workdir.write(&format!("{folder}/manifest.yaml"), &manifest);
    workdir.write(&format!("{folder}/records.csv"), "suite,model\n");
    assert!(workdir.error(&["report", "results"]).contains("lacks the column group, context, score"));
}
