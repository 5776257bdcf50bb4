package identity

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	masterSize  = 32
	keyIDSize   = 4
	sealVersion = 1
	sealHeader  = 1 + keyIDSize + chacha20poly1305.NonceSizeX
	// maxMasters bounds the file: one that seals and those that still open what was sealed before a rotation.
	maxMasters = 16
)

// ErrSealed says that a sealed value does not open: other key, other row, other purpose, or damage.
var ErrSealed = errors.New("the sealed value does not open")

// Keyring seals secrets for rows of the database with XChaCha20-Poly1305. Each purpose has its own subkey (HKDF-SHA-256
// of the master key), and purpose and row are authenticated, so a value moved to another row or column does not open.
// The master key is never in the database. A Keyring is safe for concurrent use.
type Keyring struct {
	masters []master

	mu      sync.Mutex
	subkeys map[string][]byte
}

type master struct {
	id  [keyIDSize]byte
	key []byte
}

// NewKeyring makes a keyring from master keys of 32 bytes. The first seals, all of them open.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) == 0 || len(keys) > maxMasters {
		return nil, fmt.Errorf("a keyring needs 1 to %d master keys, not %d", maxMasters, len(keys))
	}
	k := &Keyring{subkeys: map[string][]byte{}}
	for _, key := range keys {
		if len(key) != masterSize {
			return nil, fmt.Errorf("a master key has %d bytes, not %d", masterSize, len(key))
		}
		id, err := hkdf.Key(sha256.New, key, nil, "footbridge key id", keyIDSize)
		if err != nil {
			return nil, fmt.Errorf("deriving a key id: %w", err)
		}
		k.masters = append(k.masters, master{[keyIDSize]byte(id), bytes.Clone(key)})
	}
	return k, nil
}

// OpenKeyring reads the master key file, one key a line in base64, newest first. Lines that start with # are comments.
func OpenKeyring(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening the master key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the master key file %s may be read by others: chmod 600 it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	var keys [][]byte
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, errors.New("the master key file has a line that is not base64")
		}
		keys = append(keys, key)
	}
	return NewKeyring(keys...)
}

// CreateKeyring opens the master key file, after making one with a fresh key (mode 0600) if there is none.
func CreateKeyring(path string) (*Keyring, error) {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return OpenKeyring(path)
	}
	key := make([]byte, masterSize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("drawing a master key: %w", err)
	}
	if err := writeMaster(path, base64.StdEncoding.EncodeToString(key)+"\n"); err != nil {
		return nil, fmt.Errorf("writing the master key: %w", err)
	}
	return OpenKeyring(path)
}

// RotateMaster puts a fresh key in front of those in the file; values sealed before still open. Reseal says which rows
// need sealing again before the old line may be removed.
func RotateMaster(path string) (*Keyring, error) {
	old, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	key := make([]byte, masterSize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("drawing a master key: %w", err)
	}
	next := path + ".next"
	if err := writeMaster(next, base64.StdEncoding.EncodeToString(key)+"\n"+string(old)); err != nil {
		return nil, fmt.Errorf("writing the master key: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return nil, fmt.Errorf("replacing the master key: %w", err)
	}
	return OpenKeyring(path)
}

// writeMaster makes a file that is on disk, whole and private before anything is sealed with what is in it.
func writeMaster(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// Seal encrypts plain for one row and one purpose. The purpose names table and column, such as "sealed_key/repo".
func (k *Keyring) Seal(purpose, row string, plain []byte) ([]byte, error) {
	m := k.masters[0]
	sub, err := k.subkey(m, purpose)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sub)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	out := make([]byte, sealHeader, sealHeader+len(plain)+chacha20poly1305.Overhead)
	out[0] = sealVersion
	copy(out[1:], m.id[:])
	nonce := out[1+keyIDSize : sealHeader]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	return aead.Seal(out, nonce, plain, additional(purpose, row)), nil
}

// Open decrypts what Seal made for the same purpose and row; anything else is ErrSealed.
func (k *Keyring) Open(purpose, row string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	for _, m := range k.masters {
		if !bytes.Equal(m.id[:], sealed[1:1+keyIDSize]) {
			continue
		}
		sub, err := k.subkey(m, purpose)
		if err != nil {
			return nil, err
		}
		aead, err := chacha20poly1305.NewX(sub)
		if err != nil {
			return nil, fmt.Errorf("opening: %w", err)
		}
		plain, err := aead.Open(nil, sealed[1+keyIDSize:sealHeader], sealed[sealHeader:], additional(purpose, row))
		if err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// Stale reports whether a value was sealed with another key than the newest.
func (k *Keyring) Stale(sealed []byte) bool {
	return len(sealed) < sealHeader || !bytes.Equal(k.masters[0].id[:], sealed[1:1+keyIDSize])
}

// Derive gives 32 bytes for a purpose that is not sealing, such as a code or a cookie key. They change with the master.
func (k *Keyring) Derive(purpose string) ([]byte, error) {
	return k.subkey(k.masters[0], "derive/"+purpose)
}

func (k *Keyring) subkey(m master, purpose string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := string(m.id[:]) + purpose
	if sub, ok := k.subkeys[name]; ok {
		return sub, nil
	}
	sub, err := hkdf.Key(sha256.New, m.key, nil, "footbridge seal "+purpose, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a subkey: %w", err)
	}
	k.subkeys[name] = sub
	return sub, nil
}

// additional joins purpose and row unambiguously: no purpose has a NUL.
func additional(purpose, row string) []byte {
	return []byte(purpose + "\x00" + row)
}

// SigningKey is a K-256 private key.
type SigningKey = atcrypto.PrivateKeyK256

// The purposes of sealed keys.
const (
	KeyRepo     = "repo"     // signs commits and service auth of the copy
	KeyRotation = "rotation" // signs PLC operations of the copy
)

// NewKey makes a K-256 key and keeps it sealed.
func (k *Keyring) NewKey(tx KeyTx, owner, purpose string) (*atcrypto.PrivateKeyK256, error) {
	key, err := atcrypto.GeneratePrivateKeyK256()
	if err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	return key, k.PutKey(tx, owner, purpose, key)
}

// PutKey keeps a K-256 key sealed.
func (k *Keyring) PutKey(tx KeyTx, owner, purpose string, key *atcrypto.PrivateKeyK256) error {
	sealed, err := k.Seal("sealed_key/"+purpose, owner, key.Bytes())
	if err != nil {
		return err
	}
	return tx.PutSealedKey(owner, purpose, sealed)
}

// Key opens a K-256 key. Parsing costs 50 us: callers that sign often keep it.
func (k *Keyring) Key(tx KeyTx, owner, purpose string) (*atcrypto.PrivateKeyK256, error) {
	sealed, err := tx.SealedKey(owner, purpose)
	if err != nil {
		return nil, err
	}
	raw, err := k.Open("sealed_key/"+purpose, owner, sealed)
	if err != nil {
		return nil, err
	}
	return atcrypto.ParsePrivateBytesK256(raw)
}
