package jeton

/*
#include <stdlib.h>
#include <jeton.h>

// What the library gives back to each callback: memory of C's that holds a cgo.Handle, for a handle is no pointer.
typedef struct { uintptr_t handle; } jeton_go_userdata;

extern int32_t jetonGoOpenURL(void *userdata, const char *url);
extern int32_t jetonGoDeviceCode(void *userdata, const jeton_device_prompt *prompt);
extern int32_t jetonGoDeviceCodePending(void *userdata, int64_t remaining_ms);
extern void jetonGoLoginEnded(void *userdata, int32_t status, const char *message);
extern int32_t jetonGoApproveServer(void *userdata, const jeton_server_prompt *prompt, int32_t *approved);
extern int32_t jetonGoSign(void *userdata, const uint8_t *message, size_t length, uint8_t *signature, size_t capacity,
                           size_t *signature_length);
extern void jetonGoEvent(void *userdata, const jeton_event *event);
extern void jetonGoLog(void *userdata, int32_t level, const char *target, const char *message);
extern int32_t jetonGoLoad(void *userdata, const char *key, jeton_sink *sink);
extern int32_t jetonGoSave(void *userdata, const char *key, const uint8_t *record, size_t length);
extern int32_t jetonGoRemove(void *userdata, const char *key);
extern int32_t jetonGoList(void *userdata, jeton_sink *sink);
extern int32_t jetonGoTryLock(void *userdata, const char *key);
extern void jetonGoUnlock(void *userdata, const char *key);
extern void jetonGoDestroy(void *userdata);

static jeton_go_userdata *jeton_go_userdata_new(uintptr_t handle) {
  jeton_go_userdata *userdata = malloc(sizeof *userdata);
  if (userdata != NULL) {
    userdata->handle = handle;
  }
  return userdata;
}

static int32_t jeton_go_set_interaction(jeton_config *config, jeton_go_userdata *userdata, int open_url,
                                        int device_code, int device_code_pending, int login_ended,
                                        int approve_server, jeton_error **error) {
  jeton_interaction interaction = {0};
  interaction.struct_size = sizeof interaction;
  interaction.userdata = userdata;
  interaction.open_url = open_url ? jetonGoOpenURL : NULL;
  interaction.show_device_code = device_code ? jetonGoDeviceCode : NULL;
  interaction.device_code_pending = device_code_pending ? jetonGoDeviceCodePending : NULL;
  interaction.login_ended = login_ended ? jetonGoLoginEnded : NULL;
  interaction.approve_authorization_server = approve_server ? jetonGoApproveServer : NULL;
  interaction.destroy = jetonGoDestroy;
  return jeton_config_set_interaction(config, &interaction, error);
}

static int32_t jeton_go_set_signer(jeton_config *config, jeton_go_userdata *userdata, int32_t purpose,
                                   const char *algorithm, const char *key_id, const char *public_jwk,
                                   jeton_error **error) {
  jeton_signer signer = {0};
  signer.struct_size = sizeof signer;
  signer.userdata = userdata;
  signer.algorithm = algorithm;
  signer.key_id = key_id;
  signer.public_jwk = public_jwk;
  signer.sign = jetonGoSign;
  signer.destroy = jetonGoDestroy;
  return jeton_config_set_signer(config, purpose, &signer, error);
}

static int32_t jeton_go_set_store(jeton_config *config, jeton_go_userdata *userdata, const char *name,
                                  int is_persistent, int is_encrypted, int lists, int locks, jeton_error **error) {
  jeton_store store = {0};
  store.struct_size = sizeof store;
  store.userdata = userdata;
  store.name = name;
  store.is_persistent = is_persistent;
  store.is_encrypted = is_encrypted;
  store.load = jetonGoLoad;
  store.save = jetonGoSave;
  store.remove = jetonGoRemove;
  store.list = lists ? jetonGoList : NULL;
  store.try_lock = locks ? jetonGoTryLock : NULL;
  store.unlock = locks ? jetonGoUnlock : NULL;
  store.destroy = jetonGoDestroy;
  return jeton_config_set_store(config, &store, error);
}

static int32_t jeton_go_on_event(jeton_config *config, jeton_go_userdata *userdata, jeton_error **error) {
  return jeton_config_on_event(config, jetonGoEvent, userdata, jetonGoDestroy, error);
}

static int32_t jeton_go_set_log(int32_t max_level, jeton_go_userdata *userdata, jeton_error **error) {
  if (userdata == NULL) {
    return jeton_set_log(max_level, NULL, NULL, NULL, error);
  }
  return jeton_set_log(max_level, jetonGoLog, userdata, jetonGoDestroy, error);
}
*/
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/cgo"
	"time"
	"unsafe"
)

