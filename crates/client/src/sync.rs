//! What the concurrent core of a session is made of.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::AccessToken;

/// A place for a token that is read without a lock and replaced at once.
pub(crate) type TokenCell = ArcSwapOption<AccessToken>;

/// A token of a [`TokenCell`], borrowed.
pub(crate) type TokenGuard = arc_swap::Guard<Option<Arc<AccessToken>>>;
