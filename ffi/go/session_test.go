package jeton_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jeton-oauth/jeton/ffi/go"
	"golang.org/x/oauth2"
)

var background = context.Background()

func TestEachGrantGivesAToken(t *testing.T) {
	server := startServer(t, "--approve")
	password := jeton.Config{
		Issuer: server.Issuer, ClientID: server.PasswordID, Grant: jeton.GrantPassword,
		Username: server.Username, Password: jeton.Secret(server.Password),
	}
	var prompt jeton.DevicePrompt
	device := jeton.Config{
		Issuer: server.Issuer, ClientID: server.Public, Grant: jeton.GrantDeviceCode, DevicePKCE: true,
		Scopes:     []string{"read", "write"},
		DeviceCode: func(p jeton.DevicePrompt) error { prompt = p; return nil },
	}
	for name, config := range map[string]jeton.Config{
		"client credentials": server.service(),
		"password":           password,
		"authorization code": server.browser(),
		"device code":        device,
	} {
		t.Run(name, func(t *testing.T) {
			token := must[*jeton.Token](t)(newSession(t, config).LogIn(background))
			check(t, token.AccessToken() != "", "no access token")
			check(t, token.Authorization() == "Bearer "+token.AccessToken(), "authorization is not the token")
			check(t, token.Type() == "Bearer", "type %q", token.Type())
			left := time.Until(token.Expiry())
			check(t, left > 50*time.Minute && left <= time.Hour, "expires in %v", left)
			check(t, len(token.Warnings()) == 0, "warnings %v", token.Warnings())
			check(t, slices.Contains(token.Scopes(), "read"), "scopes %v", token.Scopes())
		})
	}
	check(t, prompt.UserCode != "" && prompt.VerificationURI == server.Origin+"/device", "prompt %+v", prompt)
	check(t, prompt.VerificationURIComplete != "" && prompt.Expiry.After(time.Now()), "prompt %+v", prompt)
}

func TestAPersonWhoTypesInADeviceCodeIsWaitedFor(t *testing.T) {
	server := startServer(t)
	codes, pending := make(chan string, 1), make(chan time.Duration, 100)
	var once sync.Once
	session := newSession(t, jeton.Config{
		Issuer: server.Issuer, ClientID: server.Public, Grant: jeton.GrantDeviceCode,
		DeviceCode: func(p jeton.DevicePrompt) error { codes <- p.UserCode; return nil },
		DeviceCodePending: func(remaining time.Duration) error {
			pending <- remaining
			var err error
			once.Do(func() { _, err = server.tell("approve " + <-codes) })
			return err
		},
	})
	must[*jeton.Token](t)(session.LogIn(background))
	remaining := <-pending
	check(t, remaining > 0 && remaining <= 10*time.Minute, "remaining %v", remaining)
}

func TestALoginWhoseRedirectTheProgramReceives(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	config.OpenURL = nil
	session := newSession(t, config)
	pending := must[*jeton.PendingLogin](t)(session.BeginLogIn(background, server.RedirectURI))
	begun := must[*url.URL](t)(url.Parse(pending.URL()))
	check(t, begun.Query().Get("state") == pending.State() && pending.State() != "", "state %q", pending.State())
	check(t, pending.Expiry().After(time.Now()), "expiry %v", pending.Expiry())
	where := redirected(t, pending.URL())

	kept := must[*jeton.PendingLogin](t)(jeton.ParsePendingLogin(pending.Serialize()))
	check(t, kept.URL() == "" && kept.State() == pending.State(), "parsed: %q", kept.URL())
	must[*jeton.Token](t)(session.FinishLogIn(background, kept, where))

	_, err := session.FinishLogIn(background, pending, where)
	check(t, err != nil, "a pending login was finished twice")
	other := must[*jeton.PendingLogin](t)(session.BeginLogIn(background, server.RedirectURI))
	_, err = session.FinishLogIn(background, other, where)
	check(t, err != nil, "finished with another login's redirect")
	_, err = session.FinishLogIn(background, nil, where)
	check(t, errors.Is(err, jeton.ErrInvalidArgument), "no pending login: %v", err)
	_, err = jeton.ParsePendingLogin([]byte("{"))
	check(t, err != nil, "read what is no pending login")
	_, err = jeton.ParsePendingLogin(nil)
	check(t, err != nil, "read nothing as a pending login")
}