// DevicePrompt is what a person needs to log in on another device (RFC 8628).
type DevicePrompt struct {
	// UserCode is what the person types in.
	UserCode string
	// VerificationURI is where.
	VerificationURI string
	// VerificationURIComplete holds the code already, for a link or a QR code. Empty if the server gave none.
	VerificationURIComplete string
	// Expiry is until when the code is good.
	Expiry time.Time
}

// EventKind is what happened to a login.
type EventKind int32

// What can happen to a login.
const (
	// EventLoggedIn: somebody logged in through this client.
	EventLoggedIn EventKind = C.JETON_EVENT_LOGGED_IN
	// EventRefreshed: this process obtained a new access token.
	EventRefreshed EventKind = C.JETON_EVENT_REFRESHED
	// EventLoginEnded: the server refused the refresh token for good.
	EventLoginEnded EventKind = C.JETON_EVENT_LOGIN_ENDED
	// EventPersistFailed: a new token could not be stored. It is used all the same, and stored as soon as that works.
	EventPersistFailed EventKind = C.JETON_EVENT_PERSIST_FAILED
	// EventLoggedOut: somebody logged out through this client.
	EventLoggedOut EventKind = C.JETON_EVENT_LOGGED_OUT
	// EventLoggedOutElsewhere: the login is gone from the store: another process logged out.
	EventLoggedOutElsewhere EventKind = C.JETON_EVENT_LOGGED_OUT_ELSEWHERE
)

var eventNames = map[EventKind]string{
	EventLoggedIn:           "logged in",
	EventRefreshed:          "refreshed",
	EventLoginEnded:         "login ended",
	EventPersistFailed:      "persist failed",
	EventLoggedOut:          "logged out",
	EventLoggedOutElsewhere: "logged out elsewhere",
}

// String is the event's name, such as "logged in".
func (k EventKind) String() string {
	if name, ok := eventNames[k]; ok {
		return name
	}
	return fmt.Sprintf("event %d", int32(k))
}

// Event is something that happened to a login.
type Event struct {
	Kind EventKind
	// Account is whose login.
	Account string
	// Message is why the login ended, or why it could not be stored.
	Message string
}

// interaction is what the library calls back into while a person logs in.
type interaction struct {
	openURL           func(string) error
	deviceCode        func(DevicePrompt) error
	deviceCodePending func(time.Duration) error
	loginEnded        func(error)
	approveServer     func(ServerPrompt) (bool, error)
	errors            *callbackErrors
}

// register gives the library a Go value; destroy gives it back.
func register(value any) *C.jeton_go_userdata {
	userdata := C.jeton_go_userdata_new(C.uintptr_t(cgo.NewHandle(value)))
	if userdata == nil {
		// Go's own allocator does no better.
		panic("jeton: out of memory")
	}
	return userdata
}

func unregisterPointer(userdata unsafe.Pointer) { unregister((*C.jeton_go_userdata)(userdata)) }

func unregister(userdata *C.jeton_go_userdata) {
	cgo.Handle(userdata.handle).Delete()
	C.free(unsafe.Pointer(userdata))
}

// registered sets something that has callbacks.
func (b *configBuilder) registered(value any, set func(*C.jeton_go_userdata, **C.jeton_error) C.int32_t) {
	if b.err != nil {
		return
	}
	userdata := register(value)
	b.try(func(raw **C.jeton_error) C.int32_t { return set(userdata, raw) })
	if b.err != nil {
		// Whatever failed is not the library's yet.
		unregister(userdata)
	}
}

func (b *configBuilder) interaction(c *Config) {
	if c.OpenURL == nil && c.DeviceCode == nil && c.DeviceCodePending == nil && c.LoginEnded == nil &&
		c.ApproveServer == nil {
		return
	}
	value := &interaction{c.OpenURL, c.DeviceCode, c.DeviceCodePending, c.LoginEnded, c.ApproveServer, b.callbacks}
	b.registered(value, func(userdata *C.jeton_go_userdata, raw **C.jeton_error) C.int32_t {
		return C.jeton_go_set_interaction(b.config, userdata, flag(c.OpenURL != nil), flag(c.DeviceCode != nil),
			flag(c.DeviceCodePending != nil), flag(c.LoginEnded != nil), flag(c.ApproveServer != nil), raw)
	})
}

