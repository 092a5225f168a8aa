/* A store of the program's own: that works, with a lock and without; that fails at each callback; that is busy; whose callbacks
 * call jeton. */
#define _POSIX_C_SOURCE 200809L

#include "lab.h"

#include <pthread.h>

enum { RECORDS = 8 };

/* What is stored, and who is in it. `inside` would be more than one if two callbacks ran at once. */
struct store {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct {
    char key[65];
    uint8_t *bytes;
    size_t length;
  } records[RECORDS];
  int inside, loads, saves, removes, lists, locks, unlocks, held, destroyed;
  int32_t load_fails, save_fails, remove_fails, list_fails, lock_fails;
  /* As if another process held the lock. */
  bool busy;
  /* Called from within `load`. */
  const jeton_session *calls;
  int32_t call_status;
};

static void enter(struct store *it, int *counter) {
  pthread_mutex_lock(&it->mutex);
  CHECK_THAT(++it->inside == 1, "two callbacks of one store run at once");
  ++*counter;
  pthread_mutex_unlock(&it->mutex);
}

static void leave(struct store *it) {
  pthread_mutex_lock(&it->mutex);
  it->inside--;
  pthread_cond_broadcast(&it->changed);
  pthread_mutex_unlock(&it->mutex);
}

static void check_key(const char *key) {
  size_t length = strlen(key);
  CHECK(length > 0 && length <= 64);
  CHECK(strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == length);
}

static size_t find(const struct store *it, const char *key) {
  for (size_t i = 0; i < RECORDS; i++) {
    if (strcmp(it->records[i].key, key) == 0) return i;
  }
  return RECORDS;
}

static int32_t store_load(void *userdata, const char *key, jeton_sink *sink) {
  struct store *it = userdata;
  enter(it, &it->loads);
  check_key(key);
  if (it->calls != NULL) {
    jeton_token *token = POISONED;
    it->call_status = jeton_session_token(it->calls, 0, NULL, &token, NULL);
    CHECK(token == NULL);
  }
  int32_t result = it->load_fails;
  size_t at = find(it, key);
  if (result == 0 && at < RECORDS) {
    /* In two pieces: what is written is put together. */
    size_t half = it->records[at].length / 2;
    CHECK(jeton_sink_write(sink, it->records[at].bytes, half) == JETON_OK);
    CHECK(jeton_sink_write(sink, it->records[at].bytes + half, it->records[at].length - half) == JETON_OK);
    CHECK(jeton_sink_write(sink, NULL, 0) == JETON_OK);
    CHECK(jeton_sink_write(NULL, it->records[at].bytes, half) == JETON_ERROR_INVALID_ARGUMENT);
  }
  leave(it);
  return result;
}

static int32_t store_save(void *userdata, const char *key, const uint8_t *record, size_t length) {
  struct store *it = userdata;
  enter(it, &it->saves);
  check_key(key);
  CHECK(record != NULL && length > 0);
  int32_t result = it->save_fails;
  if (result == 0) {
    size_t at = find(it, key);
    if (at == RECORDS) at = find(it, "");
    CHECK(at < RECORDS);
    free(it->records[at].bytes);
    it->records[at].bytes = malloc(length);
    CHECK(it->records[at].bytes != NULL);
    memcpy(it->records[at].bytes, record, length);
    it->records[at].length = length;
    strcpy(it->records[at].key, key);
  }
  leave(it);
  return result;
}

static int32_t store_remove(void *userdata, const char *key) {
  struct store *it = userdata;
  enter(it, &it->removes);
  check_key(key);
  int32_t result = it->remove_fails;
  size_t at = find(it, key);
  if (result == 0 && at < RECORDS) {
    free(it->records[at].bytes);
    memset(&it->records[at], 0, sizeof it->records[at]);
  }
  leave(it);
  return result;
}

static int32_t store_list(void *userdata, jeton_sink *sink) {
  struct store *it = userdata;
  enter(it, &it->lists);
  int32_t result = it->list_fails;
  for (size_t i = 0; result == 0 && i < RECORDS; i++) {
    const char *key = it->records[i].key;
    if (*key != '\0') CHECK(jeton_sink_write(sink, (const uint8_t *)key, strlen(key)) == JETON_OK);
  }
  leave(it);
  return result;
}

static int32_t store_try_lock(void *userdata, const char *key) {
  struct store *it = userdata;
  enter(it, &it->locks);
  check_key(key);
  int32_t result = it->lock_fails != 0 ? it->lock_fails : it->busy ? JETON_STORE_BUSY : 0;
  if (result == 0) it->held++;
  leave(it);
  return result;
}

