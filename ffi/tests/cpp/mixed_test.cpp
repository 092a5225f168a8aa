// Two translation units, with and without exceptions, in one program.
#include "jeton.hpp"
#include "jeton.hpp" // twice on purpose: the include guard

#include <doctest/doctest.h>

int status_seen_without_exceptions(const char *issuer); // nonthrowing_unit.cpp

TEST_CASE("units with and without exceptions share a program")
{
    CHECK(status_seen_without_exceptions("no URL") != JETON_OK);
    CHECK(status_seen_without_exceptions("https://login.example") == JETON_OK);
    jeton::config config;
    config.issuer("no URL").client_id("x").grant(jeton::grant::client_credentials);
    CHECK_THROWS_AS(static_cast<void>(config.build().value()), jeton::exception);
}
