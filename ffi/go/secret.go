package jeton

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that is not printed: not by [fmt] with any verb, not by [log/slog], not as JSON.
// Convert it with string(secret) where it is needed.
type Secret string

const redacted = "[redacted]"

// Format prints that there is a secret, or nothing for an empty one.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		io.WriteString(f, redacted)
	}
}

// LogValue is what log/slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalText keeps the secret out of JSON and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(s)), nil }
