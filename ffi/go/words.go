package jeton

import "regexp"

// The library's texts say what to do in names of C; these are the same things in Go.
var goNames = map[string]string{
	"JETON_OPTION_ISSUER":                        "Config.Issuer",
	"JETON_OPTION_TOKEN_ENDPOINT":                "Config.Endpoints.Token",
	"JETON_OPTION_AUTHORIZATION_ENDPOINT":        "Config.Endpoints.Authorization",
	"JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT": "Config.Endpoints.DeviceAuthorization",
	"JETON_OPTION_REVOCATION_ENDPOINT":           "Config.Endpoints.Revocation",
	"JETON_OPTION_INTROSPECTION_ENDPOINT":        "Config.Endpoints.Introspection",
	"JETON_OPTION_.._ENDPOINT":                   "Config.Endpoints",
	"JETON_OPTION_METADATA":                      "Config.Metadata",
	"JETON_OPTION_CLIENT_ID":                     "Config.ClientID",
	"JETON_OPTION_CLIENT_SECRET":                 "Config.ClientSecret",
	"JETON_OPTION_CLIENT_AUTHENTICATION":         "Config.Authentication",
	"JETON_OPTION_GRANT":                         "Config.Grant",
	"JETON_OPTION_SCOPE":                         "Config.Scopes",
	"JETON_OPTION_RESOURCE":                      "Config.Resources",
	"JETON_OPTION_RESOURCE_SERVER":               "Config.ResourceServers",
	"JETON_OPTION_USERNAME":                      "Config.Username",
	"JETON_OPTION_PASSWORD":                      "Config.Password",
	"JETON_OPTION_REDIRECT_HOST":                 "Config.RedirectHost",
	"JETON_OPTION_REDIRECT_PORT":                 "Config.RedirectPort",
	"JETON_OPTION_REDIRECT_PATH":                 "Config.RedirectPath",
	"JETON_OPTION_DEVICE_PKCE":                   "Config.DevicePKCE",
	"JETON_OPTION_STORE":                         "Config.Store.Kind",
	"JETON_OPTION_STORE_FOLDER":                  "Config.Store.Folder",
	"JETON_OPTION_STORE_SERVICE":                 "Config.Store.Service",
	"JETON_OPTION_STORE_KEY":                     "Config.Store.Key",
	"JETON_OPTION_STORE_PASSPHRASE":              "Config.Store.Passphrase",
	"JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE":  "Config.Store.AllowUnencryptedFile",
	"JETON_OPTION_PROXY":                         "Config.Proxy",
	"JETON_OPTION_NO_PROXY":                      "Config.NoProxy",
	"JETON_OPTION_CA_CERTIFICATES":               "Config.RootCAs",
	"JETON_OPTION_USER_AGENT":                    "Config.UserAgent",
	"JETON_OPTION_CONNECT_TIMEOUT_MS":            "Config.ConnectTimeout",
	"JETON_OPTION_REQUEST_TIMEOUT_MS":            "Config.RequestTimeout",
	"JETON_OPTION_MAX_BODY":                      "Config.MaxBody",
	"JETON_OPTION_STRICT":                        "Config.Strict",
	"JETON_OPTION_EARLY_EXPIRY_MS":               "Config.EarlyExpiry",
	"JETON_OPTION_REFRESH_AHEAD":                 "Config.RefreshAhead",
	"JETON_OPTION_LEASE_TIMEOUT_MS":              "Config.LeaseTimeout",
	"JETON_OPTION_CLOSE_TIMEOUT_MS":              "Config.CloseTimeout",
	"JETON_OPTION_LOGIN_TIMEOUT_MS":              "Config.LoginTimeout",

	"JETON_OPTION_PRIVATE_KEY":                    "Config.PrivateKey",
	"JETON_OPTION_PRIVATE_KEY_ALGORITHM":          "Config.PrivateKeyAlgorithm",
	"JETON_OPTION_PRIVATE_KEY_ID":                 "Config.PrivateKeyID",
	"JETON_OPTION_CLIENT_CERTIFICATE":             "Config.ClientCertificate",
	"JETON_OPTION_CLIENT_CERTIFICATE_KEY":         "Config.ClientCertificateKey",
	"JETON_OPTION_PROVIDER":                       "Config.Provider",
	"JETON_OPTION_PROVIDER_VALUE":                 "Config.ProviderValues",
	"JETON_OPTION_AUTHORIZATION_DETAILS":          "Config.AuthorizationDetails",
	"JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS":  "Config.PushedAuthorizationRequests",
	"JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS":  "Config.SignedAuthorizationRequests",
	"JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES": "Config.SignedAuthorizationResponses",
	"JETON_OPTION_DPOP":                           "Config.DPoP",
	"JETON_OPTION_FAPI2_SECURITY_PROFILE":         "Config.FAPI2SecurityProfile",
	"JETON_OPTION_CLIENT_METADATA":                "Config.ClientMetadata",
	"JETON_OPTION_INITIAL_ACCESS_TOKEN":           "Config.InitialAccessToken",
	"JETON_OPTION_REGISTRATION_LABEL":             "Config.RegistrationLabel",
	"JETON_OPTION_CLIENT_ID_DOCUMENT":             "Config.ClientIDDocument",
	"JETON_OPTION_TRUSTED_SERVER":                 "Config.TrustedServers",
	"JETON_OPTION_ACCOUNT":                        "Config.Account",

	"JETON_STORE_MEMORY":                     "StoreMemory",
	"JETON_STORE_FILE":                       "StoreFile",
	"JETON_STORE_SEALED":                     "StoreSealed",
	"JETON_STORE_KEYRING":                    "StoreKeyring",
	"JETON_STORE_AUTOMATIC":                  "StoreAutomatic",
	"JETON_GRANT_AUTHORIZATION_CODE":         "GrantAuthorizationCode",
	"JETON_GRANT_DEVICE_CODE":                "GrantDeviceCode",
	"JETON_GRANT_CLIENT_CREDENTIALS":         "GrantClientCredentials",
	"JETON_GRANT_PASSWORD":                   "GrantPassword",
	"JETON_AUTHENTICATION_BASIC":             "AuthenticationBasic",
	"JETON_AUTHENTICATION_POST":              "AuthenticationPost",
	"JETON_AUTHENTICATION_NONE":              "AuthenticationNone",
	"JETON_AUTHENTICATION_PRIVATE_KEY_JWT":   "AuthenticationPrivateKeyJWT",
	"JETON_AUTHENTICATION_CLIENT_SECRET_JWT": "AuthenticationClientSecretJWT",
	"JETON_AUTHENTICATION_TLS":               "AuthenticationTLS",
	"JETON_AUTHENTICATION_SELF_SIGNED_TLS":   "AuthenticationSelfSignedTLS",

	"jeton_config_set_interaction": "Config.OpenURL, Config.DeviceCode",
	"jeton_config_set_store":       "Config.Store.Custom",
	"jeton_config_set_signer":      "Config.Signer",
	"jeton_client_register":        "Register",
	"jeton_client_new":             "New",
	"jeton_client_session":         "Client.Session",
	"jeton_session_token":          "Session.Token",
	"jeton_session_refresh":        "Session.Refresh",
	"jeton_session_log_in":         "Session.LogIn",
	"jeton_session_log_out":        "Session.LogOut",
	"jeton_session_begin_log_in":   "Session.BeginLogIn",
	"jeton_session_finish_log_in":  "Session.FinishLogIn",
	"jeton_pending_login_parse":    "ParsePendingLogin",
	"jeton_cancel_cancel":          "the context",
	"show_device_code":             "Config.DeviceCode",
}

var cName = regexp.MustCompile(`JETON_[A-Z0-9_.]*[A-Z0-9]|jeton_[a-z_]*[a-z]|show_device_code`)

// inGoWords is a text of the library's in the words of this package. What it does not know stays as it is.
func inGoWords(text string) string {
	return cName.ReplaceAllStringFunc(text, func(name string) string {
		if known, ok := goNames[name]; ok {
			return known
		}
		return name
	})
}
