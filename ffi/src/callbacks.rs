//! Threads on which the program's callbacks run, and the owner of its `userdata`.
//!
//! No callback runs on jeton's own runtime: it may take long, block, and call jeton.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Failure, jeton_error};

/// How long the last owner of a worker waits for its thread to deliver what is left. A bound, for a callback may hang, or wait
/// for the very thread that frees.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// `void (*destroy)(void *userdata)`, or NULL.
pub(crate) type Destroy = Option<unsafe extern "C" fn(userdata: *mut c_void)>;

/// The program's `userdata`: owned from here on, destroyed once, when the last callback that could get it has ended.
#[derive(Debug)]
pub(crate) struct Userdata {
    pointer: *mut c_void,
    end: Option<End>,
}

/// Calls `destroy` when it is dropped.
#[derive(Debug)]
struct End {
    pointer: *mut c_void,
    destroy: unsafe extern "C" fn(userdata: *mut c_void),
}

// SAFETY: jeton never looks behind the pointer. The ABI says that callbacks run on other threads than the one that set them,
// so what the program hands over is meant to be used there.
unsafe impl Send for Userdata {}
// SAFETY: as above.
unsafe impl Send for End {}
// SAFETY: as above; a shared reference gives away no more than a copy of the pointer.
unsafe impl Sync for Userdata {}

impl Userdata {
    /// Takes it over. To be made last, once nothing can fail any more: after a failure it stays the caller's.
    pub(crate) fn new(pointer: *mut c_void, destroy: Destroy) -> Self {
        Self { pointer, end: destroy.map(|destroy| End { pointer, destroy }) }
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for Userdata {
    fn drop(&mut self) {
        let Some(end) = self.end.take() else { return };
        if tokio::runtime::Handle::try_current().is_ok() {
            // The last owner was a task of jeton's. `destroy` may block and call jeton, which nobody may on the runtime.
            // Without a thread it is called here all the same.
            drop(on_own_thread(move || drop(end)));
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // SAFETY: the program gave function and pointer for this one call, which no other can follow.
        unsafe { (self.destroy)(self.pointer) }
    }
}

/// Copies a struct of the program's, which begins with its own size. `name` is the type's, for the error.
///
/// # Safety
///
/// `pointer` is NULL or points to a `size_t`, and if that is the size of `T`, to a `T`. Any bytes are a valid `T`, but for what
/// its pointers point to.
pub(crate) unsafe fn read_struct<T: Copy>(pointer: *const T, name: &str) -> Result<T, Failure> {
    if pointer.is_null() {
        return Err(jeton_error::argument(format!("the argument for a {name} is NULL")));
    }
    // SAFETY: not NULL; the rest as the caller promises.
    let size = unsafe { pointer.cast::<usize>().read_unaligned() };
    if size != size_of::<T>() {
        let newer = if size > size_of::<T>() {
            "; if the program was compiled with the header of a newer libjeton, load that one"
        } else {
            ""
        };
        return Err(jeton_error::argument(format!(
            "struct_size is {size}, but a {name} has {} bytes: set it to sizeof({name}){newer}",
            size_of::<T>()
        )));
    }
    // SAFETY: it is a whole one, as the caller promises.
    Ok(unsafe { pointer.read_unaligned() })
}

/// A handle that must be there and is changed.
///
/// # Safety
///
/// `handle` is NULL or a live handle that outlives what is given back and that nobody else uses meanwhile.
pub(crate) unsafe fn handle_mut<'a, T>(handle: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: as the caller promises.
    unsafe { handle.as_mut() }.ok_or_else(|| jeton_error::argument(format!("the argument {name} is NULL")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A thread of the program's, or of the runtime.
    Other,
    /// Runs callbacks, from which everything is allowed.
    Callbacks,
    /// Runs the callbacks of a store, for which jeton waits.
    Store,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// Whether this is the thread of a store's callbacks, where a blocking call of jeton would wait for itself.
pub(crate) fn in_store_callback() -> bool {
    ROLE.get() == Role::Store
}

/// Whether to wait here for another thread: not where callbacks run (two of them could wait for each other) and not on
/// jeton's runtime.
fn may_wait() -> bool {
    ROLE.get() == Role::Other && tokio::runtime::Handle::try_current().is_err()
}

/// Runs one callback on a thread of its own.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn on_own_thread(call: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn("jeton-callback", Role::Callbacks, call).map(drop)
}

fn spawn(name: &str, role: Role, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        ROLE.set(role);
        work();
    })
}

/// What a worker does with a job. The number says how many jobs before it were dropped because the queue was full.
type Handler<J> = Arc<dyn Fn(J, u64) + Send + Sync>;

/// A thread that does one job after another: started at the first one, ended when the worker is dropped and the jobs are done.
///
/// Its handler, and with it the program's `userdata`, goes when both have.
pub(crate) struct Worker<J: Send + 'static> {
    name: &'static str,
    role: Role,
    /// How many jobs wait at most; the oldest go first.
    most: usize,
    handler: Option<Handler<J>>,
    shared: Arc<Shared<J>>,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    dropped: u64,
    thread: Option<JoinHandle<()>>,
    closed: bool,
    ended: bool,
}

impl<J> Shared<J> {
    fn state(&self) -> MutexGuard<'_, State<J>> {
        // Nothing that could panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job and how many were dropped before it; `None` when there will be no more.
    fn next(&self) -> Option<(J, u64)> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some((job, std::mem::take(&mut state.dropped)));
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<J: Send + 'static> Worker<J> {
    /// For callbacks that may do anything.
    pub(crate) fn new(
        name: &'static str,
        most: usize,
        handler: impl Fn(J, u64) + Send + Sync + 'static,
    ) -> Self {
        Self::with_role(name, Role::Callbacks, most, handler)
    }

