package pds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"footbridge/atproto"
	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/auth"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// directory is a PLC directory of one process that takes only what the spec allows.
type directory struct {
	mu   sync.Mutex
	logs map[syntax.DID][]json.RawMessage
}

func (d *directory) Log(_ context.Context, did syntax.DID) ([]json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logs[did], nil
}

func (d *directory) Submit(_ context.Context, _ consent.Permit, did syntax.DID, raw json.RawMessage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	op, err := identity.ParseOperation(raw)
	if err != nil {
		return err
	}
	if len(d.logs[did]) == 0 {
		if want, err := op.DID(); err != nil || want != did {
			return fmt.Errorf("not the genesis of %s: %w", did, err)
		}
		_, err = op.Verify(op.RotationKeys)
	} else {
		var last identity.Operation
		if last, err = identity.ParseOperation(d.logs[did][len(d.logs[did])-1]); err != nil {
			return err
		}
		prev, cerr := last.CID()
		if cerr != nil || op.Prev == nil || *op.Prev != prev {
			return errors.New("prev is not the last operation")
		}
		_, err = op.Verify(last.RotationKeys)
	}
	if err == nil {
		d.logs[did] = append(d.logs[did], raw)
	}
	return err
}

func (d *directory) Identity(_ context.Context, did syntax.DID) (atproto.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.logs[did]) == 0 {
		return atproto.Identity{}, errors.New("unknown")
	}
	op, err := identity.ParseOperation(d.logs[did][len(d.logs[did])-1])
	return atproto.Identity{DID: did, PDS: op.Services["atproto_pds"].Endpoint, Key: op.VerificationMethods["atproto"]}, err
}

// movingRig is a host that lets people move, on a shared directory.
func movingRig(t *testing.T, name string, dir *directory) *rig {
	t.Helper()
	var r *rig
	m := &pds.Migration{Secret: []byte(strings.Repeat("s", 32)), Identity: dir.Identity, PLC: dir,
		Permit: func(ctx context.Context, tx pds.Tx, s identity.Subject) (consent.Permit, error) {
			return r.gate.Publish(ctx, tx.(consent.Tx), s, consent.ScopeProfile)
		},
		Invite: func(_ context.Context, _ pds.Tx, code string, _ syntax.DID) (identity.Subject, syntax.Handle, error) {
			if code != "invited" {
				return "", "", errors.New("no")
			}
			return alice, "alice.social.example." + syntax.Handle(name), nil
		}}
	r = newRig(t, func(o *pds.Options) {
		o.Hostname, o.URL, o.HandleDomains, o.Migration = name, "https://"+name, []string{name}, m
	})
	return r
}

// grant makes alice's yes without a repo.
func (r *rig) grant() {
	r.Helper()
	r.ok(r.update(func(tx both) error {
		asked, _, err := r.desk.Begin(tx, consent.Contact{Subject: alice, Evidence: consent.Evidence{Type: consent.E2, Raw: []byte("follow")}, Lang: "en"})
		if err != nil {
			return err
		}
		_, err = r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: consent.Evidence{Type: consent.E4, Raw: []byte("yes " + asked.Code)}, Code: asked.Code, All: true})
		return err
	}))
}

// settle makes a DID in the directory and the repo of it, as provisioning does.
func (r *rig) settle(dir *directory, h syntax.Handle) syntax.DID {
	r.Helper()
	var did syntax.DID
	var op identity.Operation
	r.grant()
	r.ok(r.update(func(tx both) error {
		signing, err := atcrypto.GeneratePrivateKeyK256()
		if err != nil {
			return err
		}
		rotation, err := atcrypto.GeneratePrivateKeyK256()
		if err != nil {
			return err
		}
		pub, err := signing.PublicKey()
		if err != nil {
			return err
		}
		did, op, err = identity.NewGenesis(identity.GenesisInput{Signing: pub, Rotation: rotation, Handle: h, PDS: r.host.URL()})
		if err != nil {
			return err
		}
		permit, err := r.gate.Publish(context.Background(), tx, alice, consent.ScopeProfile)
		if err != nil {
			return err
		}
		if err := r.keys.PutKey(tx, did.String(), identity.KeyRotation, rotation); err != nil {
			return err
		}
		_, err = r.host.CreateRepo(tx, permit, did, h, signing)
		return err
	}))
	raw, err := json.Marshal(op)
	r.ok(err)
	r.ok(dir.Submit(context.Background(), consent.Permit{}, did, raw))
	return did
}

