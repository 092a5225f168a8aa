/* What a program does with libjeton, grant by grant, and every getter on every handle. */
#define _POSIX_C_SOURCE 200809L

#include "lab.h"

#include <pthread.h>
#include <time.h>

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static char *copy(const char *text) {
  char *copied = malloc(strlen(text) + 1);
  CHECK(copied != NULL);
  return strcpy(copied, text);
}

/* A client and its default session, and what they were made of. */
struct program {
  lab_server *server;
  jeton_config *config;
  jeton_client *client;
  jeton_session *session;
};

static struct program program(const char *options, const char *client, int32_t grant) {
  struct program it = {.server = lab_server_start(options)};
  it.config = lab_config(it.server, client, grant);
  it.client = lab_client(it.config);
  it.session = lab_session(it.client, NULL);
  return it;
}

static void end(struct program it) {
  jeton_session_free(it.session);
  jeton_client_free(it.client);
  jeton_config_free(it.config);
  lab_server_stop(it.server);
}

static jeton_token *token_of(const jeton_session *session) {
  jeton_token *token = NULL;
  OK(jeton_session_token(session, 0, NULL, &token, &error));
  CHECK(token != NULL);
  return token;
}

static void check_token(const jeton_token *token, const char *scope) {
  const char *authorization = jeton_token_authorization(token);
  CHECK(strncmp(authorization, "Bearer ", 7) == 0);
  CHECK_TEXT(jeton_token_access_token(token), authorization + 7);
  CHECK(strlen(authorization + 7) >= 43);
  CHECK(jeton_token_authorization_length(token) == strlen(authorization));
  CHECK_TEXT(jeton_token_type(token), "Bearer");
  CHECK_TEXT(jeton_token_scope(token), scope);
  int64_t left = jeton_token_expires_at_ms(token) - now_ms();
  CHECK_THAT(left > 0 && left <= 3600 * 1000, "it expires in %lld ms", (long long)left);
  CHECK(jeton_token_warning_count(token) == 0);
  CHECK(jeton_token_warning_code(token, 0) == NULL);
  CHECK(jeton_token_warning_message(token, 0) == NULL);
  CHECK(jeton_token_extra(token, "no such member") == NULL);
}

static void library(void) {
  CHECK_TEXT(jeton_version(), JETON_VERSION);
  CHECK(jeton_version_number() == JETON_VERSION_NUMBER);
  CHECK(jeton_has_feature("file") == 1);
  CHECK(jeton_has_feature("no such feature") == 0);
  for (int32_t status = JETON_OK; status <= JETON_ERROR_INTERNAL; status++) {
    CHECK(strcmp(jeton_status_name(status), "UNKNOWN") != 0);
    for (int32_t other = JETON_OK; other < status; other++) {
      CHECK(strcmp(jeton_status_name(status), jeton_status_name(other)) != 0);
    }
  }
  CHECK_TEXT(jeton_status_name(JETON_ERROR_LOGIN_REQUIRED), "LOGIN_REQUIRED");
  CHECK_TEXT(jeton_status_name(-5), "UNKNOWN");
  CHECK_TEXT(jeton_status_name(INT32_MAX), "UNKNOWN");
}

