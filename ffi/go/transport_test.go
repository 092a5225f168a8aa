package jeton_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-oauth/jeton/ffi/go"
)

// api is a resource server that remembers what it was sent.
type api struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	answer   func(w http.ResponseWriter, r *http.Request, nth int)
}

type received struct{ authorization, body, path string }

func newAPI(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, nth int)) *api {
	a := &api{answer: answer}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.requests = append(a.requests, received{r.Header.Get("Authorization"), string(body), r.URL.Path})
		nth := len(a.requests)
		a.mu.Unlock()
		if a.answer != nil {
			a.answer(w, r, nth)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *api) got() []received {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]received(nil), a.requests...)
}

// firstRejected answers the first request with a 401, and takes the others.
func firstRejected(w http.ResponseWriter, _ *http.Request, nth int) {
	if nth == 1 {
		w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
		w.Header().Add("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(401)
		io.WriteString(w, "rejected")
	}
}

// body counts how often it is closed.
type body struct {
	io.Reader
	closed *atomic.Int32
}

func (b body) Close() error { b.closed.Add(1); return nil }

// watch counts the answers whose bodies are open.
type watch struct {
	base http.RoundTripper
	open atomic.Int32
	idle atomic.Int32
}

type watchedBody struct {
	io.ReadCloser
	once  sync.Once
	watch *watch
}

func (b *watchedBody) Close() error {
	b.once.Do(func() { b.watch.open.Add(-1) })
	return b.ReadCloser.Close()
}

func (w *watch) CloseIdleConnections() { w.idle.Add(1) }

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.base.RoundTrip(r)
	if err == nil {
		w.open.Add(1)
		response.Body = &watchedBody{ReadCloser: response.Body, watch: w}
	}
	return response, err
}

func request(t *testing.T, method, url string, content io.Reader) *http.Request {
	t.Helper()
	return must[*http.Request](t)(http.NewRequest(method, url, content))
}

// serviceFor is a session whose token may go to those servers.
func serviceFor(t *testing.T, server *testServer, apis ...*api) *jeton.Session {
	config := server.service()
	config.ResourceServers = nil
	for _, a := range apis {
		config.ResourceServers = append(config.ResourceServers, a.URL)
	}
	return newSession(t, config)
}

func TestARequestCarriesTheToken(t *testing.T) {
	server := startServer(t)
	session := newSession(t, server.service())
	original := request(t, "GET", server.API, nil)
	response := must[*http.Response](t)(session.HTTPClient().Do(original))
	defer response.Body.Close()
	check(t, response.StatusCode == 200, "status %d", response.StatusCode)
	check(t, original.Header.Get("Authorization") == "", "the caller's request was changed")
}

func TestTheTransportsRequestMayHaveNoHeader(t *testing.T) {
	server, a := startServer(t), newAPI(t, nil)
	original := request(t, "GET", a.URL, nil)
	original.Header = nil
	response := must[*http.Response](t)((&jeton.Transport{Session: serviceFor(t, server, a)}).RoundTrip(original))
	response.Body.Close()
	check(t, original.Header == nil && a.got()[0].authorization != "", "headers %v", original.Header)
}

func TestARejectedTokenIsReplacedOnce(t *testing.T) {
	server, a := startServer(t), newAPI(t, firstRejected)
	session := serviceFor(t, server, a)
	watched := &watch{base: http.DefaultTransport}
	client := &http.Client{Transport: &jeton.Transport{Session: session, Base: watched}}
	response := must[*http.Response](t)(client.Post(a.URL, "text/plain", strings.NewReader("the body")))
	check(t, response.StatusCode == 200, "status %d", response.StatusCode)
	check(t, watched.open.Load() == 1, "%d answers are open", watched.open.Load())
	response.Body.Close()
	got := a.got()
	check(t, len(got) == 2 && got[0].body == "the body" && got[1].body == "the body", "%v", got)
	check(t, got[0].authorization != got[1].authorization, "the same token again")
	check(t, server.tokenRequests(t) == 2, "%d token requests", server.tokenRequests(t))
	client.CloseIdleConnections()
	check(t, watched.idle.Load() == 1, "idle connections are not closed")
}

