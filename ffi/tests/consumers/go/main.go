// A program of somebody else: logs in as a service and calls an API. Arguments: issuer, client id, secret, API.
package main

import (
	"fmt"
	"net/http"
	"os"

	jeton "github.com/jeton-oauth/jeton/ffi/go"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 4 {
		return fmt.Errorf("four arguments are needed")
	}
	client, err := jeton.New(jeton.Config{
		Issuer:          arguments[0],
		ClientID:        arguments[1],
		ClientSecret:    jeton.Secret(arguments[2]),
		Grant:           jeton.GrantClientCredentials,
		ResourceServers: []string{arguments[3]},
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
	answer, err := session.HTTPClient().Get(arguments[3])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println("HTTP", answer.StatusCode)
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", answer.StatusCode)
	}
	return nil
}
