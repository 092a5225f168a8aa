//! Waiting with a bound, on any executor: by tokio's timer inside a tokio runtime, by a sleeping thread elsewhere,
//! never by blocking the executor, on which the holder of a lease may be waiting to run.

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Waits that long.
pub(crate) async fn pause(duration: Duration) {
    if Handle::try_current().is_ok() {
        return tokio::time::sleep(duration).await;
    }
    let (wake, woken) = oneshot::channel::<()>();
    // Dropped with this future: then the thread ends at once.
    let (_waiting, given_up) = mpsc::channel::<()>();
    let sleeper = std::thread::Builder::new().name("jeton-timer".to_owned()).spawn(move || {
        let _ = given_up.recv_timeout(duration);
        drop(wake);
    });
    match sleeper {
        // The sender is dropped and never used: that is the signal.
        Ok(_) => drop(woken.await),
        // No thread to be had: then in place, and not for long, so that the caller looks at its deadline again.
        Err(_) => std::thread::sleep(duration.min(Duration::from_millis(10))),
    }
}

/// What the future gives, or `None` if it takes longer than that.
#[cfg(any(feature = "memory", feature = "keyring"))]
pub(crate) async fn within<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    if duration.is_zero() {
        return None;
    }
    let (mut future, mut timer) = (pin!(future), pin!(pause(duration)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
