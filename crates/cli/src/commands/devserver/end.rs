//! When the server is to end: at Ctrl-C, when the system asks for it, or when standard input is closed.

use std::io::{self, Read as _};

use tokio::sync::oneshot;

/// What the command waits for. Made before anybody is told of the server, so that no signal is missed.
pub(super) struct End {
    signals: Signals,
    stdin: Option<oneshot::Receiver<()>>,
}

impl End {
    pub(super) fn prepare(until_stdin_closes: bool) -> io::Result<Self> {
        let signals = Signals::new()?;
        Ok(Self { signals, stdin: until_stdin_closes.then(stdin_closed) })
    }

    pub(super) async fn wait(self) {
        let Self { mut signals, stdin } = self;
        match stdin {
            // Both say so: a message, and a thread that is gone.
            Some(closed) => tokio::select! {
                () = signals.come() => {}
                _ = closed => {}
            },
            None => signals.come().await,
        }
    }
}

/// Reads on a thread of its own, which nobody waits for: a read cannot be given up.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut ignored = [0; 1024];
        while stdin.read(&mut ignored).is_ok_and(|read| read > 0) {}
        // Nobody waits any more after a signal.
        let _ = closed.send(());
    });
    wait
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_close: tokio::signal::windows::CtrlClose,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_close};
        Ok(Self { ctrl_c: ctrl_c()?, ctrl_close: ctrl_close()? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.ctrl_close.recv() => {}
        }
    }
}