static void store_unlock(void *userdata, const char *key) {
  struct store *it = userdata;
  enter(it, &it->unlocks);
  check_key(key);
  CHECK_THAT(it->held > 0, "unlocked what was not locked");
  it->held--;
  leave(it);
}

static void store_destroy(void *userdata) {
  struct store *it = userdata;
  CHECK_THAT(it->held == 0, "a lock was not given back");
  enter(it, &it->destroyed);
  CHECK(it->destroyed == 1);
  leave(it);
}

static void init(struct store *it) {
  memset(it, 0, sizeof *it);
  CHECK(pthread_mutex_init(&it->mutex, NULL) == 0 && pthread_cond_init(&it->changed, NULL) == 0);
}

static jeton_client *client_with(lab_server *server, struct store *it, bool locks, bool lists, int64_t lease_timeout_ms) {
  jeton_store store = {
      .struct_size = sizeof store,
      .userdata = it,
      .name = "the lab's store",
      .is_persistent = 1,
      .is_encrypted = 1,
      .load = store_load,
      .save = store_save,
      .remove = store_remove,
      .list = lists ? store_list : NULL,
      .try_lock = locks ? store_try_lock : NULL,
      .unlock = locks ? store_unlock : NULL,
      .destroy = store_destroy,
  };
  jeton_config *config = lab_config(server, "public", JETON_GRANT_AUTHORIZATION_CODE);
  OK(jeton_config_set_store(config, &store, &error));
  OK(jeton_config_set_int(config, JETON_OPTION_LEASE_TIMEOUT_MS, lease_timeout_ms, &error));
  jeton_client *client = lab_client(config);
  jeton_config_free(config);
  return client;
}

static void finish(struct store *it, jeton_client *client, jeton_session *session) {
  jeton_session_free(session);
  jeton_client_free(client);
  pthread_mutex_lock(&it->mutex);
  while (it->destroyed == 0 || it->inside != 0) pthread_cond_wait(&it->changed, &it->mutex);
  pthread_mutex_unlock(&it->mutex);
  CHECK(it->held == 0);
  for (size_t i = 0; i < RECORDS; i++) free(it->records[i].bytes);
  pthread_cond_destroy(&it->changed);
  pthread_mutex_destroy(&it->mutex);
}

/* The lock may be given back after the call that took it has returned. */
static void wait_until_unlocked(struct store *it) {
  pthread_mutex_lock(&it->mutex);
  while (it->held != 0 || it->inside != 0) pthread_cond_wait(&it->changed, &it->mutex);
  pthread_mutex_unlock(&it->mutex);
}

static void refresh(const jeton_session *session) {
  jeton_token *token = NULL;
  OK(jeton_session_refresh(session, NULL, &token, &error));
  jeton_token_free(token);
}

static void works(bool locks) {
  lab_server *server = lab_server_start("--approve");
  struct store store;
  init(&store);
  jeton_client *client = client_with(server, &store, locks, true, 20000);
  CHECK(strstr(jeton_client_store_description(client), "the lab's store") != NULL);
  CHECK(jeton_client_store_is_persistent(client) == 1 && jeton_client_store_is_encrypted(client) == 1);
  jeton_session *session = lab_session(client, "alice");
  lab_log_in(server, session);
  for (int i = 0; i < 3; i++) refresh(session);
  CHECK(store.saves >= 4 && store.locks >= (locks ? 4 : 0) && (locks || store.locks == 0));
  OK(jeton_session_persist_error(session, &error));
  jeton_accounts *accounts = NULL;
  OK(jeton_client_accounts(client, NULL, &accounts, &error));
  CHECK(jeton_accounts_count(accounts) == 1);
  CHECK_TEXT(jeton_accounts_get(accounts, 0), "alice");
  jeton_accounts_free(accounts);
  /* What one program stored, the next one finds. The records move: the first store ends with its client. */
  wait_until_unlocked(&store);
  struct store moved;
  init(&moved);
  memcpy(moved.records, store.records, sizeof store.records);
  memset(store.records, 0, sizeof store.records);
  finish(&store, client, session);
  client = client_with(server, &moved, locks, true, 20000);
  session = lab_session(client, "alice");
  refresh(session);
  CHECK(lab_server_count(server, "refreshes") == 4 && lab_server_count(server, "reuses_detected") == 0);
  OK(jeton_session_log_out(session, NULL, NULL, &error));
  CHECK(moved.removes >= 1 && find(&moved, "") == 0);
  finish(&moved, client, session);
  lab_server_stop(server);
}

static void with_lock(void) { works(true); }

static void without_lock(void) { works(false); }

