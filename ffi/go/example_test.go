package jeton_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/jeton-oauth/jeton/ffi/go"
	"golang.org/x/oauth2"
)

// exampleServer is the server of the examples: yours is somewhere else.
var exampleServer *testServer

func withServer(example func()) {
	server, err := newServer("--approve")
	if err != nil {
		log.Fatal(err)
	}
	defer server.stop()
	exampleServer = server
	example()
}

// A service gets its tokens with a secret of its own and calls an API.
func ExampleNew() {
	withServer(func() {
		client, err := jeton.New(jeton.Config{
			Issuer:          exampleServer.Issuer,
			ClientID:        exampleServer.Service,
			ClientSecret:    jeton.Secret(exampleServer.ServiceSecret), // os.Getenv("CLIENT_SECRET")
			Grant:           jeton.GrantClientCredentials,
			ResourceServers: []string{exampleServer.Origin},
		})
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		session, err := client.Session("")
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close()

		response, err := session.HTTPClient().Get(exampleServer.API)
		if err != nil {
			log.Fatal(err)
		}
		defer response.Body.Close()
		fmt.Println(response.Status)
	})
	// Output: 200 OK
}

// A program on a person's machine: the stored login if there is one, or else the browser.
func ExampleSession_LogIn() {
	withServer(func() {
		ctx := context.Background()
		client, err := jeton.New(jeton.Config{
			Issuer:   exampleServer.Issuer,
			ClientID: exampleServer.Public,
			Grant:    jeton.GrantAuthorizationCode,
			Scopes:   []string{"read", "offline_access"},
			Store:    jeton.StoreConfig{Kind: jeton.StoreMemory}, // jeton.StoreAutomatic keeps it
			// Leave this out: the system's browser is the default.
			OpenURL: exampleServer.browser().OpenURL,
		})
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		session, err := client.Session("")
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close()

		token, err := session.Token(ctx)
		if errors.Is(err, jeton.ErrLoginRequired) {
			token, err = session.LogIn(ctx)
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token.Type(), token.Scopes())
	})
	// Output: Bearer [read offline_access]
}

// For libraries that want a token source of golang.org/x/oauth2.
func ExampleClient_TokenSource() {
	withServer(func() {
		client, err := jeton.New(exampleServer.service())
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		httpClient := oauth2.NewClient(context.Background(), client.TokenSource(context.Background()))
		response, err := httpClient.Get(exampleServer.API)
		if err != nil {
			log.Fatal(err)
		}
		defer response.Body.Close()
		fmt.Println(response.Status)
	})
	// Output: 200 OK
}

// The token goes to the client's resource servers only.
func ExampleTransport() {
	withServer(func() {
		client, err := jeton.New(exampleServer.service())
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		session, err := client.Session("")
		if err != nil {
			log.Fatal(err)
		}
		defer session.Close()

		http := &http.Client{Transport: &jeton.Transport{Session: session}}
		_, err = http.Get("https://elsewhere.example/")
		fmt.Println(errors.Is(err, jeton.ErrForeignOrigin))
	})
	// Output: true
}

// What went wrong, for programs.
func ExampleError() {
	withServer(func() {
		config := exampleServer.service()
		config.ClientSecret = "an old one"
		client, err := jeton.New(config)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		_, err = client.TokenSource(context.Background()).Token()
		var failure *jeton.Error
		if errors.As(err, &failure) {
			fmt.Println(failure.Status, failure.Code, failure.HTTPStatus, failure.Recovery)
		}
	})
	// Output: OAUTH invalid_client 401 fix the configuration
}