static void client_credentials(void) {
  struct program it = program("", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  CHECK_TEXT(jeton_session_account(it.session), "default");
  jeton_token *cached = POISONED;
  CHECK(jeton_session_cached(it.session, 0, &cached) == JETON_ERROR_NOT_CACHED);
  CHECK(cached == NULL);
  jeton_token *token = token_of(it.session);
  check_token(token, "read");
  CHECK(jeton_session_cached(it.session, 0, &cached) == JETON_OK);
  CHECK_TEXT(jeton_token_authorization(cached), jeton_token_authorization(token));
  jeton_token_free(cached);
  CHECK(jeton_session_cached(it.session, 2000 * 1000, &cached) == JETON_OK);
  jeton_token_free(cached);
  CHECK(jeton_session_cached(it.session, -1, &cached) == JETON_ERROR_INVALID_ARGUMENT);
  CHECK(cached == NULL);
  /* A token outlives the session, the client and its replacement. */
  jeton_token *refreshed = NULL;
  OK(jeton_session_refresh(it.session, NULL, &refreshed, &error));
  CHECK(strcmp(jeton_token_access_token(refreshed), jeton_token_access_token(token)) != 0);
  CHECK(lab_server_count(it.server, "tokens_issued") == 2);
  end(it);
  check_token(token, "read");
  check_token(refreshed, "read");
  jeton_token_free(token);
  jeton_token_free(refreshed);
}

/* A token that has expired is no longer handed out, and the next call gets another. */
static void expiry(void) {
  struct program it = program("--access-token-life 1", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_token *first = token_of(it.session), *token = NULL;
  int32_t status = JETON_OK;
  for (int i = 0; i < 3000 && status == JETON_OK; i++) {
    lab_sleep_ms(10);
    status = jeton_session_cached(it.session, 0, &token);
    jeton_token_free(token);
  }
  CHECK(status == JETON_ERROR_NOT_CACHED && token == NULL);
  token = token_of(it.session);
  CHECK(strcmp(jeton_token_access_token(first), jeton_token_access_token(token)) != 0);
  jeton_token_free(first);
  jeton_token_free(token);
  end(it);
}

static void password(void) {
  struct program it = program("", "password", JETON_GRANT_PASSWORD);
  jeton_token *token = token_of(it.session);
  check_token(token, "read");
  jeton_token_free(token);
  end(it);
}

static void begin_and_finish(void) {
  struct program it = program("--approve", "public", JETON_GRANT_AUTHORIZATION_CODE);
  jeton_token *token = NULL;
  jeton_error *why = NULL;
  CHECK(jeton_session_token(it.session, 0, NULL, &token, &why) == JETON_ERROR_LOGIN_REQUIRED);
  CHECK(token == NULL && jeton_error_recovery(why) == JETON_RECOVERY_LOG_IN);
  CHECK(jeton_error_oauth_code(why) == NULL && jeton_error_oauth_description(why) == NULL);
  CHECK(jeton_error_oauth_uri(why) == NULL && jeton_error_http_status(why) == 0);
  CHECK(jeton_error_retry_after_ms(why) == JETON_NEVER && jeton_error_callback_result(why) == 0);
  jeton_error_free(why);

  jeton_pending_login *pending = NULL;
  const char *redirect_uri = lab_server_value(it.server, "redirect_uri");
  OK(jeton_session_begin_log_in(it.session, redirect_uri, NULL, &pending, &error));
  const char *url = jeton_pending_login_url(pending), *state = jeton_pending_login_state(pending);
  CHECK(strstr(url, lab_server_value(it.server, "authorization_endpoint")) == url);
  CHECK(strlen(state) >= 22 && strstr(url, state) != NULL);
  CHECK(jeton_pending_login_expires_at_ms(pending) > now_ms());

  /* As a web application does: kept with the browser's session, read again when the redirect comes. */
  const char *serialized = jeton_pending_login_serialized(pending);
  jeton_pending_login *again = NULL;
  OK(jeton_pending_login_parse((const uint8_t *)serialized, strlen(serialized), &again, &error));
  CHECK_TEXT(jeton_pending_login_state(again), state);
  CHECK(jeton_pending_login_url(again) == NULL);
  CHECK(jeton_pending_login_expires_at_ms(again) == jeton_pending_login_expires_at_ms(pending));
  char *redirected = lab_server_redirect(it.server, url);
  FAILS(JETON_ERROR_ANSWER, jeton_session_finish_log_in(it.session, again, "http://127.0.0.1:49152/callback?code=c&state=wrong",
                                                        NULL, &token, &error));
  OK(jeton_session_finish_log_in(it.session, again, redirected, NULL, &token, &error));
  check_token(token, "read");
  jeton_token_free(token);
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_session_finish_log_in(it.session, again, redirected, NULL, &token, &error));
  CHECK(token == NULL);
  jeton_pending_login_free(again);
  jeton_pending_login_free(pending);
  free(redirected);

  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_pending_login_parse((const uint8_t *)"{}", 2, &pending, &error));

  /* The person says no. */
  lab_server_tell(it.server, "deny-next");
  OK(jeton_session_begin_log_in(it.session, redirect_uri, NULL, &pending, &error));
  redirected = lab_server_redirect(it.server, jeton_pending_login_url(pending));
  CHECK(jeton_session_finish_log_in(it.session, pending, redirected, NULL, &token, &why) == JETON_ERROR_OAUTH);
  CHECK_TEXT(jeton_error_oauth_code(why), "access_denied");
  jeton_error_free(why);
  jeton_pending_login_free(pending);
  free(redirected);
  end(it);
}

