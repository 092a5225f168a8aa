/* jeton.h: sign in once and stay signed in.
 *
 * Generated from ffi/src by `cargo xtask header`; do not edit.
 *
 * Conventions: names start with `jeton_`. Any pointer argument may be NULL without a crash. Strings in are
 * NUL-terminated UTF-8 and are only read during the call; strings out are borrowed, never freed by the
 * caller. Each function's comment tells ownership, threads, units and errors.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef JETON_H
#define JETON_H

#include <stdint.h>

// The version of this header. The version of the library that is loaded: jeton_version().
#define JETON_VERSION "0.1.0"
#define JETON_VERSION_MAJOR 0
#define JETON_VERSION_MINOR 1
#define JETON_VERSION_PATCH 0
// major << 16 | minor << 8 | patch, for comparisons in the preprocessor too.
#define JETON_VERSION_NUMBER 0x000100


#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library that is loaded, such as "0.1.0" (Semantic Versioning). Compare it with
// `JETON_VERSION`, the version of the header that the program was compiled with.
//
// Ownership: a NUL-terminated UTF-8 string that belongs to the library and lives as long as it is loaded;
// do not free or change it. Never NULL.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
const char *jeton_version(void);

// The version of the library that is loaded as a number that can be compared:
// `major << 16 | minor << 8 | patch`, without the pre-release part. The header's is `JETON_VERSION_NUMBER`.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
uint32_t jeton_version_number(void);

// Whether this build of the library has a feature: 1 if so, else 0. A program that runs with several
// versions of the library asks here before it uses what only newer ones can do.
//
// Names known to this version: "version" (the three functions of this group).
//
// `name`: NUL-terminated UTF-8, compared byte for byte; read during the call only. NULL, invalid UTF-8 and
// names that this version does not know answer 0.
//
// Threads: may be called from any thread at any time.
//
// Errors: none.
//
// `name` is NULL or points to a NUL-terminated string.
int32_t jeton_has_feature(const char *name);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* JETON_H */
