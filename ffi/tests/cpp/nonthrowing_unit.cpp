// Compiled without exceptions and linked into the tests, which are compiled with them: each keeps its own behaviour.
#include "jeton.hpp"

#if defined(__cpp_exceptions)
#error "to be compiled with -fno-exceptions"
#endif

int status_seen_without_exceptions(const char *issuer);

int status_seen_without_exceptions(const char *issuer)
{
    jeton::config config;
    config.issuer(issuer).client_id("x").grant(jeton::grant::device_code);
    config.on_device_code([](const jeton::device_prompt &) { return 9; });
    const auto client = config.build();
    return static_cast<int>(client.error().status());
}
