package jeton

// #include <stdlib.h>
// #include <string.h>
// #include <jeton.h>
import "C"

import (
	"context"
	"strings"
	"sync/atomic"
	"unsafe"
)

// handle owns something of the library's and frees it when it is closed and the last call that uses it has ended.
type handle[P any] struct {
	ptr   P
	free  func(P)
	state atomic.Int64
	freed atomic.Bool
}

const closedBit = 1 << 62

func newHandle[P any](ptr P, free func(P)) *handle[P] { return &handle[P]{ptr: ptr, free: free} }

// closeUnreachable is for what nobody closed. Freeing may wait for a refresh, and other cleanups must not.
func closeUnreachable[P any](h *handle[P]) { go h.close() }

// acquire reports whether the handle may be used; then release has to follow.
func (h *handle[P]) acquire() bool {
	if h.state.Add(1)&closedBit == 0 {
		return true
	}
	h.release()
	return false
}

func (h *handle[P]) release() {
	// Callers that come too late count up and down as well: the handle is freed at the first time that nobody is left.
	if h.state.Add(-1) == closedBit && h.freed.CompareAndSwap(false, true) {
		h.free(h.ptr)
	}
}

// close reports whether it was this very call that closed the handle.
func (h *handle[P]) close() bool {
	// Like a call that is under way, so that release frees the handle.
	for {
		state := h.state.Load()
		if state&closedBit != 0 {
			return false
		}
		if h.state.CompareAndSwap(state, (state|closedBit)+1) {
			h.release()
			return true
		}
	}
}

// texts are strings that live in C's memory for a call. They are wiped before they are freed, for some are secrets.
type texts struct {
	all []*C.char
	err error
}

// c gives a string to C. What C cannot take is noted in err: look at it before the call.
func (t *texts) c(what, value string) *C.char {
	if strings.IndexByte(value, 0) >= 0 {
		if t.err == nil {
			t.err = argumentError("%s has a NUL character in it", what)
		}
		return nil
	}
	text := C.CString(value)
	t.all = append(t.all, text)
	return text
}

func (t *texts) free() {
	for _, text := range t.all {
		C.memset(unsafe.Pointer(text), 0, C.strlen(text))
		C.free(unsafe.Pointer(text))
	}
	t.all = nil
}

// bytes gives bytes to C for a call, without copying them.
func bytes(value []byte) (*C.uint8_t, C.size_t) {
	// Never NULL: no bytes at all is a value, too.
	if len(value) == 0 {
		return (*C.uint8_t)(unsafe.Pointer(&nothing)), 0
	}
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(value))), C.size_t(len(value))
}

var nothing byte

// interruptible runs a call that blocks and that the context can end. A context that is done already starts nothing.
func interruptible(ctx context.Context, call func(cancel *C.jeton_cancel) error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if ctx.Done() == nil {
		return call(nil)
	}
	cancel := C.jeton_cancel_new()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		C.jeton_cancel_cancel(cancel)
		close(cancelled)
	})
	err := call(cancel)
	if !stop() {
		<-cancelled
	}
	C.jeton_cancel_free(cancel)
	return err
}

// A call that blocks in C takes an operating system thread, of which Go has 10,000 before it gives up. Calls that
// wait for a server or a lock, and so for a limited time, take one of these places first.
var places = make(chan struct{}, 500)

// waiting is interruptible for such calls.
func waiting(ctx context.Context, call func(cancel *C.jeton_cancel) error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return contextError(ctx)
	}
	defer func() { <-places }()
	return interruptible(ctx, call)
}
