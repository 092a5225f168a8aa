/* Every function of jeton.h, with each of its arguments wrong in each way: NULL, no UTF-8, an empty string, a wrong
 * struct_size, an unknown option; and with a panic inside (SWEEP_PANICS, for a library built with the feature panic-tests).
 * `SWEPT_FILE` is written by xtask from the header, so that no function is forgotten. */
#include "lab.h"

enum mode {
  SOUND,
  NULLS,
  NOT_UTF8,
  EMPTY,
  PANIC,
};

struct argument {
  char role; /* t: text; p: another pointer; e: the error; -: nothing to try */
  const char *name;
};

struct swept {
  const char *name;
  void (*run)(int at, enum mode mode);
  struct argument arguments[12];
};

struct option {
  int32_t number;
  const char *name;
};

#ifdef SWEEP_PANICS
void jeton_test_panic_next(void);
#endif

/* What is not NULL and must become it. */
#define POISON POISONED
#define NULLED(argument) (mode == NULLS && at == (argument))

static lab_server *server;

static struct {
  jeton_config *config;
  jeton_client *client;
  jeton_session *session;
  jeton_token *token;
  jeton_cancel *cancel;
  jeton_error *error;
  jeton_accounts *accounts;
  jeton_pending_login *pending_login;
  jeton_introspection *introspection;
  jeton_id_token *id_token;
  jeton_dpop_proof *dpop_proof;
  jeton_resource_client *resource_client;
  jeton_request *request;
  jeton_response *response;
  jeton_sink *sink; /* lent to a store's callback only: see store.c */
  const jeton_interaction *interaction;
  const jeton_store *store;
  const jeton_signer *signer;
} fixtures;

/* What is being called, for what is said when it goes wrong. */
static const struct swept *now;

static const char *argument_name(int at) { return at < 0 ? "" : now->arguments[at].name; }

#define SWEEP_CHECK(condition, ...) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s, argument `%s`, mode %d: ", now->name, argument_name(at), (int)mode); \
      lab_fail(__FILE__, __LINE__, __VA_ARGS__); \
    } \
  } while (0)

/* ---- sound arguments ---- */

static const char sweep_bytes[] = "{\"access_token\":\"swept\",\"token_type\":\"Bearer\",\"expires_in\":600}";

static int64_t sweep_number(const char *function, const char *argument) {
  if (strcmp(argument, "option") == 0) {
    if (strstr(function, "set_str") != NULL) return JETON_OPTION_SCOPE;
    if (strstr(function, "set_secret") != NULL) return JETON_OPTION_CLIENT_SECRET;
    return JETON_OPTION_STRICT;
  }
  if (strcmp(argument, "length") == 0) return sizeof sweep_bytes - 1;
  if (strcmp(argument, "request") == 0) return JETON_REQUEST_TOKEN;
  if (strcmp(argument, "purpose") == 0) return JETON_SIGNER_CLIENT;
  if (strcmp(argument, "max_level") == 0) return JETON_LOG_ERROR;
  if (strcmp(argument, "http_status") == 0) return 200;
  if (strcmp(argument, "timeout_ms") == 0 || strcmp(argument, "bytes") == 0) return 10000;
  return 0;
}

static const char *sweep_text(enum mode mode, bool broken, const char *function, const char *argument) {
  if (broken && mode == NULLS) return NULL;
  if (broken && mode == NOT_UTF8) return "caf\xe9 \xff\xfe";
  if (broken && mode == EMPTY) return "";
  if (strcmp(argument, "method") == 0) return "GET";
  if (strcmp(argument, "url") == 0) return lab_server_value(server, "api");
  if (strcmp(argument, "resource") == 0) return lab_server_value(server, "api_identifier");
  if (strcmp(argument, "redirect_uri") == 0) return lab_server_value(server, "redirect_uri");
  if (strcmp(argument, "redirected_url") == 0) return "http://127.0.0.1:49152/callback?code=x&state=y";
  if (strcmp(argument, "account") == 0) return "swept";
  if (strcmp(argument, "scope") == 0) return "read";
  if (strcmp(argument, "www_authenticate") == 0) return "Bearer error=\"invalid_token\"";
  if (strcmp(function, "jeton_has_feature") == 0) return "file";
  return "read";
}

static void sweep_log(void *userdata, int32_t level, const char *target, const char *message) {
  (void)userdata, (void)level, (void)target, (void)message;
}

static void sweep_event(void *userdata, const jeton_event *event) { (void)userdata, (void)event; }

