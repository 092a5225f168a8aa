//! `jeton_cancel`: ends blocking calls from another thread.

use std::fmt;

use tokio::sync::watch;

use crate::guarded;

/// Ends the blocking calls that were given it: those under way, and any that follow. One handle may be given to any
/// number of calls, on any threads. It does not go back: make another one for calls to come.
///
/// Ownership: free it with jeton_cancel_free when the calls that were given it have returned. A call that waits does not
/// need it any more, and then nothing cancels it; but only what it does (a callback that it makes, its request at a server)
/// shows that it has begun to wait.
///
/// Threads: any thread, several at once.
pub struct jeton_cancel {
    cancelled: watch::Sender<bool>,
}

impl jeton_cancel {
    /// Whether it was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }
}

/// What a call waits for beside its own work. It holds on to nothing of the handle, which may be freed meanwhile: hence no
/// function that waits takes a reference to that.
pub(crate) struct Watch(Option<watch::Receiver<bool>>);

/// # Safety
///
/// `cancel` is NULL or a live handle.
pub(crate) unsafe fn watch(cancel: *const jeton_cancel) -> Watch {
    // SAFETY: as the caller promises.
    Watch(unsafe { cancel.as_ref() }.map(|cancel| cancel.cancelled.subscribe()))
}

impl Watch {
    /// Whether it was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|watch| *watch.borrow())
    }

    /// Comes to its end when the handle is cancelled; never, if it is freed before or there is none.
    pub(crate) async fn cancelled(self) {
        if let Some(mut watch) = self.0
            && watch.wait_for(|cancelled| *cancelled).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Makes a cancel handle.
///
/// Ownership: the caller's; free it with jeton_cancel_free. NULL only after a defect of jeton.
///
/// Threads: any thread. Errors: none.
#[unsafe(no_mangle)]
pub extern "C" fn jeton_cancel_new() -> *mut jeton_cancel {
    guarded(std::ptr::null_mut(), || crate::boxed(jeton_cancel { cancelled: watch::Sender::new(false) }))
}

/// Ends the calls that were given this handle, which return `JETON_ERROR_CANCELLED`, and returns at once. What a call
/// has begun and others need goes on: a refresh under way comes to its end, so that its tokens are not lost. A call
/// that comes later sends nothing. Cancelling twice is allowed, and so is NULL.
///
/// Threads: any thread, also from a callback; not from a signal handler.
///
/// Errors: none.
///
/// # Safety
///
/// `cancel` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_cancel_cancel(cancel: *const jeton_cancel) {
    guarded((), || {
        // SAFETY: the caller promises NULL or a live handle.
        if let Some(cancel) = unsafe { cancel.as_ref() } {
            cancel.cancelled.send_replace(true);
        }
    });
}

/// Whether jeton_cancel_cancel was called: 1, else 0. 0 for NULL.
///
/// Threads: any thread. Errors: none.
///
/// # Safety
///
/// `cancel` is NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_cancel_is_cancelled(cancel: *const jeton_cancel) -> i32 {
    // SAFETY: the caller promises NULL or a live handle.
    guarded(0, || i32::from(unsafe { cancel.as_ref() }.is_some_and(jeton_cancel::is_cancelled)))
}

/// Frees a cancel handle. NULL is allowed. Calls that were given it go on; they cannot be cancelled any more.
///
/// Threads: any thread, while no other one uses the handle itself. Errors: none.
///
/// # Safety
///
/// `cancel` is NULL or a live handle, which is not used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_cancel_free(cancel: *mut jeton_cancel) {
    // SAFETY: the caller promises NULL or a live handle, made by `boxed`.
    guarded((), || unsafe { crate::free(cancel) });
}

impl fmt::Debug for jeton_cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("jeton_cancel").field("is_cancelled", &self.is_cancelled()).finish()
    }
}