func TestWithoutALoginTheErrorSaysSo(t *testing.T) {
	server := startServer(t)
	session := newSession(t, server.browser())
	_, err := session.Token(background)
	check(t, errors.Is(err, jeton.ErrLoginRequired), "%v", err)
	check(t, !errors.Is(err, jeton.ErrNetwork), "two kinds at once: %v", err)
	var failure *jeton.Error
	check(t, errors.As(err, &failure), "%T", err)
	check(t, failure.Recovery == jeton.RecoveryLogIn && failure.Status.String() == "LOGIN_REQUIRED", "%+v", failure)
	_, found := session.Cached()
	check(t, !found, "there is a cached token")
	_, err = session.TokenSource(background).Token()
	check(t, errors.Is(err, jeton.ErrLoginRequired), "token source: %v", err)
}

func TestAnOAuthErrorIsToldInFull(t *testing.T) {
	server := startServer(t)
	config := server.service()
	config.ClientSecret = "not the secret"
	_, err := newSession(t, config).Token(background)
	var failure *jeton.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%T: %v", err, err)
	}
	check(t, errors.Is(err, jeton.ErrOAuth) && failure.Code == "invalid_client" && failure.HTTPStatus == 401,
		"%+v", failure)
	check(t, failure.Description != "" && failure.Message != "", "%+v", failure)
	check(t, failure.Recovery == jeton.RecoveryFixConfiguration, "recovery %v", failure.Recovery)
}

func TestAServerThatIsAwayIsANetworkError(t *testing.T) {
	server := startServer(t)
	config := server.service()
	config.Issuer, config.Endpoints.Token = "", server.TokenEndpoint
	server.stop()
	_, err := newSession(t, config).Token(background)
	var failure *jeton.Error
	check(t, errors.Is(err, jeton.ErrNetwork) && errors.As(err, &failure), "%v", err)
	check(t, failure != nil && failure.Recovery == jeton.RecoveryRetry, "%+v", failure)
}

func TestTheServersWishToWaitIsTold(t *testing.T) {
	server := startServer(t)
	server.do(t, "fault unavailable-retry-after-1")
	session := newSession(t, server.service())
	_, err := session.Token(background)
	var failure *jeton.Error
	check(t, errors.As(err, &failure), "%v", err)
	check(t, failure != nil && failure.RetryAfter > 0 && failure.RetryAfter <= time.Second, "%+v", failure)
	check(t, failure != nil && failure.HTTPStatus == 503, "%+v", failure)
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	for name, config := range map[string]jeton.Config{
		"no client":     {Issuer: "https://login.example"},
		"no server":     {ClientID: "x"},
		"a NUL":         {Issuer: "https://login.example", ClientID: "x\x00y"},
		"no such grant": {Issuer: "https://login.example", ClientID: "x", Grant: 99},
		"no such store": {Issuer: "https://login.example", ClientID: "x", Store: jeton.StoreConfig{Kind: 99}},
		"two stores": {
			Issuer: "https://login.example", ClientID: "x",
			Store: jeton.StoreConfig{Kind: jeton.StoreFile, Custom: &memory{}},
		},
		"negative timeout": {Issuer: "https://login.example", ClientID: "x", RequestTimeout: -time.Second},
		"no certificate":   {Issuer: "https://login.example", ClientID: "x", RootCAs: []byte("no PEM")},
		"a NUL in a parameter": {
			Issuer: "https://login.example", ClientID: "x",
			Parameters: jeton.Parameters{Token: url.Values{"a": {"b\x00c"}}},
		},
	} {
		client, err := jeton.New(config)
		var failure *jeton.Error
		check(t, client == nil && errors.As(err, &failure), "%s: %v", name, err)
		check(t, errors.Is(err, jeton.ErrConfiguration) || errors.Is(err, jeton.ErrInvalidArgument),
			"%s: %v", name, err)
	}
}

