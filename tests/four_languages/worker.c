/* The C program of four that share a login: calls the API until its standard input is closed. */
#include "jeton.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pointer to the error: in `must(f(&error), error)` it might be read before the call. */
static void must(const char *what, int32_t status, jeton_error **error) {
  if (status == JETON_OK) return;
  fprintf(stderr, "C: %s: %s: %s\n", what, jeton_status_name(status), jeton_error_message(*error));
  exit(1);
}

int main(void) {
  jeton_error *error = NULL;
  jeton_config *config = jeton_config_new();
  const char *keychain = getenv("SHARED_SERVICE");
  const int32_t place = keychain != NULL ? JETON_OPTION_STORE_SERVICE : JETON_OPTION_STORE_FOLDER;
  const char *where = keychain != NULL ? keychain : getenv("SHARED_FOLDER");
  const int64_t store = keychain != NULL ? JETON_STORE_KEYRING : JETON_STORE_FILE;
  must("issuer", jeton_config_set_str(config, JETON_OPTION_ISSUER, getenv("SHARED_ISSUER"), &error), &error);
  must("client", jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, getenv("SHARED_CLIENT"), &error), &error);
  must("API", jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, getenv("SHARED_API"), &error), &error);
  must("grant", jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_AUTHORIZATION_CODE, &error), &error);
  must("store", jeton_config_set_int(config, JETON_OPTION_STORE, store, &error), &error);
  must("place", jeton_config_set_str(config, place, where, &error), &error);
  jeton_client *client = NULL;
  must("client", jeton_client_new(config, &client, &error), &error);
  jeton_config_free(config);
  jeton_session *session = NULL;
  must("session", jeton_client_session(client, NULL, &session, &error), &error);
  jeton_request *request = NULL;
  must("request", jeton_session_request(session, "GET", getenv("SHARED_API"), &request, &error), &error);

  long calls = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 20) == 0) {
    jeton_response *response = NULL;
    must("send", jeton_request_send(request, NULL, &response, &error), &error);
    if (jeton_response_status(response) != 200) {
      fprintf(stderr, "C: the API answered %d\n", jeton_response_status(response));
      return 1;
    }
    jeton_response_free(response);
    calls++;
  }
  printf("%ld\n", calls);
  jeton_request_free(request);
  jeton_session_free(session);
  jeton_client_free(client);
  return 0;
}
