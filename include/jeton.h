/* jeton.h: sign in once and stay signed in. An OAuth 2.0 client for C and everything that speaks C.
 *
 * Generated from ffi/src by `cargo xtask header`; do not edit.
 *
 * A service that calls an API, whole: compile with `cc service.c -ljeton`.
 *
 *     #include <jeton.h>
 *     #include <stdio.h>
 *     #include <string.h>
 *
 *     int main(void) {
 *         const char *secret = "s3cr3t";
 *         jeton_error *error = NULL;
 *         jeton_client *client = NULL;
 *         jeton_session *session = NULL;
 *         jeton_request *request = NULL;
 *         jeton_response *response = NULL;
 *         jeton_config *config = jeton_config_new();
 *         jeton_config_set_str(config, JETON_OPTION_ISSUER, "https://as.example", NULL);
 *         jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, "my-service", NULL);
 *         jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, (const uint8_t *)secret, strlen(secret), NULL);
 *         jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS, NULL);
 *         jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, "https://api.example", NULL);
 *         if (jeton_client_new(config, &client, &error) == JETON_OK &&
 *             jeton_client_session(client, NULL, &session, &error) == JETON_OK &&
 *             jeton_session_request(session, "GET", "https://api.example/things", &request, &error) == JETON_OK &&
 *             jeton_request_send(request, NULL, &response, &error) == JETON_OK)
 *             printf("%d %s\n", (int)jeton_response_status(response), (const char *)jeton_response_body(response, NULL));
 *         else
 *             fprintf(stderr, "%s\n", jeton_error_message(error));
 *         int failed = response == NULL;
 *         jeton_response_free(response);
 *         jeton_request_free(request);
 *         jeton_session_free(session);
 *         jeton_client_free(client);
 *         jeton_config_free(config);
 *         jeton_error_free(error);
 *         return failed;
 *     }
 *
 * A program that only wants the token asks jeton_session_token before each request, and gets the cached one as long as
 * it is valid. A person logs in with jeton_session_log_in, and the store (JETON_OPTION_STORE) keeps the login for later
 * runs.
 *
 * The same conventions everywhere:
 *
 * - Statuses. What can fail returns a status, int32_t, of which JETON_OK is 0. Its last argument, jeton_error **error,
 *   may be NULL; else *error is NULL after success, and after a failure an error that says what was wrong and what to
 *   do: free it with jeton_error_free. There is no errno and no last error of a thread. After a failure whatever else
 *   the call hands out is NULL. Later versions may add statuses: treat one that you do not know like
 *   JETON_ERROR_INTERNAL.
 * - Handles. Each type has a function of its own to free it; nothing else ends a handle, and NULL may be freed. A handle
 *   that is made of another does not need that one any more: free them in any order.
 * - NULL. Any pointer may be NULL without a crash: the call answers JETON_ERROR_INVALID_ARGUMENT, and a getter NULL, 0
 *   or JETON_NEVER. A handle that was freed before is not recognised.
 * - Strings in are NUL-terminated UTF-8; secrets and bodies are a pointer and a length. They are copied, or read during
 *   the call only. Strings out are UTF-8, borrowed from their handle, and live until it is freed; a NUL that a server
 *   sent within one is shown as U+FFFD. Those that hold secrets are wiped then.
 * - Time. Names end in _ms: int64_t, milliseconds; in _at_ms: milliseconds of Unix time. JETON_NEVER: not known, never.
 * - Yes and no are int32_t, 1 and 0. Constants are numbers, never C enums.
 * - Structs of the program's begin with struct_size: set it to sizeof, and everything else that is not used to 0 or
 *   NULL. They are copied.
 * - Threads. Each type says how it may be used: configurations and requests by one thread at a time, the others by any
 *   number. Calls that block say so; what takes a jeton_cancel comes back when another thread cancels it.
 * - Callbacks run on threads of jeton's, and each says what it may do. No lock of jeton's is held meanwhile. userdata
 *   is handed back as it came; destroy, unless NULL, runs exactly once, when nothing can call back any more. No C++
 *   exception and no longjmp may leave a callback.
 * - Processes. The child of a fork that does not exec must not use jeton: its threads are not there. The library must
 *   not be unloaded (dlclose) once it was used: its threads may still be ending.
 * - Versions. What is here stays as it is within a major version (while that is 0, within 0.MINOR); later ones add to
 *   it. jeton_version tells which library is loaded, jeton_has_feature what it can do.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef JETON_H
#define JETON_H

#include <stddef.h>
#include <stdint.h>

// The version of this header. The version of the library that is loaded: jeton_version().
#define JETON_VERSION "0.1.0"
#define JETON_VERSION_MAJOR 0
#define JETON_VERSION_MINOR 1
#define JETON_VERSION_PATCH 0
// major << 16 | minor << 8 | patch, for comparisons in the preprocessor too.
#define JETON_VERSION_NUMBER 0x000100


// Something went wrong, and the program should know.
#define JETON_LOG_ERROR 1

// Something is not as it should be, and jeton went on.
#define JETON_LOG_WARN 2

// What happens seldom.
#define JETON_LOG_INFO 3

// What happens at each request.
#define JETON_LOG_DEBUG 4

// Everything.
#define JETON_LOG_TRACE 5

/* ---- Statuses: what every function that can fail returns ---- */

// The call did what it was asked for.
#define JETON_OK 0

// An argument is wrong: NULL where a value is needed, invalid UTF-8, a wrong `struct_size`, an option that is not
// known or takes another type, a pending login that was used before, a call from where it is not allowed.
#define JETON_ERROR_INVALID_ARGUMENT 1

// The configuration cannot work; the message says what to set.
#define JETON_ERROR_CONFIGURATION 2

// There is no login to use, and a person has to log in: call jeton_session_log_in.
#define JETON_ERROR_LOGIN_REQUIRED 3

// Ended by jeton_cancel_cancel, or the person or the program gave up the login.
#define JETON_ERROR_CANCELLED 4

// No answer came from the authorization server.
#define JETON_ERROR_NETWORK 5

// The authorization server answered an OAuth error, in an answer or in a redirect: jeton_error_oauth_code.
#define JETON_ERROR_OAUTH 6

// The authorization server's answer cannot be used.
#define JETON_ERROR_ANSWER 7

// The store of logins failed: locked, full, damaged, not permitted, in use.
#define JETON_ERROR_STORE 8

// An earlier try failed and it is too early for the next one: jeton_error_retry_after_ms. Nothing was sent.
#define JETON_ERROR_BACKING_OFF 9

// The URL belongs to none of the client's resource servers: the token does not go there.
#define JETON_ERROR_FOREIGN_ORIGIN 10

// An authenticated request got no answer, or cannot be sent as it is.
#define JETON_ERROR_REQUEST 11

// The person could not be reached, or did not answer in time.
#define JETON_ERROR_INTERACTION 12

// A callback of the program returned an error: jeton_error_callback_result.
#define JETON_ERROR_CALLBACK 13

// This build of the library lacks the feature: jeton_has_feature.
#define JETON_ERROR_UNSUPPORTED 14

// jeton_session_cached only: there is no valid token in memory. jeton_session_token gets one.
#define JETON_ERROR_NOT_CACHED 15

// A defect of jeton: a panic was caught. Please report it.
#define JETON_ERROR_INTERNAL 16

/* ---- What to do about an error: jeton_error_recovery ---- */

// Try the same call again later, after jeton_error_retry_after_ms if that is known.
#define JETON_RECOVERY_RETRY 1

// Log in (again): jeton_session_log_in.
#define JETON_RECOVERY_LOG_IN 2

// The request itself is wrong: its scope, its resource, its parameters, the arguments of the call.
#define JETON_RECOVERY_FIX_REQUEST 3

// The configuration is wrong: client identifier, secret, endpoint, redirect URI, permissions of a folder.
#define JETON_RECOVERY_FIX_CONFIGURATION 4

// There is nothing that the program could do.
#define JETON_RECOVERY_GIVE_UP 5

/* ---- Points in time and waits that are not known ---- */

// What the getters for points in time (`_at_ms`) and waits (`_after_ms`) answer for "not known" or "never".
#define JETON_NEVER (-1)

/* ---- Kinds of events ---- */

// Somebody logged in through this client.
#define JETON_EVENT_LOGGED_IN 1

// This process obtained a new access token.
#define JETON_EVENT_REFRESHED 2

// The server refused the refresh token for good; `message` says why. Somebody has to log in again.
#define JETON_EVENT_LOGIN_ENDED 3

// A new token could not be stored; `message` says why. It is used all the same, and stored as soon as that works; if
// the process ends before, the login may be lost.
#define JETON_EVENT_PERSIST_FAILED 4

// Somebody logged out through this client.
#define JETON_EVENT_LOGGED_OUT 5

// The login is gone from the store: another process logged out.
#define JETON_EVENT_LOGGED_OUT_ELSEWHERE 6

/* ---- What try_lock of a store answers ---- */

// The answer of a store's `try_lock` when somebody else has the lock.
#define JETON_STORE_BUSY 1

/* ---- Options: the authorization server ---- */

// String: the issuer identifier of the authorization server, an HTTPS URL exactly as the server spells it. Its
// endpoints are discovered from there at the first use (RFC 8414, OpenID Connect Discovery).
#define JETON_OPTION_ISSUER 1

// String: the URL of the token endpoint, for servers without discovery, or instead of the discovered one. So are the
// four options that follow.
#define JETON_OPTION_TOKEN_ENDPOINT 2

// String: the URL of the authorization endpoint.
#define JETON_OPTION_AUTHORIZATION_ENDPOINT 3

// String: the URL of the device authorization endpoint (RFC 8628).
#define JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT 4

// String: the URL of the revocation endpoint (RFC 7009).
#define JETON_OPTION_REVOCATION_ENDPOINT 5

// String: the URL of the introspection endpoint (RFC 7662).
#define JETON_OPTION_INTROSPECTION_ENDPOINT 6

// String: the server's whole metadata document, JSON of RFC 8414. Nothing is discovered then.
#define JETON_OPTION_METADATA 7

/* ---- Options: the client ---- */

// String, required: the client identifier that the server gave this program.
#define JETON_OPTION_CLIENT_ID 20

// Secret: the client secret, UTF-8. A program without one is a public client.
#define JETON_OPTION_CLIENT_SECRET 21

// Number: how the client authenticates, a `JETON_AUTHENTICATION_` constant. Unless set: Basic where there is a
// secret, else none.
#define JETON_OPTION_CLIENT_AUTHENTICATION 22

// Secret: the client's private key, PEM (PKCS#8, PKCS#1, SEC1; not encrypted) or a JWK in JSON. For
// JETON_AUTHENTICATION_PRIVATE_KEY_JWT and JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS. A key that stays where it is:
// jeton_config_set_signer.
#define JETON_OPTION_PRIVATE_KEY 23

// String: the algorithm of the private key's signatures, such as "ES256", "RS256", "PS256", "EdDSA". Needed for PEM; a JWK may
// name it itself. For JETON_AUTHENTICATION_CLIENT_SECRET_JWT: "HS256" (unless set), "HS384" or "HS512".
#define JETON_OPTION_PRIVATE_KEY_ALGORITHM 24

// String: the name under which the server knows the private key's public one (the header "kid").
#define JETON_OPTION_PRIVATE_KEY_ID 25