func TestParametersGoIntoTheirRequests(t *testing.T) {
	server := startServer(t)
	config := server.service()
	config.Parameters.Token = url.Values{"audience": {"https://api.example"}}
	config.UserAgent = "a-go-program/1"
	must[*jeton.Token](t)(newSession(t, config).Token(background))
	request := fmt.Sprint(server.do(t, "last token"))
	check(t, containsAny(request, "https://api.example", "https%3A%2F%2Fapi.example"), "the request: %s", request)
	check(t, containsAny(request, "a-go-program/1"), "the request: %s", request)
}

// ----- The cached token ---------------------------------------------------------------------------------------------

func TestTheCachedTokenIsTheSameValueEachTime(t *testing.T) {
	server := startServer(t)
	session := newSession(t, server.service())
	first := must[*jeton.Token](t)(session.Token(background))
	second := must[*jeton.Token](t)(session.Token(background))
	third, found := session.Cached()
	check(t, found && first == second && second == third, "copies: %p %p %p", first, second, third)
	check(t, server.tokenRequests(t) == 1, "%d token requests", server.tokenRequests(t))

	allocations := testing.AllocsPerRun(100, func() { session.Cached() })
	check(t, allocations == 0, "Cached allocates %v times", allocations)
	source := session.TokenSource(background)
	allocations = testing.AllocsPerRun(100, func() { source.Token() })
	check(t, allocations == 0, "TokenSource.Token allocates %v times", allocations)
}

func TestATokenThatDoesNotLiveLongEnoughIsReplaced(t *testing.T) {
	server := startServer(t, "--approve", "--access-token-life", "1000")
	session := loggedIn(t, server.browser())
	first := must[*jeton.Token](t)(session.TokenValidFor(background, time.Minute))
	_, found := session.CachedValidFor(time.Minute)
	check(t, found, "no cached token for a minute")
	refreshed := must[*jeton.Token](t)(session.Refresh(background))
	check(t, refreshed.AccessToken() != first.AccessToken(), "refreshed to the same token")
	check(t, first.AccessToken() != "", "the token before is gone")
	latest, _ := session.Cached()
	check(t, latest == refreshed, "the cached token is not the new one")
}

