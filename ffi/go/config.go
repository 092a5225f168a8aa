package jeton

// #include <stdlib.h>
// #include <jeton.h>
import "C"

import (
	"net/url"
	"strings"
	"time"
	"unsafe"
)

// Grant is how a login is obtained.
type Grant int32

// The grants. Zero is none: then logins come from [Session.Adopt], [Session.BeginLogIn] or the store.
const (
	// GrantAuthorizationCode opens the browser and receives its redirect on this machine (RFC 8252), with PKCE.
	GrantAuthorizationCode Grant = C.JETON_GRANT_AUTHORIZATION_CODE
	// GrantDeviceCode shows a code that the person types in on another device (RFC 8628); needs [Config.DeviceCode].
	GrantDeviceCode Grant = C.JETON_GRANT_DEVICE_CODE
	// GrantClientCredentials is for services: no person is needed.
	GrantClientCredentials Grant = C.JETON_GRANT_CLIENT_CREDENTIALS
	// GrantPassword sends [Config.Username] and [Config.Password]: for old servers only.
	GrantPassword Grant = C.JETON_GRANT_PASSWORD
)

// Authentication is how the client shows who it is.
type Authentication int32

// The ways of authentication. Zero is AuthenticationBasic if there is a secret, AuthenticationNone otherwise.
const (
	// AuthenticationBasic is client_secret_basic.
	AuthenticationBasic Authentication = C.JETON_AUTHENTICATION_BASIC
	// AuthenticationPost is client_secret_post.
	AuthenticationPost Authentication = C.JETON_AUTHENTICATION_POST
	// AuthenticationNone is for public clients.
	AuthenticationNone Authentication = C.JETON_AUTHENTICATION_NONE
	// AuthenticationPrivateKeyJWT is private_key_jwt, with [Config.PrivateKey] or [Config.Signer].
	AuthenticationPrivateKeyJWT Authentication = C.JETON_AUTHENTICATION_PRIVATE_KEY_JWT
	// AuthenticationClientSecretJWT is client_secret_jwt.
	AuthenticationClientSecretJWT Authentication = C.JETON_AUTHENTICATION_CLIENT_SECRET_JWT
	// AuthenticationTLS is tls_client_auth, with [Config.ClientCertificate].
	AuthenticationTLS Authentication = C.JETON_AUTHENTICATION_TLS
	// AuthenticationSelfSignedTLS is self_signed_tls_client_auth, with [Config.ClientCertificate].
	AuthenticationSelfSignedTLS Authentication = C.JETON_AUTHENTICATION_SELF_SIGNED_TLS
)

// StoreKind is where logins are kept.
type StoreKind int32

// The stores. Zero is StoreMemory, or [StoreConfig.Custom] if there is one.
const (
	// StoreMemory keeps logins until the program ends.
	StoreMemory StoreKind = C.JETON_STORE_MEMORY
	// StoreFile keeps each login in a file that only this user can read.
	StoreFile StoreKind = C.JETON_STORE_FILE
	// StoreSealed keeps encrypted files.
	StoreSealed StoreKind = C.JETON_STORE_SEALED
	// StoreKeyring is the system's keychain.
	StoreKeyring StoreKind = C.JETON_STORE_KEYRING
	// StoreAutomatic is the keychain, or else sealed files with the given key or passphrase, or else plain files if
	// that is allowed.
	StoreAutomatic StoreKind = C.JETON_STORE_AUTOMATIC
)

