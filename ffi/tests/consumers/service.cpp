// A program of somebody else: logs in as a service and calls an API. Arguments: issuer, client id, secret, API.
#include <iostream>
#include <jeton.hpp>

int main(int argc, char **argv)
{
    if (argc != 5) {
        std::cerr << "four arguments are needed\n";
        return 1;
    }
    jeton::config config;
    config.issuer(argv[1]).client_id(argv[2]).client_secret(argv[3]).resource_server(argv[4]);
    config.grant(jeton::grant::client_credentials);
    try {
        const jeton::client client = config.build().value();
        const jeton::session session = client.session().value();
        const jeton::response answer = session.request("GET", argv[4]).send().value();
        std::cout << "HTTP " << answer.status() << "\n";
        return answer.status() == 200 ? 0 : 1;
    } catch (const jeton::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
