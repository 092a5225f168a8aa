package jeton

/*
#cgo noescape jeton_go_cached
#cgo nocallback jeton_go_cached
#include <jeton.h>

// One crossing from Go to C for what is done most often: the cached token, or NULL. If it is the one that the caller
// has, it is given back without a second count; any other is the caller's to free.
static jeton_token *jeton_go_cached(const jeton_session *session, int64_t valid_for_ms, jeton_token *last) {
  jeton_token *token = NULL;
  if (jeton_session_cached(session, valid_for_ms, &token) != JETON_OK) {
    return NULL;
  }
  if (token == last) {
    jeton_token_free(token);
  }
  return token;
}
*/
import "C"

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Session is one login, kept valid. It may be used from any number of goroutines; sessions of the same login share its
// tokens and refreshes, in this process and in others.
type Session struct {
	handle    *handle[*C.jeton_session]
	callbacks *callbackErrors
	account   string

	// The token that was handed out last, so that a cached one costs no copies.
	last atomic.Pointer[Token]

	mu      sync.Mutex
	flights map[int64]*flight
}

// Short names for what stands in many signatures below.
type (
	cClient     = *C.jeton_client
	cSession    = *C.jeton_session
	cCancel     = *C.jeton_cancel
	cSessionOut = **C.jeton_session
	cTokenOut   = **C.jeton_token
	cErrorOut   = **C.jeton_error
)

// newSession makes a session out of a client or another session.
func newSession[P any](
	from *handle[P],
	callbacks *callbackErrors,
	make func(P, **C.jeton_session, **C.jeton_error) (C.int32_t, error),
) (*Session, error) {
	if !from.acquire() {
		return nil, ErrClosed
	}
	defer from.release()
	var session *C.jeton_session
	var raw *C.jeton_error
	status, err := make(from.ptr, &session, &raw)
	if err != nil {
		return nil, err
	}
	if err := takeError(status, raw, callbacks, nil); err != nil {
		return nil, err
	}
	s := &Session{
		handle:    newHandle(session, func(ptr *C.jeton_session) { C.jeton_session_free(ptr) }),
		callbacks: callbacks,
		account:   C.GoString(C.jeton_session_account(session)),
	}
	runtime.AddCleanup(s, closeUnreachable[*C.jeton_session], s.handle)
	return s, nil
}

// Account is whose login this is.
func (s *Session) Account() string { return s.account }

// String says whose login this is.
func (s *Session) String() string { return "jeton.Session(" + s.account + ")" }

// ForResource is the same login with an access token for one resource (RFC 8707). Its refresh token is shared. Close
// it, too.
func (s *Session) ForResource(resource string) (*Session, error) {
	return newSession(s.handle, s.callbacks, func(session cSession, to cSessionOut, raw cErrorOut) (C.int32_t, error) {
		var strings texts
		defer strings.free()
		text := strings.c("the resource", resource)
		if strings.err != nil {
			return 0, strings.err
		}
		return C.jeton_session_for_resource(session, text, to, raw), nil
	})
}

// WithScopes is the same login with an access token for a part of its scopes. Its refresh token is shared. Close it,
// too.
func (s *Session) WithScopes(scopes ...string) (*Session, error) {
	joined := strings.Join(scopes, " ")
	return newSession(s.handle, s.callbacks, func(session cSession, to cSessionOut, raw cErrorOut) (C.int32_t, error) {
		var strings texts
		defer strings.free()
		text := strings.c("a scope", joined)
		if strings.err != nil {
			return 0, strings.err
		}
		return C.jeton_session_with_scope(session, text, to, raw), nil
	})
}

// ----- A valid token ------------------------------------------------------------------------------------------------

// Token gives a valid access token: the cached one, or whatever it takes to get one without a person.
//
// [ErrLoginRequired] if there is nothing to refresh with and the grant needs a person. If the context is done, Token
// returns at once; a refresh that other goroutines wait for goes on.
func (s *Session) Token(ctx context.Context) (*Token, error) { return s.TokenValidFor(ctx, 0) }

