/* What jeton costs a C program: `cargo xtask bench ffi` builds and runs this, and sums up the lines that it prints.
 *
 *   cost cached TOKEN_ENDPOINT ROUNDS READS           reading a cached token, on one thread and on two
 *   cost request TOKEN_ENDPOINT API ROUNDS REQUESTS   an authenticated GET, beside libcurl with the same header
 *   cost memory TOKEN_ENDPOINT                        a client with a session and a token, doing nothing
 *   cost empty                                        the same program, which only has the library loaded
 */
#define _GNU_SOURCE

#include <jeton.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef WITH_CURL
#include <curl/curl.h>
#endif

static const char SECRET[] = "secret";

static void fail(const char *what, const char *why) {
  fprintf(stderr, "cost: %s: %s\n", what, why);
  exit(1);
}

static void check(int32_t status, jeton_error *error, const char *what) {
  if (status != JETON_OK) fail(what, error ? jeton_error_message(error) : jeton_status_name(status));
}

static double now_ns(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) fail("clock_gettime", "there is no clock");
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static long number(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*end != '\0' || value <= 0) fail(text, "not a number above 0");
  return value;
}

/* A session with a token in memory. */
static jeton_session *session_of(const char *token_endpoint, const char *api) {
  jeton_error *error = NULL;
  jeton_client *client;
  jeton_session *session;
  jeton_token *token;
  jeton_config *config = jeton_config_new();
  check(jeton_config_set_str(config, JETON_OPTION_TOKEN_ENDPOINT, token_endpoint, &error), error, "token endpoint");
  check(jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, "cost", &error), error, "client id");
  int32_t status =
      jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, (const uint8_t *)SECRET, strlen(SECRET), &error);
  check(status, error, "secret");
  check(jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS, &error), error, "grant");
  check(jeton_config_set_int(config, JETON_OPTION_NO_PROXY, 1, &error), error, "no proxy");
  if (api) check(jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, api, &error), error, "resource server");
  check(jeton_client_new(config, &client, &error), error, "client");
  check(jeton_client_session(client, NULL, &session, &error), error, "session");
  check(jeton_session_token(session, 0, NULL, &token, &error), error, "token");
  jeton_token_free(token);
  jeton_client_free(client);
  jeton_config_free(config);
  return session;
}

/* ---- A cached token ---- */

typedef struct {
  const jeton_session *session;
  atomic_int *waiting; /* threads that are not ready yet */
  long reads;
  size_t seen; /* bytes of header values: nothing is optimised away */
  int processor; /* -1: any */
  double ns;
} reader;

/* Each of two threads on a processor of its own, if there are two: otherwise they take turns on one. */
static void stay_on(int processor) {
  cpu_set_t all, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof all, &all) != 0) fail("sched_getaffinity", "no processor");
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &all) && processor-- == 0) CPU_SET(cpu, &one);
  }
  if (CPU_COUNT(&one) == 1 && sched_setaffinity(0, sizeof one, &one) != 0) fail("sched_setaffinity", "refused");
}

static void *read_cached(void *argument) {
  reader *self = argument;
  if (self->processor >= 0) stay_on(self->processor);
  atomic_fetch_sub(self->waiting, 1);
  while (atomic_load(self->waiting) > 0) {
  }
  /* No lock, no system call: the processor's time is the time that it takes, whoever else is running. */
  double begun = now_ns(CLOCK_THREAD_CPUTIME_ID);
  for (long i = 0; i < self->reads; i++) {
    jeton_token *token;
    if (jeton_session_cached(self->session, 0, &token) != JETON_OK) fail("jeton_session_cached", "there is no token");
    const char *value = jeton_token_authorization(token);
    self->seen += value[0] == 'B' ? jeton_token_authorization_length(token) : 0;
    jeton_token_free(token);
  }
  self->ns = (now_ns(CLOCK_THREAD_CPUTIME_ID) - begun) / (double)self->reads;
  return NULL;
}

static void cached(const char *token_endpoint, long rounds, long reads) {
  jeton_session *session = session_of(token_endpoint, NULL);
  for (long round = 0; round <= rounds; round++) {
    for (int threads = 1; threads <= 2; threads++) {
      pthread_t handles[2];
      reader readers[2];
      atomic_int waiting = threads;
      for (int i = 0; i < threads; i++) {
        int processor = threads == 2 ? i : -1;
        readers[i] = (reader){.session = session, .waiting = &waiting, .reads = reads, .processor = processor};
        if (pthread_create(&handles[i], NULL, read_cached, &readers[i]) != 0) fail("pthread_create", "no thread");
      }
      double ns = 0;
      for (int i = 0; i < threads; i++) {
        if (pthread_join(handles[i], NULL) != 0) fail("pthread_join", "no thread");
        if (readers[i].seen <= strlen("Bearer ") * (size_t)reads) fail("cached", "an empty token");
        ns += readers[i].ns / threads;
      }
      /* The first round warms up. */
      if (round > 0) printf("C: cached token, %d thread%s\t%.2f\n", threads, threads > 1 ? "s" : "", ns);
    }
  }
  jeton_session_free(session);
}

