package jeton

// Where header and library are: see "Building" in the package's documentation.

// #cgo !jeton_static,!jeton_repo pkg-config: jeton
// #cgo jeton_static,!jeton_repo pkg-config: jeton-static
// #cgo jeton_repo CFLAGS: -I${SRCDIR}/../../include
// #cgo jeton_repo LDFLAGS: -L${SRCDIR}/../../target/debug -Wl,-rpath,${SRCDIR}/../../target/debug -ljeton
import "C"
