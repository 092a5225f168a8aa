// Package jeton keeps OAuth 2.0 logins valid: sign in once, stay signed in, and share the login, its store and its
// refreshes with every other program on the machine that uses libjeton, be it written in Rust, C, C++ or Go.
//
// A [Client] is a configuration; a [Session] is one login of it. [Session.Token] gives a valid access token: the cached
// one, or a refreshed one. However many goroutines and processes ask, an expired token costs one request, and a refresh
// token is never spent twice.
//
//	client, err := jeton.New(jeton.Config{
//		Issuer:          "https://login.example",
//		ClientID:        "my-program",
//		Grant:           jeton.GrantAuthorizationCode,
//		Scopes:          []string{"notes:read"},
//		ResourceServers: []string{"https://api.example"},
//		Store:           jeton.StoreConfig{Kind: jeton.StoreFile},
//	})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	session, err := client.Session("")
//	if err != nil {
//		return err
//	}
//	defer session.Close()
//	_, err = session.Token(ctx)
//	if errors.Is(err, jeton.ErrLoginRequired) {
//		_, err = session.LogIn(ctx) // opens the browser
//	}
//	if err != nil {
//		return err
//	}
//	answer, err := session.HTTPClient().Get("https://api.example/notes")
//
// [Session.TokenSource] is an oauth2.TokenSource of golang.org/x/oauth2, for libraries that want one. [Transport] is
// a [net/http.RoundTripper] that sends the token to the client's resource servers and nowhere else, and replaces it
// once if a server rejects it.
//
// # Errors
//
// Errors of the library are of type [*Error]; errors.Is knows [ErrLoginRequired] and its kin, context.Canceled and
// context.DeadlineExceeded where the context ended the call, and whatever error a callback of the program returned.
//
// # Goroutines, contexts, closing
//
// Clients, sessions, tokens and pending logins may be used from any number of goroutines. A context that is done ends
// the call at once; a refresh that the server has already been asked for still comes to its end, so that no answer is
// lost. Close may be called at any time and more than once: calls that run go on, later ones answer [ErrClosed]. What
// nobody closes is freed some time after it became unreachable.
//
// Callbacks run on threads of the library, one goroutine each. What they return as error comes back from the call
// that caused them; a panic in a callback becomes an error, too ([PanicError]). They must not call [runtime.Goexit],
// as testing.T.FailNow does: that ends the program. Callbacks other than those of a [Store] may call this package.
//
// # Building
//
// The package is cgo and needs a C compiler. By default `pkg-config jeton` says where header and library are. With
// the build tag jeton_static the library becomes part of the program (`pkg-config jeton-static`). With jeton_repo,
// for work in the library's own repository, they are taken from include/ and target/debug there; CGO_LDFLAGS goes
// before that if the library was built elsewhere.
//
// Go's build cache sees no changes outside of Go: after the library was updated or moved, build once with `go build
// -a`.
//
// Access tokens become Go strings, which nobody can wipe. Nothing here prints them: not the errors, and not [fmt]
// with any verb on any type of this package.
package jeton
