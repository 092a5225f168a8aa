package jeton

import (
	"context"
	"encoding/json"

	"golang.org/x/oauth2"
)

// TokenSource is the session as an [oauth2.TokenSource]. Its tokens have expiry, type and the answer's other members,
// and no refresh token: the library refreshes. The context ends its calls; a source that is to live on wants one that
// does.
//
// All callers of Token get the same oauth2.Token: do not change it. There is no need to wrap the source in
// oauth2.ReuseTokenSource, which would hold on to a token that a server rejected.
func (s *Session) TokenSource(ctx context.Context) oauth2.TokenSource {
	return &tokenSource{ctx: ctx, session: s}
}

// AdoptOAuth2 is [Session.Adopt] for a token that golang.org/x/oauth2 got, so that nobody has to log in again.
func (s *Session) AdoptOAuth2(ctx context.Context, token *oauth2.Token) (*Token, error) {
	if token == nil {
		return nil, argumentError("there is no token to adopt")
	}
	answer := map[string]any{"token_type": token.Type()}
	if token.AccessToken != "" {
		answer["access_token"] = token.AccessToken
	}
	if token.RefreshToken != "" {
		answer["refresh_token"] = token.RefreshToken
	}
	if !token.Expiry.IsZero() {
		answer["expires_at"] = token.Expiry.Unix()
	}
	if scope, ok := token.Extra("scope").(string); ok {
		answer["scope"] = scope
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, argumentError("the token cannot be written as JSON: %v", err)
	}
	return s.Adopt(ctx, text)
}

type tokenSource struct {
	ctx     context.Context
	session *Session
	err     error
}

func (t *tokenSource) Token() (*oauth2.Token, error) {
	if t.err != nil {
		return nil, t.err
	}
	token, err := t.session.Token(t.ctx)
	if err != nil {
		return nil, err
	}
	return token.inner.toOAuth2(), nil
}
