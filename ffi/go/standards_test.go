package jeton_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-oauth/jeton/ffi/go"
)

func TestABoundTokenHasAProofInEachRequest(t *testing.T) {
	server := startServer(t)
	config := server.service()
	config.DPoP = true
	config.ResourceServers = []string{server.API}
	session := newSession(t, config)
	token := must[*jeton.Token](t)(session.Token(background))
	check(t, token.Type() == "DPoP", "type %q", token.Type())
	for range 2 {
		response := must[*http.Response](t)(session.HTTPClient().Get(server.API))
		response.Body.Close()
		check(t, response.StatusCode == http.StatusOK, "status %d", response.StatusCode)
	}
	one := must[string](t)(session.DPoPProof(background, "GET", server.API, token))
	other := must[string](t)(session.DPoPProof(background, "GET", server.API, token))
	check(t, one != other && strings.Count(one, ".") == 2, "proofs %q and %q", one, other)
	_, err := session.DPoPProof(background, "GET", "https://elsewhere.example/", token)
	check(t, errors.Is(err, jeton.ErrForeignOrigin), "%v", err)
	header := http.Header{"Dpop-Nonce": {"n1"}, "Www-Authenticate": {`DPoP error="use_dpop_nonce"`}}
	check(t, must[bool](t)(session.DPoPNonce(server.API, http.StatusUnauthorized, header)), "the nonce is not used")
	check(t, !must[bool](t)(session.DPoPNonce(server.API, http.StatusOK, http.Header{})), "nothing was wanted")
}

func TestTheIDTokenTellsWhoLoggedIn(t *testing.T) {
	server := startServer(t, "--approve")
	config := server.browser()
	config.Scopes = []string{"openid"}
	session := newSession(t, config)
	nobody, err := session.IDToken(background)
	check(t, nobody == nil && err == nil, "%v, %v", nobody, err)
	must[*jeton.Token](t)(session.LogIn(background))
	idToken := must[*jeton.IDToken](t)(session.IDToken(background))
	check(t, idToken.Subject == "alice", "subject %q", idToken.Subject)
	var claims map[string]any
	check(t, json.Unmarshal(idToken.Claims, &claims) == nil, "claims %s", idToken.Claims)
	check(t, claims["iss"] == server.Issuer, "claims %v", claims)
}

func TestAClientRegistersItselfOnce(t *testing.T) {
	server := startServer(t, "--registration")
	config := jeton.Config{
		Issuer:         server.Issuer,
		Grant:          jeton.GrantClientCredentials,
		ClientMetadata: `{"client_name":"S","grant_types":["client_credentials"],"response_types":[]}`,
	}
	config.Store.Kind = jeton.StoreFile
	config.Store.Folder = t.TempDir() + "/logins"
	client := must[*jeton.Client](t)(jeton.Register(background, config))
	defer client.Close()
	session := must[*jeton.Session](t)(client.Session(""))
	defer session.Close()
	must[*jeton.Token](t)(session.Token(background))
	again := must[*jeton.Client](t)(jeton.Register(background, config))
	defer again.Close()
	check(t, client.ID() != "" && client.ID() == again.ID(), "%q and %q", client.ID(), again.ID())
	config.ClientID = "mine"
	_, err := jeton.Register(background, config)
	check(t, errors.Is(err, jeton.ErrConfiguration), "%v", err)
}

func TestAnAPIIsFoundFromItsURLAlone(t *testing.T) {
	server := startServer(t, "--approve", "--registration", "--resource-metadata")
	var asked []jeton.ServerPrompt
	approves := true
	config := jeton.Config{
		ClientMetadata: `{"client_name":"A","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none",
			"grant_types":["authorization_code","refresh_token"]}`,
		OpenURL: server.browser().OpenURL,
		ApproveServer: func(prompt jeton.ServerPrompt) (bool, error) {
			asked = append(asked, prompt)
			return approves, nil
		},
	}
	client := must[*jeton.ResourceClient](t)(jeton.NewResourceClient(config))
	defer client.Close()
	response := must[*http.Response](t)(client.Get(background, server.API))
	body := must[[]byte](t)(io.ReadAll(response.Body))
	check(t, response.StatusCode == http.StatusOK && strings.Contains(string(body), "alice"), "%d: %s", response.StatusCode, body)
	header := http.Header{"Content-Type": {"text/plain"}}
	response = must[*http.Response](t)(client.Do(background, "POST", server.API, header, []byte("x")))
	check(t, response.StatusCode == http.StatusOK, "status %d", response.StatusCode)
	check(t, len(asked) == 1 && asked[0].Issuer == server.Issuer, "asked %+v", asked)

	approves = false
	stranger := must[*jeton.ResourceClient](t)(jeton.NewResourceClient(config))
	defer stranger.Close()
	_, err := stranger.Get(background, server.API)
	check(t, err != nil && len(asked) > 1, "%v after %+v", err, asked)
}

func TestASignersErrorComesBack(t *testing.T) {
	server := startServer(t)
	config := server.service()
	config.ClientSecret = ""
	config.Authentication = jeton.AuthenticationPrivateKeyJWT
	locked := errors.New("the module is locked")
	config.Signer = &jeton.Signer{Algorithm: "ES256", Sign: func([]byte) ([]byte, error) { return nil, locked }}
	_, err := newSession(t, config).Token(background)
	check(t, errors.Is(err, locked), "%v", err)
	config.Signer = &jeton.Signer{Algorithm: "ES256"}
	_, err = jeton.New(config)
	check(t, err != nil, "a signer that cannot sign was taken")
}
