package jeton_test

import (
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// The cached token beside that of golang.org/x/oauth2 itself:
//
//	go test -bench=Cached -run='^$' ./...
func BenchmarkCachedToken(b *testing.B) {
	server := startServer(b)
	session := newSession(b, server.service())
	if _, err := session.Token(background); err != nil {
		b.Fatal(err)
	}
	b.Run("Session.Cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found := session.Cached(); !found {
				b.Fatal("no cached token")
			}
		}
	})
	b.Run("Session.Token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := session.Token(background); err != nil {
				b.Fatal(err)
			}
		}
	})
	reuse := oauth2.ReuseTokenSource(nil, oauth2.StaticTokenSource(&oauth2.Token{
		AccessToken: "static", Expiry: time.Now().Add(time.Hour),
	}))
	for name, source := range map[string]oauth2.TokenSource{
		"TokenSource":             session.TokenSource(background),
		"oauth2.ReuseTokenSource": reuse,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := source.Token(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := source.Token(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