static void log_out(void) {
  struct program it = program("--approve", "public", JETON_GRANT_AUTHORIZATION_CODE);
  jeton_session *alice = lab_session(it.client, "alice"), *bob = lab_session(it.client, "b\xc3\xb6" "b");
  lab_log_in(it.server, alice);
  lab_log_in(it.server, bob);
  CHECK_TEXT(jeton_session_account(bob), "b\xc3\xb6" "b");
  jeton_accounts *accounts = NULL;
  OK(jeton_client_accounts(it.client, NULL, &accounts, &error));
  CHECK(jeton_accounts_count(accounts) == 2);
  bool seen[2] = {false, false};
  for (size_t i = 0; i < 2; i++) {
    seen[0] = seen[0] || strcmp(jeton_accounts_get(accounts, i), "alice") == 0;
    seen[1] = seen[1] || strcmp(jeton_accounts_get(accounts, i), "b\xc3\xb6" "b") == 0;
  }
  CHECK(seen[0] && seen[1]);
  CHECK(jeton_accounts_get(accounts, 2) == NULL && jeton_accounts_get(accounts, SIZE_MAX) == NULL);
  jeton_accounts_free(accounts);
  OK(jeton_session_persist_error(alice, &error));

  jeton_error *revocation = POISONED;
  OK(jeton_session_log_out(alice, NULL, &revocation, &error));
  CHECK(revocation == NULL);
  CHECK(lab_server_count(it.server, "live_logins") == 1);
  /* The login is gone here, whatever the server says to it. */
  lab_server_tell(it.server, "fail-next 3 503 revocation");
  OK(jeton_session_log_out(bob, NULL, &revocation, &error));
  CHECK(revocation != NULL && *jeton_error_message(revocation) != '\0');
  jeton_error_free(revocation);
  jeton_token *token = NULL;
  FAILS(JETON_ERROR_LOGIN_REQUIRED, jeton_session_token(bob, 0, NULL, &token, &error));
  OK(jeton_client_accounts(it.client, NULL, &accounts, &error));
  CHECK(jeton_accounts_count(accounts) == 0 && jeton_accounts_get(accounts, 0) == NULL);
  jeton_accounts_free(accounts);
  jeton_session_free(alice);
  jeton_session_free(bob);
  end(it);
}