static void sweep_destroy(void *userdata) { CHECK(userdata == NULL); }

/* Arguments that may be NULL, besides `error`. "*" is every function. */
static bool may_be_null(const char *function, const char *argument) {
  static const char *const OPTIONAL[][2] = {
      {"*", "cancel"},
      {"*", "destroy"},
      {"jeton_client_session", "account"},
      {"jeton_session_judge", "www_authenticate"},
      {"jeton_session_judge", "try_again"},
      {"jeton_session_dpop_nonce", "www_authenticate"},
      {"jeton_session_dpop_nonce", "nonce"},
      {"jeton_session_dpop_nonce", "try_again"},
      {"jeton_session_log_out", "revocation_error"},
      {"jeton_set_log", "callback"},
  };
  for (size_t i = 0; i < sizeof OPTIONAL / sizeof *OPTIONAL; i++) {
    bool same = strcmp(OPTIONAL[i][0], "*") == 0 || strcmp(OPTIONAL[i][0], function) == 0;
    if (same && strcmp(OPTIONAL[i][1], argument) == 0) return true;
  }
  return false;
}

/* A header as a server sent it may hold any bytes. */
static bool may_be_bytes(const char *function, const char *argument) {
  if (strcmp(function, "jeton_session_dpop_nonce") == 0 && strcmp(argument, "nonce") == 0) return true;
  bool reads = strcmp(function, "jeton_session_judge") == 0 || strcmp(function, "jeton_session_dpop_nonce") == 0;
  return reads && strcmp(argument, "www_authenticate") == 0;
}

/* ---- what has to come of it ---- */

static void sweep_begin(enum mode mode) {
#ifdef SWEEP_PANICS
  if (mode == PANIC) jeton_test_panic_next();
#else
  (void)mode;
#endif
}

/* What there may be none of, which is no error. */
static bool may_give_nothing(const char *function) {
  return strcmp(function, "jeton_session_id_token") == 0 || strcmp(function, "jeton_session_dpop_proof") == 0;
}

static void sweep_given(int32_t status, const void *given) {
  if (status == JETON_OK && given == NULL && may_give_nothing(now->name)) return;
  if (status == JETON_OK ? given == NULL || given == POISON : given != NULL) {
    lab_fail(__FILE__, __LINE__, "%s gave %s and %s handle", now->name, jeton_status_name(status),
             given == NULL ? "no" : given == POISON ? "left the old" : "a");
  }
}

static void sweep_side_error(int32_t status, const jeton_error *error) {
  if (error == POISON || (status != JETON_OK && error != NULL)) sweep_given(status, error);
}

static void sweep_status(int at, enum mode mode, int32_t status, jeton_error **error) {
  const char *argument = argument_name(at), *message = NULL;
  if (error != NULL) {
    SWEEP_CHECK((void *)*error != POISON, "*error was left as it was");
    SWEEP_CHECK((status == JETON_OK) == (*error == NULL), "%s, and the error is %p", jeton_status_name(status),
                (void *)*error);
    message = jeton_error_message(*error);
    if (status != JETON_OK) {
      SWEEP_CHECK(*message != '\0', "no text");
      SWEEP_CHECK(jeton_error_status(*error) == status, "the error says %d", jeton_error_status(*error));
      int32_t recovery = jeton_error_recovery(*error);
      SWEEP_CHECK(recovery >= JETON_RECOVERY_RETRY && recovery <= JETON_RECOVERY_GIVE_UP, "recovery %d", recovery);
    }
  }
  bool refused = mode == NULLS ? at >= 0 && now->arguments[at].role != 'e' && !may_be_null(now->name, argument)
                               : mode == NOT_UTF8 && !may_be_bytes(now->name, argument);
  if (mode == PANIC) {
    SWEEP_CHECK(status == JETON_ERROR_INTERNAL, "%s instead of INTERNAL: %s", jeton_status_name(status), message);
  } else if (refused) {
    SWEEP_CHECK(status == JETON_ERROR_INVALID_ARGUMENT, "%s instead of INVALID_ARGUMENT: %s", jeton_status_name(status),
                message != NULL ? message : "");
    SWEEP_CHECK(message == NULL || strstr(message, argument) != NULL, "\"%s\" does not name it", message);
  } else {
    SWEEP_CHECK(status != JETON_ERROR_INTERNAL, "a defect: %s", message);
    /* NULL where it is allowed is as good as anything. */
    SWEEP_CHECK(mode != NULLS || message == NULL || strstr(message, "is NULL") == NULL, "%s", message);
  }
  if (error != NULL) jeton_error_free(*error);
}

