// Logs a person in with the system's browser (RFC 8252) and calls an API. Later runs use the stored login.
//   cc browser.c $(pkg-config --cflags --libs jeton) -o browser
//   ./browser https://as.example my-program https://api.example/me
#include <jeton.h>
#include <stdio.h>

static int32_t log_in_if_needed(const jeton_session *session, jeton_error **error) {
  jeton_token *token = NULL;
  int32_t status = jeton_session_token(session, 0, NULL, &token, error);
  if (status == JETON_ERROR_LOGIN_REQUIRED) {
    jeton_error_free(*error);
    status = jeton_session_log_in(session, NULL, &token, error);
  }
  jeton_token_free(token);
  return status;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s ISSUER CLIENT_ID API_URL\n", argv[0]);
    return 2;
  }
  jeton_config *config = jeton_config_new();
  jeton_client *client = NULL;
  jeton_session *session = NULL;
  jeton_request *request = NULL;
  jeton_response *response = NULL;
  jeton_error *error = NULL;  // of the first call that fails; none is made after it
  int32_t status = jeton_config_set_str(config, JETON_OPTION_ISSUER, argv[1], &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, argv[2], &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, argv[3], &error);
  if (!status) status = jeton_config_set_str(config, JETON_OPTION_SCOPE, "read offline_access", &error);
  if (!status) status = jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_AUTHORIZATION_CODE, &error);
  if (!status) status = jeton_config_set_int(config, JETON_OPTION_STORE, JETON_STORE_FILE, &error);
  if (!status) status = jeton_client_new(config, &client, &error);
  if (!status) status = jeton_client_session(client, NULL, &session, &error);
  if (!status) status = log_in_if_needed(session, &error);
  if (!status) status = jeton_session_request(session, "GET", argv[3], &request, &error);
  if (!status) status = jeton_request_send(request, NULL, &response, &error);
  if (!status) status = jeton_session_persist_error(session, &error);  // is the login kept?
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
