// What becomes of a login afterwards: cached, refreshed, cancelled, inspected, ended.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

using namespace std::chrono_literals;

TEST_CASE("a cached token costs no request and no allocation")
{
    test_server server;
    const jeton::client client = server.service().build().value();
    const jeton::session session = client.session().value();
    CHECK_FALSE(session.cached());
    const jeton::token token = session.token().value();
    REQUIRE(session.cached());
    CHECK(session.cached()->access_token() == token.access_token());
    CHECK(session.cached(1min)->access_token() == token.access_token());
    // A wish counts up to four fifths of the token's lifetime.
    CHECK(session.cached(24h)->access_token() == token.access_token());

    const long long requests = server.count("token");
    std::size_t length = 0;
    const std::uint64_t before = allocations_of_this_thread();
    for (int time = 0; time < 100; ++time) {
        const std::optional<jeton::token> cached = session.cached(1min);
        length += cached ? cached->authorization().size() : 0;
    }
    CHECK(allocations_of_this_thread() == before);
    CHECK(length == 100 * token.authorization().size());
    CHECK(server.count("token") == requests);
}

TEST_CASE("a token outlives the session and the client that it came from")
{
    const test_server server;
    std::optional<jeton::token> token;
    {
        const jeton::client client = server.service().build().value();
        token = client.session().value().token().value();
    }
    CHECK(token->authorization().substr(0, 7) == "Bearer ");
}

TEST_CASE("refresh")
{
    test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session().value();
    const std::string first(session.token().value().access_token());
    CHECK(session.token().value().access_token() == first);
    const jeton::token second = session.refresh().value();
    CHECK(second.access_token() != first);
    CHECK(session.token().value().access_token() == second.access_token());
    CHECK(server.count("refreshes") == 1);
}

TEST_CASE("a cancellation from another thread ends a call")
{
    test_server server;
    const jeton::client client = server.service().build().value();
    const jeton::session session = client.session().value();
    server.command("fault gate token");
    const jeton::cancellation cancel;
    CHECK_FALSE(cancel.is_cancelled());
    jeton::result<jeton::token> waited = jeton::error();
    std::thread waiting([&] { waited = session.token(cancel); });
    server.command("wait-held 1");
    cancel.cancel();
    waiting.join();
    CHECK(cancel.is_cancelled());
    REQUIRE_FALSE(waited);
    CHECK(waited.error().status() == jeton::status::cancelled);
    // Cancelled for good: such a call sends nothing.
    const auto again = session.token(0ms, cancel);
    CHECK(again.error().status() == jeton::status::cancelled);
    server.command("open-gate");
    CHECK(session.token(0ms, jeton::cancellation()));
}

TEST_CASE("what the server answered can be inspected")
{
    test_server server;
    jeton::config config = server.service();
    config.client_secret("wrong");
    const jeton::client client = config.build().value();
    const auto refused = client.session().value().token();
    REQUIRE_FALSE(refused);
    const jeton::error &error = refused.error();
    CHECK(error.status() == jeton::status::oauth);
    CHECK(error.oauth_code() == "invalid_client");
    CHECK(error.http_status() == 401);
    CHECK(error.recovery() == jeton::recovery::fix_configuration);
    CHECK(error.message().find("invalid_client") != std::string_view::npos);
    CHECK(error.message().find("wrong") == std::string_view::npos);
    CHECK(error.callback_result() == 0);
    CHECK_FALSE(error.callback_exception());
    CHECK(error.get() != nullptr);
    // Copies live on their own.
    std::optional<jeton::error> copy;
    {
        const jeton::error moved = jeton::error(error);
        copy = moved;
    }
    CHECK(copy->oauth_code() == "invalid_client");
    try {
        copy->raise();
    } catch (const jeton::exception &thrown) {
        CHECK(thrown.error().oauth_code() == "invalid_client");
    }
}

TEST_CASE("a server that is overloaded says when to come back")
{
    test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.token());
    server.command("fault-always unavailable-retry-after-1 token");
    const auto refused = session.refresh();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().http_status() == 503);
    CHECK(refused.error().retry_after() == 1s);
    CHECK(refused.error().recovery() == jeton::recovery::retry);
    // The token that lives is served all the same.
    CHECK(session.token());
}

TEST_CASE("a server that is not there")
{
    std::string issuer;
    {
        const test_server gone;
        issuer = gone["issuer"];
    }
    jeton::config config;
    config.issuer(issuer).client_id("x").client_secret("y").grant(jeton::grant::client_credentials).no_proxy();
    const jeton::client client = config.build().value();
    CHECK(client.session().value().token().error().status() == jeton::status::network);
}

TEST_CASE("log out, and log out where the server cannot be told")
{
    test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.log_in());
    const jeton::logged_out told = session.log_out().value();
    CHECK_FALSE(told.revocation);
    CHECK(server.count("live_logins") == 0);
    CHECK_FALSE(session.cached());

    REQUIRE(session.log_in());
    server.command("fault-always server-error revocation");
    const jeton::logged_out untold = session.log_out().value();
    CHECK(untold.revocation);
    CHECK(untold.revocation.http_status() == 500);
    CHECK_FALSE(session.cached());
}

