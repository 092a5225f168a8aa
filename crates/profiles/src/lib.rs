//! What OAuth 2.0 providers do otherwise than the RFCs say, as data.
//!
//! jeton speaks as the RFCs say and forgives answers that do not; each leniency is a warning. A [`Profile`] says what is to be
//! expected of one provider: its endpoints, its names for parameters and members, what it leaves out. With it requests are the
//! provider's, and what the provider always does is no warning any more. It is data: there is no code for any of them.
//!
//! In jeton-client (feature `profiles`) a profile is a line of the builder, `.provider(Profile::named("github")?)`; what the builder sets
//! itself wins. With jeton-grants alone, [`Profile::provider`] gives what a `GrantContext` takes.
//!
//! ```
//! use jeton_profiles::{Catalog, Profile};
//! use jeton_models::Warning;
//!
//! let github = Profile::named("github")?;
//! assert!(github.silences(&Warning::FormEncoded));
//!
//! // Which profile expects what a warning is about?
//! let names: Vec<_> = Catalog::built_in()
//!     .silencing(&Warning::ExpiresInString, None)
//!     .iter()
//!     .map(|profile| profile.name())
//!     .collect();
//! assert!(names.contains(&"paypal"));
//! # Ok::<(), jeton_profiles::ProfileError>(())
//! ```
//!
//! # A profile in TOML
//! [`Profile::from_toml`] and [`Catalog::from_toml`] read tables like these; the built-in ones are written so, too. Each key may
//! be absent, and an unknown one is an error that names the known one that is most like it.
//!
//! | key | what it says |
//! |---|---|
//! | `title`, `about` | for people |
//! | `issuer` | without a `token_endpoint` the rest is discovered from it |
//! | `authorization_endpoint`, `token_endpoint`, `device_authorization_endpoint`, `revocation_endpoint`, `introspection_endpoint`, `userinfo_endpoint`, `end_session_endpoint`, `jwks_uri` | where they are: HTTPS |
//! | `refresh_endpoint` | where refresh requests go, if not to the token endpoint |
//! | `client_authentication` | `client_secret_basic` (unless set), `client_secret_post`, `basic_for_everybody` (with an empty secret for public clients), `signed_client_secret` |
//! | `signed_secret_audience` | the audience of a secret that the client signs |
//! | `placeholders.NAME` | what is left open: `kind` (`label`, `host`, `segment`, `text`), `about`, `example`, `default`, `optional`. `{NAME}` stands for it in URLs, parameters and headers |
//! | `renames` | the RFC's names of parameters and the provider's |
//! | `omits` | parameters that are refused: an array, or a table by the kind of request |
//! | `parameters.KIND` | parameters to send unless the program sets them: `authorization`, `token`, `refresh`, `device_authorization` |
//! | `headers` | further headers |
//! | `scope_separator` | what goes between the names of a scope, both ways |
//! | `granted_scope_separator` | the same of answers alone |
//! | `request_format` | `form` (unless set) or `json` |
//! | `pkce` | `standard` (unless set; who does not know it ignores it), `hex`, `omitted` (where it is refused; the client must have a secret) |
//! | `authorization_fragment` | the fragment of the authorization URL |
//! | `code_parameter` | the name of `code` in the redirected URL |
//! | `keeps` | parameters of the redirected URL that are kept with the token |
//! | `tolerates` | codes of the warnings that are no news here |
//! | `members` | the provider's names of members, as paths with dots, and the RFC's |
//! | `nested`, `prefers_nested` | the member in whose object the token stands |
//! | `bearer_types` | values of `token_type` that mean Bearer |
//! | `zero_is_never` | whether `expires_in: 0` means that the token never expires |
//! | `error_members` | where an error has its code, beside `error` |
//! | `error_codes` | the provider's error codes or texts and the registered ones |
#![doc = include_str!("../PROVIDERS.md")]

mod catalog;
mod error;
mod placeholder;
mod profile;
mod provider;
mod read;

pub use catalog::{Catalog, advice};
pub use error::ProfileError;
pub use placeholder::{Placeholder, PlaceholderKind};
pub use profile::{AuthenticationMethod, Profile, ProfileBuilder};
pub use provider::Provider;

/// The README's example is compiled and run like the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
