//! Where a command's future runs: on a runtime, or, for what a script calls all day, on the bare thread.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs a future that sends requests, or waits for time to pass, by itself.
pub(crate) fn on_a_runtime<T>(future: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(future);
    // Whatever still reads standard input must not keep the process.
    runtime.shutdown_background();
    Ok(ended)
}

/// Runs a future that asks the store and a session, and nothing else. Sessions work on threads of the library's own, and without
/// a runtime around it the store reads its files here, and makes no thread for that.
pub(crate) fn on_this_thread<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(ended) => return ended,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_another_thread_ends_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let other = thread::spawn(move || sender.send(7));
        assert_eq!(on_this_thread(receiver), Ok(7));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert!(on_this_thread(async { tokio::runtime::Handle::try_current() }).is_err());
    }

    #[test]
    fn on_a_runtime_time_passes() {
        let waiting =
            async { tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await };
        let ended = on_a_runtime(waiting);
        assert!(ended.is_ok(), "a runtime");
    }
}
