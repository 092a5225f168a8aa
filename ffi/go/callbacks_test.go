package jeton_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-oauth/jeton/ffi/go"
)

// memory is a store of the program's own.
type memory struct {
	mu        sync.Mutex
	records   map[string][]byte
	locked    map[string]bool
	loadError error
	saveError error
	lockError error
	inLoad    func()
	calls     []string
}

func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) Load(key string) ([]byte, error) {
	m.mu.Lock()
	m.calls = append(m.calls, "load")
	in, record, err := m.inLoad, m.records[key], m.loadError
	m.mu.Unlock()
	if in != nil {
		in()
	}
	return record, err
}

func (m *memory) Save(key string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, "save")
	if m.saveError != nil {
		return m.saveError
	}
	if m.records == nil {
		m.records = map[string][]byte{}
	}
	m.records[key] = record
	return nil
}

func (m *memory) Remove(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, "remove")
	delete(m.records, key)
	return nil
}

// shared is a memory that other processes might use as well.
type shared struct{ memory }

func (s *shared) List() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.records {
		keys = append(keys, key)
	}
	return keys, nil
}

func (s *shared) TryLock(key string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "lock")
	if s.lockError != nil || s.locked[key] {
		return false, s.lockError
	}
	if s.locked == nil {
		s.locked = map[string]bool{}
	}
	s.locked[key] = true
	return true, nil
}

func (s *shared) Unlock(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "unlock")
	delete(s.locked, key)
}

func (s *shared) Describe() jeton.StoreInfo {
	return jeton.StoreInfo{Description: "a drawer", Persistent: true, Encrypted: true}
}

func TestAStoreInGoKeepsLogins(t *testing.T) {
	server := startServer(t, "--approve")
	store := &shared{}
	config := server.browser()
	config.Store.Custom = store
	client := newClient(t, config)
	info := client.Store()
	check(t, strings.Contains(info.Description, "a drawer") && info.Persistent && info.Encrypted, "%+v", info)
	session := must[*jeton.Session](t)(client.Session("bob"))
	token := must[*jeton.Token](t)(session.LogIn(background))
	check(t, session.Close() == nil, "not closed")

	later := newClient(t, config)
	accounts := must[[]string](t)(later.Accounts(background))
	check(t, slices.Equal(accounts, []string{"bob"}), "accounts %v", accounts)
	again := must[*jeton.Session](t)(later.Session("bob"))
	defer again.Close()
	same := must[*jeton.Token](t)(again.Token(background))
	check(t, same.AccessToken() == token.AccessToken(), "another token")
	_, err := again.LogOut(background)
	check(t, err == nil, "%v", err)
	// The store's callbacks come in order: after this one, nothing of the log-out is left to do.
	accounts = must[[]string](t)(later.Accounts(background))
	check(t, len(accounts) == 0, "accounts %v after the log-out", accounts)
	store.mu.Lock()
	defer store.mu.Unlock()
	locks := func(name string) (count int) {
		for _, call := range store.calls {
			if call == name {
				count++
			}
		}
		return count
	}
	check(t, locks("lock") > 0 && locks("lock") == locks("unlock"), "calls %v", store.calls)
}

func TestAStoreMayHaveNeitherListNorLock(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	config.Store.Custom = &memory{}
	client := newClient(t, config)
	check(t, !client.Store().Persistent && strings.Contains(client.Store().Description, "memory"),
		"%+v", client.Store())
	session := must[*jeton.Session](t)(client.Session(""))
	defer session.Close()
	must[*jeton.Token](t)(session.LogIn(background))
	_, err := client.Accounts(background)
	var failure *jeton.Error
	check(t, errors.As(err, &failure), "accounts without a list: %v", err)
}

func TestWhatAStoreAnswersComesBack(t *testing.T) {
	server := startServer(t, "--approve")
	reason := errors.New("the drawer is stuck")
	for name, spoil := range map[string]func(*shared){
		"load":  func(s *shared) { s.loadError = reason },
		"lock":  func(s *shared) { s.lockError = reason },
		"panic": func(s *shared) { s.inLoad = func() { panic(reason) } },
	} {
		store := &shared{}
		spoil(store)
		config := server.browser()
		config.Store.Custom = store
		_, err := newSession(t, config).LogIn(background)
		check(t, errors.Is(err, reason), "%s: %v", name, err)
		var panicked *jeton.PanicError
		check(t, errors.As(err, &panicked) == (name == "panic"), "%s: %v", name, err)
	}
}

