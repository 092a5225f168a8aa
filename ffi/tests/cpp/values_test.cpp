// What needs no server: results, errors, texts, handles that are moved.
#include "support.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

template <class T>
constexpr bool is_move_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>
    && !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;

static_assert(is_move_only<jeton::client> && is_move_only<jeton::session> && is_move_only<jeton::token>);
static_assert(is_move_only<jeton::pending_login> && is_move_only<jeton::introspection>);
static_assert(is_move_only<jeton::response> && is_move_only<jeton::accounts> && is_move_only<jeton::cancellation>);
static_assert(is_move_only<jeton::result<jeton::token>>);
static_assert(!std::is_copy_constructible_v<jeton::config> && std::is_move_constructible_v<jeton::config>);
static_assert(!std::is_copy_constructible_v<jeton::request> && std::is_move_constructible_v<jeton::request>);
static_assert(std::is_copy_constructible_v<jeton::error> && std::is_nothrow_move_constructible_v<jeton::error>);
static_assert(std::is_nothrow_copy_constructible_v<jeton::exception>);
// A handle costs no more than its pointer.
static_assert(sizeof(jeton::token) == sizeof(void *) && sizeof(jeton::session) == sizeof(void *));

jeton::result<std::unique_ptr<int>> boxed(bool good)
{
    if (!good)
        return jeton::error(jeton::status::configuration, "no box");
    return std::make_unique<int>(7);
}

} // namespace

TEST_CASE("versions and names")
{
    CHECK(jeton::version() == JETON_VERSION);
    CHECK(jeton::version_number() == JETON_VERSION_NUMBER);
    CHECK(jeton::has_feature("version"));
    CHECK_FALSE(jeton::has_feature("no such feature"));
    CHECK_FALSE(jeton::has_feature(nullptr));
    CHECK(jeton::status_name(jeton::status::login_required) == "LOGIN_REQUIRED");
    CHECK(jeton::status_name(jeton::status::ok) == "OK");
}

TEST_CASE("a result is a value or an error")
{
    jeton::result<std::unique_ptr<int>> good = boxed(true);
    REQUIRE(good);
    CHECK(good.has_value());
    CHECK_FALSE(good.error());
    CHECK(good.error().status() == jeton::status::ok);
    CHECK(good.error().message().empty());
    CHECK(**good == 7);
    CHECK(*good.value() == 7);
    CHECK(*std::as_const(good).value() == 7);
    CHECK(good->get() == good.value().get());

    jeton::result<std::unique_ptr<int>> bad = boxed(false);
    CHECK_FALSE(bad);
    CHECK(bad.error().status() == jeton::status::configuration);
    CHECK(bad.error().message() == "no box");
    CHECK_THROWS_WITH_AS(static_cast<void>(bad.value()), "no box", jeton::exception);
    CHECK_THROWS_AS(static_cast<void>(*bad), jeton::exception);
    CHECK_THROWS_AS(static_cast<void>(bad->get()), jeton::exception);
    CHECK_THROWS_AS(static_cast<void>(boxed(false).or_throw()), jeton::exception);
    CHECK(std::move(bad).value_or(nullptr) == nullptr);
    CHECK(*boxed(true).value_or(nullptr) == 7);
    CHECK(*boxed(true).or_throw() == 7);
    CHECK(boxed(false).error().message() == "no box");

    const jeton::result<int> number = 5;
    CHECK(number.value_or(6) == 5);
    const jeton::result<int> none = jeton::error(jeton::status::internal, "x");
    CHECK(none.value_or(6) == 6);
}

TEST_CASE("a result that was moved from is empty")
{
    jeton::result<std::unique_ptr<int>> first = boxed(true);
    jeton::result<std::unique_ptr<int>> second = std::move(first);
    CHECK(**second == 7);
    CHECK_FALSE(first); // NOLINT: looked at after the move on purpose
    CHECK_FALSE(first.error());
    CHECK_THROWS_AS(static_cast<void>(first.value()), jeton::exception);

    jeton::result<std::unique_ptr<int>> bad = boxed(false);
    second = std::move(bad);
    CHECK_FALSE(second);
    CHECK(second.error().message() == "no box");
    CHECK_FALSE(bad.error()); // NOLINT
    second = boxed(true);
    CHECK(second);
    CHECK_FALSE(second.error());
    auto &same = second;
    second = std::move(same);
    CHECK(**second == 7);
}

