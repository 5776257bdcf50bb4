package identity

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// Limits of the PLC directory: a DAG-CBOR encoded operation, and the length of its lists.
const (
	maxOpSize = 4000
	maxOpKeys = 10
)

// Operation is a did:plc operation (did-method-plc, "Operation Serialization, Signing, and Validation"). A tombstone has
// the type "plc_tombstone" and only Prev.
type Operation struct {
	Type string `json:"type"`
	// RotationKeys are did:key strings, the highest authority first.
	RotationKeys []string `json:"rotationKeys,omitempty"`
	// VerificationMethods maps a name ("atproto") to a did:key.
	VerificationMethods map[string]string  `json:"verificationMethods,omitempty"`
	AlsoKnownAs         []string           `json:"alsoKnownAs,omitempty"`
	Services            map[string]Service `json:"services,omitempty"`
	// Prev is the CID of the operation before, nil in a genesis.
	Prev *string `json:"prev"`
	Sig  string  `json:"sig,omitempty"`
}

// Service is an entry of the DID document.
type Service struct {
	Type     string `json:"type"`
	Endpoint string `json:"endpoint"`
}

const (
	opOperation = "plc_operation"
	opTombstone = "plc_tombstone"
)

// GenesisInput says what a new DID is made of.
type GenesisInput struct {
	// Signing is the repo's key.
	Signing atcrypto.PublicKey
	// Rotation signs the operation; it is the bridge's own key.
	Rotation atcrypto.PrivateKey
	// UserRotation is an optional did:key held by the person alone. It stands above ours, so that they can leave
	// even a hostile or dead operator.
	UserRotation string
	// Backup are further did:keys of the operator, below ours.
	Backup []string
	Handle syntax.Handle
	// PDS is the public base URL of this host.
	PDS string
}

// NewGenesis builds and signs the first operation of a DID and computes the DID. It is deterministic but for the
// signature, so it must be stored before it is sent: another run gives another DID.
func NewGenesis(in GenesisInput) (syntax.DID, Operation, error) {
	rotation, err := in.Rotation.PublicKey()
	if err != nil {
		return "", Operation{}, fmt.Errorf("reading the rotation key: %w", err)
	}
	var keys []string
	if in.UserRotation != "" {
		keys = append(keys, in.UserRotation)
	}
	keys = append(append(keys, rotation.DIDKey()), in.Backup...)
	op := Operation{
		Type: opOperation, RotationKeys: keys,
		VerificationMethods: map[string]string{"atproto": in.Signing.DIDKey()},
		AlsoKnownAs:         []string{"at://" + in.Handle.Normalize().String()},
		Services:            map[string]Service{"atproto_pds": {Type: "AtprotoPersonalDataServer", Endpoint: in.PDS}},
	}
	if err := op.Sign(in.Rotation); err != nil {
		return "", Operation{}, err
	}
	did, err := op.DID()
	return did, op, err
}

// Next starts an operation that follows op and, until changed, says the same.
func (op Operation) Next() (Operation, error) {
	if op.Type != opOperation {
		return Operation{}, fmt.Errorf("nothing follows a %.20q", op.Type)
	}
	prev, err := op.CID()
	if err != nil {
		return Operation{}, err
	}
	op.Prev, op.Sig = &prev, ""
	op.RotationKeys = append([]string(nil), op.RotationKeys...)
	op.AlsoKnownAs = append([]string(nil), op.AlsoKnownAs...)
	methods, services := map[string]string{}, map[string]Service{}
	for k, v := range op.VerificationMethods {
		methods[k] = v
	}
	for k, v := range op.Services {
		services[k] = v
	}
	op.VerificationMethods, op.Services = methods, services
	return op, nil
}

// SetHandle puts the handle first and keeps aliases that are not handles.
func (op *Operation) SetHandle(h syntax.Handle) {
	aka := []string{"at://" + h.Normalize().String()}
	for _, a := range op.AlsoKnownAs {
		if !strings.HasPrefix(a, "at://") {
			aka = append(aka, a)
		}
	}
	op.AlsoKnownAs = aka
}

// SetUserKey puts a did:key that the person alone holds above all others, and takes an earlier one of theirs away; ours
// are those given. An empty user key leaves only ours.
func (op *Operation) SetUserKey(user string, ours ...string) {
	keys := make([]string, 0, len(ours)+1)
	if user != "" {
		keys = append(keys, user)
	}
	op.RotationKeys = append(keys, ours...)
}

// Tombstone builds and signs the operation that ends the DID after op.
func (op Operation) Tombstone(key atcrypto.PrivateKey) (Operation, error) {
	prev, err := op.CID()
	if err != nil {
		return Operation{}, err
	}
	t := Operation{Type: opTombstone, Prev: &prev}
	return t, t.Sign(key)
}

// Sign checks the operation and signs it with one of its rotation keys (for an update: one of those before).
func (op *Operation) Sign(key atcrypto.PrivateKey) error {
	op.Sig = ""
	if err := op.check(); err != nil {
		return fmt.Errorf("signing a PLC operation: %w", err)
	}
	b, err := op.bytes()
	if err != nil {
		return err
	}
	sig, err := key.HashAndSign(b)
	if err != nil {
		return fmt.Errorf("signing a PLC operation: %w", err)
	}
	op.Sig = base64.RawURLEncoding.EncodeToString(sig)
	return nil
}