func TestManyGoroutinesMakeOneRequest(t *testing.T) {
	server := startServer(t)
	server.do(t, "fault gate")
	session := newSession(t, server.service())
	threads := pprof.Lookup("threadcreate").Count
	before := threads()
	// More than would be wise as threads.
	const goroutines = 3000
	results := make(chan error, goroutines)
	var begun sync.WaitGroup
	begun.Add(goroutines)
	for range goroutines {
		go func() {
			begun.Done()
			_, err := session.Token(background)
			results <- err
		}()
	}
	begun.Wait()
	server.do(t, "wait-held 1")
	server.do(t, "open-gate")
	for range goroutines {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	check(t, server.tokenRequests(t) == 1, "%d token requests", server.tokenRequests(t))
	check(t, threads() < before+100, "%d threads more", threads()-before)
}

func TestSessionsOfALoginShareItsToken(t *testing.T) {
	server := startServer(t)
	client := newClient(t, server.service())
	one, two := must[*jeton.Session](t)(client.Session("")), must[*jeton.Session](t)(client.Session("default"))
	defer one.Close()
	defer two.Close()
	check(t, one.Account() == "default" && two.Account() == "default", "accounts %q %q", one.Account(), two.Account())
	first, second := must[*jeton.Token](t)(one.Token(background)), must[*jeton.Token](t)(two.Token(background))
	check(t, first.AccessToken() == second.AccessToken() && server.tokenRequests(t) == 1, "two tokens")
}

// ----- Contexts -----------------------------------------------------------------------------------------------------

func TestAContextThatIsDoneSendsNothing(t *testing.T) {
	server := startServer(t, "--approve")
	session := newSession(t, server.service())
	pending := newSession(t, server.browser())
	cancelled, cancel := context.WithCancel(background)
	cancel()
	late, cancelLate := context.WithDeadline(background, time.Unix(1, 0))
	defer cancelLate()
	for _, c := range []struct {
		ctx  context.Context
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}} {
		for name, call := range map[string]func(context.Context) error{
			"Token":      func(ctx context.Context) error { _, err := session.Token(ctx); return err },
			"Refresh":    func(ctx context.Context) error { _, err := session.Refresh(ctx); return err },
			"LogIn":      func(ctx context.Context) error { _, err := session.LogIn(ctx); return err },
			"Revoke":     session.Revoke,
			"LogOut":     func(ctx context.Context) error { _, err := session.LogOut(ctx); return err },
			"Introspect": func(ctx context.Context) error { _, err := session.Introspect(ctx); return err },
			"Adopt":      func(ctx context.Context) error { _, err := session.Adopt(ctx, []byte("{}")); return err },
			"BeginLogIn": func(ctx context.Context) error {
				_, err := pending.BeginLogIn(ctx, server.RedirectURI)
				return err
			},
			"TokenSource": func(ctx context.Context) error { _, err := session.TokenSource(ctx).Token(); return err },
		} {
			err := call(c.ctx)
			check(t, errors.Is(err, c.want) && errors.Is(err, jeton.ErrCancelled), "%s: %v", name, err)
			var failure *jeton.Error
			check(t, errors.As(err, &failure), "%s: %T", name, err)
		}
	}
	check(t, server.count(t, "connections") == 0, "%d connections", server.count(t, "connections"))
}

func TestAContextThatEndsEndsTheCallAndNobodyElses(t *testing.T) {
	server := startServer(t)
	server.do(t, "fault gate")
	session := newSession(t, server.service())
	why := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(background)
	results := make(chan error)
	go func() { _, err := session.Token(ctx); results <- err }()
	server.do(t, "wait-held 1")
	go func() { _, err := session.Token(background); results <- err }()
	cancel(why)
	err := <-results
	check(t, errors.Is(err, context.Canceled) && errors.Is(err, why), "%v", err)
	server.do(t, "open-gate")
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	check(t, server.tokenRequests(t) == 1, "%d token requests", server.tokenRequests(t))
}

func TestAContextEndsALogin(t *testing.T) {
	server := startServer(t)
	ctx, cancel := context.WithCancel(background)
	config := server.browser()
	config.OpenURL = func(string) error { cancel(); return nil }
	session := newSession(t, config)
	_, err := session.LogIn(ctx)
	check(t, errors.Is(err, context.Canceled), "%v", err)
	_, err = session.Token(background)
	check(t, errors.Is(err, jeton.ErrLoginRequired), "%v", err)
}

func TestAContextEndsALoginThatWaitsForTheServer(t *testing.T) {
	server := startServer(t)
	server.do(t, "fault gate")
	session := newSession(t, server.service())
	ctx, cancel := context.WithCancel(background)
	result := make(chan error)
	go func() { _, err := session.LogIn(ctx); result <- err }()
	server.do(t, "wait-held 1")
	cancel()
	err := <-result
	check(t, errors.Is(err, context.Canceled), "%v", err)
	server.do(t, "open-gate")
}

// ----- Closing ------------------------------------------------------------------------------------------------------