// String: the client's certificate and those that lead to its authority, in PEM (RFC 8705). Connections to the authorization
// server and to the resource servers show it.
#define JETON_OPTION_CLIENT_CERTIFICATE 26

// Secret: the private key of that certificate, in PEM.
#define JETON_OPTION_CLIENT_CERTIFICATE_KEY 27

// String: the name of the profile of a provider that does some things otherwise than the RFCs say, such as "github": its
// endpoints, and how it wants its requests. What is set besides wins.
#define JETON_OPTION_PROVIDER 28

// String, may be set several times: what the profile leaves open, as "name=value", such as "shop=my-shop".
#define JETON_OPTION_PROVIDER_VALUE 29

/* ---- Options: how a first token is obtained, and for what ---- */

// Number: how a first token is obtained, a `JETON_GRANT_` constant. Unless set, there are jeton_session_begin_log_in
// and jeton_session_adopt only.
#define JETON_OPTION_GRANT 30

// String: the scope to ask for, names separated by spaces.
#define JETON_OPTION_SCOPE 31

// String, may be set several times: a resource to ask for, by its identifier, an absolute URI (RFC 8707). The origin
// of an HTTPS URL may get the token in requests, too.
#define JETON_OPTION_RESOURCE 32

// String, may be set several times: an origin that may get the token in requests, such as "https://api.example". No
// other one ever gets it.
#define JETON_OPTION_RESOURCE_SERVER 33

// String: the person's name, for JETON_GRANT_PASSWORD.
#define JETON_OPTION_USERNAME 34

// Secret: the person's password, UTF-8, for JETON_GRANT_PASSWORD.
#define JETON_OPTION_PASSWORD 35

// String: the host of the redirect URI, for JETON_GRANT_AUTHORIZATION_CODE: "127.0.0.1" (unless set), "[::1]" or
// "localhost". The listener is on loopback in any case.
#define JETON_OPTION_REDIRECT_HOST 36

// Number: the port of the redirect URI, 0 (any free one, unless set) to 65535.
#define JETON_OPTION_REDIRECT_PORT 37

// String: the path of the redirect URI; "/callback" unless set.
#define JETON_OPTION_REDIRECT_PATH 38

// Number, 0 or 1: PKCE in the device grant too, for servers that take it there. 0 unless set.
#define JETON_OPTION_DEVICE_PKCE 39

// String: what to ask for beyond a scope, a JSON array of objects, each with a "type" (RFC 9396).
#define JETON_OPTION_AUTHORIZATION_DETAILS 40

// Number, 0 or 1: authorization requests go to the server first, and the browser gets a reference to them (RFC 9126): 1 always,
// 0 never. Unless set: where the server requires it.
#define JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS 41

// Number, 0 or 1: authorization requests are signed with the client's private key (RFC 9101). 0 unless set.
#define JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS 42

// Number, 0 or 1: the server signs what it answers to authorization requests (JARM). 0 unless set.
#define JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES 43

// Number, 0 or 1: tokens are bound to a key that never leaves this program and its store (DPoP, RFC 9449), so that a stolen one is
// worth nothing. 0 unless set.
#define JETON_OPTION_DPOP 44

// Number, 0 or 1: the FAPI 2.0 Security Profile: pushed requests, bound tokens (JETON_OPTION_DPOP or a client certificate), and a
// client that authenticates with a key. What is missing is told. 0 unless set.
#define JETON_OPTION_FAPI2_SECURITY_PROFILE 45

/* ---- Options: where logins are kept ---- */

// Number: where logins are kept, a `JETON_STORE_` constant. `JETON_STORE_MEMORY` unless set.
#define JETON_OPTION_STORE 50

// String: the folder of the stores of files, and of the locks of JETON_STORE_KEYRING. Unless set, the platform's
// default place.
#define JETON_OPTION_STORE_FOLDER 51

// String: JETON_STORE_KEYRING: the service of the keychain's entries ("jeton" unless set). JETON_STORE_AUTOMATIC,
// required: the program's name, best under a domain of yours ("com.example.my-tool"). JETON_STORE_SEALED with
// neither key nor passphrase: the service of the keychain's entry for the key ("jeton" unless set).
#define JETON_OPTION_STORE_SERVICE 52

// Secret: 32 random bytes that files are sealed with: JETON_STORE_SEALED and JETON_STORE_AUTOMATIC.
#define JETON_OPTION_STORE_KEY 53

// Secret: the passphrase, UTF-8, that files are sealed with: JETON_STORE_SEALED and JETON_STORE_AUTOMATIC.
#define JETON_OPTION_STORE_PASSPHRASE 54

// Number, 0 or 1: JETON_STORE_AUTOMATIC may take a file that is not encrypted where there is nothing better. 0
// unless set.
#define JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE 55

/* ---- Options: HTTP ---- */

// String: the proxy, such as "http://user:password@proxy.example:8080". Unless set, what the environment or the
// system says.
#define JETON_OPTION_PROXY 60

// Number, 0 or 1: no proxy, whatever the environment says.
#define JETON_OPTION_NO_PROXY 61

// String, may be set several times: certificate authorities in PEM to trust beside the platform's.
#define JETON_OPTION_CA_CERTIFICATES 62

// String: the header `User-Agent`. "jeton/" and the version unless set.
#define JETON_OPTION_USER_AGENT 63

// Number, milliseconds: how long connecting may take. 10000 unless set.
#define JETON_OPTION_CONNECT_TIMEOUT_MS 64

// Number, milliseconds: how long a whole request to the authorization server may take. 30000 unless set.
#define JETON_OPTION_REQUEST_TIMEOUT_MS 65

// Number, bytes: the largest answer of the authorization server that is read. 1 MiB unless set.
#define JETON_OPTION_MAX_BODY 66

/* ---- Options: behaviour ---- */

// Number, 0 or 1: what would be a warning on a token (jeton_token_warning_count) is an error. 0 unless set.
#define JETON_OPTION_STRICT 70

// Number, milliseconds: how long before its expiry a token counts as expired. 30000 unless set, and never more than
// a fifth of the token's lifetime.
#define JETON_OPTION_EARLY_EXPIRY_MS 71

// Number, 0 or 1: refresh in the background shortly before a token in use expires, so that a busy caller never
// waits. For long-running programs; 0 unless set.
#define JETON_OPTION_REFRESH_AHEAD 72

// Number, milliseconds: the longest wait for another process that is refreshing the same login. The request timeout
// and 15 s unless set.
#define JETON_OPTION_LEASE_TIMEOUT_MS 73

// Number, milliseconds: the longest wait of jeton_session_close and of the last jeton_session_free of a login for a
// refresh under way. 10000 unless set.
#define JETON_OPTION_CLOSE_TIMEOUT_MS 74

// Number, milliseconds: how long a person may take for a login by authorization code. 300000 unless set.
#define JETON_OPTION_LOGIN_TIMEOUT_MS 75

// String: what the client asks to be where it registers itself, JSON of RFC 7591 §2, such as
// {"client_name":"My App","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none",
// "grant_types":["authorization_code","refresh_token"]}: jeton_client_register, jeton_resource_client_new.
#define JETON_OPTION_CLIENT_METADATA 80

// Secret: what a server demands that registers not just anybody (RFC 7591 §3).
#define JETON_OPTION_INITIAL_ACCESS_TOKEN 81

// String: which of the clients is meant that share a store and register themselves; "default" unless set. Programs of different
// metadata need labels of their own.
#define JETON_OPTION_REGISTRATION_LABEL 82

// String: the HTTPS URL of the client's own metadata document, which is its client identifier where a server takes one:
// jeton_resource_client_new.
#define JETON_OPTION_CLIENT_ID_DOCUMENT 83

// String, may be set several times: the issuer of a server that a resource may name without anybody being asked:
// jeton_resource_client_new.
#define JETON_OPTION_TRUSTED_SERVER 84

// String: whose logins a jeton_resource_client has, a label that the program chooses. "default" unless set.
#define JETON_OPTION_ACCOUNT 85

/* ---- Values of JETON_OPTION_CLIENT_AUTHENTICATION ---- */

// `client_secret_basic` (RFC 6749 §2.3.1): the default where there is a secret.
#define JETON_AUTHENTICATION_BASIC 1

// `client_secret_post` (RFC 6749 §2.3.1): the secret in the body, for servers that insist.
#define JETON_AUTHENTICATION_POST 2

// A public client, which has no secret.
#define JETON_AUTHENTICATION_NONE 3

// `private_key_jwt` (RFC 7523): a short-lived statement that JETON_OPTION_PRIVATE_KEY signs, or a signer of the program's own
// (jeton_config_set_signer).
#define JETON_AUTHENTICATION_PRIVATE_KEY_JWT 4

// `client_secret_jwt` (RFC 7523): the same, signed with the client secret, which is not sent.
#define JETON_AUTHENTICATION_CLIENT_SECRET_JWT 5

// `tls_client_auth` (RFC 8705): JETON_OPTION_CLIENT_CERTIFICATE, of an authority that the server trusts.
#define JETON_AUTHENTICATION_TLS 6

// `self_signed_tls_client_auth` (RFC 8705): JETON_OPTION_CLIENT_CERTIFICATE, which is registered for the client.
#define JETON_AUTHENTICATION_SELF_SIGNED_TLS 7

/* ---- Values of JETON_OPTION_GRANT ---- */

// A person logs in with a browser, and the answer comes to a listener on loopback (RFC 6749 §4.1, RFC 8252, PKCE).
#define JETON_GRANT_AUTHORIZATION_CODE 1

// A person enters a code on another device (RFC 8628). Needs jeton_config_set_interaction with `show_device_code`.
#define JETON_GRANT_DEVICE_CODE 2

// The program itself is who logs in (RFC 6749 §4.4). No person is needed: jeton_session_token does all.
#define JETON_GRANT_CLIENT_CREDENTIALS 3

// The program knows a person's name and password (RFC 6749 §4.3). RFC 9700 §2.4 forbids it: for servers that offer
// nothing else.
#define JETON_GRANT_PASSWORD 4

/* ---- Values of JETON_OPTION_STORE ---- */

// In memory: gone when the process ends. The default.
#define JETON_STORE_MEMORY 1

// A plain file per login, which only the user can read.
#define JETON_STORE_FILE 2

// An encrypted file per login: with JETON_OPTION_STORE_KEY, JETON_OPTION_STORE_PASSPHRASE, or else a key that is
// kept in the operating system's keychain.
#define JETON_STORE_SEALED 3

// The operating system's keychain.
#define JETON_STORE_KEYRING 4

// The keychain; where there is none, sealed files if key or passphrase are set; else a plain file if that is
// allowed. Once a login is stored, always the same one.
#define JETON_STORE_AUTOMATIC 5

/* ---- Kinds of requests: jeton_config_add_parameter ---- */

// Extra parameters of authorization requests: the URL that the browser opens.
#define JETON_REQUEST_AUTHORIZATION 1

// Extra parameters of token requests other than refreshes.
#define JETON_REQUEST_TOKEN 2

// Extra parameters of refresh requests.
#define JETON_REQUEST_REFRESH 3

// Extra parameters of device authorization requests.
#define JETON_REQUEST_DEVICE_AUTHORIZATION 4

// The key that the client authenticates with (JETON_AUTHENTICATION_PRIVATE_KEY_JWT), and signs its authorization requests with.
#define JETON_SIGNER_CLIENT 1

