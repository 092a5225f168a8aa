//! Repeats one contestant's requests, for a profiler to look at: `profile SERVER_PROGRAM TIMES NAME`, where NAME is a part of
//! the contestant's name. valgrind's callgrind counts instructions, which a noisy machine does not change.

use std::path::Path;

use jeton_bench::contestants::{Contestant, Name};
use jeton_bench::server::Server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, times, name] = arguments.as_slice() else { panic!("profile PROGRAM TIMES NAME") };
    jeton_bench::install_cryptography();
    let server = Server::start(Path::new(program)).expect("a server");
    let name =
        Name::ALL.into_iter().find(|known| known.text().contains(name.as_str())).expect("a contestant");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        Contestant::new(name, &server).await.get(times.parse().expect("a number")).await;
    });
}
