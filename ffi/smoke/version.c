/* Smoke test: the header compiles, the library links, and both are of one version. */
#include "jeton.h"
#include "jeton.h" /* twice on purpose: the include guard */

#include <stdio.h>
#include <string.h>

static int failures = 0;

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "failed: %s\n", what);
        failures += 1;
    }
}

int main(void)
{
    check(strcmp(jeton_version(), JETON_VERSION) == 0, "library and header have one version string");
    check(jeton_version_number() == JETON_VERSION_NUMBER, "library and header have one version number");
    check(JETON_VERSION_NUMBER
              == ((uint32_t)JETON_VERSION_MAJOR << 16 | (uint32_t)JETON_VERSION_MINOR << 8
                  | (uint32_t)JETON_VERSION_PATCH),
          "the version number is made of its parts");
    check(jeton_has_feature("version") == 1, "a known feature");
    check(jeton_has_feature("no such feature") == 0, "an unknown feature");
    check(jeton_has_feature(NULL) == 0, "NULL is no feature");
    check(jeton_has_feature("\xff\xfe") == 0, "invalid UTF-8 is no feature");
    if (failures == 0) {
        printf("jeton %s from C\n", jeton_version());
    }
    return failures == 0 ? 0 : 1;
}