// TokenValidFor is [Session.Token] for at least so long. The wish counts up to four fifths of the token's lifetime.
func (s *Session) TokenValidFor(ctx context.Context, least time.Duration) (*Token, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	ms := millis(least)
	if token, open := s.cached(ms); !open {
		return nil, ErrClosed
	} else if token != nil {
		return token, nil
	}
	return s.join(ctx, ms)
}

// Cached gives the cached token if it is valid, without waiting, without a request. False does not mean that nobody
// is logged in; [Session.Token] finds out.
func (s *Session) Cached() (*Token, bool) { return s.CachedValidFor(0) }

// CachedValidFor is [Session.Cached] for at least so long, as [Session.TokenValidFor] understands it.
func (s *Session) CachedValidFor(least time.Duration) (*Token, bool) {
	token, _ := s.cached(millis(least))
	return token, token != nil
}

// cached also tells whether the session is open.
func (s *Session) cached(validForMS int64) (token *Token, open bool) {
	if !s.handle.acquire() {
		return nil, false
	}
	last := s.last.Load()
	var raw *C.jeton_token
	if last != nil {
		raw = last.inner.ptr
	}
	found := C.jeton_go_cached(s.handle.ptr, C.int64_t(validForMS), raw)
	// Until here nobody else can have got the address of the last token.
	runtime.KeepAlive(last)
	s.handle.release()
	switch {
	case found == nil:
		// A token that is of no use any more need not be kept in memory.
		if last != nil && validForMS == 0 {
			s.last.CompareAndSwap(last, nil)
		}
		return nil, true
	case found == raw:
		return last, true
	default:
		return s.remember(found), true
	}
}

// remember makes a Token of a new handle, or finds the one that there is.
func (s *Session) remember(raw *C.jeton_token) *Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last.Load(); last != nil && last.inner.ptr == raw {
		C.jeton_token_free(raw)
		return last
	}
	token := newToken(raw)
	s.last.Store(token)
	return token
}

// flight is one call into the library that any number of goroutines wait for: each that waited in C would take an
// operating system thread.
type flight struct {
	done    chan struct{}
	token   *Token
	err     error
	waiters int
	give    context.CancelFunc
}

