//go:build !openssl || !cgo

package activitypub

import (
	"crypto"
	"crypto/rsa"
)

// accelerate gives the signer for a key: Go's own. Built with the tag openssl it is libcrypto's, several times as fast.
func accelerate(k *rsa.PrivateKey) crypto.Signer { return k }

// plainRSA is the key behind a signer of accelerate.
func plainRSA(s crypto.Signer) crypto.Signer { return s }