static void sweep_value(enum mode mode, int64_t value) {
  if (mode == NULLS && value > JETON_ERROR_INTERNAL) {
    lab_fail(__FILE__, __LINE__, "%s of NULL is %lld", now->name, (long long)value);
  }
}

/* Read to its end: valgrind and the sanitizers see what is not there. */
static void sweep_string(const char *text) {
  if (text != NULL) CHECK(strlen(text) < 1 << 20);
}

#include SWEPT_FILE

/* ---- fixtures ---- */

static int32_t refuse_url(void *userdata, const char *url) {
  (void)userdata, (void)url;
  return 7;
}

static int32_t load_nothing(void *userdata, const char *key, jeton_sink *sink) {
  (void)userdata, (void)key, (void)sink;
  return 0;
}

static int32_t save_nothing(void *userdata, const char *key, const uint8_t *record, size_t length) {
  (void)userdata, (void)key, (void)record, (void)length;
  return 0;
}

static int32_t remove_nothing(void *userdata, const char *key) {
  (void)userdata, (void)key;
  return 0;
}

static const jeton_interaction INTERACTION = {.struct_size = sizeof INTERACTION, .open_url = refuse_url};
static const jeton_store STORE = {
    .struct_size = sizeof STORE, .name = "swept", .load = load_nothing, .save = save_nothing, .remove = remove_nothing};

static int32_t refuse_to_sign(void *userdata, const uint8_t *message, size_t length, uint8_t *signature, size_t capacity,
                              size_t *signature_length) {
  (void)userdata, (void)message, (void)length, (void)signature, (void)capacity, (void)signature_length;
  return 7;
}

static const jeton_signer SIGNER = {.struct_size = sizeof SIGNER, .algorithm = "ES256", .sign = refuse_to_sign};

/* A login with an ID token, whose tokens are bound. */
static void make_bound_fixtures(void) {
  jeton_config *config = lab_config(server, "confidential", JETON_GRANT_AUTHORIZATION_CODE);
  OK(jeton_config_set_int(config, JETON_OPTION_DPOP, 1, &error));
  OK(jeton_config_set_str(config, JETON_OPTION_SCOPE, "openid", &error));
  jeton_client *client = lab_client(config);
  jeton_session *session = lab_session(client, "bound");
  jeton_token *token = NULL;
  const char *api = lab_server_value(server, "api");
  lab_log_in(server, session);
  OK(jeton_session_id_token(session, NULL, &fixtures.id_token, &error));
  CHECK(strcmp(jeton_id_token_subject(fixtures.id_token), "alice") == 0);
  CHECK(strstr(jeton_id_token_claims_json(fixtures.id_token), "\"alice\"") != NULL);
  OK(jeton_session_token(session, 0, NULL, &token, &error));
  CHECK(strcmp(jeton_token_type(token), "DPoP") == 0);
  OK(jeton_session_dpop_proof(session, "GET", api, token, NULL, &fixtures.dpop_proof, &error));
  CHECK(strlen(jeton_dpop_proof_value(fixtures.dpop_proof)) > 100);
  OK(jeton_resource_client_new(config, &fixtures.resource_client, &error));
  jeton_token_free(token);
  jeton_session_free(session);
  jeton_client_free(client);
  jeton_config_free(config);
}

static void make_fixtures(void) {
  make_bound_fixtures();
  fixtures.config = lab_config(server, "confidential", JETON_GRANT_AUTHORIZATION_CODE);
  OK(jeton_config_set_interaction(fixtures.config, &INTERACTION, &error));
  fixtures.client = lab_client(fixtures.config);
  fixtures.session = lab_session(fixtures.client, "swept");
  lab_log_in(server, fixtures.session);
  OK(jeton_session_token(fixtures.session, 0, NULL, &fixtures.token, &error));
  OK(jeton_session_introspect(fixtures.session, NULL, &fixtures.introspection, &error));
  OK(jeton_client_accounts(fixtures.client, NULL, &fixtures.accounts, &error));
  OK(jeton_session_begin_log_in(fixtures.session, lab_server_value(server, "redirect_uri"), NULL,
                                &fixtures.pending_login, &error));
  OK(jeton_session_request(fixtures.session, "GET", lab_server_value(server, "api"), &fixtures.request, &error));
  OK(jeton_request_send(fixtures.request, NULL, &fixtures.response, &error));
  CHECK(jeton_config_set_int(fixtures.config, 999, 1, &fixtures.error) == JETON_ERROR_INVALID_ARGUMENT);
  /* Sound arguments must not let a call wait for the network. */
  fixtures.cancel = jeton_cancel_new();
  jeton_cancel_cancel(fixtures.cancel);
  fixtures.interaction = &INTERACTION;
  fixtures.store = &STORE;
  fixtures.signer = &SIGNER;
}