// Verify reports whether one of the keys, did:key strings, signed the operation, and which.
func (op Operation) Verify(rotationKeys []string) (string, error) {
	sig, err := base64.RawURLEncoding.DecodeString(op.Sig)
	if err != nil || op.Sig == "" {
		return "", errors.New("the PLC operation has no readable signature")
	}
	op.Sig = ""
	b, err := op.bytes()
	if err != nil {
		return "", err
	}
	for _, k := range rotationKeys {
		pub, err := atcrypto.ParsePublicDIDKey(k)
		if err == nil && pub.HashAndVerify(b, sig) == nil {
			return k, nil
		}
	}
	return "", errors.New("no rotation key signed the PLC operation")
}

func (op Operation) check() error {
	if op.Type == opTombstone {
		return nil
	}
	if n := len(op.RotationKeys); n == 0 || n > maxOpKeys {
		return fmt.Errorf("%d rotation keys, 1 to %d are allowed", n, maxOpKeys)
	}
	for i, k := range op.RotationKeys {
		if _, err := atcrypto.ParsePublicDIDKey(k); err != nil {
			return fmt.Errorf("rotation key: %w", err)
		}
		for _, other := range op.RotationKeys[:i] {
			if k == other {
				return errors.New("a rotation key is there twice")
			}
		}
	}
	for _, s := range op.Services {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" {
			return errors.New("a service endpoint is not a URL")
		}
	}
	return nil
}

// bytes is the DAG-CBOR encoding, with the signature only if there is one.
func (op Operation) bytes() ([]byte, error) {
	m := map[string]any{"type": op.Type, "prev": nil}
	if op.Prev != nil {
		m["prev"] = *op.Prev
	}
	if op.Sig != "" {
		m["sig"] = op.Sig
	}
	if op.Type != opTombstone {
		methods, services := map[string]any{}, map[string]any{}
		for k, v := range op.VerificationMethods {
			methods[k] = v
		}
		for k, v := range op.Services {
			services[k] = map[string]any{"type": v.Type, "endpoint": v.Endpoint}
		}
		m["rotationKeys"], m["alsoKnownAs"] = anys(op.RotationKeys), anys(op.AlsoKnownAs)
		m["verificationMethods"], m["services"] = methods, services
	}
	b, err := atdata.MarshalCBOR(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a PLC operation: %w", err)
	}
	if len(b) > maxOpSize {
		return nil, fmt.Errorf("the PLC operation has %d bytes, the directory takes %d", len(b), maxOpSize)
	}
	return b, nil
}

func anys(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// CID names the signed operation; the next one's Prev.
func (op Operation) CID() (string, error) {
	b, err := op.signed()
	if err != nil {
		return "", err
	}
	c, err := cid.NewPrefixV1(cid.DagCBOR, multihash.SHA2_256).Sum(b)
	if err != nil {
		return "", fmt.Errorf("hashing a PLC operation: %w", err)
	}
	return c.String(), nil
}

// DID is computed from a signed genesis.
func (op Operation) DID() (syntax.DID, error) {
	if op.Prev != nil {
		return "", errors.New("only a genesis names a DID")
	}
	b, err := op.signed()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	name := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
	return syntax.DID("did:plc:" + name[:24]), nil
}

func (op Operation) signed() ([]byte, error) {
	if op.Sig == "" {
		return nil, errors.New("the PLC operation is not signed")
	}
	return op.bytes()
}

// MarshalJSON writes what the directory takes: a tombstone has no lists, an operation has all of them.
func (op Operation) MarshalJSON() ([]byte, error) {
	if op.Type == opTombstone {
		return json.Marshal(struct {
			Type string  `json:"type"`
			Prev *string `json:"prev"`
			Sig  string  `json:"sig,omitempty"`
		}{op.Type, op.Prev, op.Sig})
	}
	return json.Marshal(struct {
		Type                string             `json:"type"`
		RotationKeys        []string           `json:"rotationKeys"`
		VerificationMethods map[string]string  `json:"verificationMethods"`
		AlsoKnownAs         []string           `json:"alsoKnownAs"`
		Services            map[string]Service `json:"services"`
		Prev                *string            `json:"prev"`
		Sig                 string             `json:"sig,omitempty"`
	}{op.Type, nonNil(op.RotationKeys), op.VerificationMethods, nonNil(op.AlsoKnownAs), op.Services, op.Prev, op.Sig})
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// ParseOperation reads an operation from the directory's or a client's JSON.
func ParseOperation(b []byte) (Operation, error) {
	var op Operation
	if len(b) > 4*maxOpSize {
		return op, errors.New("the PLC operation is too large")
	}
	if err := json.Unmarshal(b, &op); err != nil {
		return op, fmt.Errorf("reading a PLC operation: %w", err)
	}
	if op.Type != opOperation && op.Type != opTombstone {
		return op, fmt.Errorf("unknown PLC operation type %.20q", op.Type)
	}
	return op, op.check()
}

// Stored makes the row that is kept before the operation is sent.
func (op Operation) Stored(did syntax.DID) (StoredOp, error) {
	c, err := op.CID()
	if err != nil {
		return StoredOp{}, err
	}
	b, err := json.Marshal(op)
	return StoredOp{DID: did, CID: c, Op: b}, err
}
