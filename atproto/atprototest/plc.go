package atprototest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/atdata"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// PLC is a PLC directory: https://web.plc.directory/spec/v0.1/did-plc.
type PLC struct {
	server
	now func() time.Time

	mu   sync.Mutex
	logs map[string][]plcEntry
}

type plcEntry struct {
	op        map[string]any
	cid       string
	at        time.Time
	signer    int // index of the rotation key that signed
	nullified bool
}

// recoveryWindow is how long a higher key may undo what a lower one did.
const recoveryWindow = 72 * time.Hour

func (p *PLC) start(addr string, now func() time.Time) error {
	p.now, p.logs = now, map[string][]plcEntry{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_health", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]string{"version": "fake"}) })
	mux.HandleFunc("POST /{did}", p.submit)
	mux.HandleFunc("GET /{did}", p.document)
	mux.HandleFunc("GET /{did}/data", p.data)
	mux.HandleFunc("GET /{did}/log", p.log)
	mux.HandleFunc("GET /{did}/log/last", p.last)
	mux.HandleFunc("GET /{did}/log/audit", p.audit)
	return p.listen(addr, mux)
}

func plcFail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (p *PLC) submit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		plcFail(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := p.Submit(r.PathValue("did"), body); err != nil {
		plcFail(w, http.StatusBadRequest, err.Error())
		return
	}
	w.WriteHeader(http.StatusOK)
}

// Submit validates and appends an operation.
func (p *PLC) Submit(did string, body []byte) error {
	op, err := atdata.UnmarshalJSON(body)
	if err != nil {
		return fmt.Errorf("not an operation: %w", err)
	}
	signed, err := atdata.MarshalCBOR(op)
	if err != nil {
		return fmt.Errorf("encoding the operation: %w", err)
	}
	if len(signed) > 4000 {
		return errors.New("operation too large (4000 bytes maximum in dag-cbor encoding)")
	}
	if err := checkPLCShape(op); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.append(did, op, signed)
}

func (p *PLC) append(did string, op map[string]any, signed []byte) error {
	id, err := cid.NewPrefixV1(cid.DagCBOR, multihash.SHA2_256).Sum(signed)
	if err != nil {
		return err
	}
	entry := plcEntry{op: op, cid: id.String(), at: p.now()}
	log := p.logs[did]
	if len(log) == 0 {
		if op["prev"] != nil || op["type"] != "plc_operation" {
			return errors.New("the first operation must be a genesis")
		}
		if want := plcDID(signed); want != did {
			return fmt.Errorf("hash of genesis operation does not match DID: %s", want)
		}
		if entry.signer, err = plcSigner(op, texts(op["rotationKeys"])); err != nil {
			return err
		}
		p.logs[did] = []plcEntry{entry}
		return nil
	}
	return p.extend(did, log, entry)
}

func (p *PLC) extend(did string, log []plcEntry, entry plcEntry) error {
	prev, _ := entry.op["prev"].(string)
	at := slices.IndexFunc(log, func(e plcEntry) bool { return e.cid == prev && !e.nullified })
	if at < 0 {
		return errors.New("operation does not reference the most recent operation")
	}
	if log[at].op["type"] == "plc_tombstone" {
		return errors.New("operations are not correctly ordered: the DID is tombstoned")
	}
	keys := texts(log[at].op["rotationKeys"])
	var err error
	if entry.signer, err = plcSigner(entry.op, keys); err != nil {
		return err
	}
	for i := at + 1; i < len(log); i++ {
		if log[i].nullified {
			continue
		}
		if entry.signer >= log[i].signer || p.now().Sub(log[i].at) > recoveryWindow {
			return errors.New("operation does not reference the most recent operation, and may not undo it")
		}
	}
	for i := at + 1; i < len(log); i++ {
		log[i].nullified = true
	}
	p.logs[did] = append(log, entry)
	return nil
}

func plcDID(signed []byte) string {
	sum := sha256.Sum256(signed)
	return "did:plc:" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:24]
}

