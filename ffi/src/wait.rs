//! Blocking calls: the work runs on jeton's own threads while the calling thread waits, until it is done or cancelled.

use jeton::{Client, Error};

/// Whatever has jeton's runtime at hand.
pub(crate) trait Runs {
    fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Result<T, Error>;
}

impl Runs for Client {
    fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
        self.block_on(call)
    }
}

#[cfg(feature = "registration")]
impl Runs for jeton::ResourceClient {
    fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
        self.block_on(call)
    }
}

#[cfg(feature = "registration")]
impl Runs for jeton::Registrar {
    fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
        self.block_on(call)
    }
}

use crate::cancel::Watch;
use crate::error::{Failure, jeton_error};
use crate::store::in_store_callback;

/// Refuses what cannot work from here.
pub(crate) fn check_thread() -> Result<(), Failure> {
    if in_store_callback() {
        return Err(jeton_error::argument(
            "a blocking call was made from a callback of a store, which would wait for itself; hand the \
             work to another thread",
        ));
    }
    Ok(())
}

/// Runs a call to its end and waits for it. If `cancel` is cancelled first, the call's future is dropped, and what
/// that means stands with each of the Rust functions.
pub(crate) fn wait<T: Send + 'static>(
    client: &impl Runs,
    cancel: Watch,
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Failure> {
    check_thread()?;
    if cancel.is_cancelled() {
        return Err(jeton_error::cancelled());
    }
    client.run(async move {
        // A value of its own, so that the call, and the sessions in it, are dropped before the answer is seen.
        let result = tokio::select! {
            biased;
            result = call => result.map_err(Failure::from),
            () = cancel.cancelled() => Err(jeton_error::cancelled()),
        };
        result
    })?
}
