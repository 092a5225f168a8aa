/* One client, sixteen threads: sessions made and freed, tokens read, refreshed and judged, requests sent, calls cancelled from
 * other threads, cancel handles freed while calls hold on to them. At the end each login is alive, and no refresh token was used
 * twice. */
#define _POSIX_C_SOURCE 200809L

#include "lab.h"

#include <pthread.h>

enum { THREADS = 16, LOGINS = 4 };

static lab_server *server;
static jeton_client *client;
static int rounds;

/* What the others may cancel; each is used by its thread and freed under the mutex. */
static struct {
  pthread_mutex_t mutex;
  jeton_cancel *of[THREADS];
} cancels = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct worker {
  int number;
  uint64_t random;
  long tokens, cancelled, cached;
};

/* xorshift: the same decisions in each run. */
static unsigned draw(struct worker *it, unsigned below) {
  it->random ^= it->random << 13;
  it->random ^= it->random >> 7;
  it->random ^= it->random << 17;
  return (unsigned)(it->random >> 33) % below;
}

static void set_cancel(int number, jeton_cancel *cancel) {
  pthread_mutex_lock(&cancels.mutex);
  jeton_cancel *old = cancels.of[number];
  cancels.of[number] = cancel;
  pthread_mutex_unlock(&cancels.mutex);
  jeton_cancel_free(old);
}

static void cancel_somebody(struct worker *it) {
  pthread_mutex_lock(&cancels.mutex);
  jeton_cancel *cancel = cancels.of[draw(it, THREADS)];
  if (cancel != NULL) jeton_cancel_cancel(cancel);
  pthread_mutex_unlock(&cancels.mutex);
}

static void check_token(const jeton_token *token) {
  CHECK(strncmp(jeton_token_authorization(token), "Bearer ", 7) == 0);
  CHECK(strlen(jeton_token_access_token(token)) >= 43);
}

/* What came of a call that others may cancel. */
static void note(struct worker *it, int32_t status, jeton_token *token, jeton_error *error) {
  CHECK_THAT(status == JETON_OK || status == JETON_ERROR_CANCELLED, "%s: %s", jeton_status_name(status),
             jeton_error_message(error));
  CHECK((status == JETON_OK) == (token != NULL) && (status == JETON_OK) == (error == NULL));
  if (token != NULL) check_token(token);
  it->tokens += status == JETON_OK;
  it->cancelled += status == JETON_ERROR_CANCELLED;
  jeton_token_free(token);
  jeton_error_free(error);
}

static void one_round(struct worker *it) {
  char account[32];
  snprintf(account, sizeof account, "login-%u", draw(it, LOGINS));
  jeton_session *session = lab_session(client, account);
  jeton_cancel *cancel = jeton_cancel_new();
  set_cancel(it->number, cancel);
  jeton_token *token = NULL;
  jeton_error *error = NULL;
  int32_t status;
  switch (draw(it, 12)) {
    case 0:
      status = jeton_session_refresh(session, cancel, &token, &error);
      note(it, status, token, error);
      break;
    case 1: {
      jeton_request *request = NULL;
      jeton_response *response = NULL;
      OK(jeton_session_request(session, "GET", lab_server_value(server, "api"), &request, &error));
      status = jeton_request_send(request, cancel, &response, &error);
      CHECK_THAT(status == JETON_OK || status == JETON_ERROR_CANCELLED, "%s", jeton_error_message(error));
      CHECK_THAT(status != JETON_OK || jeton_response_status(response) == 200, "%d", jeton_response_status(response));
      jeton_response_free(response);
      jeton_request_free(request);
      jeton_error_free(error);
      break;
    }
    case 2:
      cancel_somebody(it);
      break;
    case 3:
      OK(jeton_session_token(session, 0, NULL, &token, &error));
      check_token(token);
      int32_t try_again = 0;
      OK(jeton_session_judge(session, token, 401, "Bearer error=\"invalid_token\"", &try_again, &error));
      jeton_token_free(token);
      break;
    case 4: {
      jeton_session *narrow = NULL;
      OK(jeton_session_with_scope(session, "read", &narrow, &error));
      jeton_session_free(session);
      session = narrow;
      status = jeton_session_token(session, 0, cancel, &token, &error);
      note(it, status, token, error);
      break;
    }
    default:
      status = jeton_session_token(session, 0, cancel, &token, &error);
      note(it, status, token, error);
      if (jeton_session_cached(session, 0, &token) == JETON_OK) {
        check_token(token);
        it->cached++;
      }
      jeton_token_free(token);
  }
  jeton_session_free(session);
}