// The key that tokens are bound to (JETON_OPTION_DPOP), instead of one that jeton makes for each login.
#define JETON_SIGNER_DPOP 2

// The accounts that jeton_client_accounts found, in alphabetical order.
//
// Ownership: free it with jeton_accounts_free.
//
// Threads: does not change; any thread.
typedef struct jeton_accounts jeton_accounts;

// Ends the blocking calls that were given it: those under way, and any that follow. One handle may be given to any
// number of calls, on any threads. It does not go back: make another one for calls to come.
//
// Ownership: free it with jeton_cancel_free when the calls that were given it have returned. A call that waits does not
// need it any more, and then nothing cancels it; but only what it does (a callback that it makes, its request at a server)
// shows that it has begun to wait.
//
// Threads: any thread, several at once.
typedef struct jeton_cancel jeton_cancel;

// One client at one authorization server, with any number of logins.
//
// Ownership: jeton_client_new makes one, jeton_client_free frees it. Sessions that were made from it go on working.
//
// Threads: any thread, several at once.
typedef struct jeton_client jeton_client;

// The configuration of clients: options, callbacks, a store. jeton_client_new checks it as a whole.
//
// Ownership: jeton_config_new makes one, jeton_config_free frees it, which may be done as soon as the clients are
// made. What is set is copied, and secrets are wiped when it is freed.
//
// Threads: one thread at a time.
typedef struct jeton_config jeton_config;

// The header `DPoP` of one request: jeton_session_dpop_proof.
//
// Ownership: free it with jeton_dpop_proof_free.
//
// Threads: does not change; any thread.
typedef struct jeton_dpop_proof jeton_dpop_proof;

// Why a call failed: what a function hands out through its last argument, `jeton_error **error`.
//
// That argument may be NULL for whoever does not want to know. Otherwise the call sets `*error` to NULL before
// anything else, and to a handle if it fails; free that with jeton_error_free. A handle that `*error` held before is
// not freed by the call.
//
// Threads: does not change; any thread.
typedef struct jeton_error jeton_error;

// Who logged in, as the server said it last (OpenID Connect Core §2): jeton_session_id_token.
//
// Ownership: free it with jeton_id_token_free.
//
// Threads: does not change; any thread.
typedef struct jeton_id_token jeton_id_token;

// What the server says about an access token (RFC 7662 §2.2): jeton_session_introspect.
//
// Ownership: free it with jeton_introspection_free.
//
// Threads: does not change; any thread.
typedef struct jeton_introspection jeton_introspection;

// A login by authorization code that was begun with jeton_session_begin_log_in. It holds what only the one who began
// it may know: keep its serialized form in the web session of that browser, never in a URL. It works once, and
// expires.
//
// Ownership: free it with jeton_pending_login_free; its strings are wiped then.
//
// Threads: does not change; any thread.
typedef struct jeton_pending_login jeton_pending_login;

// A request that will carry the session's access token: made by jeton_session_request, sent by jeton_request_send as often as
// wanted, freed by jeton_request_free.
//
// The token goes to the client's resource servers (`JETON_OPTION_RESOURCE_SERVER`) and nowhere else. If one of them rejects it
// (401 `invalid_token`), jeton gets another one and sends the request once more. Redirects are followed; one to another origin goes on
// without the token.
//
// Threads: one at a time.
typedef struct jeton_request jeton_request;

// A client of whatever API it is given a URL of. If the resource answers 401, its metadata tells which authorization server it
// trusts (RFC 9728); the person is asked whether to trust that one, too (`approve_authorization_server` of the interaction), unless
// JETON_OPTION_TRUSTED_SERVER names it; a client is found there or registered (RFC 7591); the person logs in with a browser; and the
// request is sent once more. All this is remembered in the store. Works with the Model Context Protocol's authorization.
//
// Of the configuration are used: store, interaction, HTTP options, JETON_OPTION_REDIRECT_.., JETON_OPTION_LOGIN_TIMEOUT_MS,
// JETON_OPTION_CLIENT_METADATA, JETON_OPTION_CLIENT_ID_DOCUMENT, JETON_OPTION_TRUSTED_SERVER, JETON_OPTION_ACCOUNT, JETON_OPTION_DPOP;
// and, for a client that is registered already, JETON_OPTION_ISSUER, JETON_OPTION_CLIENT_ID and what it authenticates with.
//
// Ownership: jeton_resource_client_new makes one, jeton_resource_client_free frees it.
//
// Threads: any thread, several at once.
typedef struct jeton_resource_client jeton_resource_client;

// What a resource server answered: made by jeton_request_send, freed by jeton_response_free. What the getters give is borrowed
// from it.
//
// Threads: does not change; any thread.
typedef struct jeton_response jeton_response;

// One login of a client, kept valid: shared by threads, by processes that use the same store, and by later runs.
//
// Ownership: free it with jeton_session_free.
//
// Threads: any thread, several at once.
typedef struct jeton_session jeton_session;

// Where a store's callback writes to: lent to it for the call.
//
// Threads: the thread of the callback only.
typedef struct jeton_sink jeton_sink;

// A valid access token, as it was when it was asked for. It knows no refresh token.
//
// Ownership: each one that a call hands out is to be freed once with jeton_token_free, also where two calls hand out
// the same pointer: the handle counts. What it lends (strings) lives until it is freed; then it is wiped.
//
// Threads: does not change; any thread, several at once.
typedef struct jeton_token jeton_token;

// Is told what the library logs: `level` is one of the `JETON_LOG_` constants, `target` the part of the library that speaks,
// `message` the text, which shows no secrets. Both strings are lent for the call.
//
// Runs on a thread of jeton's, one call at a time. It may take long (then messages are dropped and counted) and may call jeton.
// It must return in the ordinary way: no exception, no longjmp.
typedef void (*jeton_log_callback)(void *userdata,
                                   int32_t level,
                                   const char *target,
                                   const char *message);

// What to show for a login with a device code (RFC 8628 §3.3).
//
// Ownership: lent to the callback for the call, with its strings.
typedef struct jeton_device_prompt {
  // The size of this struct in the library that calls: read no member beyond it.
  size_t struct_size;
  // The code that the person types. Never NULL.
  const char *user_code;
  // Where the person types it: an HTTPS URL, or one on loopback. Never NULL.
  const char *verification_uri;
  // The same with the code in it, for a link or a QR code; NULL if the server gave none.
  const char *verification_uri_complete;
  // When the code stops working: Unix time in milliseconds.
  int64_t expires_at_ms;
} jeton_device_prompt;

// Which authorization server is to be trusted, and why.
//
// Ownership: lent to the callback for the call, with its strings.
typedef struct jeton_server_prompt {
  // The size of this struct in the library that calls: read no member beyond it.
  size_t struct_size;
  // The identifier of the resource that named the server, a URL. Never NULL.
  const char *resource;
  // The server's issuer identifier: an HTTPS URL, or one on loopback. Never NULL.
  const char *issuer;
  // Where the login was so far, if the resource names another server now; else NULL.
  const char *former_issuer;
} jeton_server_prompt;

// How the program reaches the person who logs in: for jeton_config_set_interaction. Members may be NULL.
//
// The callbacks run on threads of jeton's. They may take long, block, and call any function of jeton, also ones that block.
// Those of different logins may run at the same time, and so may `login_ended` while `show_device_code` has not returned.
// They must return in the ordinary way: no exception, no longjmp.
//
// Each but `login_ended` returns 0, or anything else to end the login with `JETON_ERROR_CALLBACK`; then
// jeton_error_callback_result tells what was returned. A login that ended or was cancelled waits for no callback.
typedef struct jeton_interaction {
  // sizeof(jeton_interaction).
  size_t struct_size;
  // Handed to each callback.
  void *userdata;
  // Brings the person to the authorization URL: opens a browser, or shows the URL. It holds a secret of this login
  // (`state`): do not log it. NULL: the system's browser is opened.
  int32_t (*open_url)(void *userdata, const char *url);
  // Shows where to enter which code. jeton asks the server meanwhile whether that has happened, whether this has returned or
  // not. NULL: the device grant fails with `JETON_ERROR_INTERACTION`.
  int32_t (*show_device_code)(void *userdata, const jeton_device_prompt *prompt);
  // Called about once a second while the server waits for the person, for a countdown: `remaining_ms` milliseconds are
  // left. Left out as long as an earlier call of it has not returned. NULL: nothing.
  int32_t (*device_code_pending)(void *userdata, int64_t remaining_ms);
  // Called once when a login that was shown to the person is over, unless it was cancelled: `status` is `JETON_OK` if there is
  // a token, `JETON_ERROR_OAUTH` if the person or the server said no, `JETON_ERROR_INTERACTION` for anything else (what
  // exactly, the call that logged in tells). `message`: for people, "" for success; lent for the call. NULL: nothing.
  void (*login_ended)(void *userdata, int32_t status, const char *message);
  // Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. May be NULL.
  void (*destroy)(void *userdata);
  // Asks whether an authorization server may be trusted that the program never named, but a resource did
  // (jeton_resource_client): the person will be sent there to sign in. Show both hosts. Sets `*approved` to 1 for yes; it is 0, for
  // no, until then. NULL: no.
  int32_t (*approve_authorization_server)(void *userdata,
                                          const jeton_server_prompt *prompt,
                                          int32_t *approved);
} jeton_interaction;

// Something that happened to a login.
//
// Ownership: lent to the callback for the call, with its strings.
typedef struct jeton_event {
  // The size of this struct in the library that calls: read no member beyond it.
  size_t struct_size;
  // What happened: one of the `JETON_EVENT_` constants. Pass over those that are not known; later versions have more.
  int32_t kind;
  // The account of the login. Never NULL.
  const char *account;
  // Why the login ended, or why it could not be stored; "" otherwise. For people; shows no secret. Never NULL.
  const char *message;
} jeton_event;

// Is told each event of a client's logins, in order, one at a time, on a thread of jeton's.
//
// It may take long, block, call any function of jeton and free handles, those of this client too; nobody waits for it. If 64
// events wait for it, it misses the oldest. It must return in the ordinary way: no exception, no longjmp.
typedef void (*jeton_event_callback)(void *userdata, const struct jeton_event *event);

