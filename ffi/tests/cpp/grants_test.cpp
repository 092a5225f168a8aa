// Each way to get a token, and what a token tells.
#include "support.hpp"

#include <doctest/doctest.h>

#include <atomic>

using namespace std::chrono_literals;

TEST_CASE("client credentials")
{
    test_server server;
    const jeton::client client = server.service().build().value();
    const jeton::session session = client.session().value();
    CHECK(session.account() == "default");
    const jeton::token token = session.token().value();
    CHECK_FALSE(token.access_token().empty());
    CHECK(token.authorization() == "Bearer " + std::string(token.access_token()));
    CHECK(token.type() == "Bearer");
    CHECK(token.scope() == "read");
    CHECK(token.scopes() == std::vector<std::string_view>{"read"});
    REQUIRE(token.expires_at());
    CHECK(*token.expires_at() > std::chrono::system_clock::now() + 30min);
    CHECK(*token.expires_at() < std::chrono::system_clock::now() + 2h);
    CHECK(token.warnings().size() == 0);
    CHECK_FALSE(token.extra("no_such_member"));
    CHECK(server.requests("client_credentials") == 1);
}

TEST_CASE("password")
{
    test_server server;
    const jeton::client client = server.password().build().value();
    const jeton::session session = client.session("alice").value();
    const jeton::token token = session.token().value();
    CHECK(token.scopes() == std::vector<std::string_view>{"read", "write"});
    CHECK(server.requests("password") == 1);
}

TEST_CASE("device code")
{
    test_server server(with_a_person);
    jeton::config config = server.device();
    gate ended;
    std::atomic<int> prompts = 0;
    config.on_login_ended([&](jeton::status status, std::string_view) {
        if (status == jeton::status::ok)
            ended.open();
    });
    config.on_device_code([&](const jeton::device_prompt &prompt) {
        ++prompts;
        CHECK(prompt.verification_uri == server["verification_uri"]);
        REQUIRE(prompt.verification_uri_complete);
        CHECK(prompt.verification_uri_complete->find(prompt.user_code) != std::string_view::npos);
        REQUIRE(prompt.expires_at);
        CHECK(*prompt.expires_at > std::chrono::system_clock::now());
        server.command("approve " + std::string(prompt.user_code));
    });
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    const auto needed = session.token();
    REQUIRE_FALSE(needed);
    CHECK(needed.error().status() == jeton::status::login_required);
    CHECK(needed.error().recovery() == jeton::recovery::log_in);
    const jeton::token token = session.log_in().value();
    CHECK_FALSE(token.access_token().empty());
    CHECK(prompts == 1);
    ended.pass();
    CHECK(session.token().value().access_token() == token.access_token());
}

TEST_CASE("a device code without a callback to show it")
{
    const test_server server;
    const auto client = server.device().build();
    // Refused when the client is made or when somebody wants to sign in, but never silently.
    const auto failure = client ? client->session().value().log_in().error() : client.error();
    CHECK(failure);
    CHECK_FALSE(failure.message().empty());
}

TEST_CASE("browser with a listener of jeton's")
{
    test_server server;
    jeton::config config = server.browser();
    config.redirect_host("127.0.0.1").redirect_port(0).redirect_path("/callback").login_timeout(2min);
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    const jeton::token token = session.log_in().value();
    CHECK_FALSE(token.access_token().empty());
    CHECK(server.requests("authorization_code") == 1);
    CHECK(server.command("last authorization").line().find("/callback") != std::string::npos);
}

TEST_CASE("a person who says no")
{
    test_server server({"--deny"});
    const jeton::client client = server.browser().build().value();
    const auto denied = client.session().value().log_in();
    REQUIRE_FALSE(denied);
    CHECK(denied.error().oauth_code() == "access_denied");
    CHECK(denied.error().status() == jeton::status::oauth);
}

TEST_CASE("browser with a listener of the program's own")
{
    test_server server;
    const jeton::client client = server.browser().build().value();
    const jeton::session session = client.session().value();
    // The login's second half may happen in another process.
    std::string kept;
    std::string state;
    std::string url;
    {
        const jeton::pending_login pending = session.begin_log_in(server["redirect_uri"]).value();
        REQUIRE(pending.url());
        url = *pending.url();
        state = pending.state();
        kept = pending.serialized();
        REQUIRE(pending.expires_at());
        CHECK(*pending.expires_at() > std::chrono::system_clock::now());
    }
    CHECK(url.find(state) != std::string::npos);
    const jeton::pending_login pending = jeton::pending_login::parse(kept).value();
    CHECK_FALSE(pending.url());
    CHECK(pending.state() == state);

    const auto forged
        = session.finish_log_in(pending, server["redirect_uri"] + "?code=x&state=another&iss=" + server["issuer"]);
    CHECK_FALSE(forged);

    CHECK_FALSE(jeton::pending_login::parse("{}"));
    CHECK_FALSE(jeton::pending_login::parse(""));
}

TEST_CASE("further parameters, and settings of every kind, reach the server")
{
    test_server server;
    jeton::config config = server.service();
    config.client_authentication(jeton::client_authentication::basic).user_agent("cpp-test/1");
    config.parameter(jeton::request_kind::token, "audience", "https://api.example/");
    config.connect_timeout(5s).request_timeout(20s).max_body(1 << 20).early_expiry(10s).refresh_ahead(false);
    config.lease_timeout(20s).close_timeout(2s).strict();
    REQUIRE_FALSE(config.error());
    const jeton::client client = config.build().value();
    CHECK(client.session().value().token());
    const std::string request = server.command("last token").line();
    CHECK(request.find("audience") != std::string::npos);
    CHECK(request.find("https://api.example/") != std::string::npos);
    CHECK(request.find("cpp-test/1") != std::string::npos);
}

TEST_CASE("explicit endpoints instead of an issuer")
{
    test_server server;
    jeton::config config;
    config.token_endpoint(server["token_endpoint"]).revocation_endpoint(server["revocation_endpoint"]);
    config.introspection_endpoint(server["introspection_endpoint"]);
    config.client_id(server["service_client"]).client_secret(server["service_secret"]);
    config.grant(jeton::grant::client_credentials).no_proxy();
    const jeton::client client = config.build().value();
    CHECK(client.session().value().token());
    CHECK(server.count("metadata") == 0);
}

TEST_CASE("one configuration makes several clients")
{
    const test_server server;
    std::optional<jeton::config> config = server.service();
    const jeton::client one = config->build().value();
    const jeton::client other = config->build().value();
    config.reset();
    CHECK(one.session().value().token());
    CHECK(other.session().value().token());
}