func (s *Session) join(ctx context.Context, validForMS int64) (*Token, error) {
	s.mu.Lock()
	f := s.flights[validForMS]
	if f == nil {
		if !s.handle.acquire() {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		flying, give := context.WithCancel(context.Background())
		f = &flight{done: make(chan struct{}), give: give}
		if s.flights == nil {
			s.flights = map[int64]*flight{}
		}
		s.flights[validForMS] = f
		go s.fly(flying, validForMS, f)
	}
	f.waiters++
	s.mu.Unlock()

	select {
	case <-f.done:
		s.mu.Lock()
		f.waiters--
		s.mu.Unlock()
		return f.token, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		// Nobody is left, and whoever comes now must not get what was given up.
		f.give()
		if s.flights[validForMS] == f {
			delete(s.flights, validForMS)
		}
	}
	return nil, contextError(ctx)
}

func (s *Session) fly(ctx context.Context, validForMS int64, f *flight) {
	defer f.give()
	defer s.handle.release()
	f.err = waiting(ctx, func(cancel *C.jeton_cancel) error {
		var token *C.jeton_token
		var raw *C.jeton_error
		status := C.jeton_session_token(s.handle.ptr, C.int64_t(validForMS), cancel, &token, &raw)
		if token != nil {
			f.token = s.remember(token)
		}
		return takeError(status, raw, s.callbacks, ctx)
	})
	s.mu.Lock()
	if s.flights[validForMS] == f {
		delete(s.flights, validForMS)
	}
	s.mu.Unlock()
	close(f.done)
}

// use runs a call that gives a token.
func (s *Session) use(
	ctx context.Context,
	run func(context.Context, func(*C.jeton_cancel) error) error,
	call func(session cSession, cancel cCancel, to cTokenOut, raw cErrorOut) C.int32_t,
) (*Token, error) {
	if !s.handle.acquire() {
		return nil, ErrClosed
	}
	defer s.handle.release()
	var result *Token
	err := run(ctx, func(cancel *C.jeton_cancel) error {
		var token *C.jeton_token
		var raw *C.jeton_error
		status := call(s.handle.ptr, cancel, &token, &raw)
		if token != nil {
			result = s.remember(token)
		}
		return takeError(status, raw, s.callbacks, ctx)
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// do runs a call that gives nothing.
func (s *Session) do(ctx context.Context, call func(cSession, cCancel, cErrorOut) C.int32_t) error {
	if !s.handle.acquire() {
		return ErrClosed
	}
	defer s.handle.release()
	return waiting(ctx, func(cancel *C.jeton_cancel) error {
		var raw *C.jeton_error
		status := call(s.handle.ptr, cancel, &raw)
		return takeError(status, raw, s.callbacks, ctx)
	})
}

// Refresh gets a new access token although the present one may still be good. If somebody else got a new one meanwhile,
// that one is taken.
func (s *Session) Refresh(ctx context.Context) (*Token, error) {
	return s.use(ctx, waiting, func(session cSession, cancel cCancel, to cTokenOut, raw cErrorOut) C.int32_t {
		return C.jeton_session_refresh(session, cancel, to, raw)
	})
}

// PersistError is why the newest token could not be stored, or nil. The token is used all the same, and stored as
// soon as that works.
func (s *Session) PersistError() error {
	if !s.handle.acquire() {
		return ErrClosed
	}
	defer s.handle.release()
	var raw *C.jeton_error
	status := C.jeton_session_persist_error(s.handle.ptr, &raw)
	return takeError(status, raw, s.callbacks, nil)
}

// ----- Logging in and out -------------------------------------------------------------------------------------------

// LogIn logs in through the client's grant, asking a person if it needs one. If the context ends it, nothing is stored,
// unless the server has answered already.
func (s *Session) LogIn(ctx context.Context) (*Token, error) {
	// A person may take minutes, so this takes no place of those that wait for servers only.
	return s.use(ctx, interruptible, func(session cSession, cancel cCancel, to cTokenOut, raw cErrorOut) C.int32_t {
		return C.jeton_session_log_in(session, cancel, to, raw)
	})
}

// BeginLogIn begins a login by authorization code for a program that receives the redirect itself, such as a web
// application: send the person's browser to [PendingLogin.URL], and give what comes back to [Session.FinishLogIn].
func (s *Session) BeginLogIn(ctx context.Context, redirectURI string) (*PendingLogin, error) {
	var strings texts
	defer strings.free()
	uri := strings.c("the redirect URI", redirectURI)
	if strings.err != nil {
		return nil, strings.err
	}
	var pending *C.jeton_pending_login
	err := s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		return C.jeton_session_begin_log_in(session, uri, cancel, &pending, raw)
	})
	if err != nil {
		return nil, err
	}
	return newPendingLogin(pending), nil
}

// FinishLogIn finishes a login with the URL to which the browser was redirected. A pending login works once.
func (s *Session) FinishLogIn(ctx context.Context, pending *PendingLogin, redirectedURL string) (*Token, error) {
	if pending == nil {
		return nil, argumentError("there is no pending login; give the one that BeginLogIn or ParsePendingLogin gave")
	}
	var strings texts
	defer strings.free()
	url := strings.c("the redirected URL", redirectedURL)
	if strings.err != nil {
		return nil, strings.err
	}
	defer runtime.KeepAlive(pending)
	return s.use(ctx, waiting, func(session cSession, cancel cCancel, to cTokenOut, raw cErrorOut) C.int32_t {
		return C.jeton_session_finish_log_in(session, pending.inner.ptr, url, cancel, to, raw)
	})
}

// Adopt starts from tokens that the program has already: a token answer as JSON (RFC 6749 §5.1), in which
// `expires_at` (Unix seconds) may stand in the place of `expires_in`.
func (s *Session) Adopt(ctx context.Context, tokenAnswer []byte) (*Token, error) {
	ptr, length := bytes(tokenAnswer)
	return s.use(ctx, waiting, func(session cSession, cancel cCancel, to cTokenOut, raw cErrorOut) C.int32_t {
		return C.jeton_session_adopt(session, ptr, length, cancel, to, raw)
	})
}

// LogOut revokes the tokens at the server if it can (RFC 7009), then forgets the login, here and in the store. The
// login is forgotten even if the tokens could not be revoked; revocation is why, or nil.
func (s *Session) LogOut(ctx context.Context) (revocation, err error) {
	err = s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		var rawRevocation *C.jeton_error
		status := C.jeton_session_log_out(session, cancel, &rawRevocation, raw)
		revocation = takeError(C.jeton_error_status(rawRevocation), rawRevocation, s.callbacks, nil)
		return status
	})
	s.last.Store(nil)
	return revocation, err
}

