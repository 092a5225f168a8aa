package jeton

import (
	"fmt"
	"testing"
)

func TestVersionIsTheHeaders(t *testing.T) {
	if Version() != HeaderVersion {
		t.Fatalf("library %s, header %s", Version(), HeaderVersion)
	}
	number := VersionNumber()
	parts := fmt.Sprintf("%d.%d.%d", number>>16, number>>8&255, number&255)
	if len(parts) > len(Version()) || Version()[:len(parts)] != parts {
		t.Fatalf("number %s, string %s", parts, Version())
	}
}

func TestHasFeature(t *testing.T) {
	for name, want := range map[string]bool{
		"version":       true,
		"no such":       false,
		"":              false,
		"\xff\xfe":      false,
		"version\x00 x": false,
	} {
		if got := HasFeature(name); got != want {
			t.Errorf("HasFeature(%q) = %v, want %v", name, got, want)
		}
	}
}
