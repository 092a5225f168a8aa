package jeton_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-oauth/jeton/ffi/go"
)

// testServer is the program jeton-test-server: an authorization server and an API on a loopback port.
type testServer struct {
	Issuer        string `json:"issuer"`
	API           string `json:"api"`
	Origin        string `json:"origin"`
	TokenEndpoint string `json:"token_endpoint"`
	Public        string `json:"public_client"`
	Service       string `json:"service_client"`
	ServiceSecret string `json:"service_secret"`
	PasswordID    string `json:"password_client"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	RedirectURI   string `json:"redirect_uri"`

	mu      sync.Mutex
	cmd     *exec.Cmd
	input   io.WriteCloser
	answers *bufio.Reader
}

// serverProgram is $JETON_TEST_SERVER, or what cargo built in the repository.
func serverProgram() string {
	if program := os.Getenv("JETON_TEST_SERVER"); program != "" {
		return program
	}
	return filepath.Join("..", "..", "target", "debug", "jeton-test-server")
}

func newServer(options ...string) (*testServer, error) {
	cmd := exec.Command(serverProgram(), options...)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; build it with `cargo build -p jeton-tests --bin jeton-test-server`", err)
	}
	server := &testServer{cmd: cmd, input: input, answers: bufio.NewReader(output)}
	line, err := server.answers.ReadString('\n')
	if err != nil {
		return nil, err
	}
	return server, json.Unmarshal([]byte(line), server)
}

// stop closes the server's standard input, which ends it.
func (s *testServer) stop() {
	s.input.Close()
	s.cmd.Wait()
}

func startServer(t testing.TB, options ...string) *testServer {
	t.Helper()
	server, err := newServer(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.stop)
	return server
}

func (s *testServer) tell(command string) (map[string]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintln(s.input, command); err != nil {
		return nil, err
	}
	line, err := s.answers.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal([]byte(line), &answer); err != nil {
		return nil, err
	}
	if answer["ok"] != true {
		return nil, fmt.Errorf("%s: %s", command, line)
	}
	return answer, nil
}

// do gives the server a command that has to work.
func (s *testServer) do(t testing.TB, command string) map[string]any {
	t.Helper()
	answer, err := s.tell(command)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// tokenRequests is how often the token endpoint was asked.
func (s *testServer) tokenRequests(t testing.TB) int {
	t.Helper()
	return s.count(t, "token")
}

// count is a number in the server's statistics, wherever it stands in them.
func (s *testServer) count(t testing.TB, name string) int {
	t.Helper()
	var find func(map[string]any) (float64, bool)
	find = func(members map[string]any) (float64, bool) {
		if number, ok := members[name].(float64); ok {
			return number, true
		}
		for _, member := range members {
			if inner, ok := member.(map[string]any); ok {
				if number, ok := find(inner); ok {
					return number, true
				}
			}
		}
		return 0, false
	}
	number, _ := find(s.do(t, "stats"))
	return int(number)
}

// service is a client that needs no person.
func (s *testServer) service() jeton.Config {
	return jeton.Config{
		Issuer:          s.Issuer,
		ClientID:        s.Service,
		ClientSecret:    jeton.Secret(s.ServiceSecret),
		Grant:           jeton.GrantClientCredentials,
		ResourceServers: []string{s.Origin},
	}
}

// browser is a client whose person is the server's own browser.
func (s *testServer) browser() jeton.Config {
	return jeton.Config{
		Issuer:          s.Issuer,
		ClientID:        s.Public,
		Grant:           jeton.GrantAuthorizationCode,
		Scopes:          []string{"read", "offline_access"},
		ResourceServers: []string{s.Origin},
		// Nobody is there to be waited for.
		LoginTimeout: 30 * time.Second,
		OpenURL: func(url string) error {
			_, err := s.tell("visit " + url)
			return err
		},
	}
}

func newClient(t testing.TB, config jeton.Config) *jeton.Client {
	t.Helper()
	client, err := jeton.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func newSession(t testing.TB, config jeton.Config) *jeton.Session {
	t.Helper()
	session, err := newClient(t, config).Session("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// loggedIn is a session with a login by browser.
func loggedIn(t testing.TB, config jeton.Config) *jeton.Session {
	t.Helper()
	session := newSession(t, config)
	if _, err := session.LogIn(context.Background()); err != nil {
		t.Fatal(err)
	}
	return session
}

// redirected is where the server sends the browser that opens a URL.
func redirected(t testing.TB, where string) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(where)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	location := response.Header.Get("Location")
	if _, err := url.Parse(location); err != nil || location == "" {
		t.Fatalf("status %d, redirected to %q", response.StatusCode, location)
	}
	return location
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// check fails, but goes on, unless something holds.
func check(t testing.TB, holds bool, format string, arguments ...any) {
	t.Helper()
	if !holds {
		t.Errorf(format, arguments...)
	}
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if part != "" && strings.Contains(text, part) {
			return true
		}
	}
	return false
}

func jsonOf(value any) ([]byte, error) { return json.Marshal(value) }