TEST_CASE("a result without a value says whether it was done")
{
    const jeton::result<void> done;
    CHECK(done);
    done.value();
    done.or_throw();
    const jeton::result<void> failed = jeton::error(jeton::status::network, "no answer");
    CHECK_FALSE(failed);
    CHECK(failed.error().message() == "no answer");
    CHECK_THROWS_WITH_AS(failed.value(), "no answer", jeton::exception);
    CHECK_THROWS_AS(failed.or_throw(), jeton::exception);
}

TEST_CASE("an exception carries the error")
{
    jeton::config config;
    config.issuer("not a URL").client_id("x").grant(jeton::grant::client_credentials);
    try {
        static_cast<void>(config.build().value());
        FAIL("nothing was thrown");
    } catch (const jeton::exception &thrown) {
        CHECK(std::string_view(thrown.what()) == thrown.error().message());
        CHECK_FALSE(thrown.error().message().empty());
        CHECK(thrown.status() == thrown.error().status());
        CHECK(thrown.status() != jeton::status::ok);
        const jeton::exception copy = thrown;
        CHECK(std::string_view(copy.what()) == thrown.what());
    }
}

TEST_CASE("an error that was moved from is none")
{
    jeton::error first(jeton::status::store, "full");
    const jeton::error copy = first;
    jeton::error second = std::move(first);
    CHECK(second.message() == "full");
    CHECK(copy.message() == "full");
    CHECK_FALSE(first); // NOLINT: looked at after the move on purpose
    CHECK(first.message().empty());
    CHECK_FALSE(second.oauth_code());
    CHECK_FALSE(second.http_status());
    CHECK_FALSE(second.retry_after());
    CHECK(second.callback_result() == 0);
    CHECK(second.callback_exception() == nullptr);
    CHECK(second.get() == nullptr);
    auto &same = second;
    second = std::move(same);
    CHECK(second.message() == "full");
}

TEST_CASE("the first mistake in a configuration is what build answers")
{
    jeton::config config;
    config.client_id("good").early_expiry(-1s).redirect_path(std::string_view("a\0b", 3));
    REQUIRE(config.error());
    CHECK(config.error().status() == jeton::status::invalid_argument);
    const std::string first(config.error().message());
    INFO(first);
    CHECK(first.find("NUL") == std::string::npos);
    for (int attempt = 0; attempt < 2; ++attempt) {
        const auto client = config.build();
        REQUIRE_FALSE(client);
        CHECK(client.error().message() == first);
        CHECK(client.error().recovery() != jeton::recovery::none);
    }
}

TEST_CASE("a text with a NUL character is refused instead of cut")
{
    const std::string cut("my-program\0-and-more", 20);
    CHECK_FALSE(jeton::text(cut).is_whole());
    CHECK(jeton::text("whole").is_whole());
    CHECK(jeton::text(nullptr).is_whole());
    CHECK(jeton::text(std::string_view("part of it").substr(0, 4)).c_str() == std::string_view("part"));
    jeton::config config;
    config.client_id(cut);
    CHECK(config.error().status() == jeton::status::invalid_argument);
    CHECK(config.error().message().find("NUL") != std::string_view::npos);
    CHECK(config.error().recovery() == jeton::recovery::fix_request);

    jeton::config nothing;
    nothing.client_id(nullptr);
    CHECK(nothing.error().status() == jeton::status::invalid_argument);
}

TEST_CASE("a store that is null is refused")
{
    jeton::config config;
    config.store(std::shared_ptr<jeton::store>());
    CHECK(config.error().status() == jeton::status::invalid_argument);
}

