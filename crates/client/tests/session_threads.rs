//! Rule 1 of the life of a token: jeton's own runtime ends with the last client. Alone in its file, because it counts the
//! threads of the process.

// A test that fails does so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use jeton_client::{Client, ClientCredentials};
use jeton_devserver::DevServer;

/// How many threads of jeton's there are.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim() == "jeton").count()
}

#[test]
fn rule1_many_clients_leave_no_threads_behind() {
    let server = DevServer::start().unwrap();
    let (id, secret) = DevServer::SERVICE_CLIENT;
    let client = || {
        Client::builder(id)
            .issuer(server.issuer())
            .client_secret(secret)
            .grant(ClientCredentials)
            .build()
            .unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut most = 0;
    for round in 0..30 {
        let clients = [client(), client(), client()];
        if round % 5 == 0 {
            for client in &clients {
                runtime.block_on(client.session().token()).unwrap();
            }
        }
        most = most.max(threads());
    }
    // They end by themselves, a moment after they were told to.
    let deadline = Instant::now() + Duration::from_secs(30);
    while threads() > 0 {
        assert!(Instant::now() < deadline, "{} threads are left", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(most > 0 && most < 100, "{most} at once");
}
