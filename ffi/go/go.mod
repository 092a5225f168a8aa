// The module path is provisional: it becomes the place where the package is published.
module github.com/jeton-oauth/jeton/ffi/go

go 1.26.0

require golang.org/x/oauth2 v0.37.0
