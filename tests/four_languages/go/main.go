// The Go program of four that share a login: calls the API until its standard input is closed.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jeton-oauth/jeton/ffi/go"
)

func main() {
	log.SetPrefix("Go: ")
	calls, err := call(os.Getenv("SHARED_API"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(calls)
}

func call(api string) (int, error) {
	store := jeton.StoreConfig{Kind: jeton.StoreFile, Folder: os.Getenv("SHARED_FOLDER")}
	if service := os.Getenv("SHARED_SERVICE"); service != "" {
		store = jeton.StoreConfig{Kind: jeton.StoreKeyring, Service: service}
	}
	client, err := jeton.New(jeton.Config{
		Issuer: os.Getenv("SHARED_ISSUER"), ClientID: os.Getenv("SHARED_CLIENT"), ResourceServers: []string{api},
		Grant: jeton.GrantAuthorizationCode, Store: store,
	})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	session, err := client.Session("")
	if err != nil {
		return 0, err
	}
	defer session.Close()

	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(closed)
	}()
	httpClient := session.HTTPClient()
	for calls := 0; ; calls++ {
		select {
		case <-closed:
			return calls, nil
		case <-time.After(20 * time.Millisecond):
		}
		response, err := httpClient.Get(api)
		if err != nil {
			return calls, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return calls, fmt.Errorf("the API answered %s", response.Status)
		}
	}
}
