package jeton

// Store is a store of the program's own. Keys are file-name-safe ASCII of at most 64 characters, one per login. Records
// are bytes to be kept as they are; they hold refresh tokens, so keep them where only this user can read them.
//
// A store may be a [Lister], a [Locker] and a [Describer], too. The library calls one method at a time, on one thread;
// they must not make calls of this package that wait for a token, which would wait for themselves and are refused.
type Store interface {
	// Load gives the record of a key, or nothing if there is none.
	Load(key string) ([]byte, error)
	// Save keeps a record. It is durable when Save returns. The slice is the store's to keep.
	Save(key string, record []byte) error
	// Remove forgets a record. It is no error if there is none.
	Remove(key string) error
}

// Lister is a [Store] that can tell its keys; [Client.Accounts] needs it.
type Lister interface {
	// List gives all keys.
	List() ([]string, error)
}

// Locker is a [Store] that other processes use as well: while a key is locked, nobody else may lock it. Within a
// process the library sees to that itself.
type Locker interface {
	// TryLock reports whether it locked the key. It does not wait.
	TryLock(key string) (bool, error)
	// Unlock gives the key back. It may come shortly after the call that needed the lock has returned.
	Unlock(key string)
}

// Describer is a [Store] that describes itself. One that does not counts as neither persistent nor encrypted.
type Describer interface {
	// Describe is asked once, by [New].
	Describe() StoreInfo
}

// StoreInfo describes a store.
type StoreInfo struct {
	// Description is one line for people.
	Description string
	// Persistent is whether logins outlive the process.
	Persistent bool
	// Encrypted is whether they are encrypted at rest.
	Encrypted bool
}

// customStore is what the library calls back into.
type customStore struct {
	Store
	lister Lister
	locker Locker
	errors *callbackErrors
}
