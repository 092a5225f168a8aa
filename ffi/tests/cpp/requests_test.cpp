// Requests that carry the token.
#include "support.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace std::chrono_literals;

TEST_CASE("a request and its answer")
{
    test_server server;
    const jeton::client client = server.service().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    jeton::request request = session.request("POST", server["api"]);
    request.header("X-Kind", "first").header("X-Kind", "second").query("q", "a b&c");
    request.body(std::string_view("\0\1\2", 3)).timeout(20s).max_body(1 << 20);
    REQUIRE_FALSE(request.error());
    const jeton::response answer = request.send().value();
    CHECK(answer.status() == 200);
    CHECK(answer.ok());
    CHECK(answer.header("CONTENT-type").value_or("").find("application/json") != std::string_view::npos);
    CHECK_FALSE(answer.header("x-not-there"));
    CHECK(answer.body().front() == '{');
    CHECK(answer.body().data()[answer.body().size()] == '\0');
    bool seen = false;
    for (const jeton::header header : answer.headers())
        seen = seen || header.value == *answer.header("content-type");
    CHECK(seen);
    CHECK(answer.headers().size() >= 1);

    const json_line sent = server.command("last api");
    CHECK(sent.text("method") == "POST");
    CHECK(sent.number("body_length") == 3);
    CHECK(sent.line().find("second") != std::string::npos);
    CHECK(sent.line().find("first") != std::string::npos);

    // The same once more.
    CHECK(request.send().value().ok());
    CHECK(server.count("api_requests") == 2);
}

TEST_CASE("a token that the API no longer takes is replaced within the request")
{
    test_server server;
    const jeton::client client = server.service().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.token());
    server.command("revoke-access-tokens");
    CHECK(session.request("POST", server["api"]).body("again").send().value().ok());
    CHECK(server.count("api_unauthorized") == 1);
    CHECK(server.command("last api").number("body_length") == 5);
}

TEST_CASE("any status is an answer")
{
    test_server server;
    const jeton::client client = server.service().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    const jeton::response answer = session.request("GET", server["origin"] + "/api/admin").send().value();
    CHECK(answer.status() == 403);
    CHECK_FALSE(answer.ok());
}

TEST_CASE("what is wrong with a request is told when it is sent")
{
    const test_server server;
    const jeton::client client = server.service().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    CHECK_FALSE(session.request("GET", "no url").send());
    CHECK_FALSE(session.request("G E T", server["api"]).send());
    CHECK_FALSE(session.request("GET", std::string("a\0b", 3)).send());
    CHECK(session.request("GET", "https://elsewhere.example/").send().error().status()
        == jeton::status::foreign_origin);
    jeton::request request = session.request("GET", server["api"]);
    request.header("a header with spaces", "x").query("q", "good");
    REQUIRE(request.error());
    for (int attempt = 0; attempt < 2; ++attempt)
        CHECK(request.send().error().message() == request.error().message());
    const auto large = session.request("GET", server["api"]).max_body(1).send();
    CHECK(large.error().status() == jeton::status::request);
}

TEST_CASE("a request is cancelled from another thread")
{
    test_server server;
    const jeton::client client = server.service().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    REQUIRE(session.token());
    server.command("fault gate api");
    const jeton::cancellation cancel;
    jeton::result<jeton::response> answer = jeton::error();
    std::thread sending([&] { answer = session.request("GET", server["api"]).send(cancel); });
    server.command("wait-held 1");
    cancel.cancel();
    sending.join();
    CHECK(answer.error().status() == jeton::status::cancelled);
    server.command("open-gate");
}
