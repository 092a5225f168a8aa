// Logs a person in with the system's browser (RFC 8252) and calls an API. Later runs use the stored login.
//   c++ -std=c++17 browser.cpp $(pkg-config --cflags --libs jeton) -o browser
//   ./browser https://as.example my-program https://api.example/me
#include <exception>
#include <iostream>
#include <jeton.hpp>

static bool call_api(const char *issuer, const char *client_id, const char *api)
{
    jeton::config config;
    config.issuer(issuer).client_id(client_id).scope("read offline_access").resource_server(api);
    config.grant(jeton::grant::authorization_code).store(jeton::store_kind::file);

    const jeton::client client = config.build().value(); // value() throws what went wrong
    const jeton::session session = client.session().value();
    jeton::result<jeton::token> token = session.token(); // refreshes it if need be
    if (token.error().status() == jeton::status::login_required)
        token = session.log_in(); // the person logs in
    if (!token)
        token.error().raise();

    const jeton::response response = session.request("GET", api).send().value();
    std::cout << response.status() << " " << response.body() << std::endl;
    if (const jeton::error lost = session.persist_error())
        lost.raise(); // the login could not be kept
    return response.ok();
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::cerr << "usage: " << argv[0] << " ISSUER CLIENT_ID API_URL\n";
        return 2;
    }
    try {
        return call_api(argv[1], argv[2], argv[3]) ? 0 : 1;
    } catch (const std::exception &failure) { // a jeton::exception also has error(), with what to do
        std::cerr << failure.what() << "\n";
        return 1;
    }
}