// Revoke revokes the access token in use at the server (RFC 7009) and forgets it. The login stays.
func (s *Session) Revoke(ctx context.Context) error {
	return s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		return C.jeton_session_revoke(session, cancel, raw)
	})
}

// Introspection is what the server says about an access token (RFC 7662).
type Introspection struct {
	// Active is whether the token is valid. Where it is not, the server says nothing else.
	Active bool
	// Scopes are what it is good for.
	Scopes []string
	// Subject, Username and ClientID are whose it is.
	Subject, Username, ClientID string
	// Expiry is zero if the server did not say.
	Expiry time.Time
	// JSON is the whole answer.
	JSON []byte
}

// Introspect asks the server about the session's access token.
func (s *Session) Introspect(ctx context.Context) (*Introspection, error) {
	var found *C.jeton_introspection
	err := s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		return C.jeton_session_introspect(session, cancel, &found, raw)
	})
	if err != nil {
		return nil, err
	}
	defer C.jeton_introspection_free(found)
	return &Introspection{
		Active:   C.jeton_introspection_is_active(found) == 1,
		Scopes:   strings.Fields(C.GoString(C.jeton_introspection_scope(found))),
		Subject:  C.GoString(C.jeton_introspection_subject(found)),
		Username: C.GoString(C.jeton_introspection_username(found)),
		ClientID: C.GoString(C.jeton_introspection_client_id(found)),
		Expiry:   moment(int64(C.jeton_introspection_expires_at_ms(found))),
		JSON:     []byte(C.GoString(C.jeton_introspection_json(found))),
	}, nil
}

// IDToken is who logged in, as the server said it last and the library checked it (OpenID Connect).
type IDToken struct {
	// Subject is the person's name at this server for good; compare it together with the issuer.
	Subject string
	// Claims are all claims as JSON.
	Claims []byte
}

// IDToken is the newest ID token of the login; nil if there is none. It is asked for with the scope "openid".
func (s *Session) IDToken(ctx context.Context) (*IDToken, error) {
	var found *C.jeton_id_token
	err := s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		return C.jeton_session_id_token(session, cancel, &found, raw)
	})
	if err != nil || found == nil {
		return nil, err
	}
	defer C.jeton_id_token_free(found)
	return &IDToken{
		Subject: C.GoString(C.jeton_id_token_subject(found)),
		Claims:  []byte(C.GoString(C.jeton_id_token_claims_json(found))),
	}, nil
}

// DPoPProof is the header DPoP for one request with this token (RFC 9449), for programs that send requests without [Transport];
// empty if the token is not bound.
func (s *Session) DPoPProof(ctx context.Context, method, url string, token *Token) (string, error) {
	if token == nil {
		return "", argumentError("there is no token; give the one that the request has")
	}
	var strings texts
	defer strings.free()
	cMethod, cURL := strings.c("the method", method), strings.c("the URL", url)
	if strings.err != nil {
		return "", strings.err
	}
	var proof *C.jeton_dpop_proof
	err := s.do(ctx, func(session cSession, cancel cCancel, raw cErrorOut) C.int32_t {
		return C.jeton_session_dpop_proof(session, cMethod, cURL, token.inner.ptr, cancel, &proof, raw)
	})
	runtime.KeepAlive(token)
	if err != nil || proof == nil {
		return "", err
	}
	defer C.jeton_dpop_proof_free(proof)
	return C.GoString(C.jeton_dpop_proof_value(proof)), nil
}

