// jeton.hpp: sign in once and stay signed in, for C++17 and newer. Header-only, over jeton.h.
//
//     #include <jeton.hpp>
//     #include <iostream>
//
//     int main()
//     {
//         jeton::config config;
//         config.issuer("https://login.example.com").client_id("my-program").scope("read");
//         config.grant(jeton::grant::device_code).store(jeton::store_kind::file);
//         config.resource_server("https://api.example.com"); // who else may get the token
//         config.on_device_code([](const jeton::device_prompt &prompt) {
//             std::cout << "Open " << prompt.verification_uri << " and enter " << prompt.user_code << "\n";
//         });
//
//         const jeton::client client = config.build().value(); // value() throws what went wrong
//         const jeton::session session = client.session().value();
//         jeton::result<jeton::token> token = session.token(); // refreshes where needed
//         if (token.error().status() == jeton::status::login_required)
//             token = session.log_in(); // the person signs in
//         if (!token) { // nothing throws unless asked to
//             std::cerr << token.error().message() << "\n";
//             return 1;
//         }
//         // token->authorization() is for an HTTP library of your own; this is jeton's:
//         const auto answer = session.request("GET", "https://api.example.com/me").send();
//         std::cout << (answer ? answer->body() : answer.error().message()) << "\n";
//     }
//
// Results. A function that can fail returns `result<T>`: the value, or an `error` that tells what was wrong, what the
// server answered and what to do. `value()` and `or_throw()` throw `jeton::exception`; with -fno-exceptions they call
// the failure handler (`set_failure_handler`) and end the program.
//
// Callbacks. Any callable will do, also one that can only be moved. They run on threads of jeton's, those of several
// logins at the same time, so what they touch has to be safe for that; they may call jeton. An exception never leaves
// a callback into the C library: it is kept, the login or the store's operation fails, and `value()` of the call
// that failed throws it again. A callback may instead return an int: anything but 0 fails with that code
// (`error::callback_result`). Codes below -1073741824 (-2^30) are taken for kept exceptions.
//
// Ownership. Handles are move-only, own what they stand for and free it. One that was moved from is empty: its
// functions that can fail answer `status::invalid_argument`, its getters nothing. A `std::string_view` that a handle
// returns lives as long as what the handle owns: until the handle, or the one that it was moved to, is destroyed or
// assigned to. Texts that are passed in are only read during the call.
//
// Threads. const functions of client, session, token, cancellation, error, pending_login, introspection, response and
// accounts may be called from any number of threads at once; config and request belong to one thread.
//
// Texts are UTF-8 and must not contain a NUL character. Durations are std::chrono ones, in milliseconds.
//
// Do not call jeton in the child of a fork() before exec, and do not unload its library.
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef JETON_HPP
#define JETON_HPP

#include "jeton.h"

#if !(__cplusplus >= 201703L || (defined(_MSVC_LANG) && _MSVC_LANG >= 201703L))
#error "jeton.hpp needs C++17 or newer; jeton.h works with older ones"
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

// A library and a program built with and without exceptions may both use this header: their types have different
// names for the linker, as functions of the same name would do different things.
#if defined(__cpp_exceptions)
#define JETON_HPP_EXCEPTIONS 1
#define JETON_HPP_NAMESPACE throwing
#else
#define JETON_HPP_EXCEPTIONS 0
#define JETON_HPP_NAMESPACE nonthrowing
#endif

// Lets clang warn of a view into a handle that is gone.
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define JETON_HPP_BORROWED [[clang::lifetimebound]]
#endif
#endif
#ifndef JETON_HPP_BORROWED
#define JETON_HPP_BORROWED
#endif

// One table of kept exceptions for all of a program, its plug-ins with hidden symbols included.
#if defined(__GNUC__)
#define JETON_HPP_SHARED __attribute__((visibility("default")))
#else
#define JETON_HPP_SHARED
#endif

