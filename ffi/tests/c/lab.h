/* What the C programs that try libjeton have in common: checks, tests by name, and the test server as a process.
 * A failed check says where and ends the program at once: what comes after it would mean nothing. */
#ifndef LAB_H
#define LAB_H

#include "jeton.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define LAB_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define LAB_PRINTF(text, first)
#endif

_Noreturn void lab_fail(const char *file, int line, const char *format, ...) LAB_PRINTF(3, 4);

/* CHECK(condition) and CHECK_THAT(condition, "format", ...) */
#define CHECK(condition) \
  do { \
    if (!(condition)) lab_fail(__FILE__, __LINE__, "%s", #condition); \
  } while (0)
#define CHECK_THAT(condition, ...) \
  do { \
    if (!(condition)) lab_fail(__FILE__, __LINE__, __VA_ARGS__); \
  } while (0)
#define CHECK_TEXT(got, wanted) lab_check_text(__FILE__, __LINE__, #got, (got), (wanted))
/* An expression that ends with `&error)`, where `error` is a variable of the caller's. The error is freed. */
#define OK(call) \
  do { \
    jeton_error *error = NULL; \
    int32_t lab_status = (call); \
    lab_check_status(__FILE__, __LINE__, #call, lab_status, JETON_OK, error); \
  } while (0)
#define FAILS(wanted, call) \
  do { \
    jeton_error *error = NULL; \
    int32_t lab_status = (call); \
    lab_check_status(__FILE__, __LINE__, #call, lab_status, (wanted), error); \
  } while (0)

void lab_check_text(const char *file, int line, const char *what, const char *got, const char *wanted);
/* Frees the error. */
void lab_check_status(const char *file, int line, const char *call, int32_t got, int32_t wanted, jeton_error *error);

/* What an out-pointer held before a call: never to be seen after it. */
#define POISONED ((void *)0x5)

/* ---- tests ---- */
struct lab_test {
  const char *name;
  void (*run)(void);
};
/* Runs all, or those that are named on the command line. What `main` returns. */
int lab_main(int argc, char **argv, const struct lab_test *tests, size_t count);
#define LAB_MAIN(tests) lab_main(argc, argv, (tests), sizeof(tests) / sizeof *(tests))
/* Whether the run is to be a short cut: under valgrind or a sanitizer. JETON_LAB_SHORT=1 */
bool lab_is_short(void);

/* ---- the server: `jeton-test-server`, whose path is in JETON_TEST_SERVER ---- */
typedef struct lab_server lab_server;
/* Options are separated by spaces. */
lab_server *lab_server_start(const char *options);
void lab_server_stop(lab_server *server);
/* A value of the server's first line, such as "issuer". */
const char *lab_server_value(const lab_server *server, const char *name);
/* Gives a command, checks that it was obeyed, and gives the answer; the caller frees it. Any thread. */
char *lab_server_ask(lab_server *server, const char *format, ...) LAB_PRINTF(2, 3);
/* The same without an answer. */
void lab_server_tell(lab_server *server, const char *format, ...) LAB_PRINTF(2, 3);
/* A number of the answer to `stats`. */
long lab_server_count(lab_server *server, const char *name);
/* Where a browser is sent that opens this URL; the caller frees it. */
char *lab_server_redirect(lab_server *server, const char *authorization_url);

/* A member of a JSON object without nested objects of the same name; the caller frees it. NULL if there is none. */
char *lab_json(const char *json, const char *name);

/* ---- configurations ---- */
/* The server's client of that name ("public", "confidential", "service", "password"), its secret and its API. */
jeton_config *lab_config(const lab_server *server, const char *client, int32_t grant);
jeton_client *lab_client(const jeton_config *config);
jeton_session *lab_session(const jeton_client *client, const char *account);
/* Logs a session with the authorization code grant in, by begin and finish. */
void lab_log_in(lab_server *server, const jeton_session *session);

/* ---- a folder of its own ---- */
/* The caller frees the path; the folder and its files are removed when the program ends. */
char *lab_folder(void);

void lab_sleep_ms(long ms);

#endif
