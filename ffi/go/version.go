package jeton

// #include <stdlib.h>
// #include <jeton.h>
import "C"

import (
	"strings"
	"unsafe"
)

// HeaderVersion is the version of the header that this package was compiled with.
const HeaderVersion = C.JETON_VERSION

// Version is the version of the library that is loaded, such as "0.1.0".
func Version() string {
	return C.GoString(C.jeton_version())
}

// VersionNumber is the version of the library that is loaded as major<<16 | minor<<8 | patch.
func VersionNumber() uint32 {
	return uint32(C.jeton_version_number())
}

// HasFeature reports whether the library that is loaded has a feature. A name with a NUL in it is none.
func HasFeature(name string) bool {
	if strings.IndexByte(name, 0) >= 0 {
		return false
	}
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	return C.jeton_has_feature(cName) == 1
}