static void introspect_and_revoke(void) {
  struct program it = program("--approve", "confidential", JETON_GRANT_AUTHORIZATION_CODE);
  lab_log_in(it.server, it.session);
  jeton_introspection *said = NULL;
  OK(jeton_session_introspect(it.session, NULL, &said, &error));
  CHECK(jeton_introspection_is_active(said) == 1);
  CHECK_TEXT(jeton_introspection_scope(said), "read");
  CHECK_TEXT(jeton_introspection_client_id(said), lab_server_value(it.server, "confidential_client"));
  CHECK_TEXT(jeton_introspection_subject(said), "alice");
  const char *username = jeton_introspection_username(said);
  CHECK(username == NULL || strcmp(username, "alice") == 0);
  CHECK(jeton_introspection_expires_at_ms(said) > now_ms());
  CHECK(strstr(jeton_introspection_json(said), "\"active\"") != NULL);
  jeton_introspection_free(said);

  OK(jeton_session_revoke(it.session, NULL, &error));
  CHECK(lab_server_count(it.server, "revocation") == 1);
  /* The login stays: the next token comes by a refresh. */
  jeton_token *token = token_of(it.session);
  jeton_token_free(token);
  CHECK(lab_server_count(it.server, "refreshes") == 1);
  end(it);
}

static void adopt(void) {
  struct program it = program("", "public", JETON_GRANT_AUTHORIZATION_CODE);
  /* expires_in as a string is what some servers send: taken, with a warning. */
  const char *answer = "{\"access_token\":\"adopted\",\"token_type\":\"bearer\",\"expires_in\":\"600\",\"refresh_token\":\"r\","
                       "\"tenant\":\"t-1\",\"numbers\":[1,2]}";
  jeton_token *token = NULL;
  OK(jeton_session_adopt(it.session, (const uint8_t *)answer, strlen(answer), NULL, &token, &error));
  CHECK_TEXT(jeton_token_access_token(token), "adopted");
  CHECK_TEXT(jeton_token_extra(token, "tenant"), "t-1");
  CHECK_TEXT(jeton_token_extra(token, "numbers"), "[1,2]");
  CHECK(jeton_token_warning_count(token) >= 1);
  for (size_t i = 0; i < jeton_token_warning_count(token); i++) {
    CHECK(*jeton_token_warning_code(token, i) != '\0' && *jeton_token_warning_message(token, i) != '\0');
  }
  CHECK(jeton_token_warning_code(token, jeton_token_warning_count(token)) == NULL);
  jeton_token_free(token);
  token = token_of(it.session);
  CHECK_TEXT(jeton_token_access_token(token), "adopted");
  jeton_token_free(token);
  jeton_error *why = NULL;
  int32_t status = jeton_session_adopt(it.session, (const uint8_t *)"{}", 2, NULL, &token, &why);
  CHECK_THAT(status == JETON_ERROR_ANSWER || status == JETON_ERROR_INVALID_ARGUMENT, "%s", jeton_error_message(why));
  CHECK(token == NULL);
  jeton_error_free(why);
  end(it);
}

