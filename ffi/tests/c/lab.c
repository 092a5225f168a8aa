#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE
#define _DEFAULT_SOURCE

#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char *running = "";

void lab_fail(const char *file, int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s:%d: %s: ", file, line, running);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  fflush(stderr);
  /* Not exit(): other threads may be inside of the library. */
  _exit(1);
}

void lab_check_text(const char *file, int line, const char *what, const char *got, const char *wanted) {
  bool same = got == NULL || wanted == NULL ? got == wanted : strcmp(got, wanted) == 0;
  if (!same) lab_fail(file, line, "%s is \"%s\", not \"%s\"", what, got ? got : "(NULL)", wanted ? wanted : "(NULL)");
}

void lab_check_status(const char *file, int line, const char *call, int32_t got, int32_t wanted, jeton_error *error) {
  if (got != wanted) {
    lab_fail(file, line, "%s gave %s instead of %s: %s", call, jeton_status_name(got), jeton_status_name(wanted),
             jeton_error_message(error));
  }
  if (error != NULL) {
    if (got == JETON_OK) lab_fail(file, line, "%s succeeded and gave an error", call);
    if (jeton_error_status(error) != got) lab_fail(file, line, "%s: the error's status differs", call);
    if (*jeton_error_message(error) == '\0') lab_fail(file, line, "%s: an error without a text", call);
  }
  jeton_error_free(error);
}

int lab_main(int argc, char **argv, const struct lab_test *tests, size_t count) {
  size_t ran = 0;
  for (size_t i = 0; i < count; i++) {
    bool wanted = argc < 2;
    for (int arg = 1; arg < argc; arg++) wanted = wanted || strcmp(argv[arg], tests[i].name) == 0;
    if (!wanted) continue;
    running = tests[i].name;
    tests[i].run();
    ran++;
  }
  running = "";
  CHECK_THAT(ran > 0, "no such test");
  printf("%s: %zu tests passed\n", argv[0], ran);
  fflush(stdout);
  return 0;
}

bool lab_is_short(void) {
  const char *value = getenv("JETON_LAB_SHORT");
  return value != NULL && *value != '\0';
}

void lab_sleep_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) continue;
}

/* ---- the server ---- */

struct lab_server {
  pid_t pid;
  FILE *commands;
  FILE *answers;
  char *description;
  pthread_mutex_t mutex;
  /* Values that were given out, until the end. */
  char *values[64];
  size_t value_count;
};

/* Neither end outlives exec in a child that it is not meant for: a server ends when its standard input closes. */
static void make_pipe(int ends[2]) {
  CHECK(pipe(ends) == 0);
  for (int i = 0; i < 2; i++) CHECK(fcntl(ends[i], F_SETFD, FD_CLOEXEC) == 0);
}

static char *read_line(FILE *stream) {
  char *line = NULL;
  size_t size = 0;
  ssize_t length = getline(&line, &size, stream);
  CHECK_THAT(length > 0, "the test server says nothing");
  if (line[length - 1] == '\n') line[length - 1] = '\0';
  return line;
}