// A store of the program's own: for jeton_config_set_store.
//
// Keys are names of at most 64 characters (letters and digits in ASCII), one for each login, that fit into file names. A
// record is a text of some kilobytes that holds the login's tokens in the clear: keep it from others.
//
// All callbacks of one store run on one thread of jeton's, one at a time. They must not make blocking calls of jeton, which
// answer `JETON_ERROR_INVALID_ARGUMENT` there, and must return in the ordinary way: no exception, no longjmp. Each but
// `unlock` and `destroy` returns 0 for success. Anything else (from `try_lock`: anything but `JETON_STORE_BUSY`) is an error: the
// call of jeton that needed the store fails with `JETON_ERROR_CALLBACK`, and jeton_error_callback_result tells what was returned.
//
// Within the process jeton sees to it that only one writes a login at a time, as long as all clients are made from one
// configuration. If records are shared with other processes or other configurations, `try_lock` and `unlock` must exclude those.
typedef struct jeton_store {
  // sizeof(jeton_store).
  size_t struct_size;
  // Handed to each callback.
  void *userdata;
  // Shown in descriptions and errors; copied. NULL: "custom".
  const char *name;
  // 1 if logins are still there after the program was started anew, else 0.
  int32_t is_persistent;
  // 1 if the store encrypts what it keeps, else 0.
  int32_t is_encrypted;
  // Writes the record of `key` into `sink` with jeton_sink_write, in one or several parts, or writes nothing and returns 0 if
  // there is none. A record is whole: what one `save` got, never half of one.
  int32_t (*load)(void *userdata, const char *key, jeton_sink *sink);
  // Replaces the record of `key`, or creates it: wholly or not at all. Durable when it returns. `record` is wiped afterwards.
  int32_t (*save)(void *userdata, const char *key, const uint8_t *record, size_t length);
  // Removes the record of `key`. Durable when it returns; no error if there was none.
  int32_t (*remove)(void *userdata, const char *key);
  // Writes the key of each record into `sink`, each with one jeton_sink_write. May be NULL: then jeton_client_accounts fails.
  int32_t (*list)(void *userdata, jeton_sink *sink);
  // Locks `key` among all who share the records: 0 if it has the lock now, `JETON_STORE_BUSY` if somebody else has it. Must
  // not wait: jeton tries again until the lease timeout (`JETON_OPTION_LEASE_TIMEOUT_MS`). The lock must not outlive the
  // process. May be NULL, with `unlock`, for a store that nobody else uses.
  int32_t (*try_lock)(void *userdata, const char *key);
  // Gives back what `try_lock` took: called once for each 0 that it returned.
  void (*unlock)(void *userdata, const char *key);
  // Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. Whoever frees
  // the last of those waits for it, at most two seconds, unless a callback frees it or a refresh under way still holds on to the
  // client. May be NULL.
  void (*destroy)(void *userdata);
} jeton_store;

// Signs with a private key that the program does not give away: for jeton_config_set_signer.
//
// `sign` runs on threads of jeton's, for several requests at once. It may take long, block, and call any function of jeton.
// It must return in the ordinary way: no exception, no longjmp.
typedef struct jeton_signer {
  // sizeof(jeton_signer).
  size_t struct_size;
  // Handed to each callback.
  void *userdata;
  // The algorithm of its signatures, always the same: "RS256", "PS256", "ES256", "ES384", "EdDSA", .. Copied.
  const char *algorithm;
  // The name under which the server knows the public key (the header "kid"), or NULL. Copied.
  const char *key_id;
  // The public key as a JWK (RFC 7517) in JSON. Needed for JETON_SIGNER_DPOP, else NULL. Copied.
  const char *public_jwk;
  // Signs `length` bytes at `message`: writes the signature, at most `capacity` bytes (1024 or more), to `signature`, and its
  // length to `signature_length`. In the form of RFC 7518: for ECDSA r and s in their full length, not DER. Returns 0, or
  // anything else if the key cannot be used now: then the call ends with an error that names that number. Never NULL.
  int32_t (*sign)(void *userdata,
                  const uint8_t *message,
                  size_t length,
                  uint8_t *signature,
                  size_t capacity,
                  size_t *signature_length);
  // Called once, on any thread, when the last callback has ended and configuration, clients and sessions are gone. May be NULL.
  void (*destroy)(void *userdata);
} jeton_signer;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- The library ---- */

// The version of the library that is loaded, such as "0.1.0" (Semantic Versioning). Compare it with
// `JETON_VERSION`, the version of the header that the program was compiled with.
//
// Ownership: a NUL-terminated UTF-8 string that belongs to the library and lives as long as it is loaded;
// do not free or change it. Never NULL.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
const char *jeton_version(void);

// The version of the library that is loaded as a number that can be compared:
// `major << 16 | minor << 8 | patch`, without the pre-release part. The header's is `JETON_VERSION_NUMBER`.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
uint32_t jeton_version_number(void);

// Whether this build of the library has a feature: 1 if so, else 0. A program that runs with several
// versions of the library asks here before it uses what only newer ones can do.
//
// Names known to this version: "version" (the functions of this group); "rustls" and "native-tls" (where TLS comes
// from); "http2"; "system-proxy" (the proxy settings of macOS and Windows); "loopback"
// (JETON_GRANT_AUTHORIZATION_CODE); "browser" (opening it where no open_url is set); "file" (JETON_STORE_FILE,
// JETON_STORE_AUTOMATIC); "keyring" (JETON_STORE_KEYRING); "sealed" (JETON_STORE_SEALED);
// "jose" (whatever is signed: private_key_jwt, client_secret_jwt, DPoP, request objects, signed answers); "openid" (ID tokens);
// "mtls" (JETON_OPTION_CLIENT_CERTIFICATE); "registration" (jeton_client_register, jeton_resource_client_new); "profiles"
// (JETON_OPTION_PROVIDER).
//
// `name`: NUL-terminated UTF-8, compared byte for byte; read during the call only. NULL, invalid UTF-8 and
// names that this version does not know answer 0.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
//
// `name` is NULL or points to a NUL-terminated string.
int32_t jeton_has_feature(const char *name);

// Sets the callback that is told what the library logs, for the whole process, in the place of the one before. A NULL callback
// ends it: then logging costs next to nothing.
//
// `max_level`: up to which level, one of the `JETON_LOG_` constants; not looked at if `callback` is NULL.
// `userdata` is handed to the callback. `destroy` (may be NULL) is called once with it, on any thread, when another callback was
// set and the last call of this one has ended; not if this function fails, and not for a NULL callback.
//
// What was logged before is still told to the callback of that time. This call waits for that, at most two seconds, unless a
// callback of jeton's makes it.
//
// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT` for a level that is not known, `JETON_ERROR_UNSUPPORTED` if
// something else in the process receives what this copy of the library logs (a program in Rust that links it statically).
//
// `callback` and `destroy` may be called with `userdata` on any thread; `error` is NULL or points to where a pointer can be
// written.
int32_t jeton_set_log(int32_t max_level,
                      jeton_log_callback callback,
                      void *userdata,
                      void (*destroy)(void *userdata),
                      jeton_error **error);

/* ---- Errors ---- */

// The name of a status without its prefix, such as "LOGIN_REQUIRED" or "OK", for logs. "UNKNOWN" for a number that
// this version does not know.
//
// Ownership: belongs to the library; do not free it. Never NULL.
//
// Threads: any thread. Errors: none.
const char *jeton_status_name(int32_t status);

// What kind of failure it is: one of the `JETON_ERROR_` constants, the same that the call returned. `JETON_OK` for
// NULL.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
int32_t jeton_error_status(const jeton_error *error);

// What was wrong and what to do, in English, for logs and developers. It shows no secrets; it may show text of the
// server's. "" for NULL; never NULL.
//
// Ownership: borrowed from `error`, until jeton_error_free.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
const char *jeton_error_message(const jeton_error *error);

// What to do about it: one of the `JETON_RECOVERY_` constants. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
int32_t jeton_error_recovery(const jeton_error *error);

// The error code that the authorization server answered, such as "invalid_grant" or "access_denied" (RFC 6749 §5.2 and
// §4.1.2.1), also for the failure that is behind `JETON_ERROR_BACKING_OFF`. NULL if the server answered none.
//
// Ownership: borrowed from `error`, until jeton_error_free.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
const char *jeton_error_oauth_code(const jeton_error *error);

// The server's `error_description`: text for the developer. It comes from the server as it is: do not show it as
// markup. NULL if there is none.
//
// Ownership: borrowed from `error`, until jeton_error_free.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
const char *jeton_error_oauth_description(const jeton_error *error);

// The server's `error_uri`: a page about the error. It comes from the server as it is. NULL if there is none.
//
// Ownership: borrowed from `error`, until jeton_error_free.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
const char *jeton_error_oauth_uri(const jeton_error *error);

// The HTTP status of the answer that the failure is about; 0 if there was no answer, or for NULL.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
int32_t jeton_error_http_status(const jeton_error *error);

// How long to wait before the next try, in milliseconds: what the server asked for (`Retry-After`), or what is left of
// jeton's own waiting. `JETON_NEVER` if neither is known, or for NULL.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
int64_t jeton_error_retry_after_ms(const jeton_error *error);

// What the callback of the program returned that made the call fail; 0 if none did, or for NULL.
//
// Threads: any thread. Errors: none.
//
// `error` is NULL or a live handle.
int32_t jeton_error_callback_result(const jeton_error *error);

// Frees an error and the strings that were borrowed from it. NULL is allowed.
//
// Threads: any thread, while no other one uses it. Errors: none.
//
// `error` is NULL or a live handle, which is not used afterwards.
void jeton_error_free(jeton_error *error);

/* ---- Cancelling blocking calls ---- */

// Makes a cancel handle.
//
// Ownership: the caller's; free it with jeton_cancel_free. NULL only after a defect of jeton.
//
// Threads: any thread. Errors: none.
jeton_cancel *jeton_cancel_new(void);

// Ends the calls that were given this handle, which return `JETON_ERROR_CANCELLED`, and returns at once. What a call
// has begun and others need goes on: a refresh under way comes to its end, so that its tokens are not lost. A call
// that comes later sends nothing. Cancelling twice is allowed, and so is NULL.
//
// Threads: any thread, also from a callback; not from a signal handler.
//
// Errors: none.
//
// `cancel` is NULL or a live handle.
void jeton_cancel_cancel(const jeton_cancel *cancel);

// Whether jeton_cancel_cancel was called: 1, else 0. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `cancel` is NULL or a live handle.
int32_t jeton_cancel_is_cancelled(const jeton_cancel *cancel);

// Frees a cancel handle. NULL is allowed. Calls that were given it go on; they cannot be cancelled any more.
//
// Threads: any thread, while no other one uses the handle itself. Errors: none.
//
// `cancel` is NULL or a live handle, which is not used afterwards.
void jeton_cancel_free(jeton_cancel *cancel);

// Sets how the program reaches the person who logs in, in the place of what was set before (whose `destroy` is called, if
// nothing else uses it). A configuration without has the system's browser opened, and shows no device codes.
//
// `interaction`: the struct is copied; its `userdata` belongs to jeton from here on, until its `destroy` is called. If this
// function fails, that is not called.
//
// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `interaction` is NULL, or if its
// `struct_size` is wrong.
//
// `config` is NULL or a live handle that no other thread uses; `interaction` is NULL or points to a `jeton_interaction` of the
// size that it says, whose functions may be called with its `userdata` on any thread; `error` is NULL or points to where a
// pointer can be written.
int32_t jeton_config_set_interaction(jeton_config *config,
                                     const jeton_interaction *interaction,
                                     jeton_error **error);

// Has a callback told what happens to the logins of all clients that are made from the configuration afterwards. May be
// called several times: each callback is told, each on a thread of its own.
//
// `userdata` is handed to the callback. `destroy` (may be NULL) is called once with it, on any thread, when the last call of the
// callback has ended and configuration, clients and sessions are gone. If this function fails it is not called. Whoever frees the
// last of those waits until what has happened is told and `destroy` has returned, at most two seconds, unless a callback frees it
// or a refresh under way still holds on to the client.
//
// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `callback` is NULL.
//
// `config` is NULL or a live handle that no other thread uses; `callback` and `destroy` may be called with `userdata` on any
// thread; `error` is NULL or points to where a pointer can be written.
int32_t jeton_config_on_event(jeton_config *config,
                              jeton_event_callback callback,
                              void *userdata,
                              void (*destroy)(void *userdata),
                              jeton_error **error);

/* ---- A store of the program's own ---- */

