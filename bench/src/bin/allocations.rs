//! Counts what each case and each contestant allocates, all threads of the process taken together, with an allocator that
//! counts: `allocations SERVER_PROGRAM FOLDER [FILTER]`. A program of its own, because counting costs time.

use std::alloc::System;
use std::collections::BTreeMap;
use std::path::Path;

use jeton_bench::cases::{self, Group, Work};
use jeton_bench::contestants::{Contestant, Name};
use jeton_bench::server::Server;
use jeton_bench::timing::Allocated;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Enough for what happens once in a while (a buffer that grows) to be seen as the fraction that it is.
const TIMES: u64 = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, folder, filter] = arguments.as_slice() else { panic!("allocations PROGRAM FOLDER FILTER") };
    jeton_bench::install_cryptography();
    let mut counted = BTreeMap::new();
    for mut case in cases::all(filter, Path::new(folder), false) {
        // A store's work is spread over threads and files; what it allocates says little.
        if let (1, Work::Ready(run), Group::Cached | Group::Protocol) =
            (case.threads, &mut case.work, case.group)
        {
            run(TIMES);
            let region = Region::new(COUNTING);
            run(TIMES);
            let stats = region.change();
            counted.insert(case.id(), each(&stats));
        }
    }
    let contestants: Vec<_> = Name::matching(filter).collect();
    if !contestants.is_empty() {
        let server = Server::start(Path::new(program)).expect("a server");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for name in contestants {
                let contestant = Contestant::new(name, &server).await;
                contestant.get(TIMES / 10).await;
                let region = Region::new(COUNTING);
                contestant.get(TIMES).await;
                let stats = region.change();
                counted.insert(name.text().to_owned(), each(&stats));
            }
        });
    }
    println!("{}", serde_json::to_string(&counted).expect("JSON"));
}

fn each(stats: &Stats) -> Allocated {
    let part = |count: usize| count as f64 / TIMES as f64;
    Allocated { count: part(stats.allocations + stats.reallocations), bytes: part(stats.bytes_allocated) }
}