// Config is what a [Client] is made from. Fields left zero have the library's defaults.
type Config struct {
	// Issuer is the authorization server; its metadata names the endpoints.
	Issuer string
	// Endpoints are for servers without metadata, or override theirs.
	Endpoints Endpoints
	// Metadata is the server's metadata document (JSON) if it is not to be fetched.
	Metadata string

	// ClientID is the client's identifier at the server.
	ClientID string
	// ClientSecret is empty for public clients, which programs on people's machines are.
	ClientSecret Secret
	// Authentication is how the client shows who it is.
	Authentication Authentication

	// PrivateKey is PEM or a JWK: for AuthenticationPrivateKeyJWT and SignedAuthorizationRequests. PEM needs
	// PrivateKeyAlgorithm, such as "ES256". PrivateKeyID is the name under which the server knows the public key.
	PrivateKey          Secret
	PrivateKeyAlgorithm string
	PrivateKeyID        string
	// Signer is a key that stays where it is, in the place of PrivateKey. DPoPSigner is one that tokens are bound to.
	Signer     *Signer
	DPoPSigner *Signer
	// ClientCertificate is a chain of certificates and ClientCertificateKey its private key, in PEM (RFC 8705).
	ClientCertificate    []byte
	ClientCertificateKey Secret
	// Provider is the profile of a provider that does some things otherwise than the RFCs say, such as "github".
	// ProviderValues are what the profile leaves open.
	Provider       string
	ProviderValues map[string]string
	// DPoP binds tokens to a key that never leaves this program and its store (RFC 9449).
	DPoP bool
	// FAPI2SecurityProfile wants pushed requests, bound tokens and a client that authenticates with a key.
	FAPI2SecurityProfile bool
	// AuthorizationDetails is a JSON array (RFC 9396).
	AuthorizationDetails string
	// PushedAuthorizationRequests sends each authorization request to the server first (RFC 9126); else where it must be.
	PushedAuthorizationRequests bool
	// SignedAuthorizationRequests signs authorization requests (RFC 9101), SignedAuthorizationResponses asks for signed
	// answers (JARM).
	SignedAuthorizationRequests  bool
	SignedAuthorizationResponses bool

	// ClientMetadata is what the client asks to be where it registers itself, JSON of RFC 7591: [Register],
	// [NewResourceClient].
	ClientMetadata string
	// InitialAccessToken is what a server demands that registers not just anybody.
	InitialAccessToken Secret
	// RegistrationLabel tells clients apart that share a store and register themselves.
	RegistrationLabel string
	// ClientIDDocument is the URL of the client's own metadata document; TrustedServers are those that nobody is asked
	// about; Account is whose logins: for [NewResourceClient].
	ClientIDDocument string
	TrustedServers   []string
	Account          string

	// Grant is how a login is obtained.
	Grant Grant
	// Scopes are what is asked for.
	Scopes []string
	// Resources are what the tokens are for (RFC 8707).
	Resources []string
	// ResourceServers are the origins that may get the token, such as "https://api.example".
	ResourceServers []string
	// Username and Password are for GrantPassword.
	Username string
	Password Secret
	// RedirectHost, RedirectPort and RedirectPath are where GrantAuthorizationCode listens, if they have to be what was
	// registered. Port 0 is any.
	RedirectHost string
	RedirectPort int
	RedirectPath string
	// DevicePKCE sends a PKCE challenge with GrantDeviceCode.
	DevicePKCE bool
	// Parameters are added to requests.
	Parameters Parameters

	// Store is where logins are kept.
	Store StoreConfig

	// Proxy is the URL of an HTTP proxy; NoProxy does without the system's.
	Proxy   string
	NoProxy bool
	// RootCAs are certificates (PEM) that are trusted besides the system's.
	RootCAs []byte
	// UserAgent is the User-Agent of the library's requests.
	UserAgent string
	// ConnectTimeout and RequestTimeout limit requests to the authorization server.
	ConnectTimeout time.Duration
	RequestTimeout time.Duration
	// MaxBody limits the authorization server's answers, in bytes.
	MaxBody int64

	// Strict turns what is otherwise forgiven in the server's answers, and told as [Warning], into errors.
	Strict bool
	// EarlyExpiry is how long before its expiry a token counts as expired. Negative is not at all; 0 is the default.
	EarlyExpiry time.Duration
	// RefreshAhead refreshes tokens in the background shortly before they expire.
	RefreshAhead bool
	// LeaseTimeout is how long to wait for other processes that refresh or write the same login.
	LeaseTimeout time.Duration
	// CloseTimeout is how long [Session.Close] waits for a refresh under way.
	CloseTimeout time.Duration
	// LoginTimeout is how long a person may take to log in.
	LoginTimeout time.Duration

	// OpenURL opens a URL in the person's browser; nil: the system's. An error ends the login. It must return before
	// the person is done.
	OpenURL func(url string) error
	// DeviceCode shows the code of GrantDeviceCode to the person. An error ends the login.
	DeviceCode func(DevicePrompt) error
	// DeviceCodePending is told now and then that the person is not done yet. An error ends the login.
	DeviceCodePending func(remaining time.Duration) error
	// LoginEnded is told how a login with a person ended: nil if there is a token. It is not told of one that the
	// context ended.
	LoginEnded func(error)
	// ApproveServer asks whether an authorization server may be trusted that a resource has named ([NewResourceClient]); nil:
	// no. An error ends the attempt.
	ApproveServer func(ServerPrompt) (bool, error)
	// OnEvent is told what happens to logins. Whoever is slow misses the oldest events.
	OnEvent func(Event)
}

