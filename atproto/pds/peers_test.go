//go:build peers

package pds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/syntax"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
)

// TestPeers drives 10,000 mixed commits over 200 repos, one of which has 20,000 records, past the real ones: the npm PLC
// directory, indigo's relay in strict mode, and, where it runs, the reference AppView. A strict verifier reads the relay's
// output. The environment says where they are:
//
//	FOOTBRIDGE_PEER_PLC    http://localhost:2582
//	FOOTBRIDGE_PEER_HOST   localhost:9000, where this host listens and the relay will look
//	FOOTBRIDGE_PEER_RELAY  localhost:2470
//	FOOTBRIDGE_PEER_APPVIEW http://localhost:2584, if it is to be waited for
//	FOOTBRIDGE_PEER_EXPORTS a folder for the repos as CARs, for other programs to verify
//	FOOTBRIDGE_PEER_SCALE  repos, commits and records of the large repo, "200 10000 20000" unless told
func TestPeers(t *testing.T) {
	p := newPeers(t)
	p.ok(p.post("http://"+p.relay+"/xrpc/com.atproto.sync.requestCrawl", map[string]string{"hostname": p.addr}))
	var repos, commits, large int
	scale := os.Getenv("FOOTBRIDGE_PEER_SCALE")
	if scale == "" {
		scale = "200 10000 20000"
	}
	if _, err := fmt.Sscan(scale, &repos, &commits, &large); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return p.host.Subscribers() > 0 })
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+p.relay+"/xrpc/com.atproto.sync.subscribeRepos?cursor=0", nil)
	p.ok(err)
	t.Cleanup(func() { _ = ws.Close() })
	judged := make(chan map[syntax.DID]*chain, 1)
	var dids []syntax.DID
	for i := range repos {
		dids = append(dids, p.person(i))
	}
	g := rand.New(rand.NewPCG(8, 8))
	models := make([]map[string]string, repos)
	for i := range models {
		models[i] = map[string]string{}
	}
	want := map[syntax.DID]string{}
	go func() { judged <- p.judge(ws, dids) }()
	for at := 0; at < large; at += 200 {
		var writes []pds.Write
		for i := at; i < at+200; i++ {
			writes = append(writes, note(rkeyOf(i), fmt.Sprint("number ", i)))
		}
		p.write(0, dids, models, writes)
	}
	for n := range commits {
		i := g.IntN(repos)
		if n%20 == 0 {
			i = 0
		}
		p.write(i, dids, models, p.mixed(g, models[i], n))
	}
	for _, d := range dids {
		want[d] = p.rig.repo(d).Rev
	}
	p.final <- want
	got := <-judged
	for _, d := range dids {
		if got[d] == nil || got[d].rev != want[d] {
			t.Errorf("%s: the relay's last rev is not ours", d)
		}
	}
	p.exports(dids)
	p.appView(dids, models)
}

// appView waits until the AppView shows what the repos hold: handle, name, how many posts, and a picture through its proxy.
func (p *peers) appView(dids []syntax.DID, models []map[string]string) {
	p.Helper()
	base := os.Getenv("FOOTBRIDGE_PEER_APPVIEW")
	if base == "" {
		return
	}
	cids := p.picture(dids[1], models[1])
	ask := func(url string, into any) bool {
		res, err := http.Get(url)
		p.ok(err)
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(into) == nil
	}
	for i, d := range dids {
		posts := 0
		for path := range models[i] {
			if strings.HasPrefix(path, string(post)+"/") {
				posts++
			}
		}
		var got struct {
			Handle, DisplayName string
			PostsCount          int
		}
		waitLong(p, 5*time.Minute, func() bool {
			return ask(base+"/xrpc/app.bsky.actor.getProfile?actor="+d.String(), &got) && got.PostsCount == posts
		})
		if got.Handle != p.repo(d).Handle.String() {
			p.Errorf("%d: the AppView shows %s", i, got.Handle)
		}
	}
	for _, c := range cids {
		res, err := http.Get(base + "/img/feed_fullsize/plain/" + dids[1].String() + "/" + c)
		p.ok(err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "image/") {
			p.Errorf("the picture %s comes as %d %s", c, res.StatusCode, res.Header.Get("Content-Type"))
		}
	}
}

