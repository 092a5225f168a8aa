package jeton

// #include <jeton.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Status is the kind of an [Error].
type Status int32

// The kinds of errors. Each has an error of its own for errors.Is, such as [ErrLoginRequired].
const (
	StatusInvalidArgument Status = C.JETON_ERROR_INVALID_ARGUMENT
	StatusConfiguration   Status = C.JETON_ERROR_CONFIGURATION
	StatusLoginRequired   Status = C.JETON_ERROR_LOGIN_REQUIRED
	StatusCancelled       Status = C.JETON_ERROR_CANCELLED
	StatusNetwork         Status = C.JETON_ERROR_NETWORK
	StatusOAuth           Status = C.JETON_ERROR_OAUTH
	StatusAnswer          Status = C.JETON_ERROR_ANSWER
	StatusStore           Status = C.JETON_ERROR_STORE
	StatusBackingOff      Status = C.JETON_ERROR_BACKING_OFF
	StatusForeignOrigin   Status = C.JETON_ERROR_FOREIGN_ORIGIN
	StatusRequest         Status = C.JETON_ERROR_REQUEST
	StatusInteraction     Status = C.JETON_ERROR_INTERACTION
	StatusCallback        Status = C.JETON_ERROR_CALLBACK
	StatusUnsupported     Status = C.JETON_ERROR_UNSUPPORTED
	StatusInternal        Status = C.JETON_ERROR_INTERNAL
)

// String is the status's name, such as "LOGIN_REQUIRED".
func (s Status) String() string {
	return C.GoString(C.jeton_status_name(C.int32_t(s)))
}

// What errors.Is compares with: each matches every [*Error] of its status.
var (
	// ErrInvalidArgument: an argument is not usable, or the call is not possible in this state.
	ErrInvalidArgument error = &kind{StatusInvalidArgument, "invalid argument"}
	// ErrConfiguration: the configuration has to be mended.
	ErrConfiguration error = &kind{StatusConfiguration, "configuration"}
	// ErrLoginRequired: nobody is logged in, or the login has ended. Call [Session.LogIn].
	ErrLoginRequired error = &kind{StatusLoginRequired, "login required"}
	// ErrCancelled: the context ended the call, or the person gave up the login.
	ErrCancelled error = &kind{StatusCancelled, "cancelled"}
	// ErrNetwork: the authorization server did not answer.
	ErrNetwork error = &kind{StatusNetwork, "network"}
	// ErrOAuth: the authorization server answered an OAuth error; [Error.Code] says which.
	ErrOAuth error = &kind{StatusOAuth, "OAuth error"}
	// ErrAnswer: the authorization server's answer cannot be used.
	ErrAnswer error = &kind{StatusAnswer, "answer"}
	// ErrStore: the store cannot be read or written.
	ErrStore error = &kind{StatusStore, "store"}
	// ErrBackingOff: too early after a failure; nothing was sent. [Error.RetryAfter] says how long to wait.
	ErrBackingOff error = &kind{StatusBackingOff, "backing off"}
	// ErrForeignOrigin: the URL is on none of the client's resource servers, so the token does not go there.
	ErrForeignOrigin error = &kind{StatusForeignOrigin, "foreign origin"}
	// ErrRequest: a request cannot be sent as it is.
	ErrRequest error = &kind{StatusRequest, "request"}
	// ErrInteraction: the person could not be reached, or did not answer in time.
	ErrInteraction error = &kind{StatusInteraction, "interaction"}
	// ErrCallback: a callback of the program returned an error, which errors.Is and errors.As find as well.
	ErrCallback error = &kind{StatusCallback, "callback"}
	// ErrUnsupported: this build of the library lacks the feature.
	ErrUnsupported error = &kind{StatusUnsupported, "unsupported"}
	// ErrInternal: a defect of the library.
	ErrInternal error = &kind{StatusInternal, "internal"}
)

// ErrClosed is what the methods of a [Client] or [Session] answer after its Close.
var ErrClosed = errors.New("jeton: closed already")

type kind struct {
	status Status
	text   string
}

func (k *kind) Error() string { return "jeton: " + k.text }

// Recovery is what can be done about an [Error].
type Recovery int32

// What can be done about an error.
const (
	// RecoveryRetry: the same call may work later.
	RecoveryRetry Recovery = C.JETON_RECOVERY_RETRY
	// RecoveryLogIn: a person has to log in: [Session.LogIn].
	RecoveryLogIn Recovery = C.JETON_RECOVERY_LOG_IN
	// RecoveryFixRequest: the call or request is wrong.
	RecoveryFixRequest Recovery = C.JETON_RECOVERY_FIX_REQUEST
	// RecoveryFixConfiguration: the configuration is wrong, here or at the server.
	RecoveryFixConfiguration Recovery = C.JETON_RECOVERY_FIX_CONFIGURATION
	// RecoveryGiveUp: nothing that the program can do.
	RecoveryGiveUp Recovery = C.JETON_RECOVERY_GIVE_UP
)

