package jeton

// #include <jeton.h>
import "C"

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/oauth2"
)

// Client is a configuration that logins are made with. It may be used from any number of goroutines.
type Client struct {
	handle    *handle[*C.jeton_client]
	callbacks *callbackErrors
	id        string
	info      StoreInfo

	mu      sync.Mutex
	session *Session // of TokenSource
}

// New makes a client. Nothing is sent to any server yet. Close it at the end.
func New(config Config) (*Client, error) {
	callbacks := &callbackErrors{}
	raw, err := config.build(callbacks)
	if err != nil {
		return nil, err
	}
	defer C.jeton_config_free(raw)
	var client *C.jeton_client
	var rawErr *C.jeton_error
	status := C.jeton_client_new(raw, &client, &rawErr)
	if err := takeError(status, rawErr, callbacks, nil); err != nil {
		return nil, err
	}
	return newClient(client, callbacks), nil
}

// Register makes a client that registers itself at the server (RFC 7591), or that has done so before: the registration is kept in
// the store beside the logins. It needs [Config.Issuer], [Config.ClientMetadata] and a store that lasts. Close it at the end.
func Register(ctx context.Context, config Config) (*Client, error) {
	callbacks := &callbackErrors{}
	raw, err := config.build(callbacks)
	if err != nil {
		return nil, err
	}
	defer C.jeton_config_free(raw)
	var client *C.jeton_client
	err = waiting(ctx, func(cancel *C.jeton_cancel) error {
		var rawErr *C.jeton_error
		status := C.jeton_client_register(raw, cancel, &client, &rawErr)
		return takeError(status, rawErr, callbacks, ctx)
	})
	if err != nil {
		return nil, err
	}
	return newClient(client, callbacks), nil
}

func newClient(client *C.jeton_client, callbacks *callbackErrors) *Client {
	c := &Client{
		handle:    newHandle(client, func(ptr *C.jeton_client) { C.jeton_client_free(ptr) }),
		callbacks: callbacks,
		id:        C.GoString(C.jeton_client_id(client)),
		info: StoreInfo{
			Description: C.GoString(C.jeton_client_store_description(client)),
			Persistent:  C.jeton_client_store_is_persistent(client) == 1,
			Encrypted:   C.jeton_client_store_is_encrypted(client) == 1,
		},
	}
	runtime.AddCleanup(c, closeUnreachable[*C.jeton_client], c.handle)
	return c
}

// ID is the client identifier: the one that was set, or that the server gave.
func (c *Client) ID() string { return c.id }

// Store describes where logins are kept.
func (c *Client) Store() StoreInfo { return c.info }

// Session is a login of that account; empty: "default". It needs no request and no login yet. Close it at the end.
func (c *Client) Session(account string) (*Session, error) {
	return newSession(c.handle, c.callbacks, func(client cClient, to cSessionOut, raw cErrorOut) (C.int32_t, error) {
		var strings texts
		defer strings.free()
		var name *C.char
		if account != "" {
			name = strings.c("the account", account)
		}
		if strings.err != nil {
			return 0, strings.err
		}
		return C.jeton_client_session(client, name, to, raw), nil
	})
}

// Accounts are those that have a login in the store.
func (c *Client) Accounts(ctx context.Context) ([]string, error) {
	if !c.handle.acquire() {
		return nil, ErrClosed
	}
	defer c.handle.release()
	var names []string
	err := waiting(ctx, func(cancel *C.jeton_cancel) error {
		var accounts *C.jeton_accounts
		var raw *C.jeton_error
		status := C.jeton_client_accounts(c.handle.ptr, cancel, &accounts, &raw)
		defer C.jeton_accounts_free(accounts)
		for i := C.size_t(0); i < C.jeton_accounts_count(accounts); i++ {
			names = append(names, C.GoString(C.jeton_accounts_get(accounts, i)))
		}
		return takeError(status, raw, c.callbacks, ctx)
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// TokenSource is [Session.TokenSource] of the account "default". Its session lives until the client is closed.
func (c *Client) TokenSource(ctx context.Context) oauth2.TokenSource {
	session, err := c.defaultSession()
	return &tokenSource{ctx: ctx, session: session, err: err}
}

func (c *Client) defaultSession() (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return c.session, nil
	}
	session, err := c.Session("")
	c.session = session
	return session, err
}

// Close frees the client. Sessions that were made from it go on, but for that of [Client.TokenSource]. It may be
// called more than once, and while other calls run.
func (c *Client) Close() error {
	if !c.handle.close() {
		return nil
	}
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session == nil {
		return nil
	}
	return session.Close()
}

// String says where logins are kept.
func (c *Client) String() string { return "jeton.Client(" + c.info.Description + ")" }