static void requests(void) {
  struct program it = program("--approve", "public", JETON_GRANT_AUTHORIZATION_CODE);
  const char *api = lab_server_value(it.server, "api");
  lab_log_in(it.server, it.session);
  jeton_request *request = NULL;
  jeton_response *response = NULL;
  OK(jeton_session_request(it.session, "POST", api, &request, &error));
  OK(jeton_request_add_header(request, "Content-Type", "text/plain", &error));
  OK(jeton_request_add_header(request, "X-Twice", "one", &error));
  OK(jeton_request_add_header(request, "X-Twice", "two", &error));
  OK(jeton_request_add_query(request, "q", "a b&c=\xc3\xa9", &error));
  OK(jeton_request_set_body(request, (const uint8_t *)"a\0b", 3, &error));
  OK(jeton_request_set_timeout_ms(request, 20000, &error));
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_request_set_timeout_ms(request, -1, &error));
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_request_set_max_body(request, -1, &error));
  jeton_error *why = NULL;
  int32_t status = jeton_request_add_header(request, "bad header\n", "x", &why);
  CHECK_THAT(status == JETON_ERROR_INVALID_ARGUMENT || status == JETON_ERROR_REQUEST, "%s", jeton_error_message(why));
  jeton_error_free(why);
  for (int time = 0; time < 2; time++) {
    /* The second time with a token that the API takes no more: a new one is got, and the request is sent again. */
    if (time == 1) lab_server_tell(it.server, "revoke-access-tokens");
    OK(jeton_request_send(request, NULL, &response, &error));
    CHECK_THAT(jeton_response_status(response) == 200, "the API answered %d", jeton_response_status(response));
    size_t length = 0;
    const char *body = (const char *)jeton_response_body(response, &length);
    CHECK(body != NULL && strlen(body) == length && length > 0);
    char *got = lab_json(body, "body_length");
    CHECK_TEXT(got, "3");
    free(got);
    got = lab_json(body, "content_type");
    CHECK_TEXT(got, "text/plain");
    free(got);
    CHECK_TEXT(jeton_response_header(response, "CONTENT-type"), "application/json");
    CHECK(jeton_response_header(response, "x-none") == NULL);
    size_t count = jeton_response_header_count(response);
    CHECK(count > 0);
    for (size_t i = 0; i < count; i++) {
      CHECK(*jeton_response_header_name(response, i) != '\0' && jeton_response_header_value(response, i) != NULL);
    }
    CHECK(jeton_response_header_name(response, count) == NULL && jeton_response_header_value(response, SIZE_MAX) == NULL);
    jeton_response_free(response);
  }
  CHECK(lab_server_count(it.server, "refreshes") == 1);
  char *last = lab_server_ask(it.server, "last api");
  CHECK(strstr(last, "[\"q\",\"a b&c=\xc3\xa9\"]") != NULL);
  CHECK(strstr(last, "[\"x-twice\",\"one\"],[\"x-twice\",\"two\"]") != NULL);
  free(last);
  /* Any status of an API is an answer. */
  lab_server_tell(it.server, "fail-next 1 418 api");
  OK(jeton_request_send(request, NULL, &response, &error));
  CHECK(jeton_response_status(response) == 418);
  jeton_response_free(response);
  /* More than was asked for is refused, and nothing is given. */
  OK(jeton_request_set_max_body(request, 10, &error));
  FAILS(JETON_ERROR_REQUEST, jeton_request_send(request, NULL, &response, &error));
  CHECK(response == NULL);
  jeton_request_free(request);

  /* The token goes to nobody else; the session may be gone before its request. */
  long before = lab_server_count(it.server, "api_requests");
  status = jeton_session_request(it.session, "GET", "https://elsewhere.example/", &request, &why);
  if (status == JETON_OK) status = jeton_request_send(request, NULL, &response, &why);
  CHECK_THAT(status == JETON_ERROR_FOREIGN_ORIGIN, "%s", jeton_status_name(status));
  jeton_error_free(why);
  jeton_request_free(request);
  CHECK(lab_server_count(it.server, "api_requests") == before);
  jeton_session *other = lab_session(it.client, NULL);
  OK(jeton_session_request(other, "GET", api, &request, &error));
  jeton_session_free(other);
  OK(jeton_request_send(request, NULL, &response, &error));
  CHECK(jeton_response_status(response) == 200);
  jeton_response_free(response);
  jeton_request_free(request);
  end(it);
}

static void own_http_library(void) {
  struct program it = program("--approve", "public", JETON_GRANT_AUTHORIZATION_CODE);
  lab_log_in(it.server, it.session);
  OK(jeton_session_check_url(it.session, lab_server_value(it.server, "api"), &error));
  FAILS(JETON_ERROR_FOREIGN_ORIGIN, jeton_session_check_url(it.session, "http://127.0.0.1:9/", &error));
  jeton_token *token = token_of(it.session), *next = NULL;
  int32_t try_again = 7;
  OK(jeton_session_judge(it.session, token, 200, NULL, &try_again, &error));
  CHECK(try_again == 0);
  OK(jeton_session_judge(it.session, token, 401, "Bearer error=\"invalid_token\"", &try_again, &error));
  CHECK(try_again == 1);
  next = token_of(it.session);
  CHECK(strcmp(jeton_token_access_token(token), jeton_token_access_token(next)) != 0);
  jeton_token_free(token);
  jeton_token_free(next);
  end(it);
}

