//! File operations off the async threads: on tokio's blocking threads inside a tokio runtime, in place elsewhere.

use tokio::runtime::Handle;

use crate::StoreError;

/// Does the work and waits for it. If the future is dropped the work still ends, or was never begun.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = Handle::try_current() else { return work() };
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Unavailable {
                what: "the runtime shut down before the file operation began; nothing was changed: keep the runtime \
                       running until the last operation on the store has returned"
                    .to_owned(),
            }),
        },
    }
}