// call makes an XRPC call and returns the answer; a body that is a []byte is sent as it is.
func (r *rig) call(method, nsid, token string, body any, contentType string) (int, map[string]any) {
	r.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		r.ok(err)
		reader, contentType = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequest(method, r.web.URL+"/xrpc/"+nsid, reader)
	r.ok(err)
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := r.web.Client().Do(req)
	r.ok(err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	r.ok(err)
	m := map[string]any{}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		r.ok(json.Unmarshal(raw, &m))
	}
	m["raw"] = raw
	return res.StatusCode, m
}

// must is call for what has to succeed.
func (r *rig) must(method, nsid, token string, body any) map[string]any {
	r.Helper()
	status, m := r.call(method, nsid, token, body, "application/octet-stream")
	if status != http.StatusOK {
		r.Fatalf("%s: %d %s", nsid, status, m["raw"])
	}
	return m
}

// TestMigration moves an account with the calls of the official migration, in its order, from one host to another: posts
// and blobs intact, the DID document changed, the old host quiet.
func TestMigration(t *testing.T) {
	dir := &directory{logs: map[syntax.DID][]json.RawMessage{}}
	from, to := movingRig(t, "old.test", dir), movingRig(t, "new.test", dir)
	did := from.settle(dir, "alice.social.example.old.test")
	to.grant()
	b, err := from.host.StageBlob(context.Background(), pds.Blob{Bytes: []byte("a picture"), MimeType: "image/png"})
	from.ok(err)
	ref, err := b.Ref()
	from.ok(err)
	from.ok(from.update(func(tx both) error {
		p, err := from.gate.Publish(context.Background(), tx, alice, consent.ScopePosts)
		if err != nil {
			return err
		}
		return from.host.PutBlob(tx, p, did, b)
	}))
	writes := []pds.Write{{Collection: "app.bsky.graph.follow", RKey: "f", Record: map[string]any{"subject": "did:plc:cccccccccccccccccccccccc", "createdAt": "2026-03-01T12:00:00.000Z"}}}
	for i := range 450 {
		writes = append(writes, note(fmt.Sprint("p", i), fmt.Sprint("post ", i)))
	}
	writes[7].Record["image"] = ref
	_, _, err = from.applyAs(alice, did, writes...)
	from.ok(err)

	var code string
	from.ok(from.room.Update(context.Background(), func(tx pds.Tx) (err error) {
		code, err = from.host.IssueCode(tx, did)
		return err
	}))
	old := from.must("POST", "com.atproto.server.createSession", "", map[string]string{"identifier": did.String(), "password": code})["accessJwt"].(string)
	service := from.must("GET", "com.atproto.server.getServiceAuth?aud=did:web:new.test&lxm=com.atproto.server.createAccount", old, nil)["token"].(string)
	account := map[string]string{"did": did.String(), "handle": "alice.social.example.new.test", "inviteCode": "invited"}
	session := to.must("POST", "com.atproto.server.createAccount", service, account)["accessJwt"].(string)
	if status, body := to.call("POST", "com.atproto.server.createAccount", service, account, ""); status == 200 {
		t.Errorf("a service token was good twice: %v", body)
	}
	car := from.must("GET", "com.atproto.sync.getRepo?did="+did.String(), "", nil)["raw"].([]byte)
	to.must("POST", "com.atproto.repo.importRepo", session, car)
	to.must("POST", "com.atproto.repo.importRepo", session, car) // an interrupted import is repeated
	missing := to.must("GET", "com.atproto.repo.listMissingBlobs", session, nil)["blobs"].([]any)
	if len(missing) != 1 || missing[0].(map[string]any)["cid"] != b.CID {
		t.Fatalf("missing blobs: %v", missing)
	}
	bytesOf := from.must("GET", "com.atproto.sync.getBlob?did="+did.String()+"&cid="+b.CID, "", nil)["raw"].([]byte)
	if status, body := to.call("POST", "com.atproto.repo.uploadBlob", session, bytesOf, "image/png"); status != 200 || !strings.Contains(string(body["raw"].([]byte)), b.CID) {
		t.Fatalf("uploadBlob: %d %s", status, body["raw"])
	}
	if status, _ := to.call("POST", "com.atproto.server.activateAccount", session, nil, ""); status == 200 {
		t.Error("activated before the DID points here")
	}
	want := to.must("GET", "com.atproto.identity.getRecommendedDidCredentials", session, nil)
	delete(want, "raw")
	want["token"] = "wrong"
	if status, _ := from.call("POST", "com.atproto.identity.signPlcOperation", old, want, ""); status == 200 {
		t.Error("signed with a wrong token")
	}
	want["token"] = code
	op := from.must("POST", "com.atproto.identity.signPlcOperation", old, want)["operation"]
	to.must("POST", "com.atproto.identity.submitPlcOperation", session, map[string]any{"operation": op})
	status := to.must("GET", "com.atproto.server.checkAccountStatus", session, nil)
	if status["validDid"] != true || status["indexedRecords"] != 451.0 || status["expectedBlobs"] != 1.0 || status["importedBlobs"] != 1.0 || status["activated"] != false {
		t.Errorf("status: %s", status["raw"])
	}
	to.must("POST", "com.atproto.server.activateAccount", session, nil)
	from.must("POST", "com.atproto.server.deactivateAccount", old, nil)

	if kinds(to.log(0)) != "#account #identity #sync" {
		t.Errorf("the new host announced %s", kinds(to.log(0)))
	}
	if from.repo(did).Data != to.repo(did).Data || to.repo(did).Rev <= from.repo(did).Rev {
		t.Errorf("data %s and %s, rev %s and %s", from.repo(did).Data, to.repo(did).Data, from.repo(did).Rev, to.repo(did).Rev)
	}
	if got := to.must("GET", "com.atproto.sync.getBlob?did="+did.String()+"&cid="+b.CID, "", nil); string(got["raw"].([]byte)) != "a picture" {
		t.Error("the blob did not come along")
	}
	last := to.log(0)[2].seq
	c := to.chain(did)
	c.rev, c.data = to.repo(did).Rev, to.repo(did).Data
	_, _, err = to.applyAs(alice, did, note("first", "from the new home"))
	to.ok(err)
	c.take(t, to.log(last)[0].commit)
}

