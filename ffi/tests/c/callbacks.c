/* Callbacks of a program: that do what they are for, that fail, that take long, and that call back into jeton. */
#define _POSIX_C_SOURCE 200809L

#include "lab.h"

#include <pthread.h>

/* ---- counting across threads ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void lock(void) { pthread_mutex_lock(&mutex); }

static void unlock(void) {
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void count(int *what) {
  lock();
  ++*what;
  unlock();
}

static int counted(const int *what) {
  lock();
  int value = *what;
  unlock();
  return value;
}

/* Until it is so many; a test that waits in vain is ended by whoever runs it. */
static void wait_until(const int *what, int wanted) {
  lock();
  while (*what < wanted) pthread_cond_wait(&changed, &mutex);
  unlock();
}

/* ---- a person ---- */

struct person {
  lab_server *server;
  int32_t open_url_result, show_result, pending_result;
  bool goes_away, hangs, types_late, denies;
  long takes_ms;
  /* Sessions to be used from within a callback. */
  const jeton_session *other;
  int opened, shown, pending, ended, destroyed, running, released;
  int32_t ended_with;
  char code[32];
};

static void call_back_in(const struct person *it) {
  if (it->other == NULL) return;
  jeton_token *token = NULL;
  OK(jeton_session_refresh(it->other, NULL, &token, &error));
  jeton_token_free(token);
  CHECK(jeton_session_cached(it->other, 0, &token) == JETON_OK);
  jeton_token_free(token);
}

static int32_t open_url(void *userdata, const char *url) {
  struct person *it = userdata;
  count(&it->running);
  count(&it->opened);
  call_back_in(it);
  if (it->takes_ms > 0) lab_sleep_ms(it->takes_ms);
  if (it->hangs) wait_until(&it->released, 1);
  int32_t result = it->open_url_result;
  if (result == 0 && !it->goes_away) lab_server_tell(it->server, "visit %s", url);
  lock();
  it->running--;
  unlock();
  return result;
}

static int32_t show_device_code(void *userdata, const jeton_device_prompt *prompt) {
  struct person *it = userdata;
  CHECK(prompt->struct_size == sizeof *prompt);
  CHECK(strlen(prompt->user_code) < sizeof it->code);
  CHECK(strstr(prompt->verification_uri, "http://127.0.0.1:") == prompt->verification_uri);
  CHECK(strstr(prompt->verification_uri_complete, prompt->user_code) != NULL);
  CHECK(prompt->expires_at_ms > 0);
  strcpy(it->code, prompt->user_code);
  call_back_in(it);
  if (it->denies) lab_server_tell(it->server, "deny %s", it->code);
  if (!it->denies && !it->types_late && it->show_result == 0) lab_server_tell(it->server, "approve %s", it->code);
  count(&it->shown);
  return it->show_result;
}

static int32_t device_code_pending(void *userdata, int64_t remaining_ms) {
  struct person *it = userdata;
  CHECK(remaining_ms > 0);
  if (counted(&it->pending) == 0 && it->types_late && it->pending_result == 0) {
    lab_server_tell(it->server, "approve %s", it->code);
  }
  count(&it->pending);
  return it->pending_result;
}

static void login_ended(void *userdata, int32_t status, const char *message) {
  struct person *it = userdata;
  CHECK(message != NULL);
  it->ended_with = status;
  count(&it->ended);
}

static void destroy_person(void *userdata) {
  struct person *it = userdata;
  CHECK(counted(&it->running) == 0);
  count(&it->destroyed);
}

static jeton_session *session_with(struct person *it, int32_t grant, bool shows_codes) {
  jeton_interaction interaction = {
      .struct_size = sizeof interaction,
      .userdata = it,
      .open_url = open_url,
      .show_device_code = shows_codes ? show_device_code : NULL,
      .device_code_pending = device_code_pending,
      .login_ended = login_ended,
      .destroy = destroy_person,
  };
  jeton_config *config = lab_config(it->server, "public", grant);
  OK(jeton_config_set_interaction(config, &interaction, &error));
  jeton_client *client = lab_client(config);
  jeton_config_free(config);
  jeton_session *session = lab_session(client, NULL);
  jeton_client_free(client);
  return session;
}