// plcSigner returns which of the keys signed. The library refuses high-S signatures.
func plcSigner(op map[string]any, keys []string) (int, error) {
	text, _ := op["sig"].(string)
	sig, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "=") {
		return 0, errors.New("signature is not unpadded base64url")
	}
	unsigned := map[string]any{}
	for k, v := range op {
		if k != "sig" {
			unsigned[k] = v
		}
	}
	raw, err := atdata.MarshalCBOR(unsigned)
	if err != nil {
		return 0, err
	}
	for i, k := range keys {
		key, err := atcrypto.ParsePublicDIDKey(k)
		if err == nil && key.HashAndVerify(raw, sig) == nil {
			return i, nil
		}
	}
	return 0, errors.New("invalid signature on op")
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, el := range list {
		if s, ok := el.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func checkPLCShape(op map[string]any) error {
	allowed := []string{"type", "prev", "sig"}
	if op["type"] == "plc_operation" {
		allowed = append(allowed, "rotationKeys", "verificationMethods", "alsoKnownAs", "services")
	} else if op["type"] != "plc_tombstone" {
		return errors.New("unknown operation type")
	}
	for k := range op {
		if !slices.Contains(allowed, k) {
			return fmt.Errorf("unrecognized key %q", k)
		}
	}
	for _, k := range allowed {
		if _, ok := op[k]; !ok {
			return fmt.Errorf("missing %q", k)
		}
	}
	if op["type"] == "plc_tombstone" {
		return nil
	}
	return checkPLCContent(op)
}

func checkPLCContent(op map[string]any) error {
	keys := texts(op["rotationKeys"])
	list, _ := op["rotationKeys"].([]any)
	if len(keys) < 1 || len(keys) > 10 || len(keys) != len(list) {
		return errors.New("rotationKeys must be 1 to 10 did:key strings")
	}
	for i, k := range keys {
		if _, err := atcrypto.ParsePublicDIDKey(k); err != nil || slices.Contains(keys[:i], k) {
			return errors.New("invalid or repeated rotation key")
		}
	}
	methods, ok := op["verificationMethods"].(map[string]any)
	if !ok || len(methods) > 10 {
		return errors.New("verificationMethods must be an object")
	}
	for _, k := range methods {
		if s, ok := k.(string); !ok || !strings.HasPrefix(s, "did:key:") {
			return errors.New("verification method is not a did:key")
		}
	}
	for _, aka := range texts(op["alsoKnownAs"]) {
		if !strings.Contains(aka, "://") || len(aka) > 258 {
			return errors.New("alsoKnownAs is not a URI of sane length")
		}
	}
	return checkPLCServices(op["services"])
}

func checkPLCServices(v any) error {
	services, ok := v.(map[string]any)
	if !ok || len(services) > 10 {
		return errors.New("services must be an object")
	}
	for _, s := range services {
		m, ok := s.(map[string]any)
		kind, _ := m["type"].(string)
		endpoint, _ := m["endpoint"].(string)
		if !ok || len(m) != 2 || kind == "" || !strings.Contains(endpoint, "://") {
			return errors.New("invalid service")
		}
	}
	return nil
}

// live returns the operations that count, in order.
func (p *PLC) live(did string) []plcEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []plcEntry
	for _, e := range p.logs[did] {
		if !e.nullified {
			out = append(out, e)
		}
	}
	return out
}

// current returns the last operation, or writes the error.
func (p *PLC) current(w http.ResponseWriter, did string) map[string]any {
	log := p.live(did)
	if len(log) == 0 {
		plcFail(w, http.StatusNotFound, "DID not registered: "+did)
		return nil
	}
	op := log[len(log)-1].op
	if op["type"] == "plc_tombstone" {
		plcFail(w, http.StatusGone, "DID not available: "+did)
		return nil
	}
	return op
}

func (p *PLC) document(w http.ResponseWriter, r *http.Request) {
	did := r.PathValue("did")
	op := p.current(w, did)
	if op == nil {
		return
	}
	w.Header().Set("Content-Type", "application/did+ld+json; charset=utf-8")
	methods, services := []any{}, []any{}
	for name, key := range op["verificationMethods"].(map[string]any) {
		methods = append(methods, map[string]any{
			"id": did + "#" + name, "type": "Multikey", "controller": did,
			"publicKeyMultibase": strings.TrimPrefix(key.(string), "did:key:"),
		})
	}
	for name, s := range op["services"].(map[string]any) {
		m := s.(map[string]any)
		services = append(services, map[string]any{"id": "#" + name, "type": m["type"], "serviceEndpoint": m["endpoint"]})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"@context": []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"},
		"id":       did, "alsoKnownAs": op["alsoKnownAs"], "verificationMethod": methods, "service": services,
	})
}

func (p *PLC) data(w http.ResponseWriter, r *http.Request) {
	did := r.PathValue("did")
	if op := p.current(w, did); op != nil {
		writeJSON(w, map[string]any{
			"did": did, "rotationKeys": op["rotationKeys"], "verificationMethods": op["verificationMethods"],
			"alsoKnownAs": op["alsoKnownAs"], "services": op["services"],
		})
	}
}

func (p *PLC) log(w http.ResponseWriter, r *http.Request) {
	log := p.live(r.PathValue("did"))
	if len(log) == 0 {
		plcFail(w, http.StatusNotFound, "DID not registered")
		return
	}
	ops := []any{}
	for _, e := range log {
		ops = append(ops, e.op)
	}
	writeJSON(w, ops)
}

func (p *PLC) last(w http.ResponseWriter, r *http.Request) {
	log := p.live(r.PathValue("did"))
	if len(log) == 0 {
		plcFail(w, http.StatusNotFound, "DID not registered")
		return
	}
	writeJSON(w, log[len(log)-1].op)
}

func (p *PLC) audit(w http.ResponseWriter, r *http.Request) {
	did := r.PathValue("did")
	p.mu.Lock()
	log := slices.Clone(p.logs[did])
	p.mu.Unlock()
	if len(log) == 0 {
		plcFail(w, http.StatusNotFound, "DID not registered")
		return
	}
	out := []any{}
	for _, e := range log {
		out = append(out, map[string]any{
			"did": did, "operation": e.op, "cid": e.cid, "nullified": e.nullified, "createdAt": e.at.UTC().Format(time.RFC3339Nano),
		})
	}
	writeJSON(w, out)
}
