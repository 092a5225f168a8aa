/* A program of somebody else: logs in as a service and calls an API. Arguments: issuer, client id, secret, API. */
#include <jeton.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    jeton_config *config = jeton_config_new();
    jeton_client *client = NULL;
    jeton_session *session = NULL;
    jeton_request *request = NULL;
    jeton_response *response = NULL;
    jeton_error *error = NULL;
    int ended = 1;

    if (argc != 5 || strcmp(jeton_version(), JETON_VERSION) != 0) {
        fprintf(stderr, "five words are needed, and a library of the header's version\n");
    } else if (jeton_config_set_str(config, JETON_OPTION_ISSUER, argv[1], &error) == JETON_OK
        && jeton_config_set_str(config, JETON_OPTION_CLIENT_ID, argv[2], &error) == JETON_OK
        && jeton_config_set_secret(config, JETON_OPTION_CLIENT_SECRET, (const uint8_t *)argv[3], strlen(argv[3]), &error)
            == JETON_OK
        && jeton_config_set_int(config, JETON_OPTION_GRANT, JETON_GRANT_CLIENT_CREDENTIALS, &error) == JETON_OK
        && jeton_config_set_str(config, JETON_OPTION_RESOURCE_SERVER, argv[4], &error) == JETON_OK
        && jeton_client_new(config, &client, &error) == JETON_OK
        && jeton_client_session(client, NULL, &session, &error) == JETON_OK
        && jeton_session_request(session, "GET", argv[4], &request, &error) == JETON_OK
        && jeton_request_send(request, NULL, &response, &error) == JETON_OK) {
        printf("HTTP %d\n", (int)jeton_response_status(response));
        ended = jeton_response_status(response) == 200 ? 0 : 1;
    } else {
        fprintf(stderr, "%s\n", jeton_error_message(error));
    }

    jeton_error_free(error);
    jeton_response_free(response);
    jeton_request_free(request);
    jeton_session_free(session);
    jeton_client_free(client);
    jeton_config_free(config);
    return ended;
}
