// What strict servers ask for: keys and signers, bound tokens, ID tokens, registration, and APIs of which only the URL is known.
#include "support.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cctype>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace {

/// The test server's key_jwk (RFC 7515 appendix A.3) in PEM.
constexpr std::string_view key_pem = "-----BEGIN PRIVATE KEY-----\n"
                                     "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                                     "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                                     "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                                     "-----END PRIVATE KEY-----\n";
/// One that no server knows.
constexpr std::string_view other_pem = "-----BEGIN PRIVATE KEY-----\n"
                                       "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOFHRuesOQ3qGVOdn\n"
                                       "HIYP378CXJCiqoHqjihVuH/6Wo6hRANCAAQsg+XEK/rKan3dd9oGScvmcfEcP+2D\n"
                                       "eY5sZvmoQq/Gih6VArR2MdoT7WHdkrUMKgHjtpLthudBakT0A6RpRhIh\n"
                                       "-----END PRIVATE KEY-----\n";

jeton::config key_client(const test_server &server)
{
    jeton::config config;
    config.issuer(server["issuer"]).client_id(server["key_client"]).no_proxy();
    config.grant(jeton::grant::client_credentials);
    config.client_authentication(jeton::client_authentication::private_key_jwt);
    return config;
}

/// What a module does that has the key: the server lends it.
std::string signature_of(test_server &server, std::string_view message)
{
    const std::string digits = server.command("sign " + std::string(message)).text("signature");
    std::string signature;
    for (std::size_t index = 0; index + 1 < digits.size(); index += 2)
        signature += static_cast<char>(std::stoi(digits.substr(index, 2), nullptr, 16));
    return signature;
}

/// What the callbacks here throw. jeton's own exceptions are std::runtime_errors as well.
struct locked : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A text that C would see less of.
std::string with_nul(const std::string &text) { return text + std::string("\0x", 2); }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// The header of a JWS (RFC 7515): base64url, up to the first dot.
std::string jws_header(std::string_view jws)
{
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string header;
    unsigned int bits = 0;
    int count = 0;
    for (const char letter : jws.substr(0, jws.find('.'))) {
        REQUIRE(letters.find(letter) != std::string_view::npos);
        bits = bits << 6U | static_cast<unsigned int>(letters.find(letter));
        count += 6;
        if (count >= 8) {
            count -= 8;
            header += static_cast<char>(bits >> static_cast<unsigned int>(count) & 0xffU);
        }
    }
    return header;
}

/// The HTTP library of a program that has one of its own.
struct own_answer {
    int status = 0;
    std::string head;

    [[nodiscard]] std::optional<std::string> header(std::string_view name) const
    {
        const auto same = [](char one, char other) {
            return std::tolower(static_cast<unsigned char>(one)) == std::tolower(static_cast<unsigned char>(other));
        };
        const std::string start = "\r\n" + std::string(name) + ": ";
        const auto found = std::search(head.begin(), head.end(), start.begin(), start.end(), same);
        if (found == head.end())
            return std::nullopt;
        const auto value = found + static_cast<std::ptrdiff_t>(start.size());
        return std::string(value, std::find(value, head.end(), '\r'));
    }
};

