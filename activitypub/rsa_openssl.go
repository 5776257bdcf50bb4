//go:build openssl && cgo

package activitypub

/*
#cgo LDFLAGS: -lcrypto
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static EVP_PKEY *fb_load(const unsigned char *der, long n) {
	return d2i_AutoPrivateKey(NULL, &der, n);
}

static int fb_sign(EVP_PKEY *key, const unsigned char *digest, size_t n, unsigned char *out, size_t *outlen) {
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int ok = ctx != NULL && EVP_PKEY_sign_init(ctx) > 0 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0 &&
		EVP_PKEY_sign(ctx, out, outlen, digest, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"unsafe"
)

// opensslKey signs PKCS #1 v1.5 with SHA-256 by libcrypto and leaves everything else to Go.
type opensslKey struct {
	key *C.EVP_PKEY
	std *rsa.PrivateKey
}

// accelerate gives libcrypto's signer for a key, or Go's own if libcrypto does not take it.
func accelerate(k *rsa.PrivateKey) crypto.Signer {
	der := x509.MarshalPKCS1PrivateKey(k)
	loaded := C.fb_load((*C.uchar)(unsafe.Pointer(&der[0])), C.long(len(der)))
	clear(der)
	if loaded == nil {
		return k
	}
	s := &opensslKey{loaded, k}
	runtime.AddCleanup(s, func(p *C.EVP_PKEY) { C.EVP_PKEY_free(p) }, loaded)
	return s
}

// plainRSA is the key behind a signer of accelerate.
func plainRSA(s crypto.Signer) crypto.Signer {
	if k, ok := s.(*opensslKey); ok {
		return k.std
	}
	return s
}

// Public implements crypto.Signer.
func (k *opensslKey) Public() crypto.PublicKey { return k.std.Public() }

// Sign implements crypto.Signer.
func (k *opensslKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return k.std.Sign(rand, digest, opts)
	}
	out := make([]byte, k.std.Size())
	n := C.size_t(len(out))
	ok := C.fb_sign(k.key, (*C.uchar)(unsafe.Pointer(&digest[0])), C.size_t(len(digest)), (*C.uchar)(unsafe.Pointer(&out[0])), &n)
	runtime.KeepAlive(k)
	if ok != 1 {
		return nil, errors.New("libcrypto did not sign")
	}
	return out[:n], nil
}
