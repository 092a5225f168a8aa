//! `jeton_set_log`: what the library logs, told to a callback of the program's.
//!
//! The library has a copy of `tracing` of its own; the subscriber here is its default, installed at the first call and switched
//! on and off from then on. What jeton's crates log shows no secrets. What their dependencies log is nobody's promise, and is
//! left out.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::callbacks::{Userdata, Worker};
use crate::error::{JETON_ERROR_UNSUPPORTED, JETON_RECOVERY_GIVE_UP, jeton_error};
use crate::fallible;
use crate::strings::owned;
use crate::words::in_c_words;

/// Something went wrong, and the program should know.
pub const JETON_LOG_ERROR: i32 = 1;
/// Something is not as it should be, and jeton went on.
pub const JETON_LOG_WARN: i32 = 2;
/// What happens seldom.
pub const JETON_LOG_INFO: i32 = 3;
/// What happens at each request.
pub const JETON_LOG_DEBUG: i32 = 4;
/// Everything.
pub const JETON_LOG_TRACE: i32 = 5;

/// So many messages wait for a slow callback; beyond that the oldest are dropped, and their number is told.
const MOST: usize = 1_024;

/// The crates whose messages are passed on: their targets begin so.
const OWN_TARGETS: &str = "jeton";

/// Is told what the library logs: `level` is one of the `JETON_LOG_` constants, `target` the part of the library that speaks,
/// `message` the text, which shows no secrets. Both strings are lent for the call.
///
/// Runs on a thread of jeton's, one call at a time. It may take long (then messages are dropped and counted) and may call jeton.
/// It must return in the ordinary way: no exception, no longjmp.
pub type jeton_log_callback = Option<
    unsafe extern "C" fn(userdata: *mut c_void, level: i32, target: *const c_char, message: *const c_char),
>;

/// Sets the callback that is told what the library logs, for the whole process, in the place of the one before. A NULL callback
/// ends it: then logging costs next to nothing.
///
/// `max_level`: up to which level, one of the `JETON_LOG_` constants; not looked at if `callback` is NULL.
/// `userdata` is handed to the callback. `destroy` (may be NULL) is called once with it, on any thread, when another callback was
/// set and the last call of this one has ended; not if this function fails, and not for a NULL callback.
///
/// What was logged before is still told to the callback of that time. This call waits for that, at most two seconds, unless a
/// callback of jeton's makes it.
///
/// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT` for a level that is not known, `JETON_ERROR_UNSUPPORTED` if
/// something else in the process receives what this copy of the library logs (a program in Rust that links it statically).
///
/// # Safety
///
/// `callback` and `destroy` may be called with `userdata` on any thread; `error` is NULL or points to where a pointer can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_set_log(
    max_level: i32,
    callback: jeton_log_callback,
    userdata: *mut c_void,
    destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let Some(callback) = callback else {
                replace(0, None);
                return Ok(());
            };
            if !(JETON_LOG_ERROR..=JETON_LOG_TRACE).contains(&max_level) {
                return Err(jeton_error::argument(format!(
                    "{max_level} is no level; it must be one of JETON_LOG_ERROR (1) to JETON_LOG_TRACE (5)"
                )));
            }
            if !is_installed() {
                return Err(jeton_error::new(
                    JETON_ERROR_UNSUPPORTED,
                    JETON_RECOVERY_GIVE_UP,
                    "something else receives what this copy of the library logs",
                ));
            }
            let userdata = Userdata::new(userdata, destroy);
            let worker = Worker::new("jeton-log", MOST, move |line: Line, dropped| {
                // Only ever taken here: two callbacks, of which one replaces the other, do not run at once.
                let _one_at_a_time = locked(&DELIVERING);
                IS_TELLING.set(true);
                if dropped > 0 {
                    let note = Line::about_dropped(dropped);
                    tell(callback, &userdata, note);
                }
                tell(callback, &userdata, line);
                IS_TELLING.set(false);
            });
            replace(max_level, Some(worker));
            Ok(())
        })
    }
}

fn tell(
    callback: unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char),
    userdata: &Userdata,
    line: Line,
) {
    let (target, message) = (owned(line.target), owned(in_c_words(&line.message)));
    // SAFETY: the program gave both for this; the strings outlive the call.
    unsafe { callback(userdata.pointer(), line.level, target.as_ptr(), message.as_ptr()) }
}

/// The one who is told; `None` while nobody is.
static SINK: RwLock<Option<Worker<Line>>> = RwLock::new(None);
/// The level up to which it is told; 0 while nobody is.
static MAX_LEVEL: AtomicI32 = AtomicI32::new(0);
/// Keeps two calls of `jeton_set_log` from mixing level and sink.
static SWITCHING: Mutex<()> = Mutex::new(());
static DELIVERING: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether the callback runs on this thread: what it causes here is not told, or one message would follow another for ever.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
    /// The spans that this thread is in.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Nothing where the thread is ending and they are gone: what the program frees only then (in the destructor of a