func TestCloseIsIdempotentAndFinal(t *testing.T) {
	server := startServer(t)
	client, err := jeton.New(server.service())
	if err != nil {
		t.Fatal(err)
	}
	session := must[*jeton.Session](t)(client.Session("someone"))
	token := must[*jeton.Token](t)(session.Token(background))
	source := client.TokenSource(background)
	must[*oauth2.Token](t)(source.Token())
	for range 3 {
		check(t, client.Close() == nil, "closing the client again is an error")
	}
	must[*jeton.Token](t)(session.Token(background))
	for range 3 {
		check(t, session.Close() == nil, "closing the session again is an error")
	}
	ctx := background
	for name, call := range map[string]func() error{
		"Session":     func() error { _, err := client.Session("x"); return err },
		"Accounts":    func() error { _, err := client.Accounts(ctx); return err },
		"client's":    func() error { _, err := source.Token(); return err },
		"a new one":   func() error { _, err := client.TokenSource(ctx).Token(); return err },
		"Token":       func() error { _, err := session.Token(ctx); return err },
		"Refresh":     func() error { _, err := session.Refresh(ctx); return err },
		"LogIn":       func() error { _, err := session.LogIn(ctx); return err },
		"LogOut":      func() error { _, err := session.LogOut(ctx); return err },
		"Revoke":      func() error { return session.Revoke(ctx) },
		"Introspect":  func() error { _, err := session.Introspect(ctx); return err },
		"Adopt":       func() error { _, err := session.Adopt(ctx, nil); return err },
		"BeginLogIn":  func() error { _, err := session.BeginLogIn(ctx, "http://localhost/"); return err },
		"ForResource": func() error { _, err := session.ForResource("https://api.example"); return err },
		"WithScopes":  func() error { _, err := session.WithScopes("read"); return err },
		"CheckURL":    func() error { return session.CheckURL("https://api.example") },
		"Judge":       func() error { _, err := session.Judge(token, 200, nil); return err },
		"persist":     session.PersistError,
		"a request":   func() error { _, err := session.HTTPClient().Get(server.API); return err },
	} {
		err := call()
		check(t, errors.Is(err, jeton.ErrClosed), "%s: %v", name, err)
	}
	_, found := session.Cached()
	check(t, !found, "a closed session has a cached token")
	check(t, token.AccessToken() != "" && session.Account() == "someone", "what was handed out is gone")
}

func TestCallsThatRunGoOnWhileTheSessionIsClosed(t *testing.T) {
	server := startServer(t)
	server.do(t, "fault gate")
	session := newSession(t, server.service())
	result := make(chan error)
	go func() { _, err := session.Token(background); result <- err }()
	server.do(t, "wait-held 1")
	closed := make(chan error)
	go func() { closed <- session.Close() }()
	// Closing waits for the refresh; from some moment on everybody else is told.
	for !errors.Is(session.CheckURL(server.API), jeton.ErrClosed) {
		time.Sleep(time.Millisecond)
	}
	server.do(t, "open-gate")
	if err := errors.Join(<-result, <-closed); err != nil {
		t.Fatal(err)
	}
}