func TestATokenThatIsRejectedAgainIsNotReplacedForEver(t *testing.T) {
	server := startServer(t)
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(401) })
	client := serviceFor(t, server, a).HTTPClient()
	for range 5 {
		response := must[*http.Response](t)(client.Get(a.URL))
		response.Body.Close()
		check(t, response.StatusCode == 401, "status %d", response.StatusCode)
	}
	check(t, len(a.got()) == 6 && server.tokenRequests(t) == 2,
		"%d requests, %d tokens", len(a.got()), server.tokenRequests(t))
}

func TestABodyThatCannotBeSentTwiceIsNot(t *testing.T) {
	server, a := startServer(t), newAPI(t, firstRejected)
	session := serviceFor(t, server, a)
	var closed atomic.Int32
	post := request(t, "POST", a.URL, body{strings.NewReader("once"), &closed})
	response := must[*http.Response](t)(session.HTTPClient().Do(post))
	text := must[[]byte](t)(io.ReadAll(response.Body))
	response.Body.Close()
	check(t, response.StatusCode == 401 && string(text) == "rejected", "%d %q", response.StatusCode, text)
	check(t, len(a.got()) == 1 && closed.Load() > 0, "%d requests, closed %d times", len(a.got()), closed.Load())
	// But the next request has another token.
	next := must[*http.Response](t)(session.HTTPClient().Get(a.URL))
	next.Body.Close()
	got := a.got()
	check(t, next.StatusCode == 200 && got[0].authorization != got[1].authorization, "the rejected token again")
}

func TestAFailingGetBodyLeavesTheAnswer(t *testing.T) {
	server, a := startServer(t), newAPI(t, firstRejected)
	post := request(t, "POST", a.URL, strings.NewReader("once"))
	post.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	response := must[*http.Response](t)(serviceFor(t, server, a).HTTPClient().Do(post))
	text := must[[]byte](t)(io.ReadAll(response.Body))
	response.Body.Close()
	check(t, response.StatusCode == 401 && string(text) == "rejected" && len(a.got()) == 1, "%d", response.StatusCode)
}

func TestOtherRefusalsArePassedOn(t *testing.T) {
	server := startServer(t)
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
		w.WriteHeader(map[string]int{"/401": 401, "/403": 403}[r.URL.Path])
	})
	client := serviceFor(t, server, a).HTTPClient()
	for _, path := range []string{"/401", "/403"} {
		response := must[*http.Response](t)(client.Get(a.URL + path))
		response.Body.Close()
	}
	check(t, len(a.got()) == 2 && server.tokenRequests(t) == 1, "%d requests", len(a.got()))
}

func TestIfThereIsNoOtherTokenTheAnswerStays(t *testing.T) {
	server := startServer(t)
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		server.do(t, "fail-next 5 503")
		firstRejected(w, r, nth)
	})
	response := must[*http.Response](t)(serviceFor(t, server, a).HTTPClient().Get(a.URL))
	text := must[[]byte](t)(io.ReadAll(response.Body))
	response.Body.Close()
	check(t, response.StatusCode == 401 && string(text) == "rejected", "%d %q", response.StatusCode, text)
}