/* A failure of a callback shows with its number, and with what it was about. */
static void shows(int32_t status, jeton_error *why, int32_t result, const char *callback) {
  CHECK_THAT(status == JETON_ERROR_CALLBACK || status == JETON_ERROR_STORE, "%s: %s", jeton_status_name(status),
             jeton_error_message(why));
  CHECK_THAT(jeton_error_callback_result(why) == result, "%d: %s", jeton_error_callback_result(why),
             jeton_error_message(why));
  CHECK_THAT(strstr(jeton_error_message(why), callback) != NULL, "\"%s\" does not name %s", jeton_error_message(why),
             callback);
  jeton_error_free(why);
}

static void failing(void) {
  lab_server *server = lab_server_start("--approve");
  struct store store;
  init(&store);
  jeton_client *client = client_with(server, &store, true, true, 20000);
  jeton_session *session = lab_session(client, NULL);
  jeton_token *token = NULL;
  jeton_error *why = NULL;

  store.load_fails = 21;
  int32_t status = jeton_session_token(session, 0, NULL, &token, &why);
  shows(status, why, 21, "load");
  store.load_fails = 0;
  lab_log_in(server, session);

  wait_until_unlocked(&store);
  store.lock_fails = 22;
  status = jeton_session_refresh(session, NULL, &token, &why);
  shows(status, why, 22, "try_lock");
  store.lock_fails = 0;

  /* A token that cannot be stored is used all the same, and the program may know. */
  store.save_fails = -23;
  OK(jeton_session_refresh(session, NULL, &token, &error));
  jeton_token_free(token);
  status = jeton_session_persist_error(session, &why);
  shows(status, why, -23, "save");
  store.save_fails = 0;
  OK(jeton_session_refresh(session, NULL, &token, &error));
  jeton_token_free(token);
  OK(jeton_session_persist_error(session, &error));

  store.list_fails = 24;
  jeton_accounts *accounts = NULL;
  status = jeton_client_accounts(client, NULL, &accounts, &why);
  shows(status, why, 24, "list");
  CHECK(accounts == NULL);
  store.list_fails = 0;

  store.remove_fails = 25;
  status = jeton_session_log_out(session, NULL, NULL, &why);
  shows(status, why, 25, "remove");
  store.remove_fails = 0;
  OK(jeton_session_log_out(session, NULL, NULL, &error));
  CHECK(lab_server_count(server, "reuses_detected") == 0);
  finish(&store, client, session);
  lab_server_stop(server);
}

/* A lock that another process does not give back: waited for so long, and no longer. */
static void busy(void) {
  lab_server *server = lab_server_start("--approve");
  struct store store;
  init(&store);
  jeton_client *client = client_with(server, &store, true, true, 200);
  jeton_session *session = lab_session(client, NULL);
  lab_log_in(server, session);
  wait_until_unlocked(&store);
  store.busy = true;
  int unlocks = store.unlocks;
  jeton_token *token = NULL;
  FAILS(JETON_ERROR_STORE, jeton_session_refresh(session, NULL, &token, &error));
  CHECK(lab_server_count(server, "refreshes") == 0 && store.unlocks == unlocks);
  store.busy = false;
  refresh(session);
  finish(&store, client, session);
  lab_server_stop(server);
}

/* It would wait for itself. */
static void called_from_within(void) {
  lab_server *server = lab_server_start("--approve");
  struct store store;
  init(&store);
  jeton_client *client = client_with(server, &store, true, true, 20000);
  jeton_session *session = lab_session(client, NULL);
  store.calls = session;
  store.call_status = -1;
  lab_log_in(server, session);
  CHECK_THAT(store.call_status == JETON_ERROR_INVALID_ARGUMENT, "%s", jeton_status_name(store.call_status));
  store.calls = NULL;
  finish(&store, client, session);
  lab_server_stop(server);
}

/* A record that is none, and a store that cannot list. */
static void damaged_and_unlisted(void) {
  lab_server *server = lab_server_start("--approve");
  struct store store;
  init(&store);
  jeton_client *client = client_with(server, &store, false, false, 20000);
  jeton_session *session = lab_session(client, NULL);
  lab_log_in(server, session);
  jeton_accounts *accounts = NULL;
  FAILS(JETON_ERROR_STORE, jeton_client_accounts(client, NULL, &accounts, &error));
  wait_until_unlocked(&store);
  memset(store.records[0].bytes, '!', store.records[0].length);
  jeton_token *token = NULL;
  FAILS(JETON_ERROR_STORE, jeton_session_refresh(session, NULL, &token, &error));
  finish(&store, client, session);
  lab_server_stop(server);
}

int main(int argc, char **argv) {
  static const struct lab_test TESTS[] = {
      {"with_lock", with_lock},
      {"without_lock", without_lock},
      {"failing", failing},
      {"busy", busy},
      {"called_from_within", called_from_within},
      {"damaged_and_unlisted", damaged_and_unlisted},
  };
  return LAB_MAIN(TESTS);
}
