package jeton

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Transport is an [http.RoundTripper] whose requests carry a session's token.
//
//   - The token goes to the client's resource servers ([Config.ResourceServers]) and nowhere else. Any other request
//     is refused with [ErrForeignOrigin] before anything is sent, or goes out without the token if PassForeignOrigins
//     is set.
//   - Redirects that an [http.Client] follows keep the token within the origin; to any other origin, be it another of
//     the client's resource servers, the request goes on without it.
//   - A request that brings an Authorization header of its own, or a user name in its URL, is refused with
//     [ErrRequest]: neither is silently sent in the place of the other.
//   - On 401 invalid_token the token is replaced and the request is sent once more, if it has no body or a GetBody.
//     Any other answer, a 403 among them, is passed on.
type Transport struct {
	// Session is whose token is sent.
	Session *Session
	// Base sends the requests; nil: http.DefaultTransport.
	Base http.RoundTripper
	// PassForeignOrigins sends requests to others than the client's resource servers, as they are and without the
	// token.
	PassForeignOrigins bool
}

// What is read of an answer before it is thrown away, so that its connection can be used again.
const drained = 64 << 10

// RoundTrip sends the request with the session's token. It leaves the request as it is.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	bare, err := t.goesBare(request)
	if err != nil {
		return nil, refused(request, err)
	}
	if bare {
		return t.base().RoundTrip(request)
	}
	token, err := t.Session.Token(request.Context())
	if err != nil {
		return nil, refused(request, err)
	}
	response, err := t.send(request, token, request.Body)
	if err != nil {
		return nil, err
	}
	tryAgain, err := t.Session.Judge(token, response.StatusCode, response.Header)
	// That the session was closed meanwhile does not make the answer any worse.
	if err != nil || !tryAgain {
		return response, nil
	}
	body, ok := bodyAgain(request)
	if !ok {
		return response, nil
	}
	another, err := t.Session.Token(request.Context())
	if err != nil {
		closeBody(body)
		if errors.Is(err, ErrLoginRequired) || request.Context().Err() != nil {
			response.Body.Close()
			return nil, err
		}
		// The server's own answer says more than that there is no other token.
		return response, nil
	}
	io.CopyN(io.Discard, response.Body, drained)
	response.Body.Close()
	response, err = t.send(request, another, body)
	if err != nil {
		return nil, err
	}
	t.Session.Judge(another, response.StatusCode, response.Header)
	return response, nil
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if closer, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// goesBare tells whether the request goes on without the token.
func (t *Transport) goesBare(request *http.Request) (bool, error) {
	if t.Session == nil {
		return false, argumentError("the Transport has no Session")
	}
	if request.URL == nil {
		return false, requestError("the request has no URL")
	}
	if hasLeftOrigin(request) {
		return true, nil
	}
	origin, err := plainOrigin(request.URL)
	if err == nil {
		err = t.Session.CheckURL(origin)
	}
	if err != nil {
		return t.PassForeignOrigins && errors.Is(err, ErrForeignOrigin), skipIf(t.PassForeignOrigins, err)
	}
	if request.URL.User != nil || len(request.Header.Values("Authorization")) > 0 {
		return false, requestError("the request has an Authorization header, or a user name in its URL, of its own; " +
			"leave it out to have the session's token sent, or send the request without the session")
	}
	return false, nil
}

func skipIf(pass bool, err error) error {
	if pass && errors.Is(err, ErrForeignOrigin) {
		return nil
	}
	return err
}

// hasLeftOrigin tells whether an http.Client came here by a redirect from another origin.
func hasLeftOrigin(request *http.Request) bool {
	for step := request; step.Response != nil && step.Response.Request != nil; step = step.Response.Request {
		from := step.Response.Request
		if from.URL == nil || originOf(from.URL) != originOf(request.URL) {
			return true
		}
	}
	return false
}

func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme+"://"+u.Hostname()) + ":" + port
}

// plainOrigin is where the request will go, if everybody reads that alike: what net/http connects to must be what the
// library checks.
func plainOrigin(u *url.URL) (string, error) {
	host := u.Hostname()
	address, err := netip.ParseAddr(host)
	isAddress := err == nil && address.Zone() == ""
	plain := func(r rune) bool {
		return strings.ContainsRune(".-_", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	switch {
	case isAddress:
	case host == "" || strings.IndexFunc(host, func(r rune) bool { return !plain(r) }) >= 0,
		// `127.1`, `0x7f.1`: some take these for addresses.
		last == "" || isNumber(last):
		return "", requestError("the host of the request's URL is spelled in a way that not everybody reads alike; " +
			"write a plain host name (xn-- for other alphabets) or address")
	}
	return u.Scheme + "://" + u.Host + "/", nil
}

// isNumber is as the URL standard has it for the last part of a host that is an address.
func isNumber(part string) bool {
	digits, allowed := strings.ToLower(part), "0123456789"
	if hex, found := strings.CutPrefix(digits, "0x"); found {
		digits, allowed = hex, "0123456789abcdef"
	}
	return strings.Trim(digits, allowed) == ""
}

func requestError(message string) error {
	return &Error{Status: StatusRequest, Recovery: RecoveryFixRequest, Message: message}
}

// send sends the request with the token and, if that is bound, a proof; once more where the server wants to see a nonce in it.
func (t *Transport) send(request *http.Request, token *Token, body io.ReadCloser) (*http.Response, error) {
	if token.Type() != "DPoP" {
		return t.base().RoundTrip(with(request, token, body))
	}
	response, err := t.prove(request, token, body)
	if err != nil {
		return nil, err
	}
	wanted, err := t.Session.DPoPNonce(request.URL.String(), response.StatusCode, response.Header)
	if err != nil || !wanted {
		return response, nil
	}
	again, ok := bodyAgain(request)
	if !ok {
		return response, nil
	}
	io.CopyN(io.Discard, response.Body, drained)
	response.Body.Close()
	response, err = t.prove(request, token, again)
	if err == nil {
		t.Session.DPoPNonce(request.URL.String(), response.StatusCode, response.Header)
	}
	return response, err
}

func (t *Transport) prove(request *http.Request, token *Token, body io.ReadCloser) (*http.Response, error) {
	proof, err := t.Session.DPoPProof(request.Context(), methodOf(request), request.URL.String(), token)
	if err != nil {
		closeBody(body)
		return nil, err
	}
	sent := with(request, token, body)
	sent.Header.Set("DPoP", proof)
	return t.base().RoundTrip(sent)
}

// methodOf is the request's method; none is GET.
func methodOf(request *http.Request) string {
	if request.Method == "" {
		return http.MethodGet
	}
	return request.Method
}

// with is the request with the token. A RoundTripper must not change the one that it was given.
func with(request *http.Request, token *Token, body io.ReadCloser) *http.Request {
	clone := request.Clone(request.Context())
	if clone.Header == nil {
		clone.Header = http.Header{}
	}
	clone.Header.Set("Authorization", token.Authorization())
	clone.Body = body
	return clone
}

// bodyAgain gives the request's body a second time, if that can be had.
func bodyAgain(request *http.Request) (io.ReadCloser, bool) {
	if request.Body == nil || request.Body == http.NoBody {
		return request.Body, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	return body, err == nil
}

// refused closes the body, as a RoundTripper has to whatever happens.
func refused(request *http.Request, err error) error {
	closeBody(request.Body)
	return err
}

func closeBody(body io.Closer) {
	if body != nil {
		body.Close()
	}
}