/* ---- A request ---- */

static double by_jeton(const jeton_session *session, const char *api, long requests) {
  double begun = now_ns(CLOCK_MONOTONIC);
  for (long i = 0; i < requests; i++) {
    jeton_error *error = NULL;
    jeton_request *request;
    jeton_response *response;
    size_t length;
    check(jeton_session_request(session, "GET", api, &request, &error), error, "request");
    check(jeton_request_send(request, NULL, &response, &error), error, "send");
    jeton_response_body(response, &length);
    if (jeton_response_status(response) != 200 || length == 0) fail("jeton", "the API did not answer 200 and a body");
    jeton_response_free(response);
    jeton_request_free(request);
  }
  return (now_ns(CLOCK_MONOTONIC) - begun) / 1e3 / (double)requests;
}

#ifdef WITH_CURL
typedef struct {
  char *bytes;
  size_t length;
} body;

static size_t append(char *bytes, size_t size, size_t count, void *argument) {
  body *whole = argument;
  char *grown = realloc(whole->bytes, whole->length + size * count);
  if (grown == NULL) return 0;
  memcpy(grown + whole->length, bytes, size * count);
  whole->bytes = grown;
  whole->length += size * count;
  return size * count;
}

static double by_curl(CURL *curl, long requests) {
  double begun = now_ns(CLOCK_MONOTONIC);
  for (long i = 0; i < requests; i++) {
    body whole = {NULL, 0};
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &whole);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) fail("libcurl", curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 || whole.length == 0) fail("libcurl", "the API did not answer 200 and a body");
    free(whole.bytes);
  }
  return (now_ns(CLOCK_MONOTONIC) - begun) / 1e3 / (double)requests;
}

static CURL *curl_of(const jeton_session *session, const char *api, struct curl_slist **headers) {
  jeton_token *token;
  check(jeton_session_cached(session, 0, &token), NULL, "cached");
  char header[4096];
  int length = snprintf(header, sizeof header, "Authorization: %s", jeton_token_authorization(token));
  jeton_token_free(token);
  if (length < 0 || (size_t)length >= sizeof header) fail("libcurl", "the token is too long");
  CURL *curl = curl_easy_init();
  *headers = curl_slist_append(NULL, header);
  if (curl == NULL || *headers == NULL) fail("libcurl", "out of memory");
  curl_easy_setopt(curl, CURLOPT_URL, api);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
  return curl;
}
#endif

static void request(const char *token_endpoint, const char *api, long rounds, long requests) {
  jeton_session *session = session_of(token_endpoint, api);
#ifdef WITH_CURL
  struct curl_slist *headers;
  CURL *curl = curl_of(session, api, &headers);
#endif
  for (long round = 0; round <= rounds; round++) {
    double jeton = by_jeton(session, api, requests);
    if (round > 0) printf("C: request, jeton\t%.2f\n", jeton);
#ifdef WITH_CURL
    double libcurl = by_curl(curl, requests);
    if (round > 0) printf("C: request, libcurl\t%.2f\n", libcurl);
#endif
  }
#ifdef WITH_CURL
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
#endif
  jeton_session_free(session);
}

/* ---- Memory ---- */

/* Of the whole process, and what of it is no part of a file and cannot be shared with other processes, in KiB. */
static void print_memory(const char *name) {
  char line[256];
  long rss = -1, own = -1, value;
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  if (file == NULL) fail("/proc/self/smaps_rollup", "cannot be read");
  while (fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Rss: %ld", &value) == 1) rss = value;
    if (sscanf(line, "Anonymous: %ld", &value) == 1) own = value;
  }
  fclose(file);
  if (rss < 0 || own < 0) fail("/proc/self/smaps_rollup", "says nothing of memory");
  printf("%s, resident\t%ld\n%s, its own\t%ld\n", name, rss, name, own);
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "cached") == 0 && argc == 5) {
    cached(argv[2], number(argv[3]), number(argv[4]));
  } else if (strcmp(what, "request") == 0 && argc == 6) {
    request(argv[2], argv[3], number(argv[4]), number(argv[5]));
  } else if (strcmp(what, "memory") == 0 && argc == 3) {
    jeton_session *session = session_of(argv[2], NULL);
    print_memory("client");
    jeton_session_free(session);
  } else if (strcmp(what, "empty") == 0 && argc == 2) {
    if (jeton_version_number() != JETON_VERSION_NUMBER) fail("jeton", "another version than the header's");
    print_memory("empty");
  } else {
    fail("usage", "the comment at the top of cost.c tells");
  }
  return 0;
}