// Writes what a store's callback has: for `load` a part of the record, which may come in several; for `list` one whole key,
// without a NUL.
//
// `bytes`: `length` bytes, copied; may be NULL if `length` is 0. A record of no bytes is a damaged one: write nothing at all if
// there is none.
//
// Threads: only within the callback that was given the sink, on its thread.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` if an argument is NULL or the record is longer than 16 MiB; the callback fails then,
// whatever it returns.
//
// `sink` is NULL or the sink of the callback that runs; `bytes` is NULL or points to `length` bytes.
int32_t jeton_sink_write(jeton_sink *sink,
                         const uint8_t *bytes,
                         size_t length);

// Sets a store of the program's own, in the place of what was set before (whose `destroy` is called, if nothing else uses
// it) and of `JETON_OPTION_STORE`.
//
// `store`: the struct is copied; its `userdata` belongs to jeton from here on, until its `destroy` is called. If this function
// fails, that is not called. A program that keeps the same records in two configurations must bring `try_lock` and `unlock`.
//
// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if `config` or `store` is NULL, if its `struct_size` is
// wrong, if it lacks `load`, `save` or `remove`, or has only one of `try_lock` and `unlock`.
//
// `config` is NULL or a live handle that no other thread uses; `store` is NULL or points to a `jeton_store` of the size that it
// says, whose functions may be called with its `userdata` on any thread; `error` is NULL or points to where a pointer can be
// written.
int32_t jeton_config_set_store(jeton_config *config,
                               const jeton_store *store,
                               jeton_error **error);

/* ---- Configuration ---- */

// Makes an empty configuration.
//
// Ownership: the caller's; free it with jeton_config_free. NULL only after a defect of jeton.
//
// Threads: any thread. Errors: none.
jeton_config *jeton_config_new(void);

// Frees a configuration and wipes its secrets. NULL is allowed. Clients that were made with it go on working;
// interaction, store and listeners are destroyed when the last of those is gone as well.
//
// Threads: one thread at a time. Errors: none.
//
// `config` is NULL or a live handle, which is not used afterwards.
void jeton_config_free(jeton_config *config);

// Sets an option that takes a string. Setting it again replaces the string, or adds one where the option says that
// it may be set several times.
//
// `option`: one of the `JETON_OPTION_` constants. `value`: NUL-terminated UTF-8, copied.
//
// Threads: one thread at a time.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known, takes something else, or the value is NULL or
// not UTF-8. Whether the value itself can work is checked by jeton_client_new.
//
// `config` is NULL or a live handle, `value` is NULL or a NUL-terminated string, and `error` is NULL or can be
// written to.
int32_t jeton_config_set_str(jeton_config *config,
                             int32_t option,
                             const char *value,
                             jeton_error **error);

// Sets an option that takes a secret. Setting it again replaces it.
//
// `option`: one of the `JETON_OPTION_` constants. `value`: `length` bytes, copied; the copy is wiped when the
// configuration is freed. Wipe yours.
//
// Threads: one thread at a time.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known or takes something else, if the value is NULL
// with a length, not UTF-8 where it must be text, or of the wrong length where it is a key.
//
// `config` is NULL or a live handle, `value` is NULL or points to `length` bytes, and `error` is NULL or can be
// written to.
int32_t jeton_config_set_secret(jeton_config *config,
                                int32_t option,
                                const uint8_t *value,
                                size_t length,
                                jeton_error **error);

// Sets an option that takes a number. Setting it again replaces it.
//
// `option`: one of the `JETON_OPTION_` constants, which says the unit: milliseconds, bytes, 0 or 1, or one of
// several constants.
//
// Threads: one thread at a time.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the option is not known or takes something else, or if the number is out
// of range.
//
// `config` is NULL or a live handle, and `error` is NULL or can be written to.
int32_t jeton_config_set_int(jeton_config *config,
                             int32_t option,
                             int64_t value,
                             jeton_error **error);

// Adds a parameter of the program's own to a kind of request, such as "prompt" or "audience". What is set for one
// kind never leaks into another.
//
// `request`: one of the `JETON_REQUEST_` constants. `name`, `value`: NUL-terminated UTF-8, copied; not encoded. An
// empty value is left out, as RFC 6749 §3.1 treats it.
//
// Threads: one thread at a time.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` if the kind of request is not known, an argument is NULL or not UTF-8, or
// the parameter is there already and may not be repeated. A parameter that clashes with one of the request's own
// fails when the request is made, with `JETON_ERROR_CONFIGURATION`.
//
// `config` is NULL or a live handle, `name` and `value` each are NULL or a NUL-terminated string, and `error` is
// NULL or can be written to.
int32_t jeton_config_add_parameter(jeton_config *config,
                                   int32_t request,
                                   const char *name,
                                   const char *value,
                                   jeton_error **error);

// Sets a key that signs, in the place of one that was set before for the same purpose (whose `destroy` is called, if nothing
// else uses it).
//
// `purpose`: a `JETON_SIGNER_` constant. `signer`: the struct and its strings are copied; its `userdata` belongs to jeton from
// here on, until its `destroy` is called. If this function fails, that is not called.
//
// Threads: the configuration's. Errors: `JETON_ERROR_INVALID_ARGUMENT` if an argument is NULL, the purpose or the algorithm is
// not known, `sign` is NULL, `struct_size` is wrong, or the public key is none or is absent where it is needed;
// `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose".
//
// `config` is NULL or a live handle that no other thread uses; `signer` is NULL or points to a `jeton_signer` of the size that it
// says, whose strings are NULL or NUL-terminated and whose functions may be called with its `userdata` on any thread; `error` is
// NULL or points to where a pointer can be written.
int32_t jeton_config_set_signer(jeton_config *config,
                                int32_t purpose,
                                const jeton_signer *signer,
                                jeton_error **error);

/* ---- Client ---- */

// Makes a client. The configuration is checked as a whole and only read: it may make several clients, and be freed
// at once. Nothing is sent to the server yet. With JETON_STORE_AUTOMATIC it is looked where logins are kept, which
// may ask the person for the password of the keychain, and blocks meanwhile.
//
// `client`: set to the new client, which is the caller's: free it with jeton_client_free. NULL on failure.
//
// Threads: any thread, while no other one changes the configuration.
//
// Errors: `JETON_ERROR_CONFIGURATION`, with what is wrong and what to set; `JETON_ERROR_STORE` if the store that is
// asked for is not to be had; `JETON_ERROR_UNSUPPORTED` if this build lacks it; `JETON_ERROR_INVALID_ARGUMENT` for
// NULL.
//
// `config` is NULL or a live handle; `client` and `error` each are NULL or can be written to.
int32_t jeton_client_new(const jeton_config *config,
                         jeton_client **client,
                         jeton_error **error);

// Makes a client that registers itself at the server (RFC 7591), or that has done so before: the registration is kept in the store
// beside the logins, so that all programs that share it, and later runs, are one client. It belongs to this server and is never used
// at another. A client secret that expires is renewed in time.
//
// Needs JETON_OPTION_ISSUER and JETON_OPTION_CLIENT_METADATA, and a store that lasts; JETON_OPTION_INITIAL_ACCESS_TOKEN where the
// server demands one. How the client authenticates is what the server registered; one with a key of its own sets it as for
// jeton_client_new.
//
// `cancel`: ends the call, or NULL; a registration that is under way is kept all the same. `client`: set to the new client, which is
// the caller's: free it with jeton_client_free. NULL on failure.
//
// Threads: any thread, while no other one changes the configuration; blocks. Not from a store's callback.
//
// Errors: those of jeton_client_new; `JETON_ERROR_NETWORK`, `JETON_ERROR_OAUTH` and `JETON_ERROR_ANSWER` if the server does not register
// the client; `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "registration"; `JETON_ERROR_CANCELLED`.
//
// `config` and `cancel` are NULL or live handles; `client` and `error` each are NULL or can be written to.
int32_t jeton_client_register(const jeton_config *config,
                              const jeton_cancel *cancel,
                              jeton_client **client,
                              jeton_error **error);

// The client identifier: the one that was set, or that the server gave. "" for NULL.
//
// Ownership: borrowed from `client`, until jeton_client_free.
//
// Threads: any thread. Errors: none.
//
// `client` is NULL or a live handle.
const char *jeton_client_id(const jeton_client *client);

// Frees a client. NULL is allowed. Sessions that were made from it go on working.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `client` is NULL or a live handle, which is not used afterwards.
void jeton_client_free(jeton_client *client);

// Where the client keeps its logins, in one line for people: kind, place, whether they are kept across restarts and
// encrypted, and why this store was chosen. "" for NULL.
//
// Ownership: borrowed from `client`, until jeton_client_free.
//
// Threads: any thread. Errors: none.
//
// `client` is NULL or a live handle.
const char *jeton_client_store_description(const jeton_client *client);

// Whether logins are still there after the program was started anew: 1, else 0. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `client` is NULL or a live handle.
int32_t jeton_client_store_is_persistent(const jeton_client *client);

// Whether the store encrypts what it keeps: 1, else 0. 0 for NULL. What the disk does beneath it is not counted.
//
// Threads: any thread. Errors: none.
//
// `client` is NULL or a live handle.
int32_t jeton_client_store_is_encrypted(const jeton_client *client);

// Lists the accounts of this client that the store has a login of.
//
// `cancel`: ends the call, or NULL. `accounts`: set to the list, which is the caller's: free it with
// jeton_accounts_free. NULL on failure.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_STORE` if the store cannot be listed, `JETON_ERROR_CALLBACK` if it is the program's own,
// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `client` and `cancel` each are NULL or a live handle; `accounts` and `error` each are NULL or can be written to.
int32_t jeton_client_accounts(const jeton_client *client,
                              const jeton_cancel *cancel,
                              jeton_accounts **accounts,
                              jeton_error **error);

// A login of this client. All sessions of one account share one login within the process, and, through the store,
// with other processes and later runs. Making one is cheap; nothing is read or sent yet.
//
// `account`: a label that the program chooses, such as a user's name; copied. NULL: "default". `session`: set to the
// new session, which is the caller's: free it with jeton_session_free. NULL on failure.
//
// Threads: any thread.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for a NULL client or an account that is not UTF-8.
//
// `client` is NULL or a live handle, `account` is NULL or a NUL-terminated string; `session` and `error` each are
// NULL or can be written to.
int32_t jeton_client_session(const jeton_client *client,
                             const char *account,
                             jeton_session **session,
                             jeton_error **error);

// How many accounts there are. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `accounts` is NULL or a live handle.
size_t jeton_accounts_count(const jeton_accounts *accounts);

// The account at that place, counted from 0, as jeton_client_session takes it. NULL beyond the end, and for NULL.
//
// Ownership: borrowed from `accounts`, until jeton_accounts_free.
//
// Threads: any thread. Errors: none.
//
// `accounts` is NULL or a live handle.
const char *jeton_accounts_get(const jeton_accounts *accounts,
                               size_t index);

// Frees a list of accounts. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `accounts` is NULL or a live handle, which is not used afterwards.
void jeton_accounts_free(jeton_accounts *accounts);

/* ---- Session: one login ---- */