// Signer is a private key that stays where it is: in a hardware module, an agent, a key service.
type Signer struct {
	// Algorithm is that of its signatures, such as "ES256" or "RS256".
	Algorithm string
	// KeyID is the name under which the server knows the public key; empty: none.
	KeyID string
	// PublicJWK is the public key as JSON (RFC 7517). [Config.DPoPSigner] needs it.
	PublicJWK string
	// Sign gives the signature of a message in the form of RFC 7518: for ECDSA r and s in their full length, not DER. It
	// may run several times at once.
	Sign func(message []byte) ([]byte, error)
}

// goSigner is what the library calls back into.
type goSigner struct {
	sign   func([]byte) ([]byte, error)
	errors *callbackErrors
}

func (b *configBuilder) signer(purpose C.int32_t, signer *Signer) {
	if signer == nil || b.err != nil {
		return
	}
	if signer.Sign == nil {
		b.err = argumentError("a Signer has no Sign; give it the function that signs")
		return
	}
	var strings texts
	defer strings.free()
	algorithm := strings.c("the Signer's Algorithm", signer.Algorithm)
	var keyID, publicJWK *C.char
	if signer.KeyID != "" {
		keyID = strings.c("the Signer's KeyID", signer.KeyID)
	}
	if signer.PublicJWK != "" {
		publicJWK = strings.c("the Signer's PublicJWK", signer.PublicJWK)
	}
	if b.err = strings.err; b.err != nil {
		return
	}
	value := &goSigner{signer.Sign, b.callbacks}
	b.registered(value, func(userdata *C.jeton_go_userdata, raw **C.jeton_error) C.int32_t {
		return C.jeton_go_set_signer(b.config, userdata, purpose, algorithm, keyID, publicJWK, raw)
	})
}

// ServerPrompt is which authorization server is to be trusted, and why.
type ServerPrompt struct {
	// Resource is the identifier of the resource that named the server.
	Resource string
	// Issuer is the server's issuer identifier. Show both hosts.
	Issuer string
	// FormerIssuer is where the login was so far, if the resource names another server now.
	FormerIssuer string
}

func (b *configBuilder) events(c *Config) {
	if c.OnEvent == nil {
		return
	}
	b.registered(c.OnEvent, func(userdata *C.jeton_go_userdata, raw **C.jeton_error) C.int32_t {
		return C.jeton_go_on_event(b.config, userdata, raw)
	})
}

func (b *configBuilder) customStore(c StoreConfig) {
	if c.Custom == nil || b.err != nil {
		return
	}
	if c.Kind != 0 {
		b.err = argumentError("Store.Custom and Store.Kind are both set; set one of them")
		return
	}
	info := StoreInfo{Description: fmt.Sprintf("%T", c.Custom)}
	if describer, ok := c.Custom.(Describer); ok {
		info = describer.Describe()
	}
	lister, _ := c.Custom.(Lister)
	locker, _ := c.Custom.(Locker)
	var strings texts
	defer strings.free()
	name := strings.c("the store's description", info.Description)
	if b.err = strings.err; b.err != nil {
		return
	}
	value := &customStore{c.Custom, lister, locker, b.callbacks}
	b.registered(value, func(userdata *C.jeton_go_userdata, raw **C.jeton_error) C.int32_t {
		return C.jeton_go_set_store(b.config, userdata, name, flag(info.Persistent), flag(info.Encrypted),
			flag(lister != nil), flag(locker != nil), raw)
	})
}

func flag(value bool) C.int {
	if value {
		return 1
	}
	return 0
}

// logLevels are the library's levels, from the one that says most.
var logLevels = []struct {
	ours  C.int32_t
	level slog.Level
}{
	{C.JETON_LOG_TRACE, LevelTrace},
	{C.JETON_LOG_DEBUG, slog.LevelDebug},
	{C.JETON_LOG_INFO, slog.LevelInfo},
	{C.JETON_LOG_WARN, slog.LevelWarn},
	{C.JETON_LOG_ERROR, slog.LevelError},
}

// LevelTrace is the level of the library's most detailed messages.
const LevelTrace = slog.LevelDebug - 4

// SetLogger has the library's messages go to a logger, for the whole process; nil ends that. They show no secrets.
// Which levels the logger wants is asked once, here.
func SetLogger(logger *slog.Logger) error {
	var most C.int32_t
	if logger != nil {
		for _, level := range logLevels {
			if logger.Enabled(context.Background(), level.level) {
				most = level.ours
				break
			}
		}
	}
	var raw *C.jeton_error
	if most == 0 {
		status := C.jeton_go_set_log(C.JETON_LOG_ERROR, nil, &raw)
		return takeError(status, raw, nil, nil)
	}
	userdata := register(logger)
	status := C.jeton_go_set_log(most, userdata, &raw)
	err := takeError(status, raw, nil, nil)
	if err != nil {
		unregister(userdata)
	}
	return err
}
