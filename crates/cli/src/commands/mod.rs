//! The commands, one file each.

pub(crate) mod claims;
pub(crate) mod completions;
#[cfg(feature = "devserver")]
pub(crate) mod devserver;
pub(crate) mod doctor;
pub(crate) mod git_credential;
pub(crate) mod headers;
pub(crate) mod introspect;
pub(crate) mod kubectl;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod refresh;
pub(crate) mod request;
pub(crate) mod revoke;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod trace;