namespace jeton {
inline namespace JETON_HPP_NAMESPACE {

/// How a call ended. A newer library may answer numbers that have no name here yet.
enum class status : std::int32_t {
    ok = JETON_OK,
    /// A value is missing, not UTF-8 or not known, or a handle was moved from.
    invalid_argument = JETON_ERROR_INVALID_ARGUMENT,
    configuration = JETON_ERROR_CONFIGURATION,
    /// Call session::log_in.
    login_required = JETON_ERROR_LOGIN_REQUIRED,
    /// By a cancellation, or the login was given up.
    cancelled = JETON_ERROR_CANCELLED,
    /// No answer from the authorization server.
    network = JETON_ERROR_NETWORK,
    /// The server answered an OAuth error: error::oauth_code.
    oauth = JETON_ERROR_OAUTH,
    /// The server's answer cannot be used.
    answer = JETON_ERROR_ANSWER,
    store = JETON_ERROR_STORE,
    /// Too early after a failure, nothing was sent: error::retry_after.
    backing_off = JETON_ERROR_BACKING_OFF,
    /// The URL is none of the client's resource servers, and gets no token.
    foreign_origin = JETON_ERROR_FOREIGN_ORIGIN,
    /// An authenticated request got no answer, or cannot be sent as it is.
    request = JETON_ERROR_REQUEST,
    /// The person could not be reached, or did not answer in time.
    interaction = JETON_ERROR_INTERACTION,
    /// A callback of the program failed: error::callback_exception, error::callback_result.
    callback = JETON_ERROR_CALLBACK,
    /// This build of the library lacks the feature.
    unsupported = JETON_ERROR_UNSUPPORTED,
    not_cached = JETON_ERROR_NOT_CACHED,
    /// A defect of jeton.
    internal = JETON_ERROR_INTERNAL,
};

/// What to do about an error.
enum class recovery : std::int32_t {
    none = 0,
    retry = JETON_RECOVERY_RETRY,
    log_in = JETON_RECOVERY_LOG_IN,
    fix_request = JETON_RECOVERY_FIX_REQUEST,
    fix_configuration = JETON_RECOVERY_FIX_CONFIGURATION,
    give_up = JETON_RECOVERY_GIVE_UP,
};

/// How a token is obtained.
enum class grant : std::int32_t {
    /// In the person's browser, with a listener on the loopback interface (RFC 8252), or one of the program's own:
    /// session::begin_log_in.
    authorization_code = JETON_GRANT_AUTHORIZATION_CODE,
    /// With a code that the person enters on another device (RFC 8628).
    device_code = JETON_GRANT_DEVICE_CODE,
    /// As the program itself, without a person.
    client_credentials = JETON_GRANT_CLIENT_CREDENTIALS,
    /// With a person's user name and password; only for servers that know nothing better.
    password = JETON_GRANT_PASSWORD,
};

/// How the client proves who it is.
enum class client_authentication : std::int32_t {
    /// client_secret_basic, the default where there is a secret.
    basic = JETON_AUTHENTICATION_BASIC,
    /// client_secret_post.
    post = JETON_AUTHENTICATION_POST,
    /// A public client.
    none = JETON_AUTHENTICATION_NONE,
    /// private_key_jwt, with config::private_key or config::signer.
    private_key_jwt = JETON_AUTHENTICATION_PRIVATE_KEY_JWT,
    /// client_secret_jwt.
    client_secret_jwt = JETON_AUTHENTICATION_CLIENT_SECRET_JWT,
    /// tls_client_auth, with config::client_certificate.
    tls = JETON_AUTHENTICATION_TLS,
    /// self_signed_tls_client_auth, with config::client_certificate.
    self_signed_tls = JETON_AUTHENTICATION_SELF_SIGNED_TLS,
};

/// What a key of the program's own signs.
enum class signer_purpose : std::int32_t {
    /// What the client authenticates with, and its authorization requests.
    client = JETON_SIGNER_CLIENT,
    /// Proofs: what tokens are bound to.
    dpop = JETON_SIGNER_DPOP,
};

/// Where logins are kept. A store of the program's own: class store.
enum class store_kind : std::int32_t {
    /// The default: until the program ends.
    memory = JETON_STORE_MEMORY,
    file = JETON_STORE_FILE,
    /// Encrypted files.
    sealed = JETON_STORE_SEALED,
    /// The system's keychain.
    keyring = JETON_STORE_KEYRING,
    /// The keychain, else sealed with the given key or passphrase, else a plain file if allowed.
    automatic = JETON_STORE_AUTOMATIC,
};

/// Into which request an extra parameter goes.
enum class request_kind : std::int32_t {
    authorization = JETON_REQUEST_AUTHORIZATION,
    token = JETON_REQUEST_TOKEN,
    refresh = JETON_REQUEST_REFRESH,
    device_authorization = JETON_REQUEST_DEVICE_AUTHORIZATION,
};

enum class event_kind : std::int32_t {
    logged_in = JETON_EVENT_LOGGED_IN,
    refreshed = JETON_EVENT_REFRESHED,
    /// The server ended the login; a person has to sign in again.
    login_ended = JETON_EVENT_LOGIN_ENDED,
    /// A token is used but could not be stored.
    persist_failed = JETON_EVENT_PERSIST_FAILED,
    logged_out = JETON_EVENT_LOGGED_OUT,
    /// Another process logged out.
    logged_out_elsewhere = JETON_EVENT_LOGGED_OUT_ELSEWHERE,
};

enum class log_level : std::int32_t {
    error = JETON_LOG_ERROR,
    warn = JETON_LOG_WARN,
    info = JETON_LOG_INFO,
    debug = JETON_LOG_DEBUG,
    trace = JETON_LOG_TRACE,
};

using time_point = std::chrono::system_clock::time_point;
using milliseconds = std::chrono::milliseconds;

/// The version of the library that is loaded, such as "0.1.0"; that of the headers is JETON_VERSION.
[[nodiscard]] inline std::string_view version() noexcept { return jeton_version(); }
/// major << 16 | minor << 8 | patch, to compare with JETON_VERSION_NUMBER.
[[nodiscard]] inline std::uint32_t version_number() noexcept { return jeton_version_number(); }
/// Whether the library that is loaded has a feature; the names stand with jeton_has_feature in jeton.h.
[[nodiscard]] inline bool has_feature(const char *name) noexcept { return jeton_has_feature(name) == 1; }
/// The name of a status, such as "LOGIN_REQUIRED".
[[nodiscard]] inline std::string_view status_name(status value) noexcept
{
    return jeton_status_name(static_cast<std::int32_t>(value));
}

/// Text for a parameter: a `const char *`, a std::string or a std::string_view converts to it. It borrows from the
/// first two, so it is nothing to keep.
class text {
public:
    text(const char *value) noexcept : data_(value) {} // NOLINT: converts on purpose
    text(const std::string &value) noexcept : data_(value.c_str()), whole_(is_whole(value)) {} // NOLINT
    text(std::string_view value) : copy_(value), data_(copy_.c_str()), whole_(is_whole(value)) {} // NOLINT
    text(const text &) = delete;
    text &operator=(const text &) = delete;

    /// What the C library reads: up to the first NUL character.
    [[nodiscard]] const char *c_str() const noexcept { return data_; }
    /// False if there is a NUL character within, behind which the C library would not see.
    [[nodiscard]] bool is_whole() const noexcept { return whole_; }

private:
    static bool is_whole(std::string_view value) noexcept { return value.find('\0') == std::string_view::npos; }

    std::string copy_;
    const char *data_;
    bool whole_ = true;
};

namespace detail {

template <class T, void (*Free)(T *)>
struct deleter {
    void operator()(T *handle) const noexcept { Free(handle); }
};
template <class T, void (*Free)(T *)>
using owned = std::unique_ptr<T, deleter<T, Free>>;

inline std::string_view view(const char *value) noexcept { return value ? value : std::string_view(); }

inline std::optional<std::string_view> maybe_view(const char *value) noexcept
{
    return value ? std::optional<std::string_view>(value) : std::nullopt;
}

inline const std::uint8_t *bytes(std::string_view value) noexcept
{
    return reinterpret_cast<const std::uint8_t *>(value.data());
}

inline std::optional<milliseconds> maybe_duration(std::int64_t ms) noexcept
{
    return ms < 0 ? std::nullopt : std::optional<milliseconds>(ms);
}

/// Times beyond what the clock can say (year 2262 with GCC) become its last one.
inline std::optional<time_point> maybe_time(std::int64_t ms) noexcept
{
    if (ms < 0)
        return std::nullopt;
    const auto last = std::chrono::duration_cast<milliseconds>(time_point::max().time_since_epoch());
    if (ms >= last.count())
        return time_point::max();
    return time_point(std::chrono::duration_cast<time_point::duration>(milliseconds(ms)));
}

/// Overwrites what was secret; volatile, so that the compiler does not leave it out.
inline void wipe(std::string &secret) noexcept
{
    volatile char *data = secret.data();
    for (std::size_t index = 0; index < secret.size(); ++index)
        data[index] = 0;
}

#if JETON_HPP_EXCEPTIONS
/// Exceptions of callbacks on their way through the C library, each under a number of its own. Nobody may ever ask
/// for one (its login was cancelled) and several may ask for the same one (they waited for the same login), so the
/// newest are kept and the oldest dropped.
class JETON_HPP_SHARED kept_exceptions {
public:
    static kept_exceptions &all()
    {
        // Never destroyed: threads of jeton's may still run while the program ends.
        static auto *const instance = new kept_exceptions;
        return *instance;
    }

    std::int32_t keep(std::exception_ptr thrown) noexcept
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const std::uint32_t number = next_++ % range;
        slot &place = slots_[number % slots_.size()];
        place.code = first_code + static_cast<std::int32_t>(number);
        // The older exception is destroyed with the parameter, after the lock is gone.
        place.thrown.swap(thrown);
        return place.code;
    }

    std::exception_ptr find(std::int32_t code) noexcept
    {
        if (code >= first_code + static_cast<std::int32_t>(range))
            return nullptr;
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto number = static_cast<std::uint32_t>(code - first_code);
        const slot &place = slots_[number % slots_.size()];
        return place.code == code ? place.thrown : nullptr;
    }

private:
    struct slot {
        std::int32_t code = 0;
        std::exception_ptr thrown;
    };
    static constexpr std::int32_t first_code = std::numeric_limits<std::int32_t>::min();
    static constexpr std::uint32_t range = 1U << 30U;

    std::mutex mutex_;
    std::uint32_t next_ = 0;
    std::array<slot, 256> slots_;
};

using stray_exception_handler = void (*)(std::exception_ptr);
struct JETON_HPP_SHARED stray {
    static std::atomic<stray_exception_handler> &handler() noexcept
    {
        static std::atomic<stray_exception_handler> instance{nullptr};
        return instance;
    }
};
#endif

/// Runs a callback that reports: no exception leaves it.
template <class Call>
std::int32_t guarded(Call &&call) noexcept
{
#if JETON_HPP_EXCEPTIONS
    try {
        return call();
    } catch (...) {
        return kept_exceptions::all().keep(std::current_exception());
    }
#else
    return call();
#endif
}

/// Runs a callback that has nobody to report to.
template <class Call>
void guarded_stray(Call &&call) noexcept
{
#if JETON_HPP_EXCEPTIONS
    try {
        call();
    } catch (...) {
        if (const auto handler = stray::handler().load())
            handler(std::current_exception());
    }
#else
    call();
#endif
}

} // namespace detail

#if JETON_HPP_EXCEPTIONS
/// What happens to an exception that leaves a callback which cannot fail: on_login_ended, on_event, set_log and
/// store::unlock. The handler is called in that callback's thread and must not throw. Without one such an exception
/// is dropped. Returns the handler before.
inline detail::stray_exception_handler set_stray_exception_handler(detail::stray_exception_handler handler) noexcept
{
    return detail::stray::handler().exchange(handler);
}
#endif

/// Why a call failed. Copies share one immutable error; an empty one (`status::ok`) stands for no error. Shows no
/// secrets.
class [[nodiscard]] error {
public:
    /// No error.
    error() noexcept = default;
    /// An error of the program's own making, for functions of its own that return a result. `message` must be
    /// a literal.
    explicit error(jeton::status status, const char *message) noexcept
        : status_(static_cast<std::int32_t>(status)), literal_(message)
    {
    }
    /// Takes over an error of the C library; `status` is what its function returned.
    explicit error(std::int32_t status, jeton_error *handle) : handle_(handle, jeton_error_free), status_(status)
    {
#if JETON_HPP_EXCEPTIONS
        if (const std::int32_t code = jeton_error_callback_result(handle))
            thrown_ = detail::kept_exceptions::all().find(code);
#endif
    }
    error(const error &) = default;
    error(error &&other) noexcept
        : handle_(std::move(other.handle_)), thrown_(std::exchange(other.thrown_, nullptr)),
          status_(std::exchange(other.status_, JETON_OK)), literal_(std::exchange(other.literal_, nullptr))
    {
    }
    error &operator=(const error &) = default;
    error &operator=(error &&other) noexcept
    {
        error taken(std::move(other));
        handle_.swap(taken.handle_);
        std::swap(thrown_, taken.thrown_);
        std::swap(status_, taken.status_);
        std::swap(literal_, taken.literal_);
        return *this;
    }
    ~error() = default;

    /// Whether there is an error.
    explicit operator bool() const noexcept { return status_ != JETON_OK; }
    [[nodiscard]] jeton::status status() const noexcept { return static_cast<jeton::status>(status_); }
    /// One line for people, in English; empty without an error.
    [[nodiscard]] std::string_view message() const noexcept JETON_HPP_BORROWED
    {
        if (handle_)
            return detail::view(jeton_error_message(get()));
        if (literal_)
            return literal_;
        return status_ == JETON_OK ? std::string_view() : detail::view(jeton_status_name(status_));
    }
    [[nodiscard]] jeton::recovery recovery() const noexcept
    {
        if (!handle_ && status_ == JETON_ERROR_INVALID_ARGUMENT)
            return jeton::recovery::fix_request;
        return static_cast<jeton::recovery>(jeton_error_recovery(get()));
    }
    /// `error` of the server's answer, such as "invalid_grant" (RFC 6749 section 5.2).
    [[nodiscard]] std::optional<std::string_view> oauth_code() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_error_oauth_code(get()));
    }
    /// `error_description` of the server's answer.
    [[nodiscard]] std::optional<std::string_view> oauth_description() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_error_oauth_description(get()));
    }
    /// `error_uri` of the server's answer.
    [[nodiscard]] std::optional<std::string_view> oauth_uri() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_error_oauth_uri(get()));
    }
    /// The HTTP status of the answer that was the error.
    [[nodiscard]] std::optional<int> http_status() const noexcept
    {
        const std::int32_t http = jeton_error_http_status(get());
        return http == 0 ? std::nullopt : std::optional<int>(http);
    }
    /// How long to wait before trying again, where that is known.
    [[nodiscard]] std::optional<milliseconds> retry_after() const noexcept
    {
        return handle_ ? detail::maybe_duration(jeton_error_retry_after_ms(get())) : std::nullopt;
    }
    /// What the program's callback returned; 0 if none failed.
    [[nodiscard]] std::int32_t callback_result() const noexcept { return jeton_error_callback_result(get()); }
    /// What the program's callback threw; null if none did, if exceptions are off, or if more than 255 callbacks threw
    /// between that and the moment when this error was handed to the program.
    [[nodiscard]] std::exception_ptr callback_exception() const noexcept { return thrown_; }
    /// Throws what a callback threw, else jeton::exception. Without exceptions it calls the failure handler and
    /// ends the program.
    [[noreturn]] inline void raise() const;

    /// The C library's error, which stays this object's; NULL for an error of the program's own making.
    [[nodiscard]] const jeton_error *get() const noexcept JETON_HPP_BORROWED { return handle_.get(); }

private:
    std::shared_ptr<jeton_error> handle_;
    std::exception_ptr thrown_;
    std::int32_t status_ = JETON_OK;
    const char *literal_ = nullptr;
};

#if JETON_HPP_EXCEPTIONS
/// What `value()`, `or_throw()` and `error::raise()` throw.
class exception : public std::exception {
public:
    explicit exception(jeton::error error) : error_(std::move(error)), what_(shared_text(error_)) {}
    [[nodiscard]] const char *what() const noexcept override { return what_->c_str(); }
    [[nodiscard]] const jeton::error &error() const noexcept JETON_HPP_BORROWED { return error_; }
    [[nodiscard]] jeton::status status() const noexcept { return error_.status(); }

private:
    static std::shared_ptr<const std::string> shared_text(const jeton::error &error)
    {
        return std::make_shared<const std::string>(error.message());
    }