static void errors(void) {
  struct program it = program("--fault unavailable-retry-after-1:metadata", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_token *token = NULL;
  jeton_error *why = NULL;
  lab_server_tell(it.server, "clear-faults");
  lab_server_tell(it.server, "fault invalid-client");
  CHECK(jeton_session_refresh(it.session, NULL, &token, &why) == JETON_ERROR_OAUTH);
  CHECK_TEXT(jeton_error_oauth_code(why), "invalid_client");
  CHECK(jeton_error_http_status(why) == 401);
  CHECK(jeton_error_recovery(why) == JETON_RECOVERY_FIX_CONFIGURATION);
  jeton_error_free(why);

  lab_server_tell(it.server, "fault-always unavailable-retry-after-1");
  CHECK(jeton_session_refresh(it.session, NULL, &token, &why) != JETON_OK);
  CHECK(jeton_error_recovery(why) == JETON_RECOVERY_RETRY && jeton_error_http_status(why) == 503);
  jeton_error_free(why);
  lab_server_tell(it.server, "clear-faults");

  lab_server_tell(it.server, "fault-always garbage");
  jeton_session *other = lab_session(it.client, "other");
  CHECK(jeton_session_token(other, 0, NULL, &token, &why) == JETON_ERROR_ANSWER);
  jeton_error_free(why);
  jeton_session_free(other);

  /* Nobody there. */
  jeton_config *config = jeton_config_new();
  OK(jeton_config_set_str(config, JETON_OPTION_TOKEN_ENDPOINT, "http://127.0.0.1:1/token", &error));
  OK(jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, "x", &error));
  OK(jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, (const uint8_t *)"x", 1, &error));
  OK(jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS, &error));
  jeton_client *client = lab_client(config);
  jeton_session *session = lab_session(client, NULL);
  CHECK(jeton_session_token(session, 0, NULL, &token, &why) == JETON_ERROR_NETWORK);
  CHECK(jeton_error_recovery(why) == JETON_RECOVERY_RETRY);
  jeton_error_free(why);
  jeton_session_free(session);
  jeton_client_free(client);
  jeton_config_free(config);

  /* Nothing said at all: a clear refusal, at jeton_client_new. */
  config = jeton_config_new();
  FAILS(JETON_ERROR_CONFIGURATION, jeton_client_new(config, &client, &error));
  CHECK(client == NULL);
  jeton_config_free(config);
  end(it);
}

static void variants(void) {
  struct program it = program("--approve", "confidential", JETON_GRANT_AUTHORIZATION_CODE);
  jeton_config_free(it.config);
  it.config = lab_config(it.server, "confidential", JETON_GRANT_AUTHORIZATION_CODE);
  OK(jeton_config_set_str(it.config, JETON_OPTION_SCOPE, "read write", &error));
  OK(jeton_config_set_str(it.config, JETON_OPTION_RESOURCE, lab_server_value(it.server, "api_identifier"), &error));
  OK(jeton_config_set_str(it.config, JETON_OPTION_RESOURCE, lab_server_value(it.server, "second_api_identifier"), &error));
  jeton_client *client = lab_client(it.config);
  /* The configuration may go at once, and the client before its sessions. */
  jeton_session *session = lab_session(client, "variants");
  jeton_client_free(client);
  lab_log_in(it.server, session);
  jeton_session *second = NULL, *narrow = NULL;
  OK(jeton_session_for_resource(session, lab_server_value(it.server, "second_api_identifier"), &second, &error));
  OK(jeton_session_with_scope(session, "read", &narrow, &error));
  CHECK_TEXT(jeton_session_account(second), "variants");
  jeton_session_free(session);
  jeton_token *token = token_of(narrow);
  CHECK_TEXT(jeton_token_scope(token), "read");
  jeton_token_free(token);
  jeton_request *request = NULL;
  jeton_response *response = NULL;
  OK(jeton_session_request(second, "GET", lab_server_value(it.server, "second_api"), &request, &error));
  OK(jeton_request_send(request, NULL, &response, &error));
  CHECK(jeton_response_status(response) == 200);
  jeton_response_free(response);
  jeton_request_free(request);
  OK(jeton_session_close(second, NULL, &error));
  jeton_session_free(second);
  jeton_session_free(narrow);
  end(it);
}