// The same login, with its access token for one resource (RFC 8707). Its refresh token is shared.
//
// `resource`: the identifier of the resource, an absolute URI; copied. `other`: set to the new session, which is the
// caller's: free it with jeton_session_free. NULL on failure.
//
// Threads: any thread.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is not UTF-8. Whether it is a resource is found out when a
// token is asked for.
//
// `session` is NULL or a live handle, `resource` is NULL or a NUL-terminated string; `other` and `error` each are
// NULL or can be written to.
int32_t jeton_session_for_resource(const jeton_session *session,
                                   const char *resource,
                                   jeton_session **other,
                                   jeton_error **error);

// The same login, with an access token for a part of its scope. Its refresh token is shared.
//
// `scope`: names separated by spaces; copied. `other`: set to the new session, which is the caller's: free it with
// jeton_session_free. NULL on failure.
//
// Threads: any thread.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, what is not UTF-8, or characters that no scope may have (RFC 6749
// §3.3).
//
// `session` is NULL or a live handle, `scope` is NULL or a NUL-terminated string; `other` and `error` each are NULL
// or can be written to.
int32_t jeton_session_with_scope(const jeton_session *session,
                                 const char *scope,
                                 jeton_session **other,
                                 jeton_error **error);

// Frees a session. NULL is allowed. The last one of a login waits, at most the close timeout
// (JETON_OPTION_CLOSE_TIMEOUT_MS), for a refresh under way, so that its tokens are not lost when the process ends.
// Tokens that were handed out stay valid.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `session` is NULL or a live handle, which is not used afterwards.
void jeton_session_free(jeton_session *session);

// The account that the session is of, as it was named: "default" where none was. NULL for NULL.
//
// Ownership: borrowed from `session`, until jeton_session_free.
//
// Threads: any thread. Errors: none.
//
// `session` is NULL or a live handle.
const char *jeton_session_account(const jeton_session *session);

// A valid access token: the one in memory, one that another process has stored, or whatever it takes to get one
// without a person. However many threads and processes wait, an expired token costs one request.
//
// `valid_for_ms`: how long the token is wanted to be valid for, in milliseconds; 0 for just now. The wish counts up
// to four fifths of the token's lifetime. `cancel`: ends the call, or NULL. `token`: set to the token, which is the
// caller's: free it with jeton_token_free. NULL on failure.
//
// Threads: any thread, several at once; blocks where a request is needed. Not from a store's callback.
//
// Errors: `JETON_ERROR_LOGIN_REQUIRED` if a person has to log in: jeton_session_log_in. Anything else is transient
// or a matter of configuration: jeton_error_recovery says which. `JETON_ERROR_CANCELLED`;
// `JETON_ERROR_INVALID_ARGUMENT` for NULL or a negative time.
//
// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
int32_t jeton_session_token(const jeton_session *session,
                            int64_t valid_for_ms,
                            const jeton_cancel *cancel,
                            jeton_token **token,
                            jeton_error **error);

// Gets a new access token although the present one may still be good. If somebody else, in this process or another,
// got a new one meanwhile, that one is taken. After an answer that was lost it sends a refresh token that may be
// spent, which a strict server takes for a theft: for programs that know why; jeton_session_token is for all others.
//
// `cancel`: ends the call, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free.
// NULL on failure.
//
// Threads: any thread, several at once; blocks. Not from a store's callback.
//
// Errors: as jeton_session_token; a failure is told even if the present token still lives.
//
// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
int32_t jeton_session_refresh(const jeton_session *session,
                              const jeton_cancel *cancel,
                              jeton_token **token,
                              jeton_error **error);

// The token in memory, if it is valid: no lock, no request, no waiting, and no allocation but for the first time that
// the session hands out this token. For the moment before each request; where it answers `JETON_ERROR_NOT_CACHED`, jeton_session_token finds out more. That does not mean that
// nobody is logged in.
//
// `valid_for_ms`: as for jeton_session_token. `token`: set to the token, which is the caller's: free it with
// jeton_token_free. NULL if there is none.
//
// Threads: any thread, several at once; never blocks.
//
// Errors: `JETON_ERROR_NOT_CACHED`; `JETON_ERROR_INVALID_ARGUMENT` for NULL or a negative time.
//
// `session` is NULL or a live handle; `token` is NULL or can be written to.
int32_t jeton_session_cached(const jeton_session *session,
                             int64_t valid_for_ms,
                             jeton_token **token);

// Logs in through the client's grant, with a person if it needs one, and replaces whatever login there was.
//
// `cancel`: ends the login, or NULL. Unless the server has answered already; then the token is still stored.
// `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL on failure.
//
// Threads: any thread; blocks, for as long as the person takes. Not from a store's callback.
//
// Errors: `JETON_ERROR_OAUTH` with what the server or the person said, `JETON_ERROR_INTERACTION` if the person could
// not be reached or did not answer in time, `JETON_ERROR_CALLBACK` if a callback ended the login or one of a store of
// the program's own failed, `JETON_ERROR_STORE` if the store cannot be written, which is found out before anybody is
// asked, `JETON_ERROR_CONFIGURATION` if the client has no grant or the server lacks what it needs, `JETON_ERROR_NETWORK`, `JETON_ERROR_ANSWER`,
// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `session` and `cancel` each are NULL or a live handle; `token` and `error` each are NULL or can be written to.
int32_t jeton_session_log_in(const jeton_session *session,
                             const jeton_cancel *cancel,
                             jeton_token **token,
                             jeton_error **error);

// Logs out: revokes the tokens at the server if it has a revocation endpoint (RFC 7009), then forgets the login,
// here and in the store. Other processes see it at their next expiry, 401 or refresh.
//
// `cancel`: ends the waiting, or NULL; the log-out itself goes on to its end. `revocation_error`: set to NULL, or to
// why the tokens could not be revoked at the server, where they may live on until they expire; the login is
// forgotten all the same. It may be NULL; else free it with jeton_error_free.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_STORE` or `JETON_ERROR_CALLBACK` if the login cannot be removed from the store,
// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `session` and `cancel` each are NULL or a live handle; `revocation_error` and `error` each are NULL or can be
// written to.
int32_t jeton_session_log_out(const jeton_session *session,
                              const jeton_cancel *cancel,
                              jeton_error **revocation_error,
                              jeton_error **error);

// Revokes the access token in use at the server (RFC 7009 §2.1) and forgets it; the login stays, and the next
// jeton_session_token gets another one. Some servers end the whole login then: the next call says
// `JETON_ERROR_LOGIN_REQUIRED`.
//
// `cancel`: ends the waiting, or NULL.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_CONFIGURATION` if the server names no revocation endpoint, `JETON_ERROR_OAUTH`,
// `JETON_ERROR_NETWORK` and `JETON_ERROR_ANSWER` if it refuses or does not answer: the token may live on, and stays
// in use. `JETON_ERROR_STORE` or `JETON_ERROR_CALLBACK` if the store cannot be read; nothing was sent.
// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `session` and `cancel` each are NULL or a live handle; `error` is NULL or can be written to.
int32_t jeton_session_revoke(const jeton_session *session,
                             const jeton_cancel *cancel,
                             jeton_error **error);

// Asks the server about the session's access token (RFC 7662), getting one first if there is none. Most servers
// answer confidential clients only. That the token is not active is an answer, not an error.
//
// `cancel`: ends the call, or NULL. `introspection`: set to the answer, which is the caller's: free it with
// jeton_introspection_free. NULL on failure.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: as jeton_session_token if there is no token; `JETON_ERROR_CONFIGURATION` if the server names no
// introspection endpoint (JETON_OPTION_INTROSPECTION_ENDPOINT), `JETON_ERROR_OAUTH`, `JETON_ERROR_NETWORK` and
// `JETON_ERROR_ANSWER` if it refuses or does not answer.
//
// `session` and `cancel` each are NULL or a live handle; `introspection` and `error` each are NULL or can be written
// to.
int32_t jeton_session_introspect(const jeton_session *session,
                                 const jeton_cancel *cancel,
                                 jeton_introspection **introspection,
                                 jeton_error **error);

// Starts from tokens that the program has already, as if it had logged in with them.
//
// `token_answer`: `length` bytes of JSON, a token answer of RFC 6749 §5.1, read as tolerantly as a server's:
// "access_token", and "token_type", "expires_in" or "expires_at" (seconds of Unix time), "refresh_token", "scope".
// With a "refresh_token" and no "access_token" (or an empty one), the first call refreshes. `cancel`: ends the
// waiting, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL on
// failure.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is no token answer, `JETON_ERROR_CANCELLED`. What cannot be
// stored now is used all the same: jeton_session_persist_error.
//
// `session` and `cancel` each are NULL or a live handle, `token_answer` is NULL or points to `length` bytes; `token`
// and `error` each are NULL or can be written to.
int32_t jeton_session_adopt(const jeton_session *session,
                            const uint8_t *token_answer,
                            size_t length,
                            const jeton_cancel *cancel,
                            jeton_token **token,
                            jeton_error **error);

// Waits, at most the close timeout (JETON_OPTION_CLOSE_TIMEOUT_MS), for a refresh or login under way, and tries once
// more to store what could not be stored so far. The session can be used afterwards. For the end of a program,
// before it frees its sessions.
//
// `cancel`: ends the waiting, or NULL.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL. Whether all is stored:
// jeton_session_persist_error.
//
// `session` and `cancel` each are NULL or a live handle; `error` is NULL or can be written to.
int32_t jeton_session_close(const jeton_session *session,
                            const jeton_cancel *cancel,
                            jeton_error **error);

// Why the newest token could not be stored, if that is so: it is used all the same, and the next refresh or
// jeton_session_close tries again.
//
// Returns `JETON_OK`, and `*error` is NULL, if all is stored; else the status of `*error`.
//
// Threads: any thread; does not block.
//
// Errors: `JETON_ERROR_STORE`, `JETON_ERROR_CALLBACK`; `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `session` is NULL or a live handle; `error` is NULL or can be written to.
int32_t jeton_session_persist_error(const jeton_session *session,
                                    jeton_error **error);

// Begins a login by authorization code for a program that receives the redirect itself, such as a web application.
// The client needs no grant for that.
//
// `redirect_uri`: the one that is registered for the client, an absolute URI. `cancel`: ends the call, or NULL.
// `pending`: set to the login that was begun, which is the caller's: free it with jeton_pending_login_free. NULL on
// failure. Send the browser to jeton_pending_login_url, keep jeton_pending_login_serialized where only this
// browser's session reaches it, and remove it before finishing.
//
// Threads: any thread; blocks where the server's metadata has to be fetched. Not from a store's callback.
//
// Errors: `JETON_ERROR_NETWORK` and `JETON_ERROR_ANSWER` if the server's metadata cannot be had,
// `JETON_ERROR_CONFIGURATION` if it lacks what is needed, `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT`
// for NULL or a URI that is none.
//
// `session` and `cancel` each are NULL or a live handle, `redirect_uri` is NULL or a NUL-terminated string;
// `pending` and `error` each are NULL or can be written to.
int32_t jeton_session_begin_log_in(const jeton_session *session,
                                   const char *redirect_uri,
                                   const jeton_cancel *cancel,
                                   jeton_pending_login **pending,
                                   jeton_error **error);

