// The C++ program of four that share a login: calls the API until its standard input is closed.
#include "jeton.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>

#include <poll.h>

int main()
try {
    const char *keychain = std::getenv("SHARED_SERVICE");
    const char *api = std::getenv("SHARED_API");
    jeton::config config;
    config.issuer(std::getenv("SHARED_ISSUER")).client_id(std::getenv("SHARED_CLIENT")).resource_server(api);
    config.grant(jeton::grant::authorization_code);
    if (keychain != nullptr)
        config.store(jeton::store_kind::keyring).store_service(keychain);
    else
        config.store(jeton::store_kind::file).store_folder(std::getenv("SHARED_FOLDER"));
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();

    long calls = 0;
    for (pollfd input = {0, POLLIN, 0}; poll(&input, 1, 20) == 0; ++calls) {
        const jeton::response response = session.request("GET", api).send().value();
        if (response.status() != 200) {
            std::cerr << "C++: the API answered " << response.status() << "\n";
            return 1;
        }
    }
    std::cout << calls << "\n";
    return 0;
} catch (const std::exception &why) {
    std::cerr << "C++: " << why.what() << "\n";
    return 1;
}
