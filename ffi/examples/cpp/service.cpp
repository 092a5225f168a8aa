// Calls an API as a service, which has a secret of its own (RFC 6749 section 4.4).
//   c++ -std=c++17 service.cpp $(pkg-config --cflags --libs jeton) -o service
//   CLIENT_SECRET=... ./service https://as.example my-service https://api.example/me
#include <cstdlib>
#include <exception>
#include <iostream>
#include <jeton.hpp>

static bool call_api(const char *issuer, const char *client_id, const char *secret, const char *api)
{
    jeton::config config;
    config.issuer(issuer).client_id(client_id).client_secret(secret).scope("read").resource_server(api);
    config.grant(jeton::grant::client_credentials);

    const jeton::client client = config.build().value(); // value() throws what went wrong
    const jeton::session session = client.session().value();
    // The token is fetched, kept until it expires, and sent to the API's server only.
    const jeton::response response = session.request("GET", api).send().value();
    std::cout << response.status() << " " << response.body() << std::endl;
    return response.ok();
}

int main(int argc, char **argv)
{
    const char *secret = std::getenv("CLIENT_SECRET");
    if (argc != 4 || !secret) {
        std::cerr << "usage: CLIENT_SECRET=... " << argv[0] << " ISSUER CLIENT_ID API_URL\n";
        return 2;
    }
    try {
        return call_api(argv[1], argv[2], secret, argv[3]) ? 0 : 1;
    } catch (const std::exception &failure) { // a jeton::exception also has error(), with what to do
        std::cerr << failure.what() << "\n";
        return 1;
    }
}
