//! What OAuth 2.0 needs of JOSE: signing keys that may live elsewhere, signed JWTs, JWK sets, and verification with pinned
//! algorithms.
