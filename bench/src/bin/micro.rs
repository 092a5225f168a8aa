//! Times the small cases with criterion: `micro FOLDER KEYCHAIN WARM_UP_MS MEASURE_MS FILTER`. The times go into a file in the
//! folder, criterion's own words to standard output. With 0 ms to measure, each case runs once and is not timed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::Criterion;
use jeton_bench::cases::{self, Work};
use jeton_bench::timing::{TIMINGS, Timing};
use serde_json::Value;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, keychain, warm_up, measure, filter] = arguments.as_slice() else {
        panic!("micro FOLDER KEYCHAIN WARM_UP_MS MEASURE_MS FILTER")
    };
    let folder = PathBuf::from(folder);
    let output = folder.join("criterion");
    let millis = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
    let once = millis(measure).is_zero();
    let mut timings = std::fs::File::create(folder.join(TIMINGS)).expect("a file");
    for (number, case) in
        cases::all(filter, &folder.join("stores"), keychain == "true").into_iter().enumerate()
    {
        let mut timing = Timing { id: case.id(), group: case.group, nanoseconds: None, not_here: None };
        match case.work {
            Work::NotHere(why) => timing.not_here = Some(why),
            Work::Ready(mut run) if once => {
                run(1);
            }
            Work::Ready(mut run) => {
                let id = format!("case-{number}");
                let mut criterion = Criterion::default()
                    .without_plots()
                    .output_directory(&output)
                    .warm_up_time(millis(warm_up))
                    .measurement_time(millis(measure));
                criterion.bench_function(&id, |bencher| bencher.iter_custom(&mut run));
                timing.nanoseconds = Some(median(&output.join(id)));
            }
        }
        writeln!(timings, "{}", serde_json::to_string(&timing).expect("JSON")).expect("room");
    }
}

/// The median with its 95 % interval, from what criterion wrote down.
fn median(folder: &Path) -> [f64; 3] {
    let text = std::fs::read_to_string(folder.join("new/estimates.json")).expect("criterion's estimates");
    let estimates: Value = serde_json::from_str(&text).expect("JSON");
    let median = &estimates["median"];
    let interval = &median["confidence_interval"];
    [&interval["lower_bound"], &median["point_estimate"], &interval["upper_bound"]]
        .map(|number| number.as_f64().expect("a number"))
}