static void free_fixtures(void) {
  jeton_cancel_free(fixtures.cancel);
  jeton_error_free(fixtures.error);
  jeton_response_free(fixtures.response);
  jeton_request_free(fixtures.request);
  jeton_pending_login_free(fixtures.pending_login);
  jeton_accounts_free(fixtures.accounts);
  jeton_introspection_free(fixtures.introspection);
  jeton_id_token_free(fixtures.id_token);
  jeton_dpop_proof_free(fixtures.dpop_proof);
  jeton_resource_client_free(fixtures.resource_client);
  jeton_token_free(fixtures.token);
  jeton_session_free(fixtures.session);
  jeton_client_free(fixtures.client);
  jeton_config_free(fixtures.config);
  OK(jeton_set_log(0, NULL, NULL, NULL, &error));
}

static void sweep(void) {
  server = lab_server_start("--approve");
  make_fixtures();
  size_t calls = 0;
  for (size_t i = 0; i < sizeof SWEPT / sizeof *SWEPT; i++) {
    now = &SWEPT[i];
#ifdef SWEEP_PANICS
    now->run(-1, PANIC);
    calls++;
    /* A function that is not guarded would have left the panic to this call. */
    size_t length = strlen(now->name);
    bool frees = length > 5 && strcmp(now->name + length - 5, "_free") == 0;
    CHECK_THAT(jeton_has_feature("rustls") == 1 || frees, "%s runs without a guard", now->name);
#else
    now->run(-1, SOUND);
    calls++;
    for (int at = 0; now->arguments[at].role != 0; at++) {
      char role = now->arguments[at].role;
      if (role == '-') continue;
      now->run(at, NULLS);
      calls++;
      if (role != 't') continue;
      now->run(at, NOT_UTF8);
      now->run(at, EMPTY);
      calls += 2;
    }
#endif
  }
  printf("%zu functions, %zu calls\n", sizeof SWEPT / sizeof *SWEPT, calls);
  /* And it still works. */
  jeton_session *session = lab_session(fixtures.client, "after all that");
  lab_log_in(server, session);
  jeton_session_free(session);
  free_fixtures();
  lab_server_stop(server);
}

#ifndef SWEEP_PANICS

/* An option is known and takes one kind of value, or is refused by all three. */
static void options(void) {
  jeton_config *config = jeton_config_new();
  size_t known = 0;
  int32_t last = 120;
  for (int32_t number = -1; number <= last + 2; number++) {
    int32_t option = number == last + 1 ? INT32_MAX : number == last + 2 ? INT32_MIN : number;
    const char *name = NULL;
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
      if (OPTIONS[i].number == option) name = OPTIONS[i].name;
    }
    int taken = 0;
    for (int kind = 0; kind < 3; kind++) {
      jeton_error *error = NULL;
      int32_t status = kind == 0   ? jeton_config_set_str(config, option, "http://127.0.0.1/x", &error)
                       : kind == 1 ? jeton_config_set_secret(config, option, (const uint8_t *)"0123456789abcdef0123456789abcdef",
                                                             32, &error)
                                   : jeton_config_set_int(config, option, 1, &error);
      const char *message = jeton_error_message(error);
      bool other_kind = strstr(message, "jeton_config_set_") != NULL;
      if (name == NULL) {
        CHECK_THAT(status == JETON_ERROR_INVALID_ARGUMENT, "option %d: %s", option, jeton_status_name(status));
        CHECK_THAT(strstr(message, jeton_version()) != NULL, "option %d: \"%s\"", option, message);
      } else if (other_kind) {
        CHECK_THAT(status == JETON_ERROR_INVALID_ARGUMENT, "%s: %s", name, jeton_status_name(status));
        CHECK_THAT(strstr(message, name) != NULL, "\"%s\" does not name %s", message, name);
      } else {
        taken++;
      }
      jeton_error_free(error);
    }
    CHECK_THAT(name == NULL || taken == 1, "%s takes %d kinds of values", name, taken);
    known += name != NULL;
  }
  CHECK_THAT(known == sizeof OPTIONS / sizeof *OPTIONS, "%zu options of the header were met", known);
  jeton_config_free(config);
}