// Finishes a login by authorization code with the URL to which the browser was redirected, and replaces whatever
// login there was.
//
// `pending`: from jeton_session_begin_log_in or jeton_pending_login_parse; it works once, and stays the caller's to
// free. One that was begun for the account "default" may be finished for any account, as a web application does that
// learns only then who came; any other for its own only. `redirected_url`: the whole URL with its query. `cancel`:
// ends the waiting, or NULL. `token`: set to the token, which is the caller's: free it with jeton_token_free. NULL
// on failure.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_ANSWER` if the URL is not the answer to this login, `JETON_ERROR_OAUTH` if the person or the
// server said no, `JETON_ERROR_INTERACTION` if the login was begun too long ago, `JETON_ERROR_INVALID_ARGUMENT` if
// it was finished before, is another client's or account's, for NULL or what is no URL, `JETON_ERROR_NETWORK`,
// `JETON_ERROR_CANCELLED`. After any of these, begin again.
//
// `session`, `pending` and `cancel` each are NULL or a live handle, `redirected_url` is NULL or a NUL-terminated
// string; `token` and `error` each are NULL or can be written to.
int32_t jeton_session_finish_log_in(const jeton_session *session,
                                    const jeton_pending_login *pending,
                                    const char *redirected_url,
                                    const jeton_cancel *cancel,
                                    jeton_token **token,
                                    jeton_error **error);

// Whether the token may be sent to that URL: it is of one of the client's resource servers
// (JETON_OPTION_RESOURCE_SERVER), and HTTPS or on loopback. For programs with an HTTP library of their own, which
// ask before they attach the token, and again for the target of each redirect that they follow.
//
// `url`: an absolute URL.
//
// Threads: any thread; does not block.
//
// Errors: `JETON_ERROR_FOREIGN_ORIGIN` if it may not; `JETON_ERROR_INVALID_ARGUMENT` for NULL or what is no URL.
//
// `session` is NULL or a live handle, `url` is NULL or a NUL-terminated string; `error` is NULL or can be written to.
int32_t jeton_session_check_url(const jeton_session *session,
                                const char *url,
                                jeton_error **error);

// Tells the session what a resource server answered to a request with this token, for programs with an HTTP library of
// their own. Tell it each answer: a 401 that says that the token is not valid, or does not say what is wrong (RFC 6750
// §3), makes it stale, so that the next jeton_session_token gets another one; a success shows that it is good. Only what
// the server said that got the token counts: after a redirect to another origin, tell nothing.
//
// `http_status`: 100 to 999. `www_authenticate`: the values of that header joined by ", ", or NULL if there is none.
// `try_again`: set to 1 if the token was rejected and another one may help: get one with jeton_session_token and
// send the request once more; else to 0. It may be NULL.
//
// Threads: any thread; does not block.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, a status that is none, or a header with control characters.
//
// `session` and `token` each are NULL or a live handle, `www_authenticate` is NULL or a NUL-terminated string;
// `try_again` and `error` each are NULL or can be written to.
int32_t jeton_session_judge(const jeton_session *session,
                            const jeton_token *token,
                            int32_t http_status,
                            const char *www_authenticate,
                            int32_t *try_again,
                            jeton_error **error);

/* ---- Logins whose redirect the program receives itself ---- */

// The URL to which the person's browser is to be sent. It holds the state: do not log it. NULL for one that came from
// jeton_pending_login_parse, and for NULL.
//
// Ownership: borrowed from `pending`, until jeton_pending_login_free.
//
// Threads: any thread. Errors: none.
//
// `pending` is NULL or a live handle.
const char *jeton_pending_login_url(const jeton_pending_login *pending);

// The `state` of the login (RFC 6749 §4.1.1), by which a redirect finds it among others: its parameter of that name
// has the same value. A secret. NULL for NULL.
//
// Ownership: borrowed from `pending`, until jeton_pending_login_free.
//
// Threads: any thread. Errors: none.
//
// `pending` is NULL or a live handle.
const char *jeton_pending_login_state(const jeton_pending_login *pending);

// When the login stops working, in milliseconds of Unix time. `JETON_NEVER` for NULL.
//
// Threads: any thread. Errors: none.
//
// `pending` is NULL or a live handle.
int64_t jeton_pending_login_expires_at_ms(const jeton_pending_login *pending);

// The login as one JSON object, for jeton_pending_login_parse in another process or later. A secret: keep it where
// only this browser's session reaches it. NULL for NULL.
//
// Ownership: borrowed from `pending`, until jeton_pending_login_free.
//
// Threads: any thread. Errors: none.
//
// `pending` is NULL or a live handle.
const char *jeton_pending_login_serialized(const jeton_pending_login *pending);

// Reads a pending login that jeton_pending_login_serialized wrote.
//
// `serialized`: `length` bytes. `pending`: set to the login, which is the caller's: free it with
// jeton_pending_login_free. NULL on failure.
//
// Threads: any thread.
//
// Errors: `JETON_ERROR_INVALID_ARGUMENT` for NULL, or what is no pending login.
//
// `serialized` is NULL or points to `length` bytes; `pending` and `error` each are NULL or can be written to.
int32_t jeton_pending_login_parse(const uint8_t *serialized,
                                  size_t length,
                                  jeton_pending_login **pending,
                                  jeton_error **error);

// Frees a pending login and wipes its strings. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `pending` is NULL or a live handle, which is not used afterwards.
void jeton_pending_login_free(jeton_pending_login *pending);

/* ---- Token ---- */

// The token itself, for programs that put it elsewhere than into the header. Opaque: do not parse it, do not log it.
// NULL for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_access_token(const jeton_token *token);

// The value of the header `Authorization` that presents the token: "Bearer " and the token (RFC 6750 §2.1). Do not
// log it. NULL for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_authorization(const jeton_token *token);

// The length of what jeton_token_authorization gives, in bytes, without the NUL. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
size_t jeton_token_authorization_length(const jeton_token *token);

// How the token is presented: "Bearer". NULL for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_type(const jeton_token *token);

// What the token is good for: the granted scope, or the requested one where the server named none (RFC 6749 §5.1);
// names separated by spaces. NULL if no scope was asked for or named, and for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_scope(const jeton_token *token);

// When the token expires, in milliseconds of Unix time. `JETON_NEVER` if the server did not say, and for NULL.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
int64_t jeton_token_expires_at_ms(const jeton_token *token);

// How many leniencies it took to read the server's answer. 0 for NULL, and for a server that keeps to the RFCs.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
size_t jeton_token_warning_count(const jeton_token *token);

// The code of a leniency, such as "expires_in_string", counted from 0. NULL beyond the end, and for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_warning_code(const jeton_token *token,
                                     size_t index);

// A leniency in a sentence for developers, counted from 0. NULL beyond the end, and for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_warning_message(const jeton_token *token, size_t index);

// Another member of the server's answer, such as "id_token": a string as its text, anything else as JSON. It may be
// a secret: do not log it. NULL if there is none of that name, and for NULL.
//
// `name`: NUL-terminated UTF-8.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle, and `name` is NULL or a NUL-terminated string.
const char *jeton_token_extra(const jeton_token *token,
                              const char *name);

// All members of the server's answer that have no function of their own, as one JSON object: "{}" if there are none.
// It may hold secrets: do not log it. NULL for NULL.
//
// Ownership: borrowed from `token`, until jeton_token_free.
//
// Threads: any thread. Errors: none.
//
// `token` is NULL or a live handle.
const char *jeton_token_extra_json(const jeton_token *token);

// Gives a token back; its strings are wiped when the last one is. NULL is allowed.
//
// Threads: any thread; not while another one uses what was borrowed through this very handle. Errors: none.
//
// `token` is NULL or a live handle; this one is not used afterwards, nor is what was borrowed from it.
void jeton_token_free(jeton_token *token);

/* ---- Introspection (RFC 7662) ---- */

// Whether the token is one of the server's and valid now: 1, else 0. If it is not, the rest says nothing. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
int32_t jeton_introspection_is_active(const jeton_introspection *introspection);

// What the token is good for: names separated by spaces. NULL if the server does not say, and for NULL.
//
// Ownership: borrowed from `introspection`, until jeton_introspection_free.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
const char *jeton_introspection_scope(const jeton_introspection *introspection);

// Who authorized the token, for machines: the member "sub". NULL if the server does not say, and for NULL.
//
// Ownership: borrowed from `introspection`, until jeton_introspection_free.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
const char *jeton_introspection_subject(const jeton_introspection *introspection);

// Who authorized the token, for people. NULL if the server does not say, and for NULL.
//
// Ownership: borrowed from `introspection`, until jeton_introspection_free.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
const char *jeton_introspection_username(const jeton_introspection *introspection);

// The client that the token was issued to. NULL if the server does not say, and for NULL.
//
// Ownership: borrowed from `introspection`, until jeton_introspection_free.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
const char *jeton_introspection_client_id(const jeton_introspection *introspection);

// When the token expires, in milliseconds of Unix time. `JETON_NEVER` if the server does not say, and for NULL.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
int64_t jeton_introspection_expires_at_ms(const jeton_introspection *introspection);

// The whole answer as one JSON object, with the members that have no function here. NULL for NULL.
//
// Ownership: borrowed from `introspection`, until jeton_introspection_free.
//
// Threads: any thread. Errors: none.
//
// `introspection` is NULL or a live handle.
const char *jeton_introspection_json(const jeton_introspection *introspection);

// Frees an introspection answer. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `introspection` is NULL or a live handle, which is not used afterwards.
void jeton_introspection_free(jeton_introspection *introspection);

// The newest ID token of the login: its signature, issuer, audience, nonce and times were checked when it came. The client asks for
// one with the scope "openid". It is read from the store; nothing is sent. It says who logged in, not that the login still works.
//
// `cancel`: ends the call, or NULL. `id_token`: set to it, or to NULL if there is none, which is no error; the caller's: free it with
// jeton_id_token_free.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_STORE` if the store cannot be read, `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "openid",
// `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `session` and `cancel` each are NULL or a live handle; `id_token` and `error` each are NULL or can be written to.
int32_t jeton_session_id_token(const jeton_session *session,
                               const jeton_cancel *cancel,
                               jeton_id_token **id_token,
                               jeton_error **error);

// Who logged in: the claim "sub", which is the person's name at this server for good. Compare it together with the issuer. NULL for
// NULL.
//
// Ownership: borrowed from `id_token`, until jeton_id_token_free.
//
// Threads: any thread. Errors: none.
//
// `id_token` is NULL or a live handle.
const char *jeton_id_token_subject(const jeton_id_token *id_token);

// All claims as one JSON object. NULL for NULL.
//
// Ownership: borrowed from `id_token`, until jeton_id_token_free.
//
// Threads: any thread. Errors: none.
//
// `id_token` is NULL or a live handle.
const char *jeton_id_token_claims_json(const jeton_id_token *id_token);

// Frees an ID token. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `id_token` is NULL or a live handle, which is not used afterwards.
void jeton_id_token_free(jeton_id_token *id_token);

// The proof for one request to a resource server with this token (RFC 9449 §7): send it as header `DPoP`, beside the value of
// jeton_token_authorization. Each request needs a proof of its own, also the same one sent again. Requests of jeton
// (jeton_session_request) bring theirs by themselves.
//
// `method`: such as "GET". `url`: of the request. `cancel`: ends the call, or NULL. `proof`: set to it, or to NULL if the token is not
// bound and needs none, which is no error; the caller's: free it with jeton_dpop_proof_free.
//
// Threads: any thread; blocks only where a jeton_signer does. Not from a store's callback.
//
// Errors: `JETON_ERROR_FOREIGN_ORIGIN` if the URL is at none of the client's resource servers, `JETON_ERROR_CALLBACK` if the signer
// fails, `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose", `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for
// NULL, and what is no method or URL.
//
// `session`, `token` and `cancel` each are NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `proof` and
// `error` each are NULL or can be written to.
int32_t jeton_session_dpop_proof(const jeton_session *session,
                                 const char *method,
                                 const char *url,
                                 const jeton_token *token,
                                 const jeton_cancel *cancel,
                                 jeton_dpop_proof **proof,
                                 jeton_error **error);