// Endpoints are an authorization server's endpoints, as URLs.
type Endpoints struct {
	Authorization       string
	Token               string
	DeviceAuthorization string
	Revocation          string
	Introspection       string
}

// Parameters are added to the requests to the authorization server.
type Parameters struct {
	Authorization       url.Values
	Token               url.Values
	Refresh             url.Values
	DeviceAuthorization url.Values
}

// StoreConfig is where logins are kept.
type StoreConfig struct {
	// Kind is the kind of store.
	Kind StoreKind
	// Folder is where StoreFile, StoreSealed and StoreAutomatic keep files; empty: the user's data folder.
	Folder string
	// Service is the keychain's name for the logins (StoreKeyring), or the program's name (StoreAutomatic).
	Service string
	// Key (32 bytes) or Passphrase seal the files of StoreSealed and StoreAutomatic. With neither, StoreSealed has its
	// key in the keychain.
	Key        Secret
	Passphrase Secret
	// AllowUnencryptedFile lets StoreAutomatic fall back to plain files.
	AllowUnencryptedFile bool
	// Custom is a store of the program's own; Kind is left zero then.
	Custom Store
}

// build makes the library's configuration, to be freed by the caller.
func (c *Config) build(callbacks *callbackErrors) (*C.jeton_config, error) {
	b := &configBuilder{config: C.jeton_config_new(), callbacks: callbacks}
	b.fields(c)
	b.parameters(C.JETON_REQUEST_AUTHORIZATION, c.Parameters.Authorization)
	b.parameters(C.JETON_REQUEST_TOKEN, c.Parameters.Token)
	b.parameters(C.JETON_REQUEST_REFRESH, c.Parameters.Refresh)
	b.parameters(C.JETON_REQUEST_DEVICE_AUTHORIZATION, c.Parameters.DeviceAuthorization)
	b.interaction(c)
	b.signer(C.JETON_SIGNER_CLIENT, c.Signer)
	b.signer(C.JETON_SIGNER_DPOP, c.DPoPSigner)
	b.events(c)
	b.customStore(c.Store)
	if b.err != nil {
		C.jeton_config_free(b.config)
		return nil, b.err
	}
	return b.config, nil
}

// configBuilder sets options until one fails.
type configBuilder struct {
	config    *C.jeton_config
	callbacks *callbackErrors
	err       error
}