TEST_CASE("revoke and introspect")
{
    test_server server;
    const jeton::client client = server.service().build().value();
    const jeton::session session = client.session().value();
    const std::string first(session.token().value().access_token());
    const jeton::introspection known = session.introspect().value();
    CHECK(known.is_active());
    CHECK(known.scope() == "read");
    CHECK(known.client_id() == server["service_client"]);
    REQUIRE(known.expires_at());
    CHECK(*known.expires_at() > std::chrono::system_clock::now());
    CHECK(known.json().front() == '{');
    REQUIRE(session.revoke());
    CHECK(server.count("revocation") == 1);
    CHECK(session.token().value().access_token() != first);
}

TEST_CASE("a token answer from elsewhere is taken over")
{
    const test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session("adopted").value();
    const auto adopted = session.adopt(
        R"({"access_token":"from-elsewhere","token_type":"bearer","expires_in":600,"plan":"gold","seats":3})");
    REQUIRE(adopted);
    CHECK(adopted->access_token() == "from-elsewhere");
    CHECK(session.cached()->access_token() == "from-elsewhere");
    CHECK(adopted->extra("plan") == "gold");
    CHECK(adopted->extra("seats") == "3");
    CHECK(adopted->extra_json().find("gold") != std::string_view::npos);
    CHECK_FALSE(session.adopt("no JSON"));
}

TEST_CASE("leniencies show as warnings, strictness makes errors of them")
{
    test_server server;
    server.command("fault form-encoded token");
    const jeton::client lenient = server.service().build().value();
    const jeton::token token = lenient.session().value().token().value();
    REQUIRE(token.warnings().size() >= 1);
    std::size_t seen = 0;
    for (const jeton::warning warning : token.warnings()) {
        CHECK_FALSE(warning.code.empty());
        CHECK_FALSE(warning.message.empty());
        ++seen;
    }
    CHECK(seen == token.warnings().size());
    CHECK(token.warnings()[seen].code.empty());

    server.command("fault form-encoded token");
    const jeton::client strict = server.service().strict().build().value();
    CHECK(strict.session().value().token().error().status() == jeton::status::answer);
}

TEST_CASE("accounts share a store, and sessions share a login")
{
    const test_server server;
    const scratch_folder folder;
    const auto configured = [&] {
        jeton::config config = server.password();
        config.store(jeton::store_kind::file).store_folder(folder.path());
        return config;
    };
    std::string token_of_dora;
    {
        const jeton::client client = configured().build().value();
        CHECK(client.store_is_persistent());
        CHECK_FALSE(client.store_is_encrypted());
        CHECK_FALSE(client.store_description().empty());
        CHECK(client.accounts().value().empty());
        token_of_dora = client.session("dora").value().log_in().value().access_token();
        REQUIRE(client.session("emil").value().log_in());
    }
    const jeton::client client = configured().build().value();
    const jeton::accounts accounts = client.accounts().value();
    CHECK(accounts.size() == 2);
    std::vector<std::string_view> names(accounts.begin(), accounts.end());
    std::sort(names.begin(), names.end());
    CHECK(names == std::vector<std::string_view>{"dora", "emil"});
    CHECK(accounts[2].empty());
    CHECK(client.session("dora").value().token().value().access_token() == token_of_dora);
    CHECK_FALSE(client.session("dora").value().persist_error());
    CHECK(client.session("dora").value().close());
}

TEST_CASE("another resource and a narrower scope of the same login")
{
    test_server server;
    jeton::config config = server.password();
    config.resource(server["api_identifier"]).resource(server["second_api_identifier"]);
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.log_in());
    const jeton::session second = session.for_resource(server["second_api_identifier"]).value();
    CHECK(second.token());
    const jeton::session narrow = session.with_scope("read").value();
    CHECK(narrow.token().value().scopes() == std::vector<std::string_view>{"read"});
}

TEST_CASE("programs with an HTTP library of their own")
{
    test_server server;
    jeton::config config = server.service();
    config.resource_server(server["origin"]);
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    CHECK(session.check_url(server["api"]));
    CHECK(session.check_url("https://elsewhere.example/").error().status() == jeton::status::foreign_origin);
    const jeton::token first = session.token().value();
    CHECK(session.judge(first, 200).value() == false);
    CHECK(session.judge(first, 401, R"(Bearer error="invalid_token")").value() == true);
    CHECK(session.token().value().access_token() != first.access_token());
}

TEST_CASE("one session from many threads")
{
    test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.token());
    std::vector<std::thread> threads;
    std::array<jeton::result<jeton::token>, 8> answers
        = {jeton::error(), jeton::error(), jeton::error(), jeton::error(), jeton::error(), jeton::error(),
            jeton::error(), jeton::error()};
    for (auto &answer : answers)
        threads.emplace_back([&] { answer = session.token(); });
    for (std::thread &thread : threads)
        thread.join();
    for (const auto &answer : answers)
        CHECK(answer.value().access_token() == answers[0].value().access_token());
    CHECK(server.count("token") == 1);
}