func TestABusyLockIsWaitedForUntilTheTimeout(t *testing.T) {
	server := startServer(t, "--approve")
	store := &shared{}
	config := server.browser()
	config.Store.Custom = store
	config.LeaseTimeout = 100 * time.Millisecond
	client := newClient(t, config)
	session := must[*jeton.Session](t)(client.Session(""))
	defer session.Close()
	must[*jeton.Token](t)(session.LogIn(background))
	// The store's callbacks come in order: after this one, the login's lock is given back.
	must[[]string](t)(client.Accounts(background))
	store.set(func(m *memory) {
		m.locked = map[string]bool{}
		for key := range m.records {
			m.locked[key] = true
		}
	})
	_, err := session.LogOut(background)
	check(t, errors.Is(err, jeton.ErrStore), "%v", err)
	store.set(func(m *memory) { clear(m.locked) })
	_, err = session.LogOut(background)
	check(t, err == nil, "%v", err)
}

func TestAStoresCallbackCannotWaitForItself(t *testing.T) {
	server := startServer(t, "--approve")
	store := &memory{}
	config := server.browser()
	config.Store.Custom = store
	session := newSession(t, config)
	var inside error
	var once sync.Once
	store.inLoad = func() {
		once.Do(func() { _, inside = session.Introspect(background) })
	}
	must[*jeton.Token](t)(session.LogIn(background))
	check(t, errors.Is(inside, jeton.ErrInvalidArgument), "%v", inside)
}

func TestWhatACallbackAnswersEndsTheLogin(t *testing.T) {
	server := startServer(t)
	reason := errors.New("no browser on this machine")
	fail := func() error { return fmt.Errorf("opening: %w", reason) }
	panics := func() error { panic(reason) }
	for name, how := range map[string]func() error{"error": fail, "panic": panics} {
		ended := make(chan error, 1)
		browser := server.browser()
		browser.OpenURL = func(string) error { return how() }
		browser.LoginEnded = func(err error) { ended <- err }
		device := server.browser()
		device.Grant = jeton.GrantDeviceCode
		device.DeviceCode = func(jeton.DevicePrompt) error { return how() }
		pending := device
		pending.DeviceCode = func(jeton.DevicePrompt) error { return nil }
		pending.DeviceCodePending = func(time.Duration) error { return how() }
		configs := map[string]jeton.Config{"OpenURL": browser, "DeviceCode": device, "pending": pending}
		for what, config := range configs {
			_, err := newSession(t, config).LogIn(background)
			check(t, errors.Is(err, reason), "%s, %s: %v", what, name, err)
			check(t, errors.Is(err, jeton.ErrCallback), "%s, %s: %v", what, name, err)
			var panicked *jeton.PanicError
			check(t, errors.As(err, &panicked) == (name == "panic"), "%s, %s: %v", what, name, err)
			if panicked != nil {
				check(t, bytes.Contains(panicked.Stack, []byte("callbacks_test.go")), "the stack: %s", panicked.Stack)
			}
		}
		check(t, <-ended != nil, "LoginEnded was told of a token")
	}
}

func TestADeviceCodeNeedsSomebodyToShowItTo(t *testing.T) {
	server := startServer(t)
	config := server.browser()
	config.Grant, config.OpenURL = jeton.GrantDeviceCode, nil
	_, err := newSession(t, config).LogIn(background)
	check(t, errors.Is(err, jeton.ErrInteraction), "%v", err)
}

func TestEventsTellWhatHappens(t *testing.T) {
	server := startServer(t, "--approve")
	events := make(chan jeton.Event, 64)
	config := server.browser()
	var session *jeton.Session
	config.OnEvent = func(event jeton.Event) {
		// A callback may call in again, and may panic.
		session.Cached()
		events <- event
		if event.Kind == jeton.EventLoggedIn {
			panic("on purpose")
		}
	}
	silenced(t)
	session = newSession(t, config)
	must[*jeton.Token](t)(session.LogIn(background))
	must[*jeton.Token](t)(session.Refresh(background))
	server.do(t, "revoke-logins")
	_, err := session.Refresh(background)
	check(t, errors.Is(err, jeton.ErrLoginRequired), "%v", err)
	must[*jeton.Token](t)(session.LogIn(background))
	_, err = session.LogOut(background)
	check(t, err == nil, "%v", err)
	for _, want := range []jeton.EventKind{
		jeton.EventLoggedIn, jeton.EventRefreshed, jeton.EventLoginEnded, jeton.EventLoggedIn, jeton.EventLoggedOut,
	} {
		event := <-events
		check(t, event.Kind == want && event.Account == "default", "%v instead of %v", event, want)
		check(t, (event.Message != "") == (want == jeton.EventLoginEnded), "%v: message %q", event.Kind, event.Message)
	}
}

