//! What must hold for any input of jeton's parsers: one module for each target, each with a function `check` that panics
//! where something does not hold.
//!
//! The same functions are driven by libFuzzer (`fuzz_targets/`, `cargo xtask fuzz`) and, on any toolchain, by the tests of
//! the workspace (`tests/tests/fuzz_corpus.rs`), which takes this file in as a module.

mod answer;
pub mod authorization_details;
pub mod authorization_response;
pub mod backchannel_answer;
pub mod client_registration;
pub mod device_answer;
pub mod dialect_answer;
mod disguise;
pub mod dpop;
pub mod endpoint_answer;
pub mod error_answer;
mod exchange;
pub mod id_token;
pub mod introspection_answer;
pub mod issuer;
pub mod jwk_set;
pub mod jwt;
pub mod login_record;
pub mod metadata;
pub mod profiles;
mod property;
pub mod pushed_answer;
pub mod resource_metadata;
pub mod retry_after;
pub mod scope;
pub mod sealed_record;
pub mod signed_response;
pub mod token_answer;
pub mod user_info;
pub mod www_authenticate;

/// A target by its name, which is also that of its corpus and of its dictionary.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("authorization_details", authorization_details::check),
    ("authorization_response", authorization_response::check),
    ("backchannel_answer", backchannel_answer::check),
    ("client_registration", client_registration::check),
    ("device_answer", device_answer::check),
    ("dialect_answer", dialect_answer::check),
    ("dpop", dpop::check),
    ("endpoint_answer", endpoint_answer::check),
    ("error_answer", error_answer::check),
    ("id_token", id_token::check),
    ("introspection_answer", introspection_answer::check),
    ("issuer", issuer::check),
    ("jwk_set", jwk_set::check),
    ("jwt", jwt::check),
    ("login_record", login_record::check),
    ("metadata", metadata::check),
    ("profiles", profiles::check),
    ("pushed_answer", pushed_answer::check),
    ("resource_metadata", resource_metadata::check),
    ("retry_after", retry_after::check),
    ("scope", scope::check),
    ("sealed_record", sealed_record::check),
    ("signed_response", signed_response::check),
    ("token_answer", token_answer::check),
    ("user_info", user_info::check),
    ("www_authenticate", www_authenticate::check),
];
