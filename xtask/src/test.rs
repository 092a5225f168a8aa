//! `cargo xtask test`: runs the steps one after the other, times them, and sums up. A failing step does not
//! keep the later ones from running: one run tells all.

use std::time::{Duration, Instant};

use crate::disk;
use crate::outcome::Stop;
use crate::project::{Project, is_ci};
use crate::steps::{STEPS, Step};

/// Prints the steps.
pub(crate) fn list() {
    for step in STEPS {
        println!("{:18} {}", step.name, step.what);
    }
}

/// Runs the named steps, or all. The last line is `N passed, N failed`, with `, N skipped` where some were.
pub(crate) fn run(project: &Project, only: &[String]) -> Result<(), Stop> {
    let steps = selected(only)?;
    if only.is_empty() {
        disk::begin(project)?;
    }
    let mut results = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.what);
        let begun = Instant::now();
        let ended = judged((step.run)(project), is_ci());
        let took = begun.elapsed();
        match &ended {
            Ok(()) => println!("--- {} passed in {}", step.name, seconds(took)),
            Err(Stop::Skipped(why)) => println!("--- {} skipped: {why}", step.name),
            Err(Stop::Failed(why)) => println!("--- {} {why}", step.name),
        }
        disk::end_step(project, steps.get(index + 1).copied());
        results.push((*step, ended, took));
    }
    sum_up(&results)
}

fn selected(only: &[String]) -> Result<Vec<&'static Step>, Stop> {
    if only.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let find = |name: &String| {
        let found = STEPS.iter().find(|step| step.name == name);
        found.ok_or_else(|| {
            Stop::failed(format!("there is no step `{name}`; `cargo xtask test --list` names them"))
        })
    };
    only.iter().map(find).collect()
}

/// Where everything is supposed to be installed, a skipped step is a hole in the net.
fn judged(ended: Result<(), Stop>, in_ci: bool) -> Result<(), Stop> {
    match ended {
        Err(Stop::Skipped(why)) if in_ci => {
            Err(Stop::failed(format!("was skipped, which with CI=true is a failure: {why}")))
        }
        other => other,
    }
}

fn sum_up(results: &[(&Step, Result<(), Stop>, Duration)]) -> Result<(), Stop> {
    println!("\n{:18} {:8} {:>9}", "step", "result", "time");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (step, ended, took) in results {
        let (word, count) = match ended {
            Ok(()) => ("passed", &mut passed),
            Err(Stop::Failed(_)) => ("FAILED", &mut failed),
            Err(Stop::Skipped(_)) => ("skipped", &mut skipped),
        };
        *count += 1;
        println!("{:18} {word:8} {:>9}", step.name, seconds(*took));
    }
    for (step, ended, _) in results {
        match ended {
            Ok(()) => {}
            Err(Stop::Skipped(why)) => println!("\n{} was skipped: {why}", step.name),
            Err(Stop::Failed(why)) => {
                println!("\n{} {why}\nthe whole step: cargo xtask test --only {}", step.name, step.name);
            }
        }
    }
    println!("\n{}", closing_line(passed, failed, skipped));
    // The summary has said it all; the exit code is what is left to tell.
    if failed == 0 { Ok(()) } else { std::process::exit(1) }
}

fn closing_line(passed: u32, failed: u32, skipped: u32) -> String {
    match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_by_name_and_names_are_unique() {
        let names: std::collections::BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
        assert_eq!(selected(&[]).unwrap().len(), STEPS.len());
        assert_eq!(selected(&["fmt".to_owned()]).unwrap()[0].name, "fmt");
        let Err(Stop::Failed(why)) = selected(&["no-such-step".to_owned()]) else { panic!("found") };
        assert!(why.contains("no-such-step"), "{why}");
    }

    #[test]
    fn a_skip_is_a_failure_in_ci_only() {
        assert!(matches!(judged(Err(Stop::without("go", "Go")), false), Err(Stop::Skipped(_))));
        assert!(matches!(judged(Err(Stop::without("go", "Go")), true), Err(Stop::Failed(_))));
        assert!(judged(Ok(()), true).is_ok());
    }

    #[test]
    fn the_closing_line_names_skips_only_when_there_are_any() {
        assert_eq!(closing_line(3, 0, 0), "3 passed, 0 failed");
        assert_eq!(closing_line(3, 1, 2), "3 passed, 1 failed, 2 skipped");
    }
}