// DPoPNonce tells the session the nonce of an answer of a resource server (RFC 9449), for programs that send requests without
// [Transport]. True: the server wants to see it; send the request once more with the same token and a new proof.
func (s *Session) DPoPNonce(url string, status int, header http.Header) (tryAgain bool, err error) {
	if !s.handle.acquire() {
		return false, ErrClosed
	}
	defer s.handle.release()
	var strings texts
	defer strings.free()
	cURL := strings.c("the URL", url)
	var challenges, nonce *C.char
	if values := header.Values("WWW-Authenticate"); len(values) > 0 {
		challenges = strings.c("a header WWW-Authenticate", joinChallenges(values))
	}
	if value := header.Get("DPoP-Nonce"); value != "" {
		nonce = strings.c("the header DPoP-Nonce", value)
	}
	if strings.err != nil {
		return false, strings.err
	}
	var again C.int32_t
	var raw *C.jeton_error
	result := C.jeton_session_dpop_nonce(s.handle.ptr, cURL, C.int32_t(status), challenges, nonce, &again, &raw)
	return again == 1, takeError(result, raw, s.callbacks, nil)
}

// ----- Requests -----------------------------------------------------------------------------------------------------

// HTTPClient is an [http.Client] whose requests carry the session's token: see [Transport].
func (s *Session) HTTPClient() *http.Client { return &http.Client{Transport: &Transport{Session: s}} }

// CheckURL tells whether the token may go to a URL: nil, or [ErrForeignOrigin].
func (s *Session) CheckURL(url string) error {
	if !s.handle.acquire() {
		return ErrClosed
	}
	defer s.handle.release()
	var strings texts
	defer strings.free()
	text := strings.c("the URL", url)
	if strings.err != nil {
		return strings.err
	}
	var raw *C.jeton_error
	status := C.jeton_session_check_url(s.handle.ptr, text, &raw)
	return takeError(status, raw, s.callbacks, nil)
}

// Judge tells the session what a resource server answered to a request with this token, for programs that send
// requests without [Transport]. True: the token was rejected and another one may help; get it with [Session.Token]
// and send the request once more.
func (s *Session) Judge(token *Token, status int, header http.Header) (tryAgain bool, err error) {
	if token == nil {
		return false, argumentError("there is no token; give the one that the request had")
	}
	if !s.handle.acquire() {
		return false, ErrClosed
	}
	defer s.handle.release()
	var challenges *C.char
	if values := header.Values("WWW-Authenticate"); len(values) > 0 {
		var strings texts
		defer strings.free()
		challenges = strings.c("a header WWW-Authenticate", joinChallenges(values))
		if strings.err != nil {
			return false, strings.err
		}
	}
	var again C.int32_t
	var raw *C.jeton_error
	result := C.jeton_session_judge(s.handle.ptr, token.inner.ptr, C.int32_t(status), challenges, &again, &raw)
	runtime.KeepAlive(token)
	return again == 1, takeError(result, raw, s.callbacks, nil)
}

// joinChallenges makes one text of header values. A description in somebody's encoding must not hide the error beside
// it.
func joinChallenges(values []string) string {
	return strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
}

// Close waits (bounded by [Config.CloseTimeout]) for a refresh or login under way, tries once more to store what
// could not be stored so far, and frees the session. The error is why that could still not be stored: then the login
// may be lost.
//
// It may be called more than once, and while other calls run: they go on.
func (s *Session) Close() error {
	if !s.handle.acquire() {
		return nil
	}
	defer s.handle.release()
	if !s.handle.close() {
		return nil
	}
	s.last.Store(nil)
	var raw *C.jeton_error
	status := C.jeton_session_close(s.handle.ptr, nil, &raw)
	if err := takeError(status, raw, s.callbacks, nil); err != nil {
		return err
	}
	status = C.jeton_session_persist_error(s.handle.ptr, &raw)
	return takeError(status, raw, s.callbacks, nil)
}
