// What a compiler has to refuse, one case at a time (REFUSED=1...); with REFUSED=0 all is well.
#include "jeton.hpp"

#include <cstdio>

int main()
{
    jeton::config config;
    const jeton::client client = config.build().value();
    const jeton::session session = client.session().value();
    const jeton::token token = session.token().value();
#if REFUSED == 1 // a handle has one owner
    const jeton::token copy = token;
#elif REFUSED == 2
    jeton::config other = config;
#elif REFUSED == 3 // an error must be looked at
    session.log_in();
#elif REFUSED == 4
    session.close();
#elif REFUSED == 5 // true would mean a failure to the C library, and success to a reader
    config.on_open_url([](std::string_view) { return true; });
#elif REFUSED == 6 // a callback that does not take what it is given
    config.on_open_url([](int) {});
#elif REFUSED == 7 // an error is no value
    const bool good = session.token();
    std::printf("%d\n", good);
#elif REFUSED == 8 && defined(__clang__) // a view into a token that is gone
    const std::string_view gone = session.token().value().access_token();
    std::printf("%zu\n", gone.size());
#elif REFUSED != 0
#error "no such case for this compiler"
#endif
    std::printf("%zu\n", token.access_token().size());
    return 0;
}
