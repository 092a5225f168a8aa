//! What the programs `micro` and `allocations` tell the one that started them.

use serde::{Deserialize, Serialize};

use crate::cases::Group;

/// The file of `micro`: one [`Timing`] in each line.
pub const TIMINGS: &str = "timings.jsonl";

/// How long a case takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timing {
    /// [`Case::id`](crate::cases::Case::id).
    pub id: String,
    /// Which table it belongs to.
    pub group: Group,
    /// The lower end of the median's 95 % confidence interval, the median, the upper end, in nanoseconds.
    pub nanoseconds: Option<[f64; 3]>,
    /// Why there is no time.
    pub not_here: Option<String>,
}

/// What one call or request allocates on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allocated {
    /// Allocations, and reallocations of what grows.
    pub count: f64,
    /// Bytes of them.
    pub bytes: f64,
}
