//! Repeats one contestant's requests, for a profiler to look at: `profile SERVER_PROGRAM TIMES NAME [WIDTH]`, where NAME is a
//! part of the contestant's name and WIDTH the number of requests that are under way at a time (one unless given). valgrind's
//! callgrind counts instructions, which a noisy machine does not change.

use std::path::Path;

use jeton_bench::contestants::{Contestant, Name};
use jeton_bench::paired::{self, Plan};
use jeton_bench::server::Server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (program, times, name, width) = match arguments.as_slice() {
        [program, times, name] => (program, times, name, "1"),
        [program, times, name, width] => (program, times, name, width.as_str()),
        _ => panic!("profile PROGRAM TIMES NAME [WIDTH]"),
    };
    let number = |text: &str| text.parse().expect("a number");
    let plan = Plan { rounds: 0, requests: number(times), width: number(width) };
    jeton_bench::install_cryptography();
    let server = Server::start(Path::new(program)).expect("a server");
    let name =
        Name::ALL.into_iter().find(|known| known.text().contains(name.as_str())).expect("a contestant");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        paired::turn(&Contestant::new(name, &server).await, plan).await;
    });
}