// picture posts a JPEG with a place in it, a PNG, and one that had to be made smaller.
func (p *peers) picture(did syntax.DID, model map[string]string) (cids []string) {
	p.Helper()
	ctx := context.Background()
	for i, raw := range [][]byte{
		withSegment(jpegOf(p, picture(64, 32, false), 90), 0xe1, append([]byte("Exif\x00\x00"), tiff(6)...)),
		withChunk(pngOf(p, picture(64, 32, false)), "eXIf", tiff(1)), jpegOf(p, picture(1800, 1200, true), 100),
	} {
		b, err := pds.PrepareMedia(raw, "image")
		p.ok(err)
		b, err = p.host.StageBlob(ctx, b)
		p.ok(err)
		ref, err := b.Ref()
		p.ok(err)
		w := note(rkeyOf(3_000_000+i), "a picture")
		w.Record["embed"] = map[string]any{"$type": "app.bsky.embed.images", "images": []any{map[string]any{"alt": "", "image": ref,
			"aspectRatio": map[string]any{"width": b.Width, "height": b.Height}}}}
		p.clock.pass(time.Since(p.clock.now()))
		p.ok(p.update(func(tx both) error {
			permit, err := p.gate.Publish(ctx, tx, subjectOf(1), consent.ScopePosts)
			if err != nil {
				return err
			}
			if err := p.host.PutBlob(tx, permit, did, b); err != nil {
				return err
			}
			_, results, err := p.host.Apply(ctx, tx, permit, did, w)
			model[w.Path()] = results[0].CID
			return err
		}))
		cids = append(cids, b.CID)
	}
	return cids
}

type peers struct {
	*rig
	plc, addr, relay string
	final            chan map[syntax.DID]string
}

func newPeers(t *testing.T) *peers {
	t.Helper()
	p := &peers{plc: os.Getenv("FOOTBRIDGE_PEER_PLC"), addr: os.Getenv("FOOTBRIDGE_PEER_HOST"), relay: os.Getenv("FOOTBRIDGE_PEER_RELAY"),
		final: make(chan map[syntax.DID]string, 1)}
	if p.plc == "" || p.addr == "" || p.relay == "" {
		t.Fatal("FOOTBRIDGE_PEER_PLC, _HOST and _RELAY do not say where the peers are")
	}
	p.rig = newRig(t, func(o *pds.Options) {
		o.Hostname, o.URL, o.Now = p.addr, "http://"+p.addr, time.Now
	})
	p.clock.pass(time.Since(p.clock.now()))
	l, err := net.Listen("tcp", strings.Replace(p.addr, "localhost", "127.0.0.1", 1))
	p.ok(err)
	e := echo.New()
	p.host.Register(e)
	srv := &http.Server{Handler: e}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return p
}

func (p *peers) post(url string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	res, err := http.Post(url, "application/json", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %s", url, res.StatusCode, text)
	}
	return nil
}

func subjectOf(i int) identity.Subject {
	return identity.Subject(fmt.Sprintf("https://social.example/users/u%d", i))
}

// person makes a DID at the real directory and a repo.
func (p *peers) person(i int) syntax.DID {
	p.Helper()
	h := syntax.Handle(fmt.Sprintf("u%d.social.example.bridge.test", i))
	signing, err := atcrypto.GeneratePrivateKeyK256()
	p.ok(err)
	rotation, err := atcrypto.GeneratePrivateKeyK256()
	p.ok(err)
	pub, err := signing.PublicKey()
	p.ok(err)
	did, op, err := identity.NewGenesis(identity.GenesisInput{Signing: pub, Rotation: rotation, Handle: h, PDS: "http://" + p.addr})
	p.ok(err)
	p.ok(p.post(p.plc+"/"+did.String(), op))
	next, err := op.Next()
	p.ok(err)
	if i%10 == 0 { // a handle that changes, so that updates are judged by the directory too
		h = "renamed-" + h
		next.SetHandle(h)
		p.ok(next.Sign(rotation))
		p.ok(p.post(p.plc+"/"+did.String(), next))
	}
	p.ok(p.update(func(tx both) error {
		s := subjectOf(i)
		asked, _, err := p.desk.Begin(tx, consent.Contact{Subject: s, Evidence: consent.Evidence{Type: consent.E2, Raw: []byte("follow")}, Lang: "en"})
		if err != nil {
			return err
		}
		_, err = p.desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: consent.Evidence{Type: consent.E4, Raw: []byte("yes " + asked.Code)}, Code: asked.Code, All: true})
		return err
	}))
	p.ok(p.update(func(tx both) error {
		permit, err := p.gate.Publish(context.Background(), tx, subjectOf(i), consent.ScopeProfile)
		if err != nil {
			return err
		}
		_, err = p.host.CreateRepo(tx, permit, did, h, signing, pds.Write{Collection: "app.bsky.actor.profile", RKey: "self",
			Record: map[string]any{"displayName": fmt.Sprint("Person ", i)}})
		return err
	}))
	return did
}