func TestClosingBesideEverythingElse(t *testing.T) {
	server := startServer(t)
	for range 20 {
		client := newClient(t, server.service())
		session := must[*jeton.Session](t)(client.Session(""))
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 20 {
					var err error
					switch (i + j) % 5 {
					case 0:
						_, err = session.Token(background)
					case 1:
						session.Cached()
					case 2:
						err = session.CheckURL(server.API)
					case 3:
						ctx, cancel := context.WithCancel(background)
						go cancel()
						if _, err = session.Token(ctx); errors.Is(err, context.Canceled) {
							err = nil
						}
					case 4:
						if j > 10 {
							err = errors.Join(session.Close(), client.Close())
						}
					}
					if err != nil && !errors.Is(err, jeton.ErrClosed) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}

// ----- The rest of a login's life ------------------------------------------------------------------------------------

func TestALoginInAFileIsThereForTheNextClient(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	config.Store = jeton.StoreConfig{Kind: jeton.StoreFile, Folder: filepath.Join(t.TempDir(), "logins")}
	client := newClient(t, config)
	check(t, client.Store().Persistent && !client.Store().Encrypted, "%+v", client.Store())
	session := must[*jeton.Session](t)(client.Session("alice"))
	token := must[*jeton.Token](t)(session.LogIn(background))
	check(t, session.PersistError() == nil, "%v", session.PersistError())
	if err := errors.Join(session.Close(), client.Close()); err != nil {
		t.Fatal(err)
	}

	later := newClient(t, config)
	accounts := must[[]string](t)(later.Accounts(background))
	check(t, slices.Equal(accounts, []string{"alice"}), "accounts %v", accounts)
	again := must[*jeton.Session](t)(later.Session("alice"))
	defer again.Close()
	same := must[*jeton.Token](t)(again.Token(background))
	check(t, same.AccessToken() == token.AccessToken(), "another token")
	revocation, err := again.LogOut(background)
	if err := errors.Join(revocation, err); err != nil {
		t.Fatal(err)
	}
	accounts = must[[]string](t)(later.Accounts(background))
	check(t, len(accounts) == 0, "accounts %v after the log-out", accounts)
	_, err = again.Token(background)
	check(t, errors.Is(err, jeton.ErrLoginRequired), "after the log-out: %v", err)
}

func TestSealedFilesNeedTheirKey(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	folder := filepath.Join(t.TempDir(), "logins")
	key := jeton.Secret("0123456789abcdef0123456789abcdef")
	config.Store = jeton.StoreConfig{Kind: jeton.StoreSealed, Folder: folder, Key: key}
	token := must[*jeton.Token](t)(newSession(t, config).LogIn(background))
	again := must[*jeton.Token](t)(newSession(t, config).Token(background))
	check(t, token.AccessToken() == again.AccessToken(), "another token")
	filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			text, _ := os.ReadFile(path)
			check(t, !containsAny(string(text), token.AccessToken()), "%s holds the token", path)
		}
		return nil
	})
	config.Store.Key = "another key of thirty-two bytes!"
	_, err := newSession(t, config).Token(background)
	check(t, errors.Is(err, jeton.ErrStore), "with another key: %v", err)
}

func TestAStoreThatCannotBeWrittenIsToldAndTheTokenIsUsed(t *testing.T) {
	server := startServer(t, "--approve")
	store := &memory{}
	config := server.browser()
	config.Store.Custom = store
	session := loggedIn(t, config)
	full := errors.New("the disk is full")
	store.set(func(m *memory) { m.saveError = full })
	must[*jeton.Token](t)(session.Refresh(background))
	check(t, errors.Is(session.PersistError(), full) && errors.Is(session.PersistError(), jeton.ErrCallback),
		"%v", session.PersistError())
	err := session.Close()
	check(t, errors.Is(err, full), "closing: %v", err)
}

func TestRevokeIntrospectAdopt(t *testing.T) {
	server := startServer(t, "--approve")
	session := loggedIn(t, server.browser())
	// Introspection is for clients with a secret.
	service := newSession(t, server.service())
	must[*jeton.Token](t)(service.Token(background))
	told := must[*jeton.Introspection](t)(service.Introspect(background))
	check(t, told.Active && told.ClientID == server.Service && slices.Contains(told.Scopes, "read"), "%+v", told)
	check(t, told.Expiry.After(time.Now()) && json.Valid(told.JSON), "%+v", told)

	before := must[*jeton.Token](t)(session.Token(background))
	if err := session.Revoke(background); err != nil {
		t.Fatal(err)
	}
	after := must[*jeton.Token](t)(session.Token(background))
	check(t, before.AccessToken() != after.AccessToken(), "the revoked token is still in use")

	other := newSession(t, server.browser())
	adopted := must[*jeton.Token](t)(other.Adopt(background, []byte(fmt.Sprintf(
		`{"access_token":%q,"token_type":"Bearer","expires_in":3600,"scope":"read","team":{"id":7},"name":"x"}`,
		after.AccessToken()))))
	check(t, adopted.AccessToken() == after.AccessToken(), "adopted another token")
	name, found := adopted.Extra("name")
	check(t, found && name == "x", "extra %q", name)
	team, _ := adopted.Extra("team")
	check(t, team == `{"id":7}`, "extra %q", team)
	_, found = adopted.Extra("none")
	check(t, !found, "there is an extra member that is not there")
	converted := adopted.OAuth2()
	check(t, converted.Extra("name") == "x" && converted.Extra("none") == nil, "extra %v", converted.Extra("name"))
	id, _ := converted.Extra("team").(map[string]any)
	check(t, id["id"] == float64(7), "extra %v", converted.Extra("team"))
	_, err := other.Adopt(background, []byte("no JSON"))
	check(t, err != nil, "adopted what is no token answer")
}

