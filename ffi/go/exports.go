package jeton

// What the library calls. No definitions may stand in this preamble, as cgo copies it.

/*
#include <jeton.h>

// Go has no const: the declarations that cgo makes of the functions below have to be those of callbacks.go.
typedef const char jeton_go_char;
typedef const uint8_t jeton_go_byte;
typedef const jeton_device_prompt jeton_go_device_prompt;
typedef const jeton_event jeton_go_event;
typedef const jeton_server_prompt jeton_go_server_prompt;
typedef struct { uintptr_t handle; } jeton_go_exported_userdata;
*/
import "C"

import (
	"context"
	"errors"
	"log/slog"
	"runtime/cgo"
	"time"
	"unsafe"
)

// value is what was registered for a callback.
func value[T any](userdata unsafe.Pointer) T {
	return cgo.Handle((*C.jeton_go_exported_userdata)(userdata).handle).Value().(T)
}

// guarded runs a callback: its error, or its panic, goes through C as a number and is found again on the other side.
func guarded(kept *callbackErrors, callback func() error) (result C.int32_t) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = C.int32_t(kept.keep(newPanicError(panicked)))
		}
	}()
	if err := callback(); err != nil {
		return C.int32_t(kept.keep(err))
	}
	return 0
}

// harmless runs a callback that has no way to fail. Its panics are logged, for there is nobody else to tell.
func harmless(what string, callback func()) {
	defer func() {
		if panicked := recover(); panicked != nil {
			stack := string(newPanicError(panicked).Stack)
			slog.Error("jeton: a callback panicked", "callback", what, "panic", panicked, "stack", stack)
		}
	}()
	callback()
}

//export jetonGoOpenURL
func jetonGoOpenURL(userdata unsafe.Pointer, url *C.jeton_go_char) C.int32_t {
	interaction := value[*interaction](userdata)
	return guarded(interaction.errors, func() error { return interaction.openURL(C.GoString(url)) })
}

//export jetonGoDeviceCode
func jetonGoDeviceCode(userdata unsafe.Pointer, prompt *C.jeton_go_device_prompt) C.int32_t {
	interaction := value[*interaction](userdata)
	return guarded(interaction.errors, func() error {
		return interaction.deviceCode(DevicePrompt{
			UserCode:                C.GoString(prompt.user_code),
			VerificationURI:         C.GoString(prompt.verification_uri),
			VerificationURIComplete: C.GoString(prompt.verification_uri_complete),
			Expiry:                  moment(int64(prompt.expires_at_ms)),
		})
	})
}

//export jetonGoDeviceCodePending
func jetonGoDeviceCodePending(userdata unsafe.Pointer, remaining C.int64_t) C.int32_t {
	interaction := value[*interaction](userdata)
	return guarded(interaction.errors, func() error {
		return interaction.deviceCodePending(time.Duration(remaining) * time.Millisecond)
	})
}

//export jetonGoLoginEnded
func jetonGoLoginEnded(userdata unsafe.Pointer, status C.int32_t, message *C.jeton_go_char) {
	interaction := value[*interaction](userdata)
	harmless("LoginEnded", func() {
		if status == C.JETON_OK {
			interaction.loginEnded(nil)
			return
		}
		interaction.loginEnded(&Error{Status: Status(status), Message: inGoWords(C.GoString(message))})
	})
}

//export jetonGoApproveServer
func jetonGoApproveServer(userdata unsafe.Pointer, prompt *C.jeton_go_server_prompt, approved *C.int32_t) C.int32_t {
	interaction := value[*interaction](userdata)
	return guarded(interaction.errors, func() error {
		yes, err := interaction.approveServer(ServerPrompt{
			Resource:     C.GoString(prompt.resource),
			Issuer:       C.GoString(prompt.issuer),
			FormerIssuer: C.GoString(prompt.former_issuer),
		})
		if yes && err == nil {
			*approved = 1
		}
		return err
	})
}