func (b *configBuilder) fields(c *Config) {
	b.text(C.JETON_OPTION_ISSUER, "Issuer", c.Issuer)
	b.text(C.JETON_OPTION_AUTHORIZATION_ENDPOINT, "Endpoints.Authorization", c.Endpoints.Authorization)
	b.text(C.JETON_OPTION_TOKEN_ENDPOINT, "Endpoints.Token", c.Endpoints.Token)
	b.text(C.JETON_OPTION_DEVICE_AUTHORIZATION_ENDPOINT, "Endpoints.DeviceAuthorization",
		c.Endpoints.DeviceAuthorization)
	b.text(C.JETON_OPTION_REVOCATION_ENDPOINT, "Endpoints.Revocation", c.Endpoints.Revocation)
	b.text(C.JETON_OPTION_INTROSPECTION_ENDPOINT, "Endpoints.Introspection", c.Endpoints.Introspection)
	b.text(C.JETON_OPTION_METADATA, "Metadata", c.Metadata)

	b.text(C.JETON_OPTION_CLIENT_ID, "ClientID", c.ClientID)
	b.secret(C.JETON_OPTION_CLIENT_SECRET, c.ClientSecret)
	b.number(C.JETON_OPTION_CLIENT_AUTHENTICATION, int64(c.Authentication))

	b.secret(C.JETON_OPTION_PRIVATE_KEY, c.PrivateKey)
	b.text(C.JETON_OPTION_PRIVATE_KEY_ALGORITHM, "PrivateKeyAlgorithm", c.PrivateKeyAlgorithm)
	b.text(C.JETON_OPTION_PRIVATE_KEY_ID, "PrivateKeyID", c.PrivateKeyID)
	b.text(C.JETON_OPTION_CLIENT_CERTIFICATE, "ClientCertificate", string(c.ClientCertificate))
	b.secret(C.JETON_OPTION_CLIENT_CERTIFICATE_KEY, c.ClientCertificateKey)
	b.text(C.JETON_OPTION_PROVIDER, "Provider", c.Provider)
	for name, value := range c.ProviderValues {
		b.text(C.JETON_OPTION_PROVIDER_VALUE, "ProviderValues", name+"="+value)
	}
	b.flag(C.JETON_OPTION_DPOP, c.DPoP)
	b.flag(C.JETON_OPTION_FAPI2_SECURITY_PROFILE, c.FAPI2SecurityProfile)
	b.text(C.JETON_OPTION_AUTHORIZATION_DETAILS, "AuthorizationDetails", c.AuthorizationDetails)
	b.flag(C.JETON_OPTION_PUSHED_AUTHORIZATION_REQUESTS, c.PushedAuthorizationRequests)
	b.flag(C.JETON_OPTION_SIGNED_AUTHORIZATION_REQUESTS, c.SignedAuthorizationRequests)
	b.flag(C.JETON_OPTION_SIGNED_AUTHORIZATION_RESPONSES, c.SignedAuthorizationResponses)
	b.text(C.JETON_OPTION_CLIENT_METADATA, "ClientMetadata", c.ClientMetadata)
	b.secret(C.JETON_OPTION_INITIAL_ACCESS_TOKEN, c.InitialAccessToken)
	b.text(C.JETON_OPTION_REGISTRATION_LABEL, "RegistrationLabel", c.RegistrationLabel)
	b.text(C.JETON_OPTION_CLIENT_ID_DOCUMENT, "ClientIDDocument", c.ClientIDDocument)
	for _, issuer := range c.TrustedServers {
		b.text(C.JETON_OPTION_TRUSTED_SERVER, "TrustedServers", issuer)
	}
	b.text(C.JETON_OPTION_ACCOUNT, "Account", c.Account)

	b.number(C.JETON_OPTION_GRANT, int64(c.Grant))
	b.text(C.JETON_OPTION_SCOPE, "Scopes", strings.Join(c.Scopes, " "))
	for _, resource := range c.Resources {
		b.text(C.JETON_OPTION_RESOURCE, "Resources", resource)
	}
	for _, server := range c.ResourceServers {
		b.text(C.JETON_OPTION_RESOURCE_SERVER, "ResourceServers", server)
	}
	b.text(C.JETON_OPTION_USERNAME, "Username", c.Username)
	b.secret(C.JETON_OPTION_PASSWORD, c.Password)
	b.text(C.JETON_OPTION_REDIRECT_HOST, "RedirectHost", c.RedirectHost)
	b.number(C.JETON_OPTION_REDIRECT_PORT, int64(c.RedirectPort))
	b.text(C.JETON_OPTION_REDIRECT_PATH, "RedirectPath", c.RedirectPath)
	b.flag(C.JETON_OPTION_DEVICE_PKCE, c.DevicePKCE)

	b.number(C.JETON_OPTION_STORE, int64(c.Store.Kind))
	b.text(C.JETON_OPTION_STORE_FOLDER, "Store.Folder", c.Store.Folder)
	b.text(C.JETON_OPTION_STORE_SERVICE, "Store.Service", c.Store.Service)
	b.secret(C.JETON_OPTION_STORE_KEY, c.Store.Key)
	b.secret(C.JETON_OPTION_STORE_PASSPHRASE, c.Store.Passphrase)
	b.flag(C.JETON_OPTION_STORE_ALLOW_UNENCRYPTED_FILE, c.Store.AllowUnencryptedFile)

	b.text(C.JETON_OPTION_PROXY, "Proxy", c.Proxy)
	b.flag(C.JETON_OPTION_NO_PROXY, c.NoProxy)
	b.text(C.JETON_OPTION_CA_CERTIFICATES, "RootCAs", string(c.RootCAs))
	b.text(C.JETON_OPTION_USER_AGENT, "UserAgent", c.UserAgent)
	b.duration(C.JETON_OPTION_CONNECT_TIMEOUT_MS, c.ConnectTimeout)
	b.duration(C.JETON_OPTION_REQUEST_TIMEOUT_MS, c.RequestTimeout)
	b.number(C.JETON_OPTION_MAX_BODY, c.MaxBody)

	b.flag(C.JETON_OPTION_STRICT, c.Strict)
	if c.EarlyExpiry < 0 {
		b.setNumber(C.JETON_OPTION_EARLY_EXPIRY_MS, 0)
	} else {
		b.duration(C.JETON_OPTION_EARLY_EXPIRY_MS, c.EarlyExpiry)
	}
	b.flag(C.JETON_OPTION_REFRESH_AHEAD, c.RefreshAhead)
	b.duration(C.JETON_OPTION_LEASE_TIMEOUT_MS, c.LeaseTimeout)
	b.duration(C.JETON_OPTION_CLOSE_TIMEOUT_MS, c.CloseTimeout)
	b.duration(C.JETON_OPTION_LOGIN_TIMEOUT_MS, c.LoginTimeout)
}

