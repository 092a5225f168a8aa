// Smoke test: the header is C++ too (extern "C", no C-only syntax), and the library is of its version.
#include "jeton.h"
#include "jeton.h" // twice on purpose: the include guard

#include <iostream>
#include <string_view>

#if JETON_VERSION_NUMBER < 0
#error "JETON_VERSION_NUMBER works in the preprocessor"
#endif

int main()
{
    const std::string_view version = jeton_version();
    const bool good = version == JETON_VERSION && jeton_version_number() == JETON_VERSION_NUMBER
        && jeton_has_feature("version") == 1 && jeton_has_feature(nullptr) == 0;
    if (!good) {
        std::cerr << "header " << JETON_VERSION << ", library " << version << "\n";
        return 1;
    }
    std::cout << "jeton " << version << " from C++\n";
    return 0;
}