/* A login that is still there when the program comes back. */
static void stored(int32_t kind, const char *key, const char *passphrase) {
  lab_server *server = lab_server_start("--approve");
  char *folder = lab_folder(), *first = NULL;
  for (int run = 0; run < 2; run++) {
    jeton_config *config = lab_config(server, "public", JETON_GRANT_AUTHORIZATION_CODE);
    OK(jeton_config_set_int(config, JETON_OPTION_STORE, kind, &error));
    OK(jeton_config_set_str(config, JETON_OPTION_STORE_FOLDER, folder, &error));
    if (key != NULL) {
      OK(jeton_config_set_secret(config, JETON_OPTION_STORE_KEY, (const uint8_t *)key, strlen(key), &error));
    }
    if (passphrase != NULL) {
      OK(jeton_config_set_secret(config, JETON_OPTION_STORE_PASSPHRASE, (const uint8_t *)passphrase, strlen(passphrase),
                                 &error));
    }
    jeton_client *client = lab_client(config);
    jeton_config_free(config);
    CHECK(jeton_client_store_is_persistent(client) == 1);
    CHECK(jeton_client_store_is_encrypted(client) == (kind != JETON_STORE_FILE));
    CHECK(*jeton_client_store_description(client) != '\0');
    jeton_session *session = lab_session(client, NULL);
    if (run == 0) lab_log_in(server, session);
    jeton_token *token = token_of(session);
    if (run == 0) first = copy(jeton_token_access_token(token));
    CHECK_TEXT(jeton_token_access_token(token), first);
    jeton_token_free(token);
    jeton_session_free(session);
    jeton_client_free(client);
  }
  free(first);
  free(folder);
  lab_server_stop(server);
}