/* The login's end is told once, and the userdata given back once. */
static void end(struct person *it, jeton_session *session, int32_t status) {
  wait_until(&it->ended, 1);
  CHECK_THAT(it->ended_with == status, "login_ended was told %s", jeton_status_name(it->ended_with));
  CHECK(counted(&it->destroyed) == 0);
  jeton_session_free(session);
  wait_until(&it->destroyed, 1);
  CHECK(counted(&it->ended) == 1 && counted(&it->destroyed) == 1);
}

static void log_in(const jeton_session *session) {
  jeton_token *token = NULL;
  OK(jeton_session_log_in(session, NULL, &token, &error));
  CHECK(token != NULL);
  jeton_token_free(token);
}

static void log_in_fails(const jeton_session *session, int32_t status, int32_t result) {
  jeton_token *token = POISONED;
  jeton_error *why = NULL;
  int32_t got = jeton_session_log_in(session, NULL, &token, &why);
  CHECK_THAT(got == status, "%s: %s", jeton_status_name(got), jeton_error_message(why));
  CHECK(token == NULL && jeton_error_callback_result(why) == result);
  jeton_error_free(why);
}

static void browser(void) {
  struct person person = {.server = lab_server_start("--approve")};
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  log_in(session);
  CHECK(person.opened == 1 && person.shown == 0);
  end(&person, session, JETON_OK);
  lab_server_stop(person.server);
}

static void browser_fails(void) {
  struct person person = {.server = lab_server_start("--approve"), .open_url_result = -7};
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  log_in_fails(session, JETON_ERROR_CALLBACK, -7);
  end(&person, session, JETON_ERROR_INTERACTION);
  lab_server_stop(person.server);
}

static void person_says_no(void) {
  struct person person = {.server = lab_server_start("--deny")};
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  log_in_fails(session, JETON_ERROR_OAUTH, 0);
  end(&person, session, JETON_ERROR_OAUTH);
  lab_server_stop(person.server);
}

/* The callback calls the same library, and takes its time. */
static void callback_calls_back_in(void) {
  struct person person = {.server = lab_server_start("--approve"), .takes_ms = 100};
  jeton_config *config = lab_config(person.server, "service", JETON_GRANT_CLIENT_CREDENTIALS);
  jeton_client *client = lab_client(config);
  jeton_session *service = lab_session(client, NULL);
  person.other = service;
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  log_in(session);
  end(&person, session, JETON_OK);

  struct person typist = {.server = person.server, .other = service};
  session = session_with(&typist, JETON_GRANT_DEVICE_CODE, true);
  log_in(session);
  end(&typist, session, JETON_OK);
  jeton_session_free(service);
  jeton_client_free(client);
  jeton_config_free(config);
  lab_server_stop(person.server);
}

struct login {
  const jeton_session *session;
  const jeton_cancel *cancel;
  int32_t status;
};

static void *log_in_with_cancel(void *argument) {
  struct login *it = argument;
  jeton_token *token = POISONED;
  it->status = jeton_session_log_in(it->session, it->cancel, &token, NULL);
  CHECK(token == NULL);
  return NULL;
}

/* A login that is given up does not wait for a callback that hangs; userdata stays until it comes back. */
static void cancelled_while_a_callback_hangs(void) {
  struct person person = {.server = lab_server_start("--approve"), .hangs = true};
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  jeton_cancel *cancel = jeton_cancel_new();
  struct login login = {session, cancel, -1};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, log_in_with_cancel, &login) == 0);
  wait_until(&person.opened, 1);
  jeton_cancel_cancel(cancel);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_THAT(login.status == JETON_ERROR_CANCELLED, "%s", jeton_status_name(login.status));
  jeton_cancel_free(cancel);
  jeton_session_free(session);
  lab_sleep_ms(20);
  CHECK(counted(&person.destroyed) == 0);
  count(&person.released);
  wait_until(&person.destroyed, 1);
  lab_server_stop(person.server);
}

