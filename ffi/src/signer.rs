//! `jeton_signer`: a private key that stays where it is, in a hardware module or an agent; and keys that the configuration has.

use std::ffi::{c_char, c_void};

use crate::config::jeton_config;
#[cfg(not(feature = "jose"))]
use crate::error::Failure;
use crate::error::jeton_error;
use crate::fallible;

/// The key that the client authenticates with (JETON_AUTHENTICATION_PRIVATE_KEY_JWT), and signs its authorization requests with.
pub const JETON_SIGNER_CLIENT: i32 = 1;
/// The key that tokens are bound to (JETON_OPTION_DPOP), instead of one that jeton makes for each login.
pub const JETON_SIGNER_DPOP: i32 = 2;

/// Signs with a private key that the program does not give away: for jeton_config_set_signer.
///
/// `sign` runs on threads of jeton's, for several requests at once. It may take long, block, and call any function of jeton.
/// It must return in the ordinary way: no exception, no longjmp.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct jeton_signer {
    /// sizeof(jeton_signer).
    pub struct_size: usize,
    /// Handed to each callback.
    pub userdata: *mut c_void,
    /// The algorithm of its signatures, always the same: "RS256", "PS256", "ES256", "ES384", "EdDSA", .. Copied.
    pub algorithm: *const c_char,
    /// The name under which the server knows the public key (the header "kid"), or NULL. Copied.
    pub key_id: *const c_char,
    /// The public key as a JWK (RFC 7517) in JSON. Needed for JETON_SIGNER_DPOP, else NULL. Copied.
    pub public_jwk: *const c_char,
    /// Signs `length` bytes at `message`: writes the signature, at most `capacity` bytes (1024 or more), to `signature`, and its
    /// length to `signature_length`. In the form of RFC 7518: for ECDSA r and s in their full length, not DER. Returns 0, or
    /// anything else if the key cannot be used now: then the call ends with an error that names that number. Never NULL.
    pub sign: Option<
        unsafe extern "C" fn(
            userdata: *mut c_void,
            message: *const u8,
            length: usize,
            signature: *mut u8,
            capacity: usize,
            signature_length: *mut usize,
        ) -> i32,
    >,
    /// Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. May be NULL.
    pub destroy: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
}

/// Sets a key that signs, in the place of one that was set before for the same purpose (whose `destroy` is called, if nothing
/// else uses it).
///
/// `purpose`: a `JETON_SIGNER_` constant. `signer`: the struct and its strings are copied; its `userdata` belongs to jeton from
/// here on, until its `destroy` is called. If this function fails, that is not called.
///
/// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if an argument is NULL, the purpose or the algorithm is
/// not known, `sign` is NULL, `struct_size` is wrong, or the public key is none or is absent where it is needed;
/// `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose".
///
/// # Safety
///
/// `config` is NULL or a live handle that no other thread uses; `signer` is NULL or points to a `jeton_signer` of the size that it
/// says, whose strings are NULL or NUL-terminated and whose functions may be called with its `userdata` on any thread; `error` is
/// NULL or points to where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jeton_config_set_signer(
    config: *mut jeton_config,
    purpose: i32,
    signer: *const jeton_signer,
    error: *mut *mut jeton_error,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe {
        fallible(error, || {
            let config = crate::callbacks::handle_mut(config, "config")?;
            if !matches!(purpose, JETON_SIGNER_CLIENT | JETON_SIGNER_DPOP) {
                return Err(jeton_error::argument(format!(
                    "{purpose} is no purpose of a signer: use one of the JETON_SIGNER_ constants"
                )));
            }
            let signer = crate::callbacks::read_struct(signer, "jeton_signer")?;
            set(config, purpose, signer)
        })
    }
}

#[cfg(not(feature = "jose"))]
unsafe fn set(_: &mut jeton_config, _: i32, _: jeton_signer) -> Result<(), Failure> {
    Err(jeton_error::unsupported("jeton_config_set_signer", "jose"))
}

#[cfg(feature = "jose")]
use keys::set;
#[cfg(feature = "jose")]
pub(crate) use keys::{SharedSigner, client_signer, dpop_signer, private_key_algorithm};

#[cfg(feature = "jose")]
mod keys {
    use std::sync::Arc;

    use async_trait::async_trait;
    use jeton::jose::{Jwk, SignError};
    use jeton::{JwsAlgorithm, Secret, Signer, SigningKey};
    use tokio::sync::oneshot;

    use super::{JETON_SIGNER_CLIENT, JETON_SIGNER_DPOP, jeton_signer};
    use crate::callbacks::{Userdata, on_own_thread};
    use crate::config::*;
    use crate::error::{CallbackError, Failure, jeton_error};
    use crate::strings::{optional_text, text};

    /// Room for a signature by an RSA key of 8192 bits, the longest that anybody uses.
    const LONGEST_SIGNATURE: usize = 1024;

    pub(crate) type SharedSigner = Arc<dyn Signer>;

