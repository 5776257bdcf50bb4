// Package atprototest is a whole ATmosphere on loopback: a PLC directory, PDSes, a relay, an AppView and a chat service, each a
// real HTTP server in this process. They are stricter than the real ones (the relay refuses what the real one only warns
// of; the AppView validates records against the lexicons and checks every blob) and ruder on demand. They work without a
// testing.T. The package judges what is sent to it with code of its own and must not use package atproto's verifier.
package atprototest