/* Nobody comes back from the browser. */
static void cancelled_while_a_person_is_away(void) {
  struct person person = {.server = lab_server_start("--approve"), .goes_away = true};
  jeton_session *session = session_with(&person, JETON_GRANT_AUTHORIZATION_CODE, true);
  jeton_cancel *cancel = jeton_cancel_new();
  struct login login = {session, cancel, -1};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, log_in_with_cancel, &login) == 0);
  wait_until(&person.opened, 1);
  jeton_cancel_cancel(cancel);
  jeton_cancel_free(cancel);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_THAT(login.status == JETON_ERROR_CANCELLED, "%s", jeton_status_name(login.status));
  jeton_session_free(session);
  wait_until(&person.destroyed, 1);
  lab_server_stop(person.server);
}

static void device(void) {
  struct person person = {.server = lab_server_start(""), .types_late = true};
  jeton_session *session = session_with(&person, JETON_GRANT_DEVICE_CODE, true);
  log_in(session);
  CHECK(person.shown == 1 && person.pending >= 1 && person.opened == 0);
  end(&person, session, JETON_OK);

  struct person denies = {.server = person.server, .denies = true};
  session = session_with(&denies, JETON_GRANT_DEVICE_CODE, true);
  log_in_fails(session, JETON_ERROR_OAUTH, 0);
  end(&denies, session, JETON_ERROR_OAUTH);

  struct person cannot_show = {.server = person.server, .show_result = 9};
  session = session_with(&cannot_show, JETON_GRANT_DEVICE_CODE, true);
  log_in_fails(session, JETON_ERROR_CALLBACK, 9);
  /* Whether that counts as shown, and so as a login that ended, is not said. */
  jeton_session_free(session);
  wait_until(&cannot_show.destroyed, 1);

  struct person gives_up = {.server = person.server, .types_late = true, .pending_result = 11};
  session = session_with(&gives_up, JETON_GRANT_DEVICE_CODE, true);
  log_in_fails(session, JETON_ERROR_CALLBACK, 11);
  end(&gives_up, session, JETON_ERROR_INTERACTION);

  /* A program that has no way to show a code. */
  struct person blind = {.server = person.server};
  session = session_with(&blind, JETON_GRANT_DEVICE_CODE, false);
  log_in_fails(session, JETON_ERROR_INTERACTION, 0);
  jeton_session_free(session);
  wait_until(&blind.destroyed, 1);
  lab_server_stop(person.server);
}

/* ---- events ---- */

struct listener {
  int32_t kinds[16];
  int told, destroyed, waits, released;
  jeton_session *to_free;
  lab_server *server;
};

static void on_event(void *userdata, const jeton_event *event) {
  struct listener *it = userdata;
  CHECK(event->struct_size == sizeof *event);
  CHECK_TEXT(event->account, "default");
  CHECK(event->message != NULL);
  if (it->waits) wait_until(&it->released, 1);
  if (it->to_free != NULL) {
    /* The last handle of all, freed by the callback that it keeps alive; before that, a call. */
    jeton_token *token = NULL;
    OK(jeton_session_token(it->to_free, 0, NULL, &token, &error));
    jeton_token_free(token);
    jeton_session_free(it->to_free);
    it->to_free = NULL;
  }
  lock();
  CHECK(it->told < 16);
  it->kinds[it->told++] = event->kind;
  unlock();
}

static void destroy_listener(void *userdata) {
  struct listener *it = userdata;
  count(&it->destroyed);
}

static jeton_session *listened_session(lab_server *server, struct listener *listener) {
  jeton_config *config = lab_config(server, "public", JETON_GRANT_AUTHORIZATION_CODE);
  OK(jeton_config_on_event(config, on_event, listener, destroy_listener, &error));
  jeton_client *client = lab_client(config);
  jeton_config_free(config);
  jeton_session *session = lab_session(client, NULL);
  jeton_client_free(client);
  return session;
}