    /// For callbacks that jeton waits for: [`in_store_callback`] is true there.
    pub(crate) fn for_store(name: &'static str, handler: impl Fn(J, u64) + Send + Sync + 'static) -> Self {
        Self::with_role(name, Role::Store, usize::MAX, handler)
    }

    fn with_role(
        name: &'static str,
        role: Role,
        most: usize,
        handler: impl Fn(J, u64) + Send + Sync + 'static,
    ) -> Self {
        let state = State { jobs: VecDeque::new(), dropped: 0, thread: None, closed: false, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        Self { name, role, most, handler: Some(Arc::new(handler)), shared }
    }

    /// Hands over a job. Never waits for the callbacks.
    ///
    /// # Errors
    /// When the thread cannot be started; the job is dropped.
    pub(crate) fn push(&self, job: J) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.thread.is_none() {
            let Some(handler) = self.handler.clone() else { return Ok(()) };
            let shared = Arc::clone(&self.shared);
            // What it captures is dropped under the lock if this fails; the handler is not the last one then.
            state.thread = Some(spawn(self.name, self.role, move || work(&shared, handler))?);
        }
        state.jobs.push_back(job);
        // Dropped without the lock: a job may own anything.
        let oldest = if state.jobs.len() > self.most {
            state.dropped += 1;
            state.jobs.pop_front()
        } else {
            None
        };
        drop(state);
        self.shared.changed.notify_all();
        drop(oldest);
        Ok(())
    }
}

fn work<J>(shared: &Shared<J>, handler: Handler<J>) {
    while let Some((job, dropped)) = shared.next() {
        // A panic is a defect of jeton's, and no reason to leave the program without callbacks.
        let _ = catch_unwind(AssertUnwindSafe(|| handler(job, dropped)));
    }
    // `destroy` may be called in here, and is no callback of a store.
    ROLE.set(Role::Callbacks);
    let _ = catch_unwind(AssertUnwindSafe(move || drop(handler)));
    shared.state().ended = true;
    shared.changed.notify_all();
}

impl<J: Send + 'static> Drop for Worker<J> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        let thread = state.thread.take();
        drop(state);
        self.shared.changed.notify_all();
        // If the thread has it too, that drops it last.
        self.handler = None;
        let Some(thread) = thread else { return };
        if !may_wait() {
            return;
        }
        let begun = Instant::now();
        let mut state = self.shared.state();
        while !state.ended {
            let Some(left) = LAST_WAIT.checked_sub(begun.elapsed()) else { return };
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        // It has nothing left to do but to end.
        let _ = thread.join();
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    unsafe extern "C" fn count(userdata: *mut c_void) {
        // SAFETY: each test gives a leaked counter.
        unsafe { &*userdata.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
    }

    fn counter() -> &'static AtomicUsize {
        Box::leak(Box::default())
    }

    fn counting(counter: &'static AtomicUsize) -> Userdata {
        Userdata::new(std::ptr::from_ref(counter).cast_mut().cast(), Some(count))
    }

    #[test]
    fn userdata_is_destroyed_once_with_the_last_owner() {
        let counter = counter();
        let userdata = Arc::new(counting(counter));
        let other = Arc::clone(&userdata);
        drop(userdata);
        assert_eq!(counter.load(Ordering::SeqCst), 0);
        std::thread::spawn(move || drop(other)).join().unwrap();
        assert_eq!(counter.load(Ordering::SeqCst), 1);
        drop(Userdata::new(std::ptr::null_mut(), None));
    }

    #[test]
    fn userdata_whose_last_owner_is_a_task_is_destroyed_where_it_may_block() {
        unsafe extern "C" fn tell(userdata: *mut c_void) {
            // SAFETY: the test's sender, boxed.
            let told = unsafe { Box::from_raw(userdata.cast::<mpsc::Sender<bool>>()) };
            told.send(may_wait() || ROLE.get() == Role::Callbacks).unwrap();
            told.send(tokio::runtime::Handle::try_current().is_err()).unwrap();
        }

        let (done, seen) = mpsc::channel::<bool>();
        let userdata = Userdata::new(Box::into_raw(Box::new(done)).cast(), Some(tell));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.spawn(async move { drop(userdata) });
        assert_eq!(seen.iter().collect::<Vec<_>>(), [true, true]);
    }

    #[test]
    fn a_worker_does_its_jobs_in_order_on_one_thread_and_destroys_after_the_last() {
        let counter = counter();
        let userdata = counting(counter);
        let (done, seen) = mpsc::channel();
        let worker = Worker::new("test", usize::MAX, move |job: u32, _| {
            assert_eq!(userdata.pointer().cast_const().cast(), std::ptr::from_ref(counter));
            assert_eq!(counter.load(Ordering::SeqCst), 0, "destroyed before the last callback");
            done.send((job, std::thread::current().id())).unwrap();
        });
        for job in 0..100 {
            worker.push(job).unwrap();
        }
        drop(worker);
        assert_eq!(counter.load(Ordering::SeqCst), 1);
        let seen: Vec<_> = seen.iter().collect();
        assert_eq!(seen.iter().map(|(job, _)| *job).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert!(
            seen.iter().all(|(_, thread)| *thread == seen[0].1 && *thread != std::thread::current().id())
        );
    }

    #[test]
    fn a_worker_without_a_job_has_no_thread_and_destroys_all_the_same() {
        let counter = counter();
        let userdata = counting(counter);
        let worker = Worker::new("test", 1, move |(), _| assert!(!userdata.pointer().is_null()));
        assert!(worker.shared.state().thread.is_none());
        drop(worker);
        assert_eq!(counter.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_counts_them() {
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let (done, seen) = mpsc::channel();
        let worker = Worker::new("test", 3, move |job: u32, dropped| {
            done.send((job, dropped)).unwrap();
            gate.lock().unwrap().recv().unwrap();
        });
        worker.push(0).unwrap();
        assert_eq!(seen.recv().unwrap(), (0, 0));
        for job in 1..=8 {
            worker.push(job).unwrap();
        }
        for _ in 0..4 {
            open.send(()).unwrap();
        }
        drop(worker);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(6, 5), (7, 0), (8, 0)]);
    }

    #[test]
    fn a_worker_survives_a_panic_and_may_be_dropped_by_its_own_job() {
        let (done, seen) = mpsc::channel();
        let slot = Arc::new(Mutex::new(None::<Worker<u32>>));
        let own = Arc::clone(&slot);
        let worker = Worker::new("test", usize::MAX, move |job: u32, _| {
            if job == 0 {
                panic!("on purpose");
            }
            drop(own.lock().unwrap().take());
            done.send(job).unwrap();
        });
        *slot.lock().unwrap() = Some(worker);
        for job in 0..3 {
            if let Some(worker) = &*slot.lock().unwrap() {
                worker.push(job).unwrap();
            }
        }
        // Ends: the thread, and with it the sender, is gone.
        let seen: Vec<_> = seen.iter().collect();
        assert_eq!(seen[0], 1);
        assert!(slot.lock().unwrap().is_none());
    }

    #[test]
    fn only_a_stores_thread_is_one() {
        let (done, seen) = mpsc::channel();
        let of_store = done.clone();
        let store = Worker::for_store("test", move |(): (), _| of_store.send(in_store_callback()).unwrap());
        let other = Worker::new("test", 1, move |(): (), _| done.send(in_store_callback()).unwrap());
        store.push(()).unwrap();
        assert!(seen.recv().unwrap());
        other.push(()).unwrap();
        assert!(!seen.recv().unwrap());
        assert!(!in_store_callback());
    }
}
