//! What the terminal shows: numbered steps, what was done, what is worth knowing.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static STEPS: AtomicUsize = AtomicUsize::new(0);

fn paint(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

pub(crate) fn title(text: &str) -> String {
    paint("1", text)
}

pub(crate) fn step(text: &str) {
    let number = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
    println!("\n{} {}", paint("1;36", &format!("{number:>2}")), paint("1", text));
}

pub(crate) fn done(text: &str) {
    println!("   {} {text}", paint("32", "✓"));
}

pub(crate) fn note(text: &str) {
    println!("   {} {}", paint("2", "·"), paint("2", text));
}

/// Waits for real, because expiry is real here; in tests a clock is injected instead.
pub(crate) async fn wait(time: Duration) {
    print!("   {} {}", paint("2", "·"), paint("2", &format!("waiting {} s", time.as_secs())));
    for _ in 0..time.as_secs() {
        let _ = std::io::stdout().flush();
        tokio::time::sleep(Duration::from_secs(1)).await;
        print!("{}", paint("2", "."));
    }
    println!();
}