own_answer own_get(
    const test_server &server, const std::string &url, const jeton::token &token, std::optional<std::string_view> proof)
{
    const std::string origin = server["origin"];
    REQUIRE(url.compare(0, origin.size(), origin) == 0);
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(connection >= 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(origin.substr(origin.rfind(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(connection, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0);
    std::string request = "GET " + url.substr(origin.size()) + " HTTP/1.1\r\nConnection: close\r\nHost: "
        + origin.substr(origin.find("//") + 2) + "\r\nAuthorization: " + std::string(token.authorization()) + "\r\n";
    if (proof)
        request += "DPoP: " + std::string(*proof) + "\r\n";
    request += "\r\n";
    REQUIRE(send(connection, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    own_answer answer;
    char buffer[4096];
    for (ssize_t count; (count = recv(connection, buffer, sizeof buffer, 0)) > 0;)
        answer.head.append(buffer, static_cast<std::size_t>(count));
    close(connection);
    REQUIRE(answer.head.size() > 12);
    answer.status = std::stoi(answer.head.substr(9, 3));
    answer.head.resize(std::min(answer.head.size(), answer.head.find("\r\n\r\n") + 2));
    return answer;
}

std::string proof_for(const jeton::session &session, const char *method, const std::string &url, const jeton::token &token)
{
    const auto proof = session.dpop_proof(method, url, token).value();
    REQUIRE(proof);
    return std::string(proof->value());
}

} // namespace

TEST_CASE("a client authenticates with its key, as PEM or as a JWK")
{
    test_server server;
    jeton::config by_pem = key_client(server);
    by_pem.private_key(key_pem).private_key_algorithm("ES256");
    CHECK(by_pem.build().value().session().value().token());
    const std::string request = server.command("last token").line();
    CHECK(contains(request, "client_assertion"));
    CHECK(contains(request, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    CHECK_FALSE(contains(request, "\"authorization\""));

    jeton::config by_jwk = key_client(server);
    by_jwk.private_key(server["key_jwk"]).private_key_id("by-jwk");
    CHECK(by_jwk.build().value().session().value().token());
    const std::string form = server.command("last token").line();
    const std::size_t assertion = form.find("eyJ");
    REQUIRE(assertion != std::string::npos);
    CHECK(contains(jws_header(std::string_view(form).substr(assertion)), R"("kid":"by-jwk")"));
    CHECK(server.requests("client_credentials") == 2);
}

TEST_CASE("a wrong key is refused by the server, and what is no key at once, without showing it")
{
    test_server server;
    jeton::config wrong = key_client(server);
    wrong.private_key(other_pem).private_key_algorithm("ES256");
    const auto refused = wrong.build().value().session().value().token();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().status() == jeton::status::oauth);
    CHECK(refused.error().oauth_code() == "invalid_client");
    CHECK(refused.error().recovery() == jeton::recovery::fix_configuration);
    CHECK(contains(refused.error().message(), "invalid_client"));

    const auto told = [&](jeton::config &&config, std::string_view word) {
        const auto client = config.build();
        REQUIRE_FALSE(client);
        CHECK(client.error().status() == jeton::status::configuration);
        CHECK_MESSAGE(contains(client.error().message(), word), client.error().message());
        CHECK_FALSE(contains(client.error().message(), "MIGHAgEA"));
        CHECK_FALSE(contains(client.error().message(), "c2VjcmV0"));
    };
    told(key_client(server), "JETON_OPTION_PRIVATE_KEY");
    told(std::move(key_client(server).private_key(key_pem)), "ALGORITHM");
    told(std::move(key_client(server).private_key(key_pem).private_key_algorithm("XX999")), "XX999");
    told(std::move(key_client(server).private_key(R"({"kty":"oct","k":"c2VjcmV0LXNlY3JldA"})")), "JETON_OPTION_PRIVATE_KEY");
    told(std::move(key_client(server).client_secret("s")), "remove one of the two");
    CHECK(server.count("token") == 1);
}

TEST_CASE("a signer of the program's own has the key")
{
    test_server server;
    std::atomic<int> signed_messages = 0;
    std::string header;
    jeton::config config = key_client(server);
    config.signer(jeton::signer_purpose::client, "ES256",
        [&, mine = std::make_unique<int>(1)](std::string_view message, std::string &signature) {
            signed_messages += *mine;
            header = jws_header(message);
            signature = signature_of(server, message);
        }, "the-key");
    REQUIRE_FALSE(config.error());
    const jeton::session session = config.build().value().session().value();
    CHECK(session.token());
    CHECK(session.refresh());
    CHECK(signed_messages == 2);
    CHECK(contains(header, R"("alg":"ES256")"));
    CHECK(contains(header, R"("kid":"the-key")"));
    CHECK(contains(server.command("last token").line(), "client_assertion"));

    // One that signs something else.
    jeton::config forger = key_client(server);
    forger.signer(jeton::signer_purpose::client, "ES256", [&](std::string_view, std::string &signature) {
        signature = signature_of(server, "another.message");
    });
    const auto forged = forger.build().value().session().value().token();
    CHECK(forged.error().oauth_code() == "invalid_client");
}

TEST_CASE("a signer that fails ends the call with its exception or its number")
{
    test_server server;
    jeton::config throws = key_client(server);
    throws.signer(jeton::signer_purpose::client, "ES256",
        [](std::string_view, std::string &) { throw locked("the module is locked"); });
    const auto thrown = throws.build().value().session().value().token();
    CHECK(thrown.error().status() == jeton::status::callback);
    CHECK_THROWS_AS(static_cast<void>(thrown.value()), locked);

    jeton::config answers = key_client(server);
    answers.signer(jeton::signer_purpose::client, "ES256", [](std::string_view, std::string &) { return 42; });
    const auto failed = answers.build().value().session().value().token();
    CHECK(failed.error().status() == jeton::status::callback);
    CHECK(failed.error().callback_result() == 42);

    // More than there is room for, and what no key writes.
    jeton::config chatters = key_client(server);
    chatters.signer(jeton::signer_purpose::client, "ES256",
        [](std::string_view, std::string &signature) { signature.assign(1 << 20, 'x'); });
    CHECK_FALSE(chatters.build().value().session().value().token());
    CHECK(server.count("token") == 0);

    // Tokens can only be bound to a key whose public half is known.
    jeton::config halved = server.service();
    halved.signer(jeton::signer_purpose::dpop, "ES256", [](std::string_view, std::string &) {});
    CHECK(halved.error().status() == jeton::status::invalid_argument);
    jeton::config odd = key_client(server);
    odd.signer(jeton::signer_purpose::client, "XX", [](std::string_view, std::string &) {});
    CHECK(odd.error().status() == jeton::status::invalid_argument);
}

TEST_CASE("a bound token has a proof in each request")
{
    test_server server;
    const jeton::client client = server.service().dpop().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    const jeton::token token = session.token().value();
    CHECK(token.type() == "DPoP");
    CHECK(token.authorization() == "DPoP " + std::string(token.access_token()));
    for (int time = 0; time < 2; ++time)
        CHECK(session.request("GET", server["api"]).send().value().status() == 200);
    CHECK(contains(server.command("last api").line(), "\"dpop\""));
    CHECK(server.count("api_unauthorized") == 0);
}

TEST_CASE("a program with an HTTP library of its own gets proofs")
{
    const test_server server;
    const std::string api = server["api"];
    const jeton::client client = server.service().dpop().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    const jeton::token token = session.token().value();
    const std::string one = proof_for(session, "GET", api, token);
    CHECK(contains(jws_header(one), R"("typ":"dpop+jwt")"));
    CHECK(own_get(server, api, token, one).status == 200);
    CHECK(own_get(server, api, token, proof_for(session, "GET", api, token)).status == 200);
    // Each is good for one request, of its method; and none is none.
    CHECK(own_get(server, api, token, one).status == 401);
    CHECK(own_get(server, api, token, proof_for(session, "POST", api, token)).status == 401);
    CHECK(own_get(server, api, token, std::nullopt).status == 401);

    CHECK(session.dpop_proof("GET", "https://elsewhere.example/", token).error().status()
        == jeton::status::foreign_origin);
    CHECK_FALSE(session.dpop_proof("GET", "no URL", token));
    CHECK_FALSE(session.dpop_proof(with_nul("GET"), api, token));

    const jeton::client plain = server.service().resource_server(server["origin"]).build().value();
    const jeton::session unbound = plain.session().value();
    const auto none = unbound.dpop_proof("GET", api, unbound.token().value());
    REQUIRE(none);
    CHECK_FALSE(*none);
}

TEST_CASE("a server that wants its nonce in proofs gets it")
{
    const test_server server({"--dpop-nonces"});
    const std::string api = server["api"];
    const jeton::client client = server.service().dpop().resource_server(server["origin"]).build().value();
    const jeton::session session = client.session().value();
    const jeton::token token = session.token().value();
    const own_answer first = own_get(server, api, token, proof_for(session, "GET", api, token));
    CHECK(first.status == 401);
    REQUIRE(first.header("DPoP-Nonce"));
    const auto again
        = session.dpop_nonce(api, first.status, first.header("WWW-Authenticate"), first.header("DPoP-Nonce"));
    CHECK(again.value());
    const own_answer second = own_get(server, api, token, proof_for(session, "GET", api, token));
    CHECK(second.status == 200);
    CHECK_FALSE(session.dpop_nonce(api, second.status, std::nullopt, second.header("DPoP-Nonce")).value());
    CHECK_FALSE(session.dpop_nonce(api, 401, "DPoP error=\"invalid_token\"", std::nullopt).value());
    CHECK(session.dpop_nonce(api, 1, std::nullopt, std::nullopt).error().status() == jeton::status::invalid_argument);
}

TEST_CASE("the claims of the ID token tell who logged in")
{
    test_server server;
    const jeton::client client = server.browser().scope("openid").build().value();
    const jeton::session session = client.session().value();
    const auto nobody = session.id_token();
    REQUIRE(nobody);
    CHECK_FALSE(*nobody);
    REQUIRE(session.log_in());
    const auto id_token = session.id_token().value();
    REQUIRE(id_token);
    CHECK(id_token->subject() == "alice");
    const json_line claims{std::string(id_token->claims_json())};
    CHECK(claims.text("sub") == "alice");
    CHECK(claims.text("iss") == server["issuer"]);
    CHECK(contains(claims.line(), '"' + server["public_client"] + '"'));
    CHECK(claims.number("exp") > claims.number("iat"));

    const jeton::cancellation given_up;
    given_up.cancel();
    CHECK(session.id_token(given_up).error().status() == jeton::status::cancelled);

    // Whoever does not ask who it is, is not told.
    const jeton::session incognito = server.browser().build().value().session().value();
    REQUIRE(incognito.log_in());
    CHECK_FALSE(incognito.id_token().value());
}

TEST_CASE("a client registers itself once")
{
    test_server server({"--registration"});
    const scratch_folder folder;
    const auto config = [&] {
        jeton::config made;
        made.issuer(server["issuer"]).grant(jeton::grant::client_credentials).no_proxy();
        made.client_metadata(
            R"({"client_name":"S","grant_types":["client_credentials"],"response_types":[]})");
        made.store(jeton::store_kind::file).store_folder(folder.path() + "/logins");
        return made;
    };
    const jeton::cancellation given_up;
    given_up.cancel();
    CHECK(config().register_client(given_up).error().status() == jeton::status::cancelled);
    const jeton::client client = config().register_client().value();
    CHECK_FALSE(client.id().empty());
    CHECK(client.session().value().token());
    const jeton::client again = config().register_client().value();
    CHECK(again.id() == client.id());
    CHECK(server.count("clients_registered") == 1);
    const jeton::client other = config().registration_label("other").register_client().value();
    CHECK(other.id() != client.id());
    CHECK(server.count("clients_registered") == 2);

    const auto has_one = config().client_id("mine").register_client();
    REQUIRE_FALSE(has_one);
    CHECK(has_one.error().status() == jeton::status::configuration);
    CHECK(contains(has_one.error().message(), "JETON_OPTION_CLIENT_ID"));
    CHECK_FALSE(config().client_metadata("[]").register_client());
    CHECK_FALSE(config().issuer(with_nul(server["issuer"])).register_client());
    // A server that registers nobody.
    const test_server closed;
    CHECK_FALSE(config().issuer(closed["issuer"]).register_client());
    CHECK(server.service().build().value().id() == server["service_client"]);
}

TEST_CASE("an API is used of which only the URL is known, if the person approves of its server")
{
    test_server server({"--approve", "--registration", "--resource-metadata"});
    std::atomic<bool> approves = true;
    std::atomic<int> asked = 0;
    const auto config = [&] {
        jeton::config made;
        made.client_metadata(R"({"client_name":"A","redirect_uris":["http://127.0.0.1/callback"],)"
                             R"("token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]})");
        made.no_proxy().on_open_url([&](std::string_view url) { server.visit(url); });
        made.on_approve_server([&](const jeton::server_prompt &prompt, bool &approved) {
            ++asked;
            CHECK(prompt.issuer == server["issuer"]);
            CHECK(server["api"].compare(0, prompt.resource.size(), prompt.resource) == 0);
            CHECK_FALSE(prompt.former_issuer);
            approved = approves;
        });
        return made;
    };

    approves = false;
    const jeton::resource_client refused = config().build_resource_client().value();
    const auto unapproved = refused.get(server["api"]);
    REQUIRE_FALSE(unapproved);
    CHECK(unapproved.error().status() == jeton::status::answer);
    CHECK(asked == 1);
    CHECK(server.count("clients_registered") == 0);

    const jeton::cancellation given_up;
    given_up.cancel();
    CHECK(refused.get(server["api"], given_up).error().status() == jeton::status::cancelled);

    approves = true;
    const jeton::resource_client client = config().build_resource_client().value();
    const jeton::response answer = client.get(server["api"]).value();
    CHECK(answer.status() == 200);
    CHECK(contains(answer.body(), "alice"));
    CHECK(client.request("POST", server["api"]).body("xyz").send().value().status() == 200);
    const json_line sent = server.command("last api");
    CHECK(sent.text("method") == "POST");
    CHECK(sent.number("body_length") == 3);
    CHECK(asked == 2);
    CHECK(server.count("clients_registered") == 1);

    // Whoever is not asked has not approved; and what the callback throws comes back.
    jeton::config silent = config();
    silent.on_approve_server([](const jeton::server_prompt &, bool &) {});
    CHECK_FALSE(silent.build_resource_client().value().get(server["api"]));
    silent.on_approve_server([](const jeton::server_prompt &, bool &) { throw locked("no screen"); });
    const auto thrown = silent.build_resource_client().value().get(server["api"]);
    REQUIRE_FALSE(thrown);
    CHECK(thrown.error().status() == jeton::status::callback);
    CHECK_THROWS_AS(static_cast<void>(thrown.value()), locked);
    silent.on_approve_server([](const jeton::server_prompt &, bool &approved) { return (approved = true) ? 7 : 0; });
    const auto failed = silent.build_resource_client().value().get(server["api"]);
    CHECK(failed.error().status() == jeton::status::callback);
    CHECK(failed.error().callback_result() == 7);
    CHECK_FALSE(client.get(with_nul(server["api"])));
    CHECK_FALSE(client.request("GET", with_nul(server["api"])).send());
    CHECK_FALSE(client.request("GET", "no URL").send());
    CHECK(server.count("clients_registered") == 1);
}
