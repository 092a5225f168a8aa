package jeton

// #include <jeton.h>
import "C"

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Token is an access token as it was when it was asked for. It does not change, and does not know the refresh token.
type Token struct {
	// Behind a pointer, where fmt does not go.
	inner *tokenInner
}

type tokenInner struct {
	ptr           *C.jeton_token
	accessToken   string
	authorization string
	kind          string
	scopes        []string
	expiry        time.Time
	warnings      []Warning

	oauth2Once sync.Once
	oauth2     *oauth2.Token
}

// Warning is something that had to be forgiven when the server's answer was read.
type Warning struct {
	// Code is for programs, Message for people.
	Code, Message string
}

func newToken(ptr *C.jeton_token) *Token {
	inner := &tokenInner{
		ptr:           ptr,
		authorization: C.GoString(C.jeton_token_authorization(ptr)),
		kind:          C.GoString(C.jeton_token_type(ptr)),
		scopes:        strings.Fields(C.GoString(C.jeton_token_scope(ptr))),
		expiry:        moment(int64(C.jeton_token_expires_at_ms(ptr))),
	}
	inner.accessToken = inner.authorization
	if access := C.GoString(C.jeton_token_access_token(ptr)); strings.HasSuffix(inner.authorization, access) {
		// One copy in memory rather than two.
		inner.accessToken = inner.authorization[len(inner.authorization)-len(access):]
	} else {
		inner.accessToken = access
	}
	for i := C.size_t(0); i < C.jeton_token_warning_count(ptr); i++ {
		inner.warnings = append(inner.warnings, Warning{
			Code:    C.GoString(C.jeton_token_warning_code(ptr, i)),
			Message: C.GoString(C.jeton_token_warning_message(ptr, i)),
		})
	}
	runtime.AddCleanup(inner, func(ptr *C.jeton_token) { C.jeton_token_free(ptr) }, ptr)
	return &Token{inner}
}

// AccessToken is the token itself. Opaque: do not parse it, do not log it.
func (t *Token) AccessToken() string { return t.inner.accessToken }

// Authorization is the value of the Authorization header.
func (t *Token) Authorization() string { return t.inner.authorization }

// Type is how it is presented: "Bearer".
func (t *Token) Type() string { return t.inner.kind }

// Scopes are what it is good for: what was granted, or what was asked for if the server did not say.
func (t *Token) Scopes() []string { return append([]string(nil), t.inner.scopes...) }

// Expiry is when it expires; zero if the server did not say.
func (t *Token) Expiry() time.Time { return t.inner.expiry }

// Warnings are what had to be forgiven when the server's answer was read.
func (t *Token) Warnings() []Warning { return append([]Warning(nil), t.inner.warnings...) }

// Extra is another member of the server's answer: a string's text, anything else as JSON. False if there is none.
func (t *Token) Extra(name string) (string, bool) {
	defer runtime.KeepAlive(t.inner)
	var strings texts
	defer strings.free()
	text := strings.c("the name", name)
	if strings.err != nil {
		return "", false
	}
	value := C.jeton_token_extra(t.inner.ptr, text)
	return C.GoString(value), value != nil
}

// OAuth2 is the token as golang.org/x/oauth2 has it, without a refresh token. Its Extra gives the other members of the
// server's answer, and the scopes as "scope". All callers get the same one: do not change it.
func (t *Token) OAuth2() *oauth2.Token { return t.inner.toOAuth2() }

func (t *tokenInner) toOAuth2() *oauth2.Token {
	t.oauth2Once.Do(func() {
		extra := map[string]any{}
		// What the library gives is JSON; if not, there are no other members.
		_ = json.Unmarshal([]byte(C.GoString(C.jeton_token_extra_json(t.ptr))), &extra)
		if len(t.scopes) > 0 {
			extra["scope"] = strings.Join(t.scopes, " ")
		}
		token := &oauth2.Token{AccessToken: t.accessToken, TokenType: t.kind, Expiry: t.expiry}
		t.oauth2 = token.WithExtra(extra)
	})
	return t.oauth2
}

// Format prints when the token expires, and never the token.
func (t Token) Format(f fmt.State, _ rune) {
	switch {
	case t.inner == nil:
		io.WriteString(f, "jeton.Token(none)")
	case t.inner.expiry.IsZero():
		io.WriteString(f, "jeton.Token("+redacted+")")
	default:
		io.WriteString(f, "jeton.Token("+redacted+", expires "+t.inner.expiry.Format(time.RFC3339)+")")
	}
}

// moment is a time of the library's; zero for one that is not known, or never.
func moment(unixMS int64) time.Time {
	if unixMS == C.JETON_NEVER {
		return time.Time{}
	}
	return time.UnixMilli(unixMS)
}

// PendingLogin is a login that [Session.BeginLogIn] began. It is a secret of the person who logs in.
type PendingLogin struct {
	// Behind a pointer, where fmt does not go.
	inner *pendingInner
}

type pendingInner struct {
	ptr *C.jeton_pending_login
}

func newPendingLogin(ptr *C.jeton_pending_login) *PendingLogin {
	inner := &pendingInner{ptr}
	runtime.AddCleanup(inner, func(ptr *C.jeton_pending_login) { C.jeton_pending_login_free(ptr) }, ptr)
	return &PendingLogin{inner}
}

// ParsePendingLogin reads what [PendingLogin.Serialize] wrote.
func ParsePendingLogin(serialized []byte) (*PendingLogin, error) {
	ptr, length := bytes(serialized)
	var pending *C.jeton_pending_login
	var raw *C.jeton_error
	status := C.jeton_pending_login_parse(ptr, length, &pending, &raw)
	if err := takeError(status, raw, nil, nil); err != nil {
		return nil, err
	}
	return newPendingLogin(pending), nil
}

// URL is where to send the person's browser. Empty for one that was parsed.
func (p *PendingLogin) URL() string {
	defer runtime.KeepAlive(p.inner)
	return C.GoString(C.jeton_pending_login_url(p.inner.ptr))
}

// State finds the pending login again: the redirected URL has it as parameter `state`.
func (p *PendingLogin) State() string {
	defer runtime.KeepAlive(p.inner)
	return C.GoString(C.jeton_pending_login_state(p.inner.ptr))
}

// Expiry is until when it can be finished.
func (p *PendingLogin) Expiry() time.Time {
	defer runtime.KeepAlive(p.inner)
	return moment(int64(C.jeton_pending_login_expires_at_ms(p.inner.ptr)))
}

// Serialize gives it as JSON, to be kept where only this person's session reaches it.
func (p *PendingLogin) Serialize() []byte {
	defer runtime.KeepAlive(p.inner)
	return []byte(C.GoString(C.jeton_pending_login_serialized(p.inner.ptr)))
}

// Format prints nothing of it.
func (p PendingLogin) Format(f fmt.State, _ rune) {
	io.WriteString(f, "jeton.PendingLogin("+redacted+")")
}
