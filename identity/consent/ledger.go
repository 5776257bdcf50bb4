package consent

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"crypto/ed25519"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// saltSize: with 32 random bytes before it, a leaf cannot be guessed from its hash once the salt is destroyed (R23).
const saltSize = 32

// ledger appends to the Merkle log. The hash of an entry is SHA-256(0x00 || salt || leaf), RFC 6962's with our record.
type ledger struct {
	rand   io.Reader
	signer note.Signer
}

type hashReader struct{ tx Tx }

// ReadHashes implements tlog.HashReader.
func (h hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	return h.tx.LedgerHashes(indexes)
}

func (g ledger) append(tx Tx, l *Leaf) (int64, error) {
	leaf, err := l.Bytes()
	if err != nil {
		return 0, err
	}
	n, err := tx.LedgerSize()
	if err != nil {
		return 0, fmt.Errorf("reading the ledger's size: %w", err)
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(g.rand, salt); err != nil {
		return 0, fmt.Errorf("salting a ledger entry: %w", err)
	}
	hashes, err := tlog.StoredHashes(n, record(salt, leaf), hashReader{tx})
	if err != nil {
		return 0, fmt.Errorf("hashing a ledger entry: %w", err)
	}
	if err := tx.LedgerAppend(&Entry{Index: n, Who: l.Who, Salt: salt, Leaf: leaf}, hashes); err != nil {
		return 0, fmt.Errorf("appending to the ledger: %w", err)
	}
	// Every size has its signature: whatever is cut off or changed later contradicts one of them.
	cp, err := g.checkpoint(tx, n+1)
	if err != nil {
		return 0, err
	}
	return n, tx.PutLedgerCheckpoint(n+1, cp)
}

func record(salt, leaf []byte) []byte {
	return append(append(make([]byte, 0, len(salt)+len(leaf)), salt...), leaf...)
}

// checkpoint signs the tree of size n as a C2SP tlog-checkpoint.
func (g ledger) checkpoint(tx Tx, n int64) (string, error) {
	root, err := treeHash(tx, n)
	if err != nil {
		return "", err
	}
	text := g.signer.Name() + "\n" + strconv.FormatInt(n, 10) + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"
	msg, err := note.Sign(&note.Note{Text: text}, g.signer)
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint: %w", err)
	}
	return string(msg), nil
}

func treeHash(tx Tx, n int64) (tlog.Hash, error) {
	if n == 0 {
		return tlog.Hash(sha256.Sum256(nil)), nil
	}
	root, err := tlog.TreeHash(n, hashReader{tx})
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("computing the ledger's root: %w", err)
	}
	return root, nil
}

// openCheckpoint verifies a checkpoint and reads its tree.
func openCheckpoint(msg string, v note.Verifier) (tlog.Tree, error) {
	n, err := note.Open([]byte(msg), note.VerifierList(v))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("verifying a checkpoint: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return tlog.Tree{}, fmt.Errorf("verifying a checkpoint: not one of this ledger")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("verifying a checkpoint: bad size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("verifying a checkpoint: bad root")
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

// NewLogKey makes the checkpoint signer from a 32-byte Ed25519 seed, and the verifier key to publish beside it. The name
// is the ledger's origin, such as "bridge.example/consent".
func NewLogKey(name string, seed []byte) (note.Signer, string, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, "", fmt.Errorf("making the ledger's key: a seed has %d bytes, not %d", ed25519.SeedSize, len(seed))
	}
	pub, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		return nil, "", fmt.Errorf("making the ledger's key: no public half")
	}
	verifier, err := note.NewEd25519VerifierKey(name, pub)
	if err != nil {
		return nil, "", fmt.Errorf("making the ledger's key: %w", err)
	}
	const algEd25519 = 1 // see package note
	sum := sha256.Sum256(append([]byte(name+"\n"), append([]byte{algEd25519}, pub...)...))
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, binary.BigEndian.Uint32(sum[:]),
		base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, seed...)))
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, "", fmt.Errorf("making the ledger's key: %w", err)
	}
	return signer, verifier, nil
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// VerifierKey is the public half of a signer key as NewLogKey and note.GenerateKey make them.
func VerifierKey(skey string) (string, error) {
	bad := errors.New("not a signer key of this ledger")
	rest, ok := strings.CutPrefix(strings.TrimSpace(skey), "PRIVATE+KEY+")
	parts := strings.SplitN(rest, "+", 3) // a name has no plus, base64 may
	if !ok || len(parts) != 3 {
		return "", bad
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", bad
	}
	_, verifier, err := NewLogKey(parts[0], key[1:])
	return verifier, err
}
