module github.com/jeton-oauth/jeton/tests/four_languages/go

go 1.26.0

require github.com/jeton-oauth/jeton/ffi/go v0.0.0

require golang.org/x/oauth2 v0.37.0 // indirect

replace github.com/jeton-oauth/jeton/ffi/go => ../../../ffi/go