    jeton::error error_;
    // Shared, as copying an exception must not throw.
    std::shared_ptr<const std::string> what_;
};
#else
/// Called with the error before `value()` of a failed result ends the program itself, unless the handler ends it.
using failure_handler = void (*)(const error &);
namespace detail {
inline std::atomic<failure_handler> &current_failure_handler() noexcept
{
    static std::atomic<failure_handler> instance{nullptr};
    return instance;
}
} // namespace detail
/// Only with -fno-exceptions. Without a handler, or when it returns, std::terminate is called. Returns the handler
/// before.
inline failure_handler set_failure_handler(failure_handler handler) noexcept
{
    return detail::current_failure_handler().exchange(handler);
}
#endif

inline void error::raise() const
{
#if JETON_HPP_EXCEPTIONS
    if (thrown_)
        std::rethrow_exception(thrown_);
    throw exception(*this);
#else
    if (const auto handler = detail::current_failure_handler().load())
        handler(*this);
    std::terminate();
#endif
}

/// A value, or why there is none. `T` may be void.
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : value_(std::move(value)) {} // NOLINT: converts on purpose
    /// An empty error is no value either.
    result(jeton::error error) noexcept : error_(std::move(error)) {} // NOLINT
    // A result that was moved from has no value, and no error.
    result(result &&other) noexcept(std::is_nothrow_move_constructible_v<T>)
        : value_(std::exchange(other.value_, std::nullopt)), error_(std::move(other.error_))
    {
    }
    result &operator=(result &&other) noexcept(std::is_nothrow_move_constructible_v<T>)
    {
        if (this != &other) {
            value_.reset();
            if (other.value_)
                value_.emplace(*std::exchange(other.value_, std::nullopt));
            error_ = std::move(other.error_);
        }
        return *this;
    }
    result(const result &) = delete;
    result &operator=(const result &) = delete;
    ~result() = default;

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value. Throws jeton::exception, or what a callback threw, if there is none.
    [[nodiscard]] T &value() & JETON_HPP_BORROWED
    {
        check();
        return *value_;
    }
    [[nodiscard]] const T &value() const & JETON_HPP_BORROWED
    {
        check();
        return *value_;
    }
    /// The value of a result that is about to be gone is moved out: `auto token = session.token().value();`
    [[nodiscard]] T value() &&
    {
        check();
        return std::move(*value_);
    }
    /// As value(), for when it reads better.
    [[nodiscard]] T or_throw() && { return std::move(*this).value(); }
    /// The same, checked too.
    [[nodiscard]] T &operator*() & JETON_HPP_BORROWED { return value(); }
    [[nodiscard]] const T &operator*() const & JETON_HPP_BORROWED { return value(); }
    [[nodiscard]] T operator*() && { return std::move(*this).value(); }
    [[nodiscard]] T *operator->() JETON_HPP_BORROWED { return &value(); }
    [[nodiscard]] const T *operator->() const JETON_HPP_BORROWED { return &value(); }

    template <class U>
    [[nodiscard]] T value_or(U &&other) &&
    {
        return value_ ? std::move(*value_) : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    [[nodiscard]] T value_or(U &&other) const &
    {
        return value_ ? *value_ : static_cast<T>(std::forward<U>(other));
    }

    /// Why there is no value; `status::ok` if there is one. Never throws.
    [[nodiscard]] const jeton::error &error() const & noexcept JETON_HPP_BORROWED { return error_; }
    [[nodiscard]] jeton::error error() && noexcept { return std::move(error_); }

private:
    void check() const
    {
        if (value_)
            return;
        if (error_)
            error_.raise();
        jeton::error(status::invalid_argument, "this result was moved from, and has no value").raise();
    }

    std::optional<T> value_;
    jeton::error error_;
};

/// Whether something was done, or why not.
template <>
class [[nodiscard]] result<void> {
public:
    /// Done.
    result() noexcept = default;
    /// An empty error means that it was done.
    result(jeton::error error) noexcept : error_(std::move(error)) {} // NOLINT: converts on purpose

    [[nodiscard]] bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    /// Throws jeton::exception, or what a callback threw, if it failed.
    void value() const
    {
        if (error_)
            error_.raise();
    }
    void or_throw() const { value(); }
    [[nodiscard]] const jeton::error &error() const & noexcept JETON_HPP_BORROWED { return error_; }
    [[nodiscard]] jeton::error error() && noexcept { return std::move(error_); }

private:
    jeton::error error_;
};

namespace detail {

inline error cut_text()
{
    return error(status::invalid_argument, "a text contains a NUL character: pass texts without one");
}

template <class Call>
result<void> done(Call &&call)
{
    jeton_error *failure = nullptr;
    const std::int32_t status = call(&failure);
    return status == JETON_OK ? result<void>() : result<void>(error(status, failure));
}

/// Calls a function of the C library that makes a handle, and wraps that.
template <class Handle, class Call>
result<Handle> made(Call &&call)
{
    typename Handle::c_type *handle = nullptr;
    jeton_error *failure = nullptr;
    const std::int32_t status = call(&handle, &failure);
    if (status != JETON_OK)
        return error(status, failure);
    return Handle(handle);
}

/// What a C function with a count and an index lists. Borrows from the handle.
template <class Owner, class Item, std::size_t (*Count)(const Owner *), Item (*At)(const Owner *, std::size_t)>
class listing {
public:
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = Item;

        iterator() noexcept = default;
        iterator(const Owner *owner, std::size_t index) noexcept : owner_(owner), index_(index) {}
        [[nodiscard]] Item operator*() const noexcept { return At(owner_, index_); }
        iterator &operator++() noexcept
        {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept
        {
            iterator before = *this;
            ++index_;
            return before;
        }
        friend bool operator==(const iterator &one, const iterator &other) noexcept
        {
            return one.index_ == other.index_;
        }
        friend bool operator!=(const iterator &one, const iterator &other) noexcept { return !(one == other); }

    private:
        const Owner *owner_ = nullptr;
        std::size_t index_ = 0;
    };
    using const_iterator = iterator;
    using value_type = Item;

    explicit listing(const Owner *owner) noexcept : owner_(owner) {}
    [[nodiscard]] std::size_t size() const noexcept { return owner_ ? Count(owner_) : 0; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Empty beyond the end.
    [[nodiscard]] Item operator[](std::size_t index) const noexcept { return At(owner_, index); }
    [[nodiscard]] iterator begin() const noexcept { return iterator(owner_, 0); }
    [[nodiscard]] iterator end() const noexcept { return iterator(owner_, size()); }

private:
    const Owner *owner_;
};

/// A callable of the program's. It is shared, so that it need not be copied.
template <class... Args>
struct callback {
    callback() = default;
    callback(const callback &) = delete;
    callback &operator=(const callback &) = delete;
    virtual ~callback() = default;
    virtual std::int32_t call(Args... args) = 0;
};

template <class Answer>
constexpr bool is_code() noexcept
{
    if constexpr (std::is_integral_v<Answer> && !std::is_same_v<Answer, bool>)
        return sizeof(Answer) <= sizeof(std::int32_t);
    else
        return false;
}

template <class Callable, class... Args>
struct callback_of final : callback<Args...> {
    using answer = std::invoke_result_t<Callable &, Args...>;
    static_assert(std::is_void_v<answer> || is_code<answer>(),
        "a callback returns nothing, or an int: 0, or why it failed");

    template <class From>
    explicit callback_of(std::in_place_t, From &&from) : callable(std::forward<From>(from))
    {
    }
    std::int32_t call(Args... args) override
    {
        if constexpr (std::is_void_v<answer>) {
            std::invoke(callable, std::forward<Args>(args)...);
            return 0;
        } else {
            return static_cast<std::int32_t>(std::invoke(callable, std::forward<Args>(args)...));
        }
    }
    Callable callable;
};

template <class... Args, class Callable>
std::shared_ptr<callback<Args...>> share(Callable &&callable)
{
    static_assert(std::is_invocable_v<std::decay_t<Callable> &, Args...>,
        "the callback does not take what it is given");
    return std::make_shared<callback_of<std::decay_t<Callable>, Args...>>(
        std::in_place, std::forward<Callable>(callable));
}

template <class T>
void destroy(void *userdata) noexcept
{
    delete static_cast<T *>(userdata);
}

} // namespace detail

/// Ends the blocking calls that were given it, now and later: they answer `status::cancelled`. Keep it until those have
/// returned, or are known to wait: a call reads it when it begins. What was begun on behalf of others too, such as a
/// refresh, goes on without the caller.
class cancellation {
public:
    using c_type = jeton_cancel;
    cancellation() : handle_(jeton_cancel_new()) {}
    explicit cancellation(jeton_cancel *handle) noexcept : handle_(handle) {}
    /// From any thread.
    void cancel() const noexcept { jeton_cancel_cancel(get()); }
    [[nodiscard]] bool is_cancelled() const noexcept { return jeton_cancel_is_cancelled(get()) == 1; }
    [[nodiscard]] jeton_cancel *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_cancel *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_cancel, jeton_cancel_free> handle_;
};

/// A cancellation as a parameter that may be left out.
class cancel_ref {
public:
    cancel_ref() noexcept = default;
    cancel_ref(const cancellation &cancel) noexcept : handle_(cancel.get()) {} // NOLINT: converts on purpose
    [[nodiscard]] const jeton_cancel *get() const noexcept { return handle_; }

private:
    const jeton_cancel *handle_ = nullptr;
};

/// A leniency towards the server's answer, or another thing worth knowing about a token.
struct warning {
    /// Stays the same from version to version.
    std::string_view code;
    /// For people.
    std::string_view message;
};

namespace detail {
inline warning token_warning(const jeton_token *token, std::size_t index) noexcept
{
    return {view(jeton_token_warning_code(token, index)), view(jeton_token_warning_message(token, index))};
}
} // namespace detail

/// An access token. Immutable; wiped from memory when its last handle is gone.
class token {
public:
    using c_type = jeton_token;
    using warning_list = detail::listing<jeton_token, warning, jeton_token_warning_count, detail::token_warning>;

    explicit token(jeton_token *handle) noexcept : handle_(handle) {}