func TestIfTheLoginHasEndedTheRequestSaysSo(t *testing.T) {
	server := startServer(t, "--approve")
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request, nth int) {
		server.do(t, "revoke-logins")
		firstRejected(w, r, nth)
	})
	config := server.browser()
	config.ResourceServers = []string{a.URL}
	watched := &watch{base: http.DefaultTransport}
	client := &http.Client{Transport: &jeton.Transport{Session: loggedIn(t, config), Base: watched}}
	var closed atomic.Int32
	post := request(t, "POST", a.URL, body{strings.NewReader("x"), &closed})
	post.GetBody = func() (io.ReadCloser, error) { return body{strings.NewReader("x"), &closed}, nil }
	_, err := client.Do(post)
	check(t, errors.Is(err, jeton.ErrLoginRequired), "%v", err)
	check(t, watched.open.Load() == 0 && closed.Load() >= 2,
		"%d open answers, %d closed bodies", watched.open.Load(), closed.Load())
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	server, ours, foreign := startServer(t), newAPI(t, nil), newAPI(t, nil)
	session := serviceFor(t, server, ours)
	var closed atomic.Int32
	post := request(t, "POST", foreign.URL, body{strings.NewReader("x"), &closed})
	_, err := session.HTTPClient().Do(post)
	check(t, errors.Is(err, jeton.ErrForeignOrigin), "%v", err)
	check(t, len(foreign.got()) == 0 && closed.Load() > 0,
		"%d requests, closed %d times", len(foreign.got()), closed.Load())
	check(t, errors.Is(session.CheckURL(foreign.URL), jeton.ErrForeignOrigin), "%v", session.CheckURL(foreign.URL))
	check(t, session.CheckURL(ours.URL+"/path?query") == nil, "%v", session.CheckURL(ours.URL))
	check(t, server.tokenRequests(t) == 0, "a token was asked for")

	passing := &http.Client{Transport: &jeton.Transport{Session: session, PassForeignOrigins: true}}
	response := must[*http.Response](t)(passing.Get(foreign.URL))
	response.Body.Close()
	check(t, len(foreign.got()) == 1 && foreign.got()[0].authorization == "", "%v", foreign.got())
	response = must[*http.Response](t)(passing.Get(ours.URL))
	response.Body.Close()
	check(t, ours.got()[0].authorization != "", "no token for the resource server")
}

func TestRedirectsTakeTheTokenNoFurtherThanItsOrigin(t *testing.T) {
	server := startServer(t)
	foreign := newAPI(t, nil)
	var ours *api
	ours = newAPI(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		switch r.URL.Path {
		case "/within":
			http.Redirect(w, r, "/landed", http.StatusFound)
		case "/away":
			http.Redirect(w, r, foreign.URL+"/landed", http.StatusTemporaryRedirect)
		}
	})
	also := newAPI(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/to-ours" {
			http.Redirect(w, r, ours.URL+"/away", http.StatusFound)
		} else if r.URL.Path != "/landed" {
			http.Redirect(w, r, ours.URL+"/landed", http.StatusFound)
		}
	})
	client := serviceFor(t, server, ours, also).HTTPClient()
	get := func(url string) {
		t.Helper()
		response := must[*http.Response](t)(client.Get(url))
		response.Body.Close()
		check(t, response.StatusCode == 200, "status %d", response.StatusCode)
	}
	last := func(a *api) received { got := a.got(); return got[len(got)-1] }

	get(ours.URL + "/within")
	check(t, last(ours).path == "/landed" && last(ours).authorization != "", "within the origin: %v", last(ours))
	get(ours.URL + "/away")
	check(t, last(foreign).path == "/landed" && last(foreign).authorization == "",
		"to a foreign origin: %v", last(foreign))
	get(also.URL + "/to-the-other")
	check(t, last(also).authorization != "" && last(ours).path == "/landed" && last(ours).authorization == "",
		"to another resource server: %v", last(ours))
	get(also.URL + "/to-ours")
	check(t, last(ours).path == "/away" && last(ours).authorization == "" && last(foreign).authorization == "",
		"by way of both")
}

func TestARequestThatSaysAlreadyWhoAsksIsRefused(t *testing.T) {
	server, a := startServer(t), newAPI(t, nil)
	client := serviceFor(t, server, a).HTTPClient()
	own := request(t, "GET", a.URL, nil)
	own.Header.Set("Authorization", "Basic eA==")
	user := request(t, "GET", strings.Replace(a.URL, "://", "://user:secret@", 1), nil)
	for _, r := range []*http.Request{own, user} {
		_, err := client.Do(r)
		check(t, errors.Is(err, jeton.ErrRequest) && !containsAny(err.Error(), "secret"), "%v", err)
	}
	check(t, len(a.got()) == 0, "%v", a.got())
}