static void stores(void) {
  stored(JETON_STORE_FILE, NULL, NULL);
  stored(JETON_STORE_SEALED, "0123456789abcdef0123456789abcdef", NULL);
  if (!lab_is_short()) stored(JETON_STORE_SEALED, NULL, "correct horse battery staple");
  struct program it = program("", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  CHECK(jeton_client_store_is_persistent(it.client) == 0);
  FAILS(JETON_ERROR_INVALID_ARGUMENT,
        jeton_config_set_secret(it.config, JETON_OPTION_STORE_KEY, (const uint8_t *)"short", 5, &error));
  end(it);
}

/* ---- log ---- */

static struct {
  pthread_mutex_t mutex;
  size_t messages, destroyed;
  char *secret;
  bool leaked;
} logged = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void on_log(void *userdata, int32_t level, const char *target, const char *message) {
  CHECK(userdata == &logged && level >= JETON_LOG_ERROR && level <= JETON_LOG_DEBUG);
  CHECK(target != NULL && message != NULL);
  pthread_mutex_lock(&logged.mutex);
  logged.messages++;
  logged.leaked = logged.leaked || (logged.secret != NULL && strstr(message, logged.secret) != NULL);
  pthread_mutex_unlock(&logged.mutex);
}

static void on_log_destroyed(void *userdata) {
  CHECK(userdata == &logged);
  pthread_mutex_lock(&logged.mutex);
  logged.destroyed++;
  pthread_mutex_unlock(&logged.mutex);
}

static size_t log_count(const size_t *what) {
  pthread_mutex_lock(&logged.mutex);
  size_t count = *what;
  pthread_mutex_unlock(&logged.mutex);
  return count;
}

static void wait_for(const size_t *what, size_t wanted) {
  for (int i = 0; i < 3000 && log_count(what) < wanted; i++) lab_sleep_ms(10);
  CHECK(log_count(what) >= wanted);
}

static void log_callback(void) {
  struct program it = program("", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_token *token = token_of(it.session);
  logged.secret = copy(jeton_token_access_token(token));
  jeton_token_free(token);
  OK(jeton_set_log(JETON_LOG_DEBUG, on_log, &logged, on_log_destroyed, &error));
  OK(jeton_session_refresh(it.session, NULL, &token, &error));
  wait_for(&logged.messages, 1);
  jeton_token_free(token);
  /* Another registration takes its place; destroy comes after the last message. */
  OK(jeton_set_log(JETON_LOG_ERROR, on_log, &logged, on_log_destroyed, &error));
  wait_for(&logged.destroyed, 1);
  OK(jeton_set_log(JETON_LOG_TRACE, NULL, NULL, NULL, &error));
  wait_for(&logged.destroyed, 2);
  FAILS(JETON_ERROR_INVALID_ARGUMENT, jeton_set_log(9, on_log, &logged, on_log_destroyed, &error));
  CHECK(log_count(&logged.destroyed) == 2 && !logged.leaked);
  free(logged.secret);
  end(it);
}

/* ---- cancel ---- */

struct waiting {
  const jeton_session *session;
  const jeton_cancel *cancel;
  int32_t status;
};

static void *wait_for_token(void *argument) {
  struct waiting *it = argument;
  jeton_token *token = NULL;
  it->status = jeton_session_token(it->session, 0, it->cancel, &token, NULL);
  jeton_token_free(token);
  return NULL;
}

static void cancel(void) {
  struct program it = program("", "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_cancel *early = jeton_cancel_new(), *late = jeton_cancel_new();
  CHECK(jeton_cancel_is_cancelled(early) == 0);
  jeton_cancel_cancel(early);
  jeton_cancel_cancel(early);
  CHECK(jeton_cancel_is_cancelled(early) == 1 && jeton_cancel_is_cancelled(late) == 0);
  jeton_token *token = POISONED;
  FAILS(JETON_ERROR_CANCELLED, jeton_session_token(it.session, 0, early, &token, &error));
  CHECK(token == NULL && lab_server_count(it.server, "token") == 0);
  jeton_cancel_free(early);

  /* Two wait for one answer; the one who gives up does so alone, and what it waited for goes on. */
  lab_server_tell(it.server, "fault gate");
  struct waiting gives_up = {it.session, late, -1}, stays = {it.session, NULL, -1};
  pthread_t threads[2];
  CHECK(pthread_create(&threads[0], NULL, wait_for_token, &gives_up) == 0);
  CHECK(pthread_create(&threads[1], NULL, wait_for_token, &stays) == 0);
  lab_server_tell(it.server, "wait-held 1");
  jeton_cancel_cancel(late);
  CHECK(pthread_join(threads[0], NULL) == 0);
  CHECK(gives_up.status == JETON_ERROR_CANCELLED);
  jeton_cancel_free(late);
  lab_server_tell(it.server, "open-gate");
  CHECK(pthread_join(threads[1], NULL) == 0);
  CHECK(stays.status == JETON_OK);
  CHECK(lab_server_count(it.server, "tokens_issued") == 1);
  end(it);
}

int main(int argc, char **argv) {
  static const struct lab_test TESTS[] = {
      {"library", library},
      {"client_credentials", client_credentials},
      {"expiry", expiry},
      {"password", password},
      {"begin_and_finish", begin_and_finish},
      {"log_out", log_out},
      {"introspect_and_revoke", introspect_and_revoke},
      {"adopt", adopt},
      {"requests", requests},
      {"own_http_library", own_http_library},
      {"errors", errors},
      {"variants", variants},
      {"stores", stores},
      {"log_callback", log_callback},
      {"cancel", cancel},
  };
  return LAB_MAIN(TESTS);
}