    /// A secret.
    [[nodiscard]] std::string_view access_token() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_token_access_token(get()));
    }
    /// The value of the header `Authorization`, "Bearer ...". A secret.
    [[nodiscard]] std::string_view authorization() const noexcept JETON_HPP_BORROWED
    {
        const char *value = jeton_token_authorization(get());
        return value ? std::string_view(value, jeton_token_authorization_length(get())) : std::string_view();
    }
    /// "Bearer".
    [[nodiscard]] std::string_view type() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_token_type(get()));
    }
    /// What the token is good for, names separated by spaces; nothing if the server did not tell.
    [[nodiscard]] std::optional<std::string_view> scope() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_token_scope(get()));
    }
    /// The names in scope(), one by one.
    [[nodiscard]] std::vector<std::string_view> scopes() const JETON_HPP_BORROWED
    {
        std::vector<std::string_view> names;
        std::string_view rest = scope().value_or(std::string_view());
        while (!rest.empty()) {
            const std::size_t end = std::min(rest.find(' '), rest.size());
            if (end > 0)
                names.push_back(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return names;
    }
    /// Nothing if the server did not tell.
    [[nodiscard]] std::optional<time_point> expires_at() const noexcept
    {
        return handle_ ? detail::maybe_time(jeton_token_expires_at_ms(get())) : std::nullopt;
    }
    [[nodiscard]] warning_list warnings() const noexcept JETON_HPP_BORROWED { return warning_list(get()); }
    /// Another member of the server's answer: a string's text, anything else as JSON.
    [[nodiscard]] std::optional<std::string_view> extra(const text &name) const noexcept JETON_HPP_BORROWED
    {
        return name.is_whole() ? detail::maybe_view(jeton_token_extra(get(), name.c_str())) : std::nullopt;
    }
    /// All members of the server's answer that have no function here, as one JSON object.
    [[nodiscard]] std::string_view extra_json() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_token_extra_json(get()));
    }

    [[nodiscard]] jeton_token *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_token *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_token, jeton_token_free> handle_;
};

/// What the server knows of a token (RFC 7662).
class introspection {
public:
    using c_type = jeton_introspection;
    explicit introspection(jeton_introspection *handle) noexcept : handle_(handle) {}

    [[nodiscard]] bool is_active() const noexcept { return jeton_introspection_is_active(get()) == 1; }
    [[nodiscard]] std::optional<std::string_view> scope() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_introspection_scope(get()));
    }
    [[nodiscard]] std::optional<std::string_view> subject() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_introspection_subject(get()));
    }
    [[nodiscard]] std::optional<std::string_view> username() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_introspection_username(get()));
    }
    [[nodiscard]] std::optional<std::string_view> client_id() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_introspection_client_id(get()));
    }
    [[nodiscard]] std::optional<time_point> expires_at() const noexcept
    {
        return handle_ ? detail::maybe_time(jeton_introspection_expires_at_ms(get())) : std::nullopt;
    }
    /// The whole answer.
    [[nodiscard]] std::string_view json() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_introspection_json(get()));
    }

    [[nodiscard]] jeton_introspection *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_introspection *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_introspection, jeton_introspection_free> handle_;
};

/// Who logged in, as the server said it last and jeton checked it (OpenID Connect).
class id_token {
public:
    using c_type = jeton_id_token;
    explicit id_token(jeton_id_token *handle) noexcept : handle_(handle) {}

    /// The person's name at this server for good; compare it together with the issuer.
    [[nodiscard]] std::string_view subject() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_id_token_subject(get()));
    }
    /// All claims as one JSON object.
    [[nodiscard]] std::string_view claims_json() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_id_token_claims_json(get()));
    }

    [[nodiscard]] jeton_id_token *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_id_token *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_id_token, jeton_id_token_free> handle_;
};

/// The header `DPoP` of one request (RFC 9449).
class dpop_proof {
public:
    using c_type = jeton_dpop_proof;
    explicit dpop_proof(jeton_dpop_proof *handle) noexcept : handle_(handle) {}

    /// A secret until the request was sent.
    [[nodiscard]] std::string_view value() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_dpop_proof_value(get()));
    }

    [[nodiscard]] jeton_dpop_proof *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_dpop_proof *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_dpop_proof, jeton_dpop_proof_free> handle_;
};

/// A login that waits for its redirect, for programs that receive it themselves.
class pending_login {
public:
    using c_type = jeton_pending_login;
    explicit pending_login(jeton_pending_login *handle) noexcept : handle_(handle) {}
    /// From serialized().
    [[nodiscard]] static result<pending_login> parse(std::string_view serialized)
    {
        return detail::made<pending_login>([&](jeton_pending_login **made, jeton_error **failure) {
            return jeton_pending_login_parse(detail::bytes(serialized), serialized.size(), made, failure);
        });
    }

    /// Where to send the person's browser; nothing for one that was parsed.
    [[nodiscard]] std::optional<std::string_view> url() const noexcept JETON_HPP_BORROWED
    {
        return detail::maybe_view(jeton_pending_login_url(get()));
    }
    /// The redirect brings it back: finds the pending login again. A secret.
    [[nodiscard]] std::string_view state() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_pending_login_state(get()));
    }
    [[nodiscard]] std::optional<time_point> expires_at() const noexcept
    {
        return handle_ ? detail::maybe_time(jeton_pending_login_expires_at_ms(get())) : std::nullopt;
    }
    /// JSON. A secret: keep it where only this browser's session reaches it.
    [[nodiscard]] std::string_view serialized() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_pending_login_serialized(get()));
    }

    [[nodiscard]] jeton_pending_login *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_pending_login *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_pending_login, jeton_pending_login_free> handle_;
};

struct header {
    std::string_view name;
    std::string_view value;
};

namespace detail {
inline header response_header(const jeton_response *response, std::size_t index) noexcept
{
    return {view(jeton_response_header_name(response, index)), view(jeton_response_header_value(response, index))};
}
} // namespace detail

/// What a resource server answered.
class response {
public:
    using c_type = jeton_response;
    using header_list
        = detail::listing<jeton_response, jeton::header, jeton_response_header_count, detail::response_header>;

    explicit response(jeton_response *handle) noexcept : handle_(handle) {}

    [[nodiscard]] int status() const noexcept { return jeton_response_status(get()); }
    /// Whether the status is one of success, 200 to 299.
    [[nodiscard]] bool ok() const noexcept { return status() >= 200 && status() < 300; }
    /// The first header of that name, in any case.
    [[nodiscard]] std::optional<std::string_view> header(const text &name) const noexcept JETON_HPP_BORROWED
    {
        return name.is_whole() ? detail::maybe_view(jeton_response_header(get(), name.c_str())) : std::nullopt;
    }
    [[nodiscard]] header_list headers() const noexcept JETON_HPP_BORROWED { return header_list(get()); }
    /// Also NUL-terminated behind its end.
    [[nodiscard]] std::string_view body() const noexcept JETON_HPP_BORROWED
    {
        std::size_t length = 0;
        const std::uint8_t *data = jeton_response_body(get(), &length);
        return data ? std::string_view(reinterpret_cast<const char *>(data), length) : std::string_view();
    }

    [[nodiscard]] jeton_response *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_response *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_response, jeton_response_free> handle_;
};

/// A request that carries the token, for one thread. The first thing that goes wrong while it is put together is what
/// send answers.
class request {
public:
    using c_type = jeton_request;
    explicit request(jeton_request *handle) noexcept : handle_(handle) {}
    /// One that cannot be sent.
    explicit request(jeton::error why) noexcept : first_error_(std::move(why)) {}

    request &header(const text &name, const text &value)
    {
        return set([&](jeton_error **failure) {
            return jeton_request_add_header(get(), name.c_str(), value.c_str(), failure);
        }, name, value);
    }
    /// Adds a parameter to the URL's query, encoded as needed.
    request &query(const text &name, const text &value)
    {
        return set([&](jeton_error **failure) {
            return jeton_request_add_query(get(), name.c_str(), value.c_str(), failure);
        }, name, value);
    }
    /// Any bytes; they are copied.
    request &body(std::string_view content)
    {
        return set([&](jeton_error **failure) {
            return jeton_request_set_body(get(), detail::bytes(content), content.size(), failure);
        });
    }
    request &timeout(milliseconds duration)
    {
        return set([&](jeton_error **failure) {
            return jeton_request_set_timeout_ms(get(), duration.count(), failure);
        });
    }
    /// Of the answer, in bytes; 64 MiB unless set.
    request &max_body(std::int64_t bytes)
    {
        return set([&](jeton_error **failure) { return jeton_request_set_max_body(get(), bytes, failure); });
    }
    /// Sends it with a valid token, once more with a new one where the server rejects the first. Any HTTP status is
    /// a response. May be sent several times. Blocks.
    [[nodiscard]] result<response> send(cancel_ref cancel = {}) const
    {
        if (first_error_)
            return first_error_;
        return detail::made<response>([&](jeton_response **made, jeton_error **failure) {
            return jeton_request_send(get(), cancel.get(), made, failure);
        });
    }
    /// The first thing that went wrong so far.
    [[nodiscard]] const jeton::error &error() const noexcept JETON_HPP_BORROWED { return first_error_; }

    [[nodiscard]] jeton_request *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_request *release() noexcept { return handle_.release(); }

private:
    template <class Call, class... Texts>
    request &set(Call &&call, const Texts &...texts)
    {
        if (!first_error_)
            first_error_ = (true && ... && texts.is_whole()) ? detail::done(call).error() : detail::cut_text();
        return *this;
    }

    detail::owned<jeton_request, jeton_request_free> handle_;
    jeton::error first_error_;
};

/// How session::log_out went: the login is gone from here in any case.
struct logged_out {
    /// Why the server could not be told (RFC 7009); empty if it was, or has nothing to be told.
    error revocation;
};

/// One login of one account, from any thread. The last session of a login waits, when it is destroyed, for a refresh
/// under way, at most the close timeout.
class session {
public:
    using c_type = jeton_session;
    explicit session(jeton_session *handle) noexcept : handle_(handle) {}