func (p *peers) write(i int, dids []syntax.DID, models []map[string]string, writes []pds.Write) {
	p.Helper()
	p.clock.pass(time.Since(p.clock.now()))
	_, results, err := p.applyAs(subjectOf(i), dids[i], writes...)
	p.ok(err)
	for n, w := range writes {
		delete(models[i], w.Path())
		if w.Record != nil {
			models[i][w.Path()] = results[n].CID
		}
	}
}

// mixed are creates, updates, deletes and batches; now and then a repo is emptied.
func (p *peers) mixed(g *rand.Rand, model map[string]string, n int) []pds.Write {
	var old []string
	for path := range model {
		if old = append(old, path); len(old) > 30 {
			break
		}
	}
	var writes []pds.Write
	used := map[string]bool{}
	for k := range 1 + g.IntN(6) {
		w := note(rkeyOf(1_000_000+n*10+k), fmt.Sprint("mixed ", n, k))
		if len(old) > 0 && g.IntN(2) == 0 {
			coll, rkey, _ := strings.Cut(old[g.IntN(len(old))], "/")
			w.Collection, w.RKey = syntax.NSID(coll), syntax.RecordKey(rkey)
			w.Record["$type"] = coll
			if g.IntN(3) > 0 {
				w.Record = nil
			}
		}
		if !used[w.Path()] {
			used[w.Path()] = true
			writes = append(writes, w)
		}
	}
	return writes
}

// judge reads the relay's output until every repo has come to its last rev.
func (p *peers) judge(ws *websocket.Conn, dids []syntax.DID) map[syntax.DID]*chain {
	chains := map[syntax.DID]*chain{}
	for _, d := range dids {
		chains[d] = p.chain(d)
	}
	var want map[syntax.DID]string
	seen := 0
	for {
		if want == nil {
			select {
			case want = <-p.final:
			default:
			}
		}
		done := want != nil
		for d, rev := range want {
			done = done && chains[d].rev == rev
		}
		if done {
			p.Logf("%d commits judged", seen)
			return chains
		}
		if err := ws.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
			p.Error(err)
			return chains
		}
		_, b, err := ws.ReadMessage()
		if err != nil {
			p.Error(err)
			return chains
		}
		e, err := decodeFrame(b)
		if err != nil {
			p.Error(err)
			return chains
		}
		if e.kind == "#commit" && chains[syntax.DID(e.commit.Repo)] != nil {
			seen++
			chains[syntax.DID(e.commit.Repo)].take(p, e.commit)
		}
	}
}

// exports writes the repos where another program can read them.
func (p *peers) exports(dids []syntax.DID) {
	p.Helper()
	dir := os.Getenv("FOOTBRIDGE_PEER_EXPORTS")
	if dir == "" {
		return
	}
	for _, d := range dids {
		_, body, _ := p.get("/xrpc/com.atproto.sync.getRepo?did=" + d.String())
		key := ""
		p.ok(p.room.View(context.Background(), func(tx pds.Tx) error {
			k, err := p.keys.Key(tx, d.String(), identity.KeyRepo)
			if err != nil {
				return err
			}
			pub, err := k.PublicKey()
			key = pub.DIDKey()
			return err
		}))
		p.ok(os.WriteFile(dir+"/"+d.String()+".car", body["raw"].([]byte), 0o600))
		p.ok(os.WriteFile(dir+"/"+d.String()+".key", []byte(fmt.Sprint(key, " ", p.repo(d).Records)), 0o600))
	}
}