// try runs a setter unless something failed before.
func (b *configBuilder) try(set func(raw **C.jeton_error) C.int32_t) {
	if b.err != nil {
		return
	}
	var raw *C.jeton_error
	status := set(&raw)
	b.err = takeError(status, raw, b.callbacks, nil)
}

func (b *configBuilder) text(option C.int32_t, field, value string) {
	if value == "" || b.err != nil {
		return
	}
	var strings texts
	defer strings.free()
	text := strings.c(field, value)
	if b.err = strings.err; b.err != nil {
		return
	}
	b.try(func(raw **C.jeton_error) C.int32_t { return C.jeton_config_set_str(b.config, option, text, raw) })
}

func (b *configBuilder) secret(option C.int32_t, value Secret) {
	if value == "" {
		return
	}
	ptr, length := bytes(unsafe.Slice(unsafe.StringData(string(value)), len(value)))
	b.try(func(raw **C.jeton_error) C.int32_t {
		return C.jeton_config_set_secret(b.config, option, ptr, length, raw)
	})
}

func (b *configBuilder) number(option C.int32_t, value int64) {
	if value != 0 {
		b.setNumber(option, value)
	}
}

func (b *configBuilder) setNumber(option C.int32_t, value int64) {
	b.try(func(raw **C.jeton_error) C.int32_t {
		return C.jeton_config_set_int(b.config, option, C.int64_t(value), raw)
	})
}

func (b *configBuilder) flag(option C.int32_t, value bool) {
	if value {
		b.setNumber(option, 1)
	}
}

func (b *configBuilder) duration(option C.int32_t, value time.Duration) {
	b.number(option, millis(value))
}

// millis rounds up, so that a short time does not become none.
func millis(d time.Duration) int64 {
	if d > 0 {
		d += time.Millisecond - 1
		if d < 0 {
			d = 1<<63 - 1
		}
	}
	return d.Milliseconds()
}

func (b *configBuilder) parameters(request C.int32_t, parameters url.Values) {
	for name, values := range parameters {
		for _, value := range values {
			if b.err != nil {
				return
			}
			var strings texts
			cName, cValue := strings.c("a parameter's name", name), strings.c("the parameter "+name, value)
			if b.err = strings.err; b.err == nil {
				b.try(func(raw **C.jeton_error) C.int32_t {
					return C.jeton_config_add_parameter(b.config, request, cName, cValue, raw)
				})
			}
			strings.free()
		}
	}
}