// String is the recovery's name, such as "log in".
func (r Recovery) String() string {
	switch r {
	case RecoveryRetry:
		return "retry"
	case RecoveryLogIn:
		return "log in"
	case RecoveryFixRequest:
		return "fix the request"
	case RecoveryFixConfiguration:
		return "fix the configuration"
	case RecoveryGiveUp:
		return "give up"
	default:
		return fmt.Sprintf("recovery %d", int32(r))
	}
}

// Error is what went wrong in the library. No field shows a secret.
type Error struct {
	// Status is the kind of error.
	Status Status
	// Recovery is what can be done about it.
	Recovery Recovery
	// Message says what was wrong and what to do, for people.
	Message string
	// Code, Description and URI are the members `error`, `error_description` and `error_uri` of the server's answer
	// (RFC 6749 §5.2), or empty.
	Code, Description, URI string
	// HTTPStatus is that of the server's answer, or 0.
	HTTPStatus int
	// RetryAfter is how long to wait before the next try, or 0 if nobody said.
	RetryAfter time.Duration

	causes []error
}

// Error is the message, with the error of a callback or a context behind it.
func (e *Error) Error() string {
	text := "jeton: " + e.Message
	if len(e.causes) > 0 {
		text += ": " + e.causes[0].Error()
	}
	return text
}

// Is reports whether target is the error of this error's status, such as [ErrLoginRequired].
func (e *Error) Is(target error) bool {
	k, ok := target.(*kind)
	return ok && k.status == e.Status
}

// Unwrap gives the error of a callback, or of the context that ended the call.
func (e *Error) Unwrap() []error { return e.causes }

// PanicError is a panic in a callback, as the call that caused the callback returns it (errors.As finds it).
type PanicError struct {
	// Value is what the callback panicked with.
	Value any
	// Stack is the stack of the callback's goroutine.
	Stack []byte
}

func newPanicError(value any) *PanicError { return &PanicError{Value: value, Stack: debug.Stack()} }

// Error says that a callback panicked, and with what.
func (e *PanicError) Error() string { return fmt.Sprintf("a callback panicked: %v", e.Value) }

// Unwrap gives the value of the panic if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// takeError makes an error of a status and the library's error, and frees the latter.
func takeError(status C.int32_t, raw *C.jeton_error, callbacks *callbackErrors, ctx context.Context) error {
	defer C.jeton_error_free(raw)
	if status == C.JETON_OK {
		return nil
	}
	err := &Error{
		Status:      Status(status),
		Recovery:    Recovery(C.jeton_error_recovery(raw)),
		Message:     inGoWords(C.GoString(C.jeton_error_message(raw))),
		Code:        C.GoString(C.jeton_error_oauth_code(raw)),
		Description: C.GoString(C.jeton_error_oauth_description(raw)),
		URI:         C.GoString(C.jeton_error_oauth_uri(raw)),
		HTTPStatus:  int(C.jeton_error_http_status(raw)),
	}
	if wait := int64(C.jeton_error_retry_after_ms(raw)); wait > 0 {
		err.RetryAfter = time.Duration(wait) * time.Millisecond
	}
	if cause := callbacks.find(int32(C.jeton_error_callback_result(raw))); cause != nil {
		err.causes = append(err.causes, cause)
	}
	// A person may give up a login, too: then the context is as it was.
	if err.Status == StatusCancelled && ctx != nil && ctx.Err() != nil {
		err.causes = append(err.causes, contextCauses(ctx)...)
	}
	return err
}

func argumentError(format string, arguments ...any) error {
	return &Error{
		Status:   StatusInvalidArgument,
		Recovery: RecoveryFixRequest,
		Message:  fmt.Sprintf(format, arguments...),
	}
}

// contextError is the error of a call that its context ended.
func contextError(ctx context.Context) error {
	return &Error{
		Status:   StatusCancelled,
		Recovery: RecoveryRetry,
		Message:  "the context ended the call",
		causes:   contextCauses(ctx),
	}
}

func contextCauses(ctx context.Context) []error {
	causes := []error{ctx.Err()}
	if cause := context.Cause(ctx); cause != ctx.Err() {
		causes = append(causes, cause)
	}
	return causes
}

// callbackErrors remembers the errors of a client's callbacks while they go through C, where each is a number. An error
// may be asked for more than once (many calls may wait for one refresh), or never: the latest ones are kept.
type callbackErrors struct {
	mu     sync.Mutex
	latest [64]struct {
		code int32
		err  error
	}
	count int32
}

// Codes begin above the results that C gives a meaning to.
const firstCallbackCode = 1000

func (c *callbackErrors) keep(err error) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	place := &c.latest[int(c.count)%len(c.latest)]
	place.code, place.err = firstCallbackCode+c.count, err
	c.count = (c.count + 1) % (1 << 30)
	return place.code
}

func (c *callbackErrors) find(code int32) error {
	if c == nil || code < firstCallbackCode {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kept := range c.latest {
		if kept.code == code {
			return kept.err
		}
	}
	return nil
}