    /// # Safety
    ///
    /// As `jeton_config_set_signer` has it.
    pub(super) unsafe fn set(
        config: &mut jeton_config,
        purpose: i32,
        functions: jeton_signer,
    ) -> Result<(), Failure> {
        // SAFETY: as the caller promises.
        let (algorithm, key_id, public_jwk) = unsafe {
            (
                text(functions.algorithm, "algorithm")?,
                optional_text(functions.key_id, "key_id")?,
                optional_text(functions.public_jwk, "public_jwk")?,
            )
        };
        let public_jwk = public_jwk.map(|json| {
            Jwk::parse(json).map_err(|error| {
                jeton_error::argument(format!("the public_jwk of the signer is no public key: {error}"))
            })
        });
        let public_jwk = public_jwk.transpose()?;
        if purpose == JETON_SIGNER_DPOP && public_jwk.is_none() {
            return Err(jeton_error::argument(
                "the public_jwk of the signer is NULL; JETON_SIGNER_DPOP needs it, for proofs carry the public key",
            ));
        }
        if functions.sign.is_none() {
            return Err(jeton_error::argument("the sign of the jeton_signer is NULL; it must be a function"));
        }
        let signer = CallbackSigner(Arc::new(Callbacks {
            algorithm: algorithm.parse().map_err(|_| {
                jeton_error::argument(format!(
                    "the algorithm of the signer is {algorithm:?}; use a name such as \"ES256\" or \"RS256\""
                ))
            })?,
            key_id: key_id.map(str::to_owned),
            public_jwk,
            functions,
            userdata: Userdata::new(functions.userdata, functions.destroy),
        }));
        drop(config.signers.insert(purpose, Arc::new(signer)));
        Ok(())
    }

    struct Callbacks {
        algorithm: JwsAlgorithm,
        key_id: Option<String>,
        public_jwk: Option<Jwk>,
        functions: jeton_signer,
        userdata: Userdata,
    }

    // SAFETY: the pointers inside are functions and the program's `userdata`, meant for any thread; the strings were copied and are
    // not looked at any more.
    unsafe impl Send for Callbacks {}
    // SAFETY: as above; nothing changes.
    unsafe impl Sync for Callbacks {}

    struct CallbackSigner(Arc<Callbacks>);

    impl Callbacks {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CallbackError> {
            let failed =
                |result| CallbackError { what: "the callback sign of the signer".to_owned(), result };
            let Some(sign) = self.functions.sign else { return Err(failed(-1)) };
            let mut signature = vec![0; LONGEST_SIGNATURE];
            let mut length = 0;
            // SAFETY: the program gave the function for this; all that it gets outlives the call.
            let result = unsafe {
                sign(
                    self.userdata.pointer(),
                    message.as_ptr(),
                    message.len(),
                    signature.as_mut_ptr(),
                    signature.len(),
                    &raw mut length,
                )
            };
            if result != 0 {
                return Err(failed(result));
            }
            if length == 0 || length > signature.len() {
                return Err(CallbackError {
                    what: "the callback sign of the signer, which wrote no signature,".to_owned(),
                    result,
                });
            }
            signature.truncate(length);
            Ok(signature)
        }
    }

    #[async_trait]
    impl Signer for CallbackSigner {
        fn algorithm(&self) -> JwsAlgorithm {
            self.0.algorithm
        }

        fn key_id(&self) -> Option<&str> {
            self.0.key_id.as_deref()
        }

        fn public_jwk(&self) -> Option<&Jwk> {
            self.0.public_jwk.as_ref()
        }

        async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            let (callbacks, message) = (Arc::clone(&self.0), message.to_vec());
            let (answer, answered) = oneshot::channel();
            on_own_thread(move || drop(answer.send(callbacks.sign(&message)))).map_err(SignError::other)?;
            match answered.await {
                Ok(signed) => signed.map_err(SignError::other),
                Err(error) => Err(SignError::other(error)),
            }
        }
    }

    /// The key that the client signs with: the program's, or the one that stands in the configuration.
    pub(crate) fn client_signer(config: &jeton_config) -> Result<Option<SharedSigner>, Failure> {
        let own = config.signers.get(&JETON_SIGNER_CLIENT);
        let key = private_key(config)?;
        match (own, key) {
            (Some(_), Some(_)) => Err(jeton_error::configuration(
                "both JETON_OPTION_PRIVATE_KEY and a signer (jeton_config_set_signer) are set; remove one of the two",
            )),
            (Some(own), None) => Ok(Some(own.clone())),
            (None, key) => Ok(key.map(|key| Arc::new(key) as SharedSigner)),
        }
    }

    pub(crate) fn dpop_signer(config: &jeton_config) -> Option<SharedSigner> {
        config.signers.get(&JETON_SIGNER_DPOP).cloned()
    }

    /// The algorithm that is set, if one is.
    pub(crate) fn private_key_algorithm(config: &jeton_config) -> Result<Option<JwsAlgorithm>, Failure> {
        let Some(name) = config.string(JETON_OPTION_PRIVATE_KEY_ALGORITHM) else { return Ok(None) };
        name.parse().map(Some).map_err(|_| {
            jeton_error::configuration(format!(
                "JETON_OPTION_PRIVATE_KEY_ALGORITHM is {name:?}; use a name such as \"ES256\" or \"RS256\""
            ))
        })
    }

    fn private_key(config: &jeton_config) -> Result<Option<SigningKey>, Failure> {
        let Some(text) = config.secret_text(JETON_OPTION_PRIVATE_KEY) else { return Ok(None) };
        let algorithm = private_key_algorithm(config)?;
        let is_jwk = text.trim_start().starts_with('{');
        let key = match (is_jwk, algorithm) {
            (true, None) => SigningKey::from_jwk(&Secret::from(text)),
            (true, Some(algorithm)) => SigningKey::from_jwk_for(&Secret::from(text), algorithm),
            (false, Some(algorithm)) => SigningKey::from_pem(text, algorithm),
            (false, None) => {
                return Err(jeton_error::configuration(
                    "JETON_OPTION_PRIVATE_KEY is in PEM, which does not say by which algorithm to sign; set \
                     JETON_OPTION_PRIVATE_KEY_ALGORITHM, such as \"ES256\"",
                ));
            }
        };
        let key =
            key.map_err(|error| jeton_error::configuration(format!("JETON_OPTION_PRIVATE_KEY: {error}")))?;
        Ok(Some(match config.string(JETON_OPTION_PRIVATE_KEY_ID) {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        }))
    }
}