    [[nodiscard]] std::string_view account() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_session_account(get()));
    }

    /// A token that stays valid for at least that long, from memory, from the store or from the server. The wish
    /// counts up to four fifths of the token's lifetime: see token::expires_at if it matters.
    /// `status::login_required`: call log_in. Blocks.
    [[nodiscard]] result<jeton::token> token(milliseconds valid_for = {}, cancel_ref cancel = {}) const
    {
        return detail::made<jeton::token>([&](jeton_token **made, jeton_error **failure) {
            return jeton_session_token(get(), valid_for.count(), cancel.get(), made, failure);
        });
    }
    [[nodiscard]] result<jeton::token> token(cancel_ref cancel) const { return token(milliseconds(), cancel); }
    /// The token in memory if it stays valid for at least that long: no lock, no request, no allocation, no waiting.
    [[nodiscard]] std::optional<jeton::token> cached(milliseconds valid_for = {}) const noexcept
    {
        jeton_token *handle = nullptr;
        if (jeton_session_cached(get(), valid_for.count(), &handle) != JETON_OK)
            return std::nullopt;
        return jeton::token(handle);
    }
    /// A new token, although the old one may be valid still. Blocks.
    [[nodiscard]] result<jeton::token> refresh(cancel_ref cancel = {}) const
    {
        return detail::made<jeton::token>([&](jeton_token **made, jeton_error **failure) {
            return jeton_session_refresh(get(), cancel.get(), made, failure);
        });
    }
    /// Signs in by the client's grant, and keeps the login. Blocks for as long as the person takes.
    [[nodiscard]] result<jeton::token> log_in(cancel_ref cancel = {}) const
    {
        return detail::made<jeton::token>([&](jeton_token **made, jeton_error **failure) {
            return jeton_session_log_in(get(), cancel.get(), made, failure);
        });
    }
    /// Forgets the login here and in the store, and revokes its tokens where the server can. Blocks.
    [[nodiscard]] result<logged_out> log_out(cancel_ref cancel = {}) const
    {
        jeton_error *revocation = nullptr;
        jeton_error *failure = nullptr;
        const std::int32_t status = jeton_session_log_out(get(), cancel.get(), &revocation, &failure);
        logged_out report{revocation ? jeton::error(jeton_error_status(revocation), revocation) : jeton::error()};
        if (status != JETON_OK)
            return jeton::error(status, failure);
        return report;
    }
    /// Revokes the access token in use (RFC 7009); the login stays. Blocks.
    [[nodiscard]] result<void> revoke(cancel_ref cancel = {}) const
    {
        return detail::done(
            [&](jeton_error **failure) { return jeton_session_revoke(get(), cancel.get(), failure); });
    }
    /// Asks the server about the access token in use (RFC 7662). Blocks.
    [[nodiscard]] result<introspection> introspect(cancel_ref cancel = {}) const
    {
        return detail::made<introspection>([&](jeton_introspection **made, jeton_error **failure) {
            return jeton_session_introspect(get(), cancel.get(), made, failure);
        });
    }
    /// Takes over a login that was obtained elsewhere: a token answer as JSON (RFC 6749 section 5.1), which
    /// may also be a `refresh_token` alone. Blocks.
    [[nodiscard]] result<jeton::token> adopt(std::string_view token_answer, cancel_ref cancel = {}) const
    {
        return detail::made<jeton::token>([&](jeton_token **made, jeton_error **failure) {
            return jeton_session_adopt(
                get(), detail::bytes(token_answer), token_answer.size(), cancel.get(), made, failure);
        });
    }
    /// Waits for what is under way. Blocks, at most for the close timeout.
    [[nodiscard]] result<void> close(cancel_ref cancel = {}) const
    {
        return detail::done(
            [&](jeton_error **failure) { return jeton_session_close(get(), cancel.get(), failure); });
    }
    /// Why the token in use could not be stored; empty if it is.
    [[nodiscard]] jeton::error persist_error() const
    {
        return detail::done(
            [&](jeton_error **failure) { return jeton_session_persist_error(get(), failure); }).error();
    }

    /// The same login for another resource (RFC 8707).
    [[nodiscard]] result<session> for_resource(const text &resource) const
    {
        if (!resource.is_whole())
            return detail::cut_text();
        return detail::made<session>([&](jeton_session **made, jeton_error **failure) {
            return jeton_session_for_resource(get(), resource.c_str(), made, failure);
        });
    }
    /// The same login with a narrower scope: names separated by spaces.
    [[nodiscard]] result<session> with_scope(const text &scope) const
    {
        if (!scope.is_whole())
            return detail::cut_text();
        return detail::made<session>([&](jeton_session **made, jeton_error **failure) {
            return jeton_session_with_scope(get(), scope.c_str(), made, failure);
        });
    }

    /// Begins a login whose redirect the program receives itself: send the browser to its url(). Blocks.
    [[nodiscard]] result<pending_login> begin_log_in(const text &redirect_uri, cancel_ref cancel = {}) const
    {
        if (!redirect_uri.is_whole())
            return detail::cut_text();
        return detail::made<pending_login>([&](jeton_pending_login **made, jeton_error **failure) {
            return jeton_session_begin_log_in(get(), redirect_uri.c_str(), cancel.get(), made, failure);
        });
    }
    /// Ends it with the URL, whole, that the browser was redirected to. Works once for each pending login. Blocks.
    [[nodiscard]] result<jeton::token> finish_log_in(
        const pending_login &pending, const text &redirected_url, cancel_ref cancel = {}) const
    {
        if (!redirected_url.is_whole())
            return detail::cut_text();
        return detail::made<jeton::token>([&](jeton_token **made, jeton_error **failure) {
            return jeton_session_finish_log_in(
                get(), pending.get(), redirected_url.c_str(), cancel.get(), made, failure);
        });
    }

    /// An authenticated request, such as `session.request("GET", url).header("Accept", "text/plain").send()`.
    [[nodiscard]] jeton::request request(const text &method, const text &url) const
    {
        if (!method.is_whole() || !url.is_whole())
            return jeton::request(detail::cut_text());
        jeton_request *handle = nullptr;
        jeton_error *failure = nullptr;
        const std::int32_t status = jeton_session_request(get(), method.c_str(), url.c_str(), &handle, &failure);
        return status == JETON_OK ? jeton::request(handle) : jeton::request(jeton::error(status, failure));
    }
    /// For programs with an HTTP library of their own: whether the token may go to that URL.
    [[nodiscard]] result<void> check_url(const text &url) const
    {
        if (!url.is_whole())
            return detail::cut_text();
        return detail::done(
            [&](jeton_error **failure) { return jeton_session_check_url(get(), url.c_str(), failure); });
    }
    /// For programs with an HTTP library of their own: tells what a resource server answered to a request with this
    /// token, with the values of its `WWW-Authenticate` headers joined by ", ". True: the token was rejected and
    /// another one may help; get it with token() and send once more.
    [[nodiscard]] result<bool> judge(
        const jeton::token &used, int http_status, std::optional<std::string_view> www_authenticate = {}) const
    {
        const text challenge(www_authenticate.value_or(std::string_view()));
        if (!challenge.is_whole())
            return detail::cut_text();
        std::int32_t try_again = 0;
        const auto judged = detail::done([&](jeton_error **failure) {
            const char *header = www_authenticate ? challenge.c_str() : nullptr;
            return jeton_session_judge(get(), used.get(), http_status, header, &try_again, failure);
        });
        return judged ? result<bool>(try_again == 1) : result<bool>(judged.error());
    }

    /// The newest ID token of the login; nothing if there is none. Asked for with the scope `openid`. Blocks.
    [[nodiscard]] result<std::optional<jeton::id_token>> id_token(cancel_ref cancel = {}) const
    {
        jeton_id_token *handle = nullptr;
        const auto read = detail::done([&](jeton_error **failure) {
            return jeton_session_id_token(get(), cancel.get(), &handle, failure);
        });
        if (!read)
            return read.error();
        return handle ? std::optional<jeton::id_token>(jeton::id_token(handle)) : std::optional<jeton::id_token>();
    }
    /// For programs with an HTTP library of their own: the proof for one request with this token; nothing if the token is not
    /// bound. Blocks only where a signer of the program's own does.
    [[nodiscard]] result<std::optional<jeton::dpop_proof>> dpop_proof(
        const text &method, const text &url, const jeton::token &used, cancel_ref cancel = {}) const
    {
        if (!method.is_whole() || !url.is_whole())
            return detail::cut_text();
        jeton_dpop_proof *handle = nullptr;
        const auto made = detail::done([&](jeton_error **failure) {
            return jeton_session_dpop_proof(
                get(), method.c_str(), url.c_str(), used.get(), cancel.get(), &handle, failure);
        });
        if (!made)
            return made.error();
        return handle ? std::optional<jeton::dpop_proof>(jeton::dpop_proof(handle)) : std::optional<jeton::dpop_proof>();
    }
    /// For programs with an HTTP library of their own: tells the `DPoP-Nonce` of an answer. True: the server wants to see it;
    /// send once more with the same token and a new proof.
    [[nodiscard]] result<bool> dpop_nonce(const text &url, int http_status,
        std::optional<std::string_view> www_authenticate, std::optional<std::string_view> nonce) const
    {
        const text challenge(www_authenticate.value_or(std::string_view()));
        const text value(nonce.value_or(std::string_view()));
        if (!url.is_whole() || !challenge.is_whole() || !value.is_whole())
            return detail::cut_text();
        std::int32_t try_again = 0;
        const auto noted = detail::done([&](jeton_error **failure) {
            return jeton_session_dpop_nonce(get(), url.c_str(), http_status,
                www_authenticate ? challenge.c_str() : nullptr, nonce ? value.c_str() : nullptr, &try_again, failure);
        });
        return noted ? result<bool>(try_again == 1) : result<bool>(noted.error());
    }

    [[nodiscard]] jeton_session *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_session *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_session, jeton_session_free> handle_;
};

namespace detail {
inline std::string_view account_name(const jeton_accounts *accounts, std::size_t index) noexcept
{
    return view(jeton_accounts_get(accounts, index));
}
} // namespace detail

/// The accounts that have a login in the store: `for (std::string_view account : accounts)`.
class accounts {
public:
    using c_type = jeton_accounts;
    using list = detail::listing<jeton_accounts, std::string_view, jeton_accounts_count, detail::account_name>;
    using const_iterator = list::iterator;
    using iterator = list::iterator;
    using value_type = std::string_view;

