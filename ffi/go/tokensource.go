package jeton

import (
	"context"

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