func TestHostsThatNotEverybodyReadsAlikeAreRefused(t *testing.T) {
	server, a := startServer(t), newAPI(t, nil)
	port := a.URL[strings.LastIndexByte(a.URL, ':'):]
	config := server.service()
	config.ResourceServers = []string{a.URL, "https://b\u00fccher.example", "http://[::1]" + port, "https://4f2a"}
	session := newSession(t, config)
	transport := &jeton.Transport{Session: session, Base: refusing{}}
	for _, url := range []string{
		"http://127.1" + port, "http://0x7f.0.0.1" + port, "http://2130706433" + port, "http://127.0.0.1." + port,
		"http://127.0.0.0x" + port,
		"https://b\u00fccher.example/", "http://[::1%25lo]" + port, "/path",
	} {
		_, err := transport.RoundTrip(request(t, "GET", url, nil))
		check(t, errors.Is(err, jeton.ErrRequest), "%s: %v", url, err)
	}
	for _, url := range []string{"https://xn--bcher-kva.example/", "http://[::1]" + port, "https://4f2a/x", a.URL} {
		_, err := transport.RoundTrip(request(t, "GET", url, nil))
		check(t, errors.Is(err, errSent), "%s: %v", url, err)
	}
	odd := request(t, "GET", a.URL, nil)
	odd.URL = nil
	_, err := transport.RoundTrip(odd)
	check(t, errors.Is(err, jeton.ErrRequest), "%v", err)
	_, err = (&jeton.Transport{}).RoundTrip(request(t, "GET", a.URL, nil))
	check(t, errors.Is(err, jeton.ErrInvalidArgument), "%v", err)
}

var errSent = errors.New("it would have been sent")

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errSent }

func TestTheTransportClosesBodiesWhateverHappens(t *testing.T) {
	server, a := startServer(t), newAPI(t, nil)
	session := serviceFor(t, server, a)
	done, cancel := context.WithCancel(context.Background())
	cancel()
	ended := newSession(t, server.service())
	ended.Close()
	config := jeton.Config{Issuer: server.Issuer, ClientID: server.Public, ResourceServers: []string{a.URL}}
	without := newSession(t, config)
	for name, c := range map[string]struct {
		ctx       context.Context
		transport *jeton.Transport
		want      error
	}{
		"a context that is done": {done, &jeton.Transport{Session: session}, context.Canceled},
		"a closed session":       {context.Background(), &jeton.Transport{Session: ended}, jeton.ErrClosed},
		"no login":               {context.Background(), &jeton.Transport{Session: without}, jeton.ErrLoginRequired},
		"no session":             {context.Background(), &jeton.Transport{}, jeton.ErrInvalidArgument},
	} {
		var closed atomic.Int32
		post := request(t, "POST", a.URL, body{strings.NewReader("x"), &closed}).WithContext(c.ctx)
		_, err := c.transport.RoundTrip(post)
		check(t, errors.Is(err, c.want), "%s: %v", name, err)
		check(t, closed.Load() == 1, "%s: closed %d times", name, closed.Load())
	}
	check(t, len(a.got()) == 0, "something was sent")
}

func TestManyRejectionsCostOneRefresh(t *testing.T) {
	server := startServer(t)
	session := newSession(t, server.service())
	client := session.HTTPClient()
	warm := must[*http.Response](t)(client.Get(server.API))
	warm.Body.Close()
	server.do(t, "revoke-access-tokens")
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			response, err := client.Get(server.API)
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			check(t, response.StatusCode == 200, "status %d", response.StatusCode)
		})
	}
	all.Wait()
	check(t, server.tokenRequests(t) == 2, "%d token requests", server.tokenRequests(t))
}

func TestJudgeForProgramsWithoutTheTransport(t *testing.T) {
	server := startServer(t)
	session := newSession(t, server.service())
	token := must[*jeton.Token](t)(session.Token(background))
	again := must[bool](t)(session.Judge(token, 200, nil))
	check(t, !again, "a token that was taken is to be replaced")
	odd := http.Header{"Www-Authenticate": {"Digest realm=\"\xe9\"",
		"Bearer error=\"invalid_token\", error_description=\"abgel\xe4ufen\""}}
	again = must[bool](t)(session.Judge(token, 401, odd))
	check(t, again, "a rejected token is not to be replaced")
	other := must[*jeton.Token](t)(session.Token(background))
	check(t, other.AccessToken() != token.AccessToken(), "the rejected token again")
	_, err := session.Judge(nil, 401, nil)
	check(t, errors.Is(err, jeton.ErrInvalidArgument), "%v", err)
}