TEST_CASE("handles that were moved from are empty and safe")
{
    const test_server server;
    jeton::config config = server.service();
    config.resource_server(server["origin"]);
    jeton::config other_config = std::move(config);
    config.client_id("x"); // NOLINT: used after the move on purpose, here and below
    CHECK(config.error().status() == jeton::status::invalid_argument);
    CHECK_FALSE(config.build());
    jeton::config never;
    jeton::config stolen = std::move(never);
    CHECK(never.build().error().status() == jeton::status::invalid_argument);

    jeton::client client = other_config.build().value();
    jeton::session session = client.session("somebody").value();
    jeton::client other_client = std::move(client);
    CHECK(client.get() == nullptr);
    CHECK(client.session().error().status() == jeton::status::invalid_argument);
    CHECK(client.session().error().recovery() != jeton::recovery::none);
    CHECK(client.accounts().error().status() == jeton::status::invalid_argument);
    CHECK(client.store_description().empty());
    CHECK_FALSE(client.store_is_persistent());
    CHECK_FALSE(client.store_is_encrypted());

    jeton::token token = session.token().value();
    jeton::token other_token = std::move(token);
    CHECK_FALSE(other_token.access_token().empty());
    CHECK(token.access_token().empty());
    CHECK(token.authorization().empty());
    CHECK(token.type().empty());
    CHECK(token.extra_json().empty());
    CHECK_FALSE(token.scope());
    CHECK(token.scopes().empty());
    CHECK_FALSE(token.expires_at());
    CHECK(token.warnings().empty());
    CHECK(token.warnings().begin() == token.warnings().end());
    CHECK_FALSE(token.extra("x"));
    token = std::move(other_token);
    CHECK_FALSE(token.access_token().empty());
    auto &same = token;
    token = std::move(same);
    CHECK_FALSE(token.access_token().empty());

    jeton::session other_session = std::move(session);
    CHECK(other_session.account() == "somebody");
    CHECK(session.account().empty());
    const auto invalid = [](const auto &result) {
        return !result && result.error().status() == jeton::status::invalid_argument
            && !result.error().message().empty();
    };
    CHECK(invalid(session.token()));
    CHECK_FALSE(session.cached());
    CHECK(invalid(session.refresh()));
    CHECK(invalid(session.log_in()));
    CHECK(invalid(session.log_out()));
    CHECK(invalid(session.revoke()));
    CHECK(invalid(session.introspect()));
    CHECK(invalid(session.adopt("{}")));
    CHECK(invalid(session.close()));
    CHECK(session.persist_error().status() == jeton::status::invalid_argument);
    CHECK(invalid(session.for_resource("https://api.example")));
    CHECK(invalid(session.with_scope("read")));
    CHECK(invalid(session.begin_log_in("http://127.0.0.1/")));
    CHECK(invalid(session.check_url("https://api.example")));
    CHECK(invalid(session.judge(token, 401)));
    CHECK(invalid(session.request("GET", "https://api.example").header("a", "b").send()));

    jeton::cancellation cancel;
    const jeton::cancellation other_cancel = std::move(cancel);
    cancel.cancel();
    CHECK_FALSE(cancel.is_cancelled());
    CHECK_FALSE(other_cancel.is_cancelled());

    jeton::introspection known = other_session.introspect().value();
    const jeton::introspection other_known = std::move(known);
    CHECK(other_known.is_active());
    CHECK_FALSE(known.is_active());
    CHECK(known.json().empty());
    CHECK_FALSE(known.scope());
    CHECK_FALSE(known.expires_at());

    jeton::response answer = other_session.request("GET", server["api"]).send().value();
    const jeton::response other_answer = std::move(answer);
    CHECK(other_answer.ok());
    CHECK(answer.status() == 0);
    CHECK_FALSE(answer.ok());
    CHECK(answer.body().empty());
    CHECK_FALSE(answer.header("content-type"));
    CHECK(answer.headers().empty());

    jeton::request asked = other_session.request("GET", server["api"]);
    const jeton::request other_asked = std::move(asked);
    CHECK(invalid(asked.send()));
    CHECK(other_asked.send());

    // A handle may be given to C and taken back.
    jeton::session back(other_session.release());
    CHECK(back.token());
    CHECK(invalid(other_session.token()));
}