func TestTokensForAResourceAndForAPartOfTheScopes(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	config.Scopes = []string{"read", "write", "offline_access"}
	session := loggedIn(t, config)
	less := must[*jeton.Session](t)(session.WithScopes("read"))
	defer less.Close()
	token := must[*jeton.Token](t)(less.Token(background))
	check(t, slices.Equal(token.Scopes(), []string{"read"}), "scopes %v", token.Scopes())
	resource := must[*jeton.Session](t)(session.ForResource(server.Origin + "/api"))
	defer resource.Close()
	forResource := must[*jeton.Token](t)(resource.Token(background))
	check(t, forResource.AccessToken() != token.AccessToken(), "one token for both")
}

func TestTheTokenSourceIsOAuth2s(t *testing.T) {
	server := startServer(t)
	client := newClient(t, server.service())
	source := client.TokenSource(background)
	token := must[*oauth2.Token](t)(source.Token())
	check(t, token.Valid() && token.Type() == "Bearer" && token.RefreshToken == "", "%v", token.Expiry)
	check(t, time.Until(token.Expiry) > 50*time.Minute, "expiry %v", token.Expiry)
	check(t, token.Extra("scope") == "read", "scope %v", token.Extra("scope"))
	again := must[*oauth2.Token](t)(client.TokenSource(background).Token())
	check(t, again.AccessToken == token.AccessToken && server.tokenRequests(t) == 1, "two tokens")
	response, err := oauth2.NewClient(background, source).Get(server.API)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	check(t, response.StatusCode == 200, "status %d", response.StatusCode)
}

func TestALoginOfOAuth2GoesOnHere(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	before := oauth2.Config{
		ClientID: server.Public, RedirectURL: server.RedirectURI, Scopes: config.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: server.Issuer + "/authorize", TokenURL: server.TokenEndpoint},
	}
	verifier := oauth2.GenerateVerifier()
	where := redirected(t, before.AuthCodeURL(oauth2.GenerateVerifier(), oauth2.S256ChallengeOption(verifier)))
	code := must[*url.URL](t)(url.Parse(where)).Query().Get("code")
	theirs := must[*oauth2.Token](t)(before.Exchange(background, code, oauth2.VerifierOption(verifier)))
	session := newSession(t, config)
	ours := must[*jeton.Token](t)(session.AdoptOAuth2(background, theirs))
	check(t, ours.AccessToken() == theirs.AccessToken, "another token")
	difference := ours.Expiry().Sub(theirs.Expiry).Abs()
	check(t, difference <= time.Second, "expiry %v, theirs %v", ours.Expiry(), theirs.Expiry)
	refreshed := must[*jeton.Token](t)(session.Refresh(background))
	check(t, refreshed.AccessToken() != theirs.AccessToken, "not refreshed")
	_, err := session.AdoptOAuth2(background, nil)
	check(t, errors.Is(err, jeton.ErrInvalidArgument), "%v", err)
}