func TestSessionsAreHardToGet(t *testing.T) {
	dir := &directory{logs: map[syntax.DID][]json.RawMessage{}}
	r := movingRig(t, "old.test", dir)
	did := r.settle(dir, "alice.social.example.old.test")
	login := func(password string) int {
		status, _ := r.call("POST", "com.atproto.server.createSession", "", map[string]string{"identifier": did.String(), "password": password}, "")
		return status
	}
	if login("") != 401 || login("guess") != 401 {
		t.Error("logged in without a code")
	}
	var code string
	r.ok(r.room.Update(context.Background(), func(tx pds.Tx) (err error) {
		code, err = r.host.IssueCode(tx, did)
		return err
	}))
	if login(strings.ToUpper(code)) != 200 {
		t.Error("a code in capitals was refused")
	}
	token := r.must("POST", "com.atproto.server.createSession", "", map[string]string{"identifier": did.String(), "password": code})["accessJwt"].(string)
	for name, bad := range map[string]string{"none": "", "cut": token[:len(token)-2], "unsigned": strings.Join(strings.Split(token, ".")[:2], ".") + ".", "other": token[:20] + "x" + token[21:]} {
		if status, _ := r.call("GET", "com.atproto.server.getSession", bad, nil, ""); status == 200 {
			t.Errorf("%s: taken", name)
		}
	}
	if status, _ := r.call("GET", "com.atproto.server.getServiceAuth?aud=did:web:x.test&lxm=chat.bsky.convo.sendMessage", token, nil, ""); status == 200 {
		t.Error("a moving session got a token for something else")
	}
	r.clock.pass(3 * time.Hour)
	if status, body := r.call("GET", "com.atproto.server.getSession", token, nil, ""); status != 400 || body["error"] != "ExpiredToken" {
		t.Errorf("an old token: %d %v", status, body)
	}
	r.clock.pass(24 * time.Hour)
	if login(code) != 401 {
		t.Error("an old code was taken")
	}
}