lab_server *lab_server_start(const char *options) {
  const char *program = getenv("JETON_TEST_SERVER");
  CHECK_THAT(program != NULL, "set JETON_TEST_SERVER to the path of jeton-test-server");
  char *words = strdup(options);
  char *arguments[32] = {strdup(program)};
  size_t count = 1;
  for (char *state = NULL, *word = strtok_r(words, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
    CHECK(count + 1 < sizeof arguments / sizeof *arguments);
    arguments[count++] = word;
  }
  int commands[2], answers[2];
  make_pipe(commands);
  make_pipe(answers);
  posix_spawn_file_actions_t actions;
  CHECK(posix_spawn_file_actions_init(&actions) == 0);
  CHECK(posix_spawn_file_actions_adddup2(&actions, commands[0], 0) == 0);
  CHECK(posix_spawn_file_actions_adddup2(&actions, answers[1], 1) == 0);
  lab_server *server = calloc(1, sizeof *server);
  CHECK(server != NULL && pthread_mutex_init(&server->mutex, NULL) == 0);
  int started = posix_spawn(&server->pid, program, &actions, NULL, arguments, environ);
  CHECK_THAT(started == 0, "cannot start %s: %s", program, strerror(started));
  posix_spawn_file_actions_destroy(&actions);
  close(commands[0]);
  close(answers[1]);
  free(arguments[0]);
  free(words);
  server->commands = fdopen(commands[1], "w");
  server->answers = fdopen(answers[0], "r");
  CHECK(server->commands != NULL && server->answers != NULL);
  server->description = read_line(server->answers);
  return server;
}

void lab_server_stop(lab_server *server) {
  fclose(server->commands);
  int status = 0;
  CHECK(waitpid(server->pid, &status, 0) == server->pid);
  CHECK_THAT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the test server ended with %d", status);
  fclose(server->answers);
  for (size_t i = 0; i < server->value_count; i++) free(server->values[i]);
  free(server->description);
  pthread_mutex_destroy(&server->mutex);
  free(server);
}

/* The servers' texts have no escapes but `\"` and `\\`. */
char *lab_json(const char *json, const char *name) {
  char *pattern = malloc(strlen(name) + 4);
  CHECK(pattern != NULL);
  sprintf(pattern, "\"%s\":", name);
  const char *at = strstr(json, pattern);
  size_t skip = strlen(pattern);
  free(pattern);
  if (at == NULL) return NULL;
  at += skip;
  char *value = malloc(strlen(at) + 1), *end = value;
  CHECK(value != NULL);
  if (*at == '"') {
    for (at++; *at != '"' && *at != '\0'; at++) {
      if (*at == '\\') at++;
      *end++ = *at;
    }
  } else {
    while (*at != ',' && *at != '}' && *at != '\0') *end++ = *at++;
  }
  *end = '\0';
  return value;
}

const char *lab_server_value(const lab_server *server, const char *name) {
  lab_server *own = (lab_server *)server;
  char *value = lab_json(server->description, name);
  CHECK_THAT(value != NULL, "the test server says nothing of %s", name);
  pthread_mutex_lock(&own->mutex);
  for (size_t i = 0; i < own->value_count; i++) {
    if (strcmp(own->values[i], value) == 0) {
      pthread_mutex_unlock(&own->mutex);
      free(value);
      return own->values[i];
    }
  }
  CHECK(own->value_count < sizeof own->values / sizeof *own->values);
  own->values[own->value_count++] = value;
  pthread_mutex_unlock(&own->mutex);
  return value;
}

static char *ask(lab_server *server, const char *format, va_list arguments) {
  pthread_mutex_lock(&server->mutex);
  vfprintf(server->commands, format, arguments);
  fputc('\n', server->commands);
  CHECK(fflush(server->commands) == 0);
  char *answer = read_line(server->answers);
  pthread_mutex_unlock(&server->mutex);
  CHECK_THAT(strstr(answer, "\"ok\":true") != NULL, "`%s`: %s", format, answer);
  return answer;
}

char *lab_server_ask(lab_server *server, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *answer = ask(server, format, arguments);
  va_end(arguments);
  return answer;
}

void lab_server_tell(lab_server *server, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  free(ask(server, format, arguments));
  va_end(arguments);
}

long lab_server_count(lab_server *server, const char *name) {
  char *answer = lab_server_ask(server, "stats");
  char *value = lab_json(answer, name);
  CHECK_THAT(value != NULL, "the server does not count %s", name);
  long count = strtol(value, NULL, 10);
  free(value);
  free(answer);
  return count;
}

char *lab_server_redirect(lab_server *server, const char *authorization_url) {
  char *answer = lab_server_ask(server, "authorize %s", authorization_url);
  char *location = lab_json(answer, "location");
  free(answer);
  CHECK(location != NULL);
  return location;
}

/* ---- configurations ---- */

jeton_config *lab_config(const lab_server *server, const char *client, int32_t grant) {
  char name[64];
  jeton_config *config = jeton_config_new();
  CHECK(config != NULL);
  OK(jeton_config_set_str(config, JETON_OPTION_ISSUER, lab_server_value(server, "issuer"), &error));
  OK(jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, lab_server_value(server, "origin"), &error));
  snprintf(name, sizeof name, "%s_client", client);
  OK(jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, lab_server_value(server, name), &error));
  if (strcmp(client, "confidential") == 0 || strcmp(client, "service") == 0) {
    snprintf(name, sizeof name, "%s_secret", client);
    const char *secret = lab_server_value(server, name);
    OK(jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, (const uint8_t *)secret, strlen(secret), &error));
  }
  OK(jeton_config_set_int(config, JETON_OPTION_GRANT, grant, &error));
  if (grant == JETON_GRANT_PASSWORD) {
    const char *password = lab_server_value(server, "password");
    OK(jeton_config_set_str(config, JETON_OPTION_USERNAME, lab_server_value(server, "username"), &error));
    OK(jeton_config_set_secret(config, JETON_OPTION_PASSWORD, (const uint8_t *)password, strlen(password), &error));
  }
  return config;
}

jeton_client *lab_client(const jeton_config *config) {
  jeton_client *client = NULL;
  OK(jeton_client_new(config, &client, &error));
  CHECK(client != NULL);
  return client;
}

jeton_session *lab_session(const jeton_client *client, const char *account) {
  jeton_session *session = NULL;
  OK(jeton_client_session(client, account, &session, &error));
  CHECK(session != NULL);
  return session;
}

void lab_log_in(lab_server *server, const jeton_session *session) {
  jeton_pending_login *pending = NULL;
  OK(jeton_session_begin_log_in(session, lab_server_value(server, "redirect_uri"), NULL, &pending, &error));
  char *redirected = lab_server_redirect(server, jeton_pending_login_url(pending));
  jeton_token *token = NULL;
  OK(jeton_session_finish_log_in(session, pending, redirected, NULL, &token, &error));
  CHECK(token != NULL);
  jeton_token_free(token);
  jeton_pending_login_free(pending);
  free(redirected);
}

/* ---- folders ---- */

static char *folders[32];
static size_t folder_count;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(path);
}

static void remove_folders(void) {
  for (size_t i = 0; i < folder_count; i++) {
    nftw(folders[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(folders[i]);
  }
}

char *lab_folder(void) {
  const char *parent = getenv("TMPDIR");
  if (parent == NULL || *parent == '\0') parent = "/tmp";
  char *path = malloc(strlen(parent) + 32);
  CHECK(path != NULL && folder_count < sizeof folders / sizeof *folders);
  sprintf(path, "%s/jeton-lab-XXXXXX", parent);
  CHECK(mkdtemp(path) != NULL);
  if (folder_count == 0) atexit(remove_folders);
  folders[folder_count++] = path;
  return strdup(path);
}