/// `pthread_key_t`, in an `atexit` function) may still log.
fn with_entered(look: impl FnOnce(&mut Vec<u64>)) {
    let _ = ENTERED.try_with(|entered| {
        if let Ok(mut entered) = entered.try_borrow_mut() {
            look(&mut entered);
        }
    });
}

/// No code that can panic runs under these locks, but for callbacks, which cannot unwind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn replace(max_level: i32, sink: Option<Worker<Line>>) {
    let switching = locked(&SWITCHING);
    let earlier = std::mem::replace(&mut *SINK.write().unwrap_or_else(PoisonError::into_inner), sink);
    MAX_LEVEL.store(max_level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    drop(switching);
    // With no lock held: it tells what is left, and calls `destroy`.
    drop(earlier);
}

/// Whether the subscriber is the library's default, which it is made at the first call.
fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Log::default()).is_ok())
}

struct Line {
    level: i32,
    target: &'static str,
    message: String,
}

impl Line {
    fn about_dropped(dropped: u64) -> Self {
        let message = match dropped {
            1 => "1 message was dropped: the log callback is too slow".to_owned(),
            dropped => format!("{dropped} messages were dropped: the log callback is too slow"),
        };
        Self { level: JETON_LOG_WARN, target: "jeton::log", message }
    }
}

fn number_of(level: &Level) -> i32 {
    match *level {
        Level::ERROR => JETON_LOG_ERROR,
        Level::WARN => JETON_LOG_WARN,
        Level::INFO => JETON_LOG_INFO,
        Level::DEBUG => JETON_LOG_DEBUG,
        Level::TRACE => JETON_LOG_TRACE,
    }
}

#[derive(Default)]
struct Log {
    last_span: AtomicU64,
    spans: Mutex<HashMap<u64, Span>>,
}

struct Span {
    /// Its name and members: what a message within it begins with.
    text: String,
    owners: usize,
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked anew whenever the level changes.
        if self.enabled_at_all(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.enabled_at_all(metadata) && !IS_TELLING.get()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match MAX_LEVEL.load(Ordering::Relaxed) {
            JETON_LOG_ERROR => LevelFilter::ERROR,
            JETON_LOG_WARN => LevelFilter::WARN,
            JETON_LOG_INFO => LevelFilter::INFO,
            JETON_LOG_DEBUG => LevelFilter::DEBUG,
            JETON_LOG_TRACE => LevelFilter::TRACE,
            _ => LevelFilter::OFF,
        })
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.last_span.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::default();
        span.record(&mut fields);
        let text = format!("{}{{{}}}", span.metadata().name(), fields.into_text());
        locked(&self.spans).insert(id, Span { text, owners: 1 });
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        let added = fields.into_text();
        if let Some(span) = locked(&self.spans).get_mut(&span.into_u64())
            && span.text.pop().is_some()
        {
            // Before the closing brace.
            let _ = write!(span.text, " {added}}}");
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // For as long as it takes to queue the line: then whoever replaces the worker is the one who drops it.
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sink) = &*sink else { return };
        let mut message = String::new();
        with_entered(|entered| {
            if entered.is_empty() {
                return;
            }
            let spans = locked(&self.spans);
            for span in entered.iter().filter_map(|id| spans.get(id)) {
                let _ = write!(message, "{}: ", span.text);
            }
        });
        let mut fields = Fields::default();
        event.record(&mut fields);
        message.push_str(&fields.into_text());
        let metadata = event.metadata();
        // If no thread can be started there is nobody to tell that.
        let _ = sink.push(Line { level: number_of(metadata.level()), target: target_of(metadata), message });
    }

    fn enter(&self, span: &Id) {
        with_entered(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        with_entered(|entered| {
            if let Some(last) = entered.iter().rposition(|id| *id == span.into_u64()) {
                entered.remove(last);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = locked(&self.spans).get_mut(&id.into_u64()) {
            span.owners += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = locked(&self.spans);
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.owners -= 1;
        let is_last = span.owners == 0;
        if is_last {
            spans.remove(&id.into_u64());
        }
        is_last
    }
}

impl Log {
    fn enabled_at_all(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(OWN_TARGETS)
            && number_of(metadata.level()) <= MAX_LEVEL.load(Ordering::Relaxed)
    }
}

/// The crate that speaks, not its inner parts, which may change.
fn target_of(metadata: &Metadata<'static>) -> &'static str {
    let target = metadata.target();
    target.split_once("::").map_or(target, |(name, _)| name)
}

/// The message first, then the others as `name=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    fn into_text(self) -> String {
        let Self { mut message, others } = self;
        if !message.is_empty() && !others.is_empty() {
            message.push(' ');
        }
        message.push_str(&others);
        message
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let _ = if field.name() == "message" {
            self.message.write_fmt(value)
        } else {
            let space = if self.others.is_empty() { "" } else { " " };
            write!(self.others, "{space}{}={value}", field.name())
        };
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests;