// The value of the header `DPoP`. NULL for NULL.
//
// Ownership: borrowed from `proof`, until jeton_dpop_proof_free.
//
// Threads: any thread. Errors: none.
//
// `proof` is NULL or a live handle.
const char *jeton_dpop_proof_value(const jeton_dpop_proof *proof);

// Frees a proof. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `proof` is NULL or a live handle, which is not used afterwards.
void jeton_dpop_proof_free(jeton_dpop_proof *proof);

// Tells the session which nonce a resource server wants to see in the next proof (RFC 9449 §9): the header `DPoP-Nonce`, which any
// answer may have. For programs with an HTTP library of their own. Only what the server said that got the proof counts: after a
// redirect to another origin, tell nothing.
//
// `url`: of the request. `http_status`: 100 to 999. `www_authenticate`: the values of that header joined by ", ", or NULL. `nonce`: the
// value of `DPoP-Nonce`, or NULL if there was none. `try_again`: set to 1 if the server refused the request for want of the nonce: send
// it once more with the same token and a new proof; else to 0. It may be NULL.
//
// Threads: any thread; does not block.
//
// Errors: `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "jose", `JETON_ERROR_INVALID_ARGUMENT` for NULL, a status that is
// none, what is no URL, or a header with control characters.
//
// `session` is NULL or a live handle; `url`, `www_authenticate` and `nonce` each are NULL or a NUL-terminated string; `try_again` and
// `error` each are NULL or can be written to.
int32_t jeton_session_dpop_nonce(const jeton_session *session,
                                 const char *url,
                                 int32_t http_status,
                                 const char *www_authenticate,
                                 const char *nonce,
                                 int32_t *try_again,
                                 jeton_error **error);

/* ---- Authenticated requests ---- */

// Begins a request to one of the client's resource servers. Nothing is sent yet.
//
// `method`: such as "GET"; methods are case-sensitive. `url`: absolute, with its query, if any, in the right encoding. What is
// wrong with either is told here; whether the token may go there, by jeton_request_send (jeton_session_check_url asks).
//
// Ownership: free `*request` with jeton_request_free. It holds on to the session's login: `session` may be freed before.
//
// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what is no method or no URL.
//
// `session` is NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `request` and `error` are NULL or
// point to where a pointer can be written.
int32_t jeton_session_request(const jeton_session *session,
                              const char *method,
                              const char *url,
                              jeton_request **request,
                              jeton_error **error);

// Adds a header; one that is there stays, so that a name may have several values.
//
// `value`: any text without line breaks. An "Authorization" header is refused when the request is sent: the token goes there.
//
// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what no header can hold.
//
// `request` is NULL or a live handle that no other thread uses; `name` and `value` are NULL or NUL-terminated strings; `error` is
// NULL or points to where a pointer can be written.
int32_t jeton_request_add_header(jeton_request *request,
                                 const char *name,
                                 const char *value,
                                 jeton_error **error);

// Adds a parameter to the URL's query, encoded as it must be, behind what is there.
//
// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`.
//
// As for jeton_request_add_header.
int32_t jeton_request_add_query(jeton_request *request,
                                const char *name,
                                const char *value,
                                jeton_error **error);

// Sets the body, in the place of one that was set before. Its type goes into a header: jeton_request_add_header with
// "Content-Type".
//
// `body`: `length` bytes, copied; may be NULL if `length` is 0, for an empty body.
//
// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`.
//
// `request` is NULL or a live handle that no other thread uses; `body` is NULL or points to `length` bytes; `error` is NULL or
// points to where a pointer can be written.
int32_t jeton_request_set_body(jeton_request *request,
                               const uint8_t *body,
                               size_t length,
                               jeton_error **error);

// Limits how long the resource server may take, in milliseconds, from connecting until the body is read. The second try after
// a 401 has as long again. Unless set there is no limit: then jeton_cancel ends a call.
//
// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, also for a time that is negative or 0.
//
// `request` is NULL or a live handle that no other thread uses; `error` is NULL or points to where a pointer can be written.
int32_t jeton_request_set_timeout_ms(jeton_request *request,
                                     int64_t timeout_ms,
                                     jeton_error **error);

// Limits the body of the answer, in bytes. A longer one makes jeton_request_send fail with `JETON_ERROR_REQUEST`; nothing of it is
// given out. 64 MiB unless set.
//
// Threads: the request's. Errors: `JETON_ERROR_INVALID_ARGUMENT`, also for a negative number.
//
// `request` is NULL or a live handle that no other thread uses; `error` is NULL or points to where a pointer can be written.
int32_t jeton_request_set_max_body(jeton_request *request,
                                   int64_t bytes,
                                   jeton_error **error);

// Sends the request with a valid access token, which is obtained or refreshed if need be, and waits for the whole answer. Any HTTP
// status is an answer and no error. The request may be changed and sent again afterwards.
//
// `cancel` (may be NULL): ends the call from another thread. What was sent by then may have its effect.
//
// Ownership: free `*response` with jeton_response_free. It depends on nothing else.
//
// Threads: the request's; it blocks. Errors: `JETON_ERROR_FOREIGN_ORIGIN` if the URL is at none of the client's resource servers,
// `JETON_ERROR_REQUEST` if there is no answer, if the body is too long or the request has an "Authorization" header of its own,
// `JETON_ERROR_CANCELLED`, and those of jeton_session_token.
//
// `request` is NULL or a live handle that no other thread changes or frees meanwhile; `cancel` is NULL or a live handle;
// `response` and `error` are NULL or point to where a pointer can be written.
int32_t jeton_request_send(const jeton_request *request,
                           const jeton_cancel *cancel,
                           jeton_response **response,
                           jeton_error **error);

// Frees a request. NULL is allowed. If it holds the last session of its login, this waits as jeton_session_free does.
//
// Threads: the request's. Errors: none.
//
// `request` is NULL or a live handle that nobody uses any more.
void jeton_request_free(jeton_request *request);

// The HTTP status, such as 200. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `response` is NULL or a live handle.
int32_t jeton_response_status(const jeton_response *response);

// The value of the first header of that name, in whatever case; NULL if there is none. The others of the name stand in the
// list: jeton_response_header_name.
//
// Ownership: borrowed from `response`, until jeton_response_free.
//
// Threads: any thread. Errors: none; NULL for an argument that is NULL.
//
// `response` is NULL or a live handle; `name` is NULL or a NUL-terminated string.
const char *jeton_response_header(const jeton_response *response,
                                  const char *name);

// How many headers there are; one with several values counts as often as it came. 0 for NULL.
//
// Threads: any thread. Errors: none.
//
// `response` is NULL or a live handle.
size_t jeton_response_header_count(const jeton_response *response);

// The name of a header, in lower case, by its index from 0; NULL beyond the end. Values of one name stand together, in the order
// in which they came.
//
// Ownership: borrowed from `response`, until jeton_response_free.
//
// Threads: any thread. Errors: none.
//
// `response` is NULL or a live handle.
const char *jeton_response_header_name(const jeton_response *response,
                                       size_t index);

// The value of a header by its index from 0; NULL beyond the end. What is not UTF-8 in it is shown as U+FFFD.
//
// Ownership: borrowed from `response`, until jeton_response_free.
//
// Threads: any thread. Errors: none.
//
// `response` is NULL or a live handle.
const char *jeton_response_header_value(const jeton_response *response,
                                        size_t index);

// The whole body. A NUL stands behind its end, so that a text can be read as a C string; there may be others inside. NULL for
// NULL only: an empty body is an empty string.
//
// `length` (may be NULL): gets its length in bytes, without that NUL.
//
// Ownership: borrowed from `response`, until jeton_response_free.
//
// Threads: any thread. Errors: none.
//
// `response` is NULL or a live handle; `length` is NULL or points to where a `size_t` can be written.
const uint8_t *jeton_response_body(const jeton_response *response,
                                   size_t *length);

// Frees a response and its strings and body. NULL is allowed.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `response` is NULL or a live handle that nobody uses any more.
void jeton_response_free(jeton_response *response);

// Makes a client of APIs of which only the URL is known. The configuration is checked as a whole and only read. Nothing is sent yet.
//
// `client`: set to the new client, which is the caller's: free it with jeton_resource_client_free. NULL on failure.
//
// Threads: any thread, while no other one changes the configuration.
//
// Errors: `JETON_ERROR_CONFIGURATION`, with what is wrong and what to set; `JETON_ERROR_STORE` if the store is not to be had;
// `JETON_ERROR_UNSUPPORTED` if this build lacks the feature "registration" or "loopback"; `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `config` is NULL or a live handle; `client` and `error` each are NULL or can be written to.
int32_t jeton_resource_client_new(const jeton_config *config,
                                  jeton_resource_client **client,
                                  jeton_error **error);

// Begins a request. Nothing is sent yet: add headers and a body with the functions of jeton_request, and send it with
// jeton_request_send as often as wanted.
//
// `method`: such as "GET"; methods are case-sensitive. `url`: absolute, with its query, if any, in the right encoding.
//
// Ownership: free `*request` with jeton_request_free. `client` may be freed before.
//
// Threads: any thread. Errors: `JETON_ERROR_INVALID_ARGUMENT`, `JETON_ERROR_REQUEST` for what is no method or no URL.
//
// `client` is NULL or a live handle; `method` and `url` are NULL or NUL-terminated strings; `request` and `error` are NULL or point to
// where a pointer can be written.
int32_t jeton_resource_client_request(const jeton_resource_client *client,
                                      const char *method,
                                      const char *url,
                                      jeton_request **request,
                                      jeton_error **error);

// Sends a GET request and waits for the whole answer, and for the person where one has to approve a server or log in. Any HTTP status
// is an answer and no error.
//
// `url`: absolute. `cancel` (may be NULL): ends the call from another thread. `response`: set to the answer, which is the caller's:
// free it with jeton_response_free. NULL on failure.
//
// Threads: any thread; blocks. Not from a store's callback.
//
// Errors: `JETON_ERROR_ANSWER` if there is no way from the resource to a login (nobody approved the server, its metadata is not its
// own), `JETON_ERROR_INTERACTION` and those of jeton_session_log_in if the login failed, `JETON_ERROR_REQUEST` if there is no answer,
// `JETON_ERROR_CALLBACK`, `JETON_ERROR_CANCELLED`, `JETON_ERROR_INVALID_ARGUMENT` for NULL.
//
// `client` and `cancel` are NULL or a live handle; `url` is NULL or a NUL-terminated string; `response` and `error` are NULL or point to
// where a pointer can be written.
int32_t jeton_resource_client_get(const jeton_resource_client *client,
                                  const char *url,
                                  const jeton_cancel *cancel,
                                  jeton_response **response,
                                  jeton_error **error);

// Frees a client. NULL is allowed. Requests that were made from it go on working.
//
// Threads: any thread, while no other one uses the handle. Errors: none.
//
// `client` is NULL or a live handle, which is not used afterwards.
void jeton_resource_client_free(jeton_resource_client *client);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* JETON_H */