func TestServiceAuthIsStrict(t *testing.T) {
	dir := &directory{logs: map[syntax.DID][]json.RawMessage{}}
	from, to := movingRig(t, "old.test", dir), movingRig(t, "new.test", dir)
	did := from.settle(dir, "alice.social.example.old.test")
	to.grant()
	now := time.Now() // the library stamps its tokens with the real time
	to.clock.pass(now.Sub(to.clock.now()))
	var key *identity.SigningKey
	from.ok(from.room.View(context.Background(), func(tx pds.Tx) (err error) {
		key, err = from.keys.Key(tx, did.String(), identity.KeyRepo)
		return err
	}))
	stranger, err := atcrypto.GeneratePrivateKeyK256()
	from.ok(err)
	method, other := syntax.NSID("com.atproto.server.createAccount"), syntax.NSID("com.atproto.server.getSession")
	sign := func(iss syntax.DID, aud string, ttl time.Duration, lxm *syntax.NSID, k atcrypto.PrivateKey) string {
		token, err := auth.SignServiceAuth(iss, aud, ttl, lxm, k)
		from.ok(err)
		return token
	}
	account := map[string]string{"did": did.String(), "handle": "alice.social.example.new.test", "inviteCode": "invited"}
	for name, token := range map[string]string{
		"none": "", "audience": sign(did, "did:web:else.test", time.Minute, &method, key), "method": sign(did, "did:web:new.test", time.Minute, &other, key),
		"no method": sign(did, "did:web:new.test", time.Minute, nil, key), "long": sign(did, "did:web:new.test", 1000*time.Hour, &method, key),
		"past": sign(did, "did:web:new.test", -time.Hour, &method, key), "key": sign(did, "did:web:new.test", time.Minute, &method, stranger),
		"issuer": sign("did:plc:zzzzzzzzzzzzzzzzzzzzzzzz", "did:web:new.test", time.Minute, &method, key),
	} {
		if status, _ := to.call("POST", "com.atproto.server.createAccount", token, account, ""); status != 401 {
			t.Errorf("%s: %d", name, status)
		}
	}
	good := func() string { return sign(did, "did:web:new.test", time.Minute, &method, key) }
	for name, change := range map[string]string{"inviteCode": "other", "handle": "victim.social.example.new.test", "did": "nonsense"} {
		bad := map[string]string{"did": did.String(), "handle": "alice.social.example.new.test", "inviteCode": "invited"}
		bad[name] = change
		if status, _ := to.call("POST", "com.atproto.server.createAccount", good(), bad, ""); status == 200 {
			t.Errorf("%s %s: taken", name, change)
		}
	}
	to.must("POST", "com.atproto.server.createAccount", good(), account)
}

func TestHostileImports(t *testing.T) {
	dir := &directory{logs: map[syntax.DID][]json.RawMessage{}}
	from, to := movingRig(t, "old.test", dir), movingRig(t, "new.test", dir)
	did := from.settle(dir, "alice.social.example.old.test")
	_, _, err := from.applyAs(alice, did, note("a", "x"), note("b", "y"))
	from.ok(err)
	car := from.must("GET", "com.atproto.sync.getRepo?did="+did.String(), "", nil)["raw"].([]byte)
	to.join(alice, did, "alice.social.example.new.test")
	to.ok(to.erasing(func(tx both, p consent.Permit) error { return to.host.SetStatus(tx, p, did, pds.StatusDeactivated) }))
	for at := range car {
		broken := bytes.Clone(car)
		broken[at] ^= 0x55
		// The first bytes are the header, of which only the root counts.
		if err := to.host.Import(context.Background(), did, bytes.NewReader(broken)); err == nil && (at > 59 || to.repo(did).Data != from.repo(did).Data) {
			t.Fatalf("byte %d changed, and taken", at)
		}
	}
	if err := to.host.Import(context.Background(), did, bytes.NewReader(car[:len(car)-10])); err == nil {
		t.Error("a CAR that is cut was taken")
	}
	if err := to.host.Import(context.Background(), "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb", bytes.NewReader(car)); err == nil {
		t.Error("another's repo was taken")
	}
	to.ok(to.host.Import(context.Background(), did, bytes.NewReader(car)))
	if to.repo(did).Records != 2 {
		t.Errorf("%d records", to.repo(did).Records)
	}
}
