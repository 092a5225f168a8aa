//! Sealed stores over a keychain of the tests: creation, loss, rotation, and a death at each point of both.
