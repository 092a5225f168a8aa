// Measured, not used: no program needs this module.
module github.com/jeton-oauth/jeton/ffi/bench/go

go 1.26.0

require (
	github.com/jeton-oauth/jeton/ffi/go v0.0.0
	golang.org/x/oauth2 v0.37.0
)

replace github.com/jeton-oauth/jeton/ffi/go => ../../go