/* Numbers out of their range. */
static void ranges(void) {
  static const struct {
    int32_t option;
    int64_t value;
  } WRONG[] = {
      {JETON_OPTION_GRANT, 0},
      {JETON_OPTION_GRANT, 5},
      {JETON_OPTION_GRANT, -1},
      {JETON_OPTION_STORE, 0},
      {JETON_OPTION_STORE, 6},
      {JETON_OPTION_CLIENT_AUTHENTICATION, 0},
      {JETON_OPTION_CLIENT_AUTHENTICATION, 8},
      {JETON_OPTION_DPOP, 2},
      {JETON_OPTION_FAPI2_SECURITY_PROFILE, -1},
      {JETON_OPTION_REDIRECT_PORT, -1},
      {JETON_OPTION_REDIRECT_PORT, 65536},
      {JETON_OPTION_STRICT, 2},
      {JETON_OPTION_STRICT, -1},
      {JETON_OPTION_NO_PROXY, 2},
      {JETON_OPTION_DEVICE_PKCE, 2},
      {JETON_OPTION_REFRESH_AHEAD, 2},
      {JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE, 2},
      {JETON_OPTION_CONNECT_TIMEOUT_MS, -1},
      {JETON_OPTION_REQUEST_TIMEOUT_MS, INT64_MIN},
      {JETON_OPTION_EARLY_EXPIRY_MS, -1},
      {JETON_OPTION_LEASE_TIMEOUT_MS, -1},
      {JETON_OPTION_CLOSE_TIMEOUT_MS, -1},
      {JETON_OPTION_LOGIN_TIMEOUT_MS, -1},
      {JETON_OPTION_MAX_BODY, -1},
  };
  jeton_config *config = jeton_config_new();
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    jeton_error *error = NULL;
    int32_t status = jeton_config_set_int(config, WRONG[i].option, WRONG[i].value, &error);
    CHECK_THAT(status == JETON_ERROR_INVALID_ARGUMENT, "option %d took %lld: %s", WRONG[i].option,
               (long long)WRONG[i].value, jeton_error_message(error));
    jeton_error_free(error);
  }
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_config_add_parameter(config, 0, "a", "b", &error));
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_config_add_parameter(config, 5, "a", "b", &error));
  jeton_config_free(config);
}

static int destroyed;

static void count_destroyed(void *userdata) {
  CHECK(userdata == &destroyed);
  destroyed++;
}

/* A program that was built with another header, or forgot to say so; the userdata stays its own then. */
static void struct_sizes(void) {
  jeton_config *config = jeton_config_new();
  static const size_t WRONG[] = {0, 1, sizeof(void *), sizeof(jeton_interaction) - 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
    jeton_interaction interaction = INTERACTION;
    interaction.struct_size = WRONG[i];
    interaction.userdata = &destroyed;
    interaction.destroy = count_destroyed;
    FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_config_set_interaction(config, &interaction, &error));
    jeton_store store = STORE;
    store.struct_size = WRONG[i] == sizeof(jeton_interaction) - 1 ? sizeof store - 1 : WRONG[i];
    store.userdata = &destroyed;
    store.destroy = count_destroyed;
    FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_config_set_store(config, &store, &error));
  }
  /* What a store cannot be without, and a lock that could never be given back. */
  for (int missing = 0; missing < 5; missing++) {
    jeton_store store = STORE;
    store.userdata = &destroyed;
    store.destroy = count_destroyed;
    if (missing == 0) store.load = NULL;
    if (missing == 1) store.save = NULL;
    if (missing == 2) store.remove = NULL;
    if (missing == 3) store.try_lock = remove_nothing;
    if (missing == 4) store.name = "\xff";
    FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_config_set_store(config, &store, &error));
  }
  CHECK_THAT(destroyed == 0, "destroy ran %d times for what was refused", destroyed);
  jeton_config_free(config);
  CHECK(destroyed == 0);
}

/* Handles of NULL as every getter's argument are in the sweep; here, that freeing nothing is nothing, in any number. */
static void nothing_is_freed(void) {
  for (int i = 0; i < 3; i++) {
    jeton_error_free(NULL);
    jeton_config_free(NULL);
    jeton_session_free(NULL);
  }
}

#endif

int main(int argc, char **argv) {
  static const struct lab_test TESTS[] = {
      {"sweep", sweep},
#ifndef SWEEP_PANICS
      {"options", options},
      {"ranges", ranges},
      {"struct_sizes", struct_sizes},
      {"nothing_is_freed", nothing_is_freed},
#endif
  };
  return LAB_MAIN(TESTS);
}
