package jeton

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEachOptionHasItsNameInGo(t *testing.T) {
	header, err := os.ReadFile(filepath.Join("..", "..", "include", "jeton.h"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	constant := regexp.MustCompile(`#define (JETON_(?:OPTION|GRANT|STORE|AUTHENTICATION)_\w+)`)
	for _, match := range constant.FindAllStringSubmatch(string(header), -1) {
		if match[1] == "JETON_STORE_BUSY" {
			continue // of a store's callbacks
		}
		found++
		if goNames[match[1]] == "" {
			t.Errorf("%s has no name in Go", match[1])
		}
	}
	for name := range goNames {
		whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
		if name != "JETON_OPTION_.._ENDPOINT" && !whole.Match(header) {
			t.Errorf("the header has no %s", name)
		}
	}
	if found < 50 {
		t.Errorf("only %d constants in the header", found)
	}
}

func TestTheLibrarysTextsComeInTheWordsOfGo(t *testing.T) {
	for text, want := range map[string]string{
		"nobody has logged in yet; call jeton_session_log_in":       "nobody has logged in yet; call Session.LogIn",
		"set JETON_OPTION_ISSUER, or its JETON_OPTION_.._ENDPOINT.": "set Config.Issuer, or its Config.Endpoints.",
		"jeton_unknown and JETON_UNKNOWN stay":                      "jeton_unknown and JETON_UNKNOWN stay",
		"the server says no":                                        "the server says no",
	} {
		if got := inGoWords(text); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	_, err := New(Config{ClientID: "x"})
	if err == nil || strings.Contains(err.Error(), "JETON_") || !strings.Contains(err.Error(), "Config.Issuer") {
		t.Errorf("%v", err)
	}
}