//export jetonGoSign
func jetonGoSign(userdata unsafe.Pointer, message *C.jeton_go_byte, length C.size_t, signature *C.uint8_t,
	capacity C.size_t, signatureLength *C.size_t) C.int32_t {
	signer := value[*goSigner](userdata)
	return guarded(signer.errors, func() error {
		copied := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(message)), int(length))...)
		made, err := signer.sign(copied)
		if err != nil {
			return err
		}
		if len(made) > int(capacity) {
			return errors.New("the signature is longer than any algorithm's")
		}
		*signatureLength = C.size_t(copy(unsafe.Slice((*byte)(unsafe.Pointer(signature)), int(capacity)), made))
		return nil
	})
}

//export jetonGoEvent
func jetonGoEvent(userdata unsafe.Pointer, event *C.jeton_go_event) {
	onEvent := value[func(Event)](userdata)
	harmless("OnEvent", func() {
		onEvent(Event{
			Kind:    EventKind(event.kind),
			Account: C.GoString(event.account),
			Message: inGoWords(C.GoString(event.message)),
		})
	})
}

//export jetonGoLog
func jetonGoLog(userdata unsafe.Pointer, level C.int32_t, target, message *C.jeton_go_char) {
	logger := value[*slog.Logger](userdata)
	harmless("SetLogger", func() {
		for _, known := range logLevels {
			if known.ours == level {
				logger.Log(context.Background(), known.level, C.GoString(message), "target", C.GoString(target))
				return
			}
		}
	})
}

//export jetonGoLoad
func jetonGoLoad(userdata unsafe.Pointer, key *C.jeton_go_char, sink *C.jeton_sink) C.int32_t {
	store := value[*customStore](userdata)
	return guarded(store.errors, func() error {
		record, err := store.Load(C.GoString(key))
		if err != nil || len(record) == 0 {
			return err
		}
		return write(sink, record)
	})
}

//export jetonGoSave
func jetonGoSave(userdata unsafe.Pointer, key *C.jeton_go_char, record *C.jeton_go_byte, length C.size_t) C.int32_t {
	store := value[*customStore](userdata)
	return guarded(store.errors, func() error {
		copied := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(record)), int(length))...)
		return store.Save(C.GoString(key), copied)
	})
}

//export jetonGoRemove
func jetonGoRemove(userdata unsafe.Pointer, key *C.jeton_go_char) C.int32_t {
	store := value[*customStore](userdata)
	return guarded(store.errors, func() error { return store.Remove(C.GoString(key)) })
}

//export jetonGoList
func jetonGoList(userdata unsafe.Pointer, sink *C.jeton_sink) C.int32_t {
	store := value[*customStore](userdata)
	return guarded(store.errors, func() error {
		keys, err := store.lister.List()
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := write(sink, []byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

//export jetonGoTryLock
func jetonGoTryLock(userdata unsafe.Pointer, key *C.jeton_go_char) C.int32_t {
	store := value[*customStore](userdata)
	busy := false
	result := guarded(store.errors, func() error {
		locked, err := store.locker.TryLock(C.GoString(key))
		busy = !locked
		return err
	})
	if result == 0 && busy {
		return C.JETON_STORE_BUSY
	}
	return result
}

//export jetonGoUnlock
func jetonGoUnlock(userdata unsafe.Pointer, key *C.jeton_go_char) {
	store := value[*customStore](userdata)
	harmless("Unlock", func() { store.locker.Unlock(C.GoString(key)) })
}

//export jetonGoDestroy
func jetonGoDestroy(userdata unsafe.Pointer) {
	unregisterPointer(userdata)
}

func write(sink *C.jeton_sink, value []byte) error {
	ptr, length := bytes(value)
	if status := C.jeton_sink_write(sink, ptr, length); status != C.JETON_OK {
		return errors.New("the library did not take what the store loaded: " + Status(status).String())
	}
	return nil
}