// silenced keeps what is logged on purpose out of the test's output.
func silenced(t *testing.T) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(before) })
}

// What nobody closes goes with the garbage, and the callbacks' memory with it.
func TestUnreachableClientsAreFreed(t *testing.T) {
	server := startServer(t, "--approve")
	freed := make(chan struct{}, 3)
	func() {
		type watched struct{ pad [64]byte }
		open, listen, keep := &watched{}, &watched{}, &shared{}
		config := server.browser()
		visit := config.OpenURL
		config.OpenURL = func(url string) error { runtime.KeepAlive(open); return visit(url) }
		config.OnEvent = func(jeton.Event) { runtime.KeepAlive(listen) }
		config.Store.Custom = keep
		runtime.AddCleanup(open, func(int) { freed <- struct{}{} }, 0)
		runtime.AddCleanup(listen, func(int) { freed <- struct{}{} }, 0)
		runtime.AddCleanup(keep, func(int) { freed <- struct{}{} }, 0)
		client := must[*jeton.Client](t)(jeton.New(config))
		session := must[*jeton.Session](t)(client.Session(""))
		must[*jeton.Token](t)(session.LogIn(background))
	}()
	for range 3 {
		for done := false; !done; {
			runtime.GC()
			select {
			case <-freed:
				done = true
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

func TestTheLibrarysMessagesGoToTheLogger(t *testing.T) {
	server := startServer(t, "--approve")
	var text lockedBuffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: jeton.LevelTrace}))
	if err := jeton.SetLogger(logger); err != nil {
		t.Fatal(err)
	}
	config := server.browser()
	session := loggedIn(t, config)
	token := must[*jeton.Token](t)(session.Refresh(background))
	server.do(t, "fail-next 1 500")
	session.Refresh(background)
	for !strings.Contains(text.String(), "target=jeton") {
		time.Sleep(time.Millisecond)
	}
	if err := jeton.SetLogger(nil); err != nil {
		t.Fatal(err)
	}
	check(t, !containsAny(text.String(), token.AccessToken()), "a token in the log")
	quiet := slog.New(slog.DiscardHandler)
	check(t, jeton.SetLogger(quiet) == nil && jeton.SetLogger(nil) == nil, "a logger that wants nothing is refused")
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func TestNoVerbPrintsASecret(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.service()
	config.Password, config.Store.Key, config.Store.Passphrase = "the-password", "the-key", "the-passphrase"
	secrets := []string{server.ServiceSecret, "the-password", "the-key", "the-passphrase"}
	printed := []any{config, &config}
	session := newSession(t, server.service())
	token := must[*jeton.Token](t)(session.Token(background))
	web := newSession(t, server.browser())
	pending := must[*jeton.PendingLogin](t)(web.BeginLogIn(context.Background(), server.RedirectURI))
	secrets = append(secrets, token.AccessToken(), pending.State())
	_, err := web.FinishLogIn(background, pending, server.RedirectURI+"?code=the-code&state=the-state")
	secrets = append(secrets, "the-code", "the-state")
	printed = append(printed, session, *token, token, *pending, pending, err)
	for _, value := range printed {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			text := fmt.Sprintf(verb, value)
			check(t, !containsAny(text, secrets...), "%s of %T shows a secret", verb, value)
			for _, secret := range secrets {
				check(t, !containsAny(text, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)),
					"%s of %T shows a secret", verb, value)
			}
		}
	}
	text := string(must[[]byte](t)(jsonOf(jeton.StoreConfig{Key: "the-key"})))
	check(t, !containsAny(text, "the-key") && containsAny(text, "redacted"), "%s", text)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", config.Password, "store", config.Store)
	check(t, !containsAny(logged.String(), secrets...), "%s", logged.String())
}
