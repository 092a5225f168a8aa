// Logs a person in with the system's browser (RFC 8252) and calls an API. Later runs use the stored login:
// go run . https://as.example my-program https://api.example/me
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/jeton-oauth/jeton/ffi/go"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatalf("usage: %s ISSUER CLIENT_ID API_URL", os.Args[0])
	}
	if err := callAPI(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func callAPI(ctx context.Context, issuer, clientID, api string) error {
	client, err := jeton.New(jeton.Config{
		Issuer: issuer, ClientID: clientID, Scopes: []string{"read", "offline_access"}, ResourceServers: []string{api},
		Grant: jeton.GrantAuthorizationCode, Store: jeton.StoreConfig{Kind: jeton.StoreFile},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.Session("")
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err = session.Token(ctx); errors.Is(err, jeton.ErrLoginRequired) {
		_, err = session.LogIn(ctx)
	}
	if err != nil {
		return err
	}
	response, err := session.HTTPClient().Get(api)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%d %s\n", response.StatusCode, body)
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("the API answered %s", response.Status)
	}
	return errors.Join(err, session.PersistError()) // is the login kept?
}