static void events(void) {
  lab_server *server = lab_server_start("--approve");
  struct listener listener = {0};
  jeton_session *session = listened_session(server, &listener);
  lab_log_in(server, session);
  jeton_token *token = NULL;
  OK(jeton_session_refresh(session, NULL, &token, &error));
  jeton_token_free(token);
  OK(jeton_session_log_out(session, NULL, NULL, &error));
  lab_log_in(server, session);
  lab_server_tell(server, "revoke-logins");
  FAILS(JETON_ERROR_LOGIN_REQUIRED, jeton_session_refresh(session, NULL, &token, &error));
  static const int32_t WANTED[] = {JETON_EVENT_LOGGED_IN, JETON_EVENT_REFRESHED, JETON_EVENT_LOGGED_OUT,
                                   JETON_EVENT_LOGGED_IN, JETON_EVENT_LOGIN_ENDED};
  wait_until(&listener.told, 5);
  for (int i = 0; i < 5; i++) CHECK_THAT(listener.kinds[i] == WANTED[i], "event %d is %d", i, listener.kinds[i]);
  CHECK(counted(&listener.destroyed) == 0);
  jeton_session_free(session);
  wait_until(&listener.destroyed, 1);
  lab_server_stop(server);
}

/* A listener that does not come back holds nobody up. */
static void slow_listener(void) {
  lab_server *server = lab_server_start("--approve");
  struct listener listener = {.waits = 1};
  jeton_session *session = listened_session(server, &listener);
  lab_log_in(server, session);
  for (int i = 0; i < 5; i++) {
    jeton_token *token = NULL;
    OK(jeton_session_refresh(session, NULL, &token, &error));
    jeton_token_free(token);
  }
  CHECK(counted(&listener.told) == 0);
  count(&listener.released);
  wait_until(&listener.told, 6);
  jeton_session_free(session);
  wait_until(&listener.destroyed, 1);
  lab_server_stop(server);
}

static void freed_by_a_callback(void) {
  lab_server *server = lab_server_start("--approve");
  struct listener listener = {.waits = 1};
  jeton_session *session = listened_session(server, &listener);
  OK(jeton_session_with_scope(session, "read", &listener.to_free, &error));
  lab_log_in(server, session);
  jeton_session_free(session);
  count(&listener.released);
  wait_until(&listener.told, 1);
  wait_until(&listener.destroyed, 1);
  lab_server_stop(server);
}

/* A configuration that was never used gives back what it was given; one that is used twice destroys once. */
static void destroyed_once(void) {
  lab_server *server = lab_server_start("");
  struct listener first = {0}, second = {0};
  jeton_config *config = lab_config(server, "service", JETON_GRANT_CLIENT_CREDENTIALS);
  OK(jeton_config_on_event(config, on_event, &first, destroy_listener, &error));
  jeton_client *clients[2] = {lab_client(config), lab_client(config)};
  jeton_config_free(config);
  jeton_client_free(clients[0]);
  CHECK(counted(&first.destroyed) == 0);
  jeton_client_free(clients[1]);
  wait_until(&first.destroyed, 1);
  config = jeton_config_new();
  OK(jeton_config_on_event(config, on_event, &second, destroy_listener, &error));
  struct person one = {0}, other = {0};
  jeton_interaction interaction = {.struct_size = sizeof interaction, .userdata = &one, .destroy = destroy_person};
  OK(jeton_config_set_interaction(config, &interaction, &error));
  interaction.userdata = &other;
  OK(jeton_config_set_interaction(config, &interaction, &error));
  wait_until(&one.destroyed, 1);
  CHECK(counted(&other.destroyed) == 0);
  jeton_config_free(config);
  wait_until(&second.destroyed, 1);
  wait_until(&other.destroyed, 1);
  CHECK(first.destroyed == 1 && second.destroyed == 1 && one.destroyed == 1 && other.destroyed == 1);
  lab_server_stop(server);
}

int main(int argc, char **argv) {
  static const struct lab_test TESTS[] = {
      {"browser", browser},
      {"browser_fails", browser_fails},
      {"person_says_no", person_says_no},
      {"callback_calls_back_in", callback_calls_back_in},
      {"cancelled_while_a_callback_hangs", cancelled_while_a_callback_hangs},
      {"cancelled_while_a_person_is_away", cancelled_while_a_person_is_away},
      {"device", device},
      {"events", events},
      {"slow_listener", slow_listener},
      {"freed_by_a_callback", freed_by_a_callback},
      {"destroyed_once", destroyed_once},
  };
  return LAB_MAIN(TESTS);
}
