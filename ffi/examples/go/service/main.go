// Calls an API as a service, which has a secret of its own (RFC 6749 section 4.4):
// CLIENT_SECRET=... go run . https://as.example my-service https://api.example/me
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/jeton-oauth/jeton/ffi/go"
)

func main() {
	secret := os.Getenv("CLIENT_SECRET")
	if len(os.Args) != 4 || secret == "" {
		log.Fatalf("usage: CLIENT_SECRET=... %s ISSUER CLIENT_ID API_URL", os.Args[0])
	}
	if err := callAPI(os.Args[1], os.Args[2], jeton.Secret(secret), os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func callAPI(issuer, clientID string, secret jeton.Secret, api string) error {
	client, err := jeton.New(jeton.Config{
		Issuer: issuer, ClientID: clientID, ClientSecret: secret, Scopes: []string{"read"}, ResourceServers: []string{api},
		Grant: jeton.GrantClientCredentials,
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
	// The token is fetched, kept until it expires, and sent to the API's server only.
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
	return err
}
