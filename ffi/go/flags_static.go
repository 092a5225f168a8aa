//go:build jeton_static && !jeton_repo

package jeton

// #cgo pkg-config: jeton-static
import "C"