static void *work(void *argument) {
  struct worker *it = argument;
  for (int round = 0; round < rounds; round++) one_round(it);
  set_cancel(it->number, NULL);
  return NULL;
}

static void sixteen_threads(void) {
  rounds = lab_is_short() ? 15 : 150;
  server = lab_server_start("--approve");
  jeton_config *config = lab_config(server, "public", JETON_GRANT_AUTHORIZATION_CODE);
  client = lab_client(config);
  jeton_config_free(config);
  for (int i = 0; i < LOGINS; i++) {
    char account[32];
    snprintf(account, sizeof account, "login-%d", i);
    jeton_session *session = lab_session(client, account);
    lab_log_in(server, session);
    jeton_session_free(session);
  }
  pthread_t threads[THREADS];
  struct worker workers[THREADS];
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){.number = i, .random = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1)};
    CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
  }
  long tokens = 0, cancelled = 0, cached = 0;
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    tokens += workers[i].tokens;
    cancelled += workers[i].cancelled;
    cached += workers[i].cached;
  }
  /* The last word on each login: it is alive, here and at the server. */
  for (int i = 0; i < LOGINS; i++) {
    char account[32];
    snprintf(account, sizeof account, "login-%d", i);
    jeton_session *session = lab_session(client, account);
    jeton_token *token = NULL;
    OK(jeton_session_refresh(session, NULL, &token, &error));
    jeton_token_free(token);
    jeton_session_free(session);
  }
  printf("%ld tokens, %ld of them looked at again, %ld calls cancelled, %ld refreshes\n", tokens, cached, cancelled,
         lab_server_count(server, "refreshes"));
  CHECK(tokens > 0 && cached > 0);
  CHECK(lab_server_count(server, "reuses_detected") == 0);
  CHECK(lab_server_count(server, "live_logins") == LOGINS);
  jeton_client_free(client);
  lab_server_stop(server);
}

/* A token, an error and a cancel handle in many hands: they do not change, and the last one frees them. */
struct shared {
  const jeton_token *token;
  const jeton_session *session;
};

static void *read_token(void *argument) {
  const struct shared *it = argument;
  for (int i = 0; i < (lab_is_short() ? 50 : 2000); i++) {
    check_token(it->token);
    CHECK(jeton_token_extra(it->token, "none") == NULL);
    CHECK_TEXT(jeton_token_scope(it->token), "read");
    jeton_token *own = NULL;
    CHECK(jeton_session_cached(it->session, 0, &own) == JETON_OK);
    CHECK_TEXT(jeton_token_access_token(own), jeton_token_access_token(it->token));
    jeton_token_free(own);
  }
  return NULL;
}

static void one_token_in_many_hands(void) {
  lab_server *own = lab_server_start("");
  jeton_config *config = lab_config(own, "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_client *service = lab_client(config);
  jeton_session *session = lab_session(service, NULL);
  jeton_token *token = NULL;
  OK(jeton_session_token(session, 0, NULL, &token, &error));
  struct shared shared = {token, session};
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, read_token, &shared) == 0);
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(lab_server_count(own, "tokens_issued") == 1);
  jeton_token_free(token);
  jeton_session_free(session);
  jeton_client_free(service);
  jeton_config_free(config);
  lab_server_stop(own);
}

int main(int argc, char **argv) {
  static const struct lab_test TESTS[] = {
      {"sixteen_threads", sixteen_threads},
      {"one_token_in_many_hands", one_token_in_many_hands},
  };
  return LAB_MAIN(TESTS);
}
