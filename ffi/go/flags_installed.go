//go:build !jeton_static && !jeton_repo

package jeton

// A file for each way to build: Go's build cache tells files apart, but not what pkg-config says.

// #cgo pkg-config: jeton
import "C"
