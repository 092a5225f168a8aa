// Calls an API as a service, which has a secret of its own (RFC 6749 section 4.4).
//   cc service.c $(pkg-config --cflags --libs jeton) -o service
//   CLIENT_SECRET=... ./service https://as.example my-service https://api.example/me
#include <jeton.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const char *secret = getenv("CLIENT_SECRET");
  if (argc != 4 || !secret) {
    fprintf(stderr, "usage: CLIENT_SECRET=... %s ISSUER CLIENT_ID API_URL\n", argv[0]);
    return 2;
  }
  const uint8_t *bytes = (const uint8_t *)secret;
  jeton_config *config = jeton_config_new();
  jeton_client *client = NULL;
  jeton_session *session = NULL;
  jeton_request *request = NULL;
  jeton_response *response = NULL;
  jeton_error *error = NULL;  // of the first call that fails; none is made after it
  int32_t status = jeton_config_set_str(config, JETON_OPTION_ISSUER, argv[1], &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, argv[2], &error);
  if (!status) status = jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, bytes, strlen(secret), &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, argv[3], &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_SCOPE, "read", &error);
  if (!status) status = jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS, &error);
  if (!status) status = jeton_client_new(config, &client, &error);
  if (!status) status = jeton_client_session(client, NULL, &session, &error);
  if (!status) status = jeton_session_request(session, "GET", argv[3], &request, &error);
  if (!status) status = jeton_request_send(request, NULL, &response, &error);
  const char *body = (const char *)jeton_response_body(response, NULL);
  if (response) printf("%d %s\n", (int)jeton_response_status(response), body);
  if (status) fprintf(stderr, "%s\n", jeton_error_message(error));
  int good = !status && jeton_response_status(response) / 100 == 2;
  jeton_response_free(response);
  jeton_request_free(request);
  jeton_session_free(session);
  jeton_client_free(client);
  jeton_config_free(config);
  jeton_error_free(error);
  return good ? 0 : 1;
}