    explicit accounts(jeton_accounts *handle) noexcept : handle_(handle) {}
    [[nodiscard]] std::size_t size() const noexcept { return list(get()).size(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Empty beyond the end.
    [[nodiscard]] std::string_view operator[](std::size_t index) const noexcept JETON_HPP_BORROWED
    {
        return list(get())[index];
    }
    [[nodiscard]] iterator begin() const noexcept JETON_HPP_BORROWED { return list(get()).begin(); }
    [[nodiscard]] iterator end() const noexcept JETON_HPP_BORROWED { return list(get()).end(); }

    [[nodiscard]] jeton_accounts *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_accounts *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_accounts, jeton_accounts_free> handle_;
};

/// Who asks whom for tokens and where they are kept, from any thread. Sessions that were made from it go on working
/// when it is gone.
class client {
public:
    using c_type = jeton_client;
    explicit client(jeton_client *handle) noexcept : handle_(handle) {}

    /// The login of the account "default", for programs with one.
    [[nodiscard]] result<jeton::session> session() const { return session(text(nullptr)); }
    /// The login of an account, whether there is one in the store yet or not. The name is the program's choice.
    [[nodiscard]] result<jeton::session> session(const text &account) const
    {
        if (!account.is_whole())
            return detail::cut_text();
        return detail::made<jeton::session>([&](jeton_session **made, jeton_error **failure) {
            return jeton_client_session(get(), account.c_str(), made, failure);
        });
    }
    /// Who has a login in the store. Blocks.
    [[nodiscard]] result<jeton::accounts> accounts(cancel_ref cancel = {}) const
    {
        return detail::made<jeton::accounts>([&](jeton_accounts **made, jeton_error **failure) {
            return jeton_client_accounts(get(), cancel.get(), made, failure);
        });
    }
    /// The client identifier: the one that was set, or that the server gave.
    [[nodiscard]] std::string_view id() const noexcept JETON_HPP_BORROWED { return detail::view(jeton_client_id(get())); }
    /// One line for people.
    [[nodiscard]] std::string_view store_description() const noexcept JETON_HPP_BORROWED
    {
        return detail::view(jeton_client_store_description(get()));
    }
    /// Whether logins outlive the program.
    [[nodiscard]] bool store_is_persistent() const noexcept { return jeton_client_store_is_persistent(get()) == 1; }
    [[nodiscard]] bool store_is_encrypted() const noexcept { return jeton_client_store_is_encrypted(get()) == 1; }

    [[nodiscard]] jeton_client *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_client *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_client, jeton_client_free> handle_;
};

/// A client of whatever API it is given a URL of (RFC 9728): the resource names its authorization server, the person approves it and
/// logs in, and the request is sent again. From any thread.
class resource_client {
public:
    using c_type = jeton_resource_client;
    explicit resource_client(jeton_resource_client *handle) noexcept : handle_(handle) {}

    /// Sends a GET request. Any HTTP status is a response. Blocks for as long as the person takes.
    [[nodiscard]] result<response> get(const text &url, cancel_ref cancel = {}) const
    {
        if (!url.is_whole())
            return detail::cut_text();
        return detail::made<response>([&](jeton_response **made, jeton_error **failure) {
            return jeton_resource_client_get(get(), url.c_str(), cancel.get(), made, failure);
        });
    }
    /// Any other request, such as `client.request("POST", url).body(text).send()`.
    [[nodiscard]] jeton::request request(const text &method, const text &url) const
    {
        if (!method.is_whole() || !url.is_whole())
            return jeton::request(detail::cut_text());
        jeton_request *made = nullptr;
        jeton_error *failure = nullptr;
        const std::int32_t status
            = jeton_resource_client_request(get(), method.c_str(), url.c_str(), &made, &failure);
        return status == JETON_OK ? jeton::request(made) : jeton::request(jeton::error(status, failure));
    }

    [[nodiscard]] jeton_resource_client *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_resource_client *release() noexcept { return handle_.release(); }

private:
    detail::owned<jeton_resource_client, jeton_resource_client_free> handle_;
};

/// Which authorization server a resource has named, and whether it may be trusted. The views live for the callback only.
struct server_prompt {
    std::string_view resource;
    std::string_view issuer;
    /// Where the login was so far, if the resource names another server now.
    std::optional<std::string_view> former_issuer;
};

/// What the person has to do to sign in with a device code. The views live for the callback only.
struct device_prompt {
    /// To be entered at verification_uri.
    std::string_view user_code;
    std::string_view verification_uri;
    /// The same with the code in it, good for a QR code.
    std::optional<std::string_view> verification_uri_complete;
    std::optional<time_point> expires_at;
};

/// Something that happened to a login. The views live for the callback only.
struct event {
    event_kind kind;
    std::string_view account;
    /// Why the login ended, or could not be stored; else empty.
    std::string_view message;
};

/// A store of the program's own, to be derived from. Keys are file-name-safe ASCII of at most 64 characters, one for
/// each login. The functions are called on one thread, one at a time, and must not call jeton's blocking functions.
/// To fail they throw, or call fail().
class store {
public:
    store() = default;
    store(const store &) = delete;
    store &operator=(const store &) = delete;
    virtual ~store() = default;

    /// For descriptions and errors.
    [[nodiscard]] virtual std::string name() const { return "custom"; }
    /// Whether logins outlive the program.
    [[nodiscard]] virtual bool is_persistent() const { return true; }
    [[nodiscard]] virtual bool is_encrypted() const { return false; }
    /// Whether list() is there. client::accounts needs it.
    [[nodiscard]] virtual bool can_list() const { return false; }
    /// Whether try_lock() and unlock() are there. Without, processes that share the store can ruin each other's logins.
    [[nodiscard]] virtual bool can_lock() const { return false; }

    /// The record, byte for byte as it was saved, or nothing if there is none. It is a secret; the string is
    /// wiped after use.
    [[nodiscard]] virtual std::optional<std::string> load(std::string_view key) = 0;
    /// Keeps the record, durably when it returns.
    virtual void save(std::string_view key, std::string_view record) = 0;
    /// No failure if there was none.
    virtual void remove(std::string_view key) = 0;
    /// All keys.
    [[nodiscard]] virtual std::vector<std::string> list() { return {}; }
    /// Excludes other processes from a login; false if one has it now. Must not wait.
    [[nodiscard]] virtual bool try_lock(std::string_view key) { return static_cast<void>(key), true; }
    virtual void unlock(std::string_view key) { static_cast<void>(key); }

protected:
    /// The call under way failed, for programs without exceptions: it has done nothing, and what it returns is not
    /// looked at. The code, anything but 0 and 1, shows in error::callback_result.
    void fail(std::int32_t code) noexcept { failure_ = code == 0 || code == JETON_STORE_BUSY ? -1 : code; }

private:
    friend class config;

    /// One call: its failure by code, else what it returned.
    template <class Call>
    static std::int32_t called(void *userdata, Call &&call) noexcept
    {
        store &self = **static_cast<std::shared_ptr<store> *>(userdata);
        return detail::guarded([&] {
            self.failure_ = 0;
            const std::int32_t answer = call(self);
            return self.failure_ != 0 ? self.failure_ : answer;
        });
    }
    static std::int32_t c_load(void *userdata, const char *key, jeton_sink *sink) noexcept
    {
        return called(userdata, [&](store &self) {
            std::optional<std::string> record = self.load(key);
            std::int32_t written = JETON_OK;
            if (record && self.failure_ == 0)
                written = jeton_sink_write(sink, detail::bytes(*record), record->size());
            if (record)
                detail::wipe(*record);
            return written == JETON_OK ? 0 : -written;
        });
    }
    static std::int32_t c_save(
        void *userdata, const char *key, const std::uint8_t *record, std::size_t length) noexcept
    {
        return called(userdata, [&](store &self) {
            self.save(key, std::string_view(reinterpret_cast<const char *>(record), length));
            return 0;
        });
    }
    static std::int32_t c_remove(void *userdata, const char *key) noexcept
    {
        return called(userdata, [&](store &self) {
            self.remove(key);
            return 0;
        });
    }
    static std::int32_t c_list(void *userdata, jeton_sink *sink) noexcept
    {
        return called(userdata, [&](store &self) {
            std::int32_t written = JETON_OK;
            for (const std::string &key : self.list()) {
                if (written == JETON_OK)
                    written = jeton_sink_write(sink, detail::bytes(key), key.size());
            }
            return written == JETON_OK ? 0 : -written;
        });
    }
    static std::int32_t c_try_lock(void *userdata, const char *key) noexcept
    {
        return called(userdata, [&](store &self) { return self.try_lock(key) ? 0 : JETON_STORE_BUSY; });
    }
    static void c_unlock(void *userdata, const char *key) noexcept
    {
        detail::guarded_stray([&] { (*static_cast<std::shared_ptr<store> *>(userdata))->unlock(key); });
    }

    std::int32_t failure_ = 0;
};

/// Puts a client together, in one thread. The first thing that goes wrong is what build answers.
class config {
public:
    using c_type = jeton_config;
    config() : handle_(jeton_config_new()) {}

    /// A client; the configuration stays as it is and can make more of them.
    [[nodiscard]] result<client> build() const
    {
        if (first_error_)
            return first_error_;
        return detail::made<client>([&](jeton_client **made, jeton_error **failure) {
            return jeton_client_new(get(), made, failure);
        });
    }
    /// A client that registers itself, or has done so before (RFC 7591): needs issuer, client_metadata and a store that lasts. Blocks.
    [[nodiscard]] result<client> register_client(cancel_ref cancel = {}) const
    {
        if (first_error_)
            return first_error_;
        return detail::made<client>([&](jeton_client **made, jeton_error **failure) {
            return jeton_client_register(get(), cancel.get(), made, failure);
        });
    }
    /// A client of APIs of which only the URL is known.
    [[nodiscard]] result<jeton::resource_client> build_resource_client() const
    {
        if (first_error_)
            return first_error_;
        return detail::made<jeton::resource_client>([&](jeton_resource_client **made, jeton_error **failure) {
            return jeton_resource_client_new(get(), made, failure);
        });
    }
    /// The first thing that went wrong so far.
    [[nodiscard]] const jeton::error &error() const noexcept JETON_HPP_BORROWED { return first_error_; }

    /// The authorization server; the rest is read from its metadata (RFC 8414).
    config &issuer(const text &url) { return set_text(JETON_OPTION_ISSUER, url); }
    config &token_endpoint(const text &url) { return set_text(JETON_OPTION_TOKEN_ENDPOINT, url); }
    config &authorization_endpoint(const text &url) { return set_text(JETON_OPTION_AUTHORIZATION_ENDPOINT, url); }
    config &device_authorization_endpoint(const text &url)
    {
        return set_text(JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT, url);
    }
    config &revocation_endpoint(const text &url) { return set_text(JETON_OPTION_REVOCATION_ENDPOINT, url); }
    config &introspection_endpoint(const text &url) { return set_text(JETON_OPTION_INTROSPECTION_ENDPOINT, url); }
    /// The server's metadata document as JSON: nothing is fetched then.
    config &metadata(const text &json) { return set_text(JETON_OPTION_METADATA, json); }

    config &client_id(const text &id) { return set_text(JETON_OPTION_CLIENT_ID, id); }
    config &client_secret(std::string_view secret) { return set_secret(JETON_OPTION_CLIENT_SECRET, secret); }
    config &client_authentication(jeton::client_authentication method)
    {
        return set_number(JETON_OPTION_CLIENT_AUTHENTICATION, static_cast<std::int32_t>(method));
    }

    /// PEM or a JWK; the algorithm, such as "ES256", is needed for PEM. For private_key_jwt and signed_authorization_requests.
    config &private_key(std::string_view key) { return set_secret(JETON_OPTION_PRIVATE_KEY, key); }
    config &private_key_algorithm(const text &name) { return set_text(JETON_OPTION_PRIVATE_KEY_ALGORITHM, name); }
    config &private_key_id(const text &id) { return set_text(JETON_OPTION_PRIVATE_KEY_ID, id); }
    /// A key that stays where it is, in a hardware module or an agent: `void(std::string_view message, std::string &signature)`
    /// writes a signature in the form of RFC 7518 (ECDSA: r and s, not DER). The public key, a JWK, is needed for DPoP.
    template <class Callable>
    config &signer(signer_purpose purpose, const text &algorithm, Callable &&callable, const text &key_id = text(nullptr),
        const text &public_jwk = text(nullptr))
    {
        using shared = decltype(detail::share<std::string_view, std::string &>(std::forward<Callable>(callable)));
        if (first_error_)
            return *this;
        auto userdata = std::make_unique<shared>(
            detail::share<std::string_view, std::string &>(std::forward<Callable>(callable)));
        jeton_signer table = {};
        table.struct_size = sizeof table;
        table.userdata = userdata.get();
        table.algorithm = algorithm.c_str();
        table.key_id = key_id.c_str();
        table.public_jwk = public_jwk.c_str();
        table.sign = c_sign<shared>;
        table.destroy = detail::destroy<shared>;
        set([&](jeton_error **failure) {
            return jeton_config_set_signer(get(), static_cast<std::int32_t>(purpose), &table, failure);
        }, algorithm, key_id, public_jwk);
        return keep_if_set(userdata);
    }
    /// PEM: the client's certificate and those that lead to its authority, and its private key (RFC 8705).
    config &client_certificate(const text &chain, std::string_view key)
    {
        set_text(JETON_OPTION_CLIENT_CERTIFICATE, chain);
        return set_secret(JETON_OPTION_CLIENT_CERTIFICATE_KEY, key);
    }
    /// The profile of a provider that does some things otherwise than the RFCs say, such as "github".
    config &provider(const text &name) { return set_text(JETON_OPTION_PROVIDER, name); }
    /// What the profile leaves open, "name=value"; may be set several times.
    config &provider_value(const text &value) { return set_text(JETON_OPTION_PROVIDER_VALUE, value); }
    /// Tokens are bound to a key (RFC 9449).
    config &dpop(bool on = true) { return set_number(JETON_OPTION_DPOP, on); }
    config &fapi2_security_profile(bool on = true) { return set_number(JETON_OPTION_FAPI2_SECURITY_PROFILE, on); }
    /// A JSON array (RFC 9396).
    config &authorization_details(const text &json) { return set_text(JETON_OPTION_AUTHORIZATION_DETAILS, json); }
    /// Always or never (RFC 9126); where the server requires them unless set.
    config &pushed_authorization_requests(bool always)
    {
        return set_number(JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS, always);
    }
    config &signed_authorization_requests(bool on = true)
    {
        return set_number(JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS, on);
    }
    config &signed_authorization_responses(bool on = true)
    {
        return set_number(JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES, on);
    }
    /// What the client asks to be where it registers itself, as JSON (RFC 7591).
    config &client_metadata(const text &json) { return set_text(JETON_OPTION_CLIENT_METADATA, json); }
    config &initial_access_token(std::string_view token) { return set_secret(JETON_OPTION_INITIAL_ACCESS_TOKEN, token); }
    /// Tells clients apart that share a store and register themselves.
    config &registration_label(const text &label) { return set_text(JETON_OPTION_REGISTRATION_LABEL, label); }
    /// For resource clients: the URL of the client's own metadata document.
    config &client_id_document(const text &url) { return set_text(JETON_OPTION_CLIENT_ID_DOCUMENT, url); }
    /// For resource clients: a server that nobody is asked about; may be set several times.
    config &trusted_server(const text &issuer) { return set_text(JETON_OPTION_TRUSTED_SERVER, issuer); }
    /// For resource clients: whose logins they have.
    config &account(const text &label) { return set_text(JETON_OPTION_ACCOUNT, label); }

    config &grant(jeton::grant grant) { return set_number(JETON_OPTION_GRANT, static_cast<std::int32_t>(grant)); }
    /// Names separated by spaces.
    config &scope(const text &names) { return set_text(JETON_OPTION_SCOPE, names); }
    /// What the token shall be good for (RFC 8707); may be set several times.
    config &resource(const text &uri) { return set_text(JETON_OPTION_RESOURCE, uri); }
    /// An origin, such as "https://api.example.com", that may get the token; may be set several times.
    config &resource_server(const text &origin) { return set_text(JETON_OPTION_RESOURCE_SERVER, origin); }
    /// For grant::password.
    config &username(const text &name) { return set_text(JETON_OPTION_USERNAME, name); }
    /// For grant::password.
    config &password(std::string_view secret) { return set_secret(JETON_OPTION_PASSWORD, secret); }
    /// Of the listener for the redirect, "127.0.0.1" or "[::1]".
    config &redirect_host(const text &host) { return set_text(JETON_OPTION_REDIRECT_HOST, host); }
    /// 0, the default: any that is free.
    config &redirect_port(std::uint16_t port) { return set_number(JETON_OPTION_REDIRECT_PORT, port); }
    config &redirect_path(const text &path) { return set_text(JETON_OPTION_REDIRECT_PATH, path); }
    /// PKCE (RFC 7636) with device codes too, for servers that can.
    config &device_pkce(bool on = true) { return set_number(JETON_OPTION_DEVICE_PKCE, on); }
    /// Another parameter for a request to the authorization server.
    config &parameter(request_kind kind, const text &name, const text &value)
    {
        return set([&](jeton_error **failure) {
            return jeton_config_add_parameter(
                get(), static_cast<std::int32_t>(kind), name.c_str(), value.c_str(), failure);
        }, name, value);
    }

    config &store(store_kind kind) { return set_number(JETON_OPTION_STORE, static_cast<std::int32_t>(kind)); }
    /// A store of the program's own; a std::unique_ptr will do too. It is destroyed with the last client and session
    /// that use it, on whatever thread that happens.
    config &store(std::shared_ptr<jeton::store> own)
    {
        if (!own)
            return refuse("the store is null: pass one");
        // Last, as it is the one thing here that runs the program's code.
        const std::string name = own->name();
        jeton_store table = {};
        table.struct_size = sizeof table;
        table.name = name.c_str();
        table.is_persistent = own->is_persistent() ? 1 : 0;
        table.is_encrypted = own->is_encrypted() ? 1 : 0;
        table.load = jeton::store::c_load;
        table.save = jeton::store::c_save;
        table.remove = jeton::store::c_remove;
        table.list = own->can_list() ? jeton::store::c_list : nullptr;
        table.try_lock = own->can_lock() ? jeton::store::c_try_lock : nullptr;
        table.unlock = own->can_lock() ? jeton::store::c_unlock : nullptr;
        return hand_over<std::shared_ptr<jeton::store>>(std::move(own), table, jeton_config_set_store);
    }
    /// For file, sealed and automatic; else the default place.
    config &store_folder(const text &path) { return set_text(JETON_OPTION_STORE_FOLDER, path); }
    /// For keyring: the service's name; for automatic: the program's; for sealed without a key: where the keychain
    /// has it.
    config &store_service(const text &name) { return set_text(JETON_OPTION_STORE_SERVICE, name); }
    /// For sealed and automatic: 32 bytes.
    config &store_key(std::string_view key) { return set_secret(JETON_OPTION_STORE_KEY, key); }
    /// For sealed and automatic.
    config &store_passphrase(std::string_view secret) { return set_secret(JETON_OPTION_STORE_PASSPHRASE, secret); }
    /// For automatic: a plain file where there is nothing better.
    config &store_allow_unencrypted_file(bool on = true)
    {
        return set_number(JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE, on);
    }

    config &proxy(const text &url) { return set_text(JETON_OPTION_PROXY, url); }
    /// No proxy, whatever the system says.
    config &no_proxy(bool on = true) { return set_number(JETON_OPTION_NO_PROXY, on); }
    /// PEM; trusted beside the system's; may be set several times.
    config &ca_certificates(const text &pem) { return set_text(JETON_OPTION_CA_CERTIFICATES, pem); }
    config &user_agent(const text &value) { return set_text(JETON_OPTION_USER_AGENT, value); }
    config &connect_timeout(milliseconds value) { return set_number(JETON_OPTION_CONNECT_TIMEOUT_MS, value.count()); }
    config &request_timeout(milliseconds value) { return set_number(JETON_OPTION_REQUEST_TIMEOUT_MS, value.count()); }
    /// Of answers of the authorization server, in bytes.
    config &max_body(std::int64_t bytes) { return set_number(JETON_OPTION_MAX_BODY, bytes); }

    /// Leniencies towards the server's answers become errors.
    config &strict(bool on = true) { return set_number(JETON_OPTION_STRICT, on); }
    /// How long before its end a token counts as expired.
    config &early_expiry(milliseconds value) { return set_number(JETON_OPTION_EARLY_EXPIRY_MS, value.count()); }
    /// Whether a token that is about to expire is renewed in the background.
    config &refresh_ahead(bool on) { return set_number(JETON_OPTION_REFRESH_AHEAD, on); }
    /// How long to wait for another process that has the login.
    config &lease_timeout(milliseconds value) { return set_number(JETON_OPTION_LEASE_TIMEOUT_MS, value.count()); }
    config &close_timeout(milliseconds value) { return set_number(JETON_OPTION_CLOSE_TIMEOUT_MS, value.count()); }
    /// How long a person may take to sign in.
    config &login_timeout(milliseconds value) { return set_number(JETON_OPTION_LOGIN_TIMEOUT_MS, value.count()); }

    /// Shows a URL to the person, `void(std::string_view url)`; without it the system's browser does.
    template <class Callable>
    config &on_open_url(Callable &&callable)
    {
        handlers_.open_url = detail::share<std::string_view>(std::forward<Callable>(callable));
        return set_handlers();
    }
    /// Shows a device code to the person, `void(const jeton::device_prompt &)`. The device grant needs it.
    template <class Callable>
    config &on_device_code(Callable &&callable)
    {
        handlers_.device_code = detail::share<const device_prompt &>(std::forward<Callable>(callable));
        return set_handlers();
    }
    /// The person has not entered the device code yet, `void(jeton::milliseconds remaining)`: now and then.
    template <class Callable>
    config &on_pending(Callable &&callable)
    {
        handlers_.pending = detail::share<milliseconds>(std::forward<Callable>(callable));
        return set_handlers();
    }
    /// A login has come to its end, well or not, `void(jeton::status, std::string_view message)`: take down what was
    /// shown.
    template <class Callable>
    config &on_login_ended(Callable &&callable)
    {
        handlers_.login_ended
            = detail::share<jeton::status, std::string_view>(std::forward<Callable>(callable));
        return set_handlers();
    }
    /// Asks whether a server may be trusted that a resource has named, `void(const jeton::server_prompt &, bool &approved)`; no unless
    /// it says so. For resource clients.
    template <class Callable>
    config &on_approve_server(Callable &&callable)
    {
        handlers_.approve = detail::share<const server_prompt &, bool &>(std::forward<Callable>(callable));
        return set_handlers();
    }
    /// Something happened to a login, `void(const jeton::event &)`; one at a time, in order.
    template <class Callable>
    config &on_event(Callable &&callable)
    {
        using shared = decltype(detail::share<const event &>(std::forward<Callable>(callable)));
        if (first_error_)
            return *this;
        auto userdata = std::make_unique<shared>(detail::share<const event &>(std::forward<Callable>(callable)));
        set([&](jeton_error **failure) {
            return jeton_config_on_event(get(), c_event<shared>, userdata.get(), detail::destroy<shared>, failure);
        });
        return keep_if_set(userdata);
    }

    [[nodiscard]] jeton_config *get() const noexcept { return handle_.get(); }
    [[nodiscard]] jeton_config *release() noexcept { return handle_.release(); }

private:
    struct handlers {
        std::shared_ptr<detail::callback<std::string_view>> open_url;
        std::shared_ptr<detail::callback<const device_prompt &>> device_code;
        std::shared_ptr<detail::callback<milliseconds>> pending;
        std::shared_ptr<detail::callback<jeton::status, std::string_view>> login_ended;
        std::shared_ptr<detail::callback<const server_prompt &, bool &>> approve;
    };

    static std::int32_t c_open_url(void *userdata, const char *url) noexcept
    {
        return detail::guarded([&] { return static_cast<handlers *>(userdata)->open_url->call(detail::view(url)); });
    }
    static std::int32_t c_device_code(void *userdata, const jeton_device_prompt *prompt) noexcept
    {
        return detail::guarded([&] {
            const device_prompt shown = {
                detail::view(prompt->user_code),
                detail::view(prompt->verification_uri),
                detail::maybe_view(prompt->verification_uri_complete),
                detail::maybe_time(prompt->expires_at_ms),
            };
            return static_cast<handlers *>(userdata)->device_code->call(shown);
        });
    }
    static std::int32_t c_pending(void *userdata, std::int64_t remaining_ms) noexcept
    {
        return detail::guarded(
            [&] { return static_cast<handlers *>(userdata)->pending->call(milliseconds(remaining_ms)); });
    }
    static void c_login_ended(void *userdata, std::int32_t status, const char *message) noexcept
    {
        detail::guarded_stray([&] {
            static_cast<handlers *>(userdata)->login_ended->call(
                static_cast<jeton::status>(status), detail::view(message));
        });
    }
    static std::int32_t c_approve(void *userdata, const jeton_server_prompt *prompt, std::int32_t *approved) noexcept
    {
        return detail::guarded([&] {
            const server_prompt shown = {
                detail::view(prompt->resource),
                detail::view(prompt->issuer),
                detail::maybe_view(prompt->former_issuer),
            };
            bool yes = false;
            const std::int32_t code = static_cast<handlers *>(userdata)->approve->call(shown, yes);
            *approved = yes ? 1 : 0;
            return code;
        });
    }
    template <class Shared>
    static std::int32_t c_sign(void *userdata, const std::uint8_t *message, std::size_t length, std::uint8_t *signature,
        std::size_t capacity, std::size_t *signature_length) noexcept
    {
        return detail::guarded([&] {
            std::string made;
            const std::string_view what(reinterpret_cast<const char *>(message), length);
            const std::int32_t code = (*static_cast<Shared *>(userdata))->call(what, made);
            if (code != 0)
                return code;
            if (made.size() > capacity)
                return std::int32_t(-1);
            std::copy(made.begin(), made.end(), signature);
            *signature_length = made.size();
            return std::int32_t(0);
        });
    }
    template <class Shared>
    static void c_event(void *userdata, const jeton_event *seen) noexcept
    {
        detail::guarded_stray([&] {
            const event shown
                = {static_cast<event_kind>(seen->kind), detail::view(seen->account), detail::view(seen->message)};
            (*static_cast<Shared *>(userdata))->call(shown);
        });
    }

    /// The C library has one table of these callbacks, so each change sets it anew. Clients that were built keep
    /// theirs.
    config &set_handlers()
    {
        jeton_interaction table = {};
        table.struct_size = sizeof table;
        table.open_url = handlers_.open_url ? c_open_url : nullptr;
        table.show_device_code = handlers_.device_code ? c_device_code : nullptr;
        table.device_code_pending = handlers_.pending ? c_pending : nullptr;
        table.login_ended = handlers_.login_ended ? c_login_ended : nullptr;
        table.approve_authorization_server = handlers_.approve ? c_approve : nullptr;
        return hand_over<handlers>(handlers_, table, jeton_config_set_interaction);
    }
    /// Gives a table of callbacks to the C library, which owns the userdata from then on unless it refuses the table.
    template <class Userdata, class Table>
    config &hand_over(
        Userdata value, Table &table, std::int32_t (*setter)(jeton_config *, const Table *, jeton_error **))
    {
        if (first_error_)
            return *this;
        auto userdata = std::make_unique<Userdata>(std::move(value));
        table.userdata = userdata.get();
        table.destroy = detail::destroy<Userdata>;
        set([&](jeton_error **failure) { return setter(get(), &table, failure); });
        return keep_if_set(userdata);
    }
    template <class Userdata>
    config &keep_if_set(std::unique_ptr<Userdata> &userdata)
    {
        if (!first_error_)
            static_cast<void>(userdata.release());
        return *this;
    }
    template <class Call, class... Texts>
    config &set(Call &&call, const Texts &...texts)
    {
        if (!first_error_)
            first_error_ = (true && ... && texts.is_whole()) ? detail::done(call).error() : detail::cut_text();
        return *this;
    }
    config &refuse(const char *why)
    {
        if (!first_error_)
            first_error_ = jeton::error(status::invalid_argument, why);
        return *this;
    }
    config &set_text(std::int32_t option, const text &value)
    {
        return set([&](jeton_error **failure) {
            return jeton_config_set_str(get(), option, value.c_str(), failure);
        }, value);
    }
    config &set_secret(std::int32_t option, std::string_view value)
    {
        return set([&](jeton_error **failure) {
            return jeton_config_set_secret(get(), option, detail::bytes(value), value.size(), failure);
        });
    }
    config &set_number(std::int32_t option, std::int64_t value)
    {
        return set([&](jeton_error **failure) { return jeton_config_set_int(get(), option, value, failure); });
    }

    detail::owned<jeton_config, jeton_config_free> handle_;
    handlers handlers_;
    jeton::error first_error_;
};

namespace detail {
using log_callback = callback<log_level, std::string_view, std::string_view>;
inline void c_log(void *userdata, std::int32_t level, const char *target, const char *message) noexcept
{
    guarded_stray([&] {
        (*static_cast<std::shared_ptr<log_callback> *>(userdata))
            ->call(static_cast<log_level>(level), view(target), view(message));
    });
}
} // namespace detail

/// What jeton does, for developers, in the whole process: `void(jeton::log_level, std::string_view target,
/// std::string_view message)`, up to a level. Takes the place of the callback before. Called on a thread of jeton's,
/// one at a time; shows no secrets.
template <class Callable>
[[nodiscard]] result<void> set_log(log_level up_to, Callable &&callable)
{
    using shared = std::shared_ptr<detail::log_callback>;
    auto userdata = std::make_unique<shared>(
        detail::share<log_level, std::string_view, std::string_view>(std::forward<Callable>(callable)));
    result<void> set = detail::done([&](jeton_error **failure) {
        return jeton_set_log(static_cast<std::int32_t>(up_to), detail::c_log, userdata.get(),
            detail::destroy<shared>, failure);
    });
    if (set)
        static_cast<void>(userdata.release());
    return set;
}

/// Ends what set_log began.
inline result<void> clear_log()
{
    return detail::done([](jeton_error **failure) {
        return jeton_set_log(JETON_LOG_ERROR, nullptr, nullptr, nullptr, failure);
    });
}

} // inline namespace JETON_HPP_NAMESPACE
} // namespace jeton

#undef JETON_HPP_BORROWED
#undef JETON_HPP_SHARED
#undef JETON_HPP_NAMESPACE
#undef JETON_HPP_EXCEPTIONS

#endif // JETON_HPP
