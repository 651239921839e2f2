//! A run that was cut off anywhere ends with the bytes of one that was not.

use std::time::{Duration, Instant};

use crate::workdir::{RUN, SCRIPT, Workdir, run};

#[test]
fn a_run_that_failed_half_way_is_continued_to_the_same_bytes() {
    let workdir = Workdir::new();
    let text = workdir.ok(&run(&["--out", "whole"]));
    workdir.write("script.yaml", &format!("{SCRIPT}fail_after: 5\n"));
    workdir.error(&RUN);
    let names: Vec<_> = workdir.files("results").into_keys().collect();
    assert!(names.iter().all(|path| path.file_name().unwrap().to_string_lossy().starts_with("journal.")), "{names:?}");
    assert!(workdir.error(&["report", "results"]).contains("unfinished"));
    let message = workdir.error(&run(&["--seed", "3"]));
    assert!(message.contains("says seed: 0"), "{message}");

    workdir.error(&RUN); // five more
    workdir.write("script.yaml", SCRIPT);
    let output = workdir.output(&RUN);
    assert!(String::from_utf8_lossy(&output.stderr).contains("continuing"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    assert_eq!(workdir.files("results"), workdir.files("whole"));
}

#[test]
fn a_killed_run_is_continued_to_the_same_bytes() {
    let workdir = Workdir::new();
    workdir.ok(&run(&["--out", "whole"]));
    workdir.write("script.yaml", &format!("{SCRIPT}delay_ms: 30\n"));
    let mut child = workdir.command(&run(&["--quiet"])).spawn().unwrap();
    let begun = Instant::now();
    while !workdir.files("results").keys().any(|path| path.ends_with("journal.sqlite")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the run has not begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(150));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(workdir.files("results").keys().all(|path| !path.ends_with("manifest.yaml")), "it was killed too late");

    workdir.write("script.yaml", SCRIPT);
    workdir.ok(&RUN);
    assert_eq!(workdir.files("results"), workdir.files("whole"));
}

#[test]
fn fresh_starts_an_unfinished_run_over() {
    let workdir = Workdir::new();
    workdir.write("script.yaml", &format!("{SCRIPT}fail_after: 5\n"));
    workdir.error(&RUN);
    workdir.write("script.yaml", SCRIPT);
    workdir.ok(&run(&["--fresh"]));
    workdir.ok(&["report", "results"]);
    assert_eq!(std::fs::read_dir(workdir.path("results/letters@1")).unwrap().count(), 2);
}
